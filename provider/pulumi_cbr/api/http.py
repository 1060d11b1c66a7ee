"""Sessions of `requests` that keep to a time, and what their failures mean: for the transport and for signing in."""

from __future__ import annotations

import html
import http.client
import io
import json
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as urllib3_exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from pulumi_cbr import messages
from pulumi_cbr.api.errors import SettingsError, one_line
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.api.settings import SETTINGS, is_loopback, plain_http

_CONNECT_SECONDS = 10.0
_LARGEST_BODY = 16 * 2**20
_CHUNK = 64 * 2**10

PROXY_ADVICE = "Set HTTPS_PROXY or HTTP_PROXY to http://user:password@host:port, or NO_PROXY for this host"

#: What identity services say whatever the password is: one that has such a word does not spoil it.
_SAID_TO_EVERYBODY = (
    "The username or password is wrong.",
    "The request you have made requires authentication.",
)

_log = logging.getLogger("pulumi_cbr")


class RequestNotSent(Exception):
    """The request did not leave this machine. `again` tells whether another try may help."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class ResponseLost(Exception):
    """The request may have been sent, and no whole answer came back."""

    again = True


def new_session(timing: Clock, *, insecure: bool) -> requests.Session:
    """Make a session for one thread: at most one connection to a host, and a `timeout` that bounds a whole exchange.

    The answer's body has been read when a call returns. Cookies are not kept, and redirects are for the caller to refuse.
    Plain http to another machine is a `SettingsError`, unless `insecure`.
    """
    session = _Session()
    session.auth = _nothing_added
    session.headers["User-Agent"] = f"pulumi-cbr/{version('pulumi-cbr')} requests/{requests.__version__}"
    adapter = _TimedAdapter(timing, insecure)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


class _Session(requests.Session):
    """Look up once a host which proxy and which certificates the environment asks for: a fifth of a call's own time."""

    def __init__(self) -> None:
        super().__init__()
        self._asked_for: dict[object, Any] = {}

    def merge_environment_settings(
        self, url: str | bytes | None, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        # The rest is the same for all requests of a session.
        host = urlsplit(url).netloc, verify
        if host not in self._asked_for:
            self._asked_for[host] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return self._asked_for[host]


def _nothing_added(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # As the session's `auth` it keeps requests from looking for credentials in ~/.netrc.
    return request


class _Until(io.RawIOBase):
    """Read from a socket until a time, however little comes at once."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, clock: Callable[[], float], until: float) -> None:
        self._raw, self._sock, self._clock, self._until = raw, sock, clock, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError("the answer came too slowly")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pools(clock: Callable[[], float]) -> dict[str, type[HTTPConnectionPool]]:
    """Make kinds of connections whose answers, head included, end with the seconds that their first byte has."""

    class ApiResponse(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            until = clock() + (sock.gettimeout() or 0.0)
            self.fp = io.BufferedReader(_Until(self.fp.detach(), sock, clock, until))

    class Plain(HTTPConnection):
        response_class = ApiResponse

    class Secure(HTTPSConnection):
        response_class = ApiResponse

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _TimedAdapter(HTTPAdapter):
    """Read each answer to its end within the seconds of `timeout`, and say on the log what became of the request.

    By itself `requests` bounds only the time between two bytes.
    """

    def __init__(self, timing: Clock, insecure: bool) -> None:
        self._timing = timing
        self._insecure = insecure
        self._pools = _pools(timing.clock)
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
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
        parts = urlsplit(request.url or "")
        # The settings' own URLs have been checked, but an entry of clouds.yaml may have others.
        host = parts.hostname or ""
        if parts.scheme == "http" and not self._insecure and not is_loopback(host):
            raise SettingsError(plain_http(f"http://{host}{parts.path}", host))
        started = self._timing.clock()
        what = f"{request.method} {parts.path}"
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
            response.raw = io.BytesIO(_body(response.raw))
            # Nobody follows it, and requests would stumble over one that is no URL.
            response.headers.pop("Location", None)
        except Exception as error:
            _log.debug("%s: %s", what, type(error).__name__)
            raise
        _log.debug(
            "%s: %d in %.0f ms (request %s)",
            what,
            response.status_code,
            (self._timing.clock() - started) * 1000,
            one_line(hidden(response.headers.get("X-Request-Id", "-"), _sent(request)), 80),
        )
        return response


def _sent(request: requests.PreparedRequest) -> list[str]:
    """Give the credentials among a request's headers."""
    return [text for name, text in request.headers.items() if name in ("X-Auth-Token", "X-Security-Token")]


def _body(raw: urllib3.HTTPResponse) -> bytes:
    content = bytearray()
    try:
        for chunk in raw.stream(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > _LARGEST_BODY:
                raise requests.ConnectionError("the answer is larger than any of the service's")
    except BaseException:
        raw.close()
        raise
    raw.release_conn()
    return bytes(content)


def failure(error: BaseException, url: str, setting: str, secrets: Iterable[str]) -> RequestNotSent | ResponseLost:
    """Tell what became of a request to `url` from what `requests` or keystoneauth1 raised; the most telling cause counts.

    `setting` is the one that gives the address. None of `secrets` is in the text.
    """
    host = urlsplit(url).netloc
    causes = [error, *_causes(error)]
    words = _words(causes, secrets)
    address = SETTINGS[setting].how_to_set()

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    not_connected = any_of(urllib3_exceptions.NewConnectionError, urllib3_exceptions.ConnectTimeoutError)
    # urllib3 lays it on the proxy, too, when a connection that was made and has sent the request is closed on it.
    closed = any_of(ConnectionError) and not not_connected
    if any_of(requests.exceptions.ProxyError, urllib3_exceptions.ProxyError) and not closed:
        denied = any(str(cause).startswith("Tunnel connection failed: 407 ") for cause in causes)
        why = "asks for a user and a password (HTTP 407)" if denied else f"cannot be reached ({words})"
        return RequestNotSent(f"the proxy on the way to {host} {why}. {PROXY_ADVICE}", again=not denied)
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted:
        why = getattr(untrusted, "verify_message", "") or "unknown reason"
        return RequestNotSent(
            f"the certificate of {host} is not trusted ({why}). Set the file of certificates by {SETTINGS['caCert'].how_to_set()}",
            again=False,
        )
    if any("TLS CA certificate bundle" in str(cause) for cause in causes):
        return RequestNotSent(
            f"{words}. Correct REQUESTS_CA_BUNDLE, or set the file of certificates by {SETTINGS['caCert'].how_to_set()}",
            again=False,
        )
    if any_of(urllib3_exceptions.NameResolutionError):
        return RequestNotSent(
            f"there is no host {host} ({words}). Check the region, or correct the address by {address}", again=True
        )
    if not_connected or any_of(requests.exceptions.ConnectTimeout):
        return RequestNotSent(
            f"no connection to {host} ({words}). Check the network and the proxy, or correct the address by {address}",
            again=True,
        )
    if any_of(requests.exceptions.ReadTimeout, urllib3_exceptions.ReadTimeoutError):
        return ResponseLost(f"no answer from {host} in time")
    if any_of(requests.exceptions.InvalidURL, urllib3_exceptions.LocationParseError):
        # Without its words, which may have the proxy's password.
        why = f"its URL or the proxy's is malformed. Check {address}, HTTPS_PROXY and HTTP_PROXY"
        return RequestNotSent(f"the request to {host} cannot be made: {why}", again=False)
    if any("Missing dependencies for SOCKS" in str(cause) for cause in causes):
        return RequestNotSent(messages.socks_package_missing(host), again=False)
    if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.JSONDecodeError):
        # InvalidURL, InvalidHeader, UnicodeError and their like: refused by requests before anything was sent.
        return RequestNotSent(f"the request to {host} cannot be made ({words}). Check the settings", again=False)
    return ResponseLost(f"the connection to {host} broke ({words})")


def is_network_error(error: BaseException) -> bool:
    """Tell whether an error comes from a connection, or something that keeps one."""
    kinds = (requests.RequestException, urllib3_exceptions.HTTPError, OSError)
    return any(isinstance(cause, kinds) for cause in [error, *_causes(error)])


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Give a text without these credentials, nor the forms that they have in JSON and HTML."""
    if text in _SAID_TO_EVERYBODY:
        return text
    forms = {form for secret in secrets for form in _forms(secret) if form}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _forms(secret: str) -> tuple[str, ...]:
    in_json = (json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False))
    return (secret, *in_json, html.escape(secret), html.escape(secret, quote=False))


def _causes(error: BaseException) -> list[BaseException]:
    """Give what lies below an error: requests and urllib3 put the cause among the arguments, or into `reason`."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < 20:
        current = waiting.pop()
        below = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        for cause in below:
            if isinstance(cause, BaseException) and not any(cause is other for other in (error, *found)):
                found.append(cause)
                waiting.append(cause)
    return found


def _words(causes: list[BaseException], secrets: Iterable[str]) -> str:
    """Give the innermost cause's own words, which say most, in one short line."""
    cause = next((cause for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), causes[-1])
    # A proxy's URL may have a password.
    words = re.sub(r"//.*@", "//***@", getattr(cause, "strerror", None) or str(cause), flags=re.DOTALL)
    return one_line(hidden(words, secrets), 120).rstrip(".") or type(cause).__name__
