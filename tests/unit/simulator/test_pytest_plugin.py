"""The pytest fixtures, and what they cost a test run that does not use them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pulumi import automation

from pulumi_cbr.api import settings
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.pytest_plugin import StackFactory
from waiting import PATIENCE

CLOUD = "{auth: {auth_url: 'https://iam.example.com/v3', username: u, password: p, user_domain_name: d}}"
PROJECT = """
name: mine
runtime: {name: python, options: {virtualenv: venv}}
config:
  cbr:cloud: production
  cbr:endpoint: {value: https://cbr.example.com}
  cbr:timeout: 60
  mine:backup: x
packages: {other: other@1}
"""


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OS_CLOUD", "OS_TOKEN", "HW_ACCESS_KEY", "CBR_ENDPOINT", "https_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "x")


def test_cbr_simulator_environment_has_no_other_cloud(crowded: None, cbr_simulator: Simulator) -> None:
    left = [name for name in os.environ if name.startswith(("OS_", "HW_", "CBR_")) or name.upper().endswith("_PROXY")]

    assert sorted(left) == ["OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"]
    assert cbr_simulator.env()["OS_AUTH_URL"].startswith("http://127.0.0.1:")


@pytest.fixture
def clouds_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure clouds in the shell and in the current folder."""
    for name in ("clouds.yaml", "secure.yaml"):
        (tmp_path / name).write_text(f"clouds: {{production: {CLOUD}}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.chdir(tmp_path)


def test_cbr_simulator_hides_clouds_yaml(
    clouds_of_the_user: None, cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"clouds\.yaml"):
        settings.load(cloud="production")
    monkeypatch.setenv("OS_CLOUD", "production")
    with pytest.raises(SettingsError, match=r"clouds\.yaml"):
        settings.load()


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the CLI, and return the folders of the stacks."""
    folders: list[Path] = []

    def create_stack(name: str, *, work_dir: str, **_more: Any) -> Any:
        folders.append(Path(work_dir))
        if name == "broken":
            raise RuntimeError("no such stack")
        command = SimpleNamespace(run=lambda *_arguments: None)
        workspace = SimpleNamespace(pulumi_command=command, work_dir=work_dir, env_vars={}, pulumi_home=None)
        return SimpleNamespace(name=name, workspace=workspace, set_all_config=lambda _config: None)

    monkeypatch.setattr(automation, "create_stack", create_stack)
    monkeypatch.setattr(shutil, "which", lambda _name: "pulumi")
    return folders


def test_cbr_stack_copy_has_no_credentials(cbr_stack: StackFactory, without_engine: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT)

    cbr_stack(folder)

    whole = yaml.safe_load(PROJECT)
    copied = yaml.safe_load((without_engine[0] / "Pulumi.yaml").read_text())
    assert copied == {**whole, "config": {"cbr:timeout": 60, "mine:backup": "x"}}
    assert (folder / "Pulumi.yaml").read_text() == PROJECT


def test_cbr_stack_after_a_failure_uses_another_folder(
    cbr_stack: StackFactory, without_engine: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(RuntimeError, match="no such stack"):
        cbr_stack(folder, name="broken")

    cbr_stack(folder)

    assert len(set(without_engine)) == 2


def test_plugin_import_loads_no_server() -> None:
    heavy = "{'flask', 'werkzeug', 'rich', 'requests', 'keystoneauth1'}"
    program = f"import sys, pulumi_cbr.simulator.pytest_plugin; print(sorted({heavy} & set(sys.modules)))"

    ended = subprocess.run(
        [sys.executable, "-c", program], text=True, capture_output=True, timeout=PATIENCE, check=True
    )

    assert ended.stdout == "[]\n"
