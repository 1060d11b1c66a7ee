"""The class `Simulator`: options, calls, and its life over a state file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.models import DISK
from unit.simulator.callers import Caller, password, sign_in
from waiting import PATIENCE

SWITCHES: dict[str, dict[str, Any]] = {
    "bare": {"bare_add_answer": True},
    "accepted": {"accept_after_reads": 1},
    "plain": {"catalogue_with_project": False},
    "life": {"token_life": 60.0},
    "disk": {"disk_allowed": True},
    "page": {"page_size": 2},
    "members": {"backups_with_members": True},
}


@pytest.mark.parametrize("switch", [None, *SWITCHES])
def test_switch_changes_its_effect_and_no_other(session: requests.Session, switch: str | None) -> None:
    with Simulator(**SWITCHES.get(switch or "", {})) as simulator:
        owner, receiver, backups = simulator.owner, simulator.projects[0], simulator.backups
        simulator.set_backup(backups[1].id, resource_type=DISK)
        scope = {"project": {"id": owner.project_id}}
        body = sign_in(simulator, session, password(owner), scope).json()["token"]
        life = datetime.fromisoformat(body["expires_at"][:-1]) - datetime.fromisoformat(body["issued_at"][:-1])
        ask = Caller(simulator, owner, session)
        first, disk = (f"/backups/{backup.id}/members" for backup in backups[:2])
        added = ask("POST", first, json={"members": [receiver]}).json()
        ask("GET", first)
        listed = ask("GET", "/backups").json()["backups"]
        seen = {
            "bare": "members" not in added,
            "accepted": ask("GET", first).json()["members"][0]["status"] == "accepted",
            "plain": body["catalog"][1]["endpoints"][0]["url"] == simulator.url,
            "life": life.total_seconds() == 60,
            "disk": "error_code" not in ask("POST", disk, json={"members": [receiver]}).json(),
            "page": len(listed) == 2,
            "members": "members" in listed[0],
        }

    assert seen == {name: name == switch for name in SWITCHES}


def test_calls_record_each_request(simulator: Simulator, owner: Caller) -> None:
    simulator.clear_calls()
    owner("GET", "/backups?limit=1", headers={"User-Agent": "test/1"})
    requests.get(f"{simulator.url}/_simulator/calls", timeout=PATIENCE)

    (call,) = simulator.calls
    assert (call.method, call.status, call.query, call.user_agent) == ("GET", 200, "limit=1", "test/1")
    assert (simulator.count("GET", "/backups$"), simulator.count("*"), simulator.count("POST")) == (1, 1, 0)


def test_restart_keeps_port_shares_and_tokens(simulator: Simulator, owner: Caller) -> None:
    url = simulator.url
    simulator.share(simulator.backups[0].id, simulator.projects[0])

    simulator.restart()

    assert simulator.url == url
    assert owner("GET", f"/backups/{simulator.backups[0].id}/members").json()["count"] == 1


def test_start_port_in_use_fails(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="in use"), Simulator(port=int(simulator.url.rpartition(":")[2])):
        pass


def test_start_that_fails_releases_the_state_file(simulator: Simulator, tmp_path: Path) -> None:
    port = int(simulator.url.rpartition(":")[2])
    other = Simulator(port=port, state_file=tmp_path / "state.json")
    with pytest.raises(OSError, match="in use"):
        other.start()

    with Simulator(state_file=tmp_path / "state.json") as third:
        assert third.backups


def test_start_again_reads_the_state_file(tmp_path: Path) -> None:
    first = Simulator(state_file=tmp_path / "state.json").start()
    backup, projects = first.backups[0].id, first.projects[:2]
    first.stop()
    with Simulator(state_file=tmp_path / "state.json") as second:
        second.share(backup, projects[0])

    with first:
        first.share(backup, projects[1])

    with Simulator(state_file=tmp_path / "state.json") as second:
        assert list(second.members(backup)) == projects
