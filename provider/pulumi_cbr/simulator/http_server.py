"""A small HTTP/1.1 server on loopback whose responses can be cut short, withheld or reset.

It reads each request whole, body included, so that the next one on the connection starts where it should.
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

__all__ = ["Disconnect", "HttpRequest", "HttpResponse", "HttpServer"]

_MAX_BYTES = 1_000_000
#: SO_LINGER on, zero seconds: closing sends RST in place of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class HttpRequest:
    """A request as it was sent; ``target`` is the path and the query."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """Return the value of a header, empty if it is missing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class HttpResponse:
    """A response.

    ``missing`` bytes of the announced length are never sent, and the connection ends. The statuses in ``interim`` are
    sent before it, each as a response of its own.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    missing: int = 0
    interim: tuple[int, ...] = ()


@dataclass(frozen=True)
class Disconnect:
    """No response: the connection is reset, or is closed after so many seconds."""

    reset: bool = True
    after: float = 0.0


class HttpServer(ThreadingHTTPServer):
    """A server on loopback that runs from its creation to `stop`.

    ``respond`` is called for each request, from a thread for each connection.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, respond: Callable[[HttpRequest], HttpResponse | Disconnect]) -> None:
        self.respond = respond
        self._open: dict[socket.socket, threading.Thread] = {}
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="cbr-simulator", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Close the port and all connections."""
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
        # The base class looks up the name of this machine, which can take seconds and is not needed.
        TCPServer.server_bind(self)
        self.server_name: str = "127.0.0.1"
        self.server_port: int = self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        # Recorded before its thread runs, or `stop` could miss it.
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
        """Print nothing for a client that closed its connection."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "api-gateway"
    sys_version = ""
    # Headers and body are sent together and at once.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HttpServer

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def handle_expect_100(self) -> bool:
        is_expected = super().handle_expect_100()
        self.wfile.flush()
        return is_expected

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            self.close_connection = True
            self._write(HttpResponse(413, [("Content-Type", "text/plain")], b"Request Entity Too Large"))
            return
        response = self.server.respond(HttpRequest(self.command, self.path, list(self.headers.items()), body))
        if isinstance(response, Disconnect):
            self.close_connection = True
            if response.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            else:
                self._hold(time.monotonic() + response.after)
            return
        self._write(response)

    def _hold(self, until: float) -> None:
        """Read without a response until the time, or until the connection is closed."""
        while (left := until - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.connection.recv(65536):
                return

    def _read_body(self) -> bytes | None:
        """Return the body, None if it is too long or its length cannot be read."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > _MAX_BYTES:
            return None
        return self._read(int(length))

    def _read_chunks(self) -> bytes | None:
        body = b""
        while True:
            try:
                size = int(self.rfile.readline(100).split(b";")[0], 16)
            except ValueError:
                return None
            if not 0 <= size <= _MAX_BYTES - len(body):
                return None
            if size == 0:
                while self.rfile.readline(1000).strip():
                    pass  # trailers end with an empty line
                return body
            body += self._read(size)
            self.rfile.readline(100)

    def _read(self, size: int) -> bytes:
        """Read so many bytes. Raises ConnectionError if the client sends fewer."""
        read = self.rfile.read(size)
        if len(read) < size:
            raise ConnectionError("the request ends within its body")
        return read

    def _write(self, response: HttpResponse) -> None:
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        if response.missing:
            self.close_connection = True
        for status in response.interim:
            self._send_status(status)
            self.end_headers()
            self.wfile.flush()
        self._send_status(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body) + response.missing))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless:
            self.wfile.write(response.body)
        self.wfile.flush()

    def _send_status(self, status: int) -> None:
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
        self.send_response_only(status, phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the simulator records its calls itself."""
