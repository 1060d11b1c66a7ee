"""BackupShareAccepter: every state that a share can be in, from the receiver's side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol.conftest import PluginWith
from protocol.plugin import HookFailed, Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Fault, Simulator

KIND = "BackupShareAccepter"

New = Callable[..., Plugin]


@pytest.fixture
def receiver(plugin_with: New) -> Plugin:
    """A plugin that is signed in as the receiver, and waits for a second at most."""
    return plugin_with("receiver", maxRetries="1")


@pytest.fixture
def shared(service: Simulator, backup: str) -> str:
    """A backup that is shared with the receiver."""
    service.share(backup, service.projects[0])
    return backup


@pytest.fixture
def vault(service: Simulator) -> str:
    return service.vaults[0].id


@pytest.fixture
def accepted(receiver: Plugin, service: Simulator, shared: str, vault: str) -> dict[str, Any]:
    """The outputs of an acceptance."""
    _, outputs = receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    service.clear_calls()
    return outputs


@pytest.fixture
def second_vault(service: Simulator) -> Iterator[str]:
    """A second vault that fits: the locked one, which is opened for this test."""
    locked = service.vaults[2]
    service.state.set_vault(locked.id, status="available")
    yield locked.id
    service.state.set_vault(locked.id, status=locked.status)


def status(service: Simulator, backup: str) -> tuple[str, str | None]:
    record = service.members(backup)[service.projects[0]]
    return record.status, record.vault_id


def calls(service: Simulator) -> list[str]:
    ended = sorted(service.calls, key=lambda call: call.started)
    return [
        f"{call.method} {'member' if '/members/' in call.path else 'backup'}"
        for call in ended
        if "auth" not in call.path
    ]


def one_line(error: pytest.ExceptionInfo[HookFailed]) -> str:
    text = str(error.value)
    assert "Traceback" not in text
    assert "\n" not in text.strip()
    return text


def test_older_acceptance_is_told_apart_from_a_new_one(
    new_plugin: New, service: Simulator, shared: str, other_backup: str, vault: str
) -> None:
    plugin, own = new_plugin("receiver"), service.projects[0]
    service.accept(shared, own, vault)
    service.advance(60)
    service.share(other_backup, own)
    for backup in (other_backup, shared):
        plugin.create(KIND, {"backup_id": backup, "vault_id": vault})
    line = f"cbr: adopted unchanged: project {own} had already accepted backup {shared} into vault {vault}"
    assert plugin.said().splitlines() == [line]


def test_check_reports_all_problems_together(receiver: Plugin) -> None:
    _, failures = receiver.check(KIND, {"backup_id": "nightly", "cloud": 7})
    assert set(failures) == {"backup_id", "vault_id", "cloud"}
    assert "nothing was given" in failures["vault_id"][0]
    inputs, failures = receiver.check(KIND, {"backup_id": UNKNOWN, "vault_id": UNKNOWN})
    assert (inputs, failures) == ({"backup_id": UNKNOWN, "vault_id": UNKNOWN}, {})


@pytest.mark.parametrize(
    ("olds", "news", "changes", "replaces", "delete_first"),
    [
        ({}, {}, False, [], None),
        ({}, {"vault_id": UNKNOWN}, True, ["vault_id"], True),
        ({}, {"vault_id": "00000000-0000-4000-8000-000000000001"}, True, ["vault_id"], True),
        ({}, {"backup_id": "00000000-0000-4000-8000-000000000001"}, True, ["backup_id"], False),
        ({}, {"cloud": "dr"}, True, [], None),
        ({"status": "pending"}, {}, True, [], None),
        ({"status": "rejected"}, {}, True, [], None),
    ],
)
def test_diff(
    receiver: Plugin,
    olds: dict[str, Any],
    news: dict[str, Any],
    changes: bool,
    replaces: list[str],
    delete_first: bool | None,
) -> None:
    given = {"backup_id": "00000000-0000-4000-8000-00000000000a", "vault_id": "00000000-0000-4000-8000-00000000000b"}
    id_ = f"{given['backup_id']}/{'0' * 32}"
    told = receiver.diff(KIND, id_, {**given, "status": "accepted", **olds}, {**given, **news}, given)
    assert (told.changes, told.replaces) == (changes, replaces)
    if delete_first is not None:
        assert told.delete_first == delete_first


def test_create_accepts_by_one_put(receiver: Plugin, service: Simulator, shared: str, vault: str) -> None:
    id_, outputs = receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert id_ == f"{shared}/{service.projects[0]}"
    assert status(service, shared) == ("accepted", vault)
    assert outputs.pop("updated_at")
    assert outputs == {
        "backup_id": shared,
        "vault_id": vault,
        "status": "accepted",
        "source_project_id": service.owner.project_id,
    }
    assert calls(service) == ["PUT member", "GET backup"]


@pytest.mark.parametrize("before", ["accepted", "rejected"])
def test_create_of_what_was_decided_before(
    receiver: Plugin, service: Simulator, shared: str, vault: str, before: str
) -> None:
    if before == "accepted":
        service.accept(shared, service.projects[0], vault)
    else:
        service.reject(shared, service.projects[0])
    receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert status(service, shared) == ("accepted", vault)


def test_create_of_what_is_in_another_vault_names_both(
    receiver: Plugin, service: Simulator, shared: str, vault: str, second_vault: str
) -> None:
    service.accept(shared, service.projects[0], second_vault)
    with pytest.raises(HookFailed) as refused:
        receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert f"was accepted into vault {second_vault} already, not {vault}" in one_line(refused)


def test_acceptance_that_names_another_vault_fails(
    receiver: Plugin, service: Simulator, shared: str, vault: str, second_vault: str
) -> None:
    """A service may answer the PUT of an accepted share with the earlier acceptance."""
    service.faults.add(Fault("field_value", "PUT", f"/{shared}/members", field="vault_id", body=second_vault))
    with pytest.raises(HookFailed) as refused:
        receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert f"was accepted into vault {second_vault} already, not {vault}" in one_line(refused)


def test_lost_acceptance_whose_vault_is_not_told_is_kept(
    receiver: Plugin, service: Simulator, shared: str, vault: str
) -> None:
    service.faults.add(Fault("reset_after", "PUT"))
    service.faults.add(Fault("field_missing", "GET", f"/{shared}/members", field="vault_id"))
    _, outputs = receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert (outputs["status"], outputs["vault_id"]) == ("accepted", vault)


@pytest.mark.parametrize(("number", "code"), [(None, "6105"), (2, "6712"), (1, "6713"), (3, "6708")])
def test_errors_of_the_vault_name_it(
    receiver: Plugin, service: Simulator, shared: str, number: int | None, code: str
) -> None:
    vault = "00000000-0000-4000-8000-000000000001" if number is None else service.vaults[number].id
    with pytest.raises(HookFailed) as refused:
        receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert f"BackupService.{code}" in one_line(refused)
    assert f"vault {vault}" in one_line(refused)
    assert status(service, shared) == ("pending", None)
    assert service.count("PUT", shared) == 1


def test_a_share_that_is_seconds_old_is_waited_for(
    receiver: Plugin, service: Simulator, backup: str, vault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_member = service.state.update_member

    def shared_by_now(*args: Any) -> Any:
        try:
            return update_member(*args)
        finally:
            if not service.members(backup):
                service.share(backup, service.projects[0])

    monkeypatch.setattr(service.state, "update_member", shared_by_now)
    receiver.create(KIND, {"backup_id": backup, "vault_id": vault})
    assert status(service, backup) == ("accepted", vault)
    assert calls(service) == ["PUT member", "PUT member", "GET backup"]


def test_a_share_that_does_not_come_is_a_clear_error(
    plugin_with: New, service: Simulator, backup: str, vault: str
) -> None:
    with pytest.raises(HookFailed) as refused:
        plugin_with("receiver", maxRetries="0").create(KIND, {"backup_id": backup, "vault_id": vault})
    told = one_line(refused)
    assert f"backup {backup} is not shared with project {service.projects[0]}" in told
    assert "depends_on" in told
    # The backup tells whether its owner is signed in.
    assert calls(service) == ["PUT member", "GET backup"]


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "status_after", "truncated", "malformed"])
@pytest.mark.parametrize("operation", ["create", "delete"])
def test_accept_lost_response_reads_the_share(
    receiver: Plugin, service: Simulator, shared: str, vault: str, fails: Any, kind: str, operation: str
) -> None:
    inputs = {"backup_id": shared, "vault_id": vault}
    if operation == "create":
        fails(kind, "PUT", seconds=0.2)
        _, outputs = receiver.create(KIND, inputs)
        assert outputs["status"] == "accepted"
        assert status(service, shared) == ("accepted", vault)
        assert service.count("PUT", shared) == 1
        return
    id_, outputs = receiver.create(KIND, inputs)
    fails(kind, "PUT", seconds=0.2)
    receiver.delete(KIND, id_, outputs)
    assert status(service, shared)[0] == "rejected"
    assert service.count("PUT", shared) == 2


def test_accept_unsent_request_is_sent_again(
    receiver: Plugin, service: Simulator, shared: str, vault: str, fails: Any
) -> None:
    fails("reset_before", "PUT")
    receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert status(service, shared) == ("accepted", vault)


@pytest.mark.parametrize("kind", ["reset_after", "reset_before"])
@pytest.mark.parametrize("then", ["update", "delete"])
def test_lost_acceptance_stays_in_the_state(
    receiver: Plugin, service: Simulator, shared: str, vault: str, fails: Any, kind: str, then: str
) -> None:
    """Nobody could see what the request did. The next `up` accepts again, and a destroy rejects."""
    inputs = {"backup_id": shared, "vault_id": vault}
    fails(kind, "PUT")
    fails("html", "GET", times=None, status=500)
    with pytest.raises(HookFailed) as lost:
        receiver.create(KIND, inputs)
    assert "and reading it failed" in one_line(lost)
    assert "to `accepted`" in one_line(lost)
    assert lost.value.kept
    id_, outputs, _ = lost.value.kept
    assert (id_, outputs.pop("__provider", None) is None) == (
        f"{shared}/{service.projects[0]}",
        receiver.flavor == "native",
    )
    assert outputs == {**inputs, "status": "pending"}
    service.faults.clear()
    if then == "update":
        assert receiver.update(KIND, id_, outputs, inputs)["status"] == "accepted"
        assert status(service, shared) == ("accepted", vault)
    else:
        receiver.delete(KIND, id_, outputs)
        assert status(service, shared)[0] == ("rejected" if kind == "reset_after" else "pending")


def test_owner_of_the_backup_is_told_to_sign_in_as_the_receiver(
    plugin_with: PluginWith, service: Simulator, shared: str, vault: str
) -> None:
    owner = plugin_with(maxRetries="0")
    with pytest.raises(HookFailed, match="and this run is signed in to that project"):
        owner.create(KIND, {"backup_id": shared, "vault_id": vault})


def test_a_receiver_without_permission_is_told_which(
    receiver: Plugin, service: Simulator, shared: str, vault: str
) -> None:
    service.deny("cbr:member:update", "receiver")
    with pytest.raises(HookFailed, match="cbr:member:update"):
        receiver.create(KIND, {"backup_id": shared, "vault_id": vault})


# What others do in between


def test_read_is_one_show_and_clean(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    id_ = f"{shared}/{service.projects[0]}"
    inputs = {"backup_id": shared, "vault_id": accepted["vault_id"]}
    assert receiver.read(KIND, id_, accepted) == (id_, accepted, inputs)
    assert calls(service) == ["GET member"]


@pytest.mark.parametrize("reached", ["rejected", "re-shared"])
def test_what_is_accepted_no_more_is_seen_and_mended_in_place(
    receiver: Plugin, service: Simulator, shared: str, vault: str, accepted: dict[str, Any], reached: str
) -> None:
    id_ = f"{shared}/{service.projects[0]}"
    if reached == "rejected":
        service.reject(shared, service.projects[0])
    else:
        service.withdraw(shared, service.projects[0])
        service.share(shared, service.projects[0])
    id_, seen, inputs = receiver.read(KIND, id_, accepted)
    found = "rejected" if reached == "rejected" else "pending"
    assert seen["status"] == found
    drift = f"cbr: the share of backup {shared} with project {service.projects[0]} has changed: status is {found}, not accepted"
    assert drift in receiver.said()
    assert inputs == {"backup_id": shared, "vault_id": vault}
    told = receiver.diff(KIND, id_, seen, inputs, inputs)
    assert (told.changes, told.replaces) == (True, [])
    mended = receiver.update(KIND, id_, seen, inputs)
    assert mended["status"] == "accepted"
    assert mended["source_project_id"] == service.owner.project_id
    assert status(service, shared) == ("accepted", vault)
    assert receiver.read(KIND, id_, mended)[1] == mended


def test_another_vault_is_seen_and_mended_by_a_replacement(
    receiver: Plugin, service: Simulator, shared: str, vault: str, accepted: dict[str, Any], second_vault: str
) -> None:
    id_, project = f"{shared}/{service.projects[0]}", service.projects[0]
    service.reject(shared, project)
    service.accept(shared, project, second_vault)
    id_, seen, inputs = receiver.read(KIND, id_, accepted)
    assert (seen["vault_id"], inputs["vault_id"]) == (second_vault, second_vault)
    wanted = {"backup_id": shared, "vault_id": vault}
    told = receiver.diff(KIND, id_, seen, wanted, inputs)
    assert (told.replaces, told.delete_first) == (["vault_id"], True)
    receiver.delete(KIND, id_, seen)
    receiver.create(KIND, wanted)
    assert status(service, shared) == ("accepted", vault)


def test_a_share_that_was_withdrawn_is_gone(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    id_ = f"{shared}/{service.projects[0]}"
    service.withdraw(shared, service.projects[0])
    assert receiver.read(KIND, id_, accepted)[0] == ""
    receiver.delete(KIND, id_, accepted)
    service.delete_backup(shared)
    assert receiver.read(KIND, id_, accepted)[0] == ""
    receiver.delete(KIND, id_, accepted)


def test_delete_rejects_and_may_be_repeated(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    id_ = f"{shared}/{service.projects[0]}"
    for _ in range(2):
        receiver.delete(KIND, id_, accepted)
        assert status(service, shared) == ("rejected", None)
    assert calls(service) == ["GET member", "PUT member", "GET member"]


@pytest.mark.parametrize("code", ["6200", "6705"])
def test_delete_believes_no_single_not_found(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any], code: str
) -> None:
    gone = {"error_code": f"BackupService.{code}", "error_msg": "x"}
    service.faults.add(Fault("status_before", "PUT", shared, status=404, body=gone))
    id_ = f"{shared}/{service.projects[0]}"
    with pytest.raises(HookFailed) as refused:
        receiver.delete(KIND, id_, accepted)
    one_line(refused)
    receiver.delete(KIND, id_, accepted)
    assert status(service, shared)[0] == "rejected"


def test_delete_of_share_made_again_leaves_it_pending(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    project = service.projects[0]
    service.withdraw(shared, project)
    service.share(shared, project)
    receiver.delete(KIND, f"{shared}/{project}", accepted)
    assert status(service, shared) == ("pending", None)


def test_delete_leaves_acceptance_into_another_vault(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any], second_vault: str
) -> None:
    project = service.projects[0]
    service.reject(shared, project)
    service.accept(shared, project, second_vault)
    receiver.delete(KIND, f"{shared}/{project}", accepted)
    assert status(service, shared) == ("accepted", second_vault)


@pytest.mark.parametrize("across", [False, True])
def test_delete_of_renamed_accepter_keeps_acceptance(
    flavor: str, service: Simulator, shared: str, vault: str, accepted: dict[str, Any], across: bool
) -> None:
    """Another name, a move into a component, or another provider: the engine creates, then deletes the old form."""
    id_ = f"{shared}/{service.projects[0]}"
    with (
        Plugin(flavor, service.env("receiver"), resource="new") as creator,
        Plugin(flavor, service.env("receiver"), beside=creator if across else None, resource="old") as other,
    ):
        _, outputs = creator.create(KIND, {"backup_id": shared, "vault_id": vault})
        deleter = other if across else creator
        deleter.resource = "old"
        deleter.delete(KIND, id_, accepted)
        assert status(service, shared) == ("accepted", vault)
        creator.resource = "new"
        creator.delete(KIND, id_, outputs)
        assert status(service, shared) == ("rejected", None)


@pytest.mark.parametrize("flavors", [("dynamic", "native"), ("native", "dynamic")])
def test_change_of_flavor_keeps_acceptance(
    service: Simulator, shared: str, vault: str, accepted: dict[str, Any], flavors: tuple[str, str]
) -> None:
    env = service.env("receiver")
    with Plugin(flavors[1], env) as creator, Plugin(flavors[0], env, beside=creator) as deleter:
        creator.create(KIND, {"backup_id": shared, "vault_id": vault})
        deleter.delete(KIND, f"{shared}/{service.projects[0]}", accepted)
        assert status(service, shared) == ("accepted", vault)


@pytest.mark.parametrize("flavors", [("dynamic", "native"), ("native", "dynamic"), ("native", "native")])
def test_delete_of_accepter_keeps_what_another_one_keeps(
    service: Simulator, shared: str, vault: str, accepted: dict[str, Any], flavors: tuple[str, str]
) -> None:
    """The run that accepted under another provider was killed before it deleted the old one."""
    id_, inputs, env = (
        f"{shared}/{service.projects[0]}",
        {"backup_id": shared, "vault_id": vault},
        service.env("receiver"),
    )
    with Plugin(flavors[1], env) as keeper, Plugin(flavors[0], env, beside=keeper, resource="old") as deleter:
        keeper.check(KIND, inputs, inputs)
        keeper.diff(KIND, id_, accepted, inputs)
        deleter.delete(KIND, id_, accepted)
        assert status(service, shared) == ("accepted", vault)


def test_read_refuses_contradictory_responses(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    """The share is not found, but the backup lists it: one wrong response must not empty the state."""
    project = service.projects[0]
    gone = {"error_code": "BackupService.6705", "error_msg": "x"}
    service.faults.add(Fault("status_before", "GET", f"/backups/{shared}/members/", status=404, body=gone))
    listed = {"id": "x", "status": "accepted", "backup_id": shared, "dest_project_id": project}
    body = {
        "backup": {
            **dict.fromkeys(("resource_type", "resource_id"), "x"),
            "id": shared,
            "status": "available",
            "created_at": "2026-01-01T00:00:00",
            "members": [{**listed, "created_at": "2026-01-01T00:00:00"}],
        }
    }
    service.faults.add(Fault("status_before", "GET", f"/backups/{shared}$", status=200, body=body))
    with pytest.raises(HookFailed, match="state is unchanged"):
        receiver.read(KIND, f"{shared}/{project}", accepted)


def test_delete_of_what_an_image_was_made_of_says_so(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any]
) -> None:
    service.register_image(shared, service.projects[0])
    with pytest.raises(HookFailed, match="6710"):
        receiver.delete(KIND, f"{shared}/{service.projects[0]}", accepted)


@pytest.mark.parametrize("hidden", [False, True])
def test_what_is_in_no_vault_is_not_imported(
    receiver: Plugin, service: Simulator, shared: str, vault: str, hidden: bool
) -> None:
    """Also where the receiver may see the backup only, without its vault."""
    if hidden:
        service.deny("cbr:member:get")
    id_ = f"{shared}/{service.projects[0]}"
    with pytest.raises(HookFailed) as refused:
        receiver.read(KIND, id_, {})
    assert "is in no vault. Declare it" in one_line(refused)
    assert receiver.read(KIND, id_, {"backup_id": shared, "vault_id": vault})[2]["vault_id"] == vault


def test_hooks_in_another_project_change_nothing(
    plugin: Plugin, service: Simulator, shared: str, vault: str, accepted: dict[str, Any]
) -> None:
    id_ = f"{shared}/{service.projects[0]}"
    pending = {**accepted, "status": "pending"}
    operations: list[Callable[[], object]] = [
        lambda: plugin.read(KIND, id_, accepted),
        lambda: plugin.update(KIND, id_, pending, {"backup_id": shared, "vault_id": vault}),
        lambda: plugin.delete(KIND, id_, accepted),
    ]
    for operation in operations:
        with pytest.raises(HookFailed) as refused:
            operation()
        names = f"the ID names project {service.projects[0]}, but this run is signed in to {service.owner.project_id}. "
        assert names in one_line(refused)
    assert calls(service) == []
    assert status(service, shared) == ("accepted", vault)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status_before", "status": 404, "body": "<html><title>nginx</title></html>"},
        {"kind": "status_before", "status": 500, "body": {"error_code": "BackupService.9910", "error_msg": "x"}},
        {"kind": "status_before", "status": 200, "body": {"member": "none"}},
        {"kind": "html", "status": 200},
    ],
)
def test_read_of_a_malformed_response_fails(
    receiver: Plugin, service: Simulator, shared: str, accepted: dict[str, Any], fault: dict[str, Any]
) -> None:
    service.faults.add(Fault(method="GET", path=shared, times=None, **fault))
    with pytest.raises(HookFailed) as refused:
        receiver.read(KIND, f"{shared}/{service.projects[0]}", accepted)
    one_line(refused)


# Receivers that may see the backup only


@pytest.mark.parametrize("way", ["not allowed", "not visible"])
def test_a_receiver_that_may_not_read_members(flavor: str, new_service: Callable[..., Simulator], way: str) -> None:
    service = new_service(receiver_sees_member=way == "not allowed")
    if way == "not allowed":
        service.deny("cbr:member:get", "receiver")
    backup, vault, project = service.backups[0].id, service.vaults[0].id, service.projects[0]
    service.share(backup, project)
    with Plugin(flavor, service.env("receiver"), {"maxRetries": "1"}) as receiver:
        # Also where the answer is lost: there is no seeing, so the call is sent again.
        service.faults.add(Fault("reset_after", "PUT", "/members/"))
        id_, outputs = receiver.create(KIND, {"backup_id": backup, "vault_id": vault})
        assert service.members(backup)[project].status == "accepted"
        service.clear_calls()
        assert receiver.read(KIND, id_, outputs)[1] == outputs
        assert calls(service) == ["GET member", "GET backup"]
        # Some clouds tell the members along with the backup.
        told = {"id": "x", "status": "rejected", "backup_id": backup, "dest_project_id": project}
        body = {
            "backup": {
                **dict.fromkeys(("resource_type", "resource_id"), "x"),
                "id": backup,
                "status": "available",
                "created_at": "2026-01-01T00:00:00",
                "members": [{**told, "created_at": "2026-01-01T00:00:00"}],
            }
        }
        service.faults.add(Fault("status_before", "GET", f"/backups/{backup}$", status=200, body=body))
        assert receiver.read(KIND, id_, outputs)[1]["status"] == "rejected"
        service.withdraw(backup, project)
        assert receiver.read(KIND, id_, outputs)[0] == ""
        receiver.delete(KIND, id_, outputs)


def test_a_receiver_that_may_read_nothing_is_told(
    receiver: Plugin, service: Simulator, shared: str, vault: str
) -> None:
    for action in ("cbr:member:get", "cbr:backups:get"):
        service.deny(action, "receiver")
    id_, outputs = receiver.create(KIND, {"backup_id": shared, "vault_id": vault})
    assert "source_project_id" not in outputs
    with pytest.raises(HookFailed, match="cbr:member:get"):
        receiver.read(KIND, id_, outputs)
    receiver.delete(KIND, id_, outputs)
    assert status(service, shared)[0] == "rejected"
