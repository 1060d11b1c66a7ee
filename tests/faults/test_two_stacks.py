"""Two stacks on the same backups, with random faults, other people and kills: nobody loses a share that another holds.

Each step is one run of the CLI without its processes. Both flavors drive these controllers, so there is no need for both.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from accounts import token_settings
from protocol.plugin import HookFailed
from pulumi_cbr.simulator import Fault, Refused, Simulator

from .bare_engine import Resource, Run, assert_said_well

SEEDS = (1, 2)
#: Of each seed, eight times as many in `make soak`; each backup is used for so many, then the next one is.
STEPS, STEPS_OF_A_BACKUP = 4000 if "SOAK" in os.environ else 500, 25

#: What goes wrong in one step.
BROKEN: tuple[dict[str, Any], ...] = (
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "status_before", "status": 503},
    {"kind": "status_after", "status": 502},
    {"kind": "html", "status": 200, "committed": True},
    {"kind": "truncated"},
    {"kind": "throttle", "retry_after": 12},
    *(
        {"kind": kind, "status": 400, "body": {"error_code": f"BackupService.{code}", "error_msg": "refused"}}
        for kind in ("status_before", "status_after")
        for code in (6701, 6702, 6704, 9900)
    ),
)
#: What looks like a good response, and is a lie.
LIES: tuple[dict[str, Any], ...] = (
    {"kind": "status_before", "status": 200, "body": {"members": [], "count": 0}},
    {"kind": "status_before", "status": 200, "body": {"members": [], "count": 2}},
    {"kind": "status_before", "status": 404, "body": {"error_code": "BackupService.6200", "error_msg": "no backup"}},
    {"kind": "status_before", "status": 404, "body": {"error_code": "BackupService.6705", "error_msg": "no member"}},
)

#: Share IDs by project.
Shares = dict[str, str]


@dataclass
class Stack:
    """The resources of a stack on one backup.

    Two members, two sets, and perhaps the acceptance of one of the shares.
    """

    config: dict[str, str]
    resources: list[Resource]

    def shares(self) -> set[str]:
        """Return the share IDs that the state has."""
        return {share for resource in self.resources for share in shares_of(resource).values()}


def shares_of(resource: Resource) -> Shares:
    if not resource.id or resource.kind == "BackupShareAccepter":
        return {}
    if resource.kind == "BackupShare":
        return {project: share["share_id"] for project, share in resource.outputs["members"].items()}
    return {resource.outputs["dest_project_id"]: resource.outputs["share_id"]}


def settings_of(simulator: Simulator, role: str) -> dict[str, str]:
    return {**token_settings(simulator, role), "maxRetries": "2", "timeout": "60"}


class World:
    """One backup, the two stacks, and the steps."""

    def __init__(self, simulator: Simulator, random: Random, backup: str) -> None:
        self.simulator, self.random, self.backup = simulator, random, backup
        self.receiver, *projects = simulator.projects
        self.projects = projects[:5]
        owner = settings_of(simulator, "owner")
        self.stacks = [Stack(owner, self._declare()), Stack(owner, self._declare())]
        accepter = Resource("BackupShareAccepter", backup_id=backup, vault_id=simulator.vaults[0].id)
        self.stacks.append(Stack(settings_of(simulator, "receiver"), [accepter]))
        #: Share IDs that nobody's state has, for a reason that somebody knows.
        self.known: set[str] = set()
        self.succeeded = 0

    def _declare(self) -> list[Resource]:
        return [
            Resource("BackupShareMember", backup_id=self.backup, dest_project_id=self.receiver),
            Resource("BackupShareMember", backup_id=self.backup, dest_project_id=self.projects[0]),
            Resource("BackupShare", backup_id=self.backup, dest_project_ids=self._some(self.projects[1:])),
            Resource("BackupShare", backup_id=self.backup, dest_project_ids=[self.projects[4]]),
        ]

    def _some(self, projects: list[str]) -> list[str]:
        return sorted(self.random.sample(projects, self.random.randint(1, len(projects))))

    def there(self) -> Shares:
        return {project: record.id for project, record in self.simulator.members(self.backup).items()}

    def step(self) -> None:
        """Change a share as somebody else, or run one stack's operation with a fault."""
        # Half a minute apart: what docs/inferences.md leaves to time is not tried here.
        self.simulator.advance(30)
        if self.random.random() < 0.25:
            self._others()
            return
        stack = self.random.choice(self.stacks)
        resource = self.random.choice(stack.resources)
        if resource.kind == "BackupShare" and self.random.random() < 0.4:
            projects = resource.inputs["dest_project_ids"]
            resource.inputs["dest_project_ids"] = self._some(self.projects[1:]) if len(projects) > 1 else projects
            resource.inputs["exclusive"] = self.random.random() < 0.15
            resource.inputs["reshare_if_rejected"] = self.random.random() < 0.5
        self._operate(stack, resource)

    def _others(self) -> None:
        what, project = (
            self.random.choice(["share", "withdraw", "again", "reject"]),
            self.random.choice([self.receiver, *self.projects]),
        )
        try:
            if what in ("withdraw", "again"):
                self.simulator.withdraw(self.backup, project)
            if what in ("share", "again"):
                self.known.add(self.simulator.share(self.backup, project).id)
            if what == "reject":
                self.simulator.reject(self.backup, project)
        except Refused:
            pass

    def _operate(self, stack: Stack, resource: Resource) -> None:
        hook = self.random.choice(["up", "up", "refresh", "destroy"])
        adopts, is_killed = self.random.random() < 0.15, self.random.random() < 0.1
        self._break()
        before, others = self.there(), [other for other in self.stacks if other is not stack]
        held, had, state = stack.shares(), shares_of(resource), copy.copy(vars(resource))
        failed = ""
        try:
            config = {**stack.config, **({"adoptExisting": "true"} if adopts else {})}
            getattr(resource, hook)(Run(config))
        except HookFailed as error:
            assert_said_well(error)
            failed = str(error)
        self.simulator.faults.clear()
        if is_killed:
            # The state never learns of it; the next run is told, and these shares are known to have been made.
            vars(resource).update(state)
            self.known |= set(self.there().values()) - set(before.values())
            return
        after = self.there()
        exclusive = resource.kind == "BackupShare" and bool(resource.inputs.get("exclusive"))
        self._check_deleted(before, after, had, held, others, allowed=adopts or exclusive)
        self._check_state(resource, hook, failed, before, after, had, adopts=adopts)
        self._check_orphans(failed, before, after)

    def _break(self) -> None:
        if self.random.random() < 0.5:
            return
        if self.random.random() < 0.6:
            method, fault = self.random.choice(["POST", "PUT", "DELETE", "*"]), self.random.choice(BROKEN)
            self.simulator.faults.add(
                Fault(method=method, path=self.backup, times=self.random.choice([1, 2, 9]), **fault)
            )
        else:
            method, fault = self.random.choice(["GET", "DELETE"]), self.random.choice(LIES)
            path = self.backup + self.random.choice([r"/members$", r"/members/"])
            if method == "GET" or fault["status"] == 404:
                self.simulator.faults.add(Fault(method=method, path=path, **fault))

    def _check_deleted(
        self, before: Shares, after: Shares, had: Shares, held: set[str], others: list[Stack], *, allowed: bool
    ) -> None:
        """Check that only this resource's shares are gone, unless exclusive or adopt_existing."""
        gone = set(before.values()) - set(after.values())
        assert allowed or gone <= set(had.values())
        elsewhere = {share for other in others for share in other.shares()}
        # Adopted shares are of both stacks: what one of them does is the other's drift.
        assert allowed or not gone & (elsewhere - held)

    def _check_state(
        self, resource: Resource, hook: str, failed: str, before: Shares, after: Shares, had: Shares, *, adopts: bool
    ) -> None:
        """Check that state and service agree after exit code 0."""
        if resource.kind == "BackupShareAccepter":
            self._check_acceptance(resource, hook, failed)
            return
        has = shares_of(resource)
        # What is new in the state is new at the service, unless it was adopted.
        new = set(has.values()) - set(had.values())
        assert new <= set(after.values())
        assert adopts or not new & set(before.values())
        if failed:
            return
        self.succeeded += 1
        if hook == "refresh":
            assert {project: after.get(project) for project in has} == has
            assert {project for project in had if had[project] == after.get(project)} <= set(has)
        elif hook == "destroy":
            assert not has
            assert not set(had.values()) & set(after.values())
        else:
            wanted = resource.inputs.get("dest_project_ids") or [resource.inputs["dest_project_id"]]
            assert set(has) == set(wanted)

    def _check_acceptance(self, resource: Resource, hook: str, failed: str) -> None:
        record = self.simulator.members(self.backup).get(self.receiver)
        if failed or hook == "up":
            return
        if hook == "refresh" and resource.id and record:
            assert resource.outputs["status"] == record.status

    def _check_orphans(self, failed: str, before: Shares, after: Shares) -> None:
        """Check that an error names each new share that is in no state, and how to adopt it."""
        in_states = {share for stack in self.stacks for share in stack.shares()}
        for project, share in after.items():
            if share not in in_states and share not in self.known:
                assert project in failed
                assert "cbr:adoptExisting true" in failed
                self.known.add(share)


@pytest.fixture(scope="module")
def simulator() -> Any:
    with Simulator(backups=len(SEEDS) * STEPS // STEPS_OF_A_BACKUP, token_life=1e9) as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_two_stacks_never_lose_what_either_holds(simulator: Simulator, seed: int) -> None:
    random, succeeded = Random(seed), 0
    backups = [backup.id for backup in simulator.backups][(seed - 1) * STEPS // STEPS_OF_A_BACKUP :]
    for number in range(STEPS):
        if number % STEPS_OF_A_BACKUP == 0:
            world = World(simulator, random, backups[number // STEPS_OF_A_BACKUP])
            simulator.clear_calls()
        print(f"seed {seed}, step {number}")
        world.step()
        succeeded += world.succeeded
        world.succeeded = 0
    # Enough goes well for the rest to mean something.
    assert succeeded > STEPS / 4
