"""The operations matrix: what becomes of shares and acceptances when resources are renamed, replaced, moved and so on.

A letter of `EXPECTED` is a cell in both flavors:

    k  done; the share or the acceptance is never deleted
    n  done; the share or the acceptance is deleted and created again
    a  refused with an error that names `cbr:adoptExisting`; the same command with it is done, and nothing is deleted
    g  done; the share or the acceptance is gone, as the command says
    -  not possible, or the same as in another column

However a cell ends, state and service agree, the next `up` changes nothing, and no foreign share is changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accounts import token_settings
from protocol.plugin import FLAVORS
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.simulator import Simulator

from .model import Declared, Entry, Killed, Stack

#: From which kind to which: M a member, S a set, X an exclusive set, A an accepter.
PAIRS = ("M>M", "M>S", "S>M", "S>S", "M>X", "X>M", "X>X", "A>A")

EXPECTED = """
                                                             M>M M>S S>M S>S M>X X>M X>X A>A
rename                                                       a   a   a   a   a   a   a   k
rename, with adopt_existing                                  k   k   k   k   k   k   k   -
rename, with adopt_existing, up --refresh                    k   k   k   k   k   k   k   k
rename, with adopt_existing, killed                          k   k   k   k   k   k   k   k
rename, with an alias                                        k   -   -   k   -   -   k   k
rename, with an alias, tainted                               a   -   -   a   -   -   a   k
rename, with an alias, tainted, delete_before_replace        n   -   -   n   -   -   n   n
alias of another kind                                        -   a   a   -   a   a   -   -
alias of another kind, with adopt_existing                   -   k   k   -   k   k   -   -
alias of the other flavor, with adopt_existing               k   -   -   k   -   -   k   k
move into a component                                        a   a   a   a   a   a   a   k
move into a component, with adopt_existing                   k   k   k   k   k   k   k   -
change of flavor                                            a   a   a   a   a   a   a   k
change of flavor, with adopt_existing                       k   k   k   k   k   k   k   -
change of flavor, adopt_existing, killed                    k   k   k   -   -   -   k   k
change of provider and name                                  a   a   a   a   a   a   a   k
change of provider and name, with adopt_existing             k   k   k   k   k   k   k   -
change of provider and name, adopt_existing, killed          k   -   k   -   -   -   k   k
second resource, then the first one is removed               a   a   a   a   a   a   a   k
second resource, then the second one is removed              a   a   a   a   a   a   a   k
second of the other flavor, then the first one is removed   a   a   a   -   -   -   a   k
second of the other flavor, then the second one is removed  a   a   a   -   -   -   a   k
second of another provider, then the first one is removed    a   -   a   -   -   -   -   k
second of another provider, then the second one is removed   a   -   a   -   -   -   -   k
--replace                                                    a   -   -   a   -   -   a   k
--replace, with adopt_existing                               k   -   -   k   -   -   k   -
--replace, with adopt_existing, killed                       k   -   -   k   -   -   k   k
--replace, with delete_before_replace                        n   -   -   n   -   -   n   n
state taint                                                  a   -   -   a   -   -   a   k
state taint, with adopt_existing                             k   -   -   k   -   -   k   -
state taint, with delete_before_replace                      n   -   -   n   -   -   n   n
replacement_trigger                                          a   -   -   a   -   -   a   k
replacement_trigger, with adopt_existing                     k   -   -   k   -   -   k   -
replacement_trigger, with delete_before_replace              n   -   -   n   -   -   n   n
--replace, with retain_on_delete                             a   -   -   a   -   -   a   k
--replace, with retain_on_delete and delete_before_replace   a   -   -   a   -   -   a   k
replace_on_changes                                           n   -   -   n   -   -   n   -
change of provider                                           k   -   -   k   -   -   k   k
replacement of what it depends on                            n   -   -   n   -   -   n   n
replacement of the member that it accepts                    -   -   -   -   -   -   -   n
replacement of the set that it accepts                       -   -   -   -   -   -   -   n
a set's project moves to a resource declared before it       -   -   k   k   -   -   -   -
a set's project moves to a resource declared after it        -   -   n   n   -   -   -   -
state rename                                                 k   -   -   k   -   -   k   k
state move to another stack                                  k   -   -   k   -   -   k   k
state delete, then up                                        a   a   -   a   a   -   a   k
state delete, then up with adopt_existing                    k   k   -   k   k   -   k   -
another stack adopts, state delete here                      k   k   -   k   k   -   k   k
another stack adopts, destroy here                           n   n   n   n   n   n   n   n
two of both flavors, then both are removed                  g   -   -   -   -   -   -   g
two of both flavors, then both are removed, up --refresh    g   -   -   -   -   -   -   g
removal                                                      g   -   -   g   -   -   g   g
removal, up --refresh                                        g   -   -   g   -   -   g   g
"""

_KINDS = {"M": "BackupShareMember", "S": "BackupShare", "X": "BackupShare", "A": "BackupShareAccepter"}


@dataclass(frozen=True)
class Cell:
    operation: str
    pair: str
    flavor: str


@dataclass(frozen=True)
class Outcome:
    """The end of a cell: its letter, and the calls of the operation."""

    letter: str
    calls: str


class Disagreement(Exception):
    """A state and the service do not agree."""


class Place:
    """A backup for one cell, with a foreign share on it, and two stacks of one owner."""

    def __init__(self, simulator: Simulator, backup_id: str, cell: Cell) -> None:
        self.simulator, self.backup_id, self.cell = simulator, backup_id, cell
        self.old, self.new = cell.pair[0], cell.pair[-1]
        self.receiver, self.bystander, *self.projects = simulator.projects
        self.foreign = {}
        if "X" not in cell.pair:
            self.foreign[self.bystander] = simulator.share(backup_id, self.bystander).id
        if self.old == "A":
            self.foreign[self.receiver] = simulator.share(backup_id, self.receiver).id
        accounts = {role: {**token_settings(simulator, role), "maxRetries": "2"} for role in ("owner", "receiver")}
        self.stack, self.other = Stack(accounts), Stack(accounts)
        #: Whether a step was refused.
        self.was_refused = False

    def declare(self, kind: str, name: str = "r", **options: Any) -> Declared:
        inputs: dict[str, Any] = {"backup_id": self.backup_id, **options.pop("inputs", {})}
        if kind == "A":
            inputs["vault_id"] = self.simulator.vaults[0].id
        elif kind == "M":
            inputs["dest_project_id"] = self.projects[0]
        else:
            inputs["dest_project_ids"] = sorted(self.projects[:2])
        if kind == "X":
            inputs["exclusive"] = True
        flavor = options.pop("flavor", self.cell.flavor)
        return Declared(name, _KINDS[kind], inputs, flavor, "receiver" if kind == "A" else "owner", **options)

    def other_flavor(self) -> str:
        return "dynamic" if self.cell.flavor == "native" else "native"

    def own_cloud(self) -> str:
        """Return the entry of clouds.yaml that signs in as the new resource does."""
        return "receiver" if self.new == "A" else "owner"

    def up(self, *program: Declared, stack: Stack | None = None, **options: Any) -> None:
        """Run `up`; do as an error says, once. A kill is followed by another `up`."""
        stack = stack or self.stack
        try:
            stack.up(*program, **options)
        except CbrError as error:
            if not re.search("cbr:adoptExisting true|of this program has that share", str(error)):
                raise
            self.was_refused = True
            stack.config["adoptExisting"] = "true"
            stack.up(*program, **options)
            del stack.config["adoptExisting"]
        except Killed:
            stack.up(*program)

    def identity(self) -> tuple[object, ...]:
        """Return what tells whether the share, or the acceptance, is the same as before."""
        record = self.simulator.members(self.backup_id).get(self.receiver if self.old == "A" else self.projects[0])
        return (record.id, record.status, record.vault_id, record.updated_at) if record else ()


def assert_agrees(simulator: Simulator, backup_id: str, entries: list[Entry], foreign: Mapping[str, str]) -> None:
    """Raise `Disagreement` unless the service has what states have, and foreign shares."""
    shares, accepted = dict(foreign), {}
    for entry in entries:
        if entry.is_pending_delete:
            raise Disagreement(f"{entry.urn} is still to be deleted")
        if "vault_id" in entry.inputs:
            accepted[entry.id.partition("/")[2]] = entry.outputs["status"], entry.inputs["vault_id"]
        elif "members" in entry.outputs:
            shares.update({project: share["share_id"] for project, share in entry.outputs["members"].items()})
        else:
            shares[entry.outputs["dest_project_id"]] = entry.outputs["share_id"]
    records = simulator.members(backup_id)
    if (there := {project: record.id for project, record in records.items()}) != shares:
        raise Disagreement(f"the service has {there}, not {shares}")
    found = {
        project: (record.status, record.vault_id) for project, record in records.items() if record.status == "accepted"
    }
    if found != accepted:
        raise Disagreement(f"accepted is {found}, not {accepted}")


Run = Callable[[Place], None]


def rename(**options: Any) -> Run:
    given = ("parent", "alias", "cloud", "flavor", "alias_kind", "alias_flavor", "delete_before_replace")
    new = {name: options.pop(name) for name in given if name in options}
    is_tainted = options.pop("is_tainted", False)

    def run(place: Place) -> None:
        changed = dict(new)
        if new.get("cloud"):
            changed["cloud"] = place.own_cloud()
        if new.get("flavor"):
            changed["flavor"] = place.other_flavor()
        if new.get("alias_kind"):
            changed["alias_kind"] = _KINDS[place.old]
        if new.get("alias_flavor"):
            changed |= {"flavor": place.other_flavor(), "alias_flavor": place.cell.flavor}
        place.stack.state[0].is_tainted = is_tainted
        inputs = {"adopt_existing": True} if "adopt_existing" in place.cell.operation and place.new != "A" else {}
        name = "r" if {"parent", "flavor"} & {*new} else "renamed"
        place.up(place.declare(place.new, name, inputs=inputs, **changed), **options)

    return run


def replaced(how: str) -> Run:
    def run(place: Place) -> None:
        operation = place.cell.operation
        more: dict[str, Any] = {}
        if "with adopt_existing" in operation:
            more["inputs"] = {"adopt_existing": True} if place.new != "A" else {}
            # This earlier run stores the input.
            place.up(place.declare(place.new, **more))
        if "retain_on_delete" in operation:
            more["retain_on_delete"] = True
            place.up(place.declare(place.new, **more))
        if "delete_before_replace" in operation:
            more["delete_before_replace"] = True
        if how == "taint":
            place.stack.state[0].is_tainted = True
        if how == "trigger":
            more["replacement_trigger"] = "changed"
        if how == "cloud":
            more["cloud"] = place.own_cloud()
        if how == "option":
            more |= {"inputs": {"adopt_existing": True}, "replace_on_changes": ["adopt_existing"]}
        options: dict[str, Any] = {"replace": ["r"]} if how == "replace" else {}
        place.up(place.declare(place.new, **more), **options, is_killed="killed" in operation)

    return run


def dependent(place: Place) -> None:
    """Replace a member of another project, deleted first, and the resource with it."""
    backup, project = place.backup_id, place.projects[3]

    def first(trigger: str) -> Declared:
        inputs = {"backup_id": backup, "dest_project_id": project}
        options: dict[str, Any] = {"replacement_trigger": trigger, "delete_before_replace": True}
        return Declared("first", _KINDS["M"], inputs, place.cell.flavor, **options)

    second = place.declare(place.new, replace_with=["first"])
    if place.new == "X":
        projects = sorted([*place.projects[:2], project])
        second = replace(second, inputs={**second.inputs, "dest_project_ids": projects, "adopt_existing": True})
    place.up(first(""), second)
    place.up(first("changed"), second)


def share_replaced(kind: str) -> Run:
    """Replace the share that an accepter of the same program accepts, deleted first."""

    def run(place: Place) -> None:
        place.foreign.clear()
        projects = [place.bystander, place.receiver]
        inputs: dict[str, Any] = {"dest_project_ids": sorted(projects)}
        if kind == "M":
            inputs = {"dest_project_id": place.receiver}
            place.foreign[place.bystander] = place.simulator.members(place.backup_id)[place.bystander].id

        def share(trigger: str) -> Declared:
            all_inputs = {"backup_id": place.backup_id, "adopt_existing": True, **inputs}
            options: dict[str, Any] = {"replacement_trigger": trigger, "delete_before_replace": True}
            return Declared("share", _KINDS[kind], all_inputs, place.cell.flavor, **options)

        place.up(share(""), place.declare("A"))
        place.up(share("changed"), place.declare("A"))

    return run


def project_moves(*, is_first: bool) -> Run:
    """Move a project from a set to another resource; both are in the program afterwards."""

    def run(place: Place) -> None:
        moving, staying = place.projects[:2]
        inputs: dict[str, Any] = {"adopt_existing": True}
        if place.new == "S":
            inputs["dest_project_ids"] = [moving]
        old = place.declare(place.old, inputs={})
        old = replace(old, inputs={**old.inputs, "dest_project_ids": [staying]})
        new = place.declare(place.new, "second")
        new = replace(new, inputs={**new.inputs, **inputs})
        place.up(*((new, old) if is_first else (old, new)))

    return run


def second(removed: str, **more: bool) -> Run:
    def run(place: Place) -> None:
        options: dict[str, Any] = {}
        if more.get("flavor"):
            options["flavor"] = place.other_flavor()
        if more.get("cloud"):
            options["cloud"] = place.own_cloud()
        first, other = place.declare(place.old), place.declare(place.new, "second", **options)
        place.up(first, other)
        place.up(other if removed == "first" else first)

    return run


def both(place: Place) -> None:
    inputs = {} if place.new == "A" else {"adopt_existing": True}
    second = place.declare(place.new, "second", flavor=place.other_flavor(), inputs=inputs)
    place.up(place.declare(place.old), second)
    removal(place)


def state_rename(place: Place) -> None:
    (entry,) = place.stack.state
    entry.urn = place.declare(place.old, "renamed").urn()
    place.up(place.declare(place.old, "renamed"))


def state_move(place: Place) -> None:
    place.other.state = [*place.stack.state]
    place.stack.state.clear()
    place.up(stack=place.stack)
    place.up(place.declare(place.old), stack=place.other)


def state_delete(place: Place) -> None:
    place.stack.state.clear()
    inputs = {"adopt_existing": True} if "with adopt_existing" in place.cell.operation else {}
    place.up(place.declare(place.new, inputs=inputs))


def other_stack(*, destroys: bool) -> Run:
    def run(place: Place) -> None:
        inputs = {} if place.new == "A" else {"adopt_existing": True}
        place.up(place.declare(place.new, inputs=inputs), stack=place.other)
        if not destroys:
            place.stack.state.clear()
            return
        place.stack.destroy()
        # The next run there notices.
        place.simulator.advance(120)
        place.up(place.declare(place.new, inputs=inputs), stack=place.other, refreshes=True)

    return run


def removal(place: Place) -> None:
    place.up(refreshes="--refresh" in place.cell.operation)


OPERATIONS: dict[str, Run] = {
    "rename": rename(),
    "rename, with adopt_existing": rename(),
    "rename, with adopt_existing, up --refresh": rename(refreshes=True),
    "rename, with adopt_existing, killed": rename(is_killed=True),
    "rename, with an alias": rename(alias="r"),
    "rename, with an alias, tainted": rename(alias="r", is_tainted=True),
    "rename, with an alias, tainted, delete_before_replace": rename(
        alias="r", is_tainted=True, delete_before_replace=True
    ),
    "alias of another kind": rename(alias="r", alias_kind=True),
    "alias of another kind, with adopt_existing": rename(alias="r", alias_kind=True),
    "alias of the other flavor, with adopt_existing": rename(alias="r", alias_flavor=True),
    "move into a component": rename(parent="test:index:Site$"),
    "move into a component, with adopt_existing": rename(parent="test:index:Site$"),
    "change of flavor": rename(flavor=True),
    "change of flavor, with adopt_existing": rename(flavor=True),
    "change of flavor, adopt_existing, killed": rename(flavor=True, is_killed=True),
    "change of provider and name": rename(cloud=True),
    "change of provider and name, with adopt_existing": rename(cloud=True),
    "change of provider and name, adopt_existing, killed": rename(cloud=True, is_killed=True),
    "second resource, then the first one is removed": second("first"),
    "second resource, then the second one is removed": second("second"),
    "second of the other flavor, then the first one is removed": second("first", flavor=True),
    "second of the other flavor, then the second one is removed": second("second", flavor=True),
    "second of another provider, then the first one is removed": second("first", cloud=True),
    "second of another provider, then the second one is removed": second("second", cloud=True),
    "--replace": replaced("replace"),
    "--replace, with adopt_existing": replaced("replace"),
    "--replace, with adopt_existing, killed": replaced("replace"),
    "--replace, with delete_before_replace": replaced("replace"),
    "state taint": replaced("taint"),
    "state taint, with adopt_existing": replaced("taint"),
    "state taint, with delete_before_replace": replaced("taint"),
    "replacement_trigger": replaced("trigger"),
    "replacement_trigger, with adopt_existing": replaced("trigger"),
    "replacement_trigger, with delete_before_replace": replaced("trigger"),
    "--replace, with retain_on_delete": replaced("replace"),
    "--replace, with retain_on_delete and delete_before_replace": replaced("replace"),
    "replace_on_changes": replaced("option"),
    "change of provider": replaced("cloud"),
    "replacement of what it depends on": dependent,
    "replacement of the member that it accepts": share_replaced("M"),
    "replacement of the set that it accepts": share_replaced("S"),
    "a set's project moves to a resource declared before it": project_moves(is_first=True),
    "a set's project moves to a resource declared after it": project_moves(is_first=False),
    "state rename": state_rename,
    "state move to another stack": state_move,
    "state delete, then up": state_delete,
    "state delete, then up with adopt_existing": state_delete,
    "another stack adopts, state delete here": other_stack(destroys=False),
    "another stack adopts, destroy here": other_stack(destroys=True),
    "two of both flavors, then both are removed": both,
    "two of both flavors, then both are removed, up --refresh": both,
    "removal": removal,
    "removal, up --refresh": removal,
}


def run(simulator: Simulator, backup_id: str, cell: Cell, config: Mapping[str, str] | None = None) -> Outcome:
    """Run a cell. Raises `Disagreement` and whatever else is not as it should be."""
    place = Place(simulator, backup_id, cell)
    for stack in place.stack, place.other:
        stack.config.update(config or {})
    place.stack.up(place.declare(place.old))
    simulator.advance(3600)
    before, had = place.identity(), len(simulator.calls)
    OPERATIONS[cell.operation](place)
    calls = _counted([call.method for call in simulator.calls[had:] if backup_id in call.path])
    after = place.identity()
    assert_agrees(simulator, backup_id, [*place.stack.state, *place.other.state], place.foreign)
    _assert_settled(place)
    letter = "g" if not after or after[1] == "rejected" else "k" if after == before else "n"
    if place.was_refused:
        assert letter == "k", (before, after)
        letter = "a"
    return Outcome(letter, calls)


def _assert_settled(place: Place) -> None:
    """Raise unless the same programs change nothing more, and a refresh finds no drift."""
    had = len(place.simulator.calls)
    for stack in place.stack, place.other:
        stack.up(*(entry.declared for entry in stack.state))
        assert len(place.simulator.calls) == had, "the next up changes something"
    entries = [*place.stack.state, *place.other.state]
    for stack in place.stack, place.other:
        stack.refresh()
    assert_agrees(place.simulator, place.backup_id, entries, place.foreign)


def _counted(methods: list[str]) -> str:
    counted = Counter(methods)
    order = ("GET", "POST", "PUT", "DELETE")
    return ", ".join(f"{counted[kind]} {kind}" for kind in order if counted[kind]) or "no call"


def read_expected() -> dict[Cell, str]:
    """Read `EXPECTED`: the letter of each cell."""
    head, *rows = EXPECTED.strip("\n").splitlines()
    assert tuple(head.split()) == PAIRS
    cells = {}
    for row in rows:
        operation, *letters = row.rsplit(maxsplit=len(PAIRS))
        for pair, letter in zip(PAIRS, letters, strict=True):
            for flavor in FLAVORS:
                if letter != "-":
                    cells[Cell(operation, pair, flavor)] = letter
    return cells


_KIND_WORDS = {"M": "member", "S": "set", "X": "exclusive set", "A": "accepter"}
_WORDS = {
    "k": "kept",
    "n": "created again",
    "a": "refused, then kept",
    "g": "deleted",
}

INTRODUCTION = """\
# What operations of Pulumi do to a share

The tests in `tests/faults/test_operations.py` produce this page, and fail if a run differs from it. With `OPERATIONS_MATRIX=write`
in the environment, they write it. Each cell runs the hooks in the order in which the engine calls them, against the simulator.
`tests/engine/test_operations.py` compares these orders with the real CLI.

A table has a row for each pair of resources: the one that had the share before, and the one that has it afterwards. A set has the
share and one more; an exclusive set is the only one on its backup. Each cell says what becomes of the share, or of the
acceptance of an accepter, and all calls of the operation:

- **kept**: the share is never deleted.
- **created again**: the share is deleted and created again, or rejected and accepted again.
- **refused, then kept**: one line of error says that the share exists. With `pulumi config set cbr:adoptExisting true`, the same
  command keeps the share. Nothing is deleted.
- **deleted**: the share is gone, because the program does not have it any more.

No cell loses a share or undoes an acceptance. After each cell, the state has just what the service has, the next `pulumi up`
calls nothing, and shares of others are untouched. "Killed" means after all creates and before the first delete of an `up`; the
next `up` finishes.
"""


def to_page(outcomes: Mapping[Cell, Outcome]) -> str:
    """Return the outcomes of all cells as a page."""
    counted = Counter(outcome.letter for outcome in outcomes.values())
    counts = ", ".join(f"{counted[letter]} {words}" for letter, words in _WORDS.items())
    lines = [INTRODUCTION, f"{len(outcomes)} cells: {counts}."]
    for operation in OPERATIONS:
        lines += ["", f"## {operation[0].upper()}{operation[1:]}", "", "| before | after | dynamic | first-class |"]
        lines.append("| --- | --- | --- | --- |")
        for pair in PAIRS:
            cells = [outcomes.get(Cell(operation, pair, flavor)) for flavor in FLAVORS]
            if any(cells):
                texts = [f"{_WORDS[outcome.letter]} ({outcome.calls})" if outcome else "" for outcome in cells]
                lines.append("| " + " | ".join([_KIND_WORDS[pair[0]], _KIND_WORDS[pair[-1]], *texts]) + " |")
    return "\n".join(lines) + "\n"
