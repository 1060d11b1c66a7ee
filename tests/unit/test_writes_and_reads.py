"""Controllers and a service that changes between their calls."""

from __future__ import annotations

import contextvars
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr.api import single_flight
from pulumi_cbr.api.errors import (
    CbrError,
    NotAllowed,
    ServiceUnavailableError,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle import shares
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.controller import UNKNOWN, Controller, ResourceState
from pulumi_cbr.lifecycle.failures import UnverifiedCreateError
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in
from waiting import PATIENCE, wait_until

IN_NO_TIME = Clock(sleep=lambda seconds: None)


class Process:
    """The process that a test simulates: its pools share their sessions."""

    registry = SessionRegistry()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Serve a new process that is signed in as the owner."""
    monkeypatch.setattr(Process, "registry", SessionRegistry())
    with Simulator() as running:
        sign_in(monkeypatch, running.env("owner"))
        yield running


def sessions(timing: Clock = IN_NO_TIME, **config: object) -> SessionPool:
    return SessionPool(config.get, timing, registry=Process.registry)


@contextmanager
def captured_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let pytest capture the warnings for the user."""
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


def outputs_of(reading: ResourceState | None) -> Mapping[str, Any]:
    assert reading
    return reading.outputs


# No read is older than a write that has ended


def test_create_member_invalidates_the_list(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    lists = hooks.sessions.get(None).member_cache
    assert set(lists.get(backup)) == set()
    hooks.create({"backup_id": backup, "dest_project_id": project})
    assert set(lists.get(backup)) == {project}


def test_each_change_of_a_set_invalidates_the_list(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, (a, b) = service.backups[0].id, service.projects[:2]
    lists = hooks.sessions.get(None).member_cache
    assert set(lists.get(backup)) == set()
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [a, b]})
    assert set(lists.get(backup)) == {a, b}
    outputs = hooks.update(id_, outputs, {"backup_id": backup, "dest_project_ids": [a]})
    assert set(lists.get(backup)) == {a}
    hooks.delete(id_, outputs)
    assert set(lists.get(backup)) == set()


def test_acceptance_invalidates_the_owners_list(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    id_, outputs = owner.create({"backup_id": backup, "dest_project_id": project})
    assert outputs_of(owner.read(id_, outputs))["status"] == "pending"
    sign_in(monkeypatch, service.env("receiver"))
    BackupShareAccepterController(sessions()).create({"backup_id": backup, "vault_id": service.vaults[0].id})
    assert outputs_of(owner.read(id_, outputs))["status"] == "accepted"


def test_reads_of_one_backup_share_one_list(service: Simulator) -> None:
    shared = sessions()
    member, several = BackupShareMemberController(shared), BackupShareController(shared)
    backup, (a, b, c) = service.backups[0].id, service.projects[:3]
    made = [
        (member, *member.create({"backup_id": backup, "dest_project_id": a})),
        (several, *several.create({"backup_id": backup, "dest_project_ids": [b, c]})),
    ]
    service.clear_calls()
    assert all(hooks.read(id_, outputs) for hooks, id_, outputs in made)
    assert [call.method for call in service.calls] == ["GET"]


Call = Callable[[], object]


def create_member(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareMemberController(owner)
    return lambda: hooks.create({"backup_id": backup, "dest_project_id": project})


def delete_member(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareMemberController(owner)
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_id": project})
    return lambda: hooks.delete(id_, outputs)


def create_set(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareController(owner)
    return lambda: hooks.create({"backup_id": backup, "dest_project_ids": [project]})


def delete_set(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareController(owner)
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [project]})
    return lambda: hooks.delete(id_, outputs)


def accept_share(service: Simulator, receiver: SessionPool, backup: str, project: str) -> Call:
    service.share(backup, project)
    hooks = BackupShareAccepterController(receiver)
    return lambda: hooks.create({"backup_id": backup, "vault_id": service.vaults[0].id})


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize(
    ("writing", "method", "after"),
    [
        (create_member, "add_members", ["pending"]),
        (delete_member, "delete_member", []),
        (create_set, "add_members", ["pending"]),
        (delete_set, "delete_member", []),
        (accept_share, "update_member", ["accepted"]),
    ],
)
def test_list_read_during_a_write_is_not_reused(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, writing: Any, method: str, after: list[str], lost: bool
) -> None:
    owner = sessions(maxRetries=0)
    lists = owner.get(None).member_cache
    if writing is accept_share:
        sign_in(monkeypatch, service.env("receiver"))
    writer = sessions(maxRetries=0)
    backup, project = service.backups[0].id, service.projects[0]
    write = writing(service, writer, backup, project)
    client = writer.get(None).client
    real = getattr(client, method)

    def during(*args: Any, **kwargs: Any) -> Any:
        lists.get(backup)
        done = real(*args, **kwargs)
        if lost:
            service.faults.add(Fault("status_before", "GET", backup, times=None, status=403))
            raise UnknownOutcomeError("the answer was lost")
        return done

    monkeypatch.setattr(client, method, during)
    if lost:
        with pytest.raises(CbrError, match="the answer was lost"):
            write()
        service.faults.clear()
    else:
        write()
    assert [member.status for member in lists.get(backup).values()] == after


def test_deletes_invalidate_the_list_after_the_last(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    account = sessions().get(None)
    backup, (one, other) = service.backups[0].id, service.projects[:2]
    for project in one, other:
        service.share(backup, project)
    happened: list[str] = []
    dropped = threading.Event()

    def delete_shares(backup_id: str, project: str) -> None:
        if project == one:
            raise KeyError("a bug")
        # Where it is dropped too early, that is before this one's end.
        dropped.wait(0.2)
        happened.append("withdrawn")

    def changed(backup_id: str, *projects: str) -> None:
        happened.append("dropped")
        dropped.set()

    monkeypatch.setattr(account.client, "delete_member", delete_shares)
    monkeypatch.setattr(account, "invalidate", changed)
    with pytest.raises(KeyError):
        shares.delete_shares(account, backup, {one: {}, other: {}})
    assert happened[-1] == "dropped"
    assert happened.count("dropped") == 2


# Lost answers


def test_create_slow_lost_response_finds_own_share(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was waited for so long that the share is older than all slack: it is as old as the try."""
    ticks = [0.0]
    hooks = BackupShareMemberController(sessions(Clock(monotonic=lambda: ticks[0], sleep=lambda seconds: None)))
    look = shares.find_members

    def late(*args: Any) -> Any:
        if not ticks[0]:
            ticks[0] = 900.0
            service.advance(900)
        return look(*args)

    monkeypatch.setattr(shares, "find_members", late)
    service.faults.add(Fault("reset_after"))
    hooks.create({"backup_id": service.backups[0].id, "dest_project_id": service.projects[0]})


@pytest.mark.parametrize(("seconds", "ours"), [(-60, True), (10, False)])
def test_create_lost_response_compares_the_share_age(service: Simulator, seconds: int, ours: bool) -> None:
    hooks = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    service.advance(seconds)
    service.faults.add(Fault("reset_before"))
    if ours:
        hooks.create({"backup_id": backup, "dest_project_id": project})
    else:
        with pytest.raises(CbrError, match="already shared"):
            hooks.create({"backup_id": backup, "dest_project_id": project})


@pytest.mark.parametrize("age", [0, 60])
def test_refused_create_leaves_a_share_of_another_stack(service: Simulator, age: int) -> None:
    """Nobody knows who made it: not by the time, which may be after the request was sent."""
    hooks = BackupShareController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    service.faults.add(Fault("throttle", times=1))
    service.share(backup, project)
    service.advance(age)
    no = {"error_code": "BackupService.6704", "error_msg": "invalid project ID"}
    service.faults.add(Fault("status_before", status=400, body=no))
    with pytest.raises(CbrError, match="The backup is shared with"):
        hooks.create({"backup_id": backup, "dest_project_ids": [project, "f" * 32]})
    assert set(service.members(backup)) == {project}
    assert service.count("DELETE") == 0


def test_create_answered_in_part_and_unreadable_is_unverified(
    service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = BackupShareController(sessions())
    backup, projects = service.backups[0].id, sorted(service.projects[:2])
    add = service.state.add_members
    monkeypatch.setattr(service.state, "add_members", lambda own, one, wanted: add(own, one, wanted[:1]))
    no = {"error_msg": "no"}
    service.faults.add(Fault("status_before", "GET", f"{backup}/members", nth=2, times=None, status=403, body=no))
    with pytest.raises(UnverifiedCreateError) as raised:
        hooks.create({"backup_id": backup, "dest_project_ids": projects})
    # What the response told and what nobody can see are both kept for the next run to verify.
    assert set(raised.value.outputs["members"]) == set(projects)
    assert set(service.members(backup)) == {projects[0]}


def test_create_set_adopts_shares_that_appear_meanwhile(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = BackupShareController(sessions())
    backup, (a, b, c) = service.backups[0].id, service.projects[:3]
    others, add = [a, b], service.state.add_members

    def overtaken(own: str, one: str, wanted: Any) -> Any:
        if others:
            add(own, one, [others.pop(0)])
        return add(own, one, wanted)

    monkeypatch.setattr(service.state, "add_members", overtaken)
    _, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [a, b, c], "adopt_existing": True})
    assert set(outputs["members"]) == set(service.members(backup)) == {a, b, c}


def test_parallel_deletes_keep_the_callers_deadline(service: Simulator) -> None:
    left = contextvars.ContextVar("left", default=math.inf)
    asked: list[float] = []

    def time_left() -> float:
        asked.append(left.get())
        return left.get()

    hooks = BackupShareController(sessions(Clock(sleep=lambda seconds: None, time_left=time_left)))
    id_, outputs = hooks.create({"backup_id": service.backups[0].id, "dest_project_ids": service.projects[:3]})
    asked.clear()
    left.set(50.0)
    hooks.delete(id_, outputs)
    # The list that identifies them is of all callers, and has no deadline of one.
    assert asked.count(50.0) >= 3


# Exclusive sets


def test_update_to_exclusive_deletes_foreign_shares(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, (own, foreign) = service.backups[0].id, service.projects[:2]
    news = {"backup_id": backup, "dest_project_ids": [own]}
    id_, outputs = hooks.create(news)
    service.share(backup, foreign)
    hooks.update(id_, outputs, {**news, "exclusive": True})
    assert set(service.members(backup)) == {own}


def test_update_from_exclusive_makes_no_call(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    news = {"backup_id": service.backups[0].id, "dest_project_ids": service.projects[:1]}
    id_, outputs = hooks.create({**news, "exclusive": True})
    service.clear_calls()
    assert hooks.update(id_, outputs, news)["members"] == outputs["members"]
    assert service.calls == []


def test_exclusive_set_warns_of_foreign_shares_only(service: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    hooks = BackupShareController(sessions())
    backup, (kept, own, foreign) = service.backups[0].id, sorted(service.projects[:3])
    news = {"backup_id": backup, "dest_project_ids": [kept], "exclusive": True}
    id_, outputs = hooks.create({**news, "dest_project_ids": [kept, own]})
    service.share(backup, foreign)
    hooks.sessions.get(None).invalidate(backup)
    seen = outputs_of(hooks.read(id_, outputs))
    with captured_warnings(caplog):
        hooks.after_diff(id_, seen, {**news, "dest_project_ids": [kept, UNKNOWN]})
        assert caplog.messages == []
        hooks.after_diff(id_, seen, news)
    assert set(caplog.messages) == {f"backup {backup}: exclusive=True deletes the shares with {foreign}"}


def test_update_adopts_declared_share_that_a_refresh_listed(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, (own, foreign) = service.backups[0].id, sorted(service.projects[:2])
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [own], "exclusive": True})
    service.share(backup, foreign)
    hooks.sessions.get(None).invalidate(backup)
    seen = outputs_of(hooks.read(id_, outputs))
    for exclusive in {"exclusive": True}, {}:
        news = {"backup_id": backup, "dest_project_ids": [own, foreign], **exclusive}
        assert "members" in hooks.diff(id_, seen, news).updates
        with pytest.raises(CbrError, match="already shared"):
            hooks.update(id_, seen, news)
        outputs = hooks.update(id_, seen, {**news, "adopt_existing": True})
        assert set(outputs["members"]) == {own, foreign}
        assert not hooks.diff(id_, outputs, {**news, "adopt_existing": True}).updates


def test_diff_of_a_set_deletes_first_if_the_backup_stays(service: Simulator) -> None:
    olds = {"backup_id": service.backups[0].id, "dest_project_ids": ["a" * 32], "members": {"a" * 32: {}}}
    assert BackupShareController(sessions()).diff("x", olds, olds).delete_first


# Previews that ask


def test_preflight_unknown_adopt_existing_passes(service: Simulator) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    news = {"backup_id": backup, "dest_project_ids": [project]}
    assert hooks.check({}, {**news, "adopt_existing": UNKNOWN}).problems == []
    assert hooks.check({}, news).problems


def test_preflight_of_a_replaced_set_makes_no_call(service: Simulator) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup, (a, b) = service.backups[0].id, service.projects[:2]
    service.share(backup, a)
    news = {"backup_id": backup, "dest_project_ids": sorted([a, b])}
    assert hooks.check({"backup_id": backup, "dest_project_ids": [a]}, news).problems == []
    assert hooks.check({}, news).problems == []


def test_preflight_encrypted_backup_is_a_problem(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True))
    backup = service.set_backup(service.backups[0].id, encrypted=True).id
    (problem,) = hooks.check({}, {"backup_id": backup, "dest_project_id": service.projects[0]}).problems
    assert "is of encrypted disks" in problem.reason


def test_preflight_of_a_changed_backup_makes_no_call(service: Simulator) -> None:
    """What was there before is none of its business any more: one project's share may have become another resource's."""
    hooks, several = (
        BackupShareMemberController(sessions(preflight=True)),
        BackupShareController(sessions(preflight=True)),
    )
    backup, (a, b) = service.backups[0].id, service.projects[:2]
    service.share(backup, a)
    olds, news = ({"backup_id": backup, "dest_project_id": project} for project in (a, b))
    exclusive = {"backup_id": backup, "dest_project_ids": [b], "exclusive": True}
    assert hooks.check(olds, news).problems == []
    assert hooks.check({}, olds).problems
    hooks.delete(f"{backup}/{a}", olds)
    unseen = service.backups[1].id
    hooks.sessions.get(None).invalidate(unseen)
    service.clear_calls()
    for changed in backup, unseen:
        assert hooks.check({}, {**olds, "backup_id": changed}).problems == []
        assert several.check({}, {**exclusive, "backup_id": changed}).problems == []
    assert service.calls == []


def test_preflight_drops_results_from_before_a_change(
    service: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = sessions(preflight=True)
    account, member, several = shared.get(None), BackupShareMemberController(shared), BackupShareController(shared)
    real = account.client.list_members

    def overtaken(backup_id: str) -> Any:
        found = real(backup_id)
        account.invalidate(backup_id)
        return found

    monkeypatch.setattr(account.client, "list_members", overtaken)
    one, other = (backup.id for backup in service.backups[:2])
    a, b = service.projects[:2]
    service.share(one, a)
    assert member.check({}, {"backup_id": one, "dest_project_id": a}).problems == []
    service.share(other, a)
    with captured_warnings(caplog):
        exclusive = {"backup_id": other, "dest_project_ids": [b], "exclusive": True}
        assert several.check({}, exclusive).problems == []
    assert caplog.messages == []


@pytest.mark.parametrize(("method", "seconds"), [("show_backup", 100.0), ("list_members", 50.0)])
def test_joined_calls_wait_for_one_or_two_timeouts(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, method: str, seconds: float
) -> None:
    shared = sessions(Clock(monotonic=lambda: 0.0), preflight=True, timeout=50)
    account, hooks = shared.get(None), BackupShareMemberController(shared)
    backup = service.backups[0].id
    waited: list[float] = []

    def wait(asked: Any, seconds: float) -> Any:
        waited.append(seconds)
        return futures.wait(asked, PATIENCE)

    def hold(backup_id: str) -> Any:
        wait_until(lambda: len(waited) >= 2)
        return real(backup_id)

    def look(project: str) -> Any:
        if method == "list_members":
            return account.member_cache.get(backup)
        return hooks.check({}, {"backup_id": backup, "dest_project_id": project}).problems

    real = getattr(account.client, method)
    monkeypatch.setattr(single_flight, "wait", wait)
    monkeypatch.setattr(account.client, method, hold)
    with futures.ThreadPoolExecutor(2) as threads:
        assert not any(threads.map(look, service.projects[:2]))
    # Both callers wait for the call, which then waits for its sign-in.
    assert waited[:2] == [seconds, seconds]


def test_preflight_error_from_before_a_change_is_ignored(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True))
    account, backup = hooks.sessions.get(None), service.backups[0].id

    def fail(backup_id: str) -> Any:
        account.invalidate(backup_id)
        raise ServiceUnavailableError("no answer in time")

    monkeypatch.setattr(account.client, "show_backup", fail)
    assert hooks.check({}, {"backup_id": backup, "dest_project_id": service.projects[0]}).problems == []


def test_preflight_of_a_backup_changed_by_another_session_passes(service: Simulator) -> None:
    one = BackupShareMemberController(sessions(preflight=True))
    other = BackupShareMemberController(sessions(Clock(), preflight=True))
    assert one.sessions.get(None) is not other.sessions.get(None)
    inputs = {"backup_id": service.backups[0].id, "dest_project_id": service.projects[0]}
    one.create(inputs)
    service.clear_calls()
    assert other.check({}, inputs).problems == []
    assert service.calls == []


@pytest.mark.parametrize(
    ("before", "looks"),
    [
        ({}, 0),
        ({"exclusive": False}, 2),
        ({"exclusive": None}, 2),
        ({"dest_project_ids": 1}, 2),
        ({"dest_project_ids": 3}, 2),
        ({"backup_id": "another"}, 2),
    ],
)
def test_preflight_reads_an_exclusive_set_that_changes(service: Simulator, before: dict[str, Any], looks: int) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup = service.backups[0].id
    news = {"backup_id": backup, "dest_project_ids": service.projects[:2], "exclusive": True}
    olds = {**news, **before, "dest_project_ids": service.projects[: before.get("dest_project_ids", 2)]}
    assert hooks.check(olds, news).problems == []
    assert service.count("GET", backup) == looks


def test_preflight_repeats_a_failed_read(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True, maxRetries=0))
    news = {"backup_id": service.backups[0].id, "dest_project_id": service.projects[0]}
    service.faults.add(Fault("status_before", "GET", news["backup_id"]))
    assert hooks.check({}, news).problems
    assert hooks.check({}, news).problems == []


@pytest.mark.parametrize("missing", [False, True])
def test_preflight_does_not_repeat_a_refused_read(service: Simulator, missing: bool) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True))
    backup = service.backups[0].id
    if missing:
        service.delete_backup(backup)
    else:
        service.deny("cbr:backups:get", "owner")
    looked = []
    for project in service.projects[:2]:
        service.clear_calls()
        assert hooks.check({}, {"backup_id": backup, "dest_project_id": project}).problems
        looked.append(service.count("GET", backup))
    assert looked == [1, 0]


# The receiver, of a service that hides members from receivers


@pytest.fixture
def hidden(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> BackupShareAccepterController:
    service.state.switches = service.state.switches.__class__(receiver_sees_member=False)
    sign_in(monkeypatch, service.env("receiver"))
    return BackupShareAccepterController(sessions())


def test_read_hidden_acceptance_keeps_the_state(service: Simulator, hidden: BackupShareAccepterController) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    id_, outputs = hidden.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    service.deny("cbr:backups:get", "receiver")
    with pytest.raises(NotAllowed, match="cbr:backups:get"):
        hidden.read(id_, outputs)


def test_accept_hidden_share_raises_the_refusal(service: Simulator, hidden: BackupShareAccepterController) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    service.reject(backup, service.projects[0])
    with pytest.raises(UnexpectedResponseError, match="6708"):
        hidden.create({"backup_id": backup, "vault_id": service.vaults[3].id})


def test_read_upper_case_id_returns_lower_case(service: Simulator, hidden: BackupShareAccepterController) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    id_, outputs = hidden.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    reading = hidden.read(id_.upper(), outputs)
    assert reading
    assert reading.id == id_


def test_update_accepted_share_makes_no_call(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    sign_in(monkeypatch, service.env("receiver"))
    hooks = BackupShareAccepterController(sessions())
    id_, outputs = hooks.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    service.clear_calls()
    assert hooks.update(id_, outputs, {name: outputs[name] for name in ("backup_id", "vault_id")}) == outputs
    assert service.calls == []


# What the user is told


def test_delete_share_with_image_names_the_image(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_id": project})
    image = service.register_image(backup, project)
    with pytest.raises(CbrError, match=rf"then run again\. The image is {image}$"):
        hooks.delete(id_, outputs)


def test_delete_of_several_names_cause_and_rest(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, projects = service.backups[0].id, service.projects[:2]
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": projects})
    service.register_image(backup, projects[0])
    with pytest.raises(CbrError, match="6710") as failed:
        hooks.delete(id_, outputs)
    assert failed.value.__cause__ is not failed.value
    assert list(service.members(backup)) == projects[:1]


@pytest.mark.parametrize(
    "lifecycle", [BackupShareController, BackupShareMemberController, BackupShareAccepterController]
)
def test_update_unusable_cloud_is_refused(service: Simulator, lifecycle: type[Controller]) -> None:
    project = "a" * 32
    olds = {
        "backup_id": service.backups[0].id,
        "dest_project_ids": [project],
        "members": {project: {}},
        "status": "accepted",
    }
    with pytest.raises(CbrError, match="nowhere"):
        lifecycle(sessions()).update(f"{olds['backup_id']}/{project}", olds, {**olds, "cloud": "nowhere"})


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.parametrize(
    "lifecycle", [BackupShareController, BackupShareMemberController, BackupShareAccepterController]
)
def test_update_cloud_of_another_project_is_refused(
    service: Simulator, lifecycle: type[Controller], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reads and deletes would fail later."""
    is_accepter = lifecycle is BackupShareAccepterController
    other, own = [service.owner, service.receiver][:: 1 if is_accepter else -1]
    auth = {"auth_url": f"{service.url}/v3", "username": other.username, "password": other.password}
    auth |= {"user_domain_name": other.domain_name, "project_id": other.project_id}
    entry = {"auth": auth, "region_name": service.env()["OS_REGION_NAME"]}
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"other": entry}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    backup, project = service.backups[0].id, service.receiver.project_id
    olds = {"backup_id": backup, "dest_project_id": project, "dest_project_ids": [project], "members": {project: {}}}
    olds |= {"status": "accepted", "share_id": "s", "source_project_id": service.owner.project_id}
    id_ = backup if lifecycle is BackupShareController else f"{backup}/{project}"
    with pytest.raises(CbrError, match=f"project {own.project_id}, but this run is signed in to {other.project_id}"):
        lifecycle(sessions()).update(id_, olds, {**olds, "cloud": "other"})
