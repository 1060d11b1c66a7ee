"""The admin routes: what they do, and whom they refuse."""

from __future__ import annotations

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from unit.simulator.callers import NOW, Ask, Caller
from waiting import PATIENCE


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]", "[::1]:80"])
def test_admin_loopback_host_is_allowed(simulator: Simulator, session: requests.Session, host: str) -> None:
    assert session.get(f"{simulator.url}/_simulator", headers={"Host": host}, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", "x@localhost"])
def test_admin_other_host_is_refused(simulator: Simulator, session: requests.Session, host: str) -> None:
    assert session.get(f"{simulator.url}/_simulator", headers={"Host": host}, timeout=PATIENCE).status_code == 403


#: Headers that a browser adds to a request of a page, and whether the page is the simulator's own.
PAGES: list[tuple[dict[str, str], bool]] = [
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://127.0.0.1:1"}, False),
    ({"Origin": "{url}.evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "{url}", "Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
]


@pytest.mark.parametrize(("headers", "allowed"), PAGES)
def test_admin_page_of_another_site_is_refused(
    simulator: Simulator, owner: Caller, headers: dict[str, str], allowed: bool
) -> None:
    headers = {name: value.replace("{url}", simulator.url) for name, value in headers.items()}
    # A browser sends a form as plain text across sites without a preflight request.
    form = {"Content-Type": "text/plain", **headers}
    denied = owner.session.post(
        f"{simulator.url}/_simulator/deny", data='{"action": "cbr:backups:list"}', headers=form, timeout=PATIENCE
    )

    assert denied.status_code == (200 if allowed else 403)
    assert owner("GET", "/backups").status_code == (403 if allowed else 200)


def test_admin_runs_each_action(simulator: Simulator, session: requests.Session) -> None:
    def post(step: str, **body: object) -> requests.Response:
        return session.post(f"{simulator.url}/_simulator/{step}", json=body, timeout=PATIENCE)

    pair = {"backup_id": simulator.backups[0].id, "project_id": simulator.receiver.project_id}
    assert post("share", **pair).json()["status"] == "pending"
    assert post("accept", **pair).json()["vault_id"] == simulator.vaults[0].id
    assert post("reject", **pair).json()["status"] == "rejected"
    assert post("withdraw", **pair).status_code == 200
    assert post("withdraw", **pair).json()["error_code"] == "BackupService.6705"
    assert post("share", **pair, status="accepted").json()["status"] == "accepted"
    assert post("register_image", **pair).json()["image_id"]
    assert post("advance", seconds=60).json()["now"] == NOW + 60
    assert post("advance", seconds="x").status_code == 400
    assert post("revoke_tokens").status_code == 200
    assert post("deny", action="cbr:member:list", role="nobody").status_code == 400
    assert post("deny").status_code == 400
    assert post("explode").status_code == 404
    assert post("share").status_code == 400
    there = session.get(f"{simulator.url}/_simulator", timeout=PATIENCE).json()
    assert there["backups"][0]["members"][0]["status"] == "accepted"
    assert session.get(f"{simulator.url}/_simulator/env/nobody", timeout=PATIENCE).status_code == 404


def test_admin_adds_lists_and_clears_faults(cbr_simulator: Simulator, ask: Ask) -> None:
    faults = f"{cbr_simulator.url}/_simulator/faults"

    requests.post(faults, json={"kind": "html", "method": "GET"}, timeout=PATIENCE)
    requests.post(faults, json={"script": "every GET to /members: slow 0 s"}, timeout=PATIENCE)
    assert [fault["kind"] for fault in requests.get(faults, timeout=PATIENCE).json()["faults"]] == ["html", "slow"]
    assert [ask("GET").status_code, ask("GET").status_code] == [502, 200]
    requests.delete(faults, timeout=PATIENCE)
    assert cbr_simulator.faults.list() == []
