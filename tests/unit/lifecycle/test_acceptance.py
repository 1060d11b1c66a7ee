"""Waiting until the receivers have decided: when it ends, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.failures import IncompleteResourceError
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in


@dataclass
class FakeTime:
    """A clock that moves only when somebody sleeps; each sleep runs one of `events`."""

    now: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    events: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        if self.events:
            self.events.pop(0)()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def sessions(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, time: FakeTime) -> SessionPool:
    sign_in(monkeypatch, cbr_simulator.env())
    return SessionPool(
        lambda name: None, Clock(monotonic=lambda: time.now, sleep=time.sleep, random_fraction=lambda: 0.0)
    )


def create(sessions: SessionPool, simulator: Simulator, wait: Any, projects: int = 1) -> dict[str, Any]:
    """Share the first backup, as a member or as a set, and wait."""
    backup = simulator.backups[0].id
    inputs: dict[str, Any] = {"backup_id": backup, "wait_for_acceptance": wait}
    if projects == 1:
        return BackupShareMemberController(sessions).create({**inputs, "dest_project_id": simulator.projects[0]})[1]
    return BackupShareController(sessions).create({**inputs, "dest_project_ids": simulator.projects[:projects]})[1]


def test_create_waits_until_the_receiver_accepts(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime
) -> None:
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    time.events = [lambda: None, lambda: cbr_simulator.accept(backup, project)]
    outputs = create(sessions, cbr_simulator, "15m")
    assert outputs["status"] == "accepted"
    assert outputs["vault_id"] == cbr_simulator.members(backup)[project].vault_id
    assert outputs["wait_for_acceptance"] == "15m"
    assert time.sleeps == [1.0, 2.0]


@pytest.mark.parametrize("projects", [1, 2])
def test_create_waits_for_shares_that_are_not_visible_yet(
    monkeypatch: pytest.MonkeyPatch, time: FakeTime, projects: int
) -> None:
    with Simulator(visible_after_reads=1, accept_after_reads=2) as simulator:
        sign_in(monkeypatch, simulator.env())
        clock = Clock(monotonic=lambda: time.now, sleep=time.sleep, random_fraction=lambda: 0.0)
        outputs = create(SessionPool(lambda name: None, clock), simulator, "15m", projects)
    members = outputs.get("members", {"": outputs})
    assert {member["status"] for member in members.values()} == {"accepted"}


def test_create_of_a_set_waits_for_every_receiver(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime
) -> None:
    backup = cbr_simulator.backups[0].id
    time.events = [
        lambda project=project: cbr_simulator.accept(backup, project)  # type: ignore[misc]
        for project in cbr_simulator.projects[:3]
    ]
    outputs = create(sessions, cbr_simulator, 900.0, projects=3)
    assert {member["status"] for member in outputs["members"].values()} == {"accepted"}
    assert time.sleeps == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("projects", [1, 2])
def test_create_that_nobody_accepts_keeps_the_share(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime, projects: int
) -> None:
    with pytest.raises(IncompleteResourceError, match="after 60 s; the share stays") as failed:
        create(sessions, cbr_simulator, "1m", projects)
    assert sum(time.sleeps) == 60
    backup = cbr_simulator.backups[0].id
    assert failed.value.id.partition("/")[0] == backup
    assert len(cbr_simulator.members(backup)) == projects
    members = failed.value.outputs.get("members", {cbr_simulator.projects[0]: failed.value.outputs})
    assert {member["status"] for member in members.values()} == {"pending"}
    assert all(member["share_id"] for member in members.values())


@pytest.mark.parametrize("projects", [1, 2])
def test_rejection_ends_the_wait_at_once(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime, projects: int
) -> None:
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    time.events = [lambda: cbr_simulator.reject(backup, project)]
    with pytest.raises(IncompleteResourceError, match=f"was rejected by {project}; the share stays") as failed:
        create(sessions, cbr_simulator, "15m", projects)
    assert time.sleeps == [1.0]
    outputs = failed.value.outputs
    assert (outputs if projects == 1 else outputs["members"][project])["status"] == "rejected"


def test_share_that_is_deleted_meanwhile_ends_the_wait(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime
) -> None:
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    time.events = [lambda: cbr_simulator.withdraw(backup, project)]
    with pytest.raises(IncompleteResourceError, match="was deleted meanwhile"):
        create(sessions, cbr_simulator, 900)


def test_failed_read_keeps_the_share(cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime) -> None:
    time.events = [lambda: cbr_simulator.deny("cbr:member:get")]
    with pytest.raises(IncompleteResourceError, match="failed; the share stays: ") as failed:
        create(sessions, cbr_simulator, 900)
    assert failed.value.outputs["status"] == "pending"


def test_cancelled_wait_keeps_the_share(cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime) -> None:
    def cancel() -> None:
        raise CbrError("cancelled")

    time.events = [cancel]
    with pytest.raises(IncompleteResourceError, match="failed; the share stays: cancelled"):
        create(sessions, cbr_simulator, 900)


def test_update_waits_only_for_what_is_not_accepted(
    cbr_simulator: Simulator, sessions: SessionPool, time: FakeTime
) -> None:
    backup, (one, two) = cbr_simulator.backups[0].id, cbr_simulator.projects[:2]
    outputs = create(sessions, cbr_simulator, None, projects=2)
    cbr_simulator.accept(backup, one)
    outputs["members"][one]["status"] = "accepted"
    # Nobody looks at a share that was accepted.
    cbr_simulator.withdraw(backup, one)
    time.events = [lambda: cbr_simulator.accept(backup, two)]
    inputs = {"backup_id": backup, "dest_project_ids": sorted([one, two]), "wait_for_acceptance": 60}
    updated = BackupShareController(sessions).update(backup, outputs, inputs)
    assert updated["members"][two]["status"] == "accepted"
    assert time.sleeps == [1.0]
    cbr_simulator.clear_calls()
    assert BackupShareController(sessions).update(backup, updated, inputs) == updated
    assert cbr_simulator.calls == []


@pytest.mark.parametrize(
    ("value", "checked"),
    [(None, None), (0, None), ("0", None), ("15m", "15m"), (" 15m ", "15m"), (900.0, 900.0)],
)
def test_check_keeps_a_duration_and_leaves_out_none(
    cbr_simulator: Simulator, sessions: SessionPool, value: Any, checked: Any
) -> None:
    news = {"backup_id": cbr_simulator.backups[0].id, "dest_project_id": cbr_simulator.projects[0]}
    result = BackupShareMemberController(sessions).check({}, {**news, "wait_for_acceptance": value})
    assert result.problems == []
    assert result.inputs.get("wait_for_acceptance") == checked
    assert ("wait_for_acceptance" in result.inputs) is (checked is not None)


@pytest.mark.parametrize("value", ["soon", -1, True, [5]])
def test_check_refuses_what_is_no_duration(cbr_simulator: Simulator, sessions: SessionPool, value: Any) -> None:
    news = {"backup_id": cbr_simulator.backups[0].id, "dest_project_ids": [cbr_simulator.projects[0]]}
    (problem,) = BackupShareController(sessions).check({}, {**news, "wait_for_acceptance": value}).problems
    assert problem.property == "wait_for_acceptance"
    assert "must be seconds, or a text such as 15m" in problem.reason
