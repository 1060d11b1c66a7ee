"""Verification of requests that are signed with an access key, as in the API gateway.

The scheme is ``SDK-HMAC-SHA256``. This module follows the public description of the algorithm and shares no code with
the client. The signed string is

    SDK-HMAC-SHA256 \\n <X-Sdk-Date> \\n <SHA-256 of the canonical request, in hex>

The canonical request has these lines: the method; the path, each segment percent-encoded, with a slash at the end; the
query, sorted and percent-encoded; each signed header as ``name:value``, sorted, and an empty line; the names of the
signed headers, joined by semicolons; the SHA-256 of the body in hex.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from urllib.parse import quote, unquote, unquote_plus

from pulumi_cbr.simulator.models import Account

__all__ = ["SCHEME", "SKEW", "SignatureRefused", "check_signature"]

SCHEME = "SDK-HMAC-SHA256"
#: By how many seconds the client's clock may differ.
SKEW = 15 * 60

_AUTHORIZATION = re.compile(
    r"SDK-HMAC-SHA256\s+Access=(?P<access>[^,\s]+)\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-fA-F]+)"
)
_DATE = "%Y%m%dT%H%M%SZ"


class SignatureRefused(Exception):
    """The signature is malformed, wrong or expired; the text is the gateway's message."""


def check_signature(
    accounts: Iterable[Account], method: str, raw_target: str, headers: Mapping[str, str], body: bytes, now: float
) -> Account:
    """Return the account whose key signed the request, or raise `SignatureRefused`.

    ``raw_target`` is the path and query as they were sent; ``headers`` has lower-case names; ``now`` is epoch seconds.
    """
    parts = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    if parts is None:
        raise SignatureRefused("Authorization format is wrong")
    date = headers.get("x-sdk-date", "")
    try:
        signed_at = datetime.strptime(date, _DATE).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise SignatureRefused("x-sdk-date is missing or malformed") from None
    if abs(signed_at - now) > SKEW:
        raise SignatureRefused(f"signature expired, signing time: {date}, server time: {_format_time(now)}")
    names = parts["headers"].lower().split(";")
    if names != sorted(names) or "x-sdk-date" not in names or "host" not in names or not set(names) <= set(headers):
        raise SignatureRefused(
            "SignedHeaders must name, sorted, headers of the request, host and x-sdk-date among them"
        )
    account, secret = _find_key(accounts, parts["access"], headers.get("x-security-token"))
    declared = headers.get("x-sdk-content-sha256") if body else None
    digest = hashlib.sha256(body).hexdigest()
    if declared not in (None, "UNSIGNED-PAYLOAD", digest):
        raise SignatureRefused("x-sdk-content-sha256 is not the body's")
    path, _, query = raw_target.partition("?")
    lines = [method.upper(), _canonical_path(path), _canonical_query(query)]
    lines += [f"{name}:{headers[name].strip()}" for name in names]
    lines += ["", ";".join(names), declared or digest]
    # The canonical headers end with a line break of their own, hence the empty line.
    canonical = "\n".join(lines)
    to_sign = f"{SCHEME}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    expected = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, parts["signature"].lower()):
        raise SignatureRefused("verify aksk signature fail")
    return account


def _find_key(accounts: Iterable[Account], access: str, security_token: str | None) -> tuple[Account, str]:
    for account in accounts:
        if access == account.access_key:
            return account, account.secret_key
        if access == account.temporary_access_key:
            if security_token != account.security_token:
                raise SignatureRefused("x-security-token is missing or wrong")
            return account, account.temporary_secret_key
    raise SignatureRefused(f"AK {access} not exist")


def _canonical_path(path: str) -> str:
    encoded = "/".join(quote(segment, safe="-_.~") for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    decoded = sorted((unquote_plus(name), unquote_plus(value)) for name, value in pairs)
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in decoded)


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(_DATE)
