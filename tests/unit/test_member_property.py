"""Random operations against the simulator: state and service agree, or an error says so, and one more run repairs it.

The engine's part is played by a small one of the test's own, which drives the lifecycle as the engine does: a process
(here: a new lifecycle) an operation, check before create, create before delete but where the diff says otherwise, and a
state that learns only of what hooks returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.simulator import Fault, Refused, Simulator

BACKUPS, PROJECTS, NAMES = 2, 2, 3
FAULTS = ("reset_before", "reset_after", "status_before", "status_after", "html", "truncated", "malformed", "throttle")


#: What a program says of a resource: which backup and project, and both flags.
RESOURCE = st.tuples(st.integers(0, BACKUPS - 1), st.integers(0, PROJECTS - 1), st.booleans(), st.booleans())


class FakeClock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Stack:
    """A program's resources by name, the state of them, and the operations of the engine."""

    service: Simulator
    program: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    #: Old halves of replacements whose delete has failed: the engine tries them again first.
    pending: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        env = self.service.env()
        config: dict[str, object] = {
            "authUrl": env["OS_AUTH_URL"],
            "username": env["OS_USERNAME"],
            "password": env["OS_PASSWORD"],
            "userDomainName": env["OS_USER_DOMAIN_NAME"],
            "projectId": env["OS_PROJECT_ID"],
            "maxRetries": 2,
        }
        clock = FakeClock()
        self.config, self.timing = config, Clock(monotonic=clock, sleep=clock.sleep)

    def process(self, *, adopts: bool = False) -> BackupShareMemberController:
        """Start a process, which remembers nothing."""
        config = {**self.config, "adoptExisting": adopts}
        return BackupShareMemberController(SessionPool(config.get, self.timing, registry=SessionRegistry()))

    def up(self, *, adopts: bool = False) -> list[str]:
        """Make the service agree with the program; return the errors. After one, delete nothing."""
        hooks = self.process(adopts=adopts)
        errors: list[str] = []

        def done(action: Callable[..., object], *args: Any) -> bool:
            try:
                action(*args)
            except CbrError as error:
                errors.append(str(error))
            return not errors

        def create(name: str, news: dict[str, Any]) -> None:
            self.state[name] = hooks.create(news)

        while self.pending and done(hooks.delete, *self.pending[0]):
            del self.pending[0]
        for name, inputs in self.program.items():
            if errors:
                break
            news = hooks.check({}, inputs).inputs
            if name not in self.state:
                done(create, name, news)
                continue
            id_, olds = self.state[name]
            diff = hooks.diff(id_, olds, news)
            if diff.replaces and diff.delete_first:
                if done(hooks.delete, id_, olds):
                    del self.state[name]
                    done(create, name, news)
            elif diff.replaces:
                if done(create, name, news):
                    self.pending.append((id_, olds))
            elif diff.updates:
                self.state[name] = id_, hooks.update(id_, olds, news)
        if not errors:
            self.pending += [self.state.pop(name) for name in list(self.state) if name not in self.program]
            while self.pending and done(hooks.delete, *self.pending[0]):
                del self.pending[0]
        return errors

    def refresh(self) -> list[str]:
        hooks = self.process()
        errors = []
        for name, (id_, olds) in list(self.state.items()):
            try:
                reading = hooks.read(id_, olds)
            except CbrError as error:
                errors.append(str(error))
                continue
            if reading is None:
                del self.state[name]
            else:
                self.state[name] = reading.id, reading.outputs
        return errors

    def pairs(self) -> list[tuple[str, str]]:
        """Return the shares of the state, by backup and project."""
        return [(str(outputs["backup_id"]), str(outputs["dest_project_id"])) for _, outputs in self.state.values()]

    def has_one_twice(self) -> bool:
        ids = [id_ for id_, _ in (*self.state.values(), *self.pending)]
        return len(set(ids)) < len(ids)


class Operations(RuleBasedStateMachine):
    """Programs, failures and other people."""

    service: Simulator

    @initialize(program=st.lists(RESOURCE, min_size=2, max_size=NAMES))
    def begin(self, program: list[tuple[int, int, bool, bool]]) -> None:
        self.service = Simulator(backups=BACKUPS).start()
        self.backups = [backup.id for backup in self.service.backups]
        self.projects = self.service.projects[:PROJECTS]
        self.stack = Stack(self.service)
        #: Shares that others made, which are not ours to take away.
        self.others: set[tuple[str, str]] = set()
        #: Shares that an error said may have been made.
        self.told: set[tuple[str, str]] = set()
        for name, resource in enumerate(program):
            self.declare(name, resource)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            try:
                self.mend()
            finally:
                self.service.stop()

    def there(self) -> dict[tuple[str, str], Any]:
        return {
            (backup, project): member
            for backup in self.backups
            for project, member in self.service.members(backup).items()
        }

    # The program

    @rule(name=st.integers(0, NAMES - 1), resource=RESOURCE)
    def declare(self, name: int, resource: tuple[int, int, bool, bool]) -> None:
        """Add a resource or change one; a pair is declared once."""
        backup, project, adopt, reshare = resource
        inputs = {
            "backup_id": self.backups[backup],
            "dest_project_id": self.projects[project],
            "adopt_existing": adopt,
            "reshare_if_rejected": reshare,
        }
        declared = [
            (other["backup_id"], other["dest_project_id"])
            for key, other in self.stack.program.items()
            if key != str(name)
        ]
        if (inputs["backup_id"], inputs["dest_project_id"]) not in declared:
            self.stack.program[str(name)] = inputs

    @precondition(lambda self: self.stack.program)
    @rule(data=st.data(), name=st.integers(0, NAMES))
    def rename(self, data: st.DataObject, name: int) -> None:
        """Rename a resource, perhaps to the name of another one; the last name means none."""
        old = self.stack.program.pop(data.draw(st.sampled_from(sorted(self.stack.program))))
        if name < NAMES:
            self.stack.program[str(name)] = old

    @precondition(lambda self: self.stack.program)
    @rule(data=st.data(), flag=st.sampled_from(["adopt_existing", "reshare_if_rejected"]))
    def toggle(self, data: st.DataObject, flag: str) -> None:
        inputs = self.stack.program[data.draw(st.sampled_from(sorted(self.stack.program)))]
        inputs[flag] = not inputs[flag]

    # The engine

    def failed(self, errors: list[str]) -> None:
        """Note what the user was told about what may have been done."""
        for error in errors:
            assert len(error.splitlines()) == 1
            if any(text in error for text in ("reading it failed", "shows no such share", "does not show")):
                self.told |= {
                    (backup, project)
                    for backup in self.backups
                    for project in self.projects
                    if backup in error and project in error
                }

    @rule(again=st.booleans())
    def up(self, again: bool) -> None:
        """Run the program; what was there before, and is the state's after it, is still there."""
        for _ in range(1 + again):
            before = set(self.there())
            # An operation that failed in the middle of a swap leaves a share that two resources have. The process that
            # takes it away from one of them cannot know of the other: then a refresh finds it gone, and a run mends it.
            twice = self.stack.has_one_twice()
            errors = self.stack.up()
            self.failed(errors)
            after = set(self.there())
            assert errors or twice or set(self.stack.pairs()) & before <= after
            assert errors or twice or len(set(self.stack.pairs())) == len(self.stack.pairs())
            assert errors or after <= {*self.stack.pairs(), *self.others, *self.told}
            assert errors or len(self.stack.pairs()) == len(self.stack.program)
            self.others -= self.ours()
            self.told -= set(self.stack.pairs())

    def ours(self) -> set[tuple[str, str]]:
        """Return the pairs whose share at the service is the one of the state."""
        there = self.there()
        outputs = [outputs for _, outputs in self.stack.state.values()]
        pairs = {(str(each["backup_id"]), str(each["dest_project_id"])): each["share_id"] for each in outputs}
        return {pair for pair, share_id in pairs.items() if pair in there and there[pair].id == share_id}

    @rule()
    def refresh(self) -> None:
        """Look; without an error, the state is as the service is."""
        ours = self.ours()
        errors = self.stack.refresh()
        there = self.there()
        assert ours <= set(self.stack.pairs())
        if not errors:
            for _, outputs in self.stack.state.values():
                member = there[outputs["backup_id"], outputs["dest_project_id"]]
                assert (outputs["share_id"], outputs["status"]) == (member.id, member.status)

    @rule()
    def destroy(self) -> None:
        program, self.stack.program = self.stack.program, {}
        self.failed(self.stack.up())
        self.stack.program = program
        self.service.faults.clear()

    @rule(
        kind=st.sampled_from(FAULTS),
        method=st.sampled_from(["POST", "GET", "DELETE", "*"]),
        nth=st.integers(1, 3),
        times=st.sampled_from([1, 2, 30]),
        committed=st.booleans(),
    )
    def fail(self, kind: str, method: str, nth: int, times: int, committed: bool) -> None:
        self.service.faults.add(Fault(kind, method, "/members", nth=nth, times=times, committed=committed))

    # Other people

    @rule(backup=st.integers(0, BACKUPS - 1), project=st.integers(0, PROJECTS - 1))
    def another_shares(self, backup: int, project: int) -> None:
        pair = self.backups[backup], self.projects[project]
        try:
            self.service.share(*pair)
        except Refused:
            return
        self.others.add(pair)

    @precondition(lambda self: self.there())
    @rule(data=st.data(), what=st.sampled_from(["withdraw", "accept", "reject"]))
    def another_changes(self, data: st.DataObject, what: str) -> None:
        pair = data.draw(st.sampled_from(sorted(self.there())))
        getattr(self.service, what)(*pair)
        if what == "withdraw":
            self.others.discard(pair)

    @rule(seconds=st.sampled_from([1, 90, 7200]))
    def time_passes(self, seconds: int) -> None:
        self.service.advance(seconds)

    # What must hold

    @invariant()
    def the_state_is_whole(self) -> None:
        if hasattr(self, "stack"):
            for _, outputs in self.stack.state.values():
                assert {"share_id", "status", "created_at", "source_project_id"} <= outputs.keys()

    @invariant()
    def what_is_there_is_known(self) -> None:
        """Check that each share is in the state, somebody else's, or named in an error."""
        if hasattr(self, "stack"):
            pending = {
                (str(outputs["backup_id"]), str(outputs["dest_project_id"])) for _, outputs in self.stack.pending
            }
            assert set(self.there()) <= {*self.stack.pairs(), *pending, *self.others, *self.told}

    def mend(self) -> None:
        """End all faults, and check that a refresh and a run make everything agree."""
        self.service.faults.clear()
        assert self.stack.refresh() == []
        # An operation stops at its first error.
        for error in self.stack.up():
            assert "cbr:adoptExisting true" in error
            assert self.stack.up(adopts=True) == []
        assert self.stack.refresh() == []
        assert self.stack.up() == []
        assert self.stack.pending == []
        wanted = {(entry["backup_id"], entry["dest_project_id"]) for entry in self.stack.program.values()}
        there = self.there()
        assert set(self.stack.pairs()) == wanted
        # No member is lost, and the state tells how each of them is.
        assert wanted <= set(there)
        for _, outputs in self.stack.state.values():
            member = there[outputs["backup_id"], outputs["dest_project_id"]]
            assert (outputs["share_id"], outputs["status"]) == (member.id, member.status)
        self.stack.program = {}
        assert self.stack.up() == []
        assert set(self.there()) == set(there) - wanted


def test_random_operations_keep_state_and_service_equal() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # Hypothesis's own
        Operations,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            # Not Phase.shrink: a failure is told within the minute, and a life is short enough to be read.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
