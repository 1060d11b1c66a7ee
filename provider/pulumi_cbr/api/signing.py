"""Requests signed with an access key: the scheme SDK-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

_ALGORITHM = "SDK-HMAC-SHA256"


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class AccessKeyAuth(AuthBase):
    """Sign each request with an access key, as a `requests` auth object.

    Its repr shows neither key.

    `security_token` belongs to temporary keys. `project_id` goes into the header ``X-Project-Id``.
    """

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        *,
        project_id: str | None = None,
        security_token: str | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._project_id = project_id
        self._security_token = security_token
        self._now = now

    def __repr__(self) -> str:
        return "AccessKeyAuth(...)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("access keys are not pickled")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers that sign the request."""
        parts = urlsplit(request.url or "")
        request.headers["Host"] = parts.netloc.rpartition("@")[2]
        request.headers["X-Sdk-Date"] = self._now().strftime("%Y%m%dT%H%M%SZ")
        if self._project_id:
            request.headers["X-Project-Id"] = self._project_id
        if self._security_token:
            request.headers["X-Security-Token"] = self._security_token
        request.headers.pop("Authorization", None)
        signed = {name.lower(): _text(value) for name, value in request.headers.items() if _is_signed(name)}
        names = ";".join(sorted(signed))
        canonical = "\n".join(
            (
                str(request.method),
                _canonical_path(parts.path),
                _canonical_query(parts.query),
                "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
                names,
                hashlib.sha256(_body(request)).hexdigest(),
            )
        )
        text = "\n".join((_ALGORITHM, signed["x-sdk-date"], hashlib.sha256(canonical.encode()).hexdigest()))
        signature = hmac.new(self._secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
        request.headers["Authorization"] = (
            f"{_ALGORITHM} Access={self._access_key}, SignedHeaders={names}, Signature={signature}"
        )
        return request


def _is_signed(name: str) -> bool:
    """Return whether a header is signed: not one that a proxy or the connection may change."""
    lower = name.lower()
    return lower in ("host", "content-type") or (lower.startswith("x-") and "_" not in lower)


def _text(value: str | bytes) -> str:
    return (value.decode() if isinstance(value, bytes) else value).strip()


def _canonical_path(path: str) -> str:
    encoded = "/".join(quote(segment, safe="~") for segment in unquote(path or "/").split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


def _body(request: PreparedRequest) -> bytes:
    body = request.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)
