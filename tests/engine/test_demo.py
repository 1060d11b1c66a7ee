"""`make demo` less its set-up: it passes, it notices what is not as it should be, and it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import PATIENCE

from .conftest import ROOT

DEMO = ROOT / "tools" / "demo" / "demo.py"

#: A CLI that says yes to one command without doing it.
LAZY_PULUMI = """#!/bin/sh
[ "$1" = {command} ] && exit 0
exec {pulumi} "$@"
"""


def start(**variables: str) -> subprocess.Popen[str]:
    env = os.environ | {"OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_CLOUD": "none", "PULUMI_STACK": "none"} | variables
    return subprocess.Popen(
        [sys.executable, str(DEMO)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def left_by(demo: int) -> list[str]:
    """Return the processes and the files that a demo left behind."""
    mark = str(ROOT / ".demo" / str(demo))
    found = [str(path) for path in (Path(mark), ROOT / f"Pulumi.demo-{demo}.yaml") if path.exists()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{mark}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_passes_whatever_the_caller_is_signed_in_to(engine_settings: dict[str, str]) -> None:
    demo = start(DEMO_PYTHON=engine_settings["PULUMI_PYTHON_CMD"])
    output, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, output
    assert "All 8 steps did what they should" in output
    assert left_by(demo.pid) == []


def test_notices_a_step_that_did_nothing(engine: Path, engine_settings: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(engine, tmp_path, dirs_exist_ok=True)
    lazy = tmp_path / "pulumi"
    lazy.unlink()
    lazy.write_text(LAZY_PULUMI.format(command="up", pulumi=engine / "pulumi"))
    lazy.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    demo = start(PATH=path, DEMO_PYTHON=engine_settings["PULUMI_PYTHON_CMD"])
    output, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert output.splitlines()[-1] == "FAILED: step 2 (Up): the cloud has 0 shares instead of 1"
    assert left_by(demo.pid) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Engine: ", signal.SIGINT),
        ("Simulated cloud: ", signal.SIGTERM),
        ("$ pulumi preview", signal.SIGINT),
        ("dr creating", signal.SIGTERM),
    ],
)
def test_stopped_leaves_nothing(engine_settings: dict[str, str], moment: str, number: signal.Signals) -> None:
    demo = start(DEMO_PYTHON=engine_settings["PULUMI_PYTHON_CMD"])
    assert demo.stdout
    for line in demo.stdout:
        if moment in line:
            break
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 128 + number
    assert output.endswith(f"{number.name}: stopping.\n")
    assert left_by(demo.pid) == []
