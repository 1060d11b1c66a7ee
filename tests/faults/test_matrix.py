"""The fault matrix in both flavors, and docs/fault-matrix.md, which a run produces.

The cells run in this process, and a few of each kind in plugins too. `FAULT_MATRIX=write` in the environment writes that file
again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from requests.adapters import HTTPAdapter

from accounts import password_settings
from protocol.plugin import FLAVORS, HookFailed
from pulumi_cbr.simulator import Call, Simulator

from .bare_engine import Hooks, Hurried, NativeInProcess, Resource, Run, assert_said_well
from .hurried import hurry
from .in_process import call_in_process
from .matrix import (
    BREAK_CONNECTIONS,
    FAULTS,
    IN_PLUGINS,
    RUN_ALONE,
    SIGN_IN_FAULTS,
    TIMES,
    Cell,
    Outcome,
    flavors_of,
    make_fault,
    read_expected,
    to_page,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "fault-matrix.md"

#: As many as the engine asks for at a time, on one processor.
_SIDE_BY_SIDE = 4

#: What every plugin is configured with, besides its account.
CONFIG = {"timeout": "8", "maxRetries": "2"}

#: By role: the owner, the owner with `cbr:adoptExisting`, the receiver.
Plugins = dict[str, Hooks]


class Place:
    """A backup of its own for one cell, with somebody else's share on it."""

    def __init__(self, simulator: Simulator, plugins: Plugins, backup_id: str) -> None:
        self.simulator = simulator
        self.plugins = plugins
        self.backup_id = backup_id
        self.receiver, self.bystander, *self.projects = simulator.projects
        simulator.share(backup_id, self.bystander)

    def member(self) -> Resource:
        return Resource("BackupShareMember", backup_id=self.backup_id, dest_project_id=self.projects[0])

    def member_there(self) -> Resource:
        return self.made(self.member(), "owner")

    def member_changed(self) -> Resource:
        member = self.member_there()
        member.inputs["reshare_if_rejected"] = True
        return member

    def acceptance(self) -> Resource:
        self.simulator.share(self.backup_id, self.receiver)
        return Resource("BackupShareAccepter", backup_id=self.backup_id, vault_id=self.simulator.vaults[0].id)

    def acceptance_there(self) -> Resource:
        return self.made(self.acceptance(), "receiver")

    def set_of(self, count: int) -> Resource:
        return Resource("BackupShare", backup_id=self.backup_id, dest_project_ids=self.projects[:count])

    def set_there(self, count: int) -> Resource:
        return self.made(self.set_of(count), "owner")

    def set_changed(self, before: int, after: int) -> Resource:
        changed = self.set_there(before)
        changed.inputs["dest_project_ids"] = self.projects[:after]
        return changed

    def made(self, resource: Resource, role: str) -> Resource:
        resource.up(self.plugins[role])
        return resource

    def assert_agrees(self, resource: Resource) -> None:
        """Assert that the state and the service have the same shares."""
        there = self.simulator.members(self.backup_id)
        assert there.pop(self.bystander).status == "pending", "somebody else's share"
        if resource.kind == "BackupShareAccepter":
            record = there.pop(self.receiver)
            assert record.status == ("accepted" if resource.id else "rejected")
            assert resource.outputs.get("status", "rejected") == record.status
            state = {}
        elif resource.kind == "BackupShare":
            state = resource.outputs.get("members", {})
        else:
            state = {self.projects[0]: resource.outputs} if resource.id else {}
        assert {project: record.id for project, record in there.items()} == {
            project: entry["share_id"] for project, entry in state.items()
        }


@dataclass(frozen=True)
class Operation:
    """A hook on a prepared resource. The fault hits its `method` calls that end in `path`."""

    title: str
    prepare: Callable[[Place], Resource]
    hook: str
    method: str
    path: str
    role: str = "owner"


_ONE_OF_THREE = "/members/{third}$"

OPERATIONS = {
    "create": Operation("BackupShareMember: create (its POST)", Place.member, "up", "POST", "/members$"),
    "read": Operation("BackupShareMember: read (its GET)", Place.member_there, "refresh", "GET", "/members$"),
    "update": Operation("BackupShareMember: update (makes no call)", Place.member_changed, "up", "*", ""),
    "delete": Operation("BackupShareMember: delete (its DELETE)", Place.member_there, "destroy", "DELETE", ""),
    "accept": Operation("BackupShareAccepter: create (its PUT)", Place.acceptance, "up", "PUT", "", "receiver"),
    "look": Operation("BackupShareAccepter: read (its GET)", Place.acceptance_there, "refresh", "GET", "", "receiver"),
    "reject": Operation(
        "BackupShareAccepter: delete (its PUT)", Place.acceptance_there, "destroy", "PUT", "", "receiver"
    ),
    "share": Operation("BackupShare: create three (its POST)", lambda p: p.set_of(3), "up", "POST", "/members$"),
    "list": Operation("BackupShare: read (its GET)", lambda p: p.set_there(3), "refresh", "GET", "/members$"),
    "add": Operation(
        "BackupShare: add three to two (its POST)", lambda p: p.set_changed(2, 5), "up", "POST", "/members$"
    ),
    "remove": Operation(
        "BackupShare: delete three of five (one DELETE)",
        lambda p: p.set_changed(5, 2),
        "up",
        "DELETE",
        _ONE_OF_THREE,
    ),
    "unshare": Operation(
        "BackupShare: delete three (one DELETE)", lambda p: p.set_there(3), "destroy", "DELETE", _ONE_OF_THREE
    ),
}


class Cells:
    """Runs cells, each on a backup of its own."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._backups = iter(simulator.backups)

    def run(self, cell: Cell, plugins: Plugins) -> Outcome:
        place = Place(self._simulator, plugins, next(self._backups).id)
        try:
            return self._run(place, cell)
        except Exception as error:
            return Outcome("!", f"{type(error).__name__}: {error}")

    def run_all(self, wanted: Collection[Cell], plugins: Plugins) -> dict[Cell, Outcome]:
        """Run cells, some at a time."""
        together = [cell for cell in wanted if cell.fault not in RUN_ALONE]
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            outcomes = dict(zip(together, threads.map(lambda cell: self.run(cell, plugins), together), strict=True))
        # These take the token away from everybody.
        outcomes.update((cell, self.run(cell, plugins)) for cell in wanted if cell.fault in RUN_ALONE)
        return outcomes

    def _run(self, place: Place, cell: Cell) -> Outcome:
        simulator, operation, times = self._simulator, OPERATIONS[cell.operation], TIMES[cell.times]
        resource = operation.prepare(place)
        path = place.backup_id + operation.path.format(third=place.projects[2])
        # What lasts hits everything, the look after a lost answer too.
        method, path = ("*", place.backup_id) if times is None else (operation.method, path)
        wrong = make_fault(cell.fault, times, method, path, simulator.state.now())
        if cell.fault in SIGN_IN_FAULTS:
            simulator.revoke_tokens()
        had, before = resource.id, len(simulator.calls)
        simulator.faults.add(wrong)
        failed = None
        try:
            getattr(resource, operation.hook)(place.plugins[operation.role])
        except HookFailed as error:
            failed = error
        simulator.faults.remove(wrong)
        calls = _counted(simulator.calls[before:], place.backup_id, signing_in=cell.fault in RUN_ALONE)
        if failed and cell.fault == "throttle date" and times is None:
            # A date has whole seconds, so the number of waits before it depends on the moment of the first one.
            calls = "as many as the time allows"
        letter = "+"
        if failed:
            assert_said_well(failed)
            assert resource.id == had or failed.kept
            letter = self._again(place, operation, resource, failed)
        elif operation.hook != "destroy":
            assert resource.id, "lost by a read"
        place.assert_agrees(resource)
        return Outcome(letter, calls)

    def _again(self, place: Place, operation: Operation, resource: Resource, failed: HookFailed) -> str:
        """Repeat the operation without a fault; return "a" if a share had to be adopted."""
        try:
            getattr(resource, operation.hook)(place.plugins[operation.role])
        except HookFailed as error:
            refused = error
        else:
            return "e"
        assert_said_well(refused)
        assert "cbr:adoptExisting" in str(failed), str(refused)
        assert "cbr:adoptExisting" in str(refused)
        resource.up(place.plugins["adopting"])
        return "a"


def _counted(calls: list[Call], backup_id: str, *, signing_in: bool) -> str:
    """Count the calls of one cell; those who run at the same time sign in when they want."""
    counted = Counter(call.method for call in calls if backup_id in call.path)
    if signing_in:
        counted["sign-in"] = sum("/auth/" in call.path for call in calls)
    order = ("sign-in", "GET", "POST", "PUT", "DELETE")
    return ", ".join(f"{counted[kind]} {kind}" for kind in order if counted[kind]) or "no call"


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    call_in_process(monkeypatch)
    with Simulator(backups=3 * len(read_expected(OPERATIONS))) as running:
        yield running


@contextmanager
def running_plugins(flavor: str, simulator: Simulator) -> Iterator[Plugins]:
    """Provide plugins for all cells of a flavor."""
    owner, receiver = simulator.env("owner"), simulator.env("receiver")
    with ExitStack() as stack:
        plugins = {
            "owner": stack.enter_context(Hurried(flavor, owner, CONFIG)),
            "adopting": stack.enter_context(Hurried(flavor, owner, {**CONFIG, "adoptExisting": "true"})),
            "receiver": stack.enter_context(Hurried(flavor, receiver, CONFIG)),
        }
        yield {**plugins}
        assert all("Traceback" not in plugin.said() for plugin in plugins.values())


@contextmanager
def hooks_of_this_process(flavor: str, simulator: Simulator) -> Iterator[Plugins]:
    """Provide what plugins of a flavor serve, without their processes and their waits."""
    owner = {**password_settings(simulator, "owner"), **CONFIG}
    configs = {
        "owner": owner,
        "adopting": {**owner, "adoptExisting": "true"},
        "receiver": {**password_settings(simulator, "receiver"), **CONFIG},
    }
    with ExitStack() as stack:
        yield {
            role: Run(config) if flavor == "dynamic" else stack.enter_context(NativeInProcess(flavor, {}, config))
            for role, config in configs.items()
        }


def test_every_cell_ends_as_it_should(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = read_expected(OPERATIONS)
    cells = Cells(simulator)
    send_in_process = HTTPAdapter.send
    outcomes: list[tuple[str, Cell, Outcome]] = []
    for flavor in FLAVORS:
        chosen = [cell for cell, letter in wanted.items() if flavor in flavors_of(cell, letter)]
        if "SOAK" not in os.environ:
            with hooks_of_this_process(flavor, simulator) as plugins, monkeypatch.context() as patch:
                hurry(patch.setattr)
                send = HTTPAdapter.send
                # What takes the token away from everybody comes last.
                for cell in sorted(chosen, key=lambda cell: cell.fault in RUN_ALONE):
                    is_broken = cell.fault in BREAK_CONNECTIONS
                    patch.setattr(HTTPAdapter, "send", send if is_broken else send_in_process)
                    outcomes.append((flavor, cell, cells.run(cell, plugins)))
            chosen = [cell for cell in chosen if cell.fault in IN_PLUGINS]
        with running_plugins(flavor, simulator) as plugins:
            outcomes += ((flavor, *ended) for ended in cells.run_all(chosen, plugins).items())

    wrong = []
    found: dict[Cell, Outcome] = {}
    for flavor, cell, outcome in outcomes:
        # The first-class flavor keeps a create that cannot be verified, and the next run verifies it without an adoption.
        letter = "e" if (flavor, wanted[cell]) == ("native", "a") else wanted[cell]
        # Both flavors make the same calls.
        expected = Outcome(letter, found.setdefault(cell, outcome).calls)
        if outcome != expected:
            wrong.append((flavor, cell, expected, outcome))
    assert wrong == []

    titles = {name: operation.title for name, operation in OPERATIONS.items()}
    text = to_page(titles, {cell: Outcome(letter, found[cell].calls) for cell, letter in wanted.items()})
    if os.environ.get("FAULT_MATRIX") == "write":
        DOCS.write_text(text, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == text


def test_every_fault_is_in_the_matrix() -> None:
    wanted = read_expected(OPERATIONS)
    assert {cell.fault for cell in wanted} == {*FAULTS, *SIGN_IN_FAULTS}
    assert {cell.operation for cell in wanted} == set(OPERATIONS)
