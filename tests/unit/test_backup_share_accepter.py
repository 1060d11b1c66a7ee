"""BackupShareAccepter in one process: how long it waits, and what it says of itself."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.lifecycle.controller import Diff
from pulumi_cbr.lifecycle.failures import IncompleteResourceError
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in


def test_a_share_is_waited_for_a_quarter_of_a_minute(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    monkeypatch.setattr(logging.getLogger("pulumi_cbr"), "propagate", True)
    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=waits.append)))
    backup = cbr_simulator.backups[0].id
    with pytest.raises(CbrError, match="is not shared with project"):
        hooks.create({"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id})
    assert waits == [1.0, 2.0, 4.0, 8.0]
    warnings = [record.message.rpartition(". ")[2] for record in caplog.records if record.levelno >= logging.WARNING]
    # Only who has to wait for long is told. A handler of pytest may hear it twice.
    assert list(dict.fromkeys(warnings)) == ["Trying again in 4.0 s", "Trying again in 8.0 s"]


def test_the_owner_is_told_before_a_long_wait(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sign_in(monkeypatch, cbr_simulator.env("owner"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=waits.append)))
    with pytest.raises(CbrError, match="Sign in to the receiving project"):
        hooks.create({"backup_id": cbr_simulator.backups[0].id, "vault_id": cbr_simulator.vaults[0].id})
    assert waits == [1.0, 2.0]


def test_a_lost_answer_is_tried_again_only_so_often(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=waits.append)))
    backup = cbr_simulator.backups[0].id
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    cbr_simulator.faults.scripted("every PUT to /members/.*: reset before commit")
    with pytest.raises(CbrError, match=r"^setting the share of .* to `accepted`"):
        hooks.create({"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id})
    assert cbr_simulator.count("PUT") == 5
    assert sum(waits) < 30


@pytest.mark.parametrize("next_fault", [None, "every PUT to /members/.*: status 503 before commit"])
def test_lost_acceptance_whose_retry_fails_stays_in_the_state(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, next_fault: str | None
) -> None:
    """The lost request may still be carried out: the engine cancels the wait, or the service goes away."""
    sign_in(monkeypatch, cbr_simulator.env("receiver"))

    def sleep(_: float) -> None:
        if next_fault is None:
            raise CbrError("cancelled while waiting")
        cbr_simulator.faults.clear()
        cbr_simulator.faults.scripted(next_fault)

    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=sleep)))
    backup = cbr_simulator.backups[0].id
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    cbr_simulator.faults.scripted("every PUT to /members/.*: reset before commit")
    with pytest.raises(IncompleteResourceError) as failed:
        hooks.create({"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id})
    assert failed.value.outputs["status"] == "pending"


@pytest.mark.parametrize("code", [6200, 6705, 6708])
@pytest.mark.parametrize("is_carried_out", [True, False])
def test_lost_acceptance_whose_retry_is_refused_is_pending(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, code: int, is_carried_out: bool
) -> None:
    """A "not found" contradicts the read between the two, and "failed to update" may be due to the first request."""
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=lambda _: None)))
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)
    inputs = {"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id}
    if is_carried_out:
        # The receiver sees the backup, but not its own share.
        cbr_simulator.deny("cbr:member:get", "receiver")
    cbr_simulator.faults.add(Fault("reset_after" if is_carried_out else "reset_before", "PUT", "/members/"))
    cbr_simulator.faults.add(Fault("refuse", "PUT", "/members/", code=code, nth=2, times=None))
    with pytest.raises(IncompleteResourceError) as failed:
        hooks.create(inputs)
    assert failed.value.outputs["status"] == "pending"
    cbr_simulator.faults.clear()
    outputs = hooks.update(failed.value.id, failed.value.outputs, inputs)
    assert (outputs["status"], cbr_simulator.members(backup)[project].status) == ("accepted", "accepted")


@pytest.mark.parametrize("fault", ["no permission", "other project", "no such cloud"])
def test_new_share_that_is_not_accepted_is_pending(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    """Otherwise the next `up` would find nothing to do."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    sign_in(monkeypatch, cbr_simulator.env("owner" if fault == "other project" else "receiver"))
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    share = cbr_simulator.share(backup, project)
    inputs = {"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id}
    with socket.create_server(("127.0.0.1", 0)) as engine:
        log = Ownership()
        log.join(f"127.0.0.1:{engine.getsockname()[1]}")
        log.record(backup, project, share.id, adopted=False)
        hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=lambda _: None), ownership=log))
        cbr_simulator.deny("cbr:member:update", "receiver")
        news = {**inputs, "cloud": "nowhere"} if fault == "no such cloud" else inputs
        with pytest.raises(IncompleteResourceError) as failed:
            hooks.update(f"{backup}/{project}", {**inputs, "status": "accepted"}, news)
        log.leave()
    assert failed.value.outputs["status"] == "pending"


def test_vault_in_capitals_is_the_same_vault(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a lost acceptance is refused, a refresh leads to a replacement, and a delete leaves the acceptance."""
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None, Clock(sleep=lambda _: None)))
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)
    cbr_simulator.faults.scripted("the 1st PUT to /members/.*: reset after commit")
    cbr_simulator.faults.scripted("every GET to /members/.*: field vault_id upper")
    inputs = {"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id}
    id_, outputs = hooks.create(inputs)
    state = hooks.read(id_, outputs)
    assert state
    assert state.inputs == inputs
    assert hooks.diff(id_, state.outputs, inputs) == Diff(delete_first=True)
    hooks.delete(id_, state.outputs)
    assert cbr_simulator.members(backup)[project].status == "rejected"


def test_state_with_vault_in_capitals_is_of_the_same_vault(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first release wrote into the state what the service told."""
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None))
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)
    inputs = {"backup_id": backup, "vault_id": cbr_simulator.vaults[0].id}
    id_, outputs = hooks.create(inputs)
    outputs["vault_id"] = outputs["vault_id"].upper()
    assert hooks.diff(id_, outputs, inputs) == Diff(delete_first=True)
    hooks.delete(id_, outputs)
    assert cbr_simulator.members(backup)[project].status == "rejected"


def test_two_threads_accept_two_backups(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    hooks = BackupShareAccepterController(SessionPool(lambda _: None))
    vault, project = cbr_simulator.vaults[0].id, cbr_simulator.projects[0]
    backups = [backup.id for backup in cbr_simulator.backups[:8]]
    for backup in backups:
        cbr_simulator.share(backup, project)
    threads = [
        threading.Thread(target=hooks.create, args=({"backup_id": backup, "vault_id": vault},)) for backup in backups
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {cbr_simulator.members(backup)[project].status for backup in backups} == {"accepted"}
    assert cbr_simulator.count("POST", "auth/tokens") == 1
