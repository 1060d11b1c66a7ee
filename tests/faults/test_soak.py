"""Hundreds of operations with faults in every tenth call, thousands in `make soak`: state and service agree at the end."""

from __future__ import annotations

import os
from random import Random

import pytest

from accounts import password_settings
from protocol.plugin import HookFailed
from pulumi_cbr.simulator import Fault, Simulator

from .bare_engine import Resource, Run, assert_said_well

OPERATIONS = 2000 if "SOAK" in os.environ else 300

#: Each as likely as the next; together they hit a tenth of all calls.
FAULTS = [
    Fault(kind, "*", "", probability=0.1 / 14, **more)
    for kind, more in (
        ("reset_before", {}),
        ("reset_after", {}),
        ("timeout_before", {"seconds": 0.01}),
        ("timeout_after", {"seconds": 0.01}),
        ("status_before", {"status": 503}),
        ("status_after", {"status": 502}),
        ("status_after", {"status": 500}),
        ("html", {"status": 200}),
        ("html", {"status": 200, "committed": True}),
        ("throttle", {"retry_after": 1}),
        ("truncated", {}),
        ("malformed", {}),
        ("proxy_407", {}),
        ("expire_token", {}),
    )
]


class World:
    """Resources of all kinds, what each should be, and who brings that about."""

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self.simulator = simulator
        self.random = Random(seed)
        self.failed = 0
        self.unfinished: set[Resource] = set()
        backups = [backup.id for backup in simulator.backups]
        self.receiver, self.bystander, *self.projects = simulator.projects
        for backup in backups:
            simulator.share(backup, self.bystander)
        simulator.share(backups[0], self.receiver)
        vault = simulator.vaults[0].id
        self.resources = [
            *(self._member(backup, project) for backup in backups[1:4] for project in self.projects[:6]),
            *(Resource("BackupShare", backup_id=backup, dest_project_ids=self.projects[:3]) for backup in backups[4:8]),
            Resource("BackupShareAccepter", backup_id=backups[0], vault_id=vault),
        ]

    def _member(self, backup: str, project: str) -> Resource:
        return Resource("BackupShareMember", backup_id=backup, dest_project_id=project)

    def step(self) -> None:
        """Run the CLI on one resource as a user might; adopt its share if it is refused."""
        resource = self.random.choice(self.resources)
        hook = self.random.choices(["up", "refresh", "destroy"], [5, 3, 2])[0] if resource.id else "up"
        # After an up that failed it is run again, as its message says: another program would leave behind what it has made.
        if resource in self.unfinished:
            hook = "up"
        elif hook == "up" and resource.kind == "BackupShare":
            resource.inputs["dest_project_ids"] = self.random.sample(self.projects, self.random.randint(1, 9))
        had = resource.id
        try:
            self.run(resource, hook, self.random.random() < 0.5)
        except HookFailed as failed:
            assert_said_well(failed)
            assert resource.id == had
            self.failed += 1
            if hook == "up":
                self.unfinished.add(resource)
        else:
            self.unfinished.discard(resource)
            assert bool(resource.id) == (hook != "destroy") or not self._is_there(resource), f"lost by {hook}"

    def _is_there(self, resource: Resource) -> bool:
        """Return whether the service has a share of it. A failed destroy may have deleted it."""
        project = {"BackupShareMember": resource.inputs.get("dest_project_id"), "BackupShareAccepter": self.receiver}
        there = self.simulator.members(resource.inputs["backup_id"])
        return project.get(resource.kind) in there

    def run(self, resource: Resource, hook: str, adopting: bool) -> None:
        role = "receiver" if resource.kind == "BackupShareAccepter" else "owner"
        config = password_settings(self.simulator, role)
        more = {"adoptExisting": "true"} if adopting else {}
        getattr(resource, hook)(Run({**config, "timeout": "8", "maxRetries": "2", **more}))

    def settle(self) -> None:
        """Run everything once more without faults, after a refresh."""
        for resource in self.resources:
            for hook in ("refresh", "up", "refresh") if resource.id else ("up", "refresh"):
                self.run(resource, hook, adopting=True)

    def assert_agrees(self) -> None:
        state: dict[tuple[str, str], str] = {}
        for resource in self.resources:
            backup = resource.inputs["backup_id"]
            if resource.kind == "BackupShareMember":
                state[backup, resource.inputs["dest_project_id"]] = resource.outputs["share_id"]
            elif resource.kind == "BackupShare":
                members = resource.outputs["members"]
                assert set(members) == set(resource.inputs["dest_project_ids"])
                state.update({(backup, project): entry["share_id"] for project, entry in members.items()})
        found = {
            (backup.id, project): record
            for backup in self.simulator.backups
            for project, record in self.simulator.members(backup.id).items()
        }
        for backup in self.simulator.backups:
            assert found.pop((backup.id, self.bystander)).status == "pending"
        assert found.pop((self.simulator.backups[0].id, self.receiver)).status == "accepted"
        assert {pair: record.id for pair, record in found.items()} == state


@pytest.mark.parametrize("seed", [20260])
def test_operations_with_faults(seed: int) -> None:
    with Simulator(seed, backups=8) as simulator:
        world = World(simulator, seed)
        for fault in FAULTS:
            simulator.faults.add(fault)
        done = 0
        try:
            while done < OPERATIONS:
                world.step()
                done += 1
            simulator.faults.clear()
            world.settle()
            world.assert_agrees()
        except Exception as error:
            raise AssertionError(f"seed {seed}, operation {done}: {error}") from error
        assert sum(call.fault is not None for call in simulator.calls) > len(simulator.calls) / 20
        assert OPERATIONS / 50 < world.failed < OPERATIONS / 2
