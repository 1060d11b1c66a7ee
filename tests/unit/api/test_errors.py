from __future__ import annotations

import pickle
import re

import pytest

from pulumi_cbr import messages
from pulumi_cbr.api import errors
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import (
    AlreadyShared,
    CbrError,
    ImageRegistered,
    LimitReached,
    NotAllowed,
    NotFound,
    NotShareable,
    NotSignedIn,
    RejectedUrlError,
    ServiceError,
    ServiceUnavailableError,
    Throttled,
    UnexpectedResponseError,
    UnknownOutcomeError,
    VaultRefused,
)
from unit.api.kit import BACKUP, CALLS, OTHER, OWN, FakeClock, Reply, Server, calls, fixed_token, in_turn

#: HTTP status, code, class, words of the next step: every row of reference/cbr-members-api.md.
TABLE: list[tuple[int, str, type[CbrError], str]] = [
    (400, "6700", NotShareable, "share a server's backup"),
    (400, "6701", LimitReached, "delete a share first"),
    (400, "6702", NotShareable, "Wait until the backup's status is `available`"),
    (400, "6703", AlreadyShared, "Keep that share"),
    (400, "6704", NotShareable, "Check the destination project's ID"),
    (404, "6705", NotFound, "Check both IDs"),
    (400, "6706", UnexpectedResponseError, "check `vault_id`"),
    (400, "6707", NotShareable, "ask the cloud's support to enable it"),
    (400, "6708", UnexpectedResponseError, "Check the share's status"),
    (400, "6709", NotShareable, "share one of an unencrypted server"),
    (400, "6710", ImageRegistered, "have that image deleted"),
    (400, "6711", UnexpectedResponseError, "run again"),
    (400, "6712", VaultRefused, "choose another vault"),
    (400, "6713", VaultRefused, "Choose a vault whose type fits"),
    (400, "6714", AlreadyShared, "Keep that share"),
    (404, "6105", VaultRefused, "Check `vault_id`"),
    (404, "6200", NotFound, "Check the backup's ID"),
    (400, "9900", UnexpectedResponseError, "check the IDs"),
    (403, "8600", NotAllowed, "real-name authentication"),
    (500, "9910", UnexpectedResponseError, "Run again later"),
    (500, "9998", NotSignedIn, "check them"),
]

ACTIONS = {
    "add_members": "cbr:member:create",
    "list_members": "cbr:member:list",
    "show_member": "cbr:member:get",
    "update_member": "cbr:member:update",
    "delete_member": "cbr:member:delete",
    "show_backup": "cbr:backups:get",
    "list_backups": "cbr:backups:list",
}


def refused(call: str, reply: Reply) -> CbrError:
    with Server(in_turn(reply)) as server:
        client = CbrClient(fixed_token(server.url), timing=FakeClock().timing)
        with pytest.raises(CbrError) as error:
            calls(client)[call]()
    return error.value


@pytest.mark.parametrize(("status", "number", "kind", "step"), TABLE, ids=[row[1] for row in TABLE])
def test_every_code(status: int, number: str, kind: type[CbrError], step: str) -> None:
    body = {"error_code": f"BackupService.{number}", "error_msg": "The service's own\nwords."}

    error = refused("show_member", Reply(status, body, {"X-Request-Id": "req-17"}))

    assert type(error) is kind
    assert isinstance(error, ServiceError)
    text = str(error)
    assert (error.status, error.code, error.said) == (status, f"BackupService.{number}", "The service's own words.")
    assert error.request_id == "req-17"
    assert text.startswith(f"showing the share of backup {BACKUP} with project {OTHER} (own project {OWN}) failed: ")
    assert f": The service's own words (BackupService.{number}, HTTP {status}, request req-17). " in text
    assert step in text
    assert "\n" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize(("status", "number", "kind", "step"), TABLE, ids=[row[1] for row in TABLE])
def test_every_code_when_sharing(status: int, number: str, kind: type[CbrError], step: str) -> None:
    error = refused("add_members", Reply(status, {"error_code": f"BackupService.{number}", "error_msg": "no"}))

    # A server error after a POST may have come after the change.
    assert type(error) is (UnknownOutcomeError if status == 500 else kind)
    assert str(error).startswith(f"sharing backup {BACKUP} with project {OTHER} (own project {OWN}) failed: no (")
    assert step in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_403_names_the_permission(call: str) -> None:
    body = {"error": {"code": 403, "message": "You are not authorized to perform the requested action"}}

    error = refused(call, Reply(403, body))

    assert type(error) is NotAllowed
    assert f"Ask for the IAM action {ACTIONS[call]}" in str(error)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("APIGW.0202", "run again later, then ask the cloud's support"),
        ("APIGW.0302", "Ask for access to the API"),
        ("APIG.0310", "The project is not available"),
        ("APIGW.0801", "Check the region, or choose another one"),
        ("APIGW.0802", "Check the region, and ask for access to it"),
    ],
)
def test_403_of_the_gateway_has_advice_by_its_code(code: str, advice: str) -> None:
    error = refused("add_members", Reply(403, {"error_code": code, "error_msg": "no"}))

    assert type(error) is NotAllowed
    assert advice in str(error)
    assert "IAM action" not in str(error)


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (Reply(400, {"error_code": "APIGW.0106", "error_msg": "bad"}), "APIGW.0106", "bad"),
        (Reply(400, {"error": {"code": 400, "message": "bad", "title": "Bad Request"}}), "", "bad"),
        (Reply(400, {"errorCode": "X.1", "errorMsg": "bad"}), "X.1", "bad"),
        (Reply(400, {"code": "APIGW.0301", "message": "bad"}), "APIGW.0301", "bad"),
        (Reply(400, {"badRequest": {"code": "400", "message": "bad"}}), "", "bad"),
        (Reply(400, {"error_code": "", "title": "bad"}), "", "bad"),
        (Reply(400, {"error": {"code": 1234, "message": "bad"}}), "1234", "bad"),
        (Reply(400, {"error": "bad"}), "", '{"error": "bad"}'),
        (Reply(400, b"<html><head><title>400 Bad\nRequest</title></head>"), "", "a web page titled `400 Bad Request`"),
        (Reply(400, b"  <p>no title</p>"), "", "a web page"),
        (Reply(400, b""), "", "an empty body"),
        (Reply(400, b"plain words"), "", "plain words"),
        (Reply(400, [1, 2]), "", "[1, 2]"),
        (Reply(400, b"\xff\xfe\x00"), "", "\xff\xfe"),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value.body)[:25],
)
def test_error_bodies(reply: Reply, code: str, said: str) -> None:
    error = refused("show_backup", reply)

    assert isinstance(error, UnexpectedResponseError)
    assert (error.code, error.said) == (code, said)


def test_request_id_of_openstack() -> None:
    error = refused("show_backup", Reply(400, b"", {"X-Openstack-Request-Id": "req-1"}))

    assert isinstance(error, ServiceError)
    assert error.request_id == "req-1"


def test_malformed_url_is_about_the_id_and_no_sign_in() -> None:
    body = {"unauthorized": {"code": "401", "message": "Malformed request url"}}

    error = refused("show_member", Reply(401, body))

    assert type(error) is RejectedUrlError
    assert "Check all IDs" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html><title>404 Not Found</title></html>", {"error_code": "APIGW.0101"}])
@pytest.mark.parametrize("call", ["show_member", "delete_member", "show_backup"])
def test_404_of_a_gateway_is_not_gone(call: str, body: object) -> None:
    error = refused(call, Reply(404, body))

    assert type(error) is (UnknownOutcomeError if call == "delete_member" else UnexpectedResponseError)
    assert "not the service's own `not found`: check cbr:endpoint" in str(error)


@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_the_services_not_found_has_status_404(status: int) -> None:
    error = refused("show_member", Reply(status, {"error_code": "BackupService.6705", "error_msg": "gone"}))

    assert not isinstance(error, NotFound)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_an_error_and_not_followed(status: int) -> None:
    with Server(in_turn(Reply())) as elsewhere:
        error = refused("show_member", Reply(status, b"", {"Location": elsewhere.url}))

    assert type(error) is UnexpectedResponseError
    assert "Redirects are not followed with credentials" in str(error)
    assert elsewhere.seen == []


@pytest.mark.parametrize("location", ["http://[", "\xff", "https://h:x", "//"])
def test_redirect_to_what_is_no_url(location: str) -> None:
    for call, kind in (("show_member", UnexpectedResponseError), ("add_members", UnknownOutcomeError)):
        error = refused(call, Reply(302, b"", {"Location": location}))
        assert type(error) is kind
        assert "Redirects are not followed with credentials" in str(error)


def test_407_names_the_proxy_settings() -> None:
    error = refused("show_member", Reply(407, b"<html>"))

    assert type(error) is ServiceUnavailableError
    assert "HTTPS_PROXY" in str(error)


def test_throttled_for_too_long() -> None:
    error = refused("show_member", Reply(429, {"error_code": "APIGW.0308", "error_msg": "slow down"}))

    assert type(error) is Throttled
    assert "slow down (APIGW.0308, HTTP 429)" in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_long_answers_are_cut(call: str) -> None:
    assert len(str(refused(call, Reply(400, {"code": "c" * 500, "message": "m " * 5000})))) < 800


def test_errors_can_be_pickled() -> None:
    error = refused("show_member", Reply(400, {"code": "X", "message": "no"}))
    assert isinstance(error, ServiceError)

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), again.status, again.code) == (type(error), str(error), 400, "X")


def test_docstring_names_every_error_once() -> None:
    named = re.findall(r"^[ │├└─]+(\w+) {2,}", errors.__doc__ or "", re.MULTILINE)
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CbrError)}

    assert sorted(named) == sorted(name for name in kinds if vars(errors)[name].__name__ == name)


def test_every_code_with_a_class_has_advice() -> None:
    assert set(errors.CLASS_BY_CODE) == set(messages.ADVICE_BY_CODE)
