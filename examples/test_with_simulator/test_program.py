"""Tests of the program on the real engine, against a simulated cloud: each takes 10 to 40 seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi.automation import CommandError, Stack

from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.pytest_plugin import StackFactory

PROGRAM = Path(__file__).parent


@pytest.fixture
def stack(cbr_simulator: Simulator, cbr_stack: StackFactory) -> Stack:
    server, project = cbr_simulator.backups[3].resource_id, cbr_simulator.receiver.project_id
    return cbr_stack(PROGRAM, config={"server_id": server, "dr_project_id": project})


def test_what_is_shared_and_how_far_it_is(stack: Stack, cbr_simulator: Simulator) -> None:
    backup, project = cbr_simulator.backups[3], cbr_simulator.receiver.project_id

    outputs = stack.up().outputs
    assert outputs["backup"].value == backup.name
    assert outputs["status"].value == "pending"
    assert list(cbr_simulator.members(backup.id)) == [project]

    # The receiver does its part: the next run shows it, and changes nothing.
    cbr_simulator.accept(backup.id, project)
    stack.refresh()
    up = stack.up()
    assert up.outputs["status"].value == "accepted"
    assert up.summary.resource_changes == {"same": 2}


def test_a_rejected_share_is_offered_again(stack: Stack, cbr_simulator: Simulator) -> None:
    backup, project = cbr_simulator.backups[3], cbr_simulator.receiver.project_id
    stack.up()
    cbr_simulator.reject(backup.id, project)

    stack.refresh()
    assert stack.up().outputs["status"].value == "pending"


def test_an_answer_that_is_lost_shares_once(stack: Stack, cbr_simulator: Simulator) -> None:
    # The service does it, and the connection breaks before it can say so.
    cbr_simulator.faults.add(Fault("reset_after", "POST", "/members$"))

    stack.up()

    assert cbr_simulator.count("POST", "/members$") == 1
    assert len(cbr_simulator.members(cbr_simulator.backups[3].id)) == 1


def test_a_backup_that_cannot_be_shared_is_said_so(stack: Stack, cbr_simulator: Simulator) -> None:
    cbr_simulator.set_backup(cbr_simulator.backups[3].id, encrypted=True)

    with pytest.raises(CommandError, match="encrypted disks cannot be shared"):
        stack.up()
