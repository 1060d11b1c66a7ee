"""The example of a user's own unit tests: they pass as they stand, notice a wrong program, and the program runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from forked_python import forked_python
from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli, InitStack
from .shortcuts import PYTEST, configure

EXAMPLE = ROOT / "examples" / "unit_tests"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", "Pulumi.*.yaml")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=ignored))


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*forked_python(), *PYTEST], cwd=folder, capture_output=True, text=True)


def test_its_tests_pass(copy: Path) -> None:
    run = run_tests(copy)
    assert "4 passed" in run.stdout, run.stdout + run.stderr


def test_its_tests_notice_a_wrong_program(copy: Path) -> None:
    program = copy / "shares.py"
    program.write_text(program.read_text().replace("reshare_if_rejected=True", "reshare_if_rejected=False"))
    assert "1 failed, 3 passed" in run_tests(copy).stdout


def test_it_runs(copy: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    init_stack(copy)
    configure(copy, {"cbr-unit-tests:backup_id": backup, "cbr-unit-tests:sites": {"berlin": project}})
    up = cli(copy, "up", "--yes", "--skip-preview", env=simulator.env())
    assert up.returncode == 0, up.stdout
    assert '"berlin"' in up.stdout
    assert list(simulator.members(backup)) == [project]
    assert cli(copy, "destroy", "--yes", "--skip-preview", env=simulator.env()).returncode == 0
    assert simulator.members(backup) == {}
