"""A small HTTP/1.1 server for an application whose answers can also be cut short, withheld or torn off.

The request comes in whole (body included, so that a kept connection stays in step), the application answers with an
`Answer` or a `Drop`, and that is written as told. Loopback only.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

__all__ = ["Answer", "Drop", "Listener", "Request"]

_MOST_BYTES = 1_000_000
#: SO_LINGER on, zero seconds: closing sends RST in place of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """One request as it was sent; ``target`` is path and query."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """Give a header's value, empty if it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class Answer:
    """What is sent back; ``missing`` bytes of the promised length never come, and the connection ends."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    missing: int = 0


@dataclass(frozen=True)
class Drop:
    """No answer: the connection ends with a reset, or in silence after it was `held` for so many seconds."""

    reset: bool = True
    held: float = 0.0


class Listener(ThreadingHTTPServer):
    """Serves ``respond`` on loopback from the moment it is made; `stop` ends it and every connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, respond: Callable[[Request], Answer | Drop]) -> None:
        self.respond = respond
        self._open: dict[socket.socket, threading.Thread] = {}
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="cbr-simulator", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Take no more connections and end those there are."""
        self.shutdown()
        self.server_close()
        with self._open_lock:
            connections = dict(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join(5)
        self._thread.join(5)

    def server_bind(self) -> None:
        # The base class asks the name service for this machine's name, which can take seconds, and nobody reads it.
        TCPServer.server_bind(self)
        self.server_name: str = "127.0.0.1"
        self.server_port: int = self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        # Known before its thread runs, so that `stop` overlooks none.
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._open_lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.pop(request, None)
        # An orderly shutdown would send FIN before the reset.
        if request.fileno() != -1 and request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _NO_LINGER:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away: that is no error of the server's."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "api-gateway"
    sys_version = ""
    # Headers and body leave in one piece, and at once.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Listener

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def handle_expect_100(self) -> bool:
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            self.close_connection = True
            self._write(Answer(413, [("Content-Type", "text/plain")], b"Request Entity Too Large"))
            return
        answer = self.server.respond(Request(self.command, self.path, list(self.headers.items()), body))
        if isinstance(answer, Drop):
            self.close_connection = True
            if answer.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            else:
                self._hold(time.monotonic() + answer.held)
            return
        self._write(answer)

    def _hold(self, until: float) -> None:
        """Read what comes, and answer nothing, until the time or until the client hangs up or `stop` ends it."""
        while (left := until - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.connection.recv(65536):
                return

    def _read_body(self) -> bytes | None:
        """Give the whole body; None for one that is too long or whose length cannot be told."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > _MOST_BYTES:
            return None
        return self._read(int(length))

    def _read_chunks(self) -> bytes | None:
        body = b""
        while True:
            try:
                size = int(self.rfile.readline(100).split(b";")[0], 16)
            except ValueError:
                return None
            if not 0 <= size <= _MOST_BYTES - len(body):
                return None
            if size == 0:
                while self.rfile.readline(1000).strip():
                    pass  # trailers, to the empty line
                return body
            body += self._read(size)
            self.rfile.readline(100)

    def _read(self, size: int) -> bytes:
        """Read so many bytes. Raises ConnectionError where the client ends before: half a request is not carried out."""
        read = self.rfile.read(size)
        if len(read) < size:
            raise ConnectionError("the request ends within its body")
        return read

    def _write(self, answer: Answer) -> None:
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if answer.missing:
            self.close_connection = True
        phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "Unknown"
        self.send_response_only(answer.status, phrase)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless:
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the simulator keeps its own record of calls."""
