"""Controllers and a service that changes between their calls."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
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
from pulumi_cbr.backup_share import BackupShareController
from pulumi_cbr.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle import shares
from pulumi_cbr.lifecycle.controller import UNKNOWN, Controller, ResourceState
from pulumi_cbr.lifecycle.failures import UnverifiedCreateError
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in
from waiting import wait_until

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
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let pytest capture the warnings for the user."""
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


def found(reading: ResourceState | None) -> Mapping[str, Any]:
    assert reading
    return reading.outputs


# No read is older than a write that has ended


def test_a_member_that_was_made_is_read(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    lists = hooks.sessions.get(None).member_cache
    assert set(lists.get(backup)) == set()
    hooks.create({"backup_id": backup, "dest_project_id": project})
    assert set(lists.get(backup)) == {project}


def test_a_set_that_was_changed_is_read(service: Simulator) -> None:
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


def test_what_the_receiver_did_is_read_by_the_owner(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    id_, outputs = owner.create({"backup_id": backup, "dest_project_id": project})
    assert found(owner.read(id_, outputs))["status"] == "pending"
    sign_in(monkeypatch, service.env("receiver"))
    BackupShareAccepterController(sessions()).create({"backup_id": backup, "vault_id": service.vaults[0].id})
    assert found(owner.read(id_, outputs))["status"] == "accepted"


def test_a_member_and_a_set_of_one_backup_are_read_by_one_list(service: Simulator) -> None:
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


def making_a_member(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareMemberController(owner)
    return lambda: hooks.create({"backup_id": backup, "dest_project_id": project})


def withdrawing_a_member(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareMemberController(owner)
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_id": project})
    return lambda: hooks.delete(id_, outputs)


def making_a_set(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareController(owner)
    return lambda: hooks.create({"backup_id": backup, "dest_project_ids": [project]})


def withdrawing_a_set(service: Simulator, owner: SessionPool, backup: str, project: str) -> Call:
    hooks = BackupShareController(owner)
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [project]})
    return lambda: hooks.delete(id_, outputs)


def accepting(service: Simulator, receiver: SessionPool, backup: str, project: str) -> Call:
    service.share(backup, project)
    hooks = BackupShareAccepterController(receiver)
    return lambda: hooks.create({"backup_id": backup, "vault_id": service.vaults[0].id})


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize(
    ("writing", "method", "after"),
    [
        (making_a_member, "add_members", ["pending"]),
        (withdrawing_a_member, "delete_member", []),
        (making_a_set, "add_members", ["pending"]),
        (withdrawing_a_set, "delete_member", []),
        (accepting, "update_member", ["accepted"]),
    ],
)
def test_what_is_read_during_a_write_is_not_read_after_it(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, writing: Any, method: str, after: list[str], lost: bool
) -> None:
    owner = sessions(maxRetries=0)
    lists = owner.get(None).member_cache
    if writing is accepting:
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


def test_a_list_is_dropped_when_the_last_of_several_was_withdrawn(
    service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_share_that_a_slow_lost_try_made_is_ours(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was waited for so long that the share is older than all slack: it is as old as the try."""
    ticks = [0.0]
    hooks = BackupShareMemberController(sessions(Clock(clock=lambda: ticks[0], sleep=lambda seconds: None)))
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
def test_how_old_a_share_may_be_that_a_lost_try_made(service: Simulator, seconds: int, ours: bool) -> None:
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


def test_two_that_come_between_are_both_adopted(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_shares_that_are_taken_away_side_by_side_know_how_much_time_is_left(service: Simulator) -> None:
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


def test_a_set_that_becomes_exclusive_takes_others_away(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, (own, foreign) = service.backups[0].id, service.projects[:2]
    news = {"backup_id": backup, "dest_project_ids": [own]}
    id_, outputs = hooks.create(news)
    service.share(backup, foreign)
    hooks.update(id_, outputs, {**news, "exclusive": True})
    assert set(service.members(backup)) == {own}


def test_a_set_that_is_exclusive_no_longer_makes_no_call(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    news = {"backup_id": service.backups[0].id, "dest_project_ids": service.projects[:1]}
    id_, outputs = hooks.create({**news, "exclusive": True})
    service.clear_calls()
    assert hooks.update(id_, outputs, news)["members"] == outputs["members"]
    assert service.calls == []


def test_an_exclusive_set_announces_others_shares_alone(service: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    hooks = BackupShareController(sessions())
    backup, (kept, own, foreign) = service.backups[0].id, sorted(service.projects[:3])
    news = {"backup_id": backup, "dest_project_ids": [kept], "exclusive": True}
    id_, outputs = hooks.create({**news, "dest_project_ids": [kept, own]})
    service.share(backup, foreign)
    hooks.sessions.get(None).invalidate(backup)
    seen = found(hooks.read(id_, outputs))
    with heard(caplog):
        hooks.warn_before_change(id_, seen, {**news, "dest_project_ids": [kept, UNKNOWN]})
        assert caplog.messages == []
        hooks.warn_before_change(id_, seen, news)
    assert set(caplog.messages) == {f"backup {backup}: exclusive=True deletes the shares with {foreign}"}


def test_what_a_refresh_of_an_exclusive_set_listed_is_taken_over_where_it_is_declared(service: Simulator) -> None:
    hooks = BackupShareController(sessions())
    backup, (own, foreign) = service.backups[0].id, sorted(service.projects[:2])
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_ids": [own], "exclusive": True})
    service.share(backup, foreign)
    hooks.sessions.get(None).invalidate(backup)
    seen = found(hooks.read(id_, outputs))
    for exclusive in {"exclusive": True}, {}:
        news = {"backup_id": backup, "dest_project_ids": [own, foreign], **exclusive}
        assert "members" in hooks.diff(id_, seen, news).updates
        with pytest.raises(CbrError, match="already shared"):
            hooks.update(id_, seen, news)
        outputs = hooks.update(id_, seen, {**news, "adopt_existing": True})
        assert set(outputs["members"]) == {own, foreign}
        assert not hooks.diff(id_, outputs, {**news, "adopt_existing": True}).updates


def test_a_set_is_replaced_delete_first_where_the_backup_stays(service: Simulator) -> None:
    olds = {"backup_id": service.backups[0].id, "dest_project_ids": ["a" * 32], "members": {"a" * 32: {}}}
    assert BackupShareController(sessions()).diff("x", olds, olds).delete_first


# Previews that ask


def test_preflight_of_a_set_leaves_adoption_open_that_is_not_known_yet(service: Simulator) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    news = {"backup_id": backup, "dest_project_ids": [project]}
    assert hooks.check({}, {**news, "adopt_existing": UNKNOWN}).problems == []
    assert hooks.check({}, news).problems


def test_preflight_of_a_set_that_is_replaced_is_not_asked_twice(service: Simulator) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup, (a, b) = service.backups[0].id, service.projects[:2]
    service.share(backup, a)
    news = {"backup_id": backup, "dest_project_ids": sorted([a, b])}
    assert hooks.check({"backup_id": backup, "dest_project_ids": [a]}, news).problems == []
    assert hooks.check({}, news).problems == []


def test_preflight_of_an_encrypted_backup(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True))
    backup = service.set_backup(service.backups[0].id, encrypted=True).id
    (problem,) = hooks.check({}, {"backup_id": backup, "dest_project_id": service.projects[0]}).problems
    assert "is of encrypted disks" in problem.reason


def test_preflight_is_over_where_this_run_has_changed_a_backup(service: Simulator) -> None:
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


def test_preflight_does_not_go_by_what_was_there_before_a_change(
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
    with heard(caplog):
        exclusive = {"backup_id": other, "dest_project_ids": [b], "exclusive": True}
        assert several.check({}, exclusive).problems == []
    assert caplog.messages == []


@pytest.mark.parametrize(("method", "seconds"), [("show_backup", 100.0), ("list_members", 50.0)])
def test_who_joins_has_the_time_of_a_lists_call_or_of_a_looks_two(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, method: str, seconds: float
) -> None:
    shared = sessions(Clock(clock=lambda: 0.0), preflight=True, timeout=50)
    account, hooks = shared.get(None), BackupShareMemberController(shared)
    backup = service.backups[0].id
    waited: list[float] = []

    def wait(asked: Any, seconds: float) -> Any:
        waited.append(seconds)
        return futures.wait(asked, 30)

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


def test_a_look_from_before_a_change_that_fails_after_it_is_no_problem(
    service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True))
    account, backup = hooks.sessions.get(None), service.backups[0].id

    def fail(backup_id: str) -> Any:
        account.invalidate(backup_id)
        raise ServiceUnavailableError("no answer in time")

    monkeypatch.setattr(account.client, "show_backup", fail)
    assert hooks.check({}, {"backup_id": backup, "dest_project_id": service.projects[0]}).problems == []


def test_what_one_account_has_changed_no_other_goes_by(service: Simulator) -> None:
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
def test_preflight_looks_at_an_exclusive_set_where_something_changes(
    service: Simulator, before: dict[str, Any], looks: int
) -> None:
    hooks = BackupShareController(sessions(preflight=True))
    backup = service.backups[0].id
    news = {"backup_id": backup, "dest_project_ids": service.projects[:2], "exclusive": True}
    olds = {**news, **before, "dest_project_ids": service.projects[: before.get("dest_project_ids", 2)]}
    assert hooks.check(olds, news).problems == []
    assert service.count("GET", backup) == looks


def test_a_look_that_failed_is_made_again(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions(preflight=True, maxRetries=0))
    news = {"backup_id": service.backups[0].id, "dest_project_id": service.projects[0]}
    service.faults.add(Fault("status_before", "GET", news["backup_id"]))
    assert hooks.check({}, news).problems
    assert hooks.check({}, news).problems == []


@pytest.mark.parametrize("missing", [False, True])
def test_a_look_that_was_refused_is_not_made_again(service: Simulator, missing: bool) -> None:
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


def test_an_acceptance_that_cannot_be_seen_is_not_gone(
    service: Simulator, hidden: BackupShareAccepterController
) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    id_, outputs = hidden.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    service.deny("cbr:backups:get", "receiver")
    with pytest.raises(NotAllowed, match="cbr:backups:get"):
        hidden.read(id_, outputs)


def test_a_refused_acceptance_says_why_where_the_share_cannot_be_seen(
    service: Simulator, hidden: BackupShareAccepterController
) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    service.reject(backup, service.projects[0])
    with pytest.raises(UnexpectedResponseError, match="6708"):
        hidden.create({"backup_id": backup, "vault_id": service.vaults[3].id})


def test_an_acceptance_read_by_an_id_in_capitals_has_its_right_one(
    service: Simulator, hidden: BackupShareAccepterController
) -> None:
    backup = service.backups[0].id
    service.share(backup, service.projects[0])
    id_, outputs = hidden.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    reading = hidden.read(id_.upper(), outputs)
    assert reading
    assert reading.id == id_


def test_an_acceptance_that_is_right_makes_no_call_in_an_update(
    service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    sign_in(monkeypatch, service.env("receiver"))
    hooks = BackupShareAccepterController(sessions())
    id_, outputs = hooks.create({"backup_id": backup, "vault_id": service.vaults[0].id})
    service.clear_calls()
    assert hooks.update(id_, outputs, {name: outputs[name] for name in ("backup_id", "vault_id")}) == outputs
    assert service.calls == []


# What the user is told


def test_a_share_that_an_image_holds_is_told_in_sentences(service: Simulator) -> None:
    hooks = BackupShareMemberController(sessions())
    backup, project = service.backups[0].id, service.projects[0]
    id_, outputs = hooks.create({"backup_id": backup, "dest_project_id": project})
    image = service.register_image(backup, project)
    with pytest.raises(CbrError, match=rf"then run again\. The image is {image}$"):
        hooks.delete(id_, outputs)


def test_what_could_not_be_taken_away_has_its_cause(service: Simulator) -> None:
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
def test_an_update_refuses_a_cloud_that_cannot_be_used(service: Simulator, lifecycle: type[Controller]) -> None:
    project = "a" * 32
    olds = {
        "backup_id": service.backups[0].id,
        "dest_project_ids": [project],
        "members": {project: {}},
        "status": "accepted",
    }
    with pytest.raises(CbrError, match="nowhere"):
        lifecycle(sessions()).update("x", olds, {**olds, "cloud": "nowhere"})
