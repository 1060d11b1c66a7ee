"""Pytest fixtures for programs that use `pulumi_cbr`: a simulated service, and Pulumi stacks that are signed in to it.

Installed with the package; nothing has to be imported. The simulator needs the extra ``pulumi-cbr[simulator]``, a stack
the Pulumi CLI on PATH as well. Neither needs an account or the network.

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
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pulumi.automation import ConfigValue, Stack

    from pulumi_cbr.simulator.server import Simulator

__all__ = ["StackFactory", "cbr_simulator", "cbr_stack"]

_PREFIXES = ("OS_", "HW_", "CBR_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: What of ``cbr:*`` a program keeps in its own Pulumi.yaml: the rest names an account or an address.
_KEPT = ("cbr:userProfile", "cbr:adoptExisting", "cbr:preflight", "cbr:timeout", "cbr:maxRetries")
_NOT_COPIED = (".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", "Pulumi.*.yaml")


class StackFactory(Protocol):
    """What the fixture `cbr_stack` gives."""

    def __call__(
        self,
        program: Callable[[], None] | str | os.PathLike[str],
        *,
        role: str = "owner",
        config: Mapping[str, str | ConfigValue] | None = None,
        name: str = "test",
    ) -> Stack:
        """Make a stack of a program: a function, or a folder with a Pulumi.yaml (a copy is run)."""
        ...


@pytest.fixture
def cbr_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Give a simulated service of this test's own, in an environment that names no other one.

    ``OS_*``, ``HW_*``, ``CBR_*`` and the proxy settings are taken out of the environment for the test's time, and
    ``OS_CLIENT_CONFIG_FILE`` and ``OS_CLIENT_SECURE_FILE`` name a file without clouds, so that no test reaches a real
    cloud unless it names one itself. To sign in, set what ``cbr_simulator.env("owner")`` gives; `cbr_stack` does.
    """
    from pulumi_cbr.simulator.server import Simulator

    for variable in list(os.environ):
        if variable.startswith(_PREFIXES) or variable.upper() in _PROXIES:
            monkeypatch.delenv(variable)
    # The first file that is there counts, and these two are looked for before all others.
    no_clouds = tmp_path_factory.mktemp("cbr") / "clouds.yaml"
    no_clouds.touch()
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(no_clouds))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(no_clouds))
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def cbr_stack(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StackFactory]:
    """Give a factory of Pulumi stacks (`pulumi.automation.Stack`) that are signed in to `cbr_simulator`.

    ``cbr_stack(program)`` takes a function, or the folder of a program. ``role="receiver"`` signs in as the receiver,
    ``config`` is the stack's configuration: texts, or ``ConfigValue`` for secrets (a key without a namespace is the
    project's own); ``name`` tells two stacks apart. What a folder's own Pulumi.yaml says of ``cbr:*`` to sign in with is
    left out of the copy. State, passphrase and the CLI's own settings live in a temporary folder. At the end of the test
    faults are cleared and each stack is destroyed and removed; a stack that cannot be destroyed fails the test.

    Resources are always signed in as their stack's role. Look-ups of a function's stack run in the test's own process,
    whose environment is that of the stack made last.

    Raises RuntimeError when the Pulumi CLI is not on PATH.
    """
    made: list[Stack] = []
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
        stack = _stack(program, cbr_simulator.env(role), monkeypatch, tmp_path / f"pulumi-{next(numbers)}", name)
        made.append(stack)
        stack.set_all_config(_configuration(config or {}))
        return stack

    yield make
    cbr_simulator.faults.clear()
    cbr_simulator.allow_all()
    for stack in reversed(made):
        left = {summary.name: summary.resource_count for summary in stack.workspace.list_stacks()}
        if stack.name in left:
            if left[stack.name]:
                stack.destroy()
            stack.workspace.remove_stack(stack.name)


def _stack(
    program: Callable[[], None] | str | os.PathLike[str],
    signed_in: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    name: str,
) -> Stack:
    from pulumi.automation import LocalWorkspaceOptions, ProjectBackend, ProjectSettings, create_stack

    for part in ("state", "home", "program"):
        (folder / part).mkdir(parents=True)
    backend = (folder / "state").as_uri()
    variables = {
        **signed_in,
        # The plugin that runs the resources' code is found, and runs, by the Python that runs this test.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_CONFIG_PASSPHRASE": "cbr-simulator",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    # Look-ups run in the program's process, which for a function is this one.
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
    _leave_sign_in_out(work)
    options = LocalWorkspaceOptions(pulumi_home=home, env_vars=variables)
    return create_stack(name, work_dir=str(work), opts=options)


def _leave_sign_in_out(folder: Path) -> None:
    """Take out of a project's own configuration what would come before the environment."""
    import yaml

    for file in folder.glob("Pulumi.y*ml"):
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = project.get("config") if isinstance(project, dict) else None
        if isinstance(config, dict):
            project["config"] = {
                key: value for key, value in config.items() if not str(key).startswith("cbr:") or key in _KEPT
            }
            file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")


def _configuration(config: Mapping[str, str | ConfigValue]) -> dict[str, ConfigValue]:
    from pulumi.automation import ConfigValue

    return {key: value if isinstance(value, ConfigValue) else ConfigValue(value) for key, value in config.items()}
