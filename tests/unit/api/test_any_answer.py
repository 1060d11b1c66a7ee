"""Whatever is answered, a call gives a right value or one of our errors, and nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import Backup, Member
from pulumi_cbr.api.settings import Settings
from unit.api.kit import BACKUP_OBJECT, CALLS, MEMBER, OTHER, FakeClock, calls, configured, fixed_token, grant, password

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def changed(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Generate an object that is nearly right.

    Some of its fields are missing or have another value.
    """
    other = st.dictionaries(st.sampled_from(sorted(good)), json_values, max_size=2)
    gone = st.sets(st.sampled_from(sorted(good)), max_size=1)
    return st.builds(lambda new, out: {k: v for k, v in {**good, **new}.items() if k not in out}, other, gone)


members = changed({**MEMBER, "updated_at": "2020-02-05T10:38:34.210+00:00", "vault_id": "v", "image_id": "i"})
backups = changed({**BACKUP_OBJECT, "members": [MEMBER]})
refusals = st.fixed_dictionaries(
    {},
    optional={
        "error_code": st.sampled_from([f"BackupService.{code}" for code in (6105, 6200, 6701, 6703, 6705, 6710)])
        | json_values,
        "error_msg": json_values,
        "error": json_values,
        "code": json_values,
        "message": json_values,
    },
)
documents = st.one_of(
    json_values,
    refusals,
    members,
    st.fixed_dictionaries({"member": members | json_values}),
    st.fixed_dictionaries({"members": st.lists(members | json_values, max_size=3) | json_values, "count": json_values}),
    st.fixed_dictionaries({"backup": backups | json_values}),
    st.fixed_dictionaries({"backups": st.lists(backups | json_values, max_size=3) | json_values, "count": json_values}),
    st.fixed_dictionaries({"backups": st.lists(backups, min_size=1, max_size=3), "count": st.just(1000)}),
    st.fixed_dictionaries({"projects": st.lists(json_values, max_size=3)}),
    st.fixed_dictionaries({"token": changed(grant("https://cbr.example.com").body["token"]) | json_values}),
)
bodies = (
    documents.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
    | st.text(max_size=30).map(lambda text: f"<title>{text}</title>".encode("utf-8", "replace"))
)
header_texts = st.text(st.characters(max_codepoint=255), max_size=30) | st.sampled_from(
    [
        "5",
        "Mon, 04 May 2026 12:00:30 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 04 May 0000 99:00:30 GMT",
        "0",
        "999999999",
    ]
)
headers = st.dictionaries(
    st.sampled_from(
        ["Date", "Retry-After", "X-Request-Id", "Content-Type", "Location", "X-Subject-Token", "Content-Encoding"]
    ),
    header_texts,
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 407, 429, 500, 502, 503]) | st.integers(
    100, 999
)


def answering(monkeypatch: pytest.MonkeyPatch, made: Callable[[str], tuple[int, dict[str, str], bytes]]) -> None:
    """Let every request end in the answer that `made` gives for its URL."""

    def send(self: HTTPAdapter, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        from urllib3 import HTTPResponse

        status, fields, body = made(str(request.url))
        raw = HTTPResponse(io.BytesIO(body), fields, status, preload_content=False)
        return HTTPAdapter.build_response(self, request, raw)

    monkeypatch.setattr(HTTPAdapter, "send", send)


def check(name: str, result: object) -> None:
    if name in ("show_member", "update_member"):
        assert isinstance(result, Member)
    elif name == "show_backup":
        assert isinstance(result, Backup)
    elif name == "add_members":
        assert isinstance(result, tuple)
        assert {member.dest_project_id for member in result} <= {OTHER}
    elif name == "list_members":
        assert isinstance(result, tuple)
        assert all(isinstance(member, Member) for member in result)
    elif name == "list_backups":
        assert isinstance(result, list)
        assert all(isinstance(backup, Backup) for backup in result)
    elif name == "service_now":
        assert isinstance(result, datetime)
    else:
        assert result is None


def assert_told(call: Callable[[], None]) -> None:
    """Call, and see that an error of ours is one line."""
    text = ""
    try:
        call()
    except CbrError as error:
        text = str(error)
    assert text.isprintable()
    assert len(text) < 1500


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=20)
@given(status=statuses, fields=headers, body=bodies)
def test_calls(name: str, status: int, fields: dict[str, str], body: bytes) -> None:
    client = CbrClient(fixed_token("https://cbr.example.com"), timing=FakeClock().timing)
    with pytest.MonkeyPatch.context() as monkeypatch:
        answering(monkeypatch, lambda url: (status, fields, body))
        assert_told(lambda: check(name, calls(client)[name]()))
        check("service_now", client.service_now())


WAYS = [
    password("https://iam.example.com"),
    configured(accessKey="AK", secretKey="SK", region="eu-de", authUrl="https://iam.example.com"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.method)
@settings(max_examples=30)
@given(status=statuses, fields=headers, body=bodies)
def test_signing_in(way: Settings, status: int, fields: dict[str, str], body: bytes) -> None:
    good = json.dumps({"backup": BACKUP_OBJECT}).encode()
    client = CbrClient(way, timing=FakeClock().timing)
    with pytest.MonkeyPatch.context() as monkeypatch:
        answering(monkeypatch, lambda url: (200, {}, good) if "/backups" in url else (status, fields, body))
        assert_told(lambda: check("show_backup", client.show_backup(str(BACKUP_OBJECT["id"]))))
