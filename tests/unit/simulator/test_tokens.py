"""The identity service over HTTP: credentials, scopes, and the life of tokens."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Account, Simulator
from unit.simulator.callers import NOW, Caller, password, sign_in
from waiting import PATIENCE


def credential(account: Account, **changed: Any) -> dict[str, Any]:
    known = {"id": account.application_credential_id, "secret": account.application_credential_secret}
    return {"methods": ["application_credential"], "application_credential": known | changed}


def named_credential(account: Account, **changed: Any) -> dict[str, Any]:
    user = {"name": account.username, "domain": {"name": account.domain_name}}
    known = {"name": account.role, "user": user, "secret": account.application_credential_secret}
    return {"methods": ["application_credential"], "application_credential": known | changed}


Identity = Callable[[Account], dict[str, Any]]


IDENTITIES: dict[str, Identity] = {
    "password by name": password,
    "password by ID": lambda a: {
        "methods": ["password"],
        "password": {"user": {"id": a.user_id, "password": a.password}},
    },
    "password by domain ID": lambda a: password(a, domain={"id": a.domain_id}),
}


SCOPES: dict[str, Identity] = {
    "project by ID": lambda a: {"project": {"id": a.project_id}},
    "project by name": lambda a: {"project": {"name": a.project_name, "domain": {"name": a.domain_name}}},
    "project by name alone": lambda a: {"project": {"name": a.project_name}},
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("identity", IDENTITIES)
def test_sign_in_each_credential_and_scope_gives_token(
    simulator: Simulator, session: requests.Session, identity: str, scope: str
) -> None:
    account = simulator.owner

    answer = sign_in(simulator, session, IDENTITIES[identity](account), SCOPES[scope](account))

    assert answer.status_code == 201
    token = answer.json()["token"]
    assert token["project"]["id"] == account.project_id
    (cbr,) = [entry for entry in token["catalog"] if entry["type"] == "cbr"]
    assert cbr["endpoints"][0]["url"] == f"{simulator.url}/v3/{account.project_id}"
    assert token["expires_at"] == "2020-02-06T10:18:34.209782Z"


def test_sign_in_application_credential_and_token_are_accepted(simulator: Simulator, session: requests.Session) -> None:
    account = simulator.owner
    first = sign_in(simulator, session, credential(account))
    text = first.headers["X-Subject-Token"]
    again = sign_in(
        simulator, session, {"methods": ["token"], "token": {"id": text}}, {"project": {"id": account.project_id}}
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert sign_in(simulator, session, named_credential(account)).status_code == 201
    assert first.json()["token"]["project"] == again.json()["token"]["project"]
    headers = {"X-Auth-Token": text, "X-Subject-Token": text}
    tokens = f"{simulator.url}/v3/auth/tokens"
    assert session.get(tokens, headers=headers, timeout=PATIENCE).json()["token"]["user"]["name"] == "owner"
    assert session.head(tokens, headers=headers, timeout=PATIENCE).status_code == 200
    assert session.delete(tokens, headers=headers, timeout=PATIENCE).status_code == 204
    assert session.head(tokens, headers=headers, timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize(
    ("identity", "scope", "status"),
    [
        (lambda a: password(a, password="wrong"), None, 401),
        (lambda a: password(a, domain={"name": "other"}), None, 401),
        (password, {"project": {"id": "0" * 32}}, 401),
        (password, {"domain": {"name": "other"}}, 401),
        (lambda a: password(a, domain={"id": "other", "name": a.domain_name}), None, 401),
        (lambda a: password(a, id="0" * 32), None, 401),
        (password, {"project": {"id": "0" * 32, "name": "eu-de"}}, 401),
        (password, {"project": {"name": "eu-de", "domain": {"name": "other"}}}, 401),
        (lambda a: credential(a, secret="wrong"), None, 401),
        (lambda a: named_credential(a, name="other"), None, 401),
        (lambda a: named_credential(a, user={"name": "receiver", "domain": {"name": a.domain_name}}), None, 401),
        (lambda a: credential(a), {"project": {"name": "eu-de"}}, 401),
        (
            lambda a: {"methods": ["application_credential"], "application_credential": {"id": "x", "secret": "y"}},
            None,
            401,
        ),
        (lambda a: {"methods": ["token"], "token": {"id": "none"}}, None, 401),
        (lambda a: {"methods": ["totp"]}, None, 400),
        (lambda a: {"methods": [[]]}, None, 400),
        (lambda a: {"methods": ["password"]}, None, 400),
        (lambda a: "me", None, 400),
        (password, "everything", 400),
    ],
)
def test_sign_in_wrong_credentials_are_refused(
    simulator: Simulator, session: requests.Session, identity: Identity, scope: object, status: int
) -> None:
    answer = sign_in(simulator, session, identity(simulator.owner), scope)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_token_unscoped_is_refused_by_cbr(simulator: Simulator, session: requests.Session, owner: Caller) -> None:
    answer = sign_in(simulator, session, password(simulator.owner))

    assert answer.json()["token"]["catalog"] == []
    owner.token = answer.headers["X-Subject-Token"]
    assert owner("GET", "/backups").status_code == 401


def test_identity_lists_versions_and_projects(simulator: Simulator, session: requests.Session, owner: Caller) -> None:
    assert session.get(f"{simulator.url}/v3", timeout=PATIENCE).json()["version"]["id"] == "v3.14"
    assert session.get(f"{simulator.url}/", timeout=PATIENCE).json()["versions"]["values"]
    headers = {"X-Auth-Token": owner.token}
    named = session.get(
        f"{simulator.url}/v3/projects", params={"name": "eu-de"}, headers=headers, timeout=PATIENCE
    ).json()
    assert [project["id"] for project in named["projects"]] == [simulator.owner.project_id]
    other = session.get(f"{simulator.url}/v3/projects", params={"name": "x"}, headers=headers, timeout=PATIENCE)
    assert other.json()["projects"] == []


def test_token_expires_by_the_service_clock(simulator: Simulator, owner: Caller) -> None:
    simulator.advance(86399)
    answer = owner("GET", "/backups")
    assert answer.status_code == 200
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == int(NOW + 86399)

    simulator.advance(1)

    assert "token expires" in owner("GET", "/backups").json()["error_msg"]


def test_token_of_a_token_does_not_outlive_it(simulator: Simulator, owner: Caller) -> None:
    simulator.advance(86000)
    scope = {"project": {"id": simulator.owner.project_id}}
    again = sign_in(simulator, owner.session, {"methods": ["token"], "token": {"id": owner.token}}, scope)
    headers = {"X-Auth-Token": owner.token, "X-Subject-Token": owner.token}
    first = owner.session.get(f"{simulator.url}/v3/auth/tokens", headers=headers, timeout=PATIENCE)

    assert again.json()["token"]["issued_at"] > first.json()["token"]["issued_at"]
    assert again.json()["token"]["expires_at"] == first.json()["token"]["expires_at"]


def test_token_of_another_run_differs(session: requests.Session, tmp_path: Path) -> None:
    def token() -> str:
        with Simulator(state_file=tmp_path / "state.json", now=lambda: NOW) as simulator:
            return Caller(simulator, simulator.owner, session).token

    assert token() != token()


def test_revoke_needs_a_valid_token(simulator: Simulator, owner: Caller) -> None:
    tokens, subject = f"{simulator.url}/v3/auth/tokens", {"X-Subject-Token": owner.token}

    assert owner.session.delete(tokens, headers=subject, timeout=PATIENCE).status_code == 401
    assert owner("GET", "/backups").status_code == 200


def test_revoke_all_refuses_every_token(simulator: Simulator, owner: Caller) -> None:
    simulator.revoke_tokens()

    assert owner("GET", "/backups").status_code == 401
