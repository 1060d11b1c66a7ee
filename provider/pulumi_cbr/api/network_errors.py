"""Derive from errors of `requests`, urllib3 and sockets whether a request was sent."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_exceptions

from pulumi_cbr import messages
from pulumi_cbr.api.http import EarlyDataError
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.text import one_line

_NOT_CONNECTED = (urllib3_exceptions.NewConnectionError, urllib3_exceptions.ConnectTimeoutError)


class RequestNotSent(Exception):
    """No byte of the request left this machine.

    `is_retryable` tells whether another attempt may help.
    """

    def __init__(self, why: str, *, is_retryable: bool) -> None:
        super().__init__(why)
        self.is_retryable = is_retryable


class ResponseLost(Exception):
    """The request may have been sent, and no complete response came back."""

    is_retryable = True


def is_network_error(error: BaseException) -> bool:
    """Return whether an error comes from a connection or from making one."""
    kinds = (requests.RequestException, urllib3_exceptions.HTTPError, OSError)
    return any(isinstance(cause, kinds) for cause in [error, *_causes(error)])


def classify_network_error(
    error: BaseException,
    url: str,
    redactor: Redactor,
    *,
    where_to_set: str,
    certificates: str,
    was_sent: bool | None = None,
) -> RequestNotSent | ResponseLost:
    """Return what became of a request to `url`, by what `requests` or keystoneauth1 raised.

    `where_to_set` and `certificates` are where the user gives them. `was_sent` says whether a byte may have been sent, if that is known.
    """
    causes = [error, *_causes(error)]
    host = urlsplit(url).netloc
    words = _words(causes, redactor)
    if was_sent:
        timed_out = _has(causes, TimeoutError, requests.exceptions.ReadTimeout, urllib3_exceptions.ReadTimeoutError)
        return ResponseLost(messages.response_timed_out(host) if timed_out else messages.connection_broke(host, words))
    not_sent = _not_sent(causes, host, words, where_to_set, certificates)
    if not_sent:
        return not_sent
    if was_sent is None:
        if _has(causes, requests.exceptions.ReadTimeout, urllib3_exceptions.ReadTimeoutError):
            return ResponseLost(messages.response_timed_out(host))
        if not isinstance(error, ValueError) or isinstance(error, requests.exceptions.JSONDecodeError):
            return ResponseLost(messages.connection_broke(host, words))
    if isinstance(error, ValueError):
        # InvalidURL, InvalidHeader, UnicodeError and their like, which requests raises.
        return RequestNotSent(messages.request_not_possible(host, words), is_retryable=False)
    return RequestNotSent(messages.connection_broke(host, words), is_retryable=True)


def _not_sent(
    causes: list[BaseException], host: str, words: str, where_to_set: str, certificates: str
) -> RequestNotSent | None:
    """Return the failure, if its kind is one that comes before the request is sent."""
    return (
        _proxy_failure(causes, host, words)
        or _tls_failure(causes, host, certificates, words)
        or _no_connection(causes, host, words, where_to_set)
    )


def _proxy_failure(causes: list[BaseException], host: str, words: str) -> RequestNotSent | None:
    if any("Missing dependencies for SOCKS" in str(cause) for cause in causes):
        return RequestNotSent(messages.socks_package_missing(host), is_retryable=False)
    # urllib3 raises ProxyError too if the connection closes after the request was sent.
    closed = _has(causes, ConnectionError) and not _has(causes, *_NOT_CONNECTED)
    if closed or not _has(causes, requests.exceptions.ProxyError, urllib3_exceptions.ProxyError):
        return None
    if any(str(cause).startswith("Tunnel connection failed: 407 ") for cause in causes):
        return RequestNotSent(messages.proxy_denied(host), is_retryable=False)
    return RequestNotSent(messages.proxy_unreachable(host, words), is_retryable=True)


def _tls_failure(causes: list[BaseException], host: str, certificates: str, words: str) -> RequestNotSent | None:
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted:
        reason = getattr(untrusted, "verify_message", "") or "unknown reason"
        return RequestNotSent(messages.certificate_not_trusted(host, reason, certificates), is_retryable=False)
    if any("TLS CA certificate bundle" in str(cause) for cause in causes):
        return RequestNotSent(messages.ca_bundle_missing(words, certificates), is_retryable=False)
    return None


def _no_connection(causes: list[BaseException], host: str, words: str, where_to_set: str) -> RequestNotSent | None:
    if _has(causes, urllib3_exceptions.NameResolutionError):
        return RequestNotSent(messages.host_not_found(host, words, where_to_set), is_retryable=True)
    if _has(causes, *_NOT_CONNECTED, requests.exceptions.ConnectTimeout):
        return RequestNotSent(messages.not_connected(host, words, where_to_set), is_retryable=True)
    if _has(causes, requests.exceptions.InvalidURL, urllib3_exceptions.LocationParseError):
        # Without its words, which may have the proxy's password.
        return RequestNotSent(messages.malformed_url(host, where_to_set), is_retryable=False)
    if _has(causes, EarlyDataError):
        return RequestNotSent(messages.connection_broke(host, words), is_retryable=True)
    return None


def _has(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the causes of an error, among its arguments and `reason` too."""
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


def _words(causes: list[BaseException], redactor: Redactor) -> str:
    """Return the innermost cause's own words, which say most, in one short line."""
    cause = next((cause for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), causes[-1])
    # A proxy's URL may have a password.
    words = re.sub(r"//.*@", "//***@", getattr(cause, "strerror", None) or str(cause), flags=re.DOTALL)
    return one_line(redactor.redact(words), 120).rstrip(".") or type(cause).__name__
