"""Pytest fixtures: a simulator, and Pulumi stacks that are signed in to it.

pytest finds them without an import. The simulator needs the extra ``pulumi-cbr[simulator]``; a stack also needs the
Pulumi CLI on PATH. Neither needs an account or the network.

    def test_my_program_shares_the_nightly_backup(cbr_simulator, cbr_stack):
        backup, project = cbr_simulator.backups[0], cbr_simulator.projects[0]
        stack = cbr_stack("path/to/my/program", config={"backupId": backup.id, "projectId": project})
        stack.up()
        assert cbr_simulator.members(backup.id)[project].status == "pending"
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pulumi.automation import ConfigValue, Stack

    from pulumi_cbr.simulator.server import Simulator

__all__ = ["StackFactory", "cbr_simulator", "cbr_stack"]

_PREFIXES = ("OS_", "HW_", "CBR_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: The settings ``cbr:*`` that a copied Pulumi.yaml keeps; the others have an account or an address.
_KEPT = ("cbr:userProfile", "cbr:adoptExisting", "cbr:preflight", "cbr:timeout", "cbr:maxRetries")
_NOT_COPIED = (".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", "Pulumi.*.yaml")


class StackFactory(Protocol):
    """The type of the fixture `cbr_stack`."""

    def __call__(
        self,
        program: Callable[[], None] | str | os.PathLike[str],
        *,
        role: str = "owner",
        config: Mapping[str, str | ConfigValue] | None = None,
        name: str = "test",
    ) -> Stack:
        """Return a new stack of a function, or of a copy of a folder with a Pulumi.yaml."""
        ...


@pytest.fixture
def cbr_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Return a simulator for this test, in an environment without settings of another cloud.

    During the test ``OS_*``, ``HW_*``, ``CBR_*`` and the proxy variables are not set. ``OS_CLIENT_CONFIG_FILE`` and
    ``OS_CLIENT_SECURE_FILE`` name an empty file. To sign in, set the variables of ``cbr_simulator.env("owner")``;
    `cbr_stack` does this.
    """
    from pulumi_cbr.simulator.server import Simulator

    for variable in list(os.environ):
        if variable.startswith(_PREFIXES) or variable.upper() in _PROXIES:
            monkeypatch.delenv(variable)
    # openstacksdk reads the first file that exists, and looks for these two first.
    no_clouds = tmp_path_factory.mktemp("cbr") / "clouds.yaml"
    no_clouds.touch()
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(no_clouds))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(no_clouds))
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def cbr_stack(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StackFactory]:
    """Return a factory of Pulumi stacks that are signed in to `cbr_simulator`.

    The stacks are `pulumi.automation.Stack`. ``cbr_stack(program)`` takes a function or the folder of a program.
    ``role="receiver"`` signs in as the receiver. ``config`` is the stack's configuration: texts, or ``ConfigValue`` for
    secrets; a key without a namespace is the project's. ``name`` distinguishes two stacks. The copy of a folder leaves
    out the credentials among the settings ``cbr:*`` of its Pulumi.yaml. State and settings of the CLI are in a
    temporary folder. At the end of the test faults are cleared, and each stack is destroyed and removed; the test fails
    if that fails.

    Resources use the role of their stack. Lookups of a function's stack run in the process of the test, whose
    environment is that of the latest stack.

    Raises RuntimeError if the Pulumi CLI is not on PATH.
    """
    stacks: list[Stack] = []
    numbers = itertools.count()

    def make(
        program: Callable[[], None] | str | os.PathLike[str],
        *,
        role: str = "owner",
        config: Mapping[str, str | ConfigValue] | None = None,
        name: str = "test",
    ) -> Stack:
        if shutil.which("pulumi") is None:
            raise RuntimeError("cbr_stack needs the Pulumi CLI: no 'pulumi' on PATH")
        stack = _create_stack(program, cbr_simulator.env(role), monkeypatch, tmp_path / f"pulumi-{next(numbers)}", name)
        stacks.append(stack)
        stack.set_all_config(_to_config_values(config or {}))
        return stack

    yield make
    cbr_simulator.faults.clear()
    cbr_simulator.allow_all()
    for stack in reversed(stacks):
        _destroy(stack)


def _destroy(stack: Stack) -> None:
    """Destroy and remove a stack, unless the test has removed it."""
    from pulumi.automation import StackNotFoundError

    workspace = stack.workspace
    # One command: `Stack.destroy` runs three.
    destroy = ["destroy", "--yes", "--skip-preview", "--remove", "--stack", stack.name]
    variables = {**workspace.env_vars, "PULUMI_HOME": str(workspace.pulumi_home)}
    with suppress(StackNotFoundError):
        workspace.pulumi_command.run(destroy, workspace.work_dir, variables)


def _create_stack(
    program: Callable[[], None] | str | os.PathLike[str],
    credentials: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    name: str,
) -> Stack:
    from pulumi.automation import LocalWorkspaceOptions, ProjectBackend, ProjectSettings, create_stack

    for part in ("state", "home", "program"):
        (folder / part).mkdir(parents=True)
    backend = (folder / "state").as_uri()
    variables = {
        **credentials,
        # The plugin must be found for the Python that runs this test, and run with it.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_CONFIG_PASSPHRASE": "cbr-simulator",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    # Lookups run in the program's process, which for a function is this one.
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    home = str(folder / "home")
    work = folder / "program"
    if callable(program):
        settings = ProjectSettings(name="cbr-test", runtime="python", backend=ProjectBackend(url=backend))
        options = LocalWorkspaceOptions(
            work_dir=str(work), pulumi_home=home, env_vars=variables, project_settings=settings
        )
        return create_stack(name, project_name="cbr-test", program=program, opts=options)
    shutil.copytree(program, work, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
    _remove_credentials(work)
    options = LocalWorkspaceOptions(pulumi_home=home, env_vars=variables)
    return create_stack(name, work_dir=str(work), opts=options)


def _remove_credentials(folder: Path) -> None:
    """Remove the settings of a project that would override the environment."""
    import yaml

    for file in folder.glob("Pulumi.y*ml"):
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = project.get("config") if isinstance(project, dict) else None
        if isinstance(config, dict):
            project["config"] = {
                key: value for key, value in config.items() if not str(key).startswith("cbr:") or key in _KEPT
            }
            file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")


def _to_config_values(config: Mapping[str, str | ConfigValue]) -> dict[str, ConfigValue]:
    from pulumi.automation import ConfigValue

    return {key: value if isinstance(value, ConfigValue) else ConfigValue(value) for key, value in config.items()}
