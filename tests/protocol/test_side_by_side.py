"""The engine has several resources served at a time: none waits until another is done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from protocol.plugin import FLAVORS, Plugin
from pulumi_cbr.simulator import Simulator
from waiting import PATIENCE


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_32_are_made_at_a_time(flavor: str) -> None:
    with Simulator(backups=32) as service, Plugin(flavor, service.env()) as plugin:
        meeting = threading.Barrier(32)
        take = service.faults.take

        def held(method: str, path: str) -> Any:
            if method == "POST" and path.endswith("/members"):
                meeting.wait(PATIENCE)
            return take(method, path)

        service.faults.take = held  # type: ignore[method-assign]
        project = service.projects[0]

        def make(backup: str) -> str:
            return plugin.create("BackupShareMember", {"backup_id": backup, "dest_project_id": project})[0]

        # The engine checks a resource first. The dynamic plugin then starts its threads.
        plugin.check("BackupShareMember", {"backup_id": service.backups[0].id, "dest_project_id": project})
        backups = [backup.id for backup in service.backups]
        with ThreadPoolExecutor(32) as threads:
            assert list(threads.map(make, backups)) == [f"{backup}/{project}" for backup in backups]
