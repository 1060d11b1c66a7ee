"""A SOCKS proxy, with PySocks: a server that speaks as much of RFC 1928 and RFC 1929 as a client needs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import ServiceUnavailableError
from pulumi_cbr.api.settings import load
from unit.api.kit import BACKUP, BACKUP_OBJECT, OWN, TOKEN, Reply, Seen, Server

PASSWORD = "p@ss:w/rd"


class SocksProxy:
    """A proxy that connects any host to one port of loopback, with the right password."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, str]] = []
        self._port = port
        self._open = ExitStack()
        self._listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._open.enter_context(self._listener.accept()[0])
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # A client that goes away leaves too little to read.
        with suppress(OSError, ValueError, IndexError), client.makefile("rb") as read:
            read.read(read.read(2)[1])
            client.sendall(b"\x05\x02")
            user, password = (read.read(read.read(size)[-1]).decode() for size in (2, 1))
            client.sendall(b"\x01\x00" if password == PASSWORD else b"\x01\x01")
            *_, kind = read.read(4)
            host = read.read(read.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(read.read(4))
            read.read(2)
            self.asked.append((user, host))
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            server = self._open.enter_context(socket.create_connection(("127.0.0.1", self._port)))
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            while data := read.read1():
                server.sendall(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def respond(seen: Seen) -> Reply:
    return Reply(200, {"backup": BACKUP_OBJECT})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(respond) as running:
        yield running


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[SocksProxy]:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = SocksProxy(urlsplit(server.url).port or 0)
    monkeypatch.setenv("HTTP_PROXY", f"socks5h://user:p%40ss%3Aw%2Frd@{running.address}")
    yield running
    running.close()


def client() -> CbrClient:
    # Only the proxy could resolve this name.
    given = {"endpoint": "http://cbr.invalid", "token": TOKEN, "projectId": OWN, "insecure": True, "maxRetries": 0}
    return CbrClient(load(given.get))


def test_calls_go_through_a_socks_proxy(server: Server, proxy: SocksProxy) -> None:
    through = client()
    assert [through.show_backup(BACKUP).id for _ in range(3)] == [BACKUP] * 3
    assert proxy.asked == [("user", "cbr.invalid")], "one connection for all calls"
    assert server.connections == 1


def test_socks_proxy_that_is_gone_is_no_unknown_result(proxy: SocksProxy) -> None:
    proxy.close()
    with pytest.raises(ServiceUnavailableError) as refused:
        client().add_members(BACKUP, ["fedcba9876543210fedcba9876543210"])
    assert PASSWORD not in str(refused.value)


def test_socks_proxy_with_another_password_is_not_used(proxy: SocksProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"socks5h://user:s3cret-w0rd@{proxy.address}")
    with pytest.raises(ServiceUnavailableError) as refused:
        client().add_members(BACKUP, ["fedcba9876543210fedcba9876543210"])
    assert "s3cret-w0rd" not in str(refused.value)
