"""BackupShare in one process: programs under mocks, the documentation of properties, and waits."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

import pulumi_cbr as cbr
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in

PACKAGE = Path(cbr.__file__).parent
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
A, B = "a" * 32, "b" * 32


class Mocks(pulumi.runtime.Mocks):
    """The mocks of a user's unit test."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, dict[str, Any]]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        inputs = {name: value for name, value in args.inputs.items() if name != "__provider" and value is not None}
        self.made[args.name] = (args.typ, inputs)
        members = {project: {"status": "pending"} for project in inputs.get("dest_project_ids", ())}
        return f"{args.name}-id", {**inputs, "members": members, "status": "accepted"}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        return {}, []


@pytest.fixture
def mocks() -> Iterator[Mocks]:
    made = Mocks()
    pulumi.runtime.set_mocks(made)
    yield made
    pulumi.runtime.reset_options()


def test_a_program_under_mocks(mocks: Mocks) -> None:
    seen: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        share = cbr.BackupShare("set", BACKUP, [A, pulumi.Output.from_input(B)], exclusive=True)
        taken = cbr.BackupShareAccepter(
            "taken", BACKUP, BACKUP, cloud="dr", opts=pulumi.ResourceOptions(depends_on=[share])
        )

        def check(known: list[Any]) -> None:
            seen["members"], seen["status"] = known

        return pulumi.Output.all(share.members, taken.status).apply(check)

    program()
    assert mocks.made["set"] == (
        "pulumi-python:dynamic/cbr:BackupShare",
        {"backup_id": BACKUP, "dest_project_ids": [A, B], "exclusive": True},
    )
    assert mocks.made["taken"] == (
        "pulumi-python:dynamic/cbr:BackupShareAccepter",
        {"backup_id": BACKUP, "vault_id": BACKUP, "cloud": "dr"},
    )
    assert seen == {"members": {A: {"status": "pending"}, B: {"status": "pending"}}, "status": "accepted"}


@pytest.mark.parametrize("file", ["backup_share.py", "backup_share_accepter.py"])
def test_each_property_and_each_argument_is_documented(file: str) -> None:
    tree = ast.parse((PACKAGE / file).read_text())
    documented = 0
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for entry, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(entry, ast.AnnAssign) and "Output[" in ast.unparse(entry.annotation):
                text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
                assert isinstance(text, str), f"{ast.unparse(entry.target)} has no docstring"
                assert len(text) > 20
                documented += 1
            if isinstance(entry, ast.FunctionDef) and entry.name == "__init__":
                told = ast.get_docstring(entry) or ""
                arguments = [*entry.args.args[1:], *entry.args.kwonlyargs]
                assert [a.arg for a in arguments if f":param {a.arg}:" not in told] == []
    assert documented > 5


def hooks_of(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, timing: Clock) -> BackupShareController:
    sign_in(monkeypatch, simulator.env())
    return BackupShareController(SessionPool(lambda _: None, timing))


def test_two_stacks_that_make_one_set_at_once(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wins and has all, the other is told and takes nothing away, whatever the order of their calls."""
    backups = [backup.id for backup in cbr_simulator.backups]
    projects = cbr_simulator.projects[:6]
    stacks = [hooks_of(cbr_simulator, monkeypatch, Clock()) for _ in range(2)]
    results: dict[tuple[str, int], object] = {}
    barrier = threading.Barrier(2)

    def run(number: int) -> None:
        for backup in backups:
            barrier.wait()
            try:
                results[backup, number] = stacks[number].create({"backup_id": backup, "dest_project_ids": projects})
            except Exception as error:
                results[backup, number] = error

    cbr_simulator.latency = 0.005
    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for backup in backups:
        told = [results[backup, number] for number in range(2)]
        assert sum(isinstance(result, tuple) for result in told) == 1
        assert "already shared" in str(next(result for result in told if not isinstance(result, tuple)))
        assert set(cbr_simulator.members(backup)) == set(projects)
    assert cbr_simulator.count("DELETE") == 0


def test_waits_for_what_is_not_visible_yet_are_short(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    hooks = hooks_of(cbr_simulator, monkeypatch, Clock(sleep=waits.append))
    backup, projects = cbr_simulator.backups[0].id, cbr_simulator.projects[:5]
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": projects})
    for project in projects:
        cbr_simulator.withdraw(backup, project)
    reading = hooks.read(id_, outputs)
    assert reading is not None
    assert reading.outputs["members"] == {}
    assert sum(waits) == pytest.approx(3.0)
    waits.clear()
    cbr_simulator.advance(120)
    hooks.sessions.get(None).invalidate(backup)
    assert hooks.read(id_, outputs) is not None
    assert waits == []


def test_an_import_takes_over_what_there_is(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = hooks_of(cbr_simulator, monkeypatch, Clock())
    shared, alone = (backup.id for backup in cbr_simulator.backups[:2])
    for project in cbr_simulator.projects[:3]:
        cbr_simulator.share(shared, project)
    reading = hooks.read(shared, {})
    assert reading is not None
    assert reading.inputs == {"backup_id": shared, "dest_project_ids": sorted(cbr_simulator.projects[:3])}
    assert set(reading.outputs["members"]) == set(cbr_simulator.projects[:3])
    assert hooks.read(alone, {}) is None
