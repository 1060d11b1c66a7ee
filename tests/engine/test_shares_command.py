"""`python -m pulumi_cbr shares` beside the real engine: what it adopts is left as it is, and what stacks have is marked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack

#: Backups with one project and with several; the slow round adopts hundreds.
BACKUPS, COUNT = (40, 300) if "SOAK" in os.environ else (10, 15)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(backups=BACKUPS) as running:
        yield running


@pytest.fixture
def project(init_stack: InitStack, simulator: Simulator, tmp_path: Path) -> Path:
    """A project with an empty stack, beside a service that has shares of all statuses."""
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    (folder / "__main__.py").write_text("")
    init_stack(folder)
    pairs = [(backup.id, dest) for dest in simulator.projects[:10] for backup in simulator.backups]
    for number, (backup_id, dest) in enumerate(pairs[:COUNT]):
        simulator.share(backup_id, dest, ("accepted", "pending", "rejected")[number % 3])
    return folder


def shares(folder: Path, env: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "pulumi_cbr", "shares", *arguments]
    told = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    return told.stdout


def records(simulator: Simulator) -> list[object]:
    return [record for backup in simulator.backups for record in simulator.members(backup.id).values()]


def test_import_file_adopts_all_and_touches_none(
    project: Path, cli: Cli, simulator: Simulator, engine_env: dict[str, str]
) -> None:
    env = {**engine_env, **simulator.env()}
    before = records(simulator)
    (project / "shares.json").write_text(shares(project, env, "--adopt", "import", "--adopt-as", "sets"))
    simulator.clear_calls()
    out = ("--yes", "--out", "__main__.py", "--protect=false", "--skip-preview")
    told = cli(project, "import", "--file", "shares.json", *out, env=env)
    assert told.returncode == 0, told.stdout
    preview = cli(project, "preview", "--expect-no-changes", env=env)
    assert preview.returncode == 0, preview.stdout
    assert {call.method for call in simulator.calls if "auth/tokens" not in call.path} == {"GET"}
    assert records(simulator) == before
    # And now all of them are the stack's.
    assert shares(project, env, "--stack", "test", "--fail-on-unmanaged").endswith("; 0 unmanaged\n")


def test_program_adopts_all_and_touches_none(
    project: Path, cli: Cli, simulator: Simulator, engine_env: dict[str, str]
) -> None:
    env = {**engine_env, **simulator.env()}
    before = records(simulator)
    program = shares(project, env, "--adopt", "python")
    (project / "__main__.py").write_text(program)
    simulator.clear_calls()
    told = cli(project, "up", "--yes", "--skip-preview", env=env)
    assert told.returncode == 0, told.stdout
    preview = cli(project, "preview", "--expect-no-changes", env=env)
    assert preview.returncode == 0, preview.stdout
    changed = [call for call in simulator.calls if call.method != "GET" and call.status < 300]
    assert [call.path for call in changed if not re.search("auth/tokens", call.path)] == []
    assert records(simulator) == before
    marked = json.loads(shares(project, env, "--stack", "test", "--json"))["shares"]
    assert {record["known"] for record in marked} == {"managed"}
    assert len(marked) == COUNT
