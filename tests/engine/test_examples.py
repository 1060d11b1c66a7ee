"""The examples, each run by the CLI in a copy of its folder, as its README says."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli, Clouds, InitStack
from .shortcuts import configure, deployment_of, outputs_of

EXAMPLES = sorted(folder.parent for folder in (ROOT / "examples").glob("*/__main__.py"))
MINE = ["component", "cross_project", "share_newest_backups", "share_with_several_projects"]


@dataclass
class Project:
    """A copy of an example, and the CLI that is told `-C <its folder>` from somewhere else."""

    folder: Path
    cli: Cli
    env: Mapping[str, str]

    def __call__(self, *arguments: str) -> str:
        """Run it; give what it told."""
        result = self.cli(self.folder.parent, "-C", str(self.folder), *arguments, env=self.env)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def refused(self, *arguments: str) -> str:
        """Run what must fail; give what it told."""
        result = self.cli(self.folder.parent, "-C", str(self.folder), *arguments, env=self.env)
        assert result.returncode != 0, result.stdout
        return result.stdout

    def outputs(self) -> dict[str, Any]:
        return outputs_of(self.folder.parent / "backend")

    def configure(self, **settings: object) -> None:
        """Write what `pulumi config set` does."""
        project = f"cbr-{self.folder.name.replace('_', '-')}"
        configure(self.folder, {f"{project}:{name}": value for name, value in settings.items()})


#: Make a project of an example: `example(name, env, setting=value)`.
Example = Callable[..., Project]


@pytest.fixture
def example(cli: Cli, init_stack: InitStack, tmp_path: Path) -> Example:
    def make(name: str, env: Mapping[str, str], **settings: object) -> Project:
        folder = tmp_path / name
        shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        init_stack(folder)
        project = Project(folder, cli, env)
        project.configure(**settings)
        return project

    return make


def test_each_example_of_ours_is_here() -> None:
    assert {folder.name for folder in EXAMPLES} >= set(MINE)


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: str(folder.name))
def test_each_stands_alone(folder: Path) -> None:
    kept = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "."], cwd=folder, capture_output=True, text=True, check=True
    )
    files = set(kept.stdout.split())
    assert {"Pulumi.yaml", "README.md", "__main__.py", "requirements.txt"} <= files
    assert not [name for name in files if name.startswith("Pulumi.") and name != "Pulumi.yaml"]
    assert yaml.safe_load((folder / "Pulumi.yaml").read_text())["runtime"] == "python"
    for node in ast.walk(ast.parse((folder / "__main__.py").read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        roots = {name.partition(".")[0] for name in names}
        own = {path.stem for path in folder.glob("*.py")}
        assert roots <= {"pulumi", "pulumi_cbr"} | own | sys.stdlib_module_names


@pytest.mark.parametrize("name", MINE)
def test_each_says_how_to_use_it(name: str) -> None:
    folder = ROOT / "examples" / name
    readme = (folder / "README.md").read_text()
    headings = [line for line in readme.splitlines() if line.startswith("## ")]
    assert headings == ["## Prerequisites", "## Deploy", "## Clean up"]
    program = ast.parse((folder / "__main__.py").read_text())
    settings = {
        node.args[0].value
        for node in ast.walk(program)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "config"
        and isinstance(node.args[0], ast.Constant)
    }
    assert settings
    # How many of a server's backups a component shares is left to its reader.
    assert [key for key in settings if str(key) not in readme and key != "newest"] == []


@pytest.mark.parametrize("by", ["vault", "servers"])
def test_share_newest_backups_moves_its_window(example: Example, simulator: Simulator, by: str) -> None:
    *older, last = simulator.backups
    project_id = simulator.projects[3]
    if by == "vault":
        window = [older[-2].id, older[-1].id]
        project = example(
            "share_newest_backups", simulator.env(), dr_project_id=project_id, newest=2, vault_id=last.vault_id
        )
    else:
        window = [older[-1].id]
        servers = [older[-1].resource_id, last.resource_id]
        project = example(
            "share_newest_backups", simulator.env(), dr_project_id=project_id, newest=2, server_ids=servers
        )
    simulator.set_backup(last.id, status="creating")

    def shared() -> set[str]:
        return {backup.id for backup in simulator.backups if project_id in simulator.members(backup.id)}

    project("up", "--yes", "--skip-preview")
    assert shared() == set(window)
    records = {backup: simulator.members(backup)[project_id].id for backup in window}
    # The backup that was being made is ready: it comes into the window, and the oldest leaves.
    simulator.set_backup(last.id, status="available")
    moved = {*window[1:], last.id} if by == "vault" else {*window, last.id}
    told = project("up", "--yes", "--skip-preview")
    assert shared() == moved
    assert ("- 1 deleted" in told) == (by == "vault")
    assert "+ 1 created" in told
    stayed = window[-1]
    assert simulator.members(stayed)[project_id].id == records[stayed]
    assert set(project.outputs()["backups"]) == moved
    if by == "vault":
        # And the README's way to get back what somebody took away.
        simulator.withdraw(last.id, project_id)
        project("up", "--yes", "--skip-preview", "--refresh")
        assert shared() == moved


def test_share_newest_backups_mistyped_id_deletes_nothing(example: Example, simulator: Simulator) -> None:
    backup, project_id = simulator.backups[-1], simulator.projects[3]
    servers = [backup.resource_id]
    project = example("share_newest_backups", simulator.env(), dr_project_id=project_id, server_ids=servers)
    project("up", "--yes", "--skip-preview")
    project.configure(vault_id=f"{backup.vault_id[:-1]}z")
    assert "has no backup. Nothing was changed. Check servers" in project.refused("up", "--yes", "--skip-preview")
    assert project_id in simulator.members(backup.id)


def test_cross_project(example: Example, simulator: Simulator, clouds: Clouds, tmp_path: Path) -> None:
    backup, project_id, vault = simulator.backups[2].id, simulator.receiver.project_id, simulator.vaults[0].id
    project = example(
        "cross_project",
        clouds({"owner": "owner", "receiver": "receiver"}),
        backup_id=backup,
        dest_project_id=project_id,
        vault_id=vault,
    )

    def writes() -> list[str]:
        return [call.method for call in simulator.calls if call.method != "GET" and "auth" not in call.path]

    project("up", "--yes", "--skip-preview")
    assert writes() == ["POST", "PUT"]
    # Two sides are two tokens, and no more.
    assert simulator.count("POST", "auth/tokens") == 2
    record = simulator.members(backup)[project_id]
    assert (record.status, record.vault_id) == ("accepted", vault)
    assert project.outputs() == {"source_project_id": simulator.owner.project_id, "status": "accepted"}
    project("preview", "--refresh", "--expect-no-changes")
    simulator.clear_calls()
    project("destroy", "--yes", "--skip-preview")
    assert writes() == ["PUT", "DELETE"]
    assert simulator.members(backup) == {}
    for role in ("owner", "receiver"):
        password = simulator.env(role)["OS_PASSWORD"]
        assert not [path for path in tmp_path.rglob("*.json*") if password in path.read_text(errors="replace")]


def test_share_with_several_projects(example: Example, simulator: Simulator) -> None:
    backup, (a, b, foreign) = simulator.backups[1].id, simulator.projects[:3]
    simulator.share(backup, foreign)
    project = example("share_with_several_projects", simulator.env(), backup_id=backup, dest_project_ids=[b, a])
    project("up", "--yes", "--skip-preview")
    assert project.outputs() == {"status": {a: "pending", b: "pending"}}
    assert set(simulator.members(backup)) == {a, b, foreign}
    # In another order, it is the same set.
    project.configure(dest_project_ids=[a, b])
    project("preview", "--expect-no-changes")
    project.configure(exclusive=True)
    configure(project.folder, {"cbr:preflight": True})
    assert f"exclusive=True deletes the shares with {foreign}" in project("preview")
    project("up", "--yes", "--skip-preview")
    assert set(simulator.members(backup)) == {a, b}


def test_component(example: Example, simulator: Simulator) -> None:
    backup, projects = simulator.backups[5], simulator.projects[4:6]
    project = example("component", simulator.env(), server_id=backup.resource_id, dest_project_ids=projects)
    told = project("up", "--yes", "--skip-preview")
    assert "example:index:SharedServer" in told
    assert set(simulator.members(backup.id)) == set(projects)
    assert project.outputs() == {"backup_ids": [backup.id]}
    state = deployment_of(project.folder.parent / "backend")
    (share,) = [entry for entry in state["resources"] if entry["type"].endswith("cbr:BackupShare")]
    assert share["parent"].endswith("example:index:SharedServer::web")
    project("preview", "--expect-no-changes")
