"""The calls of a stack of sets: twelve backups with five projects each, at 0.1 s a call."""

from __future__ import annotations

from itertools import pairwise

import pulumi_cbr as cbr
from pulumi_cbr.simulator import Simulator

from .conftest import NewStack


def test_twelve_backups_with_five_projects(new_stack: NewStack, simulator: Simulator) -> None:
    backups = [backup.id for backup in simulator.backups]
    projects = simulator.projects[:5]
    assert len(backups) == 12

    def program() -> None:
        for number, backup in enumerate(backups):
            cbr.BackupShare(f"set-{number}", backup, projects)

    stack = new_stack(program, simulator.env())
    simulator.latency = 0.1

    def counted() -> dict[str, int]:
        found = {method: simulator.count(method, "/members") for method in ("POST", "GET", "DELETE")}
        assert simulator.count("POST", "auth/tokens") == 1
        assert simulator.count("*") == sum(found.values()) + 1
        return found

    stack.up()
    assert counted() == {"POST": 12, "GET": 0, "DELETE": 0}
    assert all(set(simulator.members(backup)) == set(projects) for backup in backups)

    simulator.clear_calls()
    stack.refresh()
    assert counted() == {"POST": 0, "GET": 12, "DELETE": 0}

    simulator.clear_calls()
    stack.destroy()
    # One list a backup tells whether the shares are still the state's.
    assert counted() == {"POST": 0, "GET": 12, "DELETE": 60}
    assert not any(simulator.members(backup) for backup in backups)
    for backup in backups:
        deletes = sorted(
            (call for call in simulator.calls if call.method == "DELETE" and backup in call.path),
            key=lambda call: call.started,
        )
        assert len(deletes) == 5
        # They do not wait for one another.
        assert any(later.started < earlier.finished for earlier, later in pairwise(deletes))
