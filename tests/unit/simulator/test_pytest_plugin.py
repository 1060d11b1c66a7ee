"""The fixtures, and what having them installed costs a test run that does not use them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pulumi_cbr.simulator import Simulator


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OS_CLOUD", "OS_TOKEN", "HW_ACCESS_KEY", "CBR_ENDPOINT", "https_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "x")


def test_environment_names_no_other_cloud(crowded: None, cbr_simulator: Simulator) -> None:
    left = [name for name in os.environ if name.startswith(("OS_", "HW_", "CBR_")) or name.upper().endswith("_PROXY")]

    assert left == []
    assert cbr_simulator.env()["OS_AUTH_URL"].startswith("http://127.0.0.1:")


def test_plugin_loads_without_what_it_serves_with() -> None:
    heavy = "{'flask', 'werkzeug', 'rich', 'requests', 'keystoneauth1'}"
    program = f"import sys, pulumi_cbr.simulator.pytest_plugin; print(sorted({heavy} & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60, check=True)

    assert ended.stdout == "[]\n"
