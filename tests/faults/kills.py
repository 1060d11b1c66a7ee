"""A hundred kills at random moments, of each process of the engine: the documented recovery loses nothing.

Not among the tests of `make test`: `make soak` runs it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from processes import kill_session
from pulumi_cbr.simulator import Fault, Simulator
from waiting import wait_until

from .conftest import Pair, Terminal, below, there

KILLS_OF_A_STACK = 10

#: Half of the shares are of each flavor.
PROGRAM = """
import json, os
import pulumi_cbr as dynamic
from pulumi_cbr import native

for backup, project in json.loads(os.environ["PAIRS"]):
    flavor = native if int(project, 16) % 2 else dynamic
    flavor.BackupShareMember(f"{backup[:8]}-{project[:8]}", backup, project)
"""

#: What is killed: the CLI, or a process below it, by a part of its command line.
VICTIMS = {
    "cli": "",
    "dynamic plugin": "-m pulumi.dynamic",
    "first-class plugin": "pulumi-resource-cbr",
    "program": "pulumi-language-python-exec",
    "language host": "pulumi-language-python ",
}


class KilledStack:
    """One stack, what it declares, and what others have shared."""

    def __init__(self, stack: Terminal, simulator: Simulator, random: Random) -> None:
        self._stack, self._simulator, self._random = stack, simulator, random
        (stack.folder / "__main__.py").write_text(PROGRAM)
        foreign, *projects = simulator.projects[2:10]
        self._candidates = [(backup.id, project) for backup in simulator.backups[:4] for project in projects]
        self._foreign = {
            (backup.id, foreign): simulator.share(backup.id, foreign).id for backup in simulator.backups[:4]
        }

    def kill_and_recover(self) -> str:
        """Kill one process of a run, recover as documented, and return what was killed."""
        operation = self._random.choice(["up", "up", "up", "destroy", "refresh"])
        if operation == "up":
            self._stack.pairs = self._random.sample(self._candidates, self._random.randint(1, 12))
        victim, after = self._random.choice([*VICTIMS]), self._random.randint(0, 8)
        self._simulator.clear_calls()
        slow = Fault("slow", "*", "", times=None, seconds=0.05)
        self._simulator.faults.add(slow)
        run = self._stack.start(operation, "--yes", "--skip-preview")
        wait_until(lambda: len(self._simulator.calls) >= after or run.poll() is not None)
        _kill(run, victim)
        self._simulator.faults.remove(slow)
        self._recover(operation)
        if operation == "destroy":
            self._stack.pairs = []
        self._check()
        return f"{operation}: {victim} after {after} calls"

    def _recover(self, operation: str) -> None:
        self._stack.mend()
        self._stack.run("cancel", "--yes")
        if operation != "up":
            self._stack.run(operation, "--yes", "--skip-preview")
            return
        self._stack.set("adoptExisting", "true")
        self._stack.up()
        self._stack.run("config", "rm", "cbr:adoptExisting")
        self._stack.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates")

    def _check(self) -> None:
        found = there(self._simulator)
        assert {pair: found.pop(pair, None) for pair in self._foreign} == self._foreign
        assert found.keys() == set(self._stack.pairs)
        assert self._state() == found

    def _state(self) -> dict[Pair, str]:
        deployment = self._stack.deployment()
        assert not deployment.get("pending_operations")
        shares: dict[Pair, str] = {}
        for resource in deployment.get("resources", []):
            if resource["type"].endswith("BackupShareMember"):
                outputs: dict[str, Any] = resource["outputs"]
                backup, project = resource["id"].split("/")
                shares[backup, project] = outputs.get("share_id") or outputs["shareId"]
        return shares


def _kill(run: subprocess.Popen[str], victim: str) -> None:
    if part := VICTIMS[victim]:
        try:
            os.kill(below(run, part), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended, or this run has none
        else:
            # An engine that waits for what is dead is ended by its user.
            with suppress(subprocess.TimeoutExpired):
                run.communicate(timeout=60)
    # The processes that stay are ended, as the documentation says.
    kill_session(run)


@pytest.mark.parametrize("seed", range(10))
def test_kills(seed: int, simulator: Simulator, terminal: Callable[[str], Terminal]) -> None:
    killed: list[str] = []
    stack = KilledStack(terminal("test"), simulator, Random(seed))
    try:
        for _ in range(KILLS_OF_A_STACK):
            killed.append(stack.kill_and_recover())
    except Exception as error:
        raise AssertionError(f"seed {seed}, after {killed}: {error}") from error
