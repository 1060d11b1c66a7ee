"""BackupShare: create, read, update and delete, with everything that others and the network may do in between."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from protocol.plugin import UNKNOWN_OUTCOME_ADVICE, HookFailed, Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Fault, Simulator
from waiting import Gate

KIND = "BackupShare"

New = Callable[..., Plugin]
NewService = Callable[..., Simulator]


def inputs_of(backup: str, projects: Sequence[str], **options: Any) -> dict[str, Any]:
    return {"backup_id": backup, "dest_project_ids": sorted(projects), **options}


def member_ids(service: Simulator, backup: str) -> set[str]:
    return set(service.members(backup))


def calls_of(service: Simulator) -> list[str]:
    """Return the calls to members and backups, in order: POST, LIST, GET/<id>, DELETE."""
    calls = []
    for call in sorted(service.calls, key=lambda call: call.started):
        if match := re.search(r"/backups/[^/]+(/members)?(/\w+)?$", call.path):
            calls.append(
                call.method if call.method != "GET" else "LIST" if match[1] and not match[2] else f"GET{match[2] or ''}"
            )
    return calls


def read_one_line(error: pytest.ExceptionInfo[HookFailed]) -> str:
    text = str(error.value)
    assert "Traceback" not in text
    assert "\n" not in text.strip()
    return text


# Create


def test_create_is_one_post(plugin: Plugin, service: Simulator, backup: str) -> None:
    projects = service.projects[:10]
    id_, outputs = plugin.create(KIND, inputs_of(backup, projects))
    assert id_ == backup
    assert calls_of(service) == ["POST"]
    assert member_ids(service, backup) == set(projects)
    assert set(outputs["members"]) == set(projects)
    records = service.members(backup)
    assert {project: member["share_id"] for project, member in outputs["members"].items()} == {
        project: record.id for project, record in records.items()
    }
    assert outputs["source_project_id"] == service.owner.project_id
    plugin.delete(KIND, id_, outputs)
    assert member_ids(service, backup) == set()


def test_create_with_bare_member_response_reads_the_list(flavor: str, new_service: NewService) -> None:
    service = new_service(bare_add_answer=True)
    backup, projects = service.backups[0].id, service.projects[:3]
    with Plugin(flavor, service.env()) as plugin:
        _, outputs = plugin.create(KIND, inputs_of(backup, projects))
    assert set(outputs["members"]) == member_ids(service, backup) == set(projects)
    assert calls_of(service) == ["POST", "LIST"]


def test_create_existing_share_is_refused_or_adopted(
    plugin: Plugin, plugin_with: New, service: Simulator, backup: str
) -> None:
    a, b, c = service.projects[:3]
    record = service.share(backup, a)
    with pytest.raises(HookFailed) as refused:
        plugin.create(KIND, inputs_of(backup, [a, b]))
    text = read_one_line(refused)
    for part in (
        f"already shared with project {a} (share {record.id}, pending, ",
        "cbr:adoptExisting true",
    ):
        assert part in text
    assert member_ids(service, backup) == {a}
    # Adopt by the resource's input, then by the stack's setting.
    _, outputs = plugin.create(KIND, inputs_of(backup, [a, b], adopt_existing=True))
    assert outputs["members"][a]["share_id"] == record.id
    _, outputs = plugin_with(adoptExisting="true").create(KIND, inputs_of(backup, [a, b, c]))
    assert outputs["members"][a]["share_id"] == record.id
    assert member_ids(service, backup) == {a, b, c}
    # Three refused POSTs, and two for the rest.
    assert service.count("POST", f"{backup}/members$") == 5


def test_create_all_shares_exist_adopts_with_one_post(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b = service.projects[:2]
    for project in (a, b):
        service.share(backup, project)
    _, outputs = plugin.create(KIND, inputs_of(backup, [a, b], adopt_existing=True))
    assert set(outputs["members"]) == {a, b}
    assert calls_of(service) == ["POST", "LIST"]


def test_create_leaves_foreign_members_alone_unless_exclusive(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b, foreign, more = service.projects[:4]
    service.share(backup, foreign)
    service.share(backup, more)
    _, outputs = plugin.create(KIND, inputs_of(backup, [a]))
    assert member_ids(service, backup) == {a, foreign, more}
    service.clear_calls()
    outputs = plugin.update(KIND, backup, outputs, inputs_of(backup, [a, b], exclusive=True))
    assert member_ids(service, backup) == set(outputs["members"]) == {a, b}
    assert sorted(calls_of(service)) == ["DELETE", "DELETE", "LIST", "POST"]


def test_create_refuses_the_own_project(plugin: Plugin, service: Simulator, backup: str) -> None:
    own = service.owner.project_id
    with pytest.raises(HookFailed, match=f"{own} is the backup's own project"):
        plugin.create(KIND, inputs_of(backup, [service.projects[0], own]))
    assert member_ids(service, backup) == set()


def test_create_over_the_limit_changes_nothing(plugin: Plugin, service: Simulator, backup: str) -> None:
    for project in service.projects[:8]:
        service.share(backup, project)
    with pytest.raises(HookFailed) as refused:
        plugin.create(KIND, inputs_of(backup, service.projects[8:11]))
    assert "it would have 11 members (8 existing, 3 new) and the limit is 10. Nothing was changed" in read_one_line(
        refused
    )
    assert calls_of(service) == ["POST", "LIST"]


# Calls that half worked


REFUSALS = {
    "invalid project": (400, {"error_code": "BackupService.6704", "error_msg": "invalid project ID"}),
    "parameter": (400, {"error_code": "BackupService.9900", "error_msg": "parameter verification failed"}),
}


@pytest.mark.parametrize("refusal", sorted(REFUSALS))
@pytest.mark.parametrize("operation", ["create", "update"])
def test_create_refused_after_commit_names_the_shares(
    plugin: Plugin, plugin_with: New, service: Simulator, backup: str, fails: Any, refusal: str, operation: str
) -> None:
    a, b, c = service.projects[:3]
    status, body = REFUSALS[refusal]
    outputs: dict[str, Any] = {}
    if operation == "update":
        _, outputs = plugin.create(KIND, inputs_of(backup, [c]))
    fails("status_after", "POST", status=status, body=body)

    def run() -> dict[str, Any]:
        wanted = inputs_of(backup, [a, b])
        return plugin.update(KIND, backup, outputs, wanted) if outputs else plugin.create(KIND, wanted)[1]

    with pytest.raises(HookFailed) as refused:
        run()
    text = read_one_line(refused)
    # Nobody can know who made them: they are named, and left alone.
    assert a in text
    assert b in text
    assert "cbr:adoptExisting true" in text
    assert member_ids(service, backup) == ({a, b, c} if operation == "update" else {a, b})
    assert service.count("DELETE", backup) == 0
    plugin = plugin_with(adoptExisting="true")
    assert set(run()["members"]) == member_ids(service, backup) == {a, b}


def test_rollback_refused_names_the_next_step(
    plugin: Plugin, plugin_with: New, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = sorted(service.projects[:3])
    add = service.state.add_members
    # A service that takes the call and forgets one.
    monkeypatch.setattr(service.state, "add_members", lambda own, backup_id, wanted: add(own, backup_id, wanted[:2]))
    service.deny("cbr:member:delete")
    with pytest.raises(HookFailed) as refused:
        plugin.create(KIND, inputs_of(backup, [a, b, c]))
    text = read_one_line(refused)
    assert f"Rolling back {a}, {b} failed" in text
    assert "Also not deleted: " in text
    assert UNKNOWN_OUTCOME_ADVICE[plugin.flavor] in text
    monkeypatch.undo()
    service.allow_all()
    _, outputs = plugin_with(adoptExisting="true").create(KIND, inputs_of(backup, [a, b]))
    assert set(outputs["members"]) == member_ids(service, backup) == {a, b}


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "status_after", "truncated", "malformed"])
def test_create_lost_response_reads_the_share(
    plugin: Plugin, service: Simulator, backup: str, fails: Any, kind: str
) -> None:
    projects = service.projects[:3]
    fails(kind, "POST", seconds=0.2)
    _, outputs = plugin.create(KIND, inputs_of(backup, projects))
    assert set(outputs["members"]) == member_ids(service, backup) == set(projects)
    assert calls_of(service) == ["POST", "LIST"]


def test_create_unsent_request_is_sent_again(plugin: Plugin, service: Simulator, backup: str, fails: Any) -> None:
    fails("reset_before", "POST")
    plugin.create(KIND, inputs_of(backup, service.projects[:3]))
    assert member_ids(service, backup) == set(service.projects[:3])
    assert calls_of(service) == ["POST", "LIST", "POST"]


def test_create_lost_response_unreadable_names_adoption(
    plugin: Plugin, plugin_with: New, service: Simulator, backup: str, fails: Any
) -> None:
    a, b = service.projects[:2]
    fails("reset_after", "POST")
    fails("status_before", "GET", times=None, status=403, body={"code": "403", "message": "no"})
    with pytest.raises(HookFailed) as lost:
        plugin.create(KIND, inputs_of(backup, [a, b]))
    assert "and reading it failed" in read_one_line(lost)
    assert UNKNOWN_OUTCOME_ADVICE[plugin.flavor] in read_one_line(lost)
    service.faults.clear()
    _, outputs = plugin_with(adoptExisting="true").create(KIND, inputs_of(backup, [a, b]))
    assert set(outputs["members"]) == {a, b}


def test_create_partial_success_is_rolled_back(
    plugin: Plugin, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = sorted(service.projects[:2])
    add = service.state.add_members
    # A service that takes the call and forgets one.
    monkeypatch.setattr(
        service.state,
        "add_members",
        lambda project, backup_id, wanted: add(project, backup_id, wanted[:1] if len(wanted) == 2 else wanted),
    )
    with pytest.raises(HookFailed) as refused:
        plugin.create(KIND, inputs_of(backup, [a, b]))
    assert b in read_one_line(refused)
    assert f"Rolled back {a}. Fix the cause" in read_one_line(refused)
    assert member_ids(service, backup) == set()


@pytest.mark.parametrize("code", ["6703", "6714", "6701", "6702"])
def test_create_race_lost_deletes_nothing(
    plugin: Plugin,
    service: Simulator,
    backup: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pulumi_cbr.simulator.errors import Refused

    a, b = service.projects[:2]
    _add = service.state.add_members

    def race(project: str, backup_id: str, wanted: object) -> Any:
        # Between our list and our POST, the other stack makes the same set.
        _add(project, backup_id, [a, b])
        raise Refused(int(code))

    monkeypatch.setattr(service.state, "add_members", race)
    with pytest.raises(HookFailed) as refused:
        plugin.create(KIND, inputs_of(backup, [a, b]))
    assert "cbr:adoptExisting true" in read_one_line(refused)
    assert member_ids(service, backup) == {a, b}
    assert service.count("DELETE", backup) == 0


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 401}])
def test_create_refused_sends_no_delete(
    plugin: Plugin, service: Simulator, backup: str, fails: Any, fault: dict[str, Any]
) -> None:
    a, b = service.projects[:2]
    fails("status_after", "POST", times=None, body={"error_code": "APIGW.1", "error_msg": "no"}, **fault)
    with pytest.raises(HookFailed):
        plugin.create(KIND, inputs_of(backup, [a, b]))
    assert service.count("DELETE", backup) == 0


def test_create_share_appears_meanwhile_is_adopted(
    plugin: Plugin, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = service.projects[:2]
    list_members = service.state.list_members

    def late(project: str, backup_id: str) -> Any:
        seen = list_members(project, backup_id)
        if a not in service.members(backup):
            service.share(backup, a)
        return seen

    monkeypatch.setattr(service.state, "list_members", late)
    _, outputs = plugin.create(KIND, inputs_of(backup, [a, b], adopt_existing=True))
    assert set(outputs["members"]) == member_ids(service, backup) == {a, b}


# Read


def test_read_is_one_list_and_shows_what_is_different(
    plugin: Plugin, new_plugin: New, service: Simulator, backup: str
) -> None:
    a, b, foreign = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    service.clear_calls()
    assert plugin.read(KIND, id_, outputs) == (id_, outputs, inputs_of(backup, [a, b]))
    assert calls_of(service) == ["LIST"]
    service.share(backup, foreign)
    service.reject(backup, a)
    later = new_plugin()
    _, seen, inputs = later.read(KIND, id_, outputs)
    assert seen["members"][a]["status"] == "rejected"
    assert f"with project {a} has changed: status is rejected, not pending\n" in later.said()
    assert f"with project {b}" not in later.said()
    assert set(seen["members"]) == {a, b}
    assert inputs == inputs_of(backup, [a, b])
    # Of an exclusive set, all that an up would touch.
    _, seen, inputs = later.read(KIND, id_, {**outputs, "exclusive": True})
    assert set(seen["members"]) == {a, b}
    assert inputs == {**inputs_of(backup, [a, b]), "dest_project_ids": [*sorted([a, b]), foreign], "exclusive": True}
    assert plugin.diff(KIND, id_, seen, inputs_of(backup, [a, b], exclusive=True), inputs).changes


def test_read_old_share_missing_is_gone_at_once(
    plugin: Plugin, new_plugin: New, service: Simulator, backup: str
) -> None:
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    service.withdraw(backup, a)
    service.withdraw(backup, b)
    old = {
        project: {**member, "created_at": "2020-01-01T00:00:00+00:00"} for project, member in outputs["members"].items()
    }
    service.clear_calls()
    _, seen, inputs = new_plugin().read(KIND, id_, {**outputs, "members": old})
    # Each that is not listed is asked for by itself, and not waited for.
    assert sorted(calls_of(service)) == sorted(["LIST", f"GET/{a}", f"GET/{b}"])
    assert set(seen["members"]) == {c}
    assert inputs == inputs_of(backup, [c])
    service.clear_calls()
    mended = plugin.update(KIND, id_, seen, inputs_of(backup, [a, b, c]))
    assert set(mended["members"]) == member_ids(service, backup) == {a, b, c}
    assert calls_of(service) == ["POST"]
    # All gone: the resource stays, and an up mends it.
    for project in (a, b, c):
        service.withdraw(backup, project)
    id_, seen, inputs = new_plugin().read(KIND, id_, {**outputs, "members": old})
    assert (id_, seen["members"], inputs["dest_project_ids"]) == (backup, {}, [])


def test_young_shares_that_are_gone_are_looked_for_together(
    plugin: Plugin, new_plugin: New, service: Simulator, backup: str
) -> None:
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    for project in (a, b, c):
        service.withdraw(backup, project)
    service.clear_calls()
    _, seen, _ = new_plugin().read(KIND, id_, outputs)
    assert seen["members"] == {}
    assert sorted(calls_of(service)) == sorted([f"GET/{project}" for project in (a, b, c)] + ["LIST"] * 6)


def test_read_without_a_list_reads_own_shares_only(plugin: Plugin, service: Simulator, backup: str) -> None:
    id_, outputs = plugin.create(KIND, inputs_of(backup, service.projects[:2]))
    service.deny("cbr:member:list")
    assert plugin.read(KIND, id_, outputs)[1] == outputs
    # An import, and the foreign shares of an exclusive set, need the list.
    for state in ({}, {**outputs, "exclusive": True}):
        with pytest.raises(HookFailed, match="cbr:member:list"):
            plugin.read(KIND, id_, state)


def test_read_of_a_backup_that_is_gone(plugin: Plugin, service: Simulator) -> None:
    backup, project = service.backups[-1].id, service.projects[0]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [project]))
    service.delete_backup(backup)
    assert plugin.read(KIND, id_, outputs)[0] == ""
    with pytest.raises(HookFailed, match="does not exist"):
        plugin.update(KIND, id_, outputs, inputs_of(backup, service.projects[:2]))
    plugin.delete(KIND, id_, outputs)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status_before", "status": 404, "body": "<html><title>nginx</title></html>"},
        {"kind": "status_before", "status": 403, "body": {"code": "403", "message": "no"}},
        {"kind": "status_before", "status": 200, "body": {"members": "none"}},
        {"kind": "html", "status": 200},
    ],
)
def test_read_of_a_malformed_response_fails(
    plugin: Plugin, service: Simulator, backup: str, fails: Any, fault: dict[str, Any]
) -> None:
    id_, outputs = plugin.create(KIND, inputs_of(backup, service.projects[:2]))
    fails(method="GET", times=None, **fault)
    with pytest.raises(HookFailed) as refused:
        plugin.read(KIND, id_, outputs)
    read_one_line(refused)


def test_hooks_in_another_project_change_nothing(
    plugin: Plugin, plugin_with: New, service: Simulator, backup: str
) -> None:
    a, b, c = service.projects[1:4]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    other = plugin_with("receiver")
    operations: list[Callable[[], object]] = [
        lambda: other.read(KIND, id_, outputs),
        lambda: other.update(KIND, id_, outputs, inputs_of(backup, [a, c])),
        lambda: other.delete(KIND, id_, outputs),
    ]
    for operation in operations:
        with pytest.raises(HookFailed) as refused:
            operation()
        text = read_one_line(refused)
        assert (
            f"the share belongs to project {service.owner.project_id}, but this run is signed in to {service.projects[0]}"
            in text
        )
        assert len(text) < 400
    assert member_ids(service, backup) == {a, b}


def test_create_invisible_share_is_not_created_twice(flavor: str, new_service: NewService) -> None:
    service = new_service(visible_after_reads=2)
    backup, (a, b, c) = service.backups[0].id, service.projects[:3]
    with Plugin(flavor, service.env()) as plugin:
        id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
        assert plugin.read(KIND, id_, outputs)[1]["members"] == outputs["members"]
    with Plugin(flavor, service.env()) as plugin:
        backup = service.backups[1].id
        id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
        # b leaves and a stays while the list shows neither.
        outputs = plugin.update(KIND, id_, outputs, inputs_of(backup, [a, c]))
        assert set(outputs["members"]) == member_ids(service, backup) == {a, c}


# Update


def test_update_is_one_post_and_deletes_side_by_side(plugin: Plugin, service: Simulator, backup: str) -> None:
    first, second = service.projects[:5], service.projects[4:9]
    id_, outputs = plugin.create(KIND, inputs_of(backup, first))
    service.clear_calls()
    with Gate(service, "DELETE", backup, 4):
        outputs = plugin.update(KIND, id_, outputs, inputs_of(backup, second))
    assert member_ids(service, backup) == set(outputs["members"]) == set(second)
    assert calls_of(service) == ["POST", "LIST", *["DELETE"] * 4]
    deletes = [call for call in service.calls if call.method == "DELETE"]
    assert max(call.started for call in deletes) < min(call.finished for call in deletes)


def test_update_of_options_alone_makes_no_call_and_keeps_outputs(
    plugin: Plugin, service: Simulator, backup: str
) -> None:
    id_, outputs = plugin.create(KIND, inputs_of(backup, service.projects[:2]))
    service.clear_calls()
    later = plugin.update(KIND, id_, outputs, inputs_of(backup, service.projects[:2], adopt_existing=True))
    assert later == {**outputs, "adopt_existing": True}
    assert service.calls == []


def test_update_at_the_limit_makes_room_first(plugin: Plugin, service: Simulator, backup: str) -> None:
    ten, new = service.projects[:10], service.projects[10]
    id_, outputs = plugin.create(KIND, inputs_of(backup, ten))
    service.clear_calls()
    outputs = plugin.update(KIND, id_, outputs, inputs_of(backup, [*ten[1:], new]))
    assert member_ids(service, backup) == set(outputs["members"]) == {*ten[1:], new}
    assert calls_of(service) == ["LIST", "DELETE", "POST"]


def test_update_whose_post_is_refused_changes_nothing(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b = service.projects[:2]
    nobody = "f" * 32
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    with pytest.raises(HookFailed, match=nobody):
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a, nobody]))
    assert member_ids(service, backup) == {a, b}


def test_update_at_the_limit_refused_names_deleted_shares(
    plugin: Plugin, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten, nobody, new = service.projects[:10], "f" * 32, service.projects[10]
    id_, outputs = plugin.create(KIND, inputs_of(backup, ten))
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [*ten[1:], nobody]))
    assert f"Deleted before it: {ten[0]}" in read_one_line(refused)
    # The user puts the program back: the state lacks the deleted share, so it is created again.
    assert refused.value.kept
    kept = refused.value.kept[1]
    assert set(kept["members"]) == member_ids(service, backup) == set(ten[1:])
    outputs = plugin.update(KIND, id_, kept, inputs_of(backup, ten))
    assert set(outputs["members"]) == member_ids(service, backup) == set(ten)
    add = service.state.add_members
    monkeypatch.setattr(service.state, "add_members", lambda own, one, wanted: add(own, one, [new]))
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [*ten[2:], new, service.projects[11]]))
    monkeypatch.undo()
    assert f"Deleted before it: {', '.join(sorted(ten[:2]))}. Rolled back {new}" in read_one_line(refused)
    assert refused.value.kept
    outputs = plugin.update(KIND, id_, refused.value.kept[1], inputs_of(backup, [*ten[2:], new]))
    assert set(outputs["members"]) == member_ids(service, backup) == {*ten[2:], new}


def test_update_not_rolled_back_names_all_shares(
    plugin: Plugin, service: Simulator, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It deletes a share, creates two of three, and can delete only one of these again."""
    ten, (one, two, three) = service.projects[:10], sorted(service.projects[10:13])
    id_, outputs = plugin.create(KIND, inputs_of(backup, ten))
    add = service.state.add_members
    monkeypatch.setattr(service.state, "add_members", lambda own, backup_id, wanted: add(own, backup_id, [one, two]))
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{two}", status=403, body={"code": "403"}))
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [*ten[3:], one, two, three]))
    deleted = ", ".join(sorted(ten[:3]))
    assert f"Deleted before it: {deleted}. Rolled back {one}. Rolling back {two} failed" in read_one_line(refused)
    assert refused.value.kept
    assert set(refused.value.kept[1]["members"]) == member_ids(service, backup) == {*ten[3:], two}


def test_update_whose_delete_is_refused_names_the_deleted(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    no = {"error_code": "BackupService.6711", "error_msg": "shared backup deletion failed"}
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{b}", status=400, body=no))
    with pytest.raises(HookFailed, match=rf"6711.*Deleted before it: {c}\."):
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a]))


def test_update_at_the_limit_lost_keeps_what_is_known(
    plugin: Plugin, service: Simulator, backup: str, fails: Any
) -> None:
    ten, new = service.projects[:10], service.projects[10]
    id_, outputs = plugin.create(KIND, inputs_of(backup, ten))
    fails("reset_after", "POST")
    fails("status_before", "GET", member=True, times=None, status=403, body={"code": "403", "message": "no"})
    with pytest.raises(HookFailed) as failed:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [*ten[1:], new]))
    service.faults.clear()
    # The state has the new share as unverified, in both flavors.
    assert f"`pulumi up` again: it finds out. Deleted before it: {ten[0]}" in read_one_line(failed)
    assert failed.value.kept
    kept = failed.value.kept[1]
    assert set(kept["members"]) == member_ids(service, backup) == {*ten[1:], new}
    outputs = plugin.update(KIND, id_, kept, inputs_of(backup, ten))
    assert set(outputs["members"]) == member_ids(service, backup) == set(ten)


def test_update_without_room_for_foreign_members_changes_nothing(
    plugin: Plugin, service: Simulator, backup: str
) -> None:
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a]))
    for project in service.projects[5:14]:
        service.share(backup, project)
    before = member_ids(service, backup)
    with pytest.raises(HookFailed, match="it would have 11 members"):
        plugin.update(KIND, id_, outputs, inputs_of(backup, [b, c]))
    assert member_ids(service, backup) == before


def test_update_delete_refused_rolls_back_new_shares(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b, c, new = service.projects[:4]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    no = {"error_code": "BackupService.6711", "error_msg": "shared backup deletion failed"}
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{b}", status=400, body=no))
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a, new]))
    assert "6711" in read_one_line(refused)
    assert f"Deleted before it: {c}. Rolled back {new}" in read_one_line(refused)
    assert refused.value.kept
    kept = refused.value.kept[1]
    assert set(kept["members"]) == member_ids(service, backup) == {a, b}
    assert kept["members"][b] == outputs["members"][b]
    outputs = plugin.update(KIND, id_, kept, inputs_of(backup, [a, new]))
    assert set(outputs["members"]) == member_ids(service, backup) == {a, new}


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_update_whose_delete_is_unknown_is_verified_by_the_next(
    plugin: Plugin, service: Simulator, backup: str, is_carried_out: bool
) -> None:
    """Some requests of a failed update are carried out. Then the user puts the program back."""
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    if is_carried_out:
        service.faults.add(Fault("reset_after", "DELETE", f"{backup}/members/{b}"))
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{b}", times=None, status=503))
    with pytest.raises(HookFailed) as failed:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a]))
    service.faults.clear()
    old_id = outputs["members"][b]["share_id"]
    assert failed.value.kept
    kept = failed.value.kept[1]
    assert set(kept["members"]) == {a, b}
    news = inputs_of(backup, [a, b, c])
    assert plugin.diff(KIND, id_, kept, news).changes
    outputs = plugin.update(KIND, id_, kept, news)
    assert set(outputs["members"]) == member_ids(service, backup) == {a, b, c}
    new_id = outputs["members"][b]["share_id"]
    assert new_id == service.members(backup)[b].id
    assert (new_id == old_id) is not is_carried_out


def test_update_that_fails_forgets_a_share_of_another_resource(plugin: Plugin, service: Simulator, backup: str) -> None:
    """With that share in its state, the next update could delete it."""
    a, b, c = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b, c]))
    plugin.create("BackupShareMember", {"backup_id": backup, "dest_project_id": b, "adopt_existing": True})
    no = {"error_code": "BackupService.6711", "error_msg": "shared backup deletion failed"}
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{c}", status=400, body=no))
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a]))
    assert member_ids(service, backup) == {a, b, c}
    assert refused.value.kept
    assert set(refused.value.kept[1]["members"]) == {a, c}


def test_update_that_may_have_created_shares_names_adoption(
    plugin: Plugin, service: Simulator, backup: str, fails: Any
) -> None:
    """The state is kept, because it lacks a share of another resource. It lacks the new one too: no run verifies it."""
    a, b, new = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    plugin.create("BackupShareMember", {"backup_id": backup, "dest_project_id": b, "adopt_existing": True})
    status, body = REFUSALS["invalid project"]
    fails("status_after", "POST", status=status, body=body)
    fails("status_before", "GET", times=None, status=403, body={"code": "403", "message": "no"})
    with pytest.raises(HookFailed) as failed:
        plugin.update(KIND, id_, outputs, inputs_of(backup, [a, new]))
    assert failed.value.kept
    assert set(failed.value.kept[1]["members"]) == {a}
    assert UNKNOWN_OUTCOME_ADVICE["dynamic"] in read_one_line(failed)


def test_update_to_exclusive_that_fails_is_finished_later(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, b, foreign = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    service.share(backup, foreign)
    no = {"error_code": "BackupService.6711", "error_msg": "shared backup deletion failed"}
    service.faults.add(Fault("status_before", "DELETE", f"{backup}/members/{foreign}", status=400, body=no))
    news = inputs_of(backup, [a], exclusive=True)
    with pytest.raises(HookFailed) as refused:
        plugin.update(KIND, id_, outputs, news)
    assert refused.value.kept
    kept = refused.value.kept[1]
    assert set(kept["members"]) == {a}
    assert member_ids(service, backup) == {a, foreign}
    assert plugin.diff(KIND, id_, kept, news).changes
    plugin.update(KIND, id_, kept, news)
    assert member_ids(service, backup) == {a}


def test_update_share_with_image_names_the_image(plugin: Plugin, service: Simulator, backup: str) -> None:
    a, new = service.projects[:2]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a]))
    image = service.register_image(backup, a)
    operations: list[Callable[[], object]] = [
        lambda: plugin.update(KIND, id_, outputs, inputs_of(backup, [new])),
        lambda: plugin.delete(KIND, id_, outputs),
    ]
    for operation in operations:
        with pytest.raises(HookFailed) as refused:
            operation()
        assert f"The image is {image}" in read_one_line(refused)
        assert member_ids(service, backup) == {a}


# Delete


def test_delete_takes_away_its_own_alone_side_by_side(plugin: Plugin, service: Simulator, backup: str) -> None:
    foreign, gone, *own = service.projects[:7]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [gone, *own]))
    service.share(backup, foreign)
    service.withdraw(backup, gone)
    service.clear_calls()
    with Gate(service, "DELETE", backup, 6):
        plugin.delete(KIND, id_, outputs)
    assert member_ids(service, backup) == {foreign}
    # The list tells whose the shares are; the one that it does not show is asked for.
    deletes = [call for call in service.calls if call.method == "DELETE"]
    assert sorted(calls_of(service)) == sorted(["LIST", f"GET/{gone}", f"GET/{gone}", *["DELETE"] * 6])
    assert max(call.started for call in deletes) < min(call.finished for call in deletes)
    plugin.delete(KIND, id_, outputs)


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "status_after", "reset_before"])
def test_delete_whose_answers_are_lost(plugin: Plugin, service: Simulator, backup: str, fails: Any, kind: str) -> None:
    id_, outputs = plugin.create(KIND, inputs_of(backup, service.projects[:3]))
    fails(kind, "DELETE", times=3, seconds=0.2)
    plugin.delete(KIND, id_, outputs)
    assert member_ids(service, backup) == set()


def test_delete_without_permission_names_all_that_stay(plugin: Plugin, service: Simulator, backup: str) -> None:
    projects = service.projects[:3]
    id_, outputs = plugin.create(KIND, inputs_of(backup, projects))
    service.deny("cbr:member:delete")
    with pytest.raises(HookFailed) as refused:
        plugin.delete(KIND, id_, outputs)
    text = read_one_line(refused)
    assert all(project in text for project in projects)
    assert "cbr:member:delete" in text
    service.allow_all()
    plugin.delete(KIND, id_, outputs)


def test_what_was_taken_over_is_not_deleted_with_its_old_form(
    plugin: Plugin, new_plugin: New, service: Simulator, backup: str
) -> None:
    a, b = service.projects[:2]
    id_, outputs = plugin.create(KIND, inputs_of(backup, [a, b]))
    operation = new_plugin()
    # A rename: the engine creates under the new name, then deletes the old.
    _, renamed = operation.create(KIND, inputs_of(backup, [a], adopt_existing=True))
    operation.delete(KIND, id_, outputs)
    assert member_ids(service, backup) == set(renamed["members"]) == {a}
    assert f"backup {backup} stays shared with {a}" in operation.said()


# Previews


def test_foreign_members_are_named_in_a_preview_after_a_refresh(
    plugin: Plugin, service: Simulator, backup: str
) -> None:
    a, b, foreign, other = service.projects[:4]
    olds = inputs_of(backup, [a, foreign], exclusive=True)
    state = {**olds, "members": {a: {"share_id": "x"}}}
    # Not where an entry that is not known yet may be that one.
    plugin.diff(KIND, backup, state, {**olds, "dest_project_ids": [a, UNKNOWN]}, olds)
    plugin.diff(KIND, backup, state, inputs_of(backup, [a, b], exclusive=True), olds)
    assert f"cbr: backup {backup}: exclusive=True deletes the shares with {foreign}\n" in plugin.said()
    assert plugin.said().count(backup) == 1
    assert other not in plugin.said()


def test_preflight(plugin_with: New, service: Simulator, backups: Any) -> None:
    a, b, foreign = service.projects[:3]
    plugin = plugin_with(preflight="true")
    for options in ({}, {"exclusive": True}):
        fresh, taken, full = backups(3)
        for backup in (fresh, taken, full):
            service.share(backup, foreign)
        service.clear_calls()
        assert plugin.check(KIND, inputs_of(fresh, [a, b], **options))[1] == {}
        assert service.count("*", "/backups/") == 2
        # What is there already, and a project too many.
        _, failures = plugin.check(KIND, inputs_of(taken, [a, foreign], **options))
        assert "already shared with project" in failures["dest_project_ids"][0]
        _, failures = plugin.check(KIND, inputs_of(full, service.projects[3:13], **options))
        assert ("would be shared with 11 projects" in str(failures)) == (not options)
        _, failures = plugin.check(KIND, inputs_of("00000000-0000-4000-8000-000000000000", [a, b], **options))
        assert "does not exist in project" in failures["dest_project_ids"][0]
    assert f"backup {full}: exclusive=True deletes the shares with {foreign}" in plugin.said()
    assert plugin.said().count(f"deletes the shares with {foreign}") == 2


def test_preflight_of_a_set_that_changes_counts_what_leaves(plugin_with: New, service: Simulator, backups: Any) -> None:
    plugin = plugin_with(preflight="true")
    ten, new = service.projects[:10], service.projects[10]
    good, bad = backups(2)
    for backup in (good, bad):
        for project in ten:
            service.share(backup, project)
    assert plugin.check(KIND, inputs_of(good, [*ten[1:], new]), inputs_of(good, ten))[1] == {}
    service.set_backup(bad, status="restoring")
    _, failures = plugin.check(KIND, inputs_of(bad, [*ten[1:], new]), inputs_of(bad, ten))
    assert "has status `restoring`" in failures["dest_project_ids"][0]


@pytest.mark.parametrize("to", ["set", "members"])
def test_shares_that_change_their_kind_of_resource_stay(
    new_plugin: New, plugin: Plugin, service: Simulator, backup: str, to: str
) -> None:
    a, b = service.projects[:2]
    whole = inputs_of(backup, [a, b])
    singles = [{"backup_id": backup, "dest_project_id": project} for project in (a, b)]
    olds = (
        [("BackupShareMember", *plugin.create("BackupShareMember", single)) for single in singles]
        if to == "set"
        else [(KIND, *plugin.create(KIND, whole))]
    )
    records = {project: record.id for project, record in service.members(backup).items()}
    # The engine creates what is new, then deletes what is no longer declared, in one operation.
    operation = new_plugin(adoptExisting="true")
    if to == "set":
        operation.create(KIND, whole)
    else:
        for single in singles:
            operation.create("BackupShareMember", single)
    for kind, id_, outputs in olds:
        operation.delete(kind, id_, outputs)
    assert {project: record.id for project, record in service.members(backup).items()} == records
