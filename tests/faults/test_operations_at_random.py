"""Two stacks on the same backups, through random operations and interference from outside, in each flavor.

An `up` that succeeds means that its state and the service agree on each share and acceptance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from accounts import password_settings
from protocol.plugin import FLAVORS
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.simulator import Refused, Simulator

from .model import Declared, Entry, Killed, Stack

SEEDS = (1, 2)
#: Of each seed; a backup is used for so many, then the next one is.
STEPS, STEPS_OF_A_BACKUP = 60, 15


@dataclass
class Side:
    """One stack with its program."""

    stack: Stack
    program: list[Declared] = field(default_factory=list)
    #: Whether others changed what the state has: the next `up` refreshes.
    is_stale: bool = False


def shares_of(entry: Entry) -> dict[str, str]:
    """Return the share IDs of an entry, by project."""
    if "vault_id" in entry.inputs:
        return {}
    if "members" in entry.outputs:
        return {project: share["share_id"] for project, share in entry.outputs["members"].items()}
    return {entry.outputs["dest_project_id"]: entry.outputs["share_id"]}


class World:
    """One backup, two stacks, and the steps."""

    def __init__(self, simulator: Simulator, random: Random, backup: str, flavor: str) -> None:
        self.simulator, self.random, self.backup, self.flavor = simulator, random, backup, flavor
        self.receiver, *others = simulator.projects
        self.projects = [self.receiver, *others[:3]]
        accounts = {role: {**password_settings(simulator, role), "maxRetries": "0"} for role in ("owner", "receiver")}
        self.sides = [Side(Stack(accounts)), Side(Stack(accounts))]
        self.names = iter(range(1000))
        #: Shares that no state has, for a known reason.
        self.outside: set[str] = set()
        self.succeeded = 0
        self.last = ""

    def there(self) -> dict[str, str]:
        return {project: record.id for project, record in self.simulator.members(self.backup).items()}

    def step(self) -> None:
        """Change a program, a state or the service, and run one stack."""
        self.simulator.advance(120)
        side = self.random.choice(self.sides)
        change = self.random.choice(
            [self._declare, self._declare, self._vary, self._vary, self._vary, self._drop, self._edit, self._interfere]
        )
        change(side)
        self._operate(side)

    def _declare(self, side: Side) -> None:
        if len(side.program) >= 3:
            return
        kind = self.random.choice(["BackupShareMember", "BackupShare", "BackupShareAccepter"])
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
                replace(old, inputs=self._inputs(old.kind)),
            ]
        )

    def _drop(self, side: Side) -> None:
        if side.program:
            side.program.remove(self.random.choice(side.program))

    def _edit(self, side: Side) -> None:
        """Change a state, as `pulumi state taint`, `delete` and `move` do."""
        kept = [entry for entry in side.stack.state if not entry.is_pending_delete]
        if not kept:
            return
        entry = self.random.choice(kept)
        what = self.random.choice(["taint", "delete", "move"])
        if what == "taint":
            entry.is_tainted = True
            return
        side.stack.state.remove(entry)
        side.program = [declared for declared in side.program if declared.urn() != entry.urn]
        if what == "delete":
            self.outside |= set(shares_of(entry).values())
            return
        other = self.sides[1 - self.sides.index(side)]
        other.is_stale |= side.is_stale
        other.stack.state.append(entry)
        other.program.append(entry.declared)

    def _interfere(self, side: Side) -> None:
        project = self.random.choice(self.projects)
        with suppress(Refused):
            match self.random.choice(["share", "withdraw", "reject", "accept", "revoke"]):
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
        options: dict[str, Any] = {
            "refreshes": side.is_stale or self.random.random() < 0.2,
            "is_killed": self.random.random() < 0.1,
            "replace": [declared.name for declared in side.program if self.random.random() < 0.15],
        }
        side.stack.config = {"adoptExisting": "true"} if self.random.random() < 0.3 else {}
        before, other = self.there(), self.sides[1 - self.sides.index(side)]
        self.last = f"{options} {side.program}"
        try:
            side.stack.up(*side.program, **options)
        except Killed:
            return
        except CbrError:
            # What it has done until then is in the state, or was undone.
            side.is_stale = True
            return
        finally:
            if self.there() != before:
                other.is_stale = True
        self.succeeded += 1
        side.is_stale = False
        self._check(side)

    def _check(self, side: Side) -> None:
        there = self.simulator.members(self.backup)
        found = {project: record.id for project, record in there.items()}
        for entry in side.stack.state:
            assert not entry.is_pending_delete
            for project, share in shares_of(entry).items():
                assert found.get(project) == share, f"{entry.urn} has {share} with {project}, not {found}"
            if "vault_id" in entry.inputs:
                record = there.get(self.receiver)
                assert record, f"{entry.urn} accepts a share that is gone"
                assert (record.status, record.vault_id) == ("accepted", entry.inputs["vault_id"]), entry.urn
        held = {share for each in self.sides for entry in each.stack.state for share in shares_of(entry).values()}
        assert set(found.values()) <= held | self.outside, f"left over: {set(found.values()) - held - self.outside}"


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    with Simulator(backups=len(SEEDS) * STEPS // STEPS_OF_A_BACKUP, token_life=1e9) as running:
        yield running


def test_success_means_that_state_and_service_agree(simulator: Simulator) -> None:
    backups = iter(simulator.backups)
    succeeded = 0
    for seed, flavor in zip(SEEDS, FLAVORS, strict=True):
        random = Random(seed)
        for number in range(STEPS):
            if number % STEPS_OF_A_BACKUP == 0:
                world = World(simulator, random, next(backups).id, flavor)
            try:
                world.step()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, step {number}: {error}\n{world.last}") from error
            succeeded += world.succeeded if number % STEPS_OF_A_BACKUP == STEPS_OF_A_BACKUP - 1 else 0
    assert succeeded > len(SEEDS) * STEPS / 4
