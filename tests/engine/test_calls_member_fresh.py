"""Lists that are shared between reads are never older than a write that has ended, with all threads of the plugin at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from protocol.plugin import FLAVORS, Still
from pulumi_cbr.simulator import Simulator

MEMBER = "BackupShareMember"


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_no_read_is_older_than_a_write(flavor: str, simulator: Simulator) -> None:
    backups = [backup.id for backup in simulator.backups[:8]]
    leaving, joining = simulator.projects[:4], simulator.projects[4:8]
    for backup in backups:
        for project in leaving:
            simulator.share(backup, project)
    with Still(flavor, simulator.env()) as plugin:

        def there(backup: str, project: str) -> bool:
            # Without the time when it was made: a young share that is missing is waited for.
            outputs = {"backup_id": backup, "dest_project_id": project, "status": "pending"}
            return bool(plugin.read(MEMBER, f"{backup}/{project}", outputs)[0])

        def look_after_each_write(leaves: str, joins: str) -> list[bool]:
            seen = []
            for backup in backups:
                seen.append(there(backup, leaves))
                plugin.delete(MEMBER, f"{backup}/{leaves}", {"backup_id": backup, "dest_project_id": leaves})
                seen.append(there(backup, leaves))
                plugin.create(MEMBER, {"backup_id": backup, "dest_project_id": joins})
                seen.append(there(backup, joins))
            return seen

        with ThreadPoolExecutor(4) as threads:
            seen = list(threads.map(look_after_each_write, leaving, joining))
    assert seen == [[True, False, True] * len(backups)] * 4
    assert simulator.count("POST", "/auth/tokens$") == 1
    # What is not in the list is shown before it counts as gone; what was just made is in the list.
    assert simulator.count("GET", "/members/") == 4 * len(backups)


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_four_threads_that_start_at_once_sign_in_once(flavor: str, simulator: Simulator) -> None:
    simulator.latency = 0.05
    pairs = [(backup.id, project) for backup in simulator.backups[:4] for project in simulator.projects[:4]]
    with Still(flavor, simulator.env()) as plugin, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda pair: plugin.create(MEMBER, {"backup_id": pair[0], "dest_project_id": pair[1]}), pairs))
    assert simulator.count("POST", "/auth/tokens$") == 1
    assert simulator.count("POST", "/members$") == len(pairs)
    assert simulator.count("*") == len(pairs) + 1


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_reads_of_one_backup_at_once_are_one_list(flavor: str, simulator: Simulator) -> None:
    backup, projects = simulator.backups[0].id, simulator.projects[:10]
    for project in projects:
        simulator.share(backup, project)
    inputs = [{"backup_id": backup, "dest_project_id": project} for project in projects]
    with Still(flavor, simulator.env()) as plugin, ThreadPoolExecutor(4) as threads:
        read = threads.map(lambda each: plugin.read(MEMBER, "/".join(each.values()), each)[0], inputs)
        assert list(read) == ["/".join(each.values()) for each in inputs]
    assert simulator.count("GET", "/members") == 1
