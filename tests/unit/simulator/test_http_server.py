"""The HTTP server: connections, framing, and its end."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.http_server import HttpServer
from unit.simulator.callers import Caller, connect
from waiting import PATIENCE


def test_connection_is_kept_and_each_response_has_an_id(simulator: Simulator, owner: Caller) -> None:
    answers = [owner("GET", "/backups?limit=1", stream=True) for _ in range(2)]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert "Connection" not in answers[0].headers


def test_request_trailers_belong_to_it(simulator: Simulator) -> None:
    head = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    last = "GET /v3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(simulator) as raw:
        raw.sendall(f"{head}2\r\n{{}}\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n{last}".encode())
        answers = raw.makefile("rb").read()

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200"]


@pytest.mark.parametrize("framing", ["Content-Length: 99\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n63\r\n"])
def test_request_cut_short_has_no_effect(simulator: Simulator, owner: Caller, framing: str) -> None:
    backup = simulator.backups[0].id
    body = json.dumps({"members": simulator.projects[:1]})
    path = owner.base[len(simulator.url) :] + f"/backups/{backup}/members"
    with connect(simulator) as raw:
        raw.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {owner.token}\r\n{framing}{body}".encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1) == b""

    assert simulator.members(backup) == {}


def test_stop_closes_a_connection_whose_thread_has_not_started(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, go_on = threading.Event(), threading.Event()
    serve = HttpServer.process_request_thread

    def late(self: HttpServer, *arguments: Any) -> None:
        accepted.set()
        go_on.wait(PATIENCE)
        serve(self, *arguments)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        go_on.set()
        wait(self, timeout)

    wait = threading.Thread.join
    monkeypatch.setattr(HttpServer, "process_request_thread", late)
    monkeypatch.setattr(threading.Thread, "join", join)
    with connect(simulator) as raw:
        accepted.wait(PATIENCE)
        simulator.stop()
        go_on.set()
        with suppress(OSError):
            raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(1) == b""


def test_request_odd_or_too_long_gets_a_response(simulator: Simulator) -> None:
    def ask(text: str) -> str:
        with connect(simulator) as raw:
            raw.sendall(text.encode())
            return raw.makefile("r", encoding="latin-1").readline().strip()

    chunked = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert ask(chunked) == "HTTP/1.1 400 Bad Request"
    assert ask("BREW / HTTP/1.1\r\nHost: x\r\n\r\n") == "HTTP/1.1 404 Not Found"
    assert ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n").startswith("HTTP/1.1 413")
    assert ask(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {'1' * 5000}\r\n\r\n").startswith("HTTP/1.1 413")
    assert ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n").startswith("HTTP/1.1 413")


def test_latency_delays_requests_in_parallel(session: requests.Session) -> None:
    with Simulator(latency=3) as simulator:
        threads = [
            threading.Thread(target=requests.get, args=(simulator.url,), kwargs={"timeout": PATIENCE}) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        calls = simulator.calls

    assert len(calls) == 4
    assert max(call.started for call in calls) < min(call.finished for call in calls)
