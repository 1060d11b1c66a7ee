"""Signed requests: which signatures are accepted.

The signer is written here again, because each part of its result must be able to be wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone

import pytest

from pulumi_cbr.simulator.models import Account
from pulumi_cbr.simulator.signatures import SKEW, SignatureRefused, check_signature
from pulumi_cbr.simulator.state import State

NOW = 1_580_897_914.0
BODY = b'{"members": []}'
ACCOUNT = State().account("owner")


def signed(
    *,
    clock: float = NOW,
    names: str = "host;x-sdk-date",
    content: str | None = None,
    hashed: str | None = None,
    secret: str = ACCOUNT.secret_key,
) -> dict[str, str]:
    """Return the headers of ``POST /v3/x?a=b%20c`` with `BODY`."""
    date = datetime.fromtimestamp(clock, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": "127.0.0.1:80", "x-sdk-date": date}
    if content is not None:
        headers["x-sdk-content-sha256"] = content
    digest = hashed or content or hashlib.sha256(BODY).hexdigest()
    lines = ["POST", "/v3/x/", "a=b%20c", *(f"{name}:{headers[name]}" for name in names.split(";")), "", names, digest]
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    signature = hmac.new(secret.encode(), f"SDK-HMAC-SHA256\n{date}\n{canonical}".encode(), hashlib.sha256).hexdigest()
    access = f"Access={ACCOUNT.access_key}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"SDK-HMAC-SHA256 {access}"}


def check(headers: Mapping[str, str], body: bytes = BODY) -> Account:
    return check_signature([ACCOUNT], "POST", "/v3/x?a=b%20c", headers, body, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        signed(),
        signed(clock=NOW - SKEW),
        signed(clock=NOW + SKEW),
        signed(content=hashlib.sha256(BODY).hexdigest()),
        signed(content="UNSIGNED-PAYLOAD"),
    ],
)
def test_signature_right_is_accepted(headers: dict[str, str]) -> None:
    assert check(headers) == ACCOUNT


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        (signed(clock=NOW - SKEW - 60), "signature expired"),
        (signed(clock=NOW + SKEW + 60), "signature expired"),
        (signed(names="x-sdk-date"), "SignedHeaders must name"),
        (signed(names="host"), "SignedHeaders must name"),
        (signed(names="x-sdk-date;host"), "SignedHeaders must name"),
        (signed(content=hashlib.sha256(b"other").hexdigest()), "x-sdk-content-sha256 is not the body's"),
        (signed(hashed=hashlib.sha256(b"other").hexdigest()), "verify aksk signature fail"),
        (signed(secret="wrong"), "verify aksk signature fail"),
        ({**signed(), "x-sdk-date": "today"}, "x-sdk-date is missing or malformed"),
    ],
)
def test_signature_wrong_is_refused(headers: dict[str, str], says: str) -> None:
    with pytest.raises(SignatureRefused, match=says):
        check(headers)


def test_signature_of_another_body_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="verify aksk signature fail"):
        check(signed(), b"other")
