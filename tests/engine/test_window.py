"""The rolling window on the real engine, day after day: an owner's stack and a receiver's, and days on which one fails.

`make soak` runs a month; see also tests/unit/test_window.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.models import Backup, MemberRecord

from .conftest import Cli, InitStack
from .shortcuts import backend_of, configure, deployment_of

IS_SLOW_ROUND = "SOAK" in os.environ
DAYS = 30 if IS_SLOW_ROUND else 3
FLAVORS = [("pulumi_cbr", "pulumi_cbr.native"), ("pulumi_cbr.native", "pulumi_cbr")][: 2 if IS_SLOW_ROUND else 1]

#: How many backups of each server are shared.
COUNT = 2

PROGRAMS = {
    "owner": """
import os
import {module} as cbr

cbr.NewestBackupShares(
    "dr", servers=os.environ["SERVERS"].split(), count={count}, dest_project_ids=[os.environ["RECEIVER"]]
)
""",
    "receiver": """
import os
import {module} as cbr

cbr.AcceptPendingShares("inbox", os.environ["VAULT"], [os.environ["OWNER"]])
""",
}

#: What goes wrong, by day. Without retries, each is an error, but for the response that is lost.
FAULTS = {
    1: Fault("status_before", "POST", "/members$", nth=2, times=None),
    6: Fault("status_before", "PUT", "/members/", nth=2, times=None),
    11: Fault("reset_after", "POST", "/members$", times=None),
    16: Fault("status_before", "DELETE", "/members/", times=None),
    21: Fault("status_before", "GET", "/backups$", times=None),
}
HARMLESS = (11,)

#: Days on which nobody runs anything.
HOLIDAYS = (26, 27)

#: Days on which retention deletes a backup that is shared, in place of the oldest one.
HARSH = (8, 20)


@dataclass
class Service:
    """The owner's servers, and all shares that must not change."""

    simulator: Simulator
    #: Shares with other projects, by backup.
    foreign: dict[str, MemberRecord] = field(default_factory=dict)

    def make_backups(self, day: int) -> None:
        """Simulate a day: new backups, one deletion, and on some days somebody's share."""
        self.simulator.advance(86400)
        made = [self.simulator.add_backup(server) for server in self.servers]
        if day % 3 == 0:
            self.foreign[made[0].id] = self.simulator.share(made[0].id, self.simulator.projects[5])
        if day > 0:
            of_server = self.backups(sorted(self.servers)[day % 3])
            deleted = of_server[1 if day in HARSH else -1].id
            self.simulator.delete_backup(deleted)
            self.foreign.pop(deleted, None)

    @property
    def servers(self) -> dict[str, None]:
        return dict.fromkeys(backup.resource_id for backup in self.simulator.backups)

    def backups(self, server: str) -> list[Backup]:
        """Return the backups of a server, the newest first."""
        of_server = [backup for backup in self.simulator.backups if backup.resource_id == server]
        return sorted(of_server, key=lambda backup: backup.created_at, reverse=True)

    def newest(self) -> set[str]:
        return {backup.id for server in self.servers for backup in self.backups(server)[:COUNT]}

    def shares(self) -> dict[str, MemberRecord]:
        """Return the shares with the receiver."""
        return dict(self._members(is_receiver=True))

    def others(self) -> dict[str, MemberRecord]:
        return dict(self._members(is_receiver=False))

    def _members(self, *, is_receiver: bool) -> Iterator[tuple[str, MemberRecord]]:
        for backup in self.simulator.backups:
            for project, record in self.simulator.members(backup.id).items():
                if (project == self.simulator.receiver.project_id) == is_receiver:
                    yield backup.id, record


class Stack:
    """The project of a role, and the command that its schedule runs."""

    def __init__(self, role: str, module: str, folder: Path, cli: Cli, init_stack: InitStack) -> None:
        self.role, self.folder, self.cli = role, folder, cli
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(f"name: {role}\nruntime: python\n")
        (folder / "__main__.py").write_text(PROGRAMS[role].format(module=module, count=COUNT))
        init_stack(folder, role)
        configure(folder, {"cbr:maxRetries": "0"}, role)

    def up(self, service: Service) -> bool:
        """Run the program; return whether that succeeded. An error is never a bug."""
        simulator = service.simulator
        env = {
            **simulator.env(self.role),
            "SERVERS": " ".join(service.servers),
            "VAULT": simulator.vaults[0].id,
            "OWNER": simulator.owner.project_id,
            "RECEIVER": simulator.receiver.project_id,
        }
        done = self.cli(self.folder, "up", "--yes", "--skip-preview", "--refresh", env=env)
        assert "Traceback" not in done.stdout, done.stdout
        assert "this is a bug" not in done.stdout, done.stdout
        return done.returncode == 0


def shares_in_state(backend: Path, stack: str) -> list[str]:
    """Return the backups of the shares, or of the acceptances, that a stack's state has."""
    resources: list[dict[str, Any]] = deployment_of(backend, stack)["resources"]
    return sorted(entry["outputs"]["backup_id"] for entry in map(_snake, resources) if "backup_id" in entry["outputs"])


def _snake(entry: dict[str, Any]) -> dict[str, Any]:
    outputs = dict(entry.get("outputs", {}))
    return {**entry, "outputs": {"backup_id": outputs.pop("backupId"), **outputs} if "backupId" in outputs else outputs}


@pytest.mark.parametrize(("owner", "receiver"), FLAVORS)
def test_window_has_the_newest_at_the_end_of_each_day(
    tmp_path: Path, cli: Cli, init_stack: InitStack, engine_env: dict[str, str], owner: str, receiver: str
) -> None:
    backend = backend_of(engine_env)
    with Simulator(backups=3) as simulator:
        service = Service(simulator)
        modules = {"owner": owner, "receiver": receiver}
        stacks = [Stack(role, module, tmp_path / role, cli, init_stack) for role, module in modules.items()]
        last: dict[str, MemberRecord] = {}
        for day in range(DAYS):
            service.make_backups(day)
            if day in HOLIDAYS:
                continue
            if day in FAULTS:
                simulator.faults.add(FAULTS[day])
            went_well = all([stack.up(service) for stack in stacks])
            simulator.faults.clear()
            assert went_well is (day not in FAULTS or day in HARMLESS), day
            assert service.others() == service.foreign, day
            if went_well:
                shares = service.shares()
                assert shares.keys() == service.newest(), day
                assert {(share.status, share.vault_id) for share in shares.values()} == {
                    ("accepted", simulator.vaults[0].id)
                }, day
                # What stays in the window is the same share as before.
                assert {backup: last[backup] for backup in last.keys() & shares} == {
                    backup: shares[backup] for backup in last.keys() & shares
                }, day
                assert shares_in_state(backend, "owner") == shares_in_state(backend, "receiver") == sorted(shares), day
                last = shares
