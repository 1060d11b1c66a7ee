"""The CBR API over HTTP: paths, permissions, bodies, and the shapes of responses."""

from __future__ import annotations

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from unit.simulator.callers import Caller, password, sign_in
from waiting import PATIENCE


def test_member_times_have_the_two_documented_forms(simulator: Simulator, owner: Caller) -> None:
    path, project = f"/backups/{simulator.backups[0].id}/members", simulator.projects[0]

    added = owner("POST", path, json={"members": [project]}).json()
    shown = owner("GET", f"{path}/{project}").json()["member"]

    assert added["count"] == 1
    assert set(shown) == {"status", "created_at", "backup_id", "dest_project_id", "id"}
    assert added["members"][0]["created_at"] == "2020-02-05T10:18:34.209782"
    assert shown["created_at"] == "2020-02-05T10:18:34.209+00:00"


def test_add_bare_answer_is_one_member(session: requests.Session) -> None:
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
def test_path_malformed_id_gets_401(simulator: Simulator, owner: Caller, path: str) -> None:
    answer = owner("GET", path.replace("{b}", simulator.backups[0].id))

    assert answer.status_code == 401
    assert answer.json() == {"unauthorized": {"code": "401", "message": "Malformed request url"}}


@pytest.mark.parametrize("path", ["/v2", "/v3/x/y", "/v3//backups/", "/%ff", "/v3/%F0%9F/backups/a/b/c/d"])
def test_path_unknown_gets_404(simulator: Simulator, session: requests.Session, path: str) -> None:
    answer = session.get(simulator.url + path, timeout=PATIENCE)

    assert answer.status_code in (401, 404)
    assert "error_code" in answer.json() or "unauthorized" in answer.json()


def test_call_without_right_token_or_permission_is_refused(
    simulator: Simulator, owner: Caller, receiver: Caller
) -> None:
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
def test_action_denied_is_refused_and_no_other(
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
        assert session.post(f"{simulator.url}/_simulator/deny", json=wanted, timeout=PATIENCE).status_code == 200
    assert [action for action in ACTIONS if call(action) == 403] == [denied]

    session.post(f"{simulator.url}/_simulator/allow_all", timeout=PATIENCE)
    assert [action for action in ACTIONS if call(action) == 403] == []


def test_header_of_another_project_is_refused(simulator: Simulator, owner: Caller) -> None:
    statuses = [
        owner("GET", "/backups", headers={"X-Project-Id": account.project_id}).status_code
        for account in (simulator.owner, simulator.receiver)
    ]

    assert statuses == [200, 401]


def test_backup_id_in_capitals_is_accepted(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    path, project = f"/backups/{simulator.backups[0].id.upper()}", simulator.receiver.project_id
    accepted = {"status": "accepted", "vault_id": simulator.vaults[0].id.upper()}

    assert owner("POST", f"{path}/members", json={"members": [project]}).status_code == 200
    assert owner("GET", f"{path}/members").json()["count"] == 1
    assert owner("GET", f"{path}/members/{project}").status_code == 200
    shared = receiver("PUT", f"{path}/members/{project}", json=accepted)
    assert shared.json()["member"]["vault_id"] == simulator.vaults[0].id
    assert owner("GET", path).json()["backup"]["id"] == simulator.backups[0].id
    assert owner("DELETE", f"{path}/members/{project}").status_code == 204


def test_update_accepts_and_rejects_for_the_receiver_only(
    simulator: Simulator, owner: Caller, receiver: Caller
) -> None:
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
def test_body_malformed_is_refused(
    simulator: Simulator, owner: Caller, receiver: Caller, method: str, body: bytes
) -> None:
    backup, project = simulator.backups[0].id, simulator.receiver.project_id
    path = f"/backups/{backup}/members" + (f"/{project}" if method == "PUT" else "")
    simulator.share(backup, project)

    answer = (receiver if method == "PUT" else owner)(method, path, data=body)

    assert (answer.status_code, answer.json()["error_code"]) in [
        (400, "BackupService.9900"),
        (400, "BackupService.6706"),
    ]


@pytest.mark.parametrize("path", ["/v3/auth/tokens", "/_simulator/faults", "/_simulator/share"])
def test_body_nested_too_deep_is_refused(simulator: Simulator, session: requests.Session, path: str) -> None:
    assert session.post(simulator.url + path, data=DEEP, timeout=PATIENCE).status_code == 400
