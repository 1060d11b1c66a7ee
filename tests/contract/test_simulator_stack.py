"""The fixture `cbr_stack` on the real engine, for a function and for a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
from pulumi.automation import ConfigValue

from engine.shortcuts import write_python
from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.pytest_plugin import StackFactory

PROGRAM = """
import os, pulumi
pulumi.export("cloud", pulumi.Config("cbr").get("cloud"))
pulumi.export("user", os.environ["OS_USERNAME"])
pulumi.export("backup", pulumi.Config().get("backup"))
"""


@pytest.fixture(autouse=True)
def python_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine's Python, which starts sooner; no stack is left at the end."""
    (tmp_path / "commands").mkdir()
    monkeypatch.setenv("PULUMI_PYTHON_CMD", str(write_python(tmp_path / "commands")))
    yield
    assert [*tmp_path.glob("pulumi-*/state/.pulumi")]
    assert not [*tmp_path.glob("pulumi-*/state/.pulumi/stacks/*/*.json")]


def test_cbr_stack_of_a_function_has_its_config(cbr_simulator: Simulator, cbr_stack: StackFactory) -> None:
    def program() -> None:
        pulumi.export("region", pulumi.Config("cbr").get("region"))

    stack = cbr_stack(program, config={"cbr:region": "eu-de", "cbr:password": ConfigValue("hidden", secret=True)})

    assert stack.up().outputs["region"].value == "eu-de"
    assert stack.get_config("cbr:password").secret
    # A test may remove a stack itself.
    stack.workspace.remove_stack(stack.name, force=True)


def test_cbr_stack_of_a_folder_runs_a_copy(cbr_simulator: Simulator, cbr_stack: StackFactory, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: mine\nruntime: python\nconfig: {cbr:cloud: production}\n")
    (folder / "__main__.py").write_text(PROGRAM)

    outputs = cbr_stack(folder, role="receiver", config={"backup": cbr_simulator.backups[0].id}).up().outputs

    assert outputs["user"].value == "receiver"
    assert "cloud" not in outputs
    assert outputs["backup"].value == cbr_simulator.backups[0].id
    assert sorted(path.name for path in folder.iterdir()) == ["Pulumi.yaml", "__main__.py"]
