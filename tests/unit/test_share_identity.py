"""A share is told by its ID, and is gone only if the service says so twice: lists that lie, and shares made again by others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.controller import Controller
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator() as running:
        sign_in(monkeypatch, running.env("owner"))
        yield running


@pytest.fixture
def pool() -> SessionPool:
    return new_pool()


def new_pool(**config: object) -> SessionPool:
    return SessionPool(config.get, Clock(sleep=lambda seconds: None))


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Return what the user was told until then."""
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(caplog.handler)
    # A handler of pytest may be heard twice: the logger may pass on to its parents.
    yield lambda: list(dict.fromkeys(caplog.messages))
    logger.removeHandler(caplog.handler)


KINDS: dict[str, tuple[type[Controller], Callable[[str, str], dict[str, Any]]]] = {
    "member": (BackupShareMemberController, lambda backup, project: {"backup_id": backup, "dest_project_id": project}),
    "set": (BackupShareController, lambda backup, project: {"backup_id": backup, "dest_project_ids": [project]}),
}


class Managed:
    """One share that a resource of some kind has had for an hour."""

    def __init__(self, kind: str, service: Simulator, pool: SessionPool) -> None:
        controller, inputs = KINDS[kind]
        self.controller = controller(pool)
        self.backup, self.project = service.backups[0].id, service.projects[0]
        self.inputs = inputs(self.backup, self.project)
        self.id, self.outputs = self.controller.create(self.inputs)
        service.advance(3600)
        service.clear_calls()
        pool.get(None).invalidate(self.backup)

    @property
    def share_id(self) -> str:
        found: str = (self.outputs.get("members", {}).get(self.project) or self.outputs)["share_id"]
        return found

    def read(self) -> dict[str, Any] | None:
        """Return the share's outputs; None if it is gone."""
        state = self.controller.read(self.id, self.outputs)
        if state is None:
            return None
        return state.outputs["members"].get(self.project) if "members" in state.outputs else dict(state.outputs)


@pytest.fixture(params=KINDS)
def managed(request: pytest.FixtureRequest, service: Simulator, pool: SessionPool) -> Managed:
    return Managed(request.param, service, pool)


def wrong_lists(managed: Managed) -> dict[str, dict[str, Any]]:
    member = {
        "id": managed.share_id,
        "status": "pending",
        "backup_id": managed.backup,
        "created_at": "2020-01-01T00:00:00Z",
    }
    dashed = f"{managed.project[:8]}-{managed.project[8:12]}-{managed.project[12:16]}-{managed.project[16:20]}-{managed.project[20:]}"
    return {
        "empty": {"body": {"members": [], "count": 0}},
        "empty without a count": {"body": {"members": []}},
        "capitals": {"body": {"members": [{**member, "dest_project_id": managed.project.upper()}], "count": 1}},
        "dashes": {"body": {"members": [{**member, "dest_project_id": dashed}], "count": 1}},
        "another project": {"body": {"members": [{**member, "dest_project_id": "f" * 32}], "count": 1}},
        "no such backup": {"status": 404, "body": {"error_code": "BackupService.6200", "error_msg": "no"}},
        "no such member": {"status": 404, "body": {"error_code": "BackupService.6705", "error_msg": "no"}},
    }


@pytest.mark.parametrize(
    "name",
    ["empty", "empty without a count", "capitals", "dashes", "another project", "no such backup", "no such member"],
)
def test_read_one_wrong_list_keeps_the_share(managed: Managed, service: Simulator, name: str) -> None:
    fault = {"status": 200, **wrong_lists(managed)[name]}
    service.faults.add(Fault("status_before", "GET", "/members$", **fault))
    found = managed.read()
    assert found
    assert found["share_id"] == managed.share_id


@pytest.mark.parametrize("body", [{"members": [], "count": 2}, {"members": [{"id": "x"}], "count": 0}])
def test_read_contradictory_count_is_an_error(managed: Managed, service: Simulator, body: dict[str, Any]) -> None:
    service.faults.add(Fault("status_before", "GET", "/members$", status=200, body=body))
    with pytest.raises(CbrError):
        managed.read()


def test_read_backup_with_hidden_members_is_an_error(managed: Managed, service: Simulator) -> None:
    no = {"error_code": "BackupService.6200", "error_msg": "no"}
    service.faults.add(Fault("status_before", "GET", "/members", times=None, status=404, body=no))
    with pytest.raises(CbrError, match=r"shows the backup, but not its members|but backup .* exists"):
        managed.read()


@pytest.mark.parametrize("permitted", [True, False])
def test_read_deleted_backup_is_gone(managed: Managed, service: Simulator, permitted: bool) -> None:
    service.delete_backup(managed.backup)
    if not permitted:
        service.deny("cbr:backups:get")
    assert managed.read() is None


def test_read_share_of_a_deleted_project_is_gone(managed: Managed, service: Simulator) -> None:
    service.withdraw(managed.backup, managed.project)
    assert managed.read() is None


# Shares that somebody else made again


def make_again(managed: Managed, service: Simulator) -> str:
    service.withdraw(managed.backup, managed.project)
    return service.share(managed.backup, managed.project).id


def test_read_share_made_again_is_gone_and_warns(
    managed: Managed, service: Simulator, warnings: Callable[[], list[str]]
) -> None:
    new_id = make_again(managed, service)
    assert managed.read() is None
    (warning,) = warnings()
    assert managed.share_id in warning
    assert new_id in warning


def test_delete_share_made_again_stays(managed: Managed, service: Simulator, warnings: Callable[[], list[str]]) -> None:
    new_id = make_again(managed, service)
    managed.controller.delete(managed.id, managed.outputs)
    assert service.members(managed.backup)[managed.project].id == new_id
    (warning,) = warnings()
    assert managed.share_id in warning
    assert new_id in warning


@pytest.mark.parametrize("how", ["input", "setting"])
@pytest.mark.parametrize("kind", KINDS)
def test_delete_share_made_again_is_deleted_if_adopting(kind: str, how: str, service: Simulator) -> None:
    managed = Managed(kind, service, new_pool(**({"adoptExisting": True} if how == "setting" else {})))
    make_again(managed, service)
    managed.controller.delete(managed.id, {**managed.outputs, **({"adopt_existing": True} if how == "input" else {})})
    assert service.members(managed.backup) == {}


def test_delete_share_hidden_by_an_empty_list_stays(managed: Managed, service: Simulator) -> None:
    make_again(managed, service)
    service.faults.add(Fault("status_before", "GET", "/members$", status=200, body={"members": [], "count": 0}))
    managed.controller.delete(managed.id, managed.outputs)
    assert set(service.members(managed.backup)) == {managed.project}


def test_delete_share_that_cannot_be_identified_is_an_error(managed: Managed, service: Simulator) -> None:
    service.deny("cbr:member:list")
    service.deny("cbr:member:get")
    with pytest.raises(CbrError, match=r"its ID could not be checked\. Nothing was deleted"):
        managed.controller.delete(managed.id, managed.outputs)
    assert set(service.members(managed.backup)) == {managed.project}


def test_delete_set_without_a_list_names_all_its_shares(service: Simulator, pool: SessionPool) -> None:
    projects = sorted(service.projects[:3])
    inputs = {"backup_id": service.backups[0].id, "dest_project_ids": projects}
    controller = BackupShareController(pool)
    id_, outputs = controller.create(inputs)
    pool.get(None).invalidate(id_)
    service.faults.add(
        Fault("status_before", "GET", "/members$", status=400, body={"error_code": "X", "error_msg": "no"})
    )
    with pytest.raises(CbrError, match="Nothing was deleted") as refused:
        controller.delete(id_, outputs)
    text = str(refused.value)
    assert [project for project in projects if project not in text] == []
    assert f"Also not deleted: {projects[1]}, {projects[2]}" in text
    assert set(service.members(id_)) == set(projects)


@pytest.mark.parametrize("action", ["cbr:member:list", "cbr:member:get"])
def test_delete_needs_one_permission_to_read(managed: Managed, service: Simulator, action: str) -> None:
    service.deny(action)
    managed.controller.delete(managed.id, managed.outputs)
    assert service.members(managed.backup) == {}


@pytest.mark.parametrize(("kind", "hook"), [("member", "delete"), ("set", "delete"), ("set", "update")])
def test_delete_that_was_unknown_succeeds_again(kind: str, hook: str, service: Simulator, pool: SessionPool) -> None:
    """The first run's request was carried out. The next one needs no refresh: "not found" means deleted."""
    managed = Managed(kind, service, pool)
    news = {**managed.inputs, "dest_project_ids": [service.projects[1]]}

    def run() -> None:
        if hook == "delete":
            managed.controller.delete(managed.id, managed.outputs)
        else:
            managed.controller.update(managed.id, managed.outputs, news)

    service.faults.add(Fault("reset_after", "DELETE", f"/members/{managed.project}"))
    service.faults.add(Fault("status_before", "DELETE", f"/members/{managed.project}", nth=2, times=None, status=503))
    with pytest.raises(CbrError):
        run()
    assert service.members(managed.backup) == {}
    service.faults.clear()
    # The state of a failed delete is the old one, with the share.
    run()
    assert set(service.members(managed.backup)) == ({service.projects[1]} if hook == "update" else set())


def test_delete_wrong_not_found_is_an_error(managed: Managed, service: Simulator) -> None:
    no = {"error_code": "BackupService.6705", "error_msg": "no"}
    service.faults.add(Fault("status_before", "DELETE", "/members/", status=404, body=no))
    with pytest.raises(CbrError, match="said that it does not exist, but shows it"):
        managed.controller.delete(managed.id, managed.outputs)
    managed.controller.delete(managed.id, managed.outputs)
    assert service.members(managed.backup) == {}


def test_update_share_made_again_stays(
    service: Simulator, pool: SessionPool, warnings: Callable[[], list[str]]
) -> None:
    managed = Managed("set", service, pool)
    new_id = make_again(managed, service)
    other = service.projects[1]
    managed.controller.update(managed.id, managed.outputs, {**managed.inputs, "dest_project_ids": [other]})
    assert service.members(managed.backup)[managed.project].id == new_id
    assert new_id in warnings()[0]


def test_update_rejected_share_is_made_again(
    service: Simulator, pool: SessionPool, warnings: Callable[[], list[str]]
) -> None:
    managed = Managed("set", service, pool)
    service.reject(managed.backup, managed.project)
    state = managed.controller.read(managed.id, managed.outputs)
    assert state
    managed.controller.after_diff(managed.id, state.outputs, managed.inputs)
    assert "is rejected by its receiver" in warnings()[-1]
    # The next operation, whose process has not read it.
    managed.controller = BackupShareController(new_pool())
    assert not managed.controller.diff(managed.id, state.outputs, managed.inputs).updates
    news = {**managed.inputs, "reshare_if_rejected": True}
    assert "members" in managed.controller.diff(managed.id, state.outputs, news).updates
    outputs = managed.controller.update(managed.id, state.outputs, news)
    record = service.members(managed.backup)[managed.project]
    assert record.status == "pending"
    assert outputs["members"][managed.project]["share_id"] == record.id != managed.share_id


@pytest.mark.parametrize(("change", "gates"), [("reject", True), ("accept", False)])
def test_diff_after_read_reports_a_rejection(managed: Managed, service: Simulator, change: str, gates: bool) -> None:
    """The engine shows as a refresh's change what a diff of the result with the old inputs reports."""
    getattr(service, change)(managed.backup, managed.project)
    state = managed.controller.read(managed.id, managed.outputs)
    assert state
    assert bool(managed.controller.diff(managed.id, state.outputs, managed.inputs).updates) == gates
    if gates:
        managed.controller.update(managed.id, state.outputs, managed.inputs)
        assert [call.method for call in service.calls if "/members" in call.path] == ["GET"]
    later = type(managed.controller)(new_pool())
    assert not later.diff(managed.id, state.outputs, managed.inputs).updates


# Calls


def test_parallel_deletes_share_one_list(service: Simulator, pool: SessionPool) -> None:
    member = BackupShareMemberController(pool)
    backup, projects = service.backups[0].id, service.projects[:10]
    made = [member.create({"backup_id": backup, "dest_project_id": project}) for project in projects]
    service.clear_calls()
    for id_, outputs in made:
        member.delete(id_, outputs)
    assert service.members(backup) == {}
    assert [call.method for call in service.calls] == ["GET"] + ["DELETE"] * 10


def test_twelve_sets_are_created_without_a_list(service: Simulator, pool: SessionPool) -> None:
    hooks = BackupShareController(pool)
    for number in range(12):
        backup, projects = service.backups[number % 3].id, service.projects[2 * (number // 3) :][:2]
        hooks.create({"backup_id": backup, "dest_project_ids": projects})
    assert [call.method for call in service.calls if "/members" in call.path] == ["POST"] * 12


# Answers that list what was there before


def idempotent(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the service answer a POST with the existing share instead of refusing it."""
    add = service.state.add_members

    def add_or_show(own: str, backup: str, wanted: list[str]) -> Any:
        there = service.members(backup)
        new = [project for project in wanted if project not in there]
        return [*(there[project] for project in wanted if project in there), *(add(own, backup, new) if new else [])]

    monkeypatch.setattr(service.state, "add_members", add_or_show)


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("beside", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_create_older_share_in_response_is_not_its_own(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, pool: SessionPool, kind: str, beside: int, adopt: bool
) -> None:
    controller, inputs = KINDS[kind]
    backup, (project, other) = service.backups[0].id, service.projects[:2]
    old = service.share(backup, project).id
    # Beside a new share, an hour tells; alone, a clock may be wrong by a day.
    service.advance(3600 if beside and kind == "set" else 2 * 86400)
    idempotent(service, monkeypatch)
    declared = {**inputs(backup, project), "adopt_existing": adopt}
    if beside and kind == "set":
        declared["dest_project_ids"] = [project, other]
    if adopt:
        _, outputs = controller(pool).create(declared)
        assert (outputs.get("members", {}).get(project) or outputs)["share_id"] == old
    else:
        with pytest.raises(CbrError, match="already shared"):
            controller(pool).create(declared)
        # What the same POST made is taken back.
        assert {project: old} == {name: record.id for name, record in service.members(backup).items()}


@pytest.mark.parametrize("hours", [-9, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_create_response_with_shifted_times_is_new(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, pool: SessionPool, kind: str, hours: int
) -> None:
    controller, inputs = KINDS[kind]
    add = service.state.add_members
    monkeypatch.setattr(
        service.state,
        "add_members",
        lambda *asked: [replace(record, created_at=record.created_at + hours * 3600) for record in add(*asked)],
    )
    id_, _ = controller(pool).create(inputs(service.backups[0].id, service.projects[0]))
    assert id_
