from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ConnectTimeout
from urllib3 import Timeout

from pulumi_cbr.api.auth import TokenAuth, TokenAuthenticator
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import (
    CbrError,
    NotAllowed,
    NotSignedIn,
    ServiceUnavailableError,
    SettingsError,
    Throttled,
    UnexpectedResponseError,
)
from pulumi_cbr.api.retry import CallLimits, Deadline
from pulumi_cbr.api.settings import Settings
from unit.api.kit import (
    BACKUP,
    BACKUP_OBJECT,
    OTHER,
    OWN,
    TOKEN,
    FakeClock,
    Reply,
    Respond,
    Seen,
    Server,
    catalogue,
    configured,
    grant,
    in_turn,
    password,
)

GOOD = Reply(200, {"backup": BACKUP_OBJECT})


@contextmanager
def cloud(sign_in: Respond, rest: Respond | None = None) -> Iterator[Server]:
    """Serve an identity service and, for all other paths, the members API."""
    others = rest or in_turn(GOOD)
    with Server(lambda seen: sign_in(seen) if seen.path == "/v3/auth/tokens" else others(seen)) as server:
        yield server


def shown(settings: Settings, clock: FakeClock | None = None) -> object:
    return CbrClient(settings, timing=(clock or FakeClock()).timing).show_backup(BACKUP)


# What is asked for

WAYS: dict[str, tuple[dict[str, str], dict[str, Any], object]] = {
    "user by name, project by ID": (
        {"username": "u", "userDomainName": "d", "password": "p", "projectId": OWN},
        {"methods": ["password"], "password": {"user": {"name": "u", "domain": {"name": "d"}, "password": "p"}}},
        {"project": {"id": OWN}},
    ),
    "user by ID, project by name": (
        {"userId": "u1", "userDomainName": "d", "password": "p", "projectName": "n"},
        {"methods": ["password"], "password": {"user": {"id": "u1", "password": "p"}}},
        {"project": {"name": "n", "domain": {"name": "d"}}},
    ),
    "domain by ID": (
        {"username": "u", "userDomainId": "d1", "password": "p", "projectName": "n"},
        {"methods": ["password"], "password": {"user": {"name": "u", "domain": {"id": "d1"}, "password": "p"}}},
        {"project": {"name": "n", "domain": {"id": "d1"}}},
    ),
    "application credential": (
        {"applicationCredentialId": "a1", "applicationCredentialSecret": "s"},
        {"methods": ["application_credential"], "application_credential": {"id": "a1", "secret": "s"}},
        None,
    ),
    "token": (
        {"token": "t", "projectId": OWN},
        {"methods": ["token"], "token": {"id": "t"}},
        {"project": {"id": OWN}},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way(way: str) -> None:
    given, identity, scope = WAYS[way]
    with cloud(lambda seen: grant(server.url)) as server:
        assert shown(configured(authUrl=server.url, **given))

    assert server.seen[0].json["auth"]["identity"] == identity
    assert server.seen[0].json["auth"].get("scope") == scope
    assert server.seen[1].headers["x-auth-token"] == TOKEN
    assert server.paths() == ["POST /v3/auth/tokens", f"GET /v3/{OWN}/backups/{BACKUP}"]


def test_a_token_that_needs_nothing_else_is_used_as_it_is() -> None:
    with Server(in_turn(GOOD)) as server:
        assert shown(configured(token="t", projectId=OWN, endpoint=server.url))
    assert [seen.headers["x-auth-token"] for seen in server.seen] == ["t"]


def versions(url: str) -> Reply:
    """Answer what an identity service says of its versions, to `GET /v3`."""
    links = [{"rel": "self", "href": f"{url}/v3/"}]
    return Reply(300, {"versions": {"values": [{"id": "v3.14", "status": "stable", "links": links}]}})


def write_cloud(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    *,
    kind: str = "password",
    more: str = "user_domain_name: d",
) -> None:
    """Write a clouds.yaml whose entry `one` signs in at `url` as a user."""
    (folder / "clouds.yaml").write_text(
        f"clouds: {{one: {{auth_type: {kind}, auth: {{auth_url: '{url}/v3', username: u, password: pw, "
        f"project_id: {OWN}, {more}}}}}}}"
    )
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(folder / "clouds.yaml"))


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud(
        lambda seen: grant(server.url), lambda seen: GOOD if "backups" in seen.path else versions(server.url)
    ) as server:
        write_cloud(tmp_path, monkeypatch, server.url)
        client = CbrClient(configured(cloud="one"), timing=FakeClock().timing)
        for _ in range(3):
            client.show_backup(BACKUP)
    assert server.paths().count("POST /v3/auth/tokens") == 1
    assert server.paths().count(f"GET /v3/{OWN}/backups/{BACKUP}") == 3


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.parametrize(
    "broken", [None, Reply(raw=lambda out: out.write(b"HTTP/1.1 201 OK\r\nContent-Length: 9\r\n\r\n"))]
)
def test_cloud_that_breaks_after_its_versions(
    broken: Reply | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud(in_turn(broken), lambda seen: versions(server.url)) as server:
        write_cloud(tmp_path, monkeypatch, server.url)
        with pytest.raises(ServiceUnavailableError, match=r"the connection to 127.0.0.1:\d+ broke"):
            shown(configured(cloud="one", maxRetries=2))
    assert server.paths().count("POST /v3/auth/tokens") == 3


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.parametrize("insecure", [False, True])
def test_cloud_with_another_address_of_plain_http(
    insecure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "identity_provider: i, protocol: p, client_id: c, client_secret: s, access_token_endpoint: 'http://idp.example.com/t'"
    with cloud(in_turn(grant())) as server, Server(in_turn(Reply(500, b"asked"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        write_cloud(tmp_path, monkeypatch, server.url, kind="v3oidcpassword", more=more)
        with pytest.raises(CbrError) as error:
            shown(configured(cloud="one", insecure=insecure, maxRetries=0))
    assert isinstance(error.value, SettingsError) != insecure
    assert ("http://idp.example.com/t is plain http" in str(error.value)) != insecure
    assert bool(proxy.seen) == insecure


def test_netrc_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with cloud(lambda seen: grant(server.url)) as server:
        assert shown(password(server.url))
    assert ["authorization" in seen.headers for seen in server.seen] == [False, False]


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_cloud_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {one: {auth_type: none, auth: {endpoint: 'https://x'}}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    with pytest.raises(SettingsError, match=r"the entry `one` .*(gives no token|does not say how to sign in)"):
        shown(configured(cloud="one"))


def test_project_id_is_told_by_the_token() -> None:
    with cloud(lambda seen: grant(server.url)) as server:
        client = CbrClient(configured(authUrl=server.url, applicationCredentialId="a", applicationCredentialSecret="s"))
        assert client.project_id() == OWN
    assert len(server.seen) == 1


def test_project_id_that_is_known_needs_no_call() -> None:
    assert CbrClient(password("https://iam.example.com")).project_id() == OWN


def test_token_without_a_project() -> None:
    with (
        cloud(lambda seen: grant(server.url, project=None)) as server,
        pytest.raises(SettingsError, match=r"the token has no project scope\. Set cbr:projectId"),
    ):
        shown(password(server.url))


def test_credentials_of_another_project() -> None:
    with (
        cloud(lambda seen: grant(server.url, project=OTHER)) as server,
        pytest.raises(SettingsError, match=f"the credentials are for project {OTHER}, but projectId is {OWN}"),
    ):
        shown(password(server.url))


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            Reply(401, {"error": {"code": 401, "message": "The password is wrong.", "title": "Unauthorized"}}),
            NotSignedIn,
            ": The password is wrong (HTTP 401, request r1). Check the user, its domain and its password",
        ),
        (
            Reply(403, {"error_code": "IAM.1", "error_msg": "locked"}),
            NotAllowed,
            ": locked (IAM.1, HTTP 403, request r1)",
        ),
        (
            Reply(400, {"error": {"message": "no domain"}}),
            UnexpectedResponseError,
            ": no domain (HTTP 400, request r1)",
        ),
        (Reply(404, b"<title>404 Not Found</title>"), UnexpectedResponseError, "check cbr:authUrl, and"),
        (Reply(302, b"", {"Location": "/"}), UnexpectedResponseError, "Redirects are not followed with credentials"),
        (Reply(300, b""), UnexpectedResponseError, "(HTTP 300, request r1)"),
        (
            Reply(407, b""),
            ServiceUnavailableError,
            "asks for a user and a password (HTTP 407). Set HTTPS_PROXY",
        ),
        (Reply(418, b"tea"), UnexpectedResponseError, ": tea (HTTP 418, request r1)"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else "",
)
def test_refused_at_once(reply: Reply, kind: type[CbrError], words: str) -> None:
    clock = FakeClock()
    with (
        cloud(in_turn(Reply(reply.status, reply.body, {**reply.headers, "X-Request-Id": "r1"}))) as server,
        pytest.raises(kind) as error,
    ):
        shown(password(server.url), clock)
    assert str(error.value).startswith(f"signing in at {server.url}")
    assert words in str(error.value)
    assert str(error.value).count("(HTTP") <= 1
    assert (len(server.seen), clock.waits) == (1, [])
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            Reply(500, b""),
            ServiceUnavailableError,
            "an empty body (HTTP 500). Run again later. Check cbr:authUrl",
        ),
        (Reply(502, b"<title>502 Bad Gateway</title>"), ServiceUnavailableError, "`502 Bad Gateway` (HTTP 502)"),
        (Reply(503, {"error": {"message": "busy"}}), ServiceUnavailableError, "busy (HTTP 503)"),
        (Reply(429, b"slow down"), Throttled, "slow down (HTTP 429)"),
        (
            Reply(200, b"<html>hello"),
            UnexpectedResponseError,
            "not a response of an identity service (HTTP 200, but no token)",
        ),
        (Reply(201, b""), UnexpectedResponseError, "not a response of an identity service"),
        (Reply(201, [1]), UnexpectedResponseError, "not a response of an identity service"),
        (Reply(201, 17), UnexpectedResponseError, "not a response of an identity service"),
        (Reply(201, {"token": {}}), UnexpectedResponseError, "not a response of an identity service"),
        (
            Reply(201, {"token": 1}, {"X-Subject-Token": "t"}),
            UnexpectedResponseError,
            "not a response of an identity service",
        ),
        (
            Reply(201, {"token": {"project": 1}}, {"X-Subject-Token": "t"}),
            UnexpectedResponseError,
            "not a response of an identity",
        ),
        (grant(project="mine"), UnexpectedResponseError, "the token's project must be a project ID"),
        (grant(token="two words"), UnexpectedResponseError, "no token in the header X-Subject-Token"),
        (Reply(201, {"token": {}}, {"X-Subject-Token": ""}), UnexpectedResponseError, "no token in the header"),
        (None, ServiceUnavailableError, "the connection to 127.0.0.1"),
    ],
)
def test_tried_again_then_one_clear_error(reply: Reply | None, kind: type[CbrError], words: str) -> None:
    clock = FakeClock()
    with cloud(in_turn(reply)) as server, pytest.raises(kind) as error:
        shown(password(server.url, maxRetries=2), clock)
    assert words in str(error.value)
    assert type(error.value) is kind
    assert error.value.__cause__ is not None
    if kind is Throttled:
        # Only the timeout ends these.
        assert sum(clock.waits) > 100
    else:
        assert (len(server.seen), clock.waits) == (3, [0.5, 1.0])


@pytest.mark.parametrize("reply", [Reply(500, b""), Reply(503, b""), Reply(429, b""), Reply(200, b"<html>"), None])
def test_signs_in_at_last(reply: Reply | None) -> None:
    answers = [reply, reply]
    with cloud(lambda seen: answers.pop() if answers else grant(server.url)) as server:
        assert shown(password(server.url))
    assert server.paths().count("POST /v3/auth/tokens") == 3


def test_retry_after_of_the_identity_service() -> None:
    clock = FakeClock()
    first = [Reply(429, b"", {"Retry-After": "7"}), Reply(503, b"", {"Retry-After": "Mon, 04 May 2026 12:00:20 GMT"})]
    with cloud(lambda seen: first.pop(0) if first else grant(server.url)) as server:
        assert shown(password(server.url), clock)
    assert clock.waits == [7.0, 13.0]


def test_retry_after_date_uses_the_identity_services_clock() -> None:
    clock = FakeClock()
    headers = {"Date": "Wed, 06 May 2026 12:00:00 GMT", "Retry-After": "Wed, 06 May 2026 12:00:05 GMT"}
    with cloud(in_turn(Reply(503, b"", headers), grant("http://127.0.0.1:9"))) as server:
        CbrClient(password(server.url), timing=clock.timing).endpoint()
    assert clock.waits == [5.0]


def test_slow_identity_service_ends_within_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        clock = FakeClock()
        with pytest.raises(ServiceUnavailableError, match=r"no response from 127.0.0.1:\d+ in time"):
            shown(password(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2, maxRetries=0), clock)


def test_identity_service_that_trickles() -> None:
    clock = FakeClock()

    def drip(out: Any) -> None:
        out.write(b"HTTP/1.1 201 Created\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(4):
            out.write(b" ")
            clock.advance(20)

    with (
        cloud(in_turn(Reply(raw=drip))) as server,
        pytest.raises(ServiceUnavailableError, match=r"no response from 127.0.0.1:\d+ in time|the connection to"),
    ):
        shown(password(server.url, maxRetries=0), clock)


def test_redirect_is_not_followed_with_credentials() -> None:
    with Server(in_turn(grant())) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            moved = Reply(status, b"", {"Location": f"{elsewhere.url}/v3/auth/tokens"})
            with cloud(in_turn(moved)) as server, pytest.raises(UnexpectedResponseError):
                shown(password(server.url))
    assert elsewhere.seen == []


# Renewal


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "expired"}},
        {"error_code": "APIGW.0307", "error_msg": "Incorrect IAM authentication information: the token expires"},
        {"errorCode": "111401001", "errorMsg": "Token expired"},
    ],
    ids=["identity service", "APIGW.0307", "111401001"],
)
def test_a_refused_token_is_renewed_once_and_goes_on(refusal: dict[str, object]) -> None:
    tokens = ["one", "two"]

    def rest(seen: Seen) -> Reply:
        return GOOD if seen.headers["x-auth-token"] == "two" else Reply(401, refusal)

    with cloud(lambda seen: grant(server.url, token=tokens.pop(0)), rest) as server:
        client = CbrClient(password(server.url), timing=FakeClock().timing)
        client.show_backup(BACKUP)
        client.show_backup(BACKUP)
    sign_in, show = "POST /v3/auth/tokens", f"GET /v3/{OWN}/backups/{BACKUP}"
    assert server.paths() == [sign_in, show, sign_in, show, show]


def test_a_late_refusal_of_an_earlier_token_renews_nothing() -> None:
    timing, tokens = FakeClock().timing, iter(["one", "two", "three"])
    with Server(lambda seen: grant(server.url, token=next(tokens))) as server:
        signing_in = TokenAuthenticator(password(server.url), timing, CallLimits())
        deadline = Deadline(timing, 60)
        earlier = signing_in.auth(deadline)
        assert signing_in.renew(earlier)
        newer = signing_in.auth(deadline)
        assert signing_in.renew(earlier)
        later = signing_in.auth(deadline)
    assert [auth.token for auth in (earlier, newer, later) if isinstance(auth, TokenAuth)] == ["one", "two", "two"]
    # An earlier one may still be in an answer.
    assert set(signing_in.secrets()) == {"one", "two"}


def test_401_for_ever_is_one_error() -> None:
    refused = in_turn(Reply(401, {"error": {"message": "not for you"}}))
    with cloud(lambda seen: grant(server.url), refused) as server, pytest.raises(NotSignedIn) as error:
        shown(password(server.url))
    assert ": not for you (HTTP 401). The identity service gave a new token" in str(error.value)
    assert "password" not in str(error.value)
    assert len(server.seen) == 4


def test_401_of_a_token_that_was_given_is_final() -> None:
    with (
        Server(in_turn(Reply(401, b""))) as server,
        pytest.raises(NotSignedIn, match=r"set a new one by cbr:token, then run `pulumi up`"),
    ):
        shown(configured(token="t", projectId=OWN, endpoint=server.url))
    assert len(server.seen) == 1


@pytest.mark.parametrize("life", [0, -86400, 1, 30])
def test_token_expired_at_once_is_used_until_refused(life: float) -> None:
    with cloud(lambda seen: grant(server.url, life=life)) as server:
        client = CbrClient(password(server.url), timing=FakeClock().timing)
        for _ in range(5):
            client.show_backup(BACKUP)
    assert server.paths().count("POST /v3/auth/tokens") == 1


@pytest.mark.parametrize("times", [{"expires_at": "soon"}, {"expires_at": None}, {"issued_at": 5}])
def test_a_token_that_does_not_tell_its_life(times: dict[str, Any]) -> None:
    with cloud(lambda seen: grant(server.url, **times)) as server:
        assert shown(password(server.url))
    assert len(server.seen) == 2


def test_a_token_is_renewed_shortly_before_its_end() -> None:
    clock = FakeClock()
    with cloud(lambda seen: grant(server.url, life=3600)) as server:
        client = CbrClient(password(server.url), timing=clock.timing)
        for seconds, sign_ins in ((0, 1), (3400, 1), (100, 2), (3400, 2), (200, 3)):
            clock.advance(seconds)
            client.show_backup(BACKUP)
            assert server.paths().count("POST /v3/auth/tokens") == sign_ins


def test_a_malformed_url_signs_in_no_second_time() -> None:
    refused = Reply(401, {"unauthorized": {"code": "401", "message": "Malformed request url"}})
    with cloud(lambda seen: grant(server.url), in_turn(refused)) as server, pytest.raises(UnexpectedResponseError):
        shown(password(server.url))
    # The call, and the list of backups that would prove the backup gone.
    assert server.paths().count("POST /v3/auth/tokens") == 1


def test_a_projects_id_is_over_its_name() -> None:
    with cloud(lambda seen: grant(server.url)) as server:
        shown(password(server.url, projectName="P"))
        with pytest.raises(
            SettingsError, match=f"are for project {OWN}, not for `n`. Correct or remove cbr:projectName"
        ):
            shown(password(server.url, projectName="n"))
    assert server.seen[0].json["auth"]["scope"] == {"project": {"id": OWN}}


def test_error_of_last_attempt_ignores_earlier_responses() -> None:
    with (
        cloud(in_turn(Reply(503, b"busy"), None)) as server,
        pytest.raises(ServiceUnavailableError, match=r"the connection to 127.0.0.1:\d+ broke"),
    ):
        shown(password(server.url, maxRetries=1))


def test_sign_in_and_call_have_retries_of_their_own() -> None:
    clock = FakeClock()
    once = [Reply(503, b""), Reply(503, b"")]
    with (
        cloud(lambda seen: once.pop() if once else grant(server.url), in_turn(Reply(503, b""))) as server,
        pytest.raises(ServiceUnavailableError),
    ):
        shown(password(server.url, maxRetries=3), clock)
    assert server.paths().count(f"GET /v3/{OWN}/backups/{BACKUP}") == 4
    assert clock.waits == [0.5, 1, 0.5, 1, 2]


def test_signing_in_has_what_the_retries_left_of_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def send(self: object, request: Any, timeout: Timeout, **kwargs: Any) -> Any:
        given.append(float(str(timeout.total)))
        raise ConnectTimeout("no")

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    with pytest.raises(ServiceUnavailableError):
        shown(password("https://iam.example.com", timeout=10, maxRetries=2))
    assert given == [5, 4.75, 4.25]


# The endpoint


@pytest.mark.parametrize("ending", ["", "/", "/v3", "/v3/", f"/v3/{OWN}", f"/v3/{OWN}/", f"/v3/{OWN.upper()}"])
def test_with_and_without_the_project(ending: str) -> None:
    with cloud(lambda seen: grant(server.url + ending)) as server:
        assert shown(password(server.url))
        assert shown(password(server.url, endpoint=server.url + ending))
    assert {path for path in server.paths() if "tokens" not in path} == {f"GET /v3/{OWN}/backups/{BACKUP}"}


def test_endpoint_is_over_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(in_turn(GOOD)) as cbr, cloud(in_turn(grant("https://cbr.example.com"))) as identity:
        shown(password(identity.url, endpoint=f"{cbr.url}/prefix"))
        monkeypatch.setenv("CBR_ENDPOINT", cbr.url)
        shown(password(identity.url))
    assert cbr.paths() == [f"GET /prefix/v3/{OWN}/backups/{BACKUP}", f"GET /v3/{OWN}/backups/{BACKUP}"]


def test_by_region() -> None:
    with (
        Server(in_turn(GOOD)) as de,
        Server(in_turn(GOOD)) as nl,
        cloud(in_turn(grant(catalog=catalogue({"eu-de": de.url, "eu-nl": nl.url})))) as identity,
    ):
        shown(password(identity.url, region="eu-nl"))
        assert (len(de.seen), len(nl.seen)) == (0, 1)
        with pytest.raises(SettingsError, match=r"several regions of `cbr`\. Set cbr:region to one of eu-de, eu-nl"):
            shown(password(identity.url))
        with pytest.raises(
            SettingsError, match=r"no `cbr` in the region `ap-1`\. Set cbr:region to one of eu-de, eu-nl"
        ):
            shown(password(identity.url, region="ap-1"))


def test_by_region_of_an_entry_that_has_no_id_of_it() -> None:
    services = catalogue({"eu-de": "https://de.example.com", "eu-nl": "https://nl.example.com"})
    for entry in services[0]["endpoints"]:
        del entry["region_id"]
    with cloud(in_turn(grant(catalog=services))) as server:
        client = CbrClient(password(server.url, region="eu-nl"), timing=FakeClock().timing)
        assert client.endpoint() == f"https://nl.example.com/v3/{OWN}"


def two_addresses(first: str, second: str) -> list[dict[str, Any]]:
    """Return a catalog with two addresses of one region."""
    services = catalogue({"eu-de": first, "eu-nl": second})
    services[0]["endpoints"][1].update(region="eu-de", region_id="eu-de")
    return services


def test_address_with_and_without_the_project_is_one() -> None:
    services = two_addresses("https://de.example.com/v3", f"https://de.example.com/v3/{OWN}")
    with cloud(in_turn(grant(catalog=services))) as server:
        client = CbrClient(password(server.url, region="eu-de"), timing=FakeClock().timing)
        assert client.endpoint() == f"https://de.example.com/v3/{OWN}"


def test_two_addresses_are_named_without_credentials() -> None:
    services = two_addresses("https://u:s3cret@one.example.com", "https://two.example.com")
    with (
        cloud(in_turn(grant(catalog=services))) as server,
        pytest.raises(SettingsError, match=r"one region: one\.example\.com, two\.example\.com\. Set"),
    ):
        shown(password(server.url, region="eu-de"))


def test_only_public_entries_count() -> None:
    services = catalogue({"eu-de": "https://internal.example.com"})
    services[0]["endpoints"][0]["interface"] = "internal"
    with (
        cloud(in_turn(grant(catalog=services))) as server,
        pytest.raises(SettingsError, match="has no public address of `cbr`"),
    ):
        shown(password(server.url))


def test_without_cbr() -> None:
    services = catalogue({"eu-de": "https://x"}, "evs") + catalogue({"eu-de": "https://x"}, "ecs")
    with (
        cloud(in_turn(grant(catalog=services))) as server,
        pytest.raises(SettingsError, match=r"has no public address of `cbr` \(it has: ecs, evs\)\. Set cbr:endpoint"),
    ):
        shown(password(server.url))


@pytest.mark.parametrize("catalog", [7, [7], [{"type": "cbr"}], [{"type": "cbr", "endpoints": 5}], "text"])
def test_odd_catalogue(catalog: object) -> None:
    with (
        cloud(in_turn(grant(catalog=catalog))) as server,
        pytest.raises((UnexpectedResponseError, SettingsError)) as error,
    ):
        shown(password(server.url))
    assert "catalog" in str(error.value)


@pytest.mark.parametrize("url", ["http://cbr.example.com", "ftp://x", "nonsense"])
def test_catalogue_is_not_trusted_with_the_token(url: str) -> None:
    with (
        cloud(in_turn(grant(url))) as server,
        pytest.raises(SettingsError, match=r"^the service catalog's address of CBR "),
    ):
        shown(password(server.url))
    assert len(server.seen) == 1


# Access keys

KEYS = {"accessKey": "AK1", "secretKey": "SK-secret", "region": "eu-de"}


@pytest.fixture
def addressed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that requests would have gone to."""
    seen: list[str] = []

    def send(self: object, request: Any, **kwargs: Any) -> Any:
        seen.append(request.url)
        raise OSError("no network in tests")

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    return seen


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "https://cbr.eu-de.otc.t-systems.com"),
        ({"region": "ap-southeast-1"}, "https://cbr.ap-southeast-1.myhuaweicloud.com"),
        ({"region": "ap-1", "cloudDomain": "myhuaweicloud.com"}, "https://cbr.ap-1.myhuaweicloud.com"),
        ({"region": "eu-nl"}, "https://cbr.eu-nl.otc.t-systems.com"),
        ({"region": "ap-1", "authUrl": "https://iam.myhuaweicloud.com/v3"}, "https://cbr.ap-1.myhuaweicloud.com"),
        ({"region": "ap-1", "authUrl": "https://iam.ap-2.myhuaweicloud.com"}, "https://cbr.ap-1.myhuaweicloud.com"),
        ({"endpoint": "https://cbr.example.com:8443"}, "https://cbr.example.com:8443"),
        (
            {"cloudDomain": "gw.otc.t-systems.com", "endpoint": "https://cbr.eu-de.gw.otc.t-systems.com"},
            "https://cbr.eu-de.gw.otc.t-systems.com",
        ),
    ],
)
def test_access_keys_well_known_address(settings: dict[str, str], expected: str, addressed: list[str]) -> None:
    with pytest.raises(ServiceUnavailableError):
        shown(configured(**{**KEYS, "projectId": OWN, "maxRetries": 0, **settings}))
    assert addressed == [f"{expected}/v3/{OWN}/backups/{BACKUP}"]


@pytest.mark.parametrize(
    ("endpoint", "region", "expected"),
    [
        ("https://cbr.r.example.com", "eu-de", "https://iam.r.example.com"),
        ("https://cbr.cn-north-4.myhuaweicloud.com", "cn-north-4", "https://iam.cn-north-4.myhuaweicloud.com"),
    ],
)
def test_access_keys_look_the_project_up_next_to_the_endpoint(
    endpoint: str, region: str, expected: str, addressed: list[str]
) -> None:
    settings = configured(**{**KEYS, "region": region, "endpoint": endpoint, "maxRetries": 0})
    with pytest.raises(ServiceUnavailableError):
        CbrClient(settings, timing=FakeClock().timing).project_id()
    assert addressed == [f"{expected}/v3/projects?name={region}"]


def test_access_keys_at_an_unknown_cloud() -> None:
    with pytest.raises(
        SettingsError, match=r"the address of CBR does not follow from cbr:authUrl \(https://keystone.x\)"
    ):
        shown(configured(**KEYS, projectId=OWN, authUrl="https://keystone.x"))
    with pytest.raises(SettingsError, match=r"without an identity address it cannot be looked up. Set .*cbr:projectId"):
        shown(configured(**{**KEYS, "region": "zz-1"}, endpoint="https://backup.x"))


@pytest.mark.parametrize("named", [{"projectName": "mine"}, {"region": "mine"}])
def test_access_keys_look_the_project_up_once(named: dict[str, str]) -> None:
    projects = Reply(200, {"projects": [{"name": "mine2", "id": OTHER}, {"name": "mine", "id": OWN}]})
    with Server(lambda seen: projects if seen.path == "/v3/projects" else GOOD) as server:
        settings = configured(**{**KEYS, **named, "authUrl": server.url, "endpoint": server.url})
        client = CbrClient(settings, timing=FakeClock().timing)
        client.show_backup(BACKUP)
        client.show_backup(BACKUP)
        assert client.project_id() == OWN
    assert [seen.target for seen in server.seen] == ["/v3/projects?name=mine"] + [f"/v3/{OWN}/backups/{BACKUP}"] * 2
    assert "x-project-id" not in server.seen[0].headers
    assert [seen.headers["x-project-id"] for seen in server.seen[1:]] == [OWN, OWN]
    assert all(seen.headers["authorization"].startswith("SDK-HMAC-SHA256 Access=AK1, ") for seen in server.seen)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(200, {"projects": []}), SettingsError, "the access key has no project `eu-de`. Set cbr:projectId"),
        (Reply(200, {}), SettingsError, "the access key has no project `eu-de`"),
        (
            Reply(200, b"<html>"),
            UnexpectedResponseError,
            "not a response of an identity service (the body is not JSON)",
        ),
        (Reply(200, {"projects": [1]}), UnexpectedResponseError, "not a response of an identity service"),
        (
            Reply(200, {"projects": [{"name": "eu-de"}]}),
            UnexpectedResponseError,
            "not a response of an identity service",
        ),
        (Reply(200, {"projects": [{"name": "eu-de", "id": "../x"}]}), UnexpectedResponseError, "must be a project ID"),
        (Reply(401, {"error_msg": "bad signature"}), NotSignedIn, "bad signature (HTTP 401). Check the access key"),
        (Reply(404, b""), UnexpectedResponseError, "cbr:authUrl"),
    ],
)
def test_access_keys_look_up_goes_wrong(reply: Reply, kind: type[CbrError], words: str) -> None:
    with Server(in_turn(reply)) as server, pytest.raises(kind) as error:
        shown(configured(**KEYS, authUrl=server.url, endpoint=server.url))
    assert type(error.value) is kind
    assert words in str(error.value)


def test_access_keys_look_up_counts_as_part_of_the_call() -> None:
    clock = FakeClock()
    with Server(in_turn(Reply(503, b"", {"Retry-After": "30"}))) as server, pytest.raises(ServiceUnavailableError):
        shown(configured(**KEYS, authUrl=server.url, endpoint=server.url, timeout=100), clock)
    assert clock.seconds < 100


def test_access_keys_clock_is_off_hint() -> None:
    body = {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information: signature expired"}
    with (
        Server(in_turn(Reply(401, body))) as server,
        pytest.raises(NotSignedIn, match=r"and this machine's clock, then run `pulumi up`"),
    ):
        shown(configured(**KEYS, projectId=OWN, endpoint=server.url))
    assert len(server.seen) == 1
