"""Stacks of the real engine, on a local backend, in temporary folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from pulumi import automation as auto

from pulumi_cbr.simulator import Simulator
from waiting import PATIENCE

from .shortcuts import TEMPLATE, EmptyStack, QuickStack, backend_of, write_plugin, write_python
from .vault import SECRETS_PROVIDER, running_vault

ROOT = Path(__file__).resolve().parents[2]

#: Run the CLI in a folder: `cli(folder, "up", "--yes", env=...)`. Its output is not checked, nor its exit code.
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
#: Write a clouds.yaml, whose entries sign in as these roles, and give the variable that names it.
Clouds = Callable[[Mapping[str, str]], dict[str, str]]
#: Make a stack of an inline program, with variables that sign it in.
NewStack = Callable[[Callable[[], None], Mapping[str, str]], QuickStack]
#: Make a stack of the project in a folder: `init_stack(folder)`, or `init_stack(folder, "dev")`.
InitStack = Callable[..., None]


@pytest.fixture(scope="session")
def engine() -> Path:
    """The folder that has the engine."""
    cli = shutil.which("pulumi")
    if not cli or not shutil.which("pulumi-language-python"):
        pytest.fail("no Pulumi engine on PATH: run `make test`, or put the folder that `make engine` prints on PATH")
    return Path(cli).absolute().parent


@pytest.fixture(scope="session")
def pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine's own folder, one a worker, in place of the user's."""
    home = tmp_path_factory.mktemp("pulumi-home")
    # Where it would write a log of each command, compressed and encrypted.
    (home / "logs").touch()
    return home


@pytest.fixture(scope="session")
def vault() -> Iterator[dict[str, str]]:
    """The variables of the vault that encrypts secrets of stacks."""
    with running_vault() as variables:
        yield variables


@pytest.fixture(scope="session")
def engine_settings(
    engine: Path, pulumi_home: Path, vault: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of the engine, without the backend."""
    own = tmp_path_factory.getbasetemp()
    # The parent is of all workers of this run.
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    commands = pulumi_home / "commands"
    commands.mkdir()
    write_plugin(commands)
    return {
        "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), str(engine), os.environ["PATH"]]),
        **vault,
        "PULUMI_HOME": str(pulumi_home),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "1",
        "PULUMI_PYTHON_CMD": str(write_python(pulumi_home, shared)),
    }


@pytest.fixture(scope="session")
def empty_stack(engine_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> EmptyStack:
    """The files that the CLI writes for a new stack."""
    folder, backend = tmp_path_factory.mktemp("template"), tmp_path_factory.mktemp("template-backend")
    (folder / "Pulumi.yaml").write_text(f"name: {TEMPLATE}\nruntime: python\n")
    env = {**os.environ, **engine_settings, "PULUMI_BACKEND_URL": f"file://{backend}"}
    init = ["pulumi", "stack", "init", TEMPLATE, "--secrets-provider", SECRETS_PROVIDER, "--non-interactive"]
    subprocess.run(init, cwd=folder, env=env, check=True)
    return EmptyStack.read(backend, folder)


@pytest.fixture
def engine_env(engine_settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The engine's environment: a backend for this test alone, and the Python to start."""
    backend = tmp_path / "backend"
    backend.mkdir()
    return {**engine_settings, "PULUMI_BACKEND_URL": f"file://{backend}"}


@pytest.fixture
def init_stack(empty_stack: EmptyStack, engine_env: dict[str, str]) -> InitStack:
    """Make a stack as `pulumi stack init` does, and select it."""

    def init(folder: Path, stack: str = "test") -> None:
        empty_stack.write(folder, stack, engine_env)

    return init


@pytest.fixture(scope="session")
def pulumi_command(engine: Path) -> auto.PulumiCommand:
    """The CLI, whose version is asked for once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(engine), os.environ["PATH"]]))
        return auto.PulumiCommand()


@pytest.fixture
def cli(engine_env: dict[str, str]) -> Cli:
    def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=folder,
            env={**os.environ, **engine_env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    return run


@pytest.fixture
def new_stack(
    engine_env: dict[str, str], init_stack: InitStack, pulumi_command: auto.PulumiCommand, tmp_path: Path
) -> NewStack:
    def make(program: Callable[[], None], env: Mapping[str, str]) -> QuickStack:
        folder = tmp_path / "work"
        folder.mkdir()
        workspace = auto.LocalWorkspace(
            work_dir=str(folder),
            pulumi_home=engine_env["PULUMI_HOME"],
            program=program,
            env_vars={**engine_env, **env},
            project_settings=auto.ProjectSettings(name="test", runtime="python"),
            pulumi_command=pulumi_command,
        )
        init_stack(folder)
        return QuickStack("test", workspace, backend_of(engine_env))

    return make


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def clouds(simulator: Simulator, tmp_path: Path) -> Clouds:
    def write(roles: Mapping[str, str]) -> dict[str, str]:
        entries = {}
        for name, role in roles.items():
            env = simulator.env(role)
            keys = ("auth_url", "username", "password", "user_domain_name", "project_id")
            auth = {key: env[f"OS_{key.upper()}"] for key in keys}
            entries[name] = {"auth": auth, "region_name": env["OS_REGION_NAME"]}
        file = tmp_path / "clouds.yaml"
        file.write_text(yaml.safe_dump({"clouds": entries}))
        return {"OS_CLIENT_CONFIG_FILE": str(file)}

    return write
