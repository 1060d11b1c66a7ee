"""Two stacks on the same backups: random operations, with faults and interference from outside, in each flavor.

- An `up` that succeeds means that its state and the service agree on each share and acceptance.
- No operation deletes a share of somebody else, unless it is told to.
- An `up` that fails is followed by one that succeeds, once the service works again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from accounts import password_settings
from protocol.plugin import FLAVORS
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.simulator import Fault, Refused, Simulator

from .in_process import call_in_process
from .model import Declared, Entry, Killed, Stack

SEEDS = range(1, 201) if "SOAK" in os.environ else range(1, 21)
#: Of each seed; a backup is used for so many, then the next one is.
STEPS, STEPS_OF_A_BACKUP = 60, 15

#: Errors that only another program ends: it has an accepter without a share, or one that must go too.
WRONG_PROGRAM = ("is not shared with project", "keeps its acceptance")


@dataclass
class Side:
    """One stack with its program."""

    stack: Stack
    program: list[Declared] = field(default_factory=list)
    #: Whether others changed what the state has: the next `up` refreshes.
    is_stale: bool = False


def shares_of(entry: Entry) -> dict[str, str | None]:
    """Return the share IDs of an entry, by project; None for an unknown one."""
    if "vault_id" in entry.inputs:
        return {}
    if "members" in entry.outputs:
        return {project: share.get("share_id") for project, share in entry.outputs["members"].items()}
    return {entry.outputs["dest_project_id"]: entry.outputs.get("share_id")}


def projects_of(properties: Mapping[str, Any]) -> Collection[str]:
    return properties.get("dest_project_ids") or [properties.get("dest_project_id", "")]


def to_line(declared: Declared) -> str:
    """Return what is random of a resource."""
    options = {
        "parent": declared.parent,
        "alias": declared.alias,
        "trigger": declared.replacement_trigger,
        "delete_first": declared.delete_before_replace,
    }
    inputs = {name: value for name, value in declared.inputs.items() if name != "backup_id"}
    return f"{declared.kind} {declared.name} {inputs} { {name: value for name, value in options.items() if value} }"


def random_fault(random: Random, backup: str) -> Fault:
    """Return a fault of one to all calls of a method."""
    method = random.choice(["POST", "POST", "DELETE", "DELETE", "GET", "PUT"])
    form: dict[str, Any] = random.choice(
        [
            *({"kind": kind, "status": status} for kind in ("status_before", "status_after") for status in (500, 503)),
            *({"kind": "status_before", "status": status, "body": {"message": "x"}} for status in (403, 404, 409)),
            {"kind": "refuse", "code": random.choice([9910] if method == "GET" else [6702, 6711, 9900])},
            {"kind": "html", "status": random.choice([200, 502])},
            {"kind": "malformed"},
            {"kind": "empty_after"},
        ]
    )
    form["path"] = f"/backups/{backup}" + random.choice(["", "/members", "/members$"])
    form["times"], form["nth"] = random.choice([1, 1, 2, None]), random.choice([1, 1, 2, 3])
    return Fault(method=method, **form)


class World:
    """One backup, two stacks, and the steps."""

    def __init__(self, simulator: Simulator, random: Random, backup: str, flavor: str) -> None:
        self.simulator, self.random, self.backup, self.flavor = simulator, random, backup, flavor
        self.receiver, *others = simulator.projects
        self.projects = [self.receiver, *others[:3]]
        #: Somebody else's share, with a project of no program.
        self.foreign = simulator.share(backup, others[3]).id
        accounts = {role: {**password_settings(simulator, role), "maxRetries": "1"} for role in ("owner", "receiver")}
        self.sides = [Side(Stack(accounts)), Side(Stack(accounts))]
        self.names = iter(range(1000))
        #: Shares that no state has, for a known reason.
        self.outside: set[str] = {self.foreign}
        #: How many runs of `up` failed, and how many then succeeded without faults.
        self.failed, self.recovered = 0, 0
        self.succeeded = 0
        #: What has happened, for the message of a failure.
        self.log: list[str] = []

    def there(self) -> dict[str, str]:
        return {project: record.id for project, record in self.simulator.members(self.backup).items()}

    def _statuses(self) -> set[tuple[str, str, str | None]]:
        members = self.simulator.members(self.backup).values()
        return {(record.id, record.status, record.vault_id) for record in members}

    def step(self) -> None:
        """Change a program, a state or the service, and run one stack."""
        self.simulator.advance(120)
        side = self.random.choice(self.sides)
        change = self.random.choice(
            [
                *[self._declare] * 2,
                *[self._vary] * 3,
                self._drop,
                self._edit,
                self._interfere,
                self._shrink,
                self._take_over,
            ]
        )
        change(side)
        self._operate(side)

    def _declare(self, side: Side) -> None:
        if len(side.program) >= 3:
            return
        [kind] = self.random.choices(["BackupShareMember", "BackupShare", "BackupShareAccepter"], [2, 3, 1])
        side.program.append(Declared(f"r{next(self.names)}", kind, self._inputs(kind), self.flavor, self._role(kind)))

    def _role(self, kind: str) -> str:
        return "receiver" if kind == "BackupShareAccepter" else "owner"

    def _inputs(self, kind: str) -> dict[str, Any]:
        inputs: dict[str, Any] = {"backup_id": self.backup}
        if kind == "BackupShareAccepter":
            return {**inputs, "vault_id": self.simulator.vaults[0].id}
        if self.random.random() < 0.7:
            inputs["adopt_existing"] = True
        if self.random.random() < 0.3:
            inputs["reshare_if_rejected"] = True
        if kind == "BackupShareMember":
            return {**inputs, "dest_project_id": self.random.choice(self.projects)}
        return {**inputs, "dest_project_ids": sorted(self.random.sample(self.projects, self.random.randint(1, 3)))}

    def _vary(self, side: Side) -> None:
        """Rename, move, replace, or change the kind or the inputs of one resource."""
        if not side.program:
            return
        index = self.random.randrange(len(side.program))
        old = side.program[index]
        kind = self.random.choice(["BackupShareMember", "BackupShare"]) if old.role == "owner" else old.kind
        side.program[index] = self.random.choice(
            [
                replace(old, name=f"r{next(self.names)}"),
                replace(old, name=f"r{next(self.names)}", alias=old.name),
                replace(old, parent="" if old.parent else "test:index:Site$"),
                replace(old, replacement_trigger=str(next(self.names))),
                replace(old, delete_before_replace=self.random.choice([None, True])),
                replace(old, name=f"r{next(self.names)}", kind=kind, inputs=self._inputs(kind)),
                *(replace(old, inputs=self._inputs(old.kind)) for _ in range(4)),
            ]
        )

    def _drop(self, side: Side) -> None:
        if side.program:
            side.program.remove(self.random.choice(side.program))

    def _shrink(self, side: Side) -> None:
        """Drop a project of a set, whose delete will have an unknown result."""
        sets = [declared for declared in side.program if len(projects_of(declared.inputs)) > 1]
        if sets:
            old = self.random.choice(sets)
            projects = [*projects_of(old.inputs)][1:]
            side.program[side.program.index(old)] = replace(old, inputs={**old.inputs, "dest_project_ids": projects})
            self.simulator.faults.add(Fault("status_before", "DELETE", f"/{self.backup}/", status=500, times=None))

    def _take_over(self, side: Side) -> None:
        """Create a deleted share again by another resource, and remove the first one."""
        adopting = [declared for declared in side.program if declared.inputs.get("adopt_existing")]
        if not adopting:
            return
        old = self.random.choice(adopting)
        project = self.random.choice([*projects_of(old.inputs)])
        with suppress(Refused):
            self.simulator.withdraw(self.backup, project)
        for each in self.sides:
            each.is_stale = True
        inputs = {"backup_id": self.backup, "dest_project_id": project}
        side.program.append(Declared(f"r{next(self.names)}", "BackupShareMember", inputs, self.flavor))
        self._up(side, side.program, refreshes=False)
        side.program.remove(old)

    def _edit(self, side: Side) -> None:
        """Change a state, as `pulumi state taint`, `delete` and `move` do."""
        kept = [entry for entry in side.stack.state if not entry.is_pending_delete]
        if not kept:
            return
        entry = self.random.choice(kept)
        what = self.random.choice(["taint", "delete", "move"])
        self.log.append(f"{what} {entry.urn}")
        if what == "taint":
            entry.is_tainted = True
            return
        side.stack.state.remove(entry)
        side.program = [declared for declared in side.program if declared.urn() != entry.urn]
        if what == "delete":
            there = self.there()
            self.outside |= {share or there.get(project, "") for project, share in shares_of(entry).items()}
            return
        other = self.sides[1 - self.sides.index(side)]
        other.is_stale |= side.is_stale
        other.stack.state.append(entry)
        other.program.append(entry.declared)

    def _interfere(self, side: Side) -> None:
        project = self.random.choice(self.projects)
        with suppress(Refused):
            what = self.random.choice(["share", "withdraw", "reject", "accept", "revoke"])
            self.log.append(f"others: {what} {project}")
            match what:
                case "share":
                    self.outside.add(self.simulator.share(self.backup, project).id)
                case "withdraw":
                    self.simulator.withdraw(self.backup, project)
                case "reject":
                    self.simulator.reject(self.backup, project)
                case "accept":
                    self.simulator.accept(self.backup, self.receiver, self.simulator.vaults[0].id)
                case "revoke":
                    self.simulator.revoke_tokens()
        for each in self.sides:
            each.is_stale = True

    def _operate(self, side: Side) -> None:
        """Run `up` or `refresh`, often with faults; run a failed `up` again without them."""
        side.stack.config = {"adoptExisting": "true"} if self.random.random() < 0.3 else {}
        for _ in range(self.random.choice([0, 0, 1, 2])):
            fault = random_fault(self.random, self.backup)
            self.simulator.faults.add(fault)
            self.log.append(f"{fault}")
        if self.random.random() < 0.1:
            self._refresh(side)
            return
        count = self.random.randint(0, len(side.program)) if self.random.random() < 0.1 else None
        error = self._up(
            side,
            side.program[:count],
            refreshes=self.random.random() < (0.5 if side.is_stale else 0.1),
            is_killed=count is not None,
            replace=[declared.name for declared in side.program if self.random.random() < 0.15],
        )
        self.simulator.faults.clear()
        # The state of the dynamic flavor lacks shares whose create has an unknown result: the same program adopts them.
        if error and (self.flavor == "dynamic" or self.random.random() < 0.5):
            self._recover(side)

    def _refresh(self, side: Side) -> None:
        self.log.append(f"stack {self.sides.index(side)}: refresh")
        try:
            side.stack.refresh()
            side.is_stale = False
        except CbrError:
            side.is_stale = True
        self.simulator.faults.clear()

    def _recover(self, side: Side) -> None:
        """Run the same program until it succeeds, as the messages say."""
        self.simulator.advance(120)
        side.stack.config = {"adoptExisting": "true"}
        for is_second in (False, True, True):
            error = self._up(side, side.program, refreshes=is_second or side.is_stale)
            if not error:
                self.recovered += 1
                return
            if any(text in str(error) for text in WRONG_PROGRAM):
                return
        raise AssertionError(f"does not recover: {error}")

    def _up(self, side: Side, program: list[Declared], *, refreshes: bool, **options: Any) -> CbrError | None:
        """Run `up` and check the shares; return its error."""
        number = self.sides.index(side)
        self.log += [f"stack {number}: up {side.stack.config} {refreshes=} {options}", *map(to_line, program)]
        before, statuses, held = self.there(), self._statuses(), self._held(side)
        adopted, has_two_holders = self._find_adopted(side), self._has_two_holders(side)
        error = None
        try:
            side.stack.up(*program, refreshes=refreshes, **options)
        except Killed:
            pass
        except CbrError as failed:
            # What it has done until then is in the state, or was undone.
            error = failed
            self.failed += 1
            # The state may have a share that is gone: of two resources with one share, one may have deleted it, and a failed
            # delete of a set, for a replacement, changes no state.
            is_replaced_first = any(declared.delete_before_replace for declared in side.program)
            side.is_stale |= "refresh" in str(error) or has_two_holders or is_replaced_first
        else:
            self.succeeded += 1
            side.is_stale = side.is_stale and not refreshes
            self._check(side, held, before)
        if self._statuses() != statuses:
            self.sides[1 - number].is_stale = True
        now = self.there()
        self.log.append(f"ends with {error or 'success'}: {now}")
        for project, share in before.items():
            if share not in held and project not in adopted:
                assert now.get(project) == share, f"deletes the share of somebody else with {project}"
        return error

    def _has_two_holders(self, side: Side) -> bool:
        declared = [project for each in side.program for project in projects_of(each.inputs)]
        stored = [project for entry in side.stack.state for project in shares_of(entry)]
        return len(set(declared)) < len(declared) or len(set(stored)) < len(stored)

    def _held(self, side: Side) -> set[str | None]:
        return {share for entry in side.stack.state for share in shares_of(entry).values()}

    def _find_adopted(self, side: Side) -> set[str]:
        """Return the projects whose share may be adopted, and deleted then."""
        properties = [*(each.inputs for each in side.program), *(entry.outputs for entry in side.stack.state)]
        if not (side.stack.config or any(each.get("adopt_existing") for each in properties)):
            return set()
        return {project for each in properties for project in projects_of(each)}

    def _check(self, side: Side, held_before: Collection[str | None], before: Mapping[str, str]) -> None:
        """Check a state after a successful `up`.

        `held_before` are the shares that the state had before, and `before` those that the service had.
        """
        there = self.simulator.members(self.backup)
        found = {project: record.id for project, record in there.items()}
        for entry in side.stack.state:
            assert not entry.is_pending_delete
            for project, share in shares_of(entry).items():
                # Without a refresh, a state may have a share that others have deleted.
                if not side.is_stale or share in before.values() or share not in held_before:
                    assert found.get(project) == share, f"{entry.urn} has {share} with {project}, not {found}"
            if "vault_id" in entry.inputs and not side.is_stale:
                record = there.get(self.receiver)
                if record is None and before.get(self.receiver) in held_before:
                    # A warning says that a share leaves the program, and that its acceptance ends.
                    side.is_stale = True
                    continue
                assert record, f"{entry.urn} accepts a share that is gone"
                assert (record.status, record.vault_id) == ("accepted", entry.inputs["vault_id"]), entry.urn
        entries = [entry for each in self.sides for entry in each.stack.state]
        held = {share for entry in entries for share in shares_of(entry).values()}
        unknown = {project for entry in entries for project, share in shares_of(entry).items() if share is None}
        left = {share for project, share in found.items() if project not in unknown} - held - self.outside
        assert not left, f"left over: {left}"


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    call_in_process(monkeypatch)
    with Simulator(backups=len(SEEDS) * STEPS // STEPS_OF_A_BACKUP, token_life=1e9) as running:
        yield running


def test_success_means_that_state_and_service_agree(simulator: Simulator) -> None:
    backups = iter(simulator.backups)
    worlds = []
    for seed in SEEDS:
        random, flavor = Random(seed), sorted(FLAVORS)[seed % 2]
        for number in range(STEPS):
            if number % STEPS_OF_A_BACKUP == 0:
                worlds.append(World(simulator, random, next(backups).id, flavor))
            try:
                worlds[-1].step()
            except AssertionError as error:
                happened = "\n".join(worlds[-1].log)
                raise AssertionError(f"seed {seed}, {flavor}, step {number}: {error}\n{happened}") from error
    assert sum(world.succeeded for world in worlds) > len(SEEDS) * STEPS / 2
    assert sum(world.recovered for world in worlds) > len(SEEDS) * STEPS / 40
