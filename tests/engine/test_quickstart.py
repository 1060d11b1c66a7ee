"""The program of the README, in the repository's root and in its own folder. `make demo` runs all its life in the root."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli

QUICKSTART = ROOT / "examples" / "quickstart"


@pytest.fixture(params=["root", "own folder"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, so that the stack's settings are not written into the repository."""
    folder = tmp_path / "project"
    if request.param == "own folder":
        shutil.copytree(QUICKSTART, folder)
    else:
        shutil.copytree(QUICKSTART, folder / "examples" / "quickstart")
        shutil.copy(ROOT / "Pulumi.yaml", folder)
    return folder


def test_plain_preview_with_nothing_configured(project: Path, cli: Cli, simulator: Simulator) -> None:
    assert cli(project, "stack", "init", "test").returncode == 0
    preview = cli(project, "preview", env=simulator.env())
    assert preview.returncode == 0, preview.stdout
    assert "cbr:BackupShareMember" in preview.stdout
    assert "warning" not in preview.stdout
    assert simulator.calls == []


def test_defaults_are_the_simulators(tmp_path: Path, simulator: Simulator) -> None:
    program = (QUICKSTART / "__main__.py").read_text()
    assert f'or "{simulator.backups[0].id}"' in program
    assert f'or "{simulator.receiver.project_id}"' in program


@pytest.mark.parametrize("project", ["own folder"], indirect=True)
def test_up_of_what_is_configured(project: Path, cli: Cli, simulator: Simulator) -> None:
    backup_id, project_id = simulator.backups[3].id, simulator.projects[5]
    assert cli(project, "stack", "init", "test").returncode == 0
    assert cli(project, "config", "set", "backup_id", backup_id).returncode == 0
    assert cli(project, "config", "set", "dest_project_id", project_id).returncode == 0

    up = cli(project, "up", "--yes", "--skip-preview", env=simulator.env())
    assert up.returncode == 0, up.stdout
    record = simulator.members(backup_id)[project_id]
    outputs = json.loads(cli(project, "stack", "output", "--json").stdout)
    assert outputs == {"share_id": record.id, "status": "pending"}
