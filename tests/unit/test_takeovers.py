"""Shares and acceptances that pass from one resource of a stack to another within one operation of the engine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from accounts import password_settings
from faults.model import Declared, DynamicProcess, Stack
from protocol.plugin import FLAVORS
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.failures import IncompleteResourceError
from pulumi_cbr.simulator import Simulator


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Simulator() as running:
        yield running


@pytest.fixture
def stack(simulator: Simulator) -> Stack:
    return Stack({role: password_settings(simulator, role) for role in ("owner", "receiver")})


def outputs(stack: Stack, resource: Declared) -> Mapping[str, Any]:
    entry = stack.find(resource.urn())
    assert entry
    return entry.outputs


def exclusive_set(backup: str, *projects: str, **options: bool) -> Declared:
    inputs = {"backup_id": backup, "dest_project_ids": list(projects), "exclusive": True, **options}
    return Declared("set", "BackupShare", inputs, "dynamic")


def test_exclusive_set_records_a_share_that_it_finds_remade(simulator: Simulator, stack: Stack) -> None:
    backup, (one, two) = simulator.backups[0].id, simulator.projects[:2]
    shares = exclusive_set(backup, one, adopt_existing=True)
    member = Declared("member", "BackupShareMember", {"backup_id": backup, "dest_project_id": one}, "dynamic")
    stack.up(shares)
    simulator.withdraw(backup, one)
    stack.up(shares, member)

    shares = exclusive_set(backup, one, two, adopt_existing=True)
    stack.up(shares)
    remaining = simulator.members(backup)
    assert {project: entry["share_id"] for project, entry in outputs(stack, shares)["members"].items()} == {
        project: share.id for project, share in remaining.items()
    }
    assert remaining.keys() == {one, two}


def test_renewed_acceptance_stays_when_another_resource_leaves(simulator: Simulator, stack: Stack) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    inputs = {"backup_id": backup, "vault_id": simulator.vaults[0].id}
    stays, leaves = (
        Declared(name, "BackupShareAccepter", inputs, "dynamic", role="receiver") for name in ("stays", "leaves")
    )
    simulator.share(backup, project)
    stack.up(stays, leaves)
    simulator.withdraw(backup, project)
    simulator.share(backup, project)
    stack.refresh()

    stack.up(stays)
    assert (outputs(stack, stays)["status"], simulator.members(backup)[project].status) == ("accepted", "accepted")


def test_delete_acceptance_hidden_in_another_vault_stays(simulator: Simulator, stack: Stack) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    # The locked one, opened: two vaults for backups of servers.
    simulator.state.set_vault(simulator.vaults[2].id, status="available")
    leaves, joins = (
        Declared(name, "BackupShareAccepter", {"backup_id": backup, "vault_id": vault.id}, "dynamic", role="receiver")
        for name, vault in (("leaves", simulator.vaults[0]), ("joins", simulator.vaults[2]))
    )
    simulator.share(backup, project)
    stack.up(leaves)
    simulator.reject(backup, project)
    for action in ("cbr:member:get", "cbr:backups:get"):
        simulator.deny(action, "receiver")

    stack.up(joins)
    assert simulator.members(backup)[project].status == "accepted"
    stack.up()
    assert simulator.members(backup)[project].status == "rejected"


@pytest.mark.parametrize("flavor", FLAVORS)
def test_second_resource_for_a_share_names_the_first(
    simulator: Simulator, stack: Stack, flavor: str, caplog: pytest.LogCaptureFixture
) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    inputs = {"backup_id": backup, "dest_project_id": project}
    first, second = (Declared(name, "BackupShareMember", inputs, flavor) for name in ("first", "second"))
    stack.up(first)
    refusal = f"with project {project} failed: BackupShareMember first of this program has that share"
    with pytest.raises(CbrError, match=refusal):
        stack.up(first, second)
    # Adopting it on purpose works, with a warning in the same run.
    adopting = Declared("second", "BackupShareMember", {**inputs, "adopt_existing": True}, flavor)
    stack.up(first, adopting)
    assert "BackupShareMember first and BackupShareMember second have one share" in caplog.text


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("kind", ["BackupShareMember", "BackupShare", "BackupShareAccepter"])
def test_refresh_names_a_share_that_somebody_deleted(
    simulator: Simulator, stack: Stack, kind: str, flavor: str, caplog: pytest.LogCaptureFixture
) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    inputs_of: dict[str, dict[str, Any]] = {
        "BackupShareMember": {"dest_project_id": project},
        "BackupShare": {"dest_project_ids": [project]},
        "BackupShareAccepter": {"vault_id": simulator.vaults[0].id},
    }
    inputs = inputs_of[kind]
    role = "receiver" if "vault_id" in inputs else "owner"
    if role == "receiver":
        simulator.share(backup, project)
    stack.up(Declared("r", kind, {"backup_id": backup, **inputs}, flavor, role))
    assert "no longer exists" not in caplog.text
    simulator.withdraw(backup, project)
    stack.refresh()
    assert f"the share of backup {backup} with project {project} no longer exists" in caplog.text


@pytest.mark.parametrize("flavor", FLAVORS)
def test_refresh_tells_an_acceptance_without_a_warning(
    simulator: Simulator, stack: Stack, flavor: str, caplog: pytest.LogCaptureFixture
) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    stack.up(Declared("r", "BackupShareMember", {"backup_id": backup, "dest_project_id": project}, flavor))
    caplog.set_level("INFO")
    for act, level in ((simulator.accept, "INFO"), (simulator.reject, "WARNING")):
        caplog.clear()
        act(backup, project)
        stack.refresh()
        assert [record.levelname for record in caplog.records if "has changed" in record.message] == [level]


def test_exclusive_set_shares_again_what_was_rejected(simulator: Simulator, stack: Stack) -> None:
    backup, (one, two) = simulator.backups[0].id, simulator.projects[:2]
    stack.up(exclusive_set(backup, one, reshare_if_rejected=True))
    simulator.reject(backup, one)
    stack.up(exclusive_set(backup, one, two, reshare_if_rejected=True))
    assert {share.status for share in simulator.members(backup).values()} == {"pending"}


@pytest.mark.parametrize("flavor", FLAVORS)
def test_unverified_share_that_a_refresh_finds_is_deleted(simulator: Simulator, stack: Stack, flavor: str) -> None:
    """A refresh that finds it is no import, which another flavor's delete must not undo."""
    backup, project = simulator.backups[0].id, simulator.projects[0]
    stack.up(Declared("r", "BackupShareMember", {"backup_id": backup, "dest_project_id": project}, flavor))
    (entry,) = stack.state
    del entry.outputs["share_id"], entry.outputs["status"]
    stack.up(refreshes=True)
    assert simulator.members(backup) == {}


@pytest.mark.parametrize("flavor", FLAVORS)
def test_unverified_acceptance_that_a_refresh_finds_is_rejected(
    simulator: Simulator, stack: Stack, flavor: str
) -> None:
    backup, project = simulator.backups[0].id, simulator.projects[0]
    simulator.share(backup, project)
    inputs = {"backup_id": backup, "vault_id": simulator.vaults[0].id}
    stack.up(Declared("r", "BackupShareAccepter", inputs, flavor, "receiver"))
    stack.state[0].outputs["status"] = "pending"
    stack.up(refreshes=True)
    assert simulator.members(backup)[project].status == "rejected"


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("flavor", FLAVORS)
def test_share_of_two_sets_that_one_drops(simulator: Simulator, stack: Stack, flavor: str, is_first: bool) -> None:
    """Which of two resources the engine asks first is chance: the share stays, or the other one's `up` fails."""
    backup, (one, two) = simulator.backups[0].id, simulator.projects[:2]

    def shares(name: str, *projects: str, flavor: str = "dynamic", **options: bool) -> Declared:
        inputs = {"backup_id": backup, "dest_project_ids": list(projects), **options}
        return Declared(name, "BackupShare", inputs, flavor)

    keeps = shares("keeps", two, adopt_existing=True, flavor=flavor)
    stack.up(shares("drops", one, two), keeps)
    before = simulator.members(backup)[two].id
    drops = shares("drops", one)
    if is_first:
        with pytest.raises(CbrError, match="another resource of this stack deletes it"):
            stack.up(drops, keeps)
        stack.up(drops, keeps, refreshes=True)
    else:
        stack.up(keeps, drops)
        assert simulator.members(backup)[two].id == before
    assert outputs(stack, keeps)["members"][two]["share_id"] == simulator.members(backup)[two].id
    assert simulator.members(backup).keys() == {one, two}


def call_before(simulator: Simulator, kind: str, project: str, call: Callable[[], None]) -> None:
    """Make a call before the service serves the first GET or DELETE of a project's share."""
    take = simulator.faults.take

    def call_first(method: str, path: str) -> Any:
        if method == kind and path.endswith(project):
            simulator.faults.take = take  # type: ignore[method-assign]
            call()
        return take(method, path)

    simulator.faults.take = call_first  # type: ignore[method-assign]


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of an engine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["BackupShareMember", "BackupShare"])
def test_adopt_share_that_another_deletes_fails(simulator: Simulator, stack: Stack, kind: str, engine: str) -> None:
    """The engine serves both at once: the adopter finds the share between the other's claim and its DELETE."""
    backup, (one, two, three) = simulator.backups[0].id, simulator.projects[:3]
    drops, adopts = (Declared(name, kind, {}, "dynamic").urn() for name, kind in (("a", "BackupShare"), ("b", kind)))
    projects = {"dest_project_id": two} if kind == "BackupShareMember" else {"dest_project_ids": [two, three]}
    olds, news = ({"backup_id": backup, "dest_project_ids": ids} for ids in ([one, two], [one]))
    errors: list[str] = []

    def adopt() -> None:
        with pytest.raises(CbrError) as failed:
            second.create(adopts, {"backup_id": backup, **projects, "adopt_existing": True})
        errors.append(str(failed.value))

    first, second = (DynamicProcess(engine, stack.accounts["owner"], []) for _ in range(2))
    id_, outputs = first.create(drops, olds)
    first.check(drops, news, olds)
    second.check(adopts, {"backup_id": backup, **projects}, {})
    call_before(simulator, "DELETE", two, adopt)
    first.update(drops, id_, outputs, news)
    for process in first, second:
        process.ownership.leave()
    (error,) = errors
    assert "another resource of this stack deletes it" in error
    assert simulator.members(backup).keys() == {one}


@pytest.mark.parametrize("is_other_alone", [True, False])
def test_rollback_leaves_a_share_that_another_resource_has(
    simulator: Simulator, stack: Stack, engine: str, monkeypatch: pytest.MonkeyPatch, is_other_alone: bool
) -> None:
    """The service forgets a project of a set. Before the rollback, another resource adopts what the set has created."""
    backup, (shared, alone, forgotten) = simulator.backups[0].id, sorted(simulator.projects[:3])
    creates, adopts = (
        Declared(*kind, {}, "dynamic").urn() for kind in (("a", "BackupShare"), ("b", "BackupShareMember"))
    )
    first, second = (DynamicProcess(engine, stack.accounts["owner"], []) for _ in range(2))
    adopted: list[dict[str, Any]] = []
    add = simulator.state.add_members
    created = [shared] if is_other_alone else [shared, alone]

    def create_some(own: str, backup_id: str, wanted: Any) -> Any:
        monkeypatch.setattr(simulator.state, "add_members", add)
        return add(own, backup_id, created)

    def adopt() -> None:
        inputs = {"backup_id": backup, "dest_project_id": shared, "adopt_existing": True}
        adopted.append(second.create(adopts, inputs)[1])

    monkeypatch.setattr(simulator.state, "add_members", create_some)
    call_before(simulator, "GET", forgotten, adopt)
    with pytest.raises(CbrError) as failed:
        first.create(creates, {"backup_id": backup, "dest_project_ids": [*created, forgotten]})
    assert {share.id for share in simulator.members(backup).values()} == {outputs["share_id"] for outputs in adopted}
    assert len(adopted) == 1
    assert str(failed.value).count("Rolled back") == len(created) - 1
    for process in first, second:
        process.ownership.leave()


def test_set_update_that_cannot_adopt_a_share_adopts_none(simulator: Simulator, stack: Stack, engine: str) -> None:
    """It has deleted one share and created another when it finds that a third one is being deleted."""
    backup = simulator.backups[0].id
    adopted, new, old, taken = sorted(simulator.projects[:4])
    drops, adopts = (Declared(name, "BackupShare", {}, "dynamic").urn() for name in ("a", "b"))
    errors: list[IncompleteResourceError] = []

    def inputs_of(*projects: str, **options: Any) -> dict[str, Any]:
        return {"backup_id": backup, "dest_project_ids": list(projects), **options}

    def adopt() -> None:
        wanted = inputs_of(adopted, new, taken, adopt_existing=True)
        with pytest.raises(IncompleteResourceError) as failed:
            second.update(adopts, backup, outputs, wanted)
        errors.append(failed.value)

    first, second, third = (DynamicProcess(engine, stack.accounts["owner"], []) for _ in range(3))
    _, drops_outputs = first.create(drops, inputs_of(taken))
    _, outputs = second.create(adopts, inputs_of(old))
    simulator.share(backup, adopted)
    call_before(simulator, "DELETE", taken, adopt)
    first.delete(drops, backup, drops_outputs)
    (error,) = errors
    assert f"Deleted before it: {old}. Rolled back {new}" in str(error)
    assert error.outputs["members"] == {}
    assert simulator.members(backup).keys() == {adopted}
    # Nobody has the share that it adopted first.
    third.delete(
        drops, backup, inputs_of(adopted, members={adopted: {"share_id": simulator.members(backup)[adopted].id}})
    )
    assert simulator.members(backup).keys() == set()
    for process in first, second, third:
        process.ownership.leave()
