"""Shares that Huawei Cloud's own SDK made: the command lists them as they are, and they are adopted as they are."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from huaweicloudsdkcbr.v1 import (
    AddMemberRequest,
    AddMembersReq,
    DeleteMemberRequest,
    UpdateMember,
    UpdateMemberStatusRequest,
)

from faults.bare_engine import Resource, Run
from pulumi_cbr import __main__ as command
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in

from .sdk import WARNINGS, connected

pytestmark = WARNINGS

#: Run `shares` with these arguments as a role, and return what it printed.
Shares = Callable[..., str]


@pytest.fixture
def shares(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shares:
    def run(*arguments: str, role: str = "owner") -> str:
        sign_in(monkeypatch, cbr_simulator.env(role))
        monkeypatch.setattr("sys.argv", ["pulumi_cbr", "shares", *arguments])
        assert command.main() == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def made(cbr_simulator: Simulator) -> list[tuple[str, str, str]]:
    """Share with the SDK, as owner and receiver: backup, project and status of each."""
    owner, receiver = (connected(cbr_simulator.access_key_env(role)) for role in ("owner", "receiver"))
    one, two, three = (backup.id for backup in cbr_simulator.backups[:3])
    own, other = cbr_simulator.receiver.project_id, cbr_simulator.projects[3]
    for backup_id in (one, two, three):
        owner.add_member(AddMemberRequest(backup_id, AddMembersReq([own, other])))
    for backup_id, decision in (
        (one, UpdateMember("accepted", cbr_simulator.vaults[0].id)),
        (two, UpdateMember("rejected")),
    ):
        receiver.update_member_status(UpdateMemberStatusRequest(member_id=own, backup_id=backup_id, body=decision))
    owner.delete_member(DeleteMemberRequest(member_id=other, backup_id=three))
    return sorted(
        [
            (one, own, "accepted"),
            (one, other, "pending"),
            (two, own, "rejected"),
            (two, other, "pending"),
            (three, own, "pending"),
        ]
    )


def test_shares_lists_what_the_sdk_made(
    cbr_simulator: Simulator, shares: Shares, made: list[tuple[str, str, str]]
) -> None:
    records = json.loads(shares("--json"))["shares"]
    listed = [(record["backup_id"], record["dest_project_id"], record["status"]) for record in records]
    assert sorted(listed) == made
    for record in records:
        member = cbr_simulator.members(record["backup_id"])[record["dest_project_id"]]
        assert (record["share_id"], record["dest_vault_id"]) == (member.id, member.vault_id)
    received = json.loads(shares("--received", "--json", role="receiver"))["shares"]
    # A receiver is told no more of what it rejected.
    assert sorted(record["status"] for record in received) == ["accepted", "pending"]


def test_shares_of_the_sdk_are_adopted_untouched(
    cbr_simulator: Simulator, shares: Shares, made: list[tuple[str, str, str]]
) -> None:
    ids = [entry["id"] for entry in json.loads(shares("--adopt", "import"))["resources"]]
    assert sorted(ids) == sorted(f"{backup_id}/{project}" for backup_id, project, _ in made)
    before = {backup.id: cbr_simulator.members(backup.id) for backup in cbr_simulator.backups}
    cbr_simulator.clear_calls()
    hooks = Run({"maxRetries": "0"})
    for id_ in ids:
        backup_id, _, project = id_.partition("/")
        member = Resource("BackupShareMember", backup_id=backup_id, dest_project_id=project, adopt_existing=True)
        member.up(hooks)
    assert {backup.id: cbr_simulator.members(backup.id) for backup in cbr_simulator.backups} == before
    assert cbr_simulator.count("DELETE") == 0
