"""Shares that other clients made: the command lists them as they are, and they are adopted as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
from waiting import PATIENCE

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


def share_with_huawei(simulator: Simulator, one: str, two: str, three: str) -> None:
    """Share three backups with two projects, then accept, reject and withdraw one each."""
    owner, receiver = (connected(simulator.access_key_env(role)) for role in ("owner", "receiver"))
    own, other, vault = simulator.receiver.project_id, simulator.projects[3], simulator.vaults[0].id
    for backup_id in (one, two, three):
        owner.add_member(AddMemberRequest(backup_id, AddMembersReq([own, other])))
    for backup_id, decision in (
        (one, UpdateMember("accepted", vault)),
        (two, UpdateMember("rejected")),
    ):
        receiver.update_member_status(UpdateMemberStatusRequest(member_id=own, backup_id=backup_id, body=decision))
    owner.delete_member(DeleteMemberRequest(member_id=other, backup_id=three))


def share_with_otcextensions(simulator: Simulator, one: str, two: str, three: str) -> None:
    """Make the same calls with the client of Open Telekom Cloud."""
    packages = Path(sys.prefix) / "otcextensions"
    assert packages.is_dir(), "otcextensions is missing: run `make .venv/ready`"
    owner, receiver = simulator.env("owner"), simulator.env("receiver")
    own, other, vault = simulator.receiver.project_id, simulator.projects[3], simulator.vaults[0].id
    calls = [
        *((owner, "add_members", backup_id, [own, other]) for backup_id in (one, two, three)),
        (receiver, "update_member", one, own, "accepted", vault),
        (receiver, "update_member", two, own, "rejected"),
        (owner, "delete_member", three, other),
    ]
    script = Path(__file__).with_name("otcextensions_client.py")
    env = {**os.environ, "PYTHONPATH": str(packages), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, script], input=json.dumps(calls), env=env, text=True, check=True, timeout=PATIENCE)


@pytest.fixture(params=[share_with_huawei, share_with_otcextensions])
def made(cbr_simulator: Simulator, request: pytest.FixtureRequest) -> list[tuple[str, str, str]]:
    """Share as owner and receiver: backup, project and status of each."""
    one, two, three = (backup.id for backup in cbr_simulator.backups[:3])
    own, other = cbr_simulator.receiver.project_id, cbr_simulator.projects[3]
    request.param(cbr_simulator, one, two, three)
    return sorted(
        [
            (one, own, "accepted"),
            (one, other, "pending"),
            (two, own, "rejected"),
            (two, other, "pending"),
            (three, own, "pending"),
        ]
    )


def test_shares_lists_what_others_made(
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


def test_shares_of_others_are_adopted_untouched(
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
