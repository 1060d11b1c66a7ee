"""The calls of the real engine for 60 shares of 12 backups, as members and as sets."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import pulumi_cbr as cbr
from pulumi_cbr.api.retry import MAX_IN_FLIGHT
from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.http_server import HttpServer

from .conftest import NewStack
from .shortcuts import QuickStack


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that were made to the simulator."""
    made: list[object] = []
    process = HttpServer.process_request

    def note(self: HttpServer, connection: Any, client: Any) -> None:
        made.append(connection)
        process(self, connection, client)

    monkeypatch.setattr(HttpServer, "process_request", note)
    return made


def calls(simulator: Simulator) -> Counter[str]:
    """Return the calls since the last time, by their kind."""
    kinds = {("GET", False): "list", ("GET", True): "show"}
    found: Counter[str] = Counter()
    for call in simulator.calls:
        head, _, project = call.path.partition("/members")
        name = kinds.get((call.method, bool(project)), call.method) if head != call.path else call.path
        found[name] += 1
    simulator.clear_calls()
    return found


def whole_life(
    stack: QuickStack, simulator: Simulator, connections: list[object]
) -> list[tuple[dict[str, int], int, dict[str, Any]]]:
    """Return the calls, the number of connections and the state of each operation."""
    seen = []
    operations: list[Callable[[], object]] = [stack.up, stack.preview, stack.refresh, stack.destroy]
    for operate in operations:
        connections.clear()
        operate()
        deployment = stack.deployment()
        seen.append((dict(calls(simulator)), len(connections), deployment))
    return seen


TOKEN = {"/v3/auth/tokens": 1}

#: How many resources the engine handles at a time: four for each processor.
AT_A_TIME = min(4 * (os.cpu_count() or 1), MAX_IN_FLIGHT)


def test_sixty_members(new_stack: NewStack, simulator: Simulator, connections: list[object]) -> None:
    backups, projects = [backup.id for backup in simulator.backups[:12]], simulator.projects[:5]

    def program() -> None:
        for backup in backups:
            for project in projects:
                cbr.BackupShareMember(f"{backup}-{project}", backup, project)

    seen = whole_life(new_stack(program, simulator.env()), simulator, connections)
    assert [made for made, _, _ in seen] == [
        {**TOKEN, "POST": 60},
        {},
        {**TOKEN, "list": 12},
        {**TOKEN, "list": 12, "DELETE": 60},
    ]
    # A connection for each call at a time. Signing in has one of its own: elsewhere it goes to another host.
    assert max(number for _, number, _ in seen) <= AT_A_TIME + 1

    _, _, deployment = seen[0]
    members = [entry for entry in deployment["resources"] if "backup_id" in entry.get("inputs", {})]
    assert len(members) == 60
    for entry in members:
        assert entry["inputs"].keys() == {"__provider", "backup_id", "dest_project_id"}
        assert entry["propertyDependencies"].keys() == entry["inputs"].keys()
        ours = {name: value for name, value in entry["outputs"].items() if name not in entry["inputs"]}
        assert len(json.dumps(ours)) + 2 * len(entry["inputs"]["__provider"]) < 400


def test_twelve_sets(new_stack: NewStack, simulator: Simulator, connections: list[object]) -> None:
    backups, projects = [backup.id for backup in simulator.backups[:12]], simulator.projects[:5]

    def program() -> None:
        for backup in backups:
            cbr.BackupShare(backup, backup, projects)

    seen = whole_life(new_stack(program, simulator.env()), simulator, connections)
    changed = {**TOKEN, "POST": 12}
    assert [made for made, _, _ in seen] == [changed, {}, {**TOKEN, "list": 12}, {**TOKEN, "list": 12, "DELETE": 60}]
    # Only `destroy` works on the five of a set side by side.
    assert max(number for _, number, _ in seen[:3]) <= AT_A_TIME + 1
    assert seen[3][1] <= MAX_IN_FLIGHT + 1
