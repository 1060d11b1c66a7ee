"""A client of the admin routes, and how it finds a simulator."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pulumi_cbr.simulator.registry import (
    NONCE_HEADER,
    PROOF_HEADER,
    Announcement,
    read_announcements,
    remove_announcement,
    sign_response,
)

__all__ = ["AdminClient", "AdminError", "find_simulator"]

#: Keys that only a simulator's status has.
_STATUS_KEYS = frozenset(("url", "owner", "receiver", "projects", "backups", "vaults"))
_MAX_BYTES = 100_000_000


class AdminError(Exception):
    """A command did not work; the text is the one line that says why."""


class _NobodyListens(AdminError):
    """Nothing listens at the URL."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """Follow no redirect: a simulator sends none."""


class AdminClient:
    """Sends requests to the admin routes of one simulator, never through a proxy.

    With a secret, each response must prove that the simulator of that secret sent it.
    """

    def __init__(self, url: str, secret: bytes | None = None, timeout: float = 10.0) -> None:
        self.url = url
        self._secret = secret
        self._timeout = timeout
        self._opener = build_opener(ProxyHandler({}), _NoRedirects())

    def read_status(self) -> dict[str, Any]:
        """Return what there is: accounts, backups with their members, projects and vaults."""
        status = self.send("GET", "")
        if not status.keys() >= _STATUS_KEYS:
            raise self._not_a_simulator()
        return status

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return the JSON object of the response. Raises `AdminError`."""
        nonce = secrets.token_hex(16)
        target = f"/_simulator{path}"
        try:
            headers = {"Content-Type": "application/json", NONCE_HEADER: nonce}
            data = None if body is None else json.dumps(body).encode()
            request = Request(self.url + target, data, headers, method=method)  # noqa: S310
            if request.type != "http":
                raise self._not_a_simulator()
            status, proof, text = self._exchange(request)
        except OSError as error:
            reason = getattr(error, "reason", error)
            kind = _NobodyListens if isinstance(reason, ConnectionRefusedError) else AdminError
            raise kind(f"no simulator answers at {self.url}: {reason}") from None
        except (HTTPException, ValueError):
            raise self._not_a_simulator() from None
        if self._secret is not None:
            expected = sign_response(self._secret, nonce, method, target, status, text)
            if not hmac.compare_digest(expected.encode(), proof.encode()):
                raise AdminError(f"another program than the announced simulator answers at {self.url}")
        return self._read(status, text)

    def _exchange(self, request: Request) -> tuple[int, str, bytes]:
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                text = response.read(_MAX_BYTES)
                return response.status, response.headers.get(PROOF_HEADER, ""), text
        except HTTPError as refused:
            with refused:
                text = refused.read(_MAX_BYTES)
                return refused.code, refused.headers.get(PROOF_HEADER, ""), text

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            document = json.loads(text) if text or status >= 400 else {}
        except (ValueError, RecursionError):
            raise self._not_a_simulator() from None
        if not isinstance(document, dict):
            raise self._not_a_simulator()
        if status < 400:
            return document
        code, message = document.get("error_code"), document.get("error_msg") or document.get("error")
        raise AdminError(f"{message} ({code})" if code else str(message)) if message else self._not_a_simulator()

    def _not_a_simulator(self) -> AdminError:
        return AdminError(f"not a simulator's URL: {self.url}")


def find_simulator(url: str | None = None, *, auth_url: str = "") -> AdminClient:
    """Return a client of the simulator at a URL, or of one that is announced.

    That is the one that `auth_url` signs in to, else the only one that answers. An announced simulator must prove its
    secret, also if its URL was given. Raises `AdminError`, also if several answer.
    """
    try:
        announced = read_announcements()
    except OSError as error:
        if url is None:
            raise AdminError(f"cannot look for simulators: {error}. Name one with --url") from None
        announced = []
    if url is not None:
        wanted = url.rstrip("/")
        secret = next((found.secret for found in announced if found.url == wanted), None)
        client = AdminClient(wanted, secret)
        client.read_status()
        return client
    return _choose(announced, auth_url)


def _choose(announced: Iterable[Announcement], auth_url: str) -> AdminClient:
    """Return a client of the simulator that `auth_url` signs in to, or of the only one."""
    answering: list[AdminClient] = []
    for found in sorted(announced, key=lambda found: not auth_url.startswith(f"{found.url}/")):
        if (client := _connect(found)) is None:
            continue
        if auth_url.startswith(f"{found.url}/"):
            return client
        answering.append(client)
    if not answering:
        raise AdminError(
            "no simulator runs; start one with 'python -m pulumi_cbr.simulator serve', or name it with --url"
        )
    if len(answering) > 1:
        urls = ", ".join(client.url for client in answering)
        raise AdminError(f"{len(answering)} simulators run: {urls}. Name one with --url")
    return answering[0]


def _connect(announcement: Announcement) -> AdminClient | None:
    """Return a client of an announced simulator, None if another program or nobody answers."""
    client = AdminClient(announcement.url, announcement.secret)
    try:
        client.read_status()
    except _NobodyListens:
        remove_announcement(announcement)
        return None
    except AdminError:
        return None
    return client
