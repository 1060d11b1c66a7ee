"""While some resources wait for a retry, others are served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in
from waiting import PATIENCE


class Asleep:
    """Keeps all who wait asleep until they are woken, and counts them."""

    def __init__(self) -> None:
        self._fallen = threading.Semaphore(0)
        self._morning = threading.Event()
        # Tries that are slow to be woken have time left all the same.
        self.timing = Clock(sleep=self._sleep, monotonic=lambda: 0.0)

    def are(self, number: int) -> bool:
        """Return whether so many more have fallen asleep."""
        return all(self._fallen.acquire(timeout=PATIENCE) for _ in range(number))

    def wake(self) -> None:
        self._morning.set()

    def _sleep(self, seconds: float) -> None:
        self._fallen.release()
        assert self._morning.wait(PATIENCE)


@pytest.fixture
def service() -> Iterator[Simulator]:
    with Simulator(backups=33) as running:
        yield running


@pytest.fixture
def asleep() -> Iterator[Asleep]:
    them = Asleep()
    yield them
    them.wake()


Scenario = Callable[[Simulator, SessionPool, str], object]


def throttled(service: Simulator, sessions: SessionPool, backup: str) -> object:
    service.faults.add(Fault("throttle", "POST", backup))
    return BackupShareMemberController(sessions).create({"backup_id": backup, "dest_project_id": service.projects[0]})


def lost(service: Simulator, sessions: SessionPool, backup: str) -> object:
    service.faults.add(Fault("reset_before", "POST", backup))
    return BackupShareMemberController(sessions).create({"backup_id": backup, "dest_project_id": service.projects[0]})


def not_visible_yet(service: Simulator, sessions: SessionPool, backup: str) -> object:
    young = {"status": "pending", "created_at": datetime.now(timezone.utc).isoformat()}
    return BackupShareMemberController(sessions).read(f"{backup}/{service.projects[0]}", young)


def not_shared_yet(service: Simulator, sessions: SessionPool, backup: str) -> object:
    inputs = {"backup_id": backup, "vault_id": service.vaults[0].id}
    with pytest.raises(CbrError, match="is not shared with"):
        BackupShareAccepterController(sessions).create(inputs)
    return None


def withdrawing_ten(service: Simulator, sessions: SessionPool, backup: str) -> object:
    hooks = BackupShareController(sessions)
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": service.projects[:10]})
    for project in service.projects[:10]:
        service.faults.add(Fault("throttle", "DELETE", f"{backup}/members/{project}"))
    hooks.delete(id_, outputs)
    return None


@pytest.mark.parametrize(
    ("scenario", "resources", "sleepers"),
    [(throttled, 2, 1), (lost, 2, 1), (not_visible_yet, 2, 1), (not_shared_yet, 2, 1), (withdrawing_ten, 32, 10)],
)
def test_waits_of_some_resources_block_no_other(
    scenario: Scenario,
    resources: int,
    sleepers: int,
    service: Simulator,
    asleep: Asleep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    role = "receiver" if scenario is not_shared_yet else "owner"
    sessions = {}
    for name in role, "owner":
        sign_in(monkeypatch, service.env(name))
        sessions[name] = SessionPool(lambda _: None, asleep.timing)
        sessions[name].get(None)
    other, *backups = (backup.id for backup in service.backups[: 1 + resources])
    with ThreadPoolExecutor(1 + resources) as threads:
        try:
            waiting = [threads.submit(scenario, service, sessions[role], backup) for backup in backups]
            # All at once, so that none has what another needs to fall asleep.
            assert asleep.are(resources * sleepers)
            hooks = BackupShareController(sessions["owner"])
            inputs = {"backup_id": other, "dest_project_ids": service.projects[:3]}
            served = threads.submit(lambda: hooks.delete(*hooks.create(inputs)))
            served.result(PATIENCE)
            assert not any(future.done() for future in waiting)
        finally:
            asleep.wake()
        for future in waiting:
            future.result(PATIENCE)
