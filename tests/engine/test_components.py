"""The components on the real engine, both flavors: days of an owner and a receiver. A month is in tests/unit/test_window.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

import pulumi_cbr as dynamic
import pulumi_cbr.native as native
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in

from .conftest import Cli, InitStack, NewStack
from .shortcuts import deployment_of

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


def test_preview_of_unknown_receivers_shows_all_shares(
    new_stack: NewStack, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both flavors: nobody knows yet with whom is shared, and into which vault, but for how many shares."""
    sign_in(monkeypatch, simulator.env("owner"))
    vault, project = simulator.backups[0].vault_id, simulator.receiver.project_id

    def program() -> None:
        known_later = dynamic.BackupShareMember("first", simulator.backups[0].id, project)
        for name, flavor, projects in (
            ("dynamic", dynamic, [known_later.share_id]),
            ("native", native, [known_later.share_id]),
            ("list", native, known_later.status.apply(lambda status: [status])),
        ):
            window: Any = flavor.NewestBackupShares
            window(name, vault_id=vault, count=2, dest_project_ids=projects, accept_into=known_later.share_id)

    stack = new_stack(program, simulator.env("owner"))
    changes = stack.preview().change_summary
    # The stack, the first share, and of each window the component, two shares and two acceptances.
    assert changes == {"create": 2 + 3 * 5}
    assert {call.method for call in simulator.calls if "auth/tokens" not in call.path} == {"GET"}


def test_components_of_a_yaml_program(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    """The plugin constructs both: a window with a provider of its own, and an inbox with the default one."""
    *older, last = simulator.backups
    simulator.set_backup(last.id, status="creating")
    env = simulator.env("owner")
    names = {"authUrl": "AUTH_URL", "username": "USERNAME", "password": "PASSWORD", "projectId": "PROJECT_ID"}
    names |= {"userDomainName": "USER_DOMAIN_NAME", "region": "REGION_NAME"}
    receiver = simulator.receiver.project_id
    resources = {
        "owner": {"type": "pulumi:providers:cbr", "properties": {name: env[f"OS_{names[name]}"] for name in names}},
        "dr": {
            "type": "cbr:NewestBackupShares",
            "properties": {"vaultId": last.vault_id, "count": 2, "destProjectIds": [receiver]},
            "options": {"provider": "${owner}"},
        },
        "inbox": {
            "type": "cbr:AcceptPendingShares",
            "properties": {"vaultId": simulator.vaults[0].id, "sourceProjectIds": [simulator.owner.project_id]},
            "options": {"dependsOn": ["${dr}"], "protect": False},
        },
    }
    outputs = {"shared": "${dr.backupIds}", "accepted": "${inbox.backupIds}"}
    folder = tmp_path / "yaml"
    folder.mkdir()
    project = {"name": "yaml", "runtime": "yaml", "resources": resources, "outputs": outputs}
    (folder / "Pulumi.yaml").write_text(json.dumps(project))

    def run(*arguments: str) -> str:
        finished = cli(folder, *arguments, env=simulator.env("receiver"))
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    init_stack(folder)
    assert "cbr:index:BackupShare" in run("preview")
    assert shared(simulator) == {}
    run("up", "--yes", "--skip-preview")
    assert shared(simulator) == {older[-1].id: "accepted", older[-2].id: "accepted"}
    simulator.set_backup(last.id, status="available")
    run("up", "--yes", "--skip-preview")
    assert shared(simulator) == {last.id: "accepted", older[-1].id: "accepted"}

    state = deployment_of(tmp_path / "backend")["resources"]
    by_urn = {entry["urn"]: entry for entry in state}
    assert sum("pulumi:providers:cbr" in urn for urn in by_urn) == 2
    # The share that leaves the window is deleted at the end of the run: the inbox still finds it.
    kinds = ("BackupShare", "dr", "owner", 2), ("BackupShareAccepter", "inbox", "default", 3)
    for kind, parent, provider, count in kinds:
        made = [entry for entry in state if entry["type"] == f"cbr:index:{kind}"]
        assert len(made) == count
        assert {entry["parent"].rpartition("::")[2] for entry in made} == {parent}
        assert all(entry["provider"].split("::")[3].startswith(provider) for entry in made)
    assert env["OS_PASSWORD"] not in json.dumps(state)
    run("destroy", "--yes", "--skip-preview")
    assert shared(simulator) == {}
