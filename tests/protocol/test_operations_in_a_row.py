"""Sequences of operations of the engine. Each has a plugin and an engine of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from protocol.plugin import HookFailed, Plugin
from pulumi_cbr.simulator import Fault, Simulator

from .conftest import Fails, Operation

SET, MEMBER, ACCEPTER = "BackupShare", "BackupShareMember", "BackupShareAccepter"


def set_inputs(backup: str, *projects: str, **options: Any) -> dict[str, Any]:
    return {"backup_id": backup, "dest_project_ids": sorted(projects), **options}


def create(plugin: Plugin, kind: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Create as the engine does, after a check."""
    checked, failures = plugin.check(kind, inputs)
    assert not failures
    return plugin.create(kind, checked)


def update(
    plugin: Plugin, kind: str, id_: str, outputs: dict[str, Any], olds: dict[str, Any], news: dict[str, Any]
) -> dict[str, Any]:
    """Update as the engine does after a failure: check, diff, update."""
    checked, failures = plugin.check(kind, news, olds)
    assert not failures
    plugin.diff(kind, id_, outputs, checked, olds)
    return plugin.update(kind, id_, outputs, checked)


def test_share_whose_delete_was_unknown_leaves_its_set(
    operation: Operation, service: Simulator, backup: str, fails: Fails
) -> None:
    stays, leaves = service.projects[:2]
    before, after = set_inputs(backup, stays, leaves), set_inputs(backup, stays)
    with operation() as plugin:
        id_, outputs = create(plugin, SET, before)
    fails("status_before", "DELETE", member=True, times=None, status=500)
    with operation() as plugin, pytest.raises(HookFailed) as failed:
        update(plugin, SET, id_, outputs, before, after)
    service.faults.clear()
    assert failed.value.kept
    _, kept, _ = failed.value.kept
    with operation() as plugin:
        outputs = update(plugin, SET, id_, kept, after, after)
    assert outputs["members"].keys() == service.members(backup).keys() == {stays}


@pytest.mark.parametrize("option", ["adopt_existing", "cbr:adoptExisting"])
def test_share_that_another_resource_created_stays(
    operation: Operation, service: Simulator, backup: str, project: str, option: str
) -> None:
    """A resource that adopts deletes whatever share its project has, unless another resource has it."""
    config = {"adoptExisting": "true"} if option == "cbr:adoptExisting" else {}
    member = {"backup_id": backup, "dest_project_id": project}
    old = set_inputs(backup, project, **({} if config else {"adopt_existing": True}))
    with operation(**config) as plugin:
        id_, outputs = create(plugin, SET, old)
    service.withdraw(backup, project)
    with operation(**config) as plugin:
        plugin.resource = "new"
        member_id, member_outputs = create(plugin, MEMBER, member)
    with operation(**config) as plugin:
        plugin.resource = "new"
        checked, _ = plugin.check(MEMBER, member, member)
        plugin.diff(MEMBER, member_id, member_outputs, checked, member)
        plugin.resource = "r"
        plugin.delete(SET, id_, outputs)
    assert service.members(backup)[project].id == member_outputs["share_id"]


def test_set_keeps_a_rejected_share_that_was_accepted_since(
    operation: Operation, service: Simulator, backup: str, project: str
) -> None:
    inputs = set_inputs(backup, project, reshare_if_rejected=True)
    with operation() as plugin:
        id_, outputs = create(plugin, SET, inputs)
    service.reject(backup, project)
    with operation() as plugin:
        # A refresh of the same `up` has listed the members, and an accepter has accepted the share since.
        id_, outputs, inputs = plugin.read(SET, id_, outputs)
        service.accept(backup, project)
        outputs = update(plugin, SET, id_, outputs, inputs, inputs)
    assert outputs["members"][project]["status"] == service.members(backup)[project].status == "accepted"


def test_member_is_not_replaced_after_its_share_was_accepted(
    operation: Operation, service: Simulator, backup: str, project: str
) -> None:
    inputs: dict[str, Any] = {"backup_id": backup, "dest_project_id": project, "reshare_if_rejected": True}
    with operation() as plugin:
        id_, outputs = create(plugin, MEMBER, inputs)
    service.reject(backup, project)
    with operation() as plugin:
        id_, outputs, inputs = plugin.read(MEMBER, id_, outputs)
        service.accept(backup, project)
        checked, _ = plugin.check(MEMBER, inputs, inputs)
        assert plugin.diff(MEMBER, id_, outputs, checked, inputs).replaces == ["status"]
        with pytest.raises(HookFailed, match="since the last refresh"):
            plugin.delete(MEMBER, id_, outputs)
    assert service.members(backup)[project].status == "accepted"
    with operation() as plugin:
        plugin.delete(MEMBER, id_, outputs)
    assert project not in service.members(backup)


def test_share_without_a_time_is_looked_for_after_its_delete(
    operation: Operation, service: Simulator, backup: str, fails: Fails
) -> None:
    """The response of the DELETE is lost. Then the program is put back."""
    stays, leaves = service.projects[:2]
    before, after = set_inputs(backup, stays, leaves), set_inputs(backup, stays)
    for method in "POST", "GET":
        fails("field_missing", method, times=None, field="created_at")
    with operation() as plugin:
        id_, outputs = create(plugin, SET, before)
    fails("reset_after", "DELETE", member=True)
    fails("status_before", "DELETE", member=True, times=None, status=503)
    with operation() as plugin, pytest.raises(HookFailed) as failed:
        update(plugin, SET, id_, outputs, before, after)
    service.faults.clear()
    assert failed.value.kept
    _, kept, _ = failed.value.kept
    assert leaves not in service.members(backup)
    with operation() as plugin:
        outputs = update(plugin, SET, id_, kept, after, before)
    assert outputs["members"].keys() == service.members(backup).keys() == {stays, leaves}
    assert outputs["members"][leaves]["share_id"] == service.members(backup)[leaves].id


@pytest.mark.parametrize("hook", ["read", "delete"])
def test_foreign_share_beside_an_unverified_one_is_named(
    operation: Operation, service: Simulator, backup: str, project: str, hook: str
) -> None:
    share = service.share(backup, project)
    service.advance(86400)
    sent_at = "2099-01-01T00:00:00+00:00"
    outputs = {"backup_id": backup, "dest_project_id": project, "created_at": sent_at, "updated_at": sent_at}
    with operation() as plugin:
        if hook == "read":
            assert plugin.read(MEMBER, f"{backup}/{project}", outputs)[0] == ""
        else:
            plugin.delete(MEMBER, f"{backup}/{project}", outputs)
        said = plugin.said()
    assert f"share {share.id} of backup {backup} with project {project} stays" in said
    assert sent_at in said
    assert project in service.members(backup)


def test_set_without_shares_is_refreshed_without_a_list(operation: Operation, service: Simulator, backup: str) -> None:
    inputs = set_inputs(backup, *service.projects[:2])
    service.deny("cbr:member:list")
    with operation() as plugin:
        id_, outputs = create(plugin, SET, inputs)
    for project in service.projects[:2]:
        service.withdraw(backup, project)
    for _ in range(2):
        with operation() as plugin:
            id_, outputs, _ = plugin.read(SET, id_, outputs)
        assert (id_, outputs["members"]) == (backup, {})


def test_set_waits_for_acceptances_without_a_list(operation: Operation, service: Simulator, backup: str) -> None:
    inputs = set_inputs(backup, *service.projects[:2])
    service.deny("cbr:member:list")
    with operation() as plugin:
        id_, outputs = create(plugin, SET, inputs)
    for project in service.projects[:2]:
        service.accept(backup, project)
    with operation() as plugin:
        outputs = update(plugin, SET, id_, outputs, inputs, {**inputs, "wait_for_acceptance": "1m"})
    assert {share["status"] for share in outputs["members"].values()} == {"accepted"}


@pytest.mark.parametrize("names", [("holds", "reshares"), ("reshares", "holds")])
def test_rejected_share_of_two_sets_is_not_created_again(
    operation: Operation, service: Simulator, backup: str, project: str, names: Sequence[str]
) -> None:
    """Else the other set would have a share that is gone. If that one comes later, it fails."""
    inputs = {name: set_inputs(backup, project, adopt_existing=True) for name in names}
    inputs["reshares"]["reshare_if_rejected"] = True
    states = {}
    with operation() as plugin:
        for plugin.resource in names:
            states[plugin.resource] = create(plugin, SET, inputs[plugin.resource])
    service.reject(backup, project)
    before = service.members(backup)[project].id
    refreshed = {}
    with operation() as plugin:
        for plugin.resource, (id_, outputs) in states.items():
            refreshed[plugin.resource] = plugin.read(SET, id_, outputs)
    with operation() as plugin:
        for plugin.resource in names:
            id_, outputs, olds = refreshed[plugin.resource]
            if plugin.resource == "reshares":
                outputs = update(plugin, SET, id_, outputs, olds, inputs["reshares"])
                assert outputs["members"][project]["share_id"] == service.members(backup)[project].id
            elif names[0] == "holds":
                checked, _ = plugin.check(SET, inputs["holds"], olds)
                assert not plugin.diff(SET, id_, outputs, checked, olds).changes
            else:
                checked, _ = plugin.check(SET, inputs["holds"], olds)
                with pytest.raises(HookFailed, match="another resource of this stack deletes it"):
                    plugin.diff(SET, id_, outputs, checked, olds)
    assert (service.members(backup)[project].id == before) == (names[0] == "holds")


def test_set_keeps_an_accepted_share_that_another_set_gives_up(
    operation: Operation, service: Simulator, backup: str, project: str
) -> None:
    inputs = set_inputs(backup, project, adopt_existing=True, reshare_if_rejected=True)
    with operation() as plugin:
        id_, outputs = create(plugin, SET, inputs)
        plugin.resource = "old"
        create(plugin, SET, inputs)
    service.reject(backup, project)
    with operation() as plugin:
        _, outputs, olds = plugin.read(SET, id_, outputs)
        service.accept(backup, project)
        outputs = update(plugin, SET, id_, outputs, olds, inputs)
        plugin.resource = "old"
        plugin.delete(SET, id_, outputs)
    assert outputs["members"][project]["share_id"] == service.members(backup)[project].id


def test_failed_delete_of_a_set_names_what_it_has_deleted(
    operation: Operation, service: Simulator, backup: str
) -> None:
    """Its state still has them: if the set stays in the program, only a refresh notices that they are gone."""
    stays, goes = service.projects[:2]
    with operation() as plugin:
        id_, outputs = create(plugin, SET, set_inputs(backup, stays, goes))
    service.faults.add(Fault("refuse", "DELETE", f"/{backup}/members/{stays}", code=6711))
    with operation() as plugin, pytest.raises(HookFailed, match=f"Deleted: {goes}.*`pulumi refresh`"):
        plugin.delete(SET, id_, outputs)
    assert service.members(backup).keys() == {stays}


def test_delete_of_any_share_is_noticed_by_its_new_holder(
    operation: Operation, service: Simulator, backup: str, project: str
) -> None:
    """A set with `adopt_existing` does not compare IDs. The other resource's turn comes after its update."""
    other, member = service.projects[1], {"backup_id": backup, "dest_project_id": project}
    before = set_inputs(backup, project, other, adopt_existing=True)
    after = set_inputs(backup, other, adopt_existing=True)
    with operation() as plugin:
        id_, outputs = create(plugin, SET, before)
    service.withdraw(backup, project)
    with operation() as plugin:
        plugin.resource = "new"
        member_id, member_outputs = create(plugin, MEMBER, member)
    with operation() as plugin:
        update(plugin, SET, id_, outputs, before, after)
        plugin.resource = "new"
        checked, _ = plugin.check(MEMBER, member, member)
        with pytest.raises(HookFailed, match="another resource of this stack deletes it"):
            plugin.diff(MEMBER, member_id, member_outputs, checked, member)


@pytest.mark.parametrize("kind", [SET, MEMBER])
def test_share_that_was_just_accepted_is_not_replaced(
    operation: Operation, service: Simulator, backup: str, project: str, kind: str
) -> None:
    """The accepter does not depend on the share's resource, and comes between its list and its DELETE."""
    inputs: dict[str, Any] = {"backup_id": backup, "reshare_if_rejected": True}
    inputs |= {"dest_project_ids": [project]} if kind == SET else {"dest_project_id": project}
    with operation() as owner:
        id_, outputs = create(owner, kind, inputs)
    service.reject(backup, project)
    with operation() as owner:
        id_, outputs, inputs = owner.read(kind, id_, outputs)
    with operation() as owner, operation("receiver", beside=owner) as receiver:
        create(receiver, ACCEPTER, {"backup_id": backup, "vault_id": service.vaults[0].id})
        service.faults.add(
            Fault("field_value", "GET", f"/{backup}/members", times=None, field="status", body="rejected")
        )
        checked, _ = owner.check(kind, inputs, inputs)
        owner.diff(kind, id_, outputs, checked, inputs)
        with pytest.raises(HookFailed, match="its receiver has accepted it since the last refresh"):
            owner.update(kind, id_, outputs, checked) if kind == SET else owner.delete(kind, id_, outputs)
    service.faults.clear()
    assert service.members(backup)[project].status == "accepted"


def test_acceptance_of_a_share_that_is_being_deleted_is_pending(
    operation: Operation, service: Simulator, backup: str, project: str, fails: Fails
) -> None:
    accepter = {"backup_id": backup, "vault_id": service.vaults[0].id}
    with operation() as owner:
        id_, outputs = create(owner, MEMBER, {"backup_id": backup, "dest_project_id": project})
    fails("status_before", "DELETE", member=True, times=None, status=500)
    with operation() as owner, operation("receiver", beside=owner) as receiver:
        with pytest.raises(HookFailed):
            owner.delete(MEMBER, id_, outputs)
        with pytest.raises(HookFailed, match="another resource of this stack deletes the share") as failed:
            create(receiver, ACCEPTER, accepter)
    assert failed.value.kept
    assert failed.value.kept[1]["status"] == "pending"
