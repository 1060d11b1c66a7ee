"""The first-class provider keeps shares that a lost create may have made in the state, and its next run verifies them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from protocol.conftest import Fails, PluginWith
from protocol.plugin import HookFailed, Plugin
from pulumi_cbr.simulator import Fault, Simulator

KIND = "BackupShareMember"
SET = "BackupShare"

Properties = dict[str, Any]


@pytest.fixture(scope="session")
def flavor() -> str:
    return "native"


@pytest.fixture
def plugin(plugin_with: PluginWith) -> Plugin:
    return plugin_with(maxRetries="0")


def init_failed(change: Callable[[], Any]) -> tuple[str, Properties, str]:
    """Return the ID, the outputs and the reason of a resource whose change failed."""
    with pytest.raises(HookFailed) as failed:
        change()
    assert failed.value.kept
    return failed.value.kept


def lose(fails: Fails, *, made: bool = True) -> None:
    """Drop the response of the next POST, and every read after it."""
    fails("reset_after" if made else "reset_before", "POST")
    fails("status_before", "GET", times=None, status=503)


@pytest.fixture
def member(backup: str, project: str) -> Properties:
    return {"backup_id": backup, "dest_project_id": project}


@pytest.mark.parametrize("made", [True, False])
def test_update_heals_a_lost_create(
    plugin: Plugin, service: Simulator, fails: Fails, member: Properties, made: bool
) -> None:
    backup, project = member.values()
    lose(fails, made=made)
    id_, outputs, reason = init_failed(lambda: plugin.create(KIND, member))
    assert id_ == f"{backup}/{project}"
    assert "share_id" not in outputs
    assert reason.endswith("Run `pulumi up` again: it finds out")
    assert "adoptExisting" not in reason

    service.faults.clear()
    service.clear_calls()
    healed = plugin.update(KIND, id_, outputs, member)
    assert healed["share_id"] == service.members(backup)[project].id
    assert healed["status"] == "pending"
    assert service.count("GET", f"{backup}/members$") == 1
    assert service.count("POST", f"{backup}/members$") == (0 if made else 1)


def test_lost_create_keeps_secrets(plugin: Plugin, fails: Fails, member: Properties) -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": member["backup_id"]}
    lose(fails)
    _, outputs, _ = init_failed(lambda: plugin.create(KIND, {**member, "backup_id": secret}))
    assert outputs["backup_id"] == secret
    assert outputs["dest_project_id"] == member["dest_project_id"]


def test_delete_after_a_lost_create_deletes_the_share(
    plugin: Plugin, service: Simulator, fails: Fails, member: Properties
) -> None:
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.create(KIND, member))
    service.faults.clear()
    plugin.delete(KIND, id_, outputs)
    assert service.members(member["backup_id"]) == {}


def test_read_after_a_lost_create_completes_the_state(
    plugin: Plugin, service: Simulator, fails: Fails, member: Properties
) -> None:
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.create(KIND, member))
    service.faults.clear()
    _, read, _ = plugin.read(KIND, id_, outputs)
    assert read["share_id"] == service.members(member["backup_id"])[member["dest_project_id"]].id


@pytest.mark.parametrize(
    "times",
    [
        {"created_at": "2999-01-31T00:00:00+00:00"},
        {"created_at": "2026-01-31T00:00:00+00:00", "updated_at": "2026-01-31T00:02:00+00:00"},
    ],
    ids=["older", "younger"],
)
def test_share_of_another_time_is_not_taken_for_the_lost_one(
    plugin: Plugin, service: Simulator, member: Properties, times: Properties
) -> None:
    """It was there before the request, or a colleague made it a week later: it is neither managed nor deleted."""
    backup, project = member.values()
    share = service.share(backup, project)
    outputs = {**member, **times}
    id_ = f"{backup}/{project}"
    assert plugin.read(KIND, id_, outputs)[0] == ""
    plugin.delete(KIND, id_, outputs)
    with pytest.raises(HookFailed, match=share.id):
        plugin.update(KIND, id_, outputs, member)
    assert service.members(backup)[project].id == share.id


def test_update_verifies_a_create_that_was_invisible(new_service: Callable[..., Simulator]) -> None:
    service = new_service(visible_after_reads=1)
    backup, project = service.backups[0].id, service.projects[0]
    member = {"backup_id": backup, "dest_project_id": project}
    with Plugin("native", service.env(), {"maxRetries": "0"}) as plugin:
        service.faults.add(Fault("reset_after", "POST"))
        id_, outputs, reason = init_failed(lambda: plugin.create(KIND, member))
        assert reason.endswith("Run `pulumi up` again: it finds out")
        assert plugin.update(KIND, id_, outputs, member)["share_id"] == service.members(backup)[project].id


def test_rollback_that_deletes_a_part_is_healed(
    plugin: Plugin, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state has shares that the rollback has deleted: the next update creates them again."""
    projects = sorted(service.projects[:3])
    inputs = {"backup_id": backup, "dest_project_ids": projects}
    add = service.state.add_members
    # A service that takes the call and forgets one.
    monkeypatch.setattr(service.state, "add_members", lambda own, backup_id, wanted: add(own, backup_id, wanted[:2]))
    service.faults.add(Fault("status_before", "DELETE", f"/{backup}/members/{projects[0]}", times=None, status=403))
    id_, outputs, _ = init_failed(lambda: plugin.create(SET, inputs))
    assert set(service.members(backup)) == {projects[0]}
    monkeypatch.undo()
    service.faults.clear()
    healed = plugin.update(SET, id_, outputs, inputs)
    members = service.members(backup)
    assert {project: share["share_id"] for project, share in healed["members"].items()} == {
        project: members[project].id for project in projects
    }


def test_lost_create_of_a_set_is_healed_by_one_list(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str
) -> None:
    inputs = {"backup_id": backup, "dest_project_ids": sorted(service.projects[:3])}
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.create(SET, inputs))
    assert id_ == backup
    service.faults.clear()
    service.clear_calls()
    healed = plugin.update(SET, id_, outputs, inputs)
    shares = {project: share["share_id"] for project, share in healed["members"].items()}
    assert shares == {project: share.id for project, share in service.members(backup).items()}
    assert [call.method for call in service.calls if f"{backup}/members" in call.path] == ["GET"]


def test_lost_addition_to_a_set_keeps_what_is_known(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str
) -> None:
    """What was to be deleted is still in the state, and the next run deletes it."""
    first, second, third = sorted(service.projects[:3])
    _, before = plugin.create(SET, {"backup_id": backup, "dest_project_ids": [first, second]})
    inputs = {"backup_id": backup, "dest_project_ids": [first, third]}
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.update(SET, backup, before, inputs))
    assert outputs["members"][first] == before["members"][first]
    assert outputs["members"].keys() == {first, second, third}

    service.faults.clear()
    assert plugin.diff(SET, id_, outputs, inputs).changes
    healed = plugin.update(SET, id_, outputs, inputs)
    assert healed["members"].keys() == service.members(backup).keys() == {first, third}


@pytest.mark.parametrize("status", [403, 503])
def test_rollback_that_fails_keeps_the_shares_in_the_state(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str, status: int
) -> None:
    """After a 503 nobody knows whether the share is deleted: it has no ID, so the next update reads it."""
    first, second = sorted(service.projects[:2])
    _, before = plugin.create(SET, {"backup_id": backup, "dest_project_ids": [first]})
    inputs = {"backup_id": backup, "dest_project_ids": [second]}
    fails("status_before", "DELETE", times=None, status=status)
    id_, outputs, _ = init_failed(lambda: plugin.update(SET, backup, before, inputs))
    known = outputs["members"][second].get("share_id")
    assert known == (service.members(backup)[second].id if status == 403 else None)

    service.faults.clear()
    healed = plugin.update(SET, id_, outputs, inputs)
    assert healed["members"].keys() == service.members(backup).keys() == {second}


def test_rollback_without_times_keeps_the_time_of_the_request(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str
) -> None:
    """The service tells no time of the new share. By the time in the state, older shares are foreign."""
    first, second = sorted(service.projects[:2])
    _, before = plugin.create(SET, {"backup_id": backup, "dest_project_ids": [first]})
    inputs = {"backup_id": backup, "dest_project_ids": [second]}
    service.faults.add(Fault("field_missing", "POST", field="created_at"))
    fails("status_before", "DELETE", times=None, status=503)
    id_, outputs, _ = init_failed(lambda: plugin.update(SET, backup, before, inputs))
    assert outputs["members"][second]["created_at"] > before["members"][first]["created_at"][:4]

    service.faults.clear()
    healed = plugin.update(SET, id_, outputs, inputs)
    assert healed["members"].keys() == service.members(backup).keys() == {second}


def test_delete_of_a_half_done_set_deletes_what_is_its_own(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str
) -> None:
    foreign, *projects = sorted(service.projects[:3])
    service.share(backup, foreign)
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.create(SET, {"backup_id": backup, "dest_project_ids": projects}))
    service.faults.clear()
    plugin.delete(SET, id_, outputs)
    assert list(service.members(backup)) == [foreign]


@pytest.mark.parametrize("kind", [KIND, SET])
def test_unverified_share_is_verified_without_a_list(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str, project: str, kind: str
) -> None:
    inputs = {
        "backup_id": backup,
        **({"dest_project_id": project} if kind == KIND else {"dest_project_ids": [project]}),
    }
    lose(fails)
    id_, outputs, _ = init_failed(lambda: plugin.create(kind, inputs))
    service.faults.clear()
    service.deny("cbr:member:list")
    healed = plugin.update(kind, id_, outputs, inputs)
    assert service.members(backup)[project].id in str(healed)
    plugin.delete(kind, id_, outputs)
    assert service.members(backup) == {}


def test_delete_unverified_share_of_a_backup_that_is_gone(plugin: Plugin, project: str) -> None:
    backup, unverified = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f", {"created_at": "2026-01-31T00:00:00+00:00"}
    plugin.delete(KIND, f"{backup}/{project}", {"backup_id": backup, "dest_project_id": project, **unverified})
    plugin.delete(SET, backup, {"backup_id": backup, "dest_project_ids": [project], "members": {project: unverified}})


def test_preview_of_the_healing_update_knows_no_outputs(plugin: Plugin, member: Properties) -> None:
    outputs = {**member, "created_at": "2026-01-31T00:00:00+00:00"}
    request = provider_pb2.UpdateRequest(
        urn=plugin.urn(KIND),
        id="i",
        olds=plugin.to_wire(KIND, outputs),
        news=plugin.to_wire(KIND, member),
        preview=True,
    )
    preview = plugin.from_wire(plugin.call("Update", request).properties)
    assert {name for name in preview if preview[name] not in member.values()} >= {"share_id", "status", "created_at"}
