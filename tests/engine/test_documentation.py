"""The documentation works: every program and every command of README.md and docs/ is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from documents import PAGES, blocks, commands, programs, read
from processes import kill_session, started
from pulumi_cbr.api import load
from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.registry import announce
from unit.signing_in import sign_in
from waiting import PATIENCE, wait_until

from .conftest import Cli, Clouds, InitStack
from .shortcuts import backend_of, deployment_of

(MEMBER,) = programs("README.md")
SHARE, _ = programs("docs/how-to/share-with-a-set.md")
ACCEPTER, _ = programs("docs/how-to/accept-a-share.md")
(BOTH_SIDES,) = programs("docs/how-to/both-sides.md")
WINDOW, EACH_SERVER, INBOX, LOOK_UP = programs("docs/how-to/newest-backups.md")
(PROVIDERS,) = programs("docs/how-to/several-accounts.md")
FIXTURES, MOCKS, LOOK_UP_TEST = programs("docs/how-to/test-a-program.md")
(CLIENT,) = programs("docs/reference/client.md")
_, NATIVE_MEMBER = programs("docs/reference/backup-share-member.md")
_, NATIVE_SHARE = programs("docs/reference/backup-share.md")
_, NATIVE_ACCEPTER = programs("docs/reference/backup-share-accepter.md")

PASSWORD, ACCESS_KEYS, CLOUD, DOCTOR = commands("docs/how-to/sign-in.md")
INSTALL, SERVE, PREVIEW, UP, WITHDRAW, DESTROY, _, _ = commands("docs/get-started.md")
(CALLS,) = commands("docs/how-to/find-out-why.md")
NIGHTLY, NEXT_DAY = commands("docs/how-to/newest-backups.md")
ADOPT, IMPORT = commands("docs/how-to/adopt-existing-shares.md")
(CONFIGURATION,) = commands("docs/how-to/several-accounts.md")
_, CI_PREVIEW, CI_UP, CI_GATE = commands("docs/how-to/ci.md")
(AFTER_A_KILL,) = commands("docs/how-to/after-a-killed-run.md")
LIST, RECEIVED, MAP, MARK, EXPORT, PROGRAM = commands("docs/how-to/see-who-has-access.md")
MAKE, _, _ = commands("README.md")
(ADD_PACKAGE,) = commands("docs/choose-a-flavor.md")

#: Every program and every command that a test of this file runs; `make` and the installation have tests of their own.
RUN = {
    *(
        MEMBER,
        SHARE,
        ACCEPTER,
        BOTH_SIDES,
        WINDOW,
        EACH_SERVER,
        INBOX,
        LOOK_UP,
        PROVIDERS,
        FIXTURES,
        MOCKS,
        LOOK_UP_TEST,
        CLIENT,
    ),
    *(NATIVE_MEMBER, NATIVE_SHARE, NATIVE_ACCEPTER),
    *(
        PASSWORD,
        ACCESS_KEYS,
        CLOUD,
        DOCTOR,
        INSTALL,
        SERVE,
        PREVIEW,
        UP,
        WITHDRAW,
        DESTROY,
        NIGHTLY,
        NEXT_DAY,
        ADOPT,
        IMPORT,
    ),
    *(CALLS, CONFIGURATION, CI_PREVIEW, CI_UP, CI_GATE, AFTER_A_KILL, MAKE, ADD_PACKAGE),
    *(LIST, RECEIVED, MAP, MARK, EXPORT, PROGRAM),
}

BACKUP = "0ddb0e92-50b2-49d4-bd57-35b378502536"
RECEIVER = "e991c88fb754e3862d3e981533f29aec"


def test_every_block_of_every_page_is_run() -> None:
    assert [block for page in PAGES for block in (*programs(page), *commands(page)) if block not in RUN] == []


@pytest.fixture
def project(tmp_path: Path, init_stack: InitStack) -> Path:
    """A project without a program, and its stack."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: docs\nruntime: python\n")
    init_stack(folder, "dev")
    return folder


@pytest.fixture
def named(clouds: Clouds) -> dict[str, str]:
    """The two entries of clouds.yaml that the pages name."""
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
        timeout=PATIENCE,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def members(simulator: Simulator) -> list[str]:
    """Return the status of every share in the simulated cloud."""
    return [member.status for backup in simulator.backups for member in simulator.members(backup.id).values()]


class Programs:
    """A stack that is emptied before each program, without a call of the engine."""

    def __init__(self, folder: Path, cli: Cli, simulator: Simulator, env: Mapping[str, str], state: Path) -> None:
        self.folder, self.cli, self.simulator, self.env = folder, cli, simulator, env
        self.state, self.empty = state, state.read_bytes()

    def up(self, program: str, role: str = "owner") -> list[str]:
        """Run `up` of a program in the emptied stack, and return the status of every share."""
        self.clear()
        if role == "receiver":
            self.simulator.share(BACKUP, RECEIVER)
        (self.folder / "__main__.py").write_text(program)
        done = self.cli(self.folder, "up", "--yes", "--skip-preview", env={**self.simulator.env(role), **self.env})
        assert done.returncode == 0, done.stdout
        return members(self.simulator)

    def clear(self) -> None:
        self.state.write_bytes(self.empty)
        for backup in self.simulator.backups:
            for project in list(self.simulator.members(backup.id)):
                self.simulator.withdraw(backup.id, project)

    def shell(self, block: str) -> str:
        return shell(self.folder, block, {**self.simulator.env("owner"), **self.env})


@pytest.fixture
def stack(project: Path, cli: Cli, simulator: Simulator, named: dict[str, str], engine_env: dict[str, str]) -> Programs:
    (state,) = backend_of(engine_env).rglob("dev.json")
    return Programs(project, cli, simulator, {**engine_env, **named}, state)


def test_package_add_enters_the_package(project: Path, engine_env: dict[str, str]) -> None:
    """In YAML, whose engine needs nothing else: the hosts of the built engine cannot enter a package."""
    (project / "Pulumi.yaml").write_text("name: docs\nruntime: yaml\n")
    assert "Added package CBR" in shell(project, ADD_PACKAGE, engine_env)
    assert "cbr: cbr@" in (project / "Pulumi.yaml").read_text()


def test_programs_dynamic(stack: Programs, simulator: Simulator) -> None:
    """Two at a time, which share different backups, or accept the same."""
    assert stack.up(ACCEPTER + INBOX, "receiver") == ["accepted"]
    assert stack.up(LOOK_UP + EACH_SERVER) == ["pending"] * 4
    assert sorted(stack.up(BOTH_SIDES + WINDOW)) == ["accepted", *["pending"] * 3]
    stack.shell(NIGHTLY)
    assert len(members(simulator)) == 4
    with announce(simulator.url, simulator.secret):
        moved = stack.shell(NEXT_DAY)
    assert "+ 1 created" in moved
    assert "- 1 deleted" in moved
    shared = {backup.name for backup in simulator.backups if simulator.members(backup.id)}
    assert shared == {"backup-000", "backup-010", "backup-011", "backup-012"}
    told = stack.shell("\n".join([LIST, RECEIVED, MAP, MARK, EXPORT, PROGRAM]))
    assert "nightly" in told
    assert (stack.folder / "shares.html").exists()
    assert (stack.folder / "shares.json").exists()
    assert re.match(r"cbr: POST /v3/auth/tokens: 201 in \d+ ms \(request \w+\)\n", stack.shell(CALLS))


def test_programs_native(stack: Programs, simulator: Simulator) -> None:
    assert stack.up(PROVIDERS) == ["accepted"]
    stack.clear()
    (stack.folder / "__main__.py").write_text(NATIVE_MEMBER)
    # As a pipeline does.
    stack.shell(f"{CI_PREVIEW}\n{CI_UP}\n{CI_GATE}")
    assert members(simulator) == ["pending"]


@pytest.mark.parametrize(("dynamic", "native"), [(SHARE, NATIVE_SHARE), (ACCEPTER, NATIVE_ACCEPTER)])
def test_native_programs_differ_in_the_import(dynamic: str, native: str) -> None:
    """The dynamic one is run; and both flavors have the same classes."""
    assert native == dynamic.replace("import pulumi_cbr as cbr", "import pulumi_cbr.native as cbr")


def test_import_prints_the_program(stack: Programs, simulator: Simulator) -> None:
    simulator.share(BACKUP, RECEIVER)
    told = stack.shell(IMPORT)
    assert "cbr.BackupShareMember(" in told
    assert f'"{RECEIVER}"' in told


def test_programs_yaml(stack: Programs) -> None:
    for page, role, statuses in (
        ("backup-share-member", "owner", ["pending"]),
        ("backup-share-accepter", "receiver", ["accepted"]),
        ("backup-share", "owner", ["pending"] * 2),
    ):
        (text,) = blocks(f"docs/reference/{page}.md", "yaml")
        (stack.folder / "Pulumi.yaml").write_text(yaml.safe_dump({**yaml.safe_load(text), "name": "docs"}))
        assert stack.up("", role) == statuses
    assert "from $PATH" in stack.shell("pulumi preview")
    (plugins,) = blocks("docs/choose-a-flavor.md", "yaml")
    with (stack.folder / "Pulumi.yaml").open("a") as manifest:
        manifest.write(plugins.replace("venv/bin", str(Path(sys.executable).parent)))
    assert "from $PATH" not in stack.shell("pulumi preview")


def test_client_script(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.share(BACKUP, RECEIVER)
    sign_in(monkeypatch, simulator.env("owner"))
    exec(CLIENT, {})
    assert RECEIVER in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.parametrize(
    ("block", "method"),
    [(PASSWORD, "password"), (ACCESS_KEYS, "accessKey"), (CLOUD, "password")],
    ids=lambda value: value[:24],
)
def test_signing_in_by_variables(
    block: str, method: str, tmp_path: Path, named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = shell(tmp_path, f"{block}\nenv", named).splitlines()
    sign_in(monkeypatch, dict(line.split("=", 1) for line in variables if re.match("(OS|HW)_.*=", line)))
    assert load().method == method


def test_signing_in_by_the_configuration(project: Path, engine_env: dict[str, str]) -> None:
    shell(project, CONFIGURATION, engine_env)
    config = settings(project)
    assert config["cbr:username"] == "backup-operator"
    assert config["cbr:password"].keys() == {"secure"}


def settings(project: Path) -> dict[str, Any]:
    """Return the configuration of the stack."""
    return dict(yaml.safe_load((project / "Pulumi.dev.yaml").read_text()).get("config", {}))


def test_adopting(project: Path, engine_env: dict[str, str], cli: Cli, simulator: Simulator) -> None:
    (project / "__main__.py").write_text(MEMBER)
    env = {**engine_env, **simulator.env("owner")}
    simulator.share(BACKUP, RECEIVER)
    refused = cli(project, "up", "--yes", "--skip-preview", env=env)
    assert refused.returncode != 0
    assert "already shared" in refused.stdout
    shell(project, ADOPT, env)
    assert settings(project) == {}
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

    assert settings(project) == {}
    assert "pending_operations" not in deployment_of(backend_of(env), "dev")
    done = cli(project, "preview", "--expect-no-changes", env=env)
    assert done.returncode == 0, done.stdout
    assert "pending" not in done.stdout


def test_a_state_that_was_being_written(project: Path, engine_env: dict[str, str], cli: Cli) -> None:
    (state,) = backend_of(engine_env).rglob("dev.json")
    attributes = state.with_name("dev.json.attrs")
    attributes.write_text("")
    (told,) = re.findall(r"the next command says `(.*)`", read("docs/how-to/after-a-killed-run.md"))
    assert told in cli(project, "stack", "export").stdout
    attributes.unlink()
    assert cli(project, "stack", "export").returncode == 0


def test_the_fixtures(simulator: Simulator) -> None:
    """The test of the page does what it says. examples/test_with_simulator has such tests for the real fixtures."""

    class Stack:
        def up(self) -> None:
            simulator.share(simulator.backups[0].id, simulator.receiver.project_id)

    names: dict[str, Any] = {}
    exec(FIXTURES, names)
    names["test_the_backup_is_shared"](simulator, lambda program: Stack())


def test_mocks_answer_look_ups() -> None:
    names: dict[str, Any] = {}
    exec(MOCKS, names)
    names["test_the_newest_backup_is_shared"]()


def test_guides_and_reference_show_the_same_programs() -> None:
    """Those of the reference are run."""
    for guide, page in (
        ("share-one-backup", "backup-share-member"),
        ("share-with-a-set", "backup-share"),
        ("accept-a-share", "backup-share-accepter"),
    ):
        for language in ("python", "yaml"):
            assert blocks(f"docs/how-to/{guide}.md", language) == blocks(f"docs/reference/{page}.md", language)


def test_fixtures_serve_look_ups(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine: the program's shares are made at once, and its look-ups reach the simulator."""

    class Stack:
        def __init__(self, program: Callable[[], None]) -> None:
            self.up = program

    sign_in(monkeypatch, simulator.env("owner"))
    names: dict[str, Any] = {}
    exec(LOOK_UP_TEST, names)
    existing: list[str] = []

    def share(_name: str, backup_id: str, project: str) -> None:
        if backup_id not in existing:
            existing.append(backup_id)
            simulator.share(backup_id, project)

    monkeypatch.setattr(names["cbr"], "BackupShareMember", share)
    names["test_a_new_backup_is_shared"](simulator, Stack)


def test_get_started(tmp_path: Path, engine_env: dict[str, str]) -> None:
    """The tutorial from an empty folder on, in two shells."""
    folder = tmp_path / "first"
    folder.mkdir()
    (manifest,) = blocks("docs/get-started.md", "yaml")
    (folder / "Pulumi.yaml").write_text(manifest)
    (folder / "__main__.py").write_text(*programs("docs/get-started.md"))
    own = {name: str(tmp_path / name.lower()) for name in ("XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "PULUMI_HOME")}
    env = {name: engine_env[name] for name in ("PATH", "PULUMI_SKIP_UPDATE_CHECK", "PULUMI_PYTHON_CMD")} | own
    with subprocess.Popen(
        ["bash", "-c", SERVE], env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            assert served.stdout
            assert served.stdout.readline().startswith("http://127.0.0.1:")
            told = shell(folder, "\n".join([PREVIEW, UP, WITHDRAW, DESTROY]), env)
        finally:
            served.terminate()
    assert "+ 2 to create" in told
    assert "+ 1 created" in told
    assert BACKUP in told


def test_doctor_command(project: Path, engine_env: dict[str, str], simulator: Simulator) -> None:
    assert "All checks passed." in shell(project, DOCTOR, {**engine_env, **simulator.env("owner")})


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE)
    assert [line for line in re.findall(r"^make (\w+)", MAKE, re.MULTILINE) if line not in targets] == []
