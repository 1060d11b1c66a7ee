"""Sharing several projects at once, and telling what was there before: what one member alone does not show."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import AlreadyShared, CbrError, NotShareable, UnknownOutcomeError
from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.failures import UnverifiedSharesError
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.reconcile import roll_back
from pulumi_cbr.lifecycle.session import CloudSession, SessionPool
from pulumi_cbr.lifecycle.share_state import is_foreign, share_outputs
from pulumi_cbr.lifecycle.shares import (
    DeleteResult,
    PartialFailure,
    announce_and_delete,
    create_shares,
    delete_share,
    delete_shares,
    read_each_share,
)
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in

WAITED: list[float] = []
#: What happens elsewhere while this side waits, one after another.
MEANWHILE: list[Callable[[], object]] = []


def wait(seconds: float) -> None:
    WAITED.append(seconds)
    if MEANWHILE:
        MEANWHILE.pop()()


@pytest.fixture
def service() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


#: The resource of the current request.
URN = [""]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ownership]:
    """The claims of one operation of an engine that accepts connections."""
    URN[:] = ["drops"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as engine:
        claims = Ownership(lambda: URN[0])
        claims.join(f"127.0.0.1:{engine.getsockname()[1]}")
        yield claims
        claims.leave()


@pytest.fixture
def account(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> CloudSession:
    sign_in(monkeypatch, service.env())
    WAITED.clear()
    return SessionPool({"maxRetries": 2}.get, Clock(sleep=wait)).get(None)


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncated", "malformed", "timeout"])
def test_several_at_once(account: CloudSession, service: Simulator, kind: str) -> None:
    backup, wanted = service.backups[0].id, service.projects[:5]
    fault = Fault("status_after", status=504) if kind == "timeout" else Fault(kind)
    service.faults.add(fault)
    assert set(create_shares(account, backup, wanted).created) == set(wanted) == set(service.members(backup))


def test_what_the_answer_leaves_out_is_looked_for(account: CloudSession, service: Simulator) -> None:
    backup, wanted = service.backups[0].id, service.projects[:3]
    service.faults.add(Fault("malformed", body={"members": [], "count": 0}))
    assert set(create_shares(account, backup, wanted).created) == set(wanted)
    assert service.count("POST", "/members$") == 1


@pytest.mark.parametrize("body", [{"members": []}, "no JSON"])
def test_share_created_during_a_wait_is_foreign(account: CloudSession, service: Simulator, body: object) -> None:
    """The first request is throttled. The response to the second one is a success that does not show the share."""
    backup, project, elapsed = service.backups[0].id, service.projects[0], [0.0]

    def wait_beside_a_colleague(seconds: float) -> None:
        if not elapsed[0]:
            service.share(backup, project)
            service.advance(30)
            elapsed[0] = 30

    clock = Clock(sleep=wait_beside_a_colleague, monotonic=lambda: elapsed[0])
    session = SessionPool({"maxRetries": 2}.get, clock).get(None)
    session.client.project_id()
    service.faults.add(Fault("throttle"))
    service.faults.add(Fault("status_before", status=200, body=body, nth=2))
    with pytest.raises(CbrError, match="already shared"):
        create_shares(session, backup, [project])


def test_what_another_took_meanwhile_does_not_stop_the_rest(account: CloudSession, service: Simulator) -> None:
    """The first try was lost; before the second, another stack shares with one of the projects."""
    backup, wanted = service.backups[0].id, service.projects[:3]
    service.faults.add(Fault("reset_before"))
    MEANWHILE.append(lambda: service.share(backup, wanted[0]))
    assert set(create_shares(account, backup, wanted).created) == set(wanted) == set(service.members(backup))


def test_what_is_left_out_for_ever_is_told(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    service.faults.add(Fault("status_before", status=200, body={"members": []}))
    with pytest.raises(CbrError, match=f"with {project} failed: the service accepted the request, but does not show"):
        create_shares(account, backup, [project])
    assert WAITED == [0.2, 0.4, 0.8, 1.6]


def test_a_half_is_told_as_a_half(account: CloudSession, service: Simulator) -> None:
    backup, (one, two) = service.backups[0].id, service.projects[:2]
    made = service.share(backup, one)
    answer = {
        "id": made.id,
        "status": "pending",
        "backup_id": backup,
        "dest_project_id": one,
        "created_at": datetime.now(timezone.utc).isoformat(),
    }
    service.faults.add(Fault("status_before", status=200, body={"members": [answer]}))
    with pytest.raises(PartialFailure) as raised:
        create_shares(account, backup, [one, two])
    assert set(raised.value.created) == {one}


@pytest.mark.parametrize("status", [401, 403, 503])
def test_lost_create_that_is_refused_afterwards_may_be_made(
    account: CloudSession, service: Simulator, status: int
) -> None:
    """The first request may still be carried out: only a code of the service itself says that it was not."""
    backup, project = service.backups[0].id, service.projects[0]
    service.faults.add(Fault("reset_before"))
    service.faults.add(Fault("status_before", status=status, nth=2, times=None))
    with pytest.raises(UnverifiedSharesError) as raised:
        create_shares(account, backup, [project])
    assert raised.value.unverified.keys() == {project}


def test_create_lost_then_refused_created_nothing(account: CloudSession, service: Simulator) -> None:
    service.faults.add(Fault("reset_before"))
    service.faults.add(Fault("refuse", code=6702, nth=2))
    with pytest.raises(NotShareable):
        create_shares(account, service.backups[0].id, service.projects[:1])


def test_half_found_after_lost_creates_keeps_both_halves(account: CloudSession, service: Simulator) -> None:
    backup, (one, two) = service.backups[0].id, service.projects[:2]
    service.faults.add(Fault("reset_before", times=None))
    MEANWHILE.append(lambda: service.share(backup, one))
    with pytest.raises(UnverifiedSharesError) as raised:
        create_shares(account, backup, [one, two])
    assert (set(raised.value.created), set(raised.value.unverified)) == ({one}, {two})


def test_create_lost_then_cancelled_keeps_the_share(account: CloudSession, service: Simulator) -> None:
    def cancel() -> None:
        raise CbrError("cancelled")

    service.faults.add(Fault("reset_before", times=None))
    MEANWHILE.append(cancel)
    with pytest.raises(UnverifiedSharesError, match="cancelled"):
        create_shares(account, service.backups[0].id, service.projects[:1])


@pytest.mark.parametrize("dated", [True, False])
def test_end_of_a_lost_create_is_told_by_the_services_clock_only(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, dated: bool
) -> None:
    """This machine's clock may be behind: the share would be taken for a later one, and left."""
    given = {
        "token": "t",
        "projectId": service.owner.project_id,
        "endpoint": service.url,
        "insecure": True,
        "maxRetries": 0,
    }
    monkeypatch.setattr(CbrClient, "knows_service_time", lambda client: dated)
    session = SessionPool(given.get, Clock(sleep=wait)).get(None)
    service.faults.add(Fault("reset_before", "*", "", times=None))
    with pytest.raises(UnverifiedSharesError) as raised:
        create_shares(session, service.backups[0].id, service.projects[:1])
    (known,) = raised.value.unverified.values()
    assert ("updated_at" in known) is dated
    # Nor is it known when a rollback gave up.
    made = service.share(service.backups[0].id, service.projects[1])
    member = Member(made.id, "pending", made.backup_id, made.dest_project_id, datetime.now(timezone.utc))
    with pytest.raises(UnverifiedSharesError) as failed:
        roll_back(session, made.backup_id, {made.dest_project_id: member}, CbrError("refused"))
    (known,) = failed.value.unverified.values()
    assert ("updated_at" in known) is dated


def test_sign_in_tells_the_services_time(account: CloudSession) -> None:
    assert not account.client.knows_service_time()
    account.client.project_id()
    assert account.client.endpoint()
    assert account.client.knows_service_time()


SENT = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
GIVEN_UP = SENT + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("known", "made", "foreign"),
    [
        ((SENT, GIVEN_UP), SENT - timedelta(seconds=6), True),
        ((SENT, GIVEN_UP), SENT - timedelta(seconds=4), False),
        ((SENT, GIVEN_UP), GIVEN_UP + timedelta(minutes=4), False),
        ((SENT, GIVEN_UP), GIVEN_UP + timedelta(minutes=6), True),
        ((SENT, None), SENT + timedelta(days=9), False),
        ((None, None), SENT, True),
    ],
)
def test_share_of_another_time_than_its_create_is_foreign(
    known: tuple[datetime | None, datetime | None], made: datetime, foreign: bool
) -> None:
    state = {name: time.isoformat() for name, time in zip(("created_at", "updated_at"), known, strict=True) if time}
    assert is_foreign(state, Member("s", "pending", "b", "p", made)) is foreign


def test_answered_share_without_a_time_is_new(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    answer = {"id": "8f2c9a7e", "status": "pending", "backup_id": backup, "dest_project_id": project}
    service.faults.add(Fault("status_before", status=200, body={"members": [answer]}))
    assert set(create_shares(account, backup, [project]).created) == {project}


@pytest.mark.parametrize(("code", "status"), [("6701", 400), ("6200", 404)])
def test_unsure_refusal_after_lost_create_is_unknown(
    account: CloudSession, service: Simulator, code: str, status: int
) -> None:
    """The lost request may itself have taken the last place, or the refusal is wrong: the backup exists."""
    body = {"error_code": f"BackupService.{code}", "error_msg": "refused"}
    service.faults.add(Fault("reset_before", "POST", "/members"))
    service.faults.add(Fault("status_before", "POST", "/members", status=status, body=body, times=None))
    with pytest.raises(UnverifiedSharesError, match=code) as failed:
        create_shares(account, service.backups[0].id, service.projects[:1])
    assert set(failed.value.unverified) == set(service.projects[:1])


def test_delete_not_found_and_failed_read_is_unknown(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    known = {"share_id": service.share(backup, project).id}
    not_found = {"error_code": "BackupService.6705", "error_msg": "no member"}
    service.faults.add(Fault("status_before", "DELETE", "/members/", status=404, body=not_found))
    service.faults.add(Fault("status_before", "GET", f"/members/{project}$", status=503, times=None))
    with pytest.raises(UnknownOutcomeError):
        delete_share(account, backup, project, known)
    assert project in service.members(backup)


def test_announced_delete_kept_by_another_resource_stays(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, service.env())
    backup, project, urn = service.backups[0].id, service.projects[0], "keeps"
    log = Ownership(lambda: urn)
    account = SessionPool({"maxRetries": 2}.get, Clock(sleep=wait), ownership=log).get(None)
    known = {"share_id": service.share(backup, project).id}
    log.record_declared(is_new=False)
    log.keep(backup, project, known["share_id"])
    urn = "drops"
    announce_and_delete(account, backup, project, known)
    assert project in service.members(backup)


@pytest.mark.parametrize(("code", "backup_status"), [(6200, 200), (6200, 503), (6200, 404), (6705, 503)])
@pytest.mark.parametrize("is_carried_out", [True, False])
def test_delete_with_a_wrong_not_found_stays_claimed(
    service: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    log: Ownership,
    code: int,
    backup_status: int,
    is_carried_out: bool,
) -> None:
    """The first response is lost. The second one is not confirmed, so another resource cannot keep the share."""
    sign_in(monkeypatch, service.env())
    backup, project = service.backups[0].id, service.projects[0]
    account = SessionPool({"maxRetries": 2}.get, Clock(sleep=wait), ownership=log).get(None)
    known = {project: {"share_id": service.share(backup, project).id, "created_at": SENT.isoformat()}}
    result = DeleteResult(remaining=dict(known))
    service.faults.add(Fault("reset_after" if is_carried_out else "reset_before", "DELETE", "/members/"))
    service.faults.add(Fault("refuse", "DELETE", "/members/", code=code, nth=2))
    if backup_status != 200:
        for path in (f"/backups/{backup}$", f"/members/{project}$"):
            service.faults.add(Fault("status_before", "GET", path, status=backup_status, times=None))
    with pytest.raises(UnknownOutcomeError):
        delete_shares(account, backup, known, result=result)
    assert result.deleted == []
    assert result.remaining == known
    URN[:] = ["keeps"]
    log.record_declared(is_new=False)
    with pytest.raises(CbrError, match="another resource of this stack deletes it"):
        log.keep(backup, project, known[project]["share_id"])


def test_delete_of_a_backup_that_is_gone_confirms_it(account: CloudSession, service: Simulator) -> None:
    """The list's "not found" is confirmed once for all shares, and that of each DELETE once.

    A delete that begins after another has ended lists again.
    """
    backup, projects = service.backups[0].id, service.projects[:3]
    known = {project: {"share_id": service.share(backup, project).id} for project in projects}
    service.delete_backup(backup)
    delete_shares(account, backup, known)
    lists = service.count("GET", "/members")
    assert 1 <= lists <= len(projects)
    assert (service.count("GET", f"/backups/{backup}$"), service.count("DELETE")) == (
        lists + len(projects),
        len(projects),
    )


def test_nothing_is_looked_up_where_the_first_try_is_refused(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    with pytest.raises(AlreadyShared):
        create_shares(account, backup, [project])
    assert (service.count("GET", "/members"), WAITED) == (0, [])


def test_outputs_keep_the_states_text_of_an_equal_instant() -> None:
    made = datetime(2026, 5, 1, 1, 2, 3, 400000, tzinfo=timezone.utc)
    member = Member("id", "pending", "b", "p", made, updated_at=made)
    for before in "2026-05-01T01:02:03+00:00", "2026-05-01T01:02:03.4", "2026-05-01T03:02:04+02:00":
        outputs = share_outputs(member, {"created_at": before, "updated_at": before})
        assert (outputs["created_at"], outputs["updated_at"]) == (before, before)
    for other in "2026-05-01T01:02:05+00:00", "never", None, 7:
        assert share_outputs(member, {"created_at": other})["created_at"] == "2026-05-01T01:02:03+00:00"
    assert share_outputs(replace(member, updated_at=None), {"updated_at": made.isoformat()}).keys() == {
        "share_id",
        "status",
        "created_at",
    }


@pytest.mark.parametrize(("seconds", "looks"), [(30, 5), (90, 0)])
def test_only_a_young_share_is_looked_for_again(
    account: CloudSession, service: Simulator, seconds: int, looks: int
) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    account.client.list_members(backup)
    made = account.client.service_now() - timedelta(seconds=seconds)
    assert read_each_share(account, backup, {project: made.isoformat()}) == {}
    assert service.count("GET", f"/members/{project}$") == looks + 1
