"""BackupShareMember on the real engine: inputs of every kind, and resource options as people know them, in one stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import ResourceOptions
from pulumi import automation as auto

import pulumi_cbr as cbr
from pulumi_cbr.simulator import Simulator

from .conftest import NewStack


class Program:
    """A program whose resources are changed between the engine's operations."""

    def __init__(self) -> None:
        self.declare: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.declare()


class Site(pulumi.ComponentResource):
    def __init__(self, name: str, backup: str, project: str) -> None:
        super().__init__("test:index:Site", name)
        self.share = cbr.BackupShareMember(f"{name}-share", backup, project, opts=ResourceOptions(parent=self))
        self.register_outputs({})


def resources(backend: Path) -> dict[str, dict[str, Any]]:
    """Return the stack's shares by name, as the backend has them."""
    (file,) = backend.glob(".pulumi/stacks/test/test.json")
    found = json.loads(file.read_text())["checkpoint"]["latest"].get("resources", [])
    return {entry["urn"].rpartition("::")[2]: entry for entry in found if entry["type"].endswith("BackupShareMember")}


def writes(service: Simulator, backup: str) -> list[str]:
    """Return the calls that changed a backup's members: the method, and a deleted project."""
    calls = [call for call in service.calls if f"/backups/{backup}/members" in call.path and call.method != "GET"]
    return [call.method for call in calls]


def members(service: Simulator, backup: str) -> list[int]:
    """Return the numbers of the projects that a backup is shared with."""
    return sorted(service.projects.index(project) for project in service.members(backup))


def test_options_and_inputs(new_stack: NewStack, simulator: Simulator, tmp_path: Path) -> None:
    names = ["plain", "protected", "retained", "renamed", "ignoring", "replaced", "deleted-first", "in-component"]
    names += ["replace-on-changes", "chain", "secret", "adopting"]
    backup = {name: entry.id for name, entry in zip(names, simulator.backups, strict=True)}
    project = simulator.projects

    def share(name: str, number: int, *, called: str = "", more: dict[str, Any] | None = None, **options: Any) -> Any:
        return cbr.BackupShareMember(
            called or name, backup[name], project[number], **(more or {}), opts=ResourceOptions(**options)
        )

    def chain(backup_id: str) -> None:
        """Declare shares whose inputs are outputs of others, which are not known at first."""
        first = share("chain", 1, called="chain-1")
        later = first.share_id.apply(lambda _: project[2])
        second = cbr.BackupShareMember("chain-2", first.backup_id, later)
        cbr.BackupShareMember("chain-3", backup_id, project[3], opts=ResourceOptions(depends_on=[second]))

    def before() -> None:
        share("plain", 0)
        share("protected", 0, protect=True)
        share("retained", 0, retain_on_delete=True)
        share("renamed", 0)
        share("ignoring", 0, ignore_changes=["dest_project_id"])
        share("replaced", 0)
        share("deleted-first", 0, delete_before_replace=True)
        Site("in-component", backup["in-component"], project[0])
        share("replace-on-changes", 0, replace_on_changes=["adopt_existing"])
        chain(backup["chain"])
        secret = pulumi.Output.secret(backup["secret"])
        shared = cbr.BackupShareMember("secret", secret, pulumi.Output.secret(project[0]))
        pulumi.export("secret", shared.dest_project_id)
        pulumi.export("status", shared.status)
        share("adopting", 0)

    def after() -> None:
        share("plain", 0)
        share("protected", 0, protect=True)
        share("renamed", 0, called="new-name", aliases=[pulumi.Alias(name="renamed")])
        share("ignoring", 1, ignore_changes=["dest_project_id"])
        share("replaced", 1)
        share("deleted-first", 1, delete_before_replace=True)
        Site("in-component", backup["in-component"], project[0])
        share("replace-on-changes", 0, more={"adopt_existing": True}, replace_on_changes=["adopt_existing"])
        chain(backup["chain"])
        share("adopting", 0, more={"adopt_existing": True, "reshare_if_rejected": True})

    program = Program()
    stack = new_stack(program, simulator.env())

    # A preview with values that are not known yet asks nobody.
    program.declare = before
    preview = stack.preview()
    assert preview.change_summary == {"create": 16}
    assert simulator.calls == []

    stack.up()
    state = resources(tmp_path / "backend")
    assert len(state) == 14
    assert state["in-component-share"]["parent"].endswith("test:index:Site::in-component")
    assert members(simulator, backup["chain"]) == [1, 2, 3]
    order = sorted(simulator.members(backup["chain"]).values(), key=lambda member: member.created_at)
    assert [project.index(member.dest_project_id) for member in order] == [1, 2, 3]
    for name, entry in state.items():
        assert (
            entry["id"] == f"{entry['outputs']['backup_id']}/{entry['outputs']['dest_project_id']}" or name == "secret"
        )
        assert set(entry["inputs"]) == {"__provider", "backup_id", "dest_project_id"}
    # What is secret stays secret; what the service adds is not.
    for part in "inputs", "outputs":
        for name in "backup_id", "dest_project_id":
            assert "ciphertext" in state["secret"][part][name]
    assert state["secret"]["outputs"]["status"] == "pending"
    outputs = stack.workspace.stack_outputs("test")
    assert (outputs["secret"].value, outputs["secret"].secret) == (project[0], True)
    assert (outputs["status"].value, outputs["status"].secret) == ("pending", False)

    # Nothing is left to do, also after a refresh, which keeps secrets secret.
    simulator.clear_calls()
    stack.preview(expect_no_changes=True)
    assert simulator.calls == []
    stack.refresh(expect_no_changes=True)
    assert "ciphertext" in resources(tmp_path / "backend")["secret"]["outputs"]["backup_id"]
    assert simulator.count("POST", "/members$") == 0

    # Changes.
    program.declare = after
    simulator.clear_calls()
    summary = stack.up().summary.resource_changes
    assert summary == {"same": 10, "update": 1, "replace": 3, "delete": 2}
    state = resources(tmp_path / "backend")
    assert {name: writes(simulator, one) for name, one in backup.items() if writes(simulator, one)} == {
        "replaced": ["POST", "DELETE"],
        "deleted-first": ["DELETE", "POST"],
        "replace-on-changes": ["DELETE", "POST"],
        "secret": ["DELETE"],
    }
    assert {name: members(simulator, one) for name, one in backup.items()} == {
        **{name: [0] for name in names},
        **{name: [1] for name in ("replaced", "deleted-first")},
        "chain": [1, 2, 3],
        "secret": [],
    }
    assert "new-name" in state
    assert "renamed" not in state
    assert "retained" not in state
    # An update in place makes no call, and loses nothing.
    outputs = state["adopting"]["outputs"]
    assert {"share_id", "status", "created_at", "source_project_id"} < set(outputs)
    assert (outputs["adopt_existing"], outputs["reshare_if_rejected"]) == (True, True)

    # Protection.
    with pytest.raises(auto.CommandError, match="protected"):
        stack.destroy()
    assert members(simulator, backup["protected"]) == [0]
