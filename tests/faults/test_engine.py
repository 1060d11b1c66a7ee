"""The worst faults on the real engine, and runs that were broken off: one more run has to finish them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import kill_session
from pulumi_cbr.simulator import Fault, Simulator
from waiting import PATIENCE

from .conftest import Terminal, below, there

NewTerminal = Callable[[str], Terminal]

#: What goes wrong with the POST of one backup, and whether the first run makes the share nevertheless.
WORST: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "reset_after"}, True),
    ({"kind": "timeout_after"}, True),
    ({"kind": "status_after", "status": 502, "times": 2}, True),
    ({"kind": "status_before", "status": 503, "times": 3}, True),
    ({"kind": "html", "status": 200}, True),
    ({"kind": "html", "status": 200, "committed": True}, True),
    ({"kind": "truncated"}, True),
    ({"kind": "malformed", "body": {"unexpected": True}}, True),
    ({"kind": "throttle", "retry_after": 1, "times": 2}, True),
    ({"kind": "throttle", "retry_after": 86400}, False),
    ({"kind": "proxy_407"}, False),
    ({"kind": "status_after", "status": 500, "method": "*", "times": None}, False),
]


def test_worst_dozen(simulator: Simulator, terminal: NewTerminal) -> None:
    stack = terminal("test")
    stack.pairs = [(backup.id, simulator.projects[2]) for backup in simulator.backups]
    stack.set("timeout", "10")
    for (backup, _), (fault, _) in zip(stack.pairs, WORST, strict=True):
        simulator.faults.add(Fault(**{"path": backup, "method": "POST", **fault}))
    simulator.faults.add(Fault("expire_token", path="/members", nth=4))

    # The engine begins nothing more after a failure, if it is not told to go on.
    shown = stack.run("up", "--yes", "--skip-preview", "--continue-on-error", fails=True)
    assert set(stack.shares()) == {pair for pair, (_, made) in zip(stack.pairs, WORST, strict=True) if made}
    assert "cbr:adoptExisting" in shown

    simulator.faults.clear()
    assert "already shared" in stack.up(fails=True)
    stack.set("adoptExisting", "true")
    stack.up()
    assert set(there(simulator)) == set(stack.pairs)
    assert stack.shares() == there(simulator)

    for number, kind in enumerate(["reset_after", "status_after", "html", "proxy_407", "truncated", "expire_token"]):
        more: dict[str, Any] = {"status": 200} if kind == "html" else {}
        simulator.faults.add(Fault(kind, "DELETE", stack.pairs[number][0], **more))
    stack.run("destroy", "--yes", "--skip-preview", "--continue-on-error", fails=True)
    assert stack.shares() == there(simulator)
    # The answer of a proxy, which no other try can better.
    assert set(there(simulator)) == set(stack.pairs[3:4])
    stack.run("destroy", "--yes", "--skip-preview")
    assert there(simulator) == {}


@pytest.mark.parametrize("victim", ["cli", "plugin"])
def test_killed_in_the_middle_of_twenty(victim: str, simulator: Simulator, terminal: NewTerminal) -> None:
    stack = terminal("test")
    stack.pairs = [(backup.id, project) for backup in simulator.backups[:2] for project in simulator.projects[:10]]
    simulator.faults.add(Fault("timeout_after", nth=8))
    up = stack.start("up", "--yes", "--skip-preview")
    stack.wait(up, lambda: any(call.fault for call in simulator.calls))
    if victim == "plugin":
        os.kill(below(up, "-m pulumi.dynamic"), signal.SIGKILL)
        stack.ended(up, fails=True)
    else:
        kill_session(up)
        stack.mend()
        assert "pulumi cancel" in stack.up(fails=True)
        stack.run("cancel", "--yes")
    stack.set("adoptExisting", "true")

    stack.up()

    assert set(there(simulator)) == set(stack.pairs)
    assert stack.shares() == there(simulator)
    if victim == "cli":
        stack.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
        assert "pending_operations" not in stack.deployment()
        assert stack.shares() == there(simulator)


def test_program_killed_in_the_middle(simulator: Simulator, terminal: NewTerminal) -> None:
    stack = terminal("test")
    stack.pairs = [(simulator.backups[0].id, project) for project in simulator.projects[:10]]
    simulator.faults.add(Fault("slow", nth=3, times=None, seconds=2))
    up = stack.start("up", "--yes", "--skip-preview")
    stack.wait(up, lambda: simulator.count("POST", "/members$") >= 2)

    os.kill(below(up, "pulumi-language-python-exec"), signal.SIGKILL)

    stack.ended(up, fails=True)
    assert stack.shares() == there(simulator)
    simulator.faults.clear()
    stack.up()
    assert stack.shares() == there(simulator)
    assert set(there(simulator)) == set(stack.pairs)


def test_interrupted_once(simulator: Simulator, terminal: NewTerminal) -> None:
    stack = terminal("test")
    stack.pairs = [(backup.id, project) for backup in simulator.backups[:2] for project in simulator.projects[:10]]
    simulator.faults.add(Fault("slow", nth=5, times=None, seconds=2))
    up = stack.start("up", "--yes", "--skip-preview", "--parallel", "4")
    stack.wait(up, lambda: simulator.count("POST", "/members$") >= 4)

    up.send_signal(signal.SIGINT)

    assert "canceled" in stack.ended(up, fails=True)
    # What was on its way has ended and is recorded; nothing was begun after that.
    assert stack.shares() == there(simulator)
    assert 0 < len(there(simulator)) < len(stack.pairs)
    simulator.faults.clear()
    stack.up()
    assert stack.shares() == there(simulator)
    assert set(there(simulator)) == set(stack.pairs)


def test_two_stacks_at_once_on_one_backup(simulator: Simulator, terminal: NewTerminal) -> None:
    backup, projects = simulator.backups[0].id, simulator.projects[:10]
    stacks = [terminal("one"), terminal("two")]
    simulator.latency = 0.05
    for stack, mine in zip(stacks, (projects[:7], projects[3:]), strict=True):
        stack.pairs = [(backup, project) for project in mine]

    running = [stack.start("up", "--yes", "--skip-preview", "--continue-on-error") for stack in stacks]
    shown = [process.communicate(timeout=PATIENCE)[0] for process in running]

    states = [stack.shares() for stack in stacks]
    assert states[0].keys() & states[1].keys() == set()
    assert {**states[0], **states[1]} == there(simulator)
    assert set(there(simulator)) == {(backup, project) for project in projects}
    for stack, state, text in zip(stacks, states, shown, strict=True):
        for _, project in set(stack.pairs) - state.keys():
            assert f"already shared with project {project}" in text
        assert "Traceback" not in text


def test_the_back_end_loses_what_was_written_last(
    simulator: Simulator, terminal: NewTerminal, engine_env: dict[str, str]
) -> None:
    stack = terminal("test")
    stack.pairs = [(simulator.backups[0].id, project) for project in simulator.projects[:10]]
    simulator.faults.add(Fault("slow", nth=3, times=None, seconds=2))
    up = stack.start("up", "--yes", "--skip-preview")
    stack.wait(up, lambda: simulator.count("POST", "/members$") >= 2)
    backend = Path(engine_env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    backend.rename(f"{backend}-gone")

    up.communicate(timeout=PATIENCE)

    # The engine has made the folder anew. What comes back is as old as the moment when it went.
    shutil.rmtree(backend)
    Path(f"{backend}-gone").rename(backend)
    stack.mend()
    stack.run("cancel", "--yes")
    assert len(stack.shares()) < len(there(simulator))
    simulator.faults.clear()
    stack.set("adoptExisting", "true")
    stack.up()
    assert stack.shares() == there(simulator)
    assert set(there(simulator)) == set(stack.pairs)
