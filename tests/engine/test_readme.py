"""The README works as it stands: every program and every command in it is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from processes import kill_session, started
from pulumi_cbr.simulator import Fault, Simulator
from waiting import wait_until

from .conftest import ROOT, Cli, Clouds

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [text for language, text in BLOCKS if language == "sh"]

MEMBER, SHARE, LOOK_UP, CROSS_PROJECT, FIXTURES = PROGRAMS
INSTALL, PASSWORD, ACCESS_KEYS, CLOUD, CONFIGURATION, ADOPT, AFTER_A_KILL, SIMULATOR = COMMANDS

BACKUP = "0ddb0e92-50b2-49d4-bd57-35b378502536"
RECEIVER = "e991c88fb754e3862d3e981533f29aec"


@pytest.fixture
def project(tmp_path: Path, cli: Cli) -> Path:
    """A project without a program, and its stack."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: readme\nruntime: python\n")
    made = cli(folder, "stack", "init", "test")
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture
def named(clouds: Clouds) -> dict[str, str]:
    """The two entries of clouds.yaml that the README names."""
    return clouds({"production": "owner", "disaster-recovery": "receiver"})


def shell(folder: Path, block: str, env: Mapping[str, str]) -> str:
    """Run a block as a user's shell would, which stops at the first command that fails."""
    finished = subprocess.run(
        ["bash", "-euc", block],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


@pytest.mark.parametrize(
    ("program", "shares"),
    [(MEMBER, 1), (SHARE, 2), (LOOK_UP, 3), (CROSS_PROJECT, 1)],
    ids=["member", "share", "look-up", "cross-project"],
)
def test_program(
    program: str, shares: int, project: Path, cli: Cli, simulator: Simulator, named: dict[str, str]
) -> None:
    (project / "__main__.py").write_text(program)
    env = {**simulator.env("owner"), **named}

    def members() -> list[str]:
        return [member.status for backup in simulator.backups for member in simulator.members(backup.id).values()]

    for command in (["preview"], ["up", "--yes", "--skip-preview"], ["preview", "--expect-no-changes"]):
        done = cli(project, *command, env=env)
        assert done.returncode == 0, done.stdout
    assert len(members()) == shares
    assert ("accepted" in members()) == (program == CROSS_PROJECT)
    done = cli(project, "destroy", "--yes", "--skip-preview", env=env)
    assert done.returncode == 0, done.stdout
    assert members() == []


@pytest.mark.parametrize(
    ("block", "method"),
    [(PASSWORD, "password"), (ACCESS_KEYS, "accessKey"), (CLOUD, "cloud")],
    ids=lambda value: value[:24],
)
def test_signing_in_by_variables(block: str, method: str, tmp_path: Path, named: dict[str, str]) -> None:
    read = f"{sys.executable} -c 'from pulumi_cbr.api import load; print(load().method)'"
    assert shell(tmp_path, f"{block}\n{read}", named).strip() == method


def test_signing_in_by_the_configuration(project: Path, engine_env: dict[str, str]) -> None:
    shell(project, CONFIGURATION, engine_env)
    told = shell(project, "pulumi config", engine_env)
    assert "backup-operator" in told
    assert re.search(r"cbr:password +\[secret\]", told)


def test_adopting(project: Path, engine_env: dict[str, str], cli: Cli, simulator: Simulator) -> None:
    (project / "__main__.py").write_text(MEMBER)
    env = {**engine_env, **simulator.env("owner")}
    simulator.share(BACKUP, RECEIVER)
    refused = cli(project, "up", "--yes", env=env)
    assert refused.returncode != 0
    assert "already shared" in refused.stdout
    shell(project, ADOPT, env)
    assert "cbr:adoptExisting" not in shell(project, "pulumi config", env)
    assert cli(project, "preview", "--expect-no-changes", env=env).returncode == 0


def test_after_a_killed_run(project: Path, engine_env: dict[str, str], cli: Cli, simulator: Simulator) -> None:
    (project / "__main__.py").write_text(SHARE)
    env = {**engine_env, **simulator.env("owner")}
    simulator.faults.add(Fault("timeout_after"))
    up = started(project, "up", "--yes", "--skip-preview", env=env)
    wait_until(lambda: simulator.members(BACKUP) or up.poll() is not None)
    kill_session(up)
    locked = cli(project, "up", "--yes", env=env)
    assert "the stack is currently locked" in locked.stdout

    shell(project, AFTER_A_KILL, env)

    assert "cbr:adoptExisting" not in shell(project, "pulumi config", env)
    assert "pending_operations" not in shell(project, "pulumi stack export", env)
    done = cli(project, "preview", "--expect-no-changes", env=env)
    assert done.returncode == 0, done.stdout
    assert "pending" not in done.stdout


def test_a_state_that_was_being_written(project: Path, engine_env: dict[str, str], cli: Cli) -> None:
    backend = Path(engine_env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    (attributes,) = backend.rglob("test.json.attrs")
    attributes.write_text("")
    (told,) = re.findall(
        r"^\| `(failed to load checkpoint.*)` \| .* delete the empty `<stack>.json.attrs`", README, re.MULTILINE
    )
    assert told in cli(project, "stack", "export").stdout
    attributes.unlink()
    assert cli(project, "stack", "export").returncode == 0


def test_the_fixtures(tmp_path: Path, engine: Path) -> None:
    program = tmp_path / "path" / "of" / "the" / "program"
    program.mkdir(parents=True)
    (program / "Pulumi.yaml").write_text("name: readme\nruntime: python\n")
    (program / "__main__.py").write_text(MEMBER)
    (tmp_path / "test_it.py").write_text(FIXTURES)
    path = {"PATH": os.pathsep.join([str(engine), os.environ["PATH"]])}
    assert "1 passed" in shell(tmp_path, f"{sys.executable} -m pytest -q -p no:cacheprovider test_it.py", path)


def test_trying_it_without_a_cloud(project: Path, engine_env: dict[str, str], tmp_path: Path) -> None:
    (project / "__main__.py").write_text(MEMBER)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    serve = [sys.executable, "-m", "pulumi_cbr.simulator", "serve"]
    with subprocess.Popen(serve, env={**os.environ, **cache}, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            assert simulator.stdout
            assert simulator.stdout.readline().startswith("http://127.0.0.1:")
            told = shell(project, SIMULATOR, {**engine_env, **cache})
        finally:
            simulator.terminate()
    assert "+ 2 to create" in told
    assert BACKUP in told


def test_doctor_as_the_readme_calls_it(project: Path, engine_env: dict[str, str], simulator: Simulator) -> None:
    (command,) = re.findall(r"^(python -m pulumi_cbr doctor)", INSTALL, re.MULTILINE)
    told = shell(project, command, {**engine_env, **simulator.env("owner")})
    assert "All is well." in told
