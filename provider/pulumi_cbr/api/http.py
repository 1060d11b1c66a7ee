"""Sessions of `requests` with a deadline for each exchange, which refuse responses that may be another request's."""

from __future__ import annotations

import http.client
import io
import logging
import re
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import wait_for_read

from pulumi_cbr import messages
from pulumi_cbr.api.endpoints import is_loopback
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.api.text import one_line

_CONNECT_SECONDS = 10.0
#: Bytes of a whole response as it comes, and of its body without compression. A page of 100 backups has less than 1 MiB.
_MAX_RESPONSE = 8 * 2**20
_CHUNK = 64 * 2**10

_log = logging.getLogger("pulumi_cbr")


class UncleanExchangeError(http.client.HTTPException):
    """A response that may not belong to its request, or whose end is not certain."""


class EarlyDataError(Exception):
    """The server sent something before there was a request, and none was sent."""


class Session(requests.Session):
    """A session for one call at a time, with one connection to a host at most.

    A `timeout` bounds a whole exchange. The body of a response has been read when a call returns. Cookies are not kept, and
    redirects are for the caller to refuse. Plain http to another machine is a `SettingsError`, unless `insecure`.
    """

    auth: Any

    def __init__(self, timing: Clock, *, insecure: bool) -> None:
        super().__init__()
        self.auth = _no_auth
        self.headers["User-Agent"] = _user_agent()
        # Nothing else is decoded, and some installations of requests would ask for more.
        self.headers["Accept-Encoding"] = "gzip, deflate"
        self._exchange = _Exchange(timing.monotonic)
        adapter = _DeadlineAdapter(timing, self._exchange, insecure)
        for scheme in ("https://", "http://"):
            self.mount(scheme, adapter)

    @property
    def was_sent(self) -> bool:
        """Whether a byte of the last request may have left this machine."""
        return self._exchange.was_sent


@cache
def _user_agent() -> str:
    # Cached: to find the version takes longer than the rest of a session.
    return f"pulumi-cbr/{version('pulumi-cbr')} requests/{requests.__version__}"


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # As the session's `auth` it keeps requests from looking for credentials in ~/.netrc.
    return request


class _Exchange:
    """The state of a session's exchange: what was sent, and what came too much."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.was_sent = False
        #: Whether bytes came after the end of the response.
        self.has_leftover = False

    def start(self) -> None:
        self.was_sent = self.has_leftover = False


class _DeadlineReader(io.RawIOBase):
    """A reader of one response from a socket, with a deadline and a maximum size."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, clock: Callable[[], float]) -> None:
        self._raw, self._sock, self._clock = raw, sock, clock
        self._end = clock() + (sock.gettimeout() or 0.0)
        self._left = _MAX_RESPONSE
        self.stopped = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.stopped:
            return 0
        remaining = self._end - self._clock()
        if remaining <= 0:
            raise TimeoutError("the response came too slowly")
        self._sock.settimeout(remaining)
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise UncleanExchangeError("the response is larger than any of the service's")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BufferedReader(io.BufferedReader):
    """A buffer that refuses a head that is cut off, and notes whether bytes follow a response."""

    def __init__(self, reader: _DeadlineReader, sock: socket.socket, exchange: _Exchange) -> None:
        super().__init__(reader)
        self._reader, self._sock, self._exchange = reader, sock, exchange
        self._is_started = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        # For http.client, the end of the connection ends the head too. It raises its own error for an empty response.
        if not line.endswith(b"\n") and (line or self._is_started):
            raise UncleanExchangeError("the response is cut off")
        self._is_started = True
        return line

    def close(self) -> None:
        if not self.closed:
            # `peek` must show what is buffered, and not wait for more.
            self._reader.stopped = True
            pending = getattr(self._sock, "pending", None)
            if self.peek(1) or (pending and pending()):
                self._exchange.has_leftover = True
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose head, framing and end are checked, and that skips interim responses."""

    def __init__(self, exchange: _Exchange, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = _BufferedReader(_DeadlineReader(self.fp.detach(), sock, exchange.clock), sock, exchange)

    def _read_status(self) -> tuple[str, int, str]:
        # http.client skips 100 alone. All others but 101 (another protocol) are interim responses too.
        status_line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        http_version, status, reason = status_line
        return http_version, 100 if 100 <= status < 200 and status != 101 else status, reason

    def begin(self) -> None:
        super().begin()
        problem = _framing_problem(self.headers, self.version)
        if problem:
            raise UncleanExchangeError(problem)
        if self.status == 101:
            self.will_close = True


def _framing_problem(headers: http.client.HTTPMessage, http_version: int) -> str | None:
    """Return why the end of a response is not certain, or None."""
    kinds = {type(defect).__name__ for defect in headers.defects}
    # A body of type multipart is read elsewhere.
    if kinds - {"StartBoundaryNotFoundDefect", "MultipartInvariantViolationDefect"} or headers.get_payload():
        return "malformed header"
    lengths = headers.get_all("Content-Length") or []
    encodings = [text.strip().lower() for text in headers.get_all("Transfer-Encoding") or []]
    if encodings and (encodings != ["chunked"] or lengths or http_version != 11):
        return "contradicting Transfer-Encoding"
    if len({text.strip() for text in lengths}) > 1:
        return "several Content-Lengths"
    if any(not re.fullmatch("[0-9]{1,15}", text.strip(" \t")) for text in lengths):
        return "malformed Content-Length"
    return None


class _Tracked(HTTPConnection):
    """A connection that records the state of its exchange."""

    exchange: _Exchange

    def response_class(self, sock: socket.socket, *args: Any, **kwargs: Any) -> _Response:  # type: ignore[override]
        return _Response(self.exchange, sock, *args, **kwargs)

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            # What went to a proxy to open a tunnel is not the request.
            self.exchange.start()

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        if isinstance(self.sock, socket.socket) and _has_early_data(self.sock):
            self.close()
            raise EarlyDataError("the server sent something before the request")
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.exchange.was_sent = True
        super().send(data)


def _has_early_data(sock: socket.socket) -> bool:
    if not wait_for_read(sock, 0):
        return False
    if not isinstance(sock, ssl.SSLSocket):
        return True
    # What can be read may be no more than a session ticket.
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return False
    finally:
        sock.settimeout(timeout)
    return True


def _deadline_pools(
    exchange: _Exchange, plain: type[HTTPConnection] = HTTPConnection, secure: type[HTTPConnection] = HTTPSConnection
) -> dict[str, type[HTTPConnectionPool]]:
    """Return classes of connection pools that record the state of `exchange`."""

    class Plain(_Tracked, plain):  # type: ignore[misc, valid-type]
        pass

    class Secure(_Tracked, secure):  # type: ignore[misc, valid-type]
        pass

    Plain.exchange = Secure.exchange = exchange

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _DeadlineAdapter(HTTPAdapter):
    """An adapter that reads each response within `timeout` seconds, and logs the outcome.

    By itself `requests` bounds only the time between two bytes.
    """

    def __init__(self, timing: Clock, exchange: _Exchange, insecure: bool) -> None:
        self._timing = timing
        self._exchange = exchange
        self._insecure = insecure
        self._pools = _deadline_pools(exchange)
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = self._pools
        else:
            # PySocks is installed, or requests would have raised an error.
            from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

            manager.pool_classes_by_scheme = _deadline_pools(self._exchange, SOCKSConnection, SOCKSHTTPSConnection)
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if not isinstance(timeout, float):
            raise TypeError("each request says in seconds how long it may take")
        self._exchange.start()
        parts = urlsplit(request.url or "")
        # The settings' own URLs have been checked, but an entry of clouds.yaml may have others.
        host = parts.hostname or ""
        if parts.scheme == "http" and not self._insecure and not is_loopback(host):
            raise SettingsError(messages.plain_http(f"http://{host}{parts.path}", host))
        started = self._timing.monotonic()
        call = f"{request.method} {parts.path}"
        try:
            response = super().send(
                request,
                stream=True,
                # requests takes urllib3's own form too, which has a total.
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout), total=timeout),  # type: ignore[arg-type]
                verify=verify,
                cert=cert,
                proxies=proxies,
            )
            response.raw = io.BytesIO(self._body(response.raw))
            # Nobody follows it, and requests would stumble over one that is no URL.
            response.headers.pop("Location", None)
        except Exception as error:
            _log.debug("%s: %s", call, type(error).__name__)
            raise
        if _log.isEnabledFor(logging.DEBUG):
            milliseconds = (self._timing.monotonic() - started) * 1000
            request_id = Redactor(_credentials(request)).redact(response.headers.get("X-Request-Id", "-"))
            _log.debug("%s", messages.call(call, response.status_code, milliseconds, one_line(request_id, 80)))
        return response

    def _body(self, raw: urllib3.HTTPResponse) -> bytes:
        """Read a body to its end, and close the connection unless the exchange was clean."""
        connection = getattr(raw, "connection", None)
        try:
            content = b"".join(raw.stream(_CHUNK, decode_content=False))
            # The end of the body has closed the buffer, which has noted whether bytes follow.
            raw.release_conn()
            if self._exchange.has_leftover:
                raise UncleanExchangeError("more bytes than the response has")
            return _decode(content, raw.headers.get("Content-Encoding", ""))
        except BaseException:
            raw.close()
            if connection is not None:
                connection.close()
            raise


def _decode(content: bytes, encoding: str) -> bytes:
    """Decode a compressed body, up to the size that a response may have."""
    encoding = encoding.strip().lower()
    if not content or encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UncleanExchangeError("the response has an encoding that nobody asked for")
    # Some servers send deflate without zlib's header.
    raw_deflate = encoding == "deflate" and content[0] & 0x0F != 8
    decoder = zlib.decompressobj(-zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS | 32)
    try:
        decoded = decoder.decompress(content, _MAX_RESPONSE)
    except zlib.error as error:
        raise UncleanExchangeError("the response's compression is broken") from error
    if not decoder.eof or decoder.unused_data:
        raise UncleanExchangeError("the response's compression is broken, or it is larger than any of the service's")
    return decoded


def _credentials(request: requests.PreparedRequest) -> list[str]:
    """Return the credentials among a request's headers."""
    return [text for name, text in request.headers.items() if name in ("X-Auth-Token", "X-Security-Token")]
