"""The examples, each run by the CLI in a copy of its folder, as its README says."""

from __future__ import annotations

import ast
import json
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

from .conftest import ROOT, Cli, Clouds

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
        found: dict[str, Any] = json.loads(self("stack", "output", "--json"))
        return found


#: Make a project of an example: `example(name, env, setting=value)`.
Example = Callable[..., Project]


@pytest.fixture
def example(cli: Cli, tmp_path: Path) -> Example:
    def make(name: str, env: Mapping[str, str], **settings: object) -> Project:
        folder = tmp_path / name
        shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        # What `pulumi config set` writes, all at once.
        config = {f"cbr-{name.replace('_', '-')}:{key}": value for key, value in settings.items()}
        (folder / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": config}))
        project = Project(folder, cli, env)
        project("stack", "init", "test")
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
    project("destroy", "--yes", "--skip-preview")
    assert shared() == set()


def test_share_newest_backups_asks_for_what_is_missing(example: Example, simulator: Simulator) -> None:
    project = example("share_newest_backups", simulator.env(), dr_project_id=simulator.projects[3])
    told = project.refused("preview")
    assert "cbr: NewestBackupShares needs servers (a list of IDs), or vault_id, or both" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("setting", ["server_ids[0]", "vault_id"])
def test_share_newest_backups_withdraws_nothing_for_a_mistyped_id(
    example: Example, simulator: Simulator, setting: str
) -> None:
    backup, project_id = simulator.backups[-1], simulator.projects[3]
    project = example(
        "share_newest_backups",
        simulator.env(),
        dr_project_id=project_id,
        vault_id=backup.vault_id,
        server_ids=[backup.resource_id],
    )
    project("up", "--yes", "--skip-preview")
    mistyped = f"{backup.resource_id[:-1]}z"
    project("config", "set", "--path", setting, mistyped)
    assert ": check servers and vault_id" in project.refused("up", "--yes", "--skip-preview")
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
    project("config", "set", "--path", "dest_project_ids[0]", a)
    project("config", "set", "--path", "dest_project_ids[1]", b)
    project("preview", "--expect-no-changes")
    project("config", "set", "--path", "dest_project_ids[2]", "eu-de")
    told = project.refused("preview")
    assert "entry 2 must be a project ID: 32 hex digits without dashes; not 'eu-de'" in told
    project("config", "rm", "--path", "dest_project_ids[2]")
    project("config", "set", "exclusive", "true")
    project("config", "set", "cbr:preflight", "true")
    assert f"exclusive=True deletes the shares with {foreign}" in project("preview")
    project("up", "--yes", "--skip-preview")
    assert set(simulator.members(backup)) == {a, b}
    simulator.share(backup, foreign)
    assert f"exclusive=True deletes the shares with {foreign}" in project("preview", "--refresh")
    project("destroy", "--yes", "--skip-preview")
    assert set(simulator.members(backup)) == {foreign}


def test_component(example: Example, simulator: Simulator) -> None:
    backup, projects = simulator.backups[5], simulator.projects[4:6]
    project = example("component", simulator.env(), server_id=backup.resource_id, dest_project_ids=projects)
    told = project("up", "--yes", "--skip-preview")
    assert "example:index:SharedServer" in told
    assert set(simulator.members(backup.id)) == set(projects)
    assert project.outputs() == {"backup_ids": [backup.id]}
    state = json.loads(project("stack", "export"))
    (share,) = [entry for entry in state["deployment"]["resources"] if entry["type"].endswith("cbr:BackupShare")]
    assert share["parent"].endswith("example:index:SharedServer::web")
    project("preview", "--expect-no-changes")
    project("destroy", "--yes", "--skip-preview")
    assert simulator.members(backup.id) == {}
