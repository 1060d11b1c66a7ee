"""The components on the real engine, both flavors: days of an owner and a receiver. A month is in tests/unit/test_window.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

import pulumi_cbr as dynamic
import pulumi_cbr.native as native
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in

from .conftest import NewStack

opts = pulumi.ResourceOptions


def shared(simulator: Simulator) -> dict[str, str]:
    """Return the status of the receiver's share by backup."""
    project = simulator.receiver.project_id
    members = {backup.id: simulator.members(backup.id) for backup in simulator.backups}
    return {backup_id: members[backup_id][project].status for backup_id in members if project in members[backup_id]}


def sign_in_by_settings(simulator: Simulator, role: str) -> native.Provider:
    env = simulator.env(role)
    names = ("auth_url", "username", "password", "user_domain_name", "project_id")
    settings: dict[str, Any] = {name: env[f"OS_{name.upper()}"] for name in names}
    return native.Provider(role, region=env["OS_REGION_NAME"], **settings)


def test_window_of_native_flavor_shares_and_accepts(new_stack: NewStack, simulator: Simulator) -> None:
    *older, last = simulator.backups
    simulator.set_backup(last.id, status="creating")
    name = ["dr"]

    def program() -> None:
        owner, receiver = (sign_in_by_settings(simulator, role) for role in ("owner", "receiver"))
        vault = native.get_vault(name="servers", opts=pulumi.InvokeOptions(provider=receiver))
        vaults = native.get_vaults_output(
            object_type="server", status="available", opts=pulumi.InvokeOutputOptions(provider=receiver)
        )
        projects = native.get_projects(opts=pulumi.InvokeOptions(provider=receiver))
        pulumi.export("found", [vaults.apply(lambda found: found[0].size), projects[0].id])
        window = native.NewestBackupShares(
            name[0],
            dest_project_ids=[simulator.receiver.project_id],
            vault_id=last.vault_id,
            count=2,
            accept_into=vault.id,
            accept_opts=opts(provider=receiver),
            opts=opts(providers=[owner], aliases=[pulumi.Alias(name="dr")]),
        )
        pulumi.export("backups", window.backup_ids)

    stack = new_stack(program, {})
    stack.up()
    assert shared(simulator) == {older[-1].id: "accepted", older[-2].id: "accepted"}
    simulator.set_backup(last.id, status="available")
    changes = stack.up().summary.resource_changes or {}
    assert {str(kind): count for kind, count in changes.items() if kind != "same"} == {"create": 2, "delete": 2}
    assert shared(simulator) == {last.id: "accepted", older[-1].id: "accepted"}
    assert stack.outputs()["found"].value == [1_000_000, simulator.receiver.project_id]
    assert stack.outputs()["backups"].value == [last.id, older[-1].id]
    # A new name of the component changes no share, if the program tells the old one.
    name[:] = ["renamed"]
    assert set(stack.up().summary.resource_changes or {}) == {"same"}


@pytest.mark.parametrize("flavor", [dynamic, native], ids=["dynamic", "native"])
def test_receiver_accepts_what_the_owners_share(
    new_stack: NewStack, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, flavor: Any
) -> None:
    one, two, three = (backup.id for backup in simulator.backups[:3])
    project, owners = simulator.receiver.project_id, [simulator.owner.project_id]
    for backup_id in (one, two):
        simulator.share(backup_id, project)
    # Look-ups of the dynamic flavor run in the program, which is this process.
    sign_in(monkeypatch, simulator.env("receiver"))
    program: Callable[[], None] = lambda: flavor.AcceptPendingShares("all", simulator.vaults[0].id, owners)  # noqa: E731
    stack = new_stack(program, simulator.env("receiver"))
    stack.up()
    assert shared(simulator) == {one: "accepted", two: "accepted"}
    # What was accepted stays so; the owner's doings are followed, and others' shares are left alone.
    simulator.share(three, project)
    simulator.withdraw(one, project)
    stack.up()
    assert shared(simulator) == {two: "accepted", three: "accepted"}
