"""Sharing several projects at once, and telling what was there before: what one member alone does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pulumi_cbr.api.errors import AlreadyShared, CbrError
from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.session import CloudSession, SessionPool
from pulumi_cbr.lifecycle.shares import PartialFailure, create_shares, find_unlisted, share_outputs
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
    return SessionPool({"maxRetries": 2}.get, Clock(sleep=wait)).of(None)


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
