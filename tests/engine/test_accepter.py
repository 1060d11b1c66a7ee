"""BackupShareAccepter on the real engine: two projects with two tokens in one program, and all that both sides may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, Clouds, InitStack
from .written import WrittenStack


@pytest.fixture
def stack(cli: Cli, clouds: Clouds, init_stack: InitStack, tmp_path: Path) -> WrittenStack:
    """A stack that knows two clouds, and nothing else to sign in with."""
    signed_in = clouds({"owner": "owner", "receiver": "receiver"})
    return WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, signed_in)


def test_both_sides_in_one_program(stack: WrittenStack, simulator: Simulator) -> None:
    backup, receiver = simulator.backups[0].id, simulator.receiver.project_id
    servers, disks, _, full = (vault.id for vault in simulator.vaults)

    def accept_into(vault: str) -> None:
        stack.program(f"""
share = cbr.BackupShare("share", {backup!r}, [{receiver!r}], cloud="owner")
cbr.BackupShareAccepter("taken", {backup!r}, {vault!r}, cloud="receiver", opts=pulumi.ResourceOptions(depends_on=[share]))
""")

    def writes() -> list[str]:
        made = [call.method for call in simulator.calls if call.method != "GET" and "/members" in call.path]
        simulator.clear_calls()
        return made

    def status() -> tuple[str, str | None]:
        record = simulator.members(backup)[receiver]
        return record.status, record.vault_id

    # A vault that does not fit: the share stays, and the next run goes on.
    accept_into(disks)
    told = stack.up_fails()
    assert f"vault {disks}" in told
    assert "BackupService.6713" in told
    assert simulator.count("POST", "auth/tokens") == 2
    accept_into(servers)
    writes()
    stack.up()
    assert writes() == ["PUT"]
    assert status() == ("accepted", servers)
    assert stack.state()["taken"]["source_project_id"] == simulator.owner.project_id
    # What the receiver did is news to the owner's side.
    stack.refresh()
    assert stack.state()["share"]["members"][receiver]["status"] == "accepted"
    assert writes() == []

    # Withdrawn behind our back: shared again first, then accepted.
    simulator.withdraw(backup, receiver)
    simulator.advance(120)
    stack.up("--refresh")
    assert writes() == ["POST", "PUT"]
    assert status() == ("accepted", servers)

    # Another vault is a replacement that rejects first. Where that one has no room, the next run tries again.
    accept_into(full)
    assert f"vault {full}" in stack.up_fails()
    assert writes() == ["PUT", "PUT"]
    assert status() == ("rejected", None)
    accept_into(servers)
    stack.up()
    assert status() == ("accepted", servers)
    writes()

    # The receiver rejects before the owner takes away.
    stack.destroy()
    assert writes() == ["PUT", "DELETE"]
    assert simulator.members(backup) == {}
