"""The real CLI in a folder of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import (
    InitStack,
    empty_stack,
    engine,
    engine_env,
    engine_settings,
    init_stack,
    pulumi_home,
    simulator,
    vault,
)
from engine.shortcuts import backend_of, configure, deployment_of
from processes import kill_session, session, started
from pulumi_cbr.simulator import Simulator
from waiting import PATIENCE, wait_until

__all__ = ["empty_stack", "engine", "engine_env", "engine_settings", "init_stack", "pulumi_home", "simulator", "vault"]

PROGRAM = """
import json, os
import pulumi_cbr as cbr

for backup, project in json.loads(os.environ["PAIRS"]):
    cbr.BackupShareMember(f"{backup[:8]}-{project[:8]}", backup, project)
"""

#: Backup and project, as the program declares them.
Pair = tuple[str, str]


class Terminal:
    """One stack of a program that shares what `pairs` say, and the CLI on it."""

    def __init__(self, folder: Path, stack: str, init_stack: InitStack, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.pairs: Sequence[Pair] = ()
        self._stack = stack
        self._env = env
        self._started: list[subprocess.Popen[str]] = []
        folder.mkdir(exist_ok=True)
        (folder / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
        (folder / "__main__.py").write_text(PROGRAM)
        init_stack(folder, stack)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the CLI as the head of a group of processes."""
        process = started(
            self.folder, *arguments, "--stack", self._stack, env={**self._env, "PAIRS": json.dumps(self.pairs)}
        )
        self._started.append(process)
        return process

    def wait(self, process: subprocess.Popen[str], happened: Callable[[], object]) -> None:
        """Wait until something has happened, and fail if a started CLI ends before."""
        wait_until(lambda: happened() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run the CLI to its end, which must be as said; give what it showed: never a traceback."""
        return self.ended(self.start(*arguments), fails=fails)

    def ended(self, process: subprocess.Popen[str], *, fails: bool = False) -> str:
        """Wait for the end of a started one."""
        shown, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode != 0) == fails, shown
        assert "Traceback" not in shown, shown
        assert "this is a bug" not in shown, shown
        return shown

    def up(self, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", fails=fails)

    def set(self, name: str, value: str) -> None:
        configure(self.folder, {f"cbr:{name}": value}, self._stack)

    def deployment(self) -> dict[str, Any]:
        return deployment_of(backend_of(self._env), self._stack)

    def shares(self) -> dict[Pair, str]:
        """Return the shares that the state has, with their IDs."""
        found = [entry for entry in self.deployment().get("resources", []) if "backup_id" in entry.get("outputs", {})]
        outputs = [entry["outputs"] for entry in found]
        return {(entry["backup_id"], entry["dest_project_id"]): entry["share_id"] for entry in outputs}

    def mend(self) -> None:
        """Remove what a killed engine was writing beside a state, as the documentation says."""
        backend = backend_of(self._env)
        for attributes in backend.rglob(f"stacks/**/{self._stack}.json.attrs"):
            if not attributes.read_text():
                attributes.unlink()

    def end_all(self) -> None:
        """Leave nothing running."""
        for process in self._started:
            if process.returncode is None:
                kill_session(process)


def below(process: subprocess.Popen[str], what: str) -> int:
    """Return the process below a started CLI that has `what` in its command line.

    Raises ProcessLookupError.
    """
    for id_ in session(process.pid):
        # Some of them end meanwhile.
        with suppress(OSError):
            if what in Path(f"/proc/{id_}/cmdline").read_text().replace("\0", " "):
                return id_
    raise ProcessLookupError(f"no process has {what!r} in its command line")


def there(simulator: Simulator) -> dict[Pair, str]:
    """Return the shares that the service has, with their IDs."""
    return {
        (backup.id, project): record.id
        for backup in simulator.backups
        for project, record in simulator.members(backup.id).items()
    }


@pytest.fixture
def terminal(
    engine_env: dict[str, str], init_stack: InitStack, simulator: Simulator, tmp_path: Path
) -> Iterator[Callable[[str], Terminal]]:
    """A factory of stacks by name, signed in as the owner."""
    made: list[Terminal] = []

    def make(stack: str) -> Terminal:
        made.append(Terminal(tmp_path / "program", stack, init_stack, {**engine_env, **simulator.env()}))
        return made[-1]

    yield make
    for each in made:
        each.end_all()
