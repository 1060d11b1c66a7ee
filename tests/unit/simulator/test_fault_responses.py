"""The HTTP responses to requests that meet a fault, for each kind of fault."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.faults import KINDS
from pulumi_cbr.simulator.options import Switches
from unit.simulator.callers import Ask, connect
from waiting import PATIENCE, wait_until

#: Kind, further fields; what the caller sees (status or exception), whether the share is there afterwards.
OUTCOMES: list[tuple[Fault, int | type[Exception], bool]] = [
    (Fault("reset_before"), requests.ConnectionError, False),
    (Fault("reset_after"), requests.ConnectionError, True),
    (Fault("timeout_before"), requests.ReadTimeout, False),
    (Fault("timeout_after"), requests.ReadTimeout, True),
    (Fault("timeout_after", seconds=0), requests.ConnectionError, True),
    (Fault("status_before"), 503, False),
    (Fault("status_after", status=500), 500, True),
    (Fault("html"), 502, False),
    (Fault("html", status=504, committed=True), 504, True),
    (Fault("throttle", retry_after=7), 429, False),
    (Fault("slow", seconds=0.01), 200, True),
    (Fault("truncated"), requests.exceptions.ChunkedEncodingError, True),
    (Fault("malformed"), 200, True),
    (Fault("proxy_407"), 407, False),
    (Fault("empty_before", status=202), 202, False),
    (Fault("empty_after"), 200, True),
    (Fault("refuse", code=6704), 400, False),
    (Fault("refuse", code=6704, status=200), 200, False),
    (Fault("malformed_url"), 401, False),
    (Fault("interim", status=100), 200, True),
    (Fault("short_list"), 200, True),
    (Fault("empty_list"), 200, True),
    (Fault("field_value", field="status", body="\x1b[2J"), 200, True),
    (Fault("field_missing", field="created_at"), 200, True),
    (Fault("field_upper", field="dest_project_id"), 200, True),
    (Fault("field_dashed", field="dest_project_id"), 200, True),
    (Fault("expire_token"), 401, False),
]


def test_fault_kinds_all_have_an_outcome() -> None:
    assert {fault.kind for fault, *_ in OUTCOMES} == set(KINDS)


@pytest.mark.parametrize(("fault", "seen", "there"), OUTCOMES, ids=lambda value: getattr(value, "kind", None))
def test_fault_kind_has_its_outcome(
    cbr_simulator: Simulator, ask: Ask, fault: Fault, seen: int | type[Exception], there: bool
) -> None:
    cbr_simulator.faults.add(fault)
    cbr_simulator.clear_calls()

    if isinstance(seen, int):
        answer = ask(timeout=PATIENCE)
        assert answer.status_code == seen
        assert {"Date", "X-Request-Id"} <= set(answer.headers)
    else:
        with pytest.raises(seen):
            ask(timeout=1 if seen is requests.ReadTimeout else 5)

    assert bool(cbr_simulator.members(cbr_simulator.backups[0].id)) is there
    if not fault.kind.startswith("timeout") or fault.seconds == 0:
        (call,) = cbr_simulator.calls
        assert (call.method, call.fault) == ("POST", fault.kind)
        assert call.finished >= call.started


def edited(simulator: Simulator, ask: Ask, line: str, path: str = "") -> Any:
    """Return the response to a GET that meets a fault, for a backup with two members."""
    for project in simulator.projects[:2]:
        simulator.share(simulator.backups[0].id, project)
    simulator.faults.scripted(f"the 1st GET to /members.*: {line}")
    return ask("GET", path).json()


def test_short_list_keeps_its_count(cbr_simulator: Simulator, ask: Ask) -> None:
    assert edited(cbr_simulator, ask, "short list") == {"members": [], "count": 2}

    cbr_simulator.faults.scripted("the 1st GET to /members: short list, 1 left")
    short = ask("GET").json()
    assert (len(short["members"]), short["count"]) == (1, 2)
    assert len(ask("GET").json()["members"]) == 2


def test_empty_list_has_count_zero(cbr_simulator: Simulator, ask: Ask) -> None:
    assert edited(cbr_simulator, ask, "empty list") == {"members": [], "count": 0}


FIELDS: list[tuple[str, str, Any]] = [
    ('status is "\\ud800"', "status", "\ud800"),
    ('status is "\\u001b[2J"', "status", "\x1b[2J"),
    ("updated_at is 0", "updated_at", 0),
    ("created_at missing", "created_at", None),
    ("absent missing", "absent", None),
    ("absent upper", "absent", None),
    ("absent dashed", "absent", None),
]


@pytest.mark.parametrize(("what", "name", "value"), FIELDS)
@pytest.mark.parametrize("single", [True, False])
def test_field_of_every_member_is_changed(
    cbr_simulator: Simulator, ask: Ask, what: str, name: str, value: Any, single: bool
) -> None:
    document = edited(cbr_simulator, ask, f"field {what}", f"/{cbr_simulator.projects[0]}" if single else "")

    members = [document["member"]] if single else document["members"]
    assert [member.get(name) for member in members] == [value] * (1 if single else 2)


def test_field_of_a_bare_member_is_changed(ask: Ask, cbr_simulator: Simulator) -> None:
    cbr_simulator.state.switches = Switches(bare_add_answer=True)
    cbr_simulator.faults.scripted("the 1st POST to /members: field created_at missing")

    assert "created_at" not in ask().json()


def test_field_id_gets_other_forms(cbr_simulator: Simulator, ask: Ask) -> None:
    project = cbr_simulator.projects[0]
    upper = edited(cbr_simulator, ask, "field dest_project_id upper")
    cbr_simulator.faults.scripted("the 1st GET to /members: field dest_project_id dashed")
    dashed = ask("GET").json()

    assert upper["members"][0]["dest_project_id"] == project.upper()
    assert dashed["members"][0]["dest_project_id"] == str(uuid.UUID(project))


def test_field_fault_leaves_an_error_alone(cbr_simulator: Simulator, ask: Ask) -> None:
    cbr_simulator.faults.scripted("the 1st GET to /members.*: field error_code missing")

    assert ask("GET", f"/{cbr_simulator.projects[0]}").json()["error_code"] == "BackupService.6705"


@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_response_comes_before_the_right_one(cbr_simulator: Simulator, status: int) -> None:
    cbr_simulator.faults.scripted(f"the 1st GET to /v3: interim {status}")
    with connect(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        interim, _, rest = raw.makefile("rb").read().partition(b"\r\n\r\n")

    assert interim.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\n" not in interim
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("status", [200, 202, 204])
def test_empty_response_has_no_body(cbr_simulator: Simulator, ask: Ask, status: int) -> None:
    project = cbr_simulator.projects[0]
    cbr_simulator.share(cbr_simulator.backups[0].id, project)
    cbr_simulator.faults.scripted(f"the 1st DELETE to /members/.*: empty {status} before commit")

    answer = ask("DELETE", f"/{project}")

    assert (answer.status_code, answer.content) == (status, b"")
    assert list(cbr_simulator.members(cbr_simulator.backups[0].id)) == [project]


def test_refusal_has_the_documented_error(cbr_simulator: Simulator, ask: Ask) -> None:
    project = cbr_simulator.projects[0]
    cbr_simulator.share(cbr_simulator.backups[0].id, project)
    cbr_simulator.faults.scripted("the 1st GET to /members/.*: refuse 6200")
    cbr_simulator.faults.scripted("the 1st DELETE to /members/.*: refuse 6711, status 200")
    cbr_simulator.faults.scripted("the 2nd GET to /members/.*: malformed url")

    shown, deleted, malformed, again = (ask(method, f"/{project}") for method in ("GET", "DELETE", "GET", "GET"))

    assert (shown.status_code, shown.json()["error_code"]) == (404, "BackupService.6200")
    assert (deleted.status_code, deleted.json()["error_code"]) == (200, "BackupService.6711")
    assert malformed.json() == {"unauthorized": {"code": "401", "message": "Malformed request url"}}
    assert again.json()["member"]["dest_project_id"] == project


def test_gateway_faults_have_their_details(cbr_simulator: Simulator, ask: Ask) -> None:
    faults = cbr_simulator.faults
    faults.add(Fault("throttle", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"))
    faults.add(Fault("proxy_407", nth=2))
    faults.add(Fault("html", nth=3))
    faults.add(Fault("status_before", nth=4, status=418, body={"a": 1}, retry_after=3))
    faults.add(Fault("malformed", nth=5, body=[1]))

    throttled, proxy, page, teapot, odd = (ask() for _ in range(5))

    assert throttled.headers["Retry-After"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    assert throttled.json()["error_code"] == "APIGW.0308"
    assert proxy.headers["Proxy-Authenticate"].startswith("Basic")
    assert page.headers["Content-Type"] == "text/html"
    assert "502 Bad Gateway" in page.text
    assert (teapot.status_code, teapot.json(), teapot.headers["Retry-After"]) == (418, {"a": 1}, "3")
    assert odd.json() == [1]


def test_expire_token_revokes_it(cbr_simulator: Simulator, ask: Ask) -> None:
    cbr_simulator.faults.add(Fault("expire_token", method="GET"))

    assert [ask("GET").status_code, ask("GET").status_code] == [401, 401]


def test_fault_applies_to_identity_and_not_to_admin(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("status_before", method="*", path="", times=None))

    assert requests.post(f"{cbr_simulator.url}/v3/auth/tokens", json={}, timeout=PATIENCE).status_code == 503
    assert requests.get(f"{cbr_simulator.url}/_simulator", timeout=PATIENCE).status_code == 200


def test_stop_ends_a_timeout(ask: Ask, cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_after"))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, timeout=60)
        wait_until(lambda: cbr_simulator.members(cbr_simulator.backups[0].id))
        cbr_simulator.restart()
        assert isinstance(asking.exception(), requests.ConnectionError)

    assert ask("GET").json()["count"] == 1


def test_timeout_lasts_if_the_client_sends_more(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_before", "GET", "/v3$"))
    with connect(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: cbr_simulator.calls)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.recv(1)

    assert len(cbr_simulator.calls) == 1


def test_timeout_ends_without_a_response(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_before", "GET", "/v3$", seconds=0.01))
    with connect(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(1) == b""


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_reset_resets_the_connection(cbr_simulator: Simulator, kind: str) -> None:
    cbr_simulator.faults.add(Fault(kind, "GET", "/v3$"))
    with connect(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_timeout_is_recorded_and_ends_with_its_client(ask: Ask, cbr_simulator: Simulator) -> None:
    before = set(threading.enumerate())
    cbr_simulator.faults.add(Fault("timeout_after"))
    with pytest.raises(requests.ReadTimeout):
        ask(timeout=1)

    assert [call.status for call in cbr_simulator.calls if call.fault == "timeout_after"] == [0]
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()
