"""The wire: signing in, who may call what, shapes of answers and errors, lists, the clock, connections."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Account, Simulator
from pulumi_cbr.simulator.http_server import HttpServer
from pulumi_cbr.simulator.models import DISK

NOW = 1_580_897_914.209782


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(now=lambda: NOW) as simulator:
        yield simulator


@pytest.fixture
def session(cbr_simulator: Simulator) -> Iterator[requests.Session]:
    # cbr_simulator is asked for its clean environment: no proxies.
    with requests.Session() as session:
        yield session


class Caller:
    """Somebody with a token who calls the API in its own project."""

    def __init__(self, simulator: Simulator, account: Account, session: requests.Session) -> None:
        self.base = f"{simulator.url}/v3/{account.project_id}"
        self.session = session
        scope = {"project": {"id": account.project_id}}
        answer = sign_in(simulator, session, password(account), scope)
        self.token = answer.headers["X-Subject-Token"]

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        return self.session.request(method, self.base + path, headers=headers, timeout=5, **more)


@pytest.fixture
def owner(simulator: Simulator, session: requests.Session) -> Caller:
    return Caller(simulator, simulator.owner, session)


@pytest.fixture
def receiver(simulator: Simulator, session: requests.Session) -> Caller:
    return Caller(simulator, simulator.receiver, session)


def password(account: Account, **changed: Any) -> dict[str, Any]:
    user = {"name": account.username, "domain": {"name": account.domain_name}, "password": account.password}
    return {"methods": ["password"], "password": {"user": user | changed}}


def sign_in(
    simulator: Simulator, session: requests.Session, identity: object, scope: object = None
) -> requests.Response:
    auth: dict[str, Any] = {"identity": identity}
    if scope is not None:
        auth["scope"] = scope
    return session.post(f"{simulator.url}/v3/auth/tokens", json={"auth": auth}, timeout=5)


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
def test_sign_in(simulator: Simulator, session: requests.Session, identity: str, scope: str) -> None:
    account = simulator.owner

    answer = sign_in(simulator, session, IDENTITIES[identity](account), SCOPES[scope](account))

    assert answer.status_code == 201
    token = answer.json()["token"]
    assert token["project"]["id"] == account.project_id
    (cbr,) = [entry for entry in token["catalog"] if entry["type"] == "cbr"]
    assert cbr["endpoints"][0]["url"] == f"{simulator.url}/v3/{account.project_id}"
    assert token["expires_at"] == "2020-02-06T10:18:34.209782Z"


def test_sign_in_with_application_credential_and_token(simulator: Simulator, session: requests.Session) -> None:
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
    assert session.get(tokens, headers=headers, timeout=5).json()["token"]["user"]["name"] == "owner"
    assert session.head(tokens, headers=headers, timeout=5).status_code == 200
    assert session.delete(tokens, headers=headers, timeout=5).status_code == 204
    assert session.head(tokens, headers=headers, timeout=5).status_code == 401


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
def test_sign_in_refused(
    simulator: Simulator, session: requests.Session, identity: Identity, scope: object, status: int
) -> None:
    answer = sign_in(simulator, session, identity(simulator.owner), scope)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_unscoped_token_is_not_enough(simulator: Simulator, session: requests.Session, owner: Caller) -> None:
    answer = sign_in(simulator, session, password(simulator.owner))

    assert answer.json()["token"]["catalog"] == []
    owner.token = answer.headers["X-Subject-Token"]
    assert owner("GET", "/backups").status_code == 401


def test_versions_and_projects(simulator: Simulator, session: requests.Session, owner: Caller) -> None:
    assert session.get(f"{simulator.url}/v3", timeout=5).json()["version"]["id"] == "v3.14"
    assert session.get(f"{simulator.url}/", timeout=5).json()["versions"]["values"]
    headers = {"X-Auth-Token": owner.token}
    named = session.get(f"{simulator.url}/v3/projects", params={"name": "eu-de"}, headers=headers, timeout=5).json()
    assert [project["id"] for project in named["projects"]] == [simulator.owner.project_id]
    other = session.get(f"{simulator.url}/v3/projects", params={"name": "x"}, headers=headers, timeout=5)
    assert other.json()["projects"] == []


def test_add_answers_with_microseconds_and_show_with_milliseconds(simulator: Simulator, owner: Caller) -> None:
    path, project = f"/backups/{simulator.backups[0].id}/members", simulator.projects[0]

    added = owner("POST", path, json={"members": [project]}).json()
    shown = owner("GET", f"{path}/{project}").json()["member"]

    assert added["count"] == 1
    assert set(shown) == {"status", "created_at", "backup_id", "dest_project_id", "id"}
    assert added["members"][0]["created_at"] == "2020-02-05T10:18:34.209782"
    assert shown["created_at"] == "2020-02-05T10:18:34.209+00:00"


SWITCHES: dict[str, dict[str, Any]] = {
    "bare": {"bare_add_answer": True},
    "accepted": {"accept_after_reads": 1},
    "plain": {"catalogue_with_project": False},
    "life": {"token_life": 60.0},
    "disk": {"disk_allowed": True},
    "page": {"page_size": 2},
    "members": {"backups_with_members": True},
}


@pytest.mark.parametrize("switch", [None, *SWITCHES])
def test_switch_changes_its_effect_and_no_other(session: requests.Session, switch: str | None) -> None:
    with Simulator(**SWITCHES.get(switch or "", {})) as simulator:
        owner, receiver, backups = simulator.owner, simulator.projects[0], simulator.backups
        simulator.set_backup(backups[1].id, resource_type=DISK)
        scope = {"project": {"id": owner.project_id}}
        body = sign_in(simulator, session, password(owner), scope).json()["token"]
        life = datetime.fromisoformat(body["expires_at"][:-1]) - datetime.fromisoformat(body["issued_at"][:-1])
        ask = Caller(simulator, owner, session)
        first, disk = (f"/backups/{backup.id}/members" for backup in backups[:2])
        added = ask("POST", first, json={"members": [receiver]}).json()
        ask("GET", first)
        listed = ask("GET", "/backups").json()["backups"]
        seen = {
            "bare": "members" not in added,
            "accepted": ask("GET", first).json()["members"][0]["status"] == "accepted",
            "plain": body["catalog"][1]["endpoints"][0]["url"] == simulator.url,
            "life": life.total_seconds() == 60,
            "disk": "error_code" not in ask("POST", disk, json={"members": [receiver]}).json(),
            "page": len(listed) == 2,
            "members": "members" in listed[0],
        }

    assert seen == {name: name == switch for name in SWITCHES}


def test_bare_add_answer(session: requests.Session) -> None:
    with Simulator(bare_add_answer=True, catalogue_with_project=False, regions=("eu-nl", "eu-de")) as simulator:
        owner, project = Caller(simulator, simulator.owner, session), simulator.projects[0]
        added = owner("POST", f"/backups/{simulator.backups[0].id}/members", json={"members": [project]}).json()
        catalogue = sign_in(
            simulator, session, password(simulator.owner), {"project": {"id": simulator.owner.project_id}}
        ).json()["token"]["catalog"]

    assert added["dest_project_id"] == project
    assert [(e["region"], e["url"]) for e in catalogue[1]["endpoints"]] == [
        ("eu-nl", simulator.url),
        ("eu-de", simulator.url),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/backups/x",
        "/backups/x/members",
        "/backups/{b}/members/x",
        "/backups/{b}/members/%2e%2e",
        "/backups/{b}%0a/members",
    ],
)
def test_malformed_path_ids(simulator: Simulator, owner: Caller, path: str) -> None:
    answer = owner("GET", path.replace("{b}", simulator.backups[0].id))

    assert answer.status_code == 401
    assert answer.json() == {"unauthorized": {"code": "401", "message": "Malformed request url"}}


@pytest.mark.parametrize("path", ["/v2", "/v3/x/y", "/v3//backups/", "/%ff", "/v3/%F0%9F/backups/a/b/c/d"])
def test_unknown_path(simulator: Simulator, session: requests.Session, path: str) -> None:
    answer = session.get(simulator.url + path, timeout=5)

    assert answer.status_code in (401, 404)
    assert "error_code" in answer.json() or "unauthorized" in answer.json()


def test_who_may_not_call(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    right = owner.token
    for token in ("", "unknown", receiver.token):
        owner.token = token
        answer = owner("GET", "/backups")
        assert (answer.status_code, answer.json()["error_code"]) == (401, "APIGW.0301")
    owner.token = right
    simulator.deny("cbr:backups:list")
    answer = owner("GET", "/backups")
    assert (answer.status_code, answer.json()["error"]["title"]) == (403, "Forbidden")
    simulator.allow_all()
    assert owner("GET", "/backups").status_code == 200


#: Each action, and the call that needs it; ``{b}`` is a backup of the owner's, ``{p}`` its receiver's project.
ACTIONS: dict[str, tuple[str, str]] = {
    "cbr:backups:list": ("GET", "/backups"),
    "cbr:backups:get": ("GET", "/backups/{b}"),
    "cbr:member:create": ("POST", "/backups/{b}/members"),
    "cbr:member:list": ("GET", "/backups/{b}/members"),
    "cbr:member:get": ("GET", "/backups/{b}/members/{p}"),
    "cbr:member:update": ("PUT", "/backups/{b}/members/{p}"),
    "cbr:member:delete": ("DELETE", "/backups/{b}/members/{p}"),
    "cbr:vaults:list": ("GET", "/vaults"),
    "cbr:vaults:get": ("GET", "/vaults/{b}"),
}


@pytest.mark.parametrize("denied", ACTIONS)
def test_a_denied_action_is_refused_and_no_other(
    simulator: Simulator, owner: Caller, receiver: Caller, session: requests.Session, denied: str
) -> None:
    backup, project = simulator.backups[0].id, simulator.receiver.project_id

    def call(action: str) -> int:
        method, path = ACTIONS[action]
        caller = receiver if action == "cbr:member:update" else owner
        body = {"members": [project], "status": "pending"}
        return caller(method, path.replace("{b}", backup).replace("{p}", project), json=body).status_code

    for role in ("owner", "receiver"):
        wanted = {"action": denied, "role": role}
        assert session.post(f"{simulator.url}/_simulator/deny", json=wanted, timeout=5).status_code == 200
    assert [action for action in ACTIONS if call(action) == 403] == [denied]

    session.post(f"{simulator.url}/_simulator/allow_all", timeout=5)
    assert [action for action in ACTIONS if call(action) == 403] == []


def test_another_project_in_the_header(simulator: Simulator, owner: Caller) -> None:
    statuses = [
        owner("GET", "/backups", headers={"X-Project-Id": account.project_id}).status_code
        for account in (simulator.owner, simulator.receiver)
    ]

    assert statuses == [200, 401]


def test_ids_of_backups_in_capitals(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    path, project = f"/backups/{simulator.backups[0].id.upper()}", simulator.receiver.project_id
    accepted = {"status": "accepted", "vault_id": simulator.vaults[0].id.upper()}

    assert owner("POST", f"{path}/members", json={"members": [project]}).status_code == 200
    assert owner("GET", f"{path}/members").json()["count"] == 1
    assert owner("GET", f"{path}/members/{project}").status_code == 200
    shared = receiver("PUT", f"{path}/members/{project}", json=accepted)
    assert shared.json()["member"]["vault_id"] == simulator.vaults[0].id
    assert owner("GET", path).json()["backup"]["id"] == simulator.backups[0].id
    assert owner("DELETE", f"{path}/members/{project}").status_code == 204


def test_tokens_expire_by_the_services_clock(simulator: Simulator, owner: Caller) -> None:
    simulator.advance(86399)
    answer = owner("GET", "/backups")
    assert answer.status_code == 200
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == int(NOW + 86399)

    simulator.advance(1)

    assert "token expires" in owner("GET", "/backups").json()["error_msg"]


def test_a_token_got_by_a_token_does_not_outlive_it(simulator: Simulator, owner: Caller) -> None:
    simulator.advance(86000)
    scope = {"project": {"id": simulator.owner.project_id}}
    again = sign_in(simulator, owner.session, {"methods": ["token"], "token": {"id": owner.token}}, scope)
    headers = {"X-Auth-Token": owner.token, "X-Subject-Token": owner.token}
    first = owner.session.get(f"{simulator.url}/v3/auth/tokens", headers=headers, timeout=5)

    assert again.json()["token"]["issued_at"] > first.json()["token"]["issued_at"]
    assert again.json()["token"]["expires_at"] == first.json()["token"]["expires_at"]


def test_tokens_of_two_runs_over_one_file_differ(session: requests.Session, tmp_path: Path) -> None:
    def token() -> str:
        with Simulator(state_file=tmp_path / "state.json", now=lambda: NOW) as simulator:
            return Caller(simulator, simulator.owner, session).token

    assert token() != token()


def test_revoking_a_token_takes_one(simulator: Simulator, owner: Caller) -> None:
    tokens, subject = f"{simulator.url}/v3/auth/tokens", {"X-Subject-Token": owner.token}

    assert owner.session.delete(tokens, headers=subject, timeout=5).status_code == 401
    assert owner("GET", "/backups").status_code == 200


def test_revoked_tokens(simulator: Simulator, owner: Caller) -> None:
    simulator.revoke_tokens()

    assert owner("GET", "/backups").status_code == 401


def test_accept_and_reject(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    backup, project = simulator.backups[0].id, simulator.receiver.project_id
    path = f"/backups/{backup}/members/{project}"
    simulator.share(backup, project)

    accepted = receiver("PUT", path, json={"status": "accepted", "vault_id": simulator.vaults[0].id})
    rejected = receiver("PUT", path, json={"status": "rejected"})
    by_owner = owner("PUT", path, json={"status": "accepted", "vault_id": simulator.vaults[0].id})
    wrapped = receiver("PUT", path, json={"member": {"status": "accepted"}})

    assert accepted.json()["member"]["vault_id"] == simulator.vaults[0].id
    assert "vault_id" not in rejected.json()["member"]
    assert by_owner.json()["error_code"] == "BackupService.6200"
    assert wrapped.json()["error_code"] == "BackupService.6706"


DEEP = b'{"members":' * 50_000


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"members": {}}', b"\xff", b'{"members": [null]}', DEEP])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_bodies_that_are_none(simulator: Simulator, owner: Caller, receiver: Caller, method: str, body: bytes) -> None:
    backup, project = simulator.backups[0].id, simulator.receiver.project_id
    path = f"/backups/{backup}/members" + (f"/{project}" if method == "PUT" else "")
    simulator.share(backup, project)

    answer = (receiver if method == "PUT" else owner)(method, path, data=body)

    assert (answer.status_code, answer.json()["error_code"]) in [
        (400, "BackupService.9900"),
        (400, "BackupService.6706"),
    ]


@pytest.mark.parametrize("path", ["/v3/auth/tokens", "/_simulator/faults", "/_simulator/share"])
def test_bodies_that_are_nested_too_deep(simulator: Simulator, session: requests.Session, path: str) -> None:
    assert session.post(simulator.url + path, data=DEEP, timeout=5).status_code == 400


QUERIES: list[tuple[str, list[int]]] = [
    ("", [5, 4, 3, 2, 1, 0]),
    ("limit=2", [5, 4]),
    ("limit=2&offset=3", [2, 1]),
    ("limit=2&marker={3}", [2, 1]),
    ("offset=6", []),
    ("sort=name:asc&limit=1", [0]),
    ("sort=status:asc,name:desc", [5, 4, 3, 1, 0, 2]),
    ("name=backup-003", [3]),
    ("resource_id={r4}", [4]),
    ("status=error", [2]),
    ("resource_type=OS::Cinder::Volume", [1]),
    ("own_type=shared", []),
    ("own_type=all_granted&limit=1", [5]),
    ("member_status=pending", []),
    ("unknown=1&limit=1", [5]),
]


@pytest.mark.parametrize(("query", "numbers"), QUERIES)
def test_list_backups(session: requests.Session, query: str, numbers: list[int]) -> None:
    with Simulator(backups=6) as simulator:
        backups = simulator.backups
        simulator.set_backup(backups[2].id, status="error")
        simulator.set_backup(backups[1].id, resource_type=DISK)
        asked = query.replace("{3}", backups[3].id).replace("{r4}", backups[4].resource_id)
        answer = Caller(simulator, simulator.owner, session)("GET", f"/backups?{asked}").json()

    assert [int(entry["name"][-3:]) for entry in answer["backups"]] == numbers


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=-1",
        "offset=-1",
        "marker=x",
        "sort=x",
        "sort=name:up",
        "sort=" + "a" * 256,
        "limit=²",
    ],
)
@pytest.mark.parametrize("path", ["/backups", "/backups/{b}/members"])
def test_list_refuses_wrong_queries(simulator: Simulator, owner: Caller, path: str, query: str) -> None:
    answer = owner("GET", f"{path}?{query}".replace("{b}", simulator.backups[0].id))

    assert answer.json()["error_code"] == "BackupService.9900"


def test_list_members_filters_and_pages(session: requests.Session) -> None:
    with Simulator(page_size=4) as simulator:
        owner, backup = Caller(simulator, simulator.owner, session), simulator.backups[0].id
        for project in simulator.projects[:6]:
            simulator.share(backup, project)
        vault = simulator.accept(backup, simulator.projects[0]).vault_id
        image = simulator.register_image(backup, simulator.projects[1])

        def found(query: str) -> tuple[int, list[int]]:
            answer = owner("GET", f"/backups/{backup}/members?{query}").json()
            return answer["count"], [simulator.projects.index(m["dest_project_id"]) for m in answer["members"]]

        last = simulator.members(backup)[simulator.projects[3]].id
        assert found("") == (6, [0, 1, 2, 3])
        assert found("offset=4") == (6, [4, 5])
        assert found(f"marker={last}&limit=1") == (6, [4])
        assert found("limit=1000") == (6, [0, 1, 2, 3])
        assert found("status=pending") == (4, [2, 3, 4, 5])
        assert found(f"vault_id={vault}") == (1, [0])
        assert found(f"image_id={image}") == (1, [1])
        assert found(f"dest_project_id={simulator.projects[5]}") == (1, [5])


VAULTS: list[tuple[str, list[str]]] = [
    ("", ["servers", "disks", "locked", "full"]),
    ("name=disks", ["disks"]),
    ("object_type=server", ["servers", "locked", "full"]),
    ("object_type=server&status=available&limit=1", ["servers"]),
    ("limit=2&offset=1", ["disks", "locked"]),
    ("protect_type=replication", []),
]


@pytest.mark.parametrize(("query", "names"), VAULTS)
def test_list_vaults(simulator: Simulator, receiver: Caller, query: str, names: list[str]) -> None:
    assert [vault["name"] for vault in receiver("GET", f"/vaults?{query}").json()["vaults"]] == names


def test_list_vaults_refuses_wrong_limit(receiver: Caller) -> None:
    assert receiver("GET", "/vaults?limit=0").json()["error_code"] == "BackupService.9900"


def test_vault_has_what_is_stored_in_it(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    backup = simulator.backups[0]
    simulator.share(backup.id, simulator.receiver.project_id, "accepted")

    vault = receiver("GET", f"/vaults/{simulator.vaults[0].id.upper()}").json()["vault"]
    (own,) = owner("GET", "/vaults").json()["vaults"]

    assert (vault["name"], vault["project_id"]) == ("servers", simulator.receiver.project_id)
    assert (vault["billing"]["used"], vault["billing"]["size"]) == (40, 1_000_000)
    assert [resource["name"] for resource in vault["resources"]] == [backup.resource_name]
    assert (own["id"], own["billing"]["used"], len(own["resources"])) == (backup.vault_id, 480, 12)


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_vault_of_others_does_not_exist(simulator: Simulator, owner: Caller, whose: str) -> None:
    vault = simulator.vaults[0].id if whose == "another's" else "0" * 8 + "-0000" * 3 + "-" + "0" * 12

    answer = owner("GET", f"/vaults/{vault}")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "BackupService.6105")


def test_backups_with_members_lists_them(session: requests.Session) -> None:
    with Simulator(backups=2, backups_with_members=True) as simulator:
        for project in simulator.projects[:2]:
            simulator.share(simulator.backups[0].id, project)
        owner = Caller(simulator, simulator.owner, session)("GET", "/backups?sort=name:asc").json()
        receiver = Caller(simulator, simulator.receiver, session)("GET", "/backups?own_type=shared").json()

    projects = [[member["dest_project_id"] for member in backup["members"]] for backup in owner["backups"]]
    assert projects == [simulator.projects[:2], []]
    assert [member["dest_project_id"] for member in receiver["backups"][0]["members"]] == simulator.projects[:1]


def test_receiver_lists_what_is_shared(simulator: Simulator, receiver: Caller) -> None:
    for number in (1, 2):
        simulator.share(simulator.backups[number].id, simulator.receiver.project_id)
    simulator.accept(simulator.backups[2].id, simulator.receiver.project_id)

    assert receiver("GET", "/backups").json()["count"] == 0
    assert receiver("GET", "/backups?own_type=shared").json()["count"] == 2
    accepted = receiver("GET", "/backups?own_type=all_granted&member_status=accepted").json()["backups"]
    assert [entry["id"] for entry in accepted] == [simulator.backups[2].id]
    shown = receiver("GET", f"/backups/{simulator.backups[1].id}").json()["backup"]
    assert shown["project_id"] == simulator.owner.project_id


def test_calls_are_recorded(simulator: Simulator, owner: Caller) -> None:
    simulator.clear_calls()
    owner("GET", "/backups?limit=1", headers={"User-Agent": "test/1"})
    requests.get(f"{simulator.url}/_simulator/calls", timeout=5)

    (call,) = simulator.calls
    assert (call.method, call.status, call.query, call.user_agent) == ("GET", 200, "limit=1", "test/1")
    assert (simulator.count("GET", "/backups$"), simulator.count("*"), simulator.count("POST")) == (1, 1, 0)


def test_connection_is_kept_and_every_answer_has_an_id(simulator: Simulator, owner: Caller) -> None:
    answers = [owner("GET", "/backups?limit=1", stream=True) for _ in range(2)]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert "Connection" not in answers[0].headers


def raw_connection(simulator: Simulator) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(simulator.url.rpartition(":")[2])), timeout=5)


def test_trailers_are_part_of_their_request(simulator: Simulator) -> None:
    head = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    last = "GET /v3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with raw_connection(simulator) as raw:
        raw.sendall(f"{head}2\r\n{{}}\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n{last}".encode())
        answers = raw.makefile("rb").read()

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200"]


@pytest.mark.parametrize("framing", ["Content-Length: 99\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n63\r\n"])
def test_half_a_request_is_not_carried_out(simulator: Simulator, owner: Caller, framing: str) -> None:
    backup = simulator.backups[0].id
    body = json.dumps({"members": simulator.projects[:1]})
    path = owner.base[len(simulator.url) :] + f"/backups/{backup}/members"
    with raw_connection(simulator) as raw:
        raw.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {owner.token}\r\n{framing}{body}".encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1) == b""

    assert simulator.members(backup) == {}


def test_stop_ends_a_connection_whose_thread_does_not_run_yet(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, go_on = threading.Event(), threading.Event()
    serve = HttpServer.process_request_thread

    def late(self: HttpServer, *arguments: Any) -> None:
        accepted.set()
        go_on.wait(5)
        serve(self, *arguments)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        go_on.set()
        wait(self, timeout)

    wait = threading.Thread.join
    monkeypatch.setattr(HttpServer, "process_request_thread", late)
    monkeypatch.setattr(threading.Thread, "join", join)
    with raw_connection(simulator) as raw:
        accepted.wait(5)
        simulator.stop()
        go_on.set()
        with suppress(OSError):
            raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(1) == b""


def test_raw_requests_are_answered_not_broken_off(simulator: Simulator) -> None:
    def ask(text: str) -> str:
        with raw_connection(simulator) as raw:
            raw.sendall(text.encode())
            return raw.makefile("r", encoding="latin-1").readline().strip()

    chunked = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert ask(chunked) == "HTTP/1.1 400 Bad Request"
    assert ask("BREW / HTTP/1.1\r\nHost: x\r\n\r\n") == "HTTP/1.1 404 Not Found"
    assert ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n").startswith("HTTP/1.1 413")
    assert ask(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {'1' * 5000}\r\n\r\n").startswith("HTTP/1.1 413")
    assert ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n").startswith("HTTP/1.1 413")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]", "[::1]:80"])
def test_steering_from_this_machine(simulator: Simulator, session: requests.Session, host: str) -> None:
    assert session.get(f"{simulator.url}/_simulator", headers={"Host": host}, timeout=5).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", "x@localhost"])
def test_steering_is_refused_to_other_hosts(simulator: Simulator, session: requests.Session, host: str) -> None:
    assert session.get(f"{simulator.url}/_simulator", headers={"Host": host}, timeout=5).status_code == 403


#: Headers that a browser adds to a request of a page, and whether the page is the simulator's own.
PAGES: list[tuple[dict[str, str], bool]] = [
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://127.0.0.1:1"}, False),
    ({"Origin": "{url}.evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "{url}", "Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
]


@pytest.mark.parametrize(("headers", "allowed"), PAGES)
def test_steering_is_refused_to_pages_of_others(
    simulator: Simulator, owner: Caller, headers: dict[str, str], allowed: bool
) -> None:
    headers = {name: value.replace("{url}", simulator.url) for name, value in headers.items()}
    # A form can be sent across sites without asking first, as plain text.
    form = {"Content-Type": "text/plain", **headers}
    denied = owner.session.post(
        f"{simulator.url}/_simulator/deny", data='{"action": "cbr:backups:list"}', headers=form, timeout=5
    )

    assert denied.status_code == (200 if allowed else 403)
    assert owner("GET", "/backups").status_code == (403 if allowed else 200)


def test_steering(simulator: Simulator, session: requests.Session) -> None:
    def post(step: str, **body: object) -> requests.Response:
        return session.post(f"{simulator.url}/_simulator/{step}", json=body, timeout=5)

    pair = {"backup_id": simulator.backups[0].id, "project_id": simulator.receiver.project_id}
    assert post("share", **pair).json()["status"] == "pending"
    assert post("accept", **pair).json()["vault_id"] == simulator.vaults[0].id
    assert post("reject", **pair).json()["status"] == "rejected"
    assert post("withdraw", **pair).status_code == 200
    assert post("withdraw", **pair).json()["error_code"] == "BackupService.6705"
    assert post("share", **pair, status="accepted").json()["status"] == "accepted"
    assert post("register_image", **pair).json()["image_id"]
    assert post("advance", seconds=60).json()["now"] == NOW + 60
    assert post("advance", seconds="x").status_code == 400
    assert post("revoke_tokens").status_code == 200
    assert post("deny", action="cbr:member:list", role="nobody").status_code == 400
    assert post("deny").status_code == 400
    assert post("explode").status_code == 404
    assert post("share").status_code == 400
    there = session.get(f"{simulator.url}/_simulator", timeout=5).json()
    assert there["backups"][0]["members"][0]["status"] == "accepted"
    assert session.get(f"{simulator.url}/_simulator/env/nobody", timeout=5).status_code == 404


def test_latency_is_waited_side_by_side(session: requests.Session) -> None:
    with Simulator(latency=0.2) as simulator:
        threads = [
            threading.Thread(target=requests.get, args=(simulator.url,), kwargs={"timeout": 5}) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        calls = simulator.calls

    assert len(calls) == 4
    assert max(call.started for call in calls) < min(call.finished for call in calls)


def test_restart_keeps_port_shares_and_tokens(simulator: Simulator, owner: Caller) -> None:
    url = simulator.url
    simulator.share(simulator.backups[0].id, simulator.projects[0])

    simulator.restart()

    assert simulator.url == url
    assert owner("GET", f"/backups/{simulator.backups[0].id}/members").json()["count"] == 1


def test_port_that_is_taken(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="in use"), Simulator(port=int(simulator.url.rpartition(":")[2])):
        pass


def test_failing_start_lets_go_of_the_state_file(simulator: Simulator, tmp_path: Path) -> None:
    port = int(simulator.url.rpartition(":")[2])
    other = Simulator(port=port, state_file=tmp_path / "state.json")
    with pytest.raises(OSError, match="in use"):
        other.start()

    with Simulator(state_file=tmp_path / "state.json") as third:
        assert third.backups


def test_starting_again_takes_up_what_another_has_done(tmp_path: Path) -> None:
    first = Simulator(state_file=tmp_path / "state.json").start()
    backup, projects = first.backups[0].id, first.projects[:2]
    first.stop()
    with Simulator(state_file=tmp_path / "state.json") as second:
        second.share(backup, projects[0])

    with first:
        first.share(backup, projects[1])

    with Simulator(state_file=tmp_path / "state.json") as second:
        assert list(second.members(backup)) == projects
