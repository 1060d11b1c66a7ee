"""Sharing several projects at once, and telling what was there before: what one member alone does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pulumi_cbr.api.errors import AlreadyShared, CbrError, UnknownOutcomeError
from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.session import CloudSession, SessionPool
from pulumi_cbr.lifecycle.shares import (
    PartialFailure,
    create_shares,
    delete_share,
    delete_shares,
    find_unlisted,
    share_outputs,
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


def test_answered_share_without_a_time_is_new(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    answer = {"id": "8f2c9a7e", "status": "pending", "backup_id": backup, "dest_project_id": project}
    service.faults.add(Fault("status_before", status=200, body={"members": [answer]}))
    assert set(create_shares(account, backup, [project]).created) == {project}


def test_delete_not_found_and_failed_look_is_unknown(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    known = {"share_id": service.share(backup, project).id}
    not_found = {"error_code": "BackupService.6705", "error_msg": "no member"}
    service.faults.add(Fault("status_before", "DELETE", "/members/", status=404, body=not_found))
    service.faults.add(Fault("status_before", "GET", f"/members/{project}$", status=503, times=None))
    assert isinstance(delete_share(account, backup, project, known), UnknownOutcomeError)
    assert project in service.members(backup)


def test_delete_of_a_backup_that_is_gone_asks_for_it_twice(account: CloudSession, service: Simulator) -> None:
    """The list's "not found" is confirmed once for all shares, and that of each DELETE once."""
    backup, projects = service.backups[0].id, service.projects[:3]
    known = {project: {"share_id": service.share(backup, project).id} for project in projects}
    service.delete_backup(backup)
    delete_shares(account, backup, known)
    assert service.count("GET", f"/backups/{backup}$") == 1 + len(projects)
    assert (service.count("GET", "/members"), service.count("DELETE")) == (1, len(projects))


def test_nothing_is_looked_up_where_the_first_try_is_refused(account: CloudSession, service: Simulator) -> None:
    backup, project = service.backups[0].id, service.projects[0]
    service.share(backup, project)
    with pytest.raises(AlreadyShared):
        create_shares(account, backup, [project])
    assert (service.count("GET", "/members"), WAITED) == (0, [])


def test_outputs_keep_the_words_of_the_state_for_the_same_instant() -> None:
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
    assert find_unlisted(account, backup, {project: made.isoformat()}) == {}
    assert service.count("GET", f"/members/{project}$") == looks + 1
