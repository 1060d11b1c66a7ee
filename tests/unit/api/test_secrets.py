"""A credential put in by any way is in no log, message, repr or pickle, whatever goes wrong."""

from __future__ import annotations

import copy
import html
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import dill  # type: ignore[import-untyped]
import pytest

from pulumi_cbr.api.auth import TokenAuth
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError, NotSignedIn, SettingsError
from pulumi_cbr.api.settings import Settings
from pulumi_cbr.api.signing import AccessKeyAuth
from unit.api.kit import (
    BACKUP_OBJECT,
    CALLS,
    OWN,
    FakeClock,
    Reply,
    Seen,
    Server,
    calls,
    configured,
    grant,
    in_turn,
)

pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

SECRET = 's3cret"pä\\ß'
MARKUP = 's3cret<"key'
PLAIN = "s3cret-in-a-header"
GIVEN = "s3cret-handed-out-by-the-service"

WAYS: dict[str, dict[str, str]] = {
    "password": {"username": "u", "userDomainName": "d", "password": SECRET, "projectId": OWN},
    "application credential": {"applicationCredentialId": "a", "applicationCredentialSecret": SECRET},
    "token": {"token": PLAIN, "projectId": OWN},
    "fixed token": {"token": PLAIN, "projectId": OWN, "endpoint": ""},
    "access keys": {"accessKey": f"{PLAIN}1", "secretKey": SECRET, "projectId": OWN, "endpoint": ""},
    "temporary keys": {
        "accessKey": f"{PLAIN}1",
        "secretKey": SECRET,
        "securityToken": f"{PLAIN}2",
        "region": "r",
        "endpoint": "",
    },
    "cloud": {"cloud": "one"},
    "cloud with application credential": {"cloud": "two"},
}


def echo(seen: Seen) -> str:
    """Return the whole request, as a careless service or gateway would."""
    values: list[object] = [json.loads(seen.body or b"{}")]
    texts: list[str] = []
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, str):
            texts.append(value)
    return f"{' '.join(texts)} {seen.body.decode()} {list(seen.headers.values())}"


#: How the service answers a sign-in and a call.
MOODS = ("works", "refuses", "refuses to sign in", "breaks", "hangs up", "throttles", "html", "odd")


def respond(mood: str, url: str, seen: Seen) -> Reply | None:
    signs_in = seen.path.endswith(("/tokens", "/projects")) or seen.path in ("/v3", "/v3/")
    if seen.path.endswith("/projects"):
        good = Reply(200, {"projects": [{"name": "r", "id": OWN}]})
    else:
        member = {
            "id": "i",
            "status": "s",
            "backup_id": "b",
            "dest_project_id": "d",
            "created_at": "2026-05-04T12:00:00",
        }
        good = grant(url, token=GIVEN) if signs_in else Reply(200, {"backup": BACKUP_OBJECT, "member": member})
    if mood == "works" or (signs_in and mood == "refuses"):
        return good
    if mood == "refuses to sign in" and not signs_in:
        return good
    return {
        "refuses": Reply(400, {"error_code": "X", "error_msg": echo(seen)}),
        "refuses to sign in": Reply(401, {"error": {"message": echo(seen), "code": 401}}),
        "breaks": Reply(500, {"error_msg": echo(seen)}),
        "hangs up": None,
        "throttles": Reply(429, echo(seen).encode()),
        "html": Reply(200, f"<title>{echo(seen)}</title>".encode()),
        "odd": Reply(201, {"token": echo(seen)}, {"X-Request-Id": "r"}),
    }[mood]


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    for name in ("", "pulumi_cbr", "keystoneauth", "keystoneauth1", "urllib3", "requests", "openstack"):
        caplog.set_level(logging.DEBUG, name)
    return iter([caplog])


def settings_of(way: str, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (folder / "clouds.yaml").write_text(
        f"""
clouds:
  one: {{auth: {{auth_url: '{url}/v3', username: u, user_domain_name: d, project_id: {OWN}}}}}
  two:
    auth_type: v3applicationcredential
    auth: {{auth_url: '{url}/v3', application_credential_id: a}}
""",
        "utf-8",
    )
    quoted = SECRET.replace("'", "''")
    (folder / "secure.yaml").write_text(
        f"clouds: {{one: {{auth: {{password: '{quoted}'}}}}, two: {{auth: {{application_credential_secret: '{quoted}'}}}}}}",
        "utf-8",
    )
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(folder / "clouds.yaml"))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(folder / "secure.yaml"))
    given = WAYS[way]
    place = {} if "cloud" in given else {"authUrl": url}
    return configured(**{**place, **given, **({"endpoint": url} if "endpoint" in given else {})})


def leaks(text: str) -> list[str]:
    escaped = SECRET.encode("unicode_escape").decode()
    return [secret for secret in (SECRET, escaped, SECRET.replace('"', '\\"'), "s3cret") if secret in text]


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("way", WAYS)
def test_in_no_log_message_or_repr(
    way: str, mood: str, all_logs: Iterator[pytest.LogCaptureFixture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (caplog,) = all_logs
    with Server(lambda seen: respond(mood, server.url, seen)) as server:
        settings = settings_of(way, server.url, tmp_path, monkeypatch)
        client = CbrClient(settings, timing=FakeClock().timing)
        errors: list[CbrError] = []
        for name in CALLS:
            try:
                calls(client)[name]()
            except CbrError as error:
                errors.append(error)
    for told in errors:
        assert leaks(f"{told} {told!r} {vars(told)}") == []
    sent = "".join(f"{seen.headers}{seen.body!r}" for seen in server.seen)
    # It was really used: as it is, or as the key of a signature.
    assert mood != "works" or "s3cret" in sent or "Signature=" in sent
    # Credentials that are refused are not sent again.
    assert len(caplog.records) >= (1 if mood == "refuses to sign in" else len(CALLS))
    # keystoneauth1 logs what an identity service answers: ours says back what it was told.
    ours = [
        record for record in caplog.records if not record.name.startswith("keystoneauth") or mood not in ("odd", "html")
    ]
    for record in ours:
        assert leaks(f"{record.getMessage()} {record.exc_info}") == []
    assert leaks(repr(client)) == []
    assert leaks(repr(settings)) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, f"<title>{'x' * 190} {PLAIN}</title>".encode()),
        Reply(400, f"{'x' * 990} {PLAIN}".encode()),
        Reply(400, f"<title>{html.escape(SECRET)}</title>".encode()),
        Reply(400, f"<title>{html.escape(MARKUP, quote=False)}</title>".encode()),
        Reply(400, b"no", {"X-Request-Id": PLAIN}),
        Reply(400, b"no", {"X-Request-Id": f"{'x' * 70}{PLAIN}"}),
        Reply(200, {"backup": {**BACKUP_OBJECT, "id": PLAIN}}),
        Reply(200, b"no", {"X-Request-Id": PLAIN}),
        Reply(raw=lambda out: out.write(f"{'x' * 105} {PLAIN}\r\n\r\n".encode())),
    ],
)
def test_in_no_message_however_it_is_said_back(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pulumi_cbr")
    with Server(in_turn(reply)) as server:
        secrets = {"token": PLAIN, "password": SECRET, "secretKey": MARKUP}
        given = {**secrets, "projectId": OWN, "endpoint": server.url, "maxRetries": 0}
        with pytest.raises(CbrError) as error:
            CbrClient(configured(**given), timing=FakeClock().timing).show_backup(str(BACKUP_OBJECT["id"]))
    assert leaks(f"{error.value} {caplog.text}") == []


@pytest.mark.parametrize(
    "reply",
    [grant(project=PLAIN), Reply(200, {"projects": [{"name": "r", "id": PLAIN}]})],
    ids=["token", "look-up"],
)
def test_in_no_message_of_a_project(reply: Reply) -> None:
    with Server(in_turn(reply)) as server:
        for given in (WAYS["token"], {**WAYS["temporary keys"], "endpoint": server.url}):
            with pytest.raises(CbrError) as error:
                CbrClient(configured(authUrl=server.url, **given), timing=FakeClock().timing).endpoint()
            assert leaks(str(error.value)) == []


def test_in_no_words_of_a_library() -> None:
    def fail(*args: object) -> None:
        raise KeyError(f"{'x' * 190} {PLAIN}")

    with Server(lambda seen: grant()) as server, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("keystoneauth1.identity.v3.Token.get_access", fail)
        with pytest.raises(SettingsError) as error:
            CbrClient(configured(authUrl=server.url, **WAYS["token"]), timing=FakeClock().timing).endpoint()
    assert leaks(str(error.value)) == []


def test_common_word_as_password_leaves_messages_readable() -> None:
    refused = Reply(401, {"error": {"code": 401, "message": "The username or password is wrong."}})
    given = {**WAYS["password"], "password": "wrong"}
    with (
        Server(in_turn(refused)) as server,
        pytest.raises(NotSignedIn, match=r": The username or password is wrong \(HTTP 401\)"),
    ):
        CbrClient(configured(authUrl=server.url, **given), timing=FakeClock().timing).endpoint()


@pytest.mark.parametrize("broken", ["'s3cret", "@s3cret", "*s3cret", "!s3cret x", "|s3cret", "%s3cret"])
def test_in_no_message_of_a_broken_file(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_of("cloud", "https://iam.example.com", tmp_path, monkeypatch)
    (tmp_path / "secure.yaml").write_text(f"clouds: {{one: {{auth: {{password:\n {broken}")
    with pytest.raises(SettingsError, match=r"secure.yaml, line 2, is not YAML") as error:
        configured(cloud="one")
    assert leaks("".join(traceback.format_exception(error.value))) == []


@pytest.mark.parametrize("way", WAYS)
def test_in_no_traceback(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda seen: None) as server:
        client = CbrClient(settings_of(way, server.url, tmp_path, monkeypatch), timing=FakeClock().timing)
        with pytest.raises(CbrError) as error:
            client.list_members(str(BACKUP_OBJECT["id"]))
    assert leaks("".join(traceback.format_exception(error.value))) == []


@pytest.mark.parametrize("way", WAYS)
def test_in_no_pickle(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda seen: respond("works", server.url, seen)) as server:
        settings = settings_of(way, server.url, tmp_path, monkeypatch)
        client = CbrClient(settings, timing=FakeClock().timing)
        client.show_backup(str(BACKUP_OBJECT["id"]))
    for thing in (settings, client):
        for dump in (pickle.dumps, dill.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                dump(thing)


@pytest.mark.parametrize("auth", [TokenAuth(PLAIN), AccessKeyAuth(PLAIN, SECRET, security_token=PLAIN)])
def test_auth_objects(auth: object) -> None:
    assert leaks(repr(auth)) == []
    for dump in (pickle.dumps, dill.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="are not pickled"):
            dump(auth)
