"""Our signatures are those of Huawei Cloud's own SDK, for whatever can be sent."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import requests
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_cbr.api.signing import AccessKeyAuth

NOW = datetime(2026, 5, 4, 12, 0, 5, tzinfo=timezone.utc)

#: Any text that has a form in UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
#: What a header can have: no line breaks, no blanks around it.
values = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).map(str.strip).filter(bool)
names = st.from_regex(r"X-[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True).filter(
    lambda name: name.lower() not in ("x-sdk-date", "x-sdk-content-sha256", "x-project-id", "x-security-token")
)
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def by_the_sdk(request: requests.PreparedRequest, access_key: str, secret_key: str) -> str:
    """Sign the very request that goes out, by the SDK."""
    parts = urlsplit(str(request.url))
    signed = {}
    for name, value in request.headers.items():
        if name.lower() in ("host", "content-type") or name.lower().startswith("x-"):
            signed[name] = value.decode() if isinstance(value, bytes) else value
    query: list[Any] = parse_qsl(parts.query, keep_blank_values=True)
    sdk = SdkRequest(
        method=str(request.method),
        schema=parts.scheme,
        host=parts.netloc,
        resource_path=parts.path,
        query_params=query,
        header_params=signed,
        body=request.body or "",
    )
    return str(Signer(SimpleNamespace(ak=access_key, sk=secret_key)).sign(sdk).header_params["Authorization"])


@settings(max_examples=150)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    host=st.sampled_from(["cbr.eu-de.otc.t-systems.com", "127.0.0.1:8080", "[::1]:443"]),
    path=st.lists(texts, max_size=4),
    raw_path=st.booleans(),
    query=st.lists(st.tuples(texts, texts), max_size=4),
    quoted=st.booleans(),
    headers=st.dictionaries(names, values, max_size=3),
    body=st.none() | st.binary(max_size=50) | texts,
    access_key=keys,
    secret_key=texts.filter(bool),
    project=st.none() | st.just("0123456789abcdef0123456789abcdef"),
    security_token=st.none() | keys,
)
def test_equal_to_the_sdk(
    method: str,
    host: str,
    path: list[str],
    raw_path: bool,
    query: list[tuple[str, str]],
    quoted: bool,
    headers: dict[str, str],
    body: bytes | str | None,
    access_key: str,
    secret_key: str,
    project: str | None,
    security_token: str | None,
) -> None:
    # As requests would write it, or with every letter escaped that may be.
    segments = [segment.replace("?", "").replace("#", "") if raw_path else quote(segment, safe="") for segment in path]
    written = f"?{urlencode(query, quote_via=quote)}" if quoted and query else ""
    request = requests.Request(
        method,
        f"https://{host}/{'/'.join(segments)}{written}",
        params=None if quoted else query,
        headers={"Content-Type": "application/json", **{name: value.encode() for name, value in headers.items()}},
        data=body,
        auth=AccessKeyAuth(access_key, secret_key, project_id=project, security_token=security_token, now=lambda: NOW),
    ).prepare()

    ours = request.headers.pop("Authorization")
    assert ours == by_the_sdk(request, access_key, secret_key)
    assert request.headers["X-Sdk-Date"] == "20260504T120005Z"
    assert request.headers.get("X-Security-Token") == security_token
    assert request.headers.get("X-Project-Id") == project


@pytest.mark.parametrize("query", ["a=1&a=2&a=", "b=2&a=1", "a", "", "x=%7E~*'()", "a=b+c", "ü=ß&%C3%BC=%C3%9F"])
@pytest.mark.parametrize("path", ["", "/", "/a//b/", "/~*'()!$&,;=:@", "/%41%2f%25", "/ü/😀"])
def test_notable_requests(path: str, query: str) -> None:
    auth = AccessKeyAuth("AK", "SK", now=lambda: NOW)
    request = requests.Request("GET", f"https://h{path}?{query}", auth=auth).prepare()
    ours = request.headers.pop("Authorization")
    assert ours == by_the_sdk(request, "AK", "SK")


def test_what_a_proxy_may_change_is_not_signed() -> None:
    auth = AccessKeyAuth("AK", "SK", now=lambda: NOW)
    headers = {"User-Agent": "a", "Accept": "b", "X_Odd": "c", "Authorization": "d", "X-Own": "e"}
    request = requests.Request("POST", "https://h/", headers=headers, json={}, auth=auth).prepare()
    assert "SignedHeaders=content-type;host;x-own;x-sdk-date, " in request.headers["Authorization"]
