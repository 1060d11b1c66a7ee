"""Shares and acceptances that pass from one resource of a stack to another within one operation of the engine."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from accounts import password_settings
from protocol.plugin import PROVIDERS
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.ownership import OwnershipLog
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Simulator


class Resource:
    """A resource of the program, and what the state has of it."""

    def __init__(self, urn: str, kind: str, **inputs: Any) -> None:
        self.urn, self.kind, self.inputs = urn, kind, inputs
        self.id, self.outputs = "", dict[str, Any]()
        self.checked: dict[str, Any] | None = None


class Operation:
    """One operation of an engine: its hooks in the engine's order."""

    def __init__(self, config: Mapping[str, str], engine: str | None = None) -> None:
        self._urn = ""
        log = OwnershipLog(lambda: self._urn)
        if engine:
            log.join(engine)
        pool = SessionPool(config.get, Clock(sleep=lambda seconds: None, random_fraction=lambda: 0.5), ownership=log)
        self._log = log
        self._controllers = {kind: provider.controller(pool) for kind, provider in PROVIDERS.items()}

    def up(self, resource: Resource) -> None:
        self._urn = resource.urn
        hooks = self._controllers[resource.kind]
        self._log.register(is_new=resource.checked is None)
        checked = hooks.check(resource.checked or {}, resource.inputs)
        assert not checked.problems
        if not resource.id:
            resource.id, resource.outputs = hooks.create(checked.inputs)
        else:
            diff = hooks.diff(resource.id, resource.outputs, checked.inputs)
            hooks.warn_before_change(resource.outputs, checked.inputs)
            assert not diff.replaces
            if diff.updates:
                resource.outputs = hooks.update(resource.id, resource.outputs, checked.inputs)
        resource.checked = checked.inputs

    def refresh(self, resource: Resource) -> None:
        self._urn = resource.urn
        state = self._controllers[resource.kind].read(resource.id, resource.outputs)
        assert state
        resource.outputs = state.outputs

    def delete(self, resource: Resource) -> None:
        self._urn = resource.urn
        self._controllers[resource.kind].delete(resource.id, resource.outputs)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def test_exclusive_set_records_a_share_that_it_finds_remade(simulator: Simulator) -> None:
    config, backup, (one, two) = password_settings(simulator, "owner"), simulator.backups[0].id, simulator.projects[:2]
    options = {"exclusive": True, "adopt_existing": True}
    shares = Resource("set", "BackupShare", backup_id=backup, dest_project_ids=[one], **options)
    member = Resource("member", "BackupShareMember", backup_id=backup, dest_project_id=one)
    Operation(config).up(shares)
    simulator.withdraw(backup, one)
    Operation(config).up(member)

    operation = Operation(config)
    shares.inputs["dest_project_ids"] = [one, two]
    operation.up(shares)
    operation.delete(member)
    there = simulator.members(backup)
    assert {project: entry["share_id"] for project, entry in shares.outputs["members"].items()} == {
        project: share.id for project, share in there.items()
    }
    assert there.keys() == {one, two}


def test_renewed_acceptance_stays_when_another_resource_leaves(simulator: Simulator) -> None:
    config, backup, project = password_settings(simulator, "receiver"), simulator.backups[0].id, simulator.projects[0]
    inputs = {"backup_id": backup, "vault_id": simulator.vaults[0].id}
    stays, leaves = (Resource(urn, "BackupShareAccepter", **inputs) for urn in ("stays", "leaves"))
    simulator.share(backup, project)
    for resource in stays, leaves:
        Operation(config).up(resource)
    simulator.withdraw(backup, project)
    simulator.share(backup, project)
    operation = Operation(config)
    for resource in stays, leaves:
        operation.refresh(resource)

    operation = Operation(config)
    operation.up(stays)
    operation.delete(leaves)
    assert (stays.outputs["status"], simulator.members(backup)[project].status) == ("accepted", "accepted")


def test_exclusive_set_shares_again_what_was_rejected(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    config, backup, (one, two) = password_settings(simulator, "owner"), simulator.backups[0].id, simulator.projects[:2]
    options = {"exclusive": True, "reshare_if_rejected": True}
    shares = Resource("set", "BackupShare", backup_id=backup, dest_project_ids=[one], **options)
    with socket.create_server(("127.0.0.1", 0)) as server:
        engine = f"127.0.0.1:{server.getsockname()[1]}"
        Operation(config, engine).up(shares)
        simulator.reject(backup, one)
        shares.inputs["dest_project_ids"] = [one, two]
        Operation(config, engine).up(shares)
    assert {share.status for share in simulator.members(backup).values()} == {"pending"}
