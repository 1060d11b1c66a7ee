"""The example of testing one's own program: its tests pass where its reader runs them, in a copy.

Each of its tests runs a dozen commands of the CLI. `make soak` runs all four.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from forked_python import forked_python
from waiting import PATIENCE

from .conftest import ROOT
from .shortcuts import PYTEST

IS_SLOW_ROUND = "SOAK" in os.environ


def test_the_example_passes_its_own_tests(engine_settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.copytree(ROOT / "examples" / "test_with_simulator", folder, ignore=shutil.ignore_patterns("__pycache__"))

    ended = subprocess.run(
        [*forked_python(), *PYTEST, "-p", "no:cacheprovider", "-k", "" if IS_SLOW_ROUND else "how_far or cannot"],
        cwd=folder,
        env={**os.environ, **{name: engine_settings[name] for name in ("PATH", "PULUMI_PYTHON_CMD")}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
    )

    assert ended.returncode == 0, ended.stdout
    assert f"{4 if IS_SLOW_ROUND else 2} passed" in ended.stdout
