from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout
from urllib3 import Timeout

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import (
    CbrError,
    ImageRegistered,
    NotAllowed,
    NotFound,
    ServiceError,
    ServiceUnavailableError,
    Throttled,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.retry import CallLimits, Clock
from unit.api.kit import (
    BACKUP,
    BACKUP_OBJECT,
    CALLS,
    MEMBER,
    OTHER,
    FakeClock,
    Reply,
    Seen,
    Server,
    calls,
    fixed_token,
    grant,
    in_turn,
    password,
    ticking,
    trickle,
)
from waiting import PATIENCE, wait_until

READS = ("list_members", "show_member", "show_backup", "list_backups")
WRITES = ("add_members", "update_member")
GOOD = Reply(
    200, {"member": {**MEMBER, "status": "accepted"}, "members": [MEMBER], "backup": BACKUP_OBJECT, "backups": []}
)
GONE = Reply(404, {"error_code": "BackupService.6705", "error_msg": "gone"})


def cut(out: Any) -> None:
    """Write half an answer."""
    out.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"member"')


def nonsense(out: Any) -> None:
    out.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


#: What happens, then the errors of reads, of DELETE, of POST and PUT; and how many requests each makes with 2 retries.
TABLE: dict[
    str, tuple[Reply | None, tuple[type[CbrError], int], tuple[type[CbrError], int], tuple[type[CbrError], int]]
] = {
    "closed without an answer": (
        None,
        (ServiceUnavailableError, 3),
        (UnknownOutcomeError, 3),
        (UnknownOutcomeError, 1),
    ),
    "cut short": (Reply(raw=cut), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "no HTTP": (Reply(raw=nonsense), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "408": (Reply(408, b""), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "500": (Reply(500, b""), (UnexpectedResponseError, 1), (UnknownOutcomeError, 1), (UnknownOutcomeError, 1)),
    "502": (Reply(502, b""), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "503": (Reply(503, b""), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "504": (Reply(504, b""), (ServiceUnavailableError, 3), (UnknownOutcomeError, 3), (UnknownOutcomeError, 1)),
    "400": (Reply(400, b""), (UnexpectedResponseError, 1), (UnexpectedResponseError, 1), (UnexpectedResponseError, 1)),
    "404": (GONE, (NotFound, 1), (NotFound, 1), (NotFound, 1)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("happens", TABLE)
def test_table(happens: str, call: str) -> None:
    reply, read, delete, write = TABLE[happens]
    kind, requests = write if call in WRITES else delete if call == "delete_member" else read
    if reply is GONE and call == "list_members":
        requests = 2  # the backup's own GET confirms it
    clock = FakeClock()
    with Server(in_turn(reply)) as server, pytest.raises(CbrError) as error:
        calls(CbrClient(fixed_token(server.url, maxRetries=2), timing=clock.timing))[call]()
    assert type(error.value) is kind
    assert len(server.seen) == requests
    assert clock.waits == ([] if reply is GONE else [0.5, 1.0][: requests - 1])
    assert error.value.__cause__ is not None or isinstance(error.value, ServiceError)


@pytest.mark.parametrize("call", CALLS)
def test_never_sent_is_tried_again(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def send(self: HTTPAdapter, request: Any, **kwargs: Any) -> Any:
        tries.append(request)
        raise ConnectTimeout("no")

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(ServiceUnavailableError):
        calls(CbrClient(fixed_token("https://cbr.example.com"), timing=FakeClock().timing))[call]()
    assert len(tries) == 5


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (6, 7)])
def test_max_retries_counts(retries: int, requests: int) -> None:
    with Server(in_turn(Reply(503, b""))) as server, pytest.raises(ServiceUnavailableError):
        CbrClient(fixed_token(server.url, maxRetries=retries), timing=FakeClock().timing).show_backup(BACKUP)
    assert len(server.seen) == requests


def waits(reply: Reply, *, random_fraction: float = 0.0, **settings: object) -> list[float]:
    clock = FakeClock(random_fraction)
    with Server(in_turn(reply)) as server, pytest.raises(CbrError):
        CbrClient(fixed_token(server.url, **settings), timing=clock.timing).show_backup(BACKUP)
    assert clock.seconds < float(str(settings.get("timeout", 120)))
    return clock.waits


def test_waits_double_up_to_twenty_seconds() -> None:
    assert waits(Reply(503, b""), maxRetries=8, timeout=1000) == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_any_number_of_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """`2.0**1024` is too large for a number of seconds."""

    def send(self: HTTPAdapter, request: Any, **kwargs: Any) -> Any:
        raise ConnectTimeout("no")

    monkeypatch.setattr(HTTPAdapter, "send", send)
    clock = FakeClock()
    client = CbrClient(fixed_token("https://cbr.example.com", maxRetries=1100, timeout=1e6), timing=clock.timing)
    with pytest.raises(ServiceUnavailableError):
        client.show_backup(BACKUP)
    assert (len(clock.waits), clock.waits[-1]) == (1100, 20)


def test_waits_are_shortened_by_chance() -> None:
    assert waits(Reply(503, b""), random_fraction=0.5) == [0.375, 0.75, 1.5, 3.0]
    assert waits(Reply(503, b""), random_fraction=1.0) == [0.25, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7, 7]),
        ("0", [0.5, 1]),
        ("2.5", [2.5, 2.5]),
        ("86400", [60, 60]),
        ("999999999999999", [0.5, 1]),
        ("Mon, 04 May 2026 12:00:30 GMT", [30, 1]),
        ("Mon, 04 May 2026 14:00:30 +0200", [30, 1]),
        ("Tue, 05 May 2026 12:00:00 GMT", [60, 60]),
        ("Sun, 03 May 2026 12:00:00 GMT", [0.5, 1]),
        ("tomorrow", [0.5, 1]),
        ("-5", [0.5, 1]),
        ("Mon, 99 May 99999 12:00:30 GMT", [0.5, 1]),
        ("", [0.5, 1]),
    ],
)
def test_retry_after_in_both_forms(status: int, text: str, expected: list[float]) -> None:
    assert waits(Reply(status, b"", {"Retry-After": text}), maxRetries=2, timeout=1000)[:2] == expected


def test_retry_after_as_a_date_goes_by_the_services_clock() -> None:
    headers = {"Date": "Mon, 04 May 2026 15:00:00 GMT", "Retry-After": "Mon, 04 May 2026 15:00:09 GMT"}
    assert waits(Reply(503, b"", headers), maxRetries=1) == [9]


def test_no_wait_goes_past_the_timeout() -> None:
    assert waits(Reply(503, b""), maxRetries=100, timeout=10) == [0.5, 1, 2, 4]
    assert waits(Reply(429, b"", {"Retry-After": "45"}), maxRetries=9, timeout=100) == [45, 45]
    assert waits(Reply(429, b"", {"Retry-After": "86400"}), timeout=50) == []


@pytest.mark.parametrize("call", ["show_member", "delete_member"])
def test_recovers(call: str) -> None:
    good = Reply(204) if call == "delete_member" else GOOD
    with Server(in_turn(None, Reply(503, b""), Reply(raw=cut), Reply(429, b""), good)) as server:
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))[call]()
    assert len(server.seen) == 5


@pytest.mark.parametrize("first", [None, Reply(504, b"")])
def test_delete_that_finds_nothing_after_a_lost_answer_says_so(first: Reply | None) -> None:
    with Server(in_turn(first, GONE)) as server, pytest.raises(NotFound):
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))["delete_member"]()


LOST_AT_FIRST = [None, Reply(raw=cut), Reply(503, b"")]


@pytest.mark.parametrize("first", LOST_AT_FIRST)
@pytest.mark.parametrize(
    "then",
    [
        Reply(401, b""),
        Reply(403, {"error_code": "BackupService.8600"}),
        Reply(404, b"<html>"),
        Reply(404, {"error_code": "APIGW.0101"}),
        Reply(400, b""),
        Reply(407),
        Reply(429, b""),
        Reply(500, {"error_code": "BackupService.9910"}),
    ],
    ids=lambda reply: str(reply.status),
)
def test_delete_that_was_lost_once_stays_lost(first: Reply | None, then: Reply) -> None:
    with Server(in_turn(first, then)) as server, pytest.raises(UnknownOutcomeError):
        calls(CbrClient(fixed_token(server.url, maxRetries=1), timing=FakeClock().timing))["delete_member"]()
    assert len(server.seen) == 2 or then.status == 429


@pytest.mark.parametrize("first", LOST_AT_FIRST)
def test_delete_that_the_service_refuses_after_a_lost_answer(first: Reply | None) -> None:
    refused = Reply(400, {"error_code": "BackupService.6710", "error_msg": "image"})
    with Server(in_turn(first, refused)) as server, pytest.raises(ImageRegistered):
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))["delete_member"]()


def test_delete_that_was_lost_once_and_is_then_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    send = HTTPAdapter.send

    def send_once(self: HTTPAdapter, *args: Any, **kwargs: Any) -> Any:
        if server.seen:
            raise ConnectTimeout("not sent")
        return send(self, *args, **kwargs)

    monkeypatch.setattr(HTTPAdapter, "send", send_once)
    with Server(in_turn(None)) as server:
        client = CbrClient(fixed_token(server.url, maxRetries=1), timing=FakeClock().timing)
        with pytest.raises(UnknownOutcomeError):
            calls(client)["delete_member"]()


def test_delete_that_was_lost_once_and_then_cannot_sign_in() -> None:
    clock = FakeClock()
    sign_ins = in_turn(grant("http://127.0.0.1:9", life=100), Reply(401, b"no"))

    def respond(seen: Seen) -> Reply | None:
        if "tokens" in seen.path:
            return sign_ins(seen)
        clock.advance(100)
        return None

    with (
        Server(respond) as server,
        pytest.raises(
            UnknownOutcomeError,
            match=r"^deleting .* failed: its result is unknown, and it could not be sent again: signing in",
        ),
    ):
        calls(CbrClient(password(server.url, endpoint=server.url), timing=clock.timing))["delete_member"]()
    assert [seen.method for seen in server.seen] == ["POST", "DELETE", "POST"]


def test_delete_cancelled_after_lost_response_is_unknown() -> None:
    def cancel(seconds: float) -> None:
        raise CbrError("cancelled")

    with Server(in_turn(None)) as server, pytest.raises(UnknownOutcomeError, match="cancelled"):
        calls(CbrClient(fixed_token(server.url), timing=Clock(sleep=cancel)))["delete_member"]()
    assert len(server.seen) == 1


def test_a_read_that_was_lost_once_is_none_of_it() -> None:
    with Server(in_turn(None, Reply(403, b""))) as server, pytest.raises(NotAllowed):
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))["show_member"]()


@pytest.mark.parametrize("status", [300, 302, 308, 404, 409, 410, 412, 423, 424, 425, 499, 501, 505, 520, 599, 999])
@pytest.mark.parametrize("call", [*WRITES, "delete_member"])
def test_status_that_is_no_refusal_is_an_unknown_outcome(call: str, status: int) -> None:
    with Server(in_turn(Reply(status))) as server, pytest.raises(UnknownOutcomeError):
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))[call]()
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [404, 409, 423])
@pytest.mark.parametrize("call", [*WRITES, "delete_member"])
def test_status_with_the_services_own_code_is_a_refusal(call: str, status: int) -> None:
    reply = Reply(status, {"error_code": "BackupService.6711", "error_msg": "no"})
    with Server(in_turn(reply)) as server, pytest.raises(UnexpectedResponseError):
        calls(CbrClient(fixed_token(server.url), timing=FakeClock().timing))[call]()
    assert len(server.seen) == 1


# Throttling


def throttled_for(clock: FakeClock, seconds: float, headers: dict[str, str]) -> Callable[[Seen], Reply]:
    """Answer with 429 for so many seconds, then well."""

    def respond(seen: Seen) -> Reply:
        if clock.seconds < seconds:
            return Reply(429, b"", headers)
        return Reply(204) if seen.method == "DELETE" else GOOD

    return respond


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "12"}], ids=["backoff", "retry-after"])
@pytest.mark.parametrize("call", ["add_members", "update_member", "delete_member", "show_member"])
@pytest.mark.parametrize("retries", [0, 4])
def test_throttling_for_30_seconds_is_waited_out(retries: int, call: str, headers: dict[str, str]) -> None:
    clock = FakeClock()
    with Server(throttled_for(clock, 30, headers)) as server:
        calls(CbrClient(fixed_token(server.url, maxRetries=retries), timing=clock.timing))[call]()
    assert 30 <= clock.seconds < 60


@pytest.mark.parametrize("call", CALLS)
def test_throttling_ends_with_the_timeout(call: str) -> None:
    clock = FakeClock()
    with Server(in_turn(Reply(429, b""))) as server, pytest.raises(Throttled):
        calls(CbrClient(fixed_token(server.url, maxRetries=1, timeout=20), timing=clock.timing))[call]()
    assert clock.waits == [0.5, 1, 2, 4, 8]


def test_throttling_does_not_count_as_a_retry() -> None:
    replies = [Reply(503, b""), Reply(429, b""), Reply(429, b""), Reply(503, b""), GOOD]
    with Server(in_turn(*replies)) as server:
        client = CbrClient(fixed_token(server.url, maxRetries=2), timing=FakeClock().timing)
        calls(client)["show_member"]()
    assert len(server.seen) == 5


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_outage_is_announced_once_for_all_clients(caplog: pytest.LogCaptureFixture) -> None:
    clock, limits = FakeClock(), CallLimits()
    with Server(throttled_for(clock, 30, {"Retry-After": "5"})) as server:
        clients = [CbrClient(fixed_token(server.url), timing=clock.timing, limits=limits) for _ in range(2)]
        clients[0].show_member(BACKUP, OTHER)
        clock.seconds = 10
        clients[1].show_member(BACKUP, OTHER)
        assert len(warnings(caplog)) == 1
        server.respond = throttled_for(clock, 250, {"Retry-After": "50"})
        clock.seconds = 200
        clients[1].show_member(BACKUP, OTHER)
    assert len(warnings(caplog)) == 2


def test_slots_limit_the_calls_in_flight() -> None:
    limits = CallLimits(2)
    seconds = threading.Semaphore(0)
    lock, now, most = threading.Lock(), 0, 0

    def respond(seen: Seen) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        seconds.acquire(timeout=PATIENCE)
        with lock:
            now -= 1
        return GOOD

    with Server(respond) as server, ThreadPoolExecutor(6) as threads:
        clients = [CbrClient(fixed_token(server.url), limits=limits) for _ in range(2)]
        running = [threads.submit(clients[number % 2].show_member, BACKUP, OTHER) for number in range(6)]
        for _ in range(6):
            wait_until(lambda: now)
            seconds.release()
        assert all(call.result(PATIENCE) for call in running)
    assert most <= 2


def test_no_free_slot_in_time_sends_nothing() -> None:
    limits = CallLimits(1)
    limits.slots.acquire()
    with Server(in_turn(GOOD)) as server, pytest.raises(ServiceUnavailableError, match="timed out before it was sent"):
        CbrClient(fixed_token(server.url, timeout=0.05), limits=limits).show_member(BACKUP, OTHER)
    assert server.seen == []


def test_a_lost_post_was_sent_after_its_wait_for_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that somebody else creates during that wait is older than the request."""
    clock, limits = FakeClock(), CallLimits(1)

    def acquire(timeout: float) -> bool:
        clock.advance(30)
        return True

    monkeypatch.setattr(limits, "slots", SimpleNamespace(acquire=acquire, release=int))
    with Server(in_turn(Reply(raw=cut))) as server, pytest.raises(UnknownOutcomeError) as lost:
        CbrClient(fixed_token(server.url), timing=clock.timing, limits=limits).add_members(BACKUP, [OTHER])
    assert lost.value.sent_at == 30


# How long a call and a try may take


def seconds_of_tries(monkeypatch: pytest.MonkeyPatch, call: str, timing: Clock, **settings: object) -> list[float]:
    """Return the timeout of each attempt if none reaches the service."""
    given: list[float] = []

    def send(self: HTTPAdapter, request: Any, timeout: Timeout, **kwargs: Any) -> Any:
        given.append(float(str(timeout.total)))
        assert timeout.connect_timeout == min(10.0, given[-1])
        raise ConnectTimeout("no")

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(CbrError):
        calls(CbrClient(fixed_token("https://cbr.example.com", **settings), timing=timing))[call]()
    return given


def test_a_try_that_may_be_repeated_has_half_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_of_tries(monkeypatch, "show_backup", FakeClock().timing, timeout=21, maxRetries=2) == [
        10.5,
        10.25,
        9.75,
    ]
    assert seconds_of_tries(monkeypatch, "add_members", FakeClock().timing, timeout=21, maxRetries=1) == [21, 20.5]


@pytest.mark.parametrize("call", ["show_backup", "add_members"])
def test_no_try_is_longer_than_half_a_minute(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_of_tries(monkeypatch, call, FakeClock().timing, timeout=1000, maxRetries=1) == [30, 30]


def test_a_call_has_no_more_time_than_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    timing = replace(FakeClock().timing, time_left=lambda: 2.0)
    assert seconds_of_tries(monkeypatch, "show_backup", timing) == [1, 0.75, 0.25]


# The whole call is bounded, with real sockets and real time


@pytest.mark.parametrize(
    ("call", "kind"), [("show_backup", ServiceUnavailableError), ("add_members", UnknownOutcomeError)]
)
def test_no_answer_within_the_timeout(call: str, kind: type[CbrError]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clock = Clock().monotonic
        started = clock()
        client = CbrClient(fixed_token(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=2))
        with pytest.raises(kind, match=r"no response from 127.0.0.1:\d+ in time"):
            calls(client)[call]()
        # A try without a bound has half a minute.
        assert clock() - started < 25


#: How an answer begins, and what comes then without end.
TRICKLES = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "body of a connection that ends": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" "),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "size of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header": (b"HTTP/1.1 200 OK\r\nX-", b"y"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("trickling", TRICKLES)
@pytest.mark.parametrize(
    ("call", "kind"), [("show_backup", ServiceUnavailableError), ("update_member", UnknownOutcomeError)]
)
def test_an_answer_that_trickles_in_ends_with_the_timeout(trickling: str, call: str, kind: type[CbrError]) -> None:
    with Server(in_turn(trickle(*TRICKLES[trickling]))) as server, pytest.raises(kind, match="in time"):
        calls(CbrClient(fixed_token(server.url, timeout=4, maxRetries=0), timing=ticking()))[call]()


def test_a_body_without_end_is_not_kept() -> None:
    def pour(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(400):
            out.write(b" " * 2**16)

    with (
        Server(in_turn(Reply(raw=pour))) as server,
        pytest.raises(ServiceUnavailableError, match="larger than any of the service's"),
    ):
        CbrClient(fixed_token(server.url, maxRetries=0), timing=FakeClock().timing).show_backup(BACKUP)


# The log


def test_long_waits_are_told_as_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pulumi_cbr")
    waits(Reply(503, b""), maxRetries=4)
    told = [
        (record.levelname, record.getMessage()) for record in caplog.records if "Trying again" in record.getMessage()
    ]
    assert [level for level, _ in told] == ["DEBUG", "DEBUG", "DEBUG", "WARNING"]
    assert told[-1][1].endswith("Trying again in 4.0 s. Further waits are not shown")
    assert f"showing backup {BACKUP}" in told[-1][1]


def test_a_line_a_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pulumi_cbr")
    with Server(in_turn(Reply(204, b"", {"X-Request-Id": "r-1"}), None)) as server:
        client = CbrClient(fixed_token(server.url, maxRetries=0), timing=FakeClock().timing)
        calls(client)["delete_member"]()
        with pytest.raises(UnknownOutcomeError):
            calls(client)["delete_member"]()
    lines = [record.getMessage() for record in caplog.records if record.name == "pulumi_cbr"]
    assert len(lines) == 2
    assert lines[0].startswith(f"DELETE {server.seen[0].path}: 204 in ")
    assert lines[0].endswith("ms (request r-1)")
    assert lines[1] == f"DELETE {server.seen[0].path}: ConnectionError"
