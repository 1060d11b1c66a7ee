"""BackupShareMember with cbr:preflight: what an up would be refused for fails the preview, at two calls a backup."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from protocol.conftest import PluginWith
from protocol.plugin import Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Fault, Simulator

KIND = "BackupShareMember"
NewPlugin = Callable[..., Plugin]


def inputs(backup: str, project: str, **more: Any) -> dict[str, Any]:
    return {"backup_id": backup, "dest_project_id": project, **more}


def failure(plugin: Plugin, *args: Any, **kwargs: Any) -> str:
    """Return the one reason why a check fails, or an empty text."""
    _, failures = plugin.check(KIND, *args, **kwargs)
    if not failures:
        return ""
    ((reason,),) = failures.values()
    assert list(failures) == ["backup_id"]
    assert len(reason.splitlines()) == 1
    return reason


@pytest.mark.parametrize("setting", [{}, {"preflight": "false"}])
def test_off_it_makes_no_call(
    new_plugin: NewPlugin, service: Simulator, backup: str, project: str, setting: dict[str, str]
) -> None:
    service.delete_backup(backup)
    assert failure(new_plugin(**setting), inputs(backup, project)) == ""
    assert service.calls == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda service, backup: None, ""),
        (
            lambda service, backup: service.delete_backup(backup),
            "does not exist in project {owner}. Check its ID, the region and the project",
        ),
        (
            lambda service, backup: service.set_backup(backup, status="error"),
            "backup {backup} has status `error`. Wait until its status is `available`",
        ),
        (
            lambda service, backup: service.set_backup(backup, resource_type="OS::Cinder::Volume"),
            "is of type OS::Cinder::Volume, which most regions do not share. If yours does, set cbr:preflight to false",
        ),
        (
            lambda service, backup: [service.share(backup, project) for project in service.projects[1:11]],
            "would be shared with 11 projects (10 existing) and the limit is 10",
        ),
        (
            lambda service, backup: service.share(backup, service.projects[0]),
            "already shared with project {project}",
        ),
        (lambda service, backup: service.deny("cbr:member:list"), "preflight failed: listing the members"),
        (lambda service, backup: service.deny("cbr:backups:get"), "preflight failed: showing backup"),
        (
            lambda service, backup: service.faults.add(Fault("reset_before", "GET", backup, times=None)),
            "preflight failed: showing backup {backup}",
        ),
        (
            lambda service, backup: service.faults.add(Fault("html", "GET", backup, times=None)),
            "preflight failed: showing backup {backup}",
        ),
    ],
)
def test_each_reason(
    plugin_with: PluginWith, service: Simulator, backup: str, project: str, change: Any, reason: str
) -> None:
    change(service, backup)
    found = failure(plugin_with(preflight="true", maxRetries="0"), inputs(backup, project))
    assert reason.format(backup=backup, project=project, owner=service.owner.project_id) in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize("how", ["sign-in", "network", "settings"])
def test_what_stands_in_the_way_of_asking_is_a_failure_too(
    flavor: str, service: Simulator, backup: str, project: str, how: str
) -> None:
    env, config = service.env(), {"preflight": "true", "maxRetries": "0"}
    if how == "sign-in":
        env["OS_PASSWORD"] = "wrong"
    elif how == "network":
        config["authUrl"] = "http://127.0.0.1:9/v3"
    else:
        del env["OS_PASSWORD"]
    with Plugin(flavor, env, config) as plugin:
        assert failure(plugin, inputs(backup, project))


def test_all_reasons_at_once(plugin_with: PluginWith, service: Simulator, backup: str, project: str) -> None:
    for member in service.projects[:10]:
        service.share(backup, member)
    service.set_backup(backup, status="error", resource_type="OS::Cinder::Volume")
    _, failures = plugin_with(preflight="true").check(KIND, inputs(backup, service.projects[10]))
    assert len(failures["backup_id"]) == 3


def test_members_of_the_program_count_at_two_calls_a_backup(
    plugin_with: PluginWith, service: Simulator, backup: str, other_backup: str
) -> None:
    for member in service.projects[10:13]:
        service.share(backup, member)
    plugin = plugin_with(preflight="true")
    wanted = [(one, project) for one in (backup, other_backup) for project in service.projects[:10]]
    with ThreadPoolExecutor(20) as pool:
        reasons = dict(zip(wanted, pool.map(lambda pair: failure(plugin, inputs(*pair)), wanted), strict=True))
    # Of ten that are to join three, three are too many; a backup that has none has room for all.
    assert sorted(len(reason) > 0 for (one, _), reason in reasons.items() if one == backup) == [False] * 7 + [True] * 3
    assert not any(reason for (one, _), reason in reasons.items() if one == other_backup)
    for one in backup, other_backup:
        assert service.count("*", one) == 2


def test_adoption_allows_what_is_shared_already(
    plugin_with: PluginWith, service: Simulator, backup: str, project: str
) -> None:
    service.share(backup, project)
    service.share(backup, service.projects[1])
    assert failure(plugin_with(preflight="true"), inputs(backup, project, adopt_existing=True)) == ""
    assert failure(plugin_with(preflight="true"), inputs(backup, service.projects[1], adopt_existing=UNKNOWN)) == ""
    assert failure(plugin_with(preflight="true", adoptExisting="true"), inputs(backup, project)) == ""


def test_a_full_backup_has_room_for_one_that_is_adopted(
    plugin_with: PluginWith, service: Simulator, backup: str
) -> None:
    for member in service.projects[:10]:
        service.share(backup, member)
    plugin = plugin_with(preflight="true")
    assert failure(plugin, inputs(backup, service.projects[3], adopt_existing=True)) == ""


def test_a_member_that_is_declared_twice(plugin_with: PluginWith, backup: str, project: str) -> None:
    plugin = plugin_with(preflight="true")
    assert failure(plugin, inputs(backup, project)) == ""
    assert "is declared twice" in failure(plugin, inputs(backup, project))


def test_what_is_there_is_not_asked_for(plugin_with: PluginWith, service: Simulator, backup: str, project: str) -> None:
    service.share(backup, project)
    plugin = plugin_with(preflight="true")
    assert failure(plugin, inputs(backup, project), inputs(backup, project)) == ""
    # The engine checks a resource that is to be replaced once more, as if it were new.
    assert failure(plugin, inputs(backup, project)) == ""
    assert service.calls == []


def test_a_replacement_by_another_project_is_asked_for(
    new_plugin: NewPlugin, service: Simulator, backup: str, project: str
) -> None:
    service.share(backup, project)
    other = service.projects[1]
    plugin = new_plugin(preflight="true")
    assert failure(plugin, inputs(backup, other), inputs(backup, project)) == ""
    assert failure(plugin, inputs(backup, other)) == ""
    assert service.count("*", backup) == 2
    service.share(backup, other)
    assert "already shared" in failure(new_plugin(preflight="true"), inputs(backup, other), inputs(backup, project))


@pytest.mark.parametrize("name", ["backup_id", "dest_project_id", "cloud"])
def test_what_is_not_known_yet_is_not_asked_for(
    plugin_with: PluginWith, service: Simulator, backup: str, project: str, name: str
) -> None:
    service.delete_backup(backup)
    assert failure(plugin_with(preflight="true"), inputs(backup, project, **{name: UNKNOWN})) == ""
    assert service.calls == []


def test_malformed_inputs_are_not_asked_for(plugin_with: PluginWith, service: Simulator, backup: str) -> None:
    _, failures = plugin_with(preflight="true").check(KIND, inputs(backup, "p", cloud=["x"]))
    assert list(failures) == ["cloud", "dest_project_id"]
    assert service.calls == []
