"""BackupShare on the real engine: one stack for a whole life, and what a state, a preview and a failed run look like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pulumi
import pytest

import pulumi_cbr as cbr
from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack, NewStack
from .written import WrittenStack


@pytest.fixture
def stack(cli: Cli, simulator: Simulator, init_stack: InitStack, tmp_path: Path) -> WrittenStack:
    return WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, simulator.env())


def calls(simulator: Simulator) -> list[str]:
    """Return the calls that change or list members, in the order they began."""
    ended = sorted(simulator.calls, key=lambda call: call.started)
    return ["LIST" if call.method == "GET" else call.method for call in ended if "/members" in call.path]


def test_a_whole_life(stack: WrittenStack, simulator: Simulator) -> None:
    backup, projects = simulator.backups[0].id, simulator.projects
    a, b, c, d, foreign = projects[:5]

    def share(*wanted: str, **options: bool) -> None:
        given = "".join(f", {name}={value}" for name, value in options.items())
        stack.program(f"cbr.BackupShare('set', {backup!r}, {list(wanted)!r}{given})")

    def run(operation: Callable[[], str]) -> list[str]:
        """Run, and give the calls; state and service agree on the set afterwards."""
        simulator.clear_calls()
        operation()
        made = calls(simulator)
        members = stack.state()["set"]["members"]
        there = simulator.members(backup)
        assert {project: member["share_id"] for project, member in members.items()} == {
            project: there[project].id for project in members
        }
        return made

    simulator.share(backup, foreign)
    share(a, b)
    assert run(stack.up) == ["POST"]
    assert set(simulator.members(backup)) == {a, b, foreign}

    # Order, duplicates and capitals mean nothing; and a preview asks nothing.
    simulator.clear_calls()
    share(b, a, b.upper())
    stack.unchanged()
    assert simulator.calls == []

    # One added, one removed.
    share(a, c)
    assert run(stack.up) == ["POST", "LIST", "DELETE"]
    assert set(simulator.members(backup)) == {a, c, foreign}

    # Drift: the receiver decides, others take away and share.
    simulator.accept(backup, a)
    simulator.withdraw(backup, c)
    simulator.share(backup, d)
    simulator.advance(120)
    # What the list does not show is asked for by itself.
    assert run(stack.refresh) == ["LIST", "LIST"]
    assert stack.state()["set"]["members"][a]["status"] == "accepted"
    assert run(stack.up) == ["POST"]
    assert set(simulator.members(backup)) == {a, c, d, foreign}

    # Exclusive: named before they go.
    share(a, c, exclusive=True)
    assert run(stack.up) == ["LIST", "DELETE", "DELETE"]
    assert set(simulator.members(backup)) == {a, c}
    simulator.share(backup, foreign)
    simulator.clear_calls()
    told = stack.run("preview", "--refresh")
    assert calls(simulator) == ["LIST"]
    assert f"exclusive=True deletes the shares with {foreign}" in told

    simulator.clear_calls()
    stack.destroy()
    assert calls(simulator) == ["LIST", "DELETE", "DELETE"]
    assert set(simulator.members(backup)) == {foreign}


def test_values_of_other_resources(new_stack: NewStack, simulator: Simulator) -> None:
    """Unknown ones pass a preview, whole or one by one; secret ones stay secret."""
    first, second, third = (backup.id for backup in simulator.backups[:3])
    a, b, c = simulator.projects[:3]

    def program() -> None:
        one = cbr.BackupShareMember("one", first, a)
        # Of a resource that is not there yet, an output is not known in a preview.
        project = pulumi.Output.all(one.share_id, one.dest_project_id).apply(lambda known: str(known[1]))
        cbr.BackupShare("entry", second, [b, project, c])
        cbr.BackupShare("whole", third, project.apply(lambda known: [known, b]), exclusive=True)
        secret = cbr.BackupShare("secret", first, pulumi.Output.secret([b, c]), adopt_existing=True)
        cbr.BackupShareMember("after", third, c, opts=pulumi.ResourceOptions(depends_on=[secret], protect=False))

    stack = new_stack(program, simulator.env())
    stack.preview()
    assert simulator.calls == []
    # `after` is foreign to the exclusive set; which of them comes first is not said.
    stack.up()
    assert set(simulator.members(second)) == {a, b, c}
    assert set(simulator.members(first)) == {a, b, c}
    state = json.dumps(stack.deployment())
    assert simulator.owner.password not in state
    # Of the secret set's inputs and outputs alone, projects are encrypted.
    entries = stack.deployment()["resources"]
    hidden = {entry["urn"].rpartition("::")[2] for entry in entries if "ciphertext" in json.dumps(entry.get("outputs"))}
    assert hidden == {"secret"}
