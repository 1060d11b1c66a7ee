"""`wait_for_acceptance` on the real engine: a share that is not accepted fails the update, and stays in the state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack

PROGRAM = """
import os
import pulumi
import {module} as cbr

wait, one, two, receiver, other = os.environ["TEST"].split()
timeouts = pulumi.CustomTimeouts(create="15s", update="10m") if wait == "15m" else None
opts = pulumi.ResourceOptions(custom_timeouts=timeouts)
wait = None if wait == "off" else wait
cbr.BackupShareMember("one", one, receiver, wait_for_acceptance=wait, opts=opts)
cbr.BackupShare("two", two, [receiver, other], wait_for_acceptance=wait)
"""

#: Run the CLI on the program with a wait: its exit code and what it told.
Run = Callable[..., tuple[int, str]]


@pytest.fixture(params=["pulumi_cbr", "pulumi_cbr.native"], ids=["dynamic", "native"])
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path, module: str) -> Run:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM.format(module=module))
    ids = [backup.id for backup in simulator.backups[:2]] + simulator.projects[:2]

    def pulumi(wait: str, *arguments: str) -> tuple[int, str]:
        told = cli(folder, *arguments, env={**simulator.env(), "TEST": " ".join([wait, *ids])})
        return told.returncode, told.stdout

    init_stack(folder)
    return pulumi


def states(tmp_path: Path) -> dict[str, dict[str, Any]]:
    (file,) = tmp_path.rglob("backend/.pulumi/stacks/*/*.json")
    resources = json.loads(file.read_text())["checkpoint"]["latest"]["resources"]
    return {entry["id"]: entry for entry in resources if "BackupShare" in entry["type"]}


def test_share_that_is_not_accepted_stays_in_the_state(
    run: Run, simulator: Simulator, tmp_path: Path, module: str
) -> None:
    one, two = (backup.id for backup in simulator.backups[:2])
    receiver, other = simulator.projects[:2]
    # The engine ends the wait for the first, in the flavor that it can tell; the other is ended by the wait itself.
    code, text = run("15m" if module.endswith("native") else "2s", "up", "--yes", "--skip-preview", "--target", "**one")
    assert code != 0
    assert f"backup {one} " in text
    assert "; the share stays" in text
    assert "Traceback" not in text
    assert states(tmp_path)[f"{one}/{receiver}"]["initErrors"]
    # One receiver accepts while the next run waits for it; another rejects.
    simulator.accept(one, receiver)
    code, text = run("2s", "up", "--yes", "--skip-preview")
    assert code != 0
    assert f"is still pending with {', '.join(sorted([receiver, other]))} after 2 s; the share stays" in text
    kept = states(tmp_path)
    assert "initErrors" not in kept[f"{one}/{receiver}"]
    assert kept[f"{one}/{receiver}"]["outputs"]["status"] == "accepted"
    simulator.accept(two, other)
    simulator.reject(two, receiver)
    code, text = run("2s", "up", "--yes", "--skip-preview")
    assert f"backup {two} was rejected by {receiver}; the share stays" in text
    assert states(tmp_path)[two]["outputs"]["members"][receiver]["status"] == "rejected"
    simulator.accept(two, receiver)
    assert run("2s", "up", "--yes", "--skip-preview")[0] == 0
    assert not any(entry.get("initErrors") for entry in states(tmp_path).values())
    # Nothing was shared twice.
    assert simulator.count("POST", "/members$") == 2
