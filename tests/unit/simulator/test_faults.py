"""Which requests a fault takes, how a line of script says so, and what each kind does to a request over HTTP."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.faults import KINDS, Faults
from pulumi_cbr.simulator.options import Switches
from waiting import wait_until


def raw_connection(simulator: Simulator) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(simulator.url.rpartition(":")[2])), timeout=5)


Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(cbr_simulator: Simulator) -> Iterator[Ask]:
    """Ask the members API as the owner, about the first backup."""
    with requests.Session() as session:
        account = cbr_simulator.owner
        user = {"id": account.user_id, "password": account.password}
        scope = {"project": {"id": account.project_id}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        token = session.post(f"{cbr_simulator.url}/v3/auth/tokens", json={"auth": auth}, timeout=5)
        session.headers["X-Auth-Token"] = token.headers["X-Subject-Token"]
        members = f"{cbr_simulator.url}/v3/{account.project_id}/backups/{cbr_simulator.backups[0].id}/members"

        def make(method: str = "POST", path: str = "", timeout: float = 5, **more: Any) -> requests.Response:
            body = {"json": {"members": cbr_simulator.projects[:1]}} if method == "POST" else {}
            return session.request(method, members + path, timeout=timeout, **{**body, **more})

        yield make


def taken(faults: Faults, *requests_made: str) -> list[str | None]:
    found = [faults.take(*request.split(" ", 1)) for request in requests_made]
    return [fault.kind if fault else None for fault in found]


def test_nth_and_times_count_matching_requests() -> None:
    faults = Faults()
    faults.add(Fault("slow", nth=2, times=2))

    assert taken(faults, *["POST /members"] * 2, "GET /members", "POST /x", *["POST /members"] * 2) == [
        None,
        "slow",
        None,
        None,
        "slow",
        None,
    ]
    assert faults.list() == []


def test_first_fault_that_is_due_takes_it_and_all_count() -> None:
    faults = Faults()
    faults.add(Fault("slow"))
    faults.add(Fault("throttle", method="*", path="", nth=1, times=None))

    assert taken(faults, "POST /members", "POST /members") == ["slow", "throttle"]


def test_probability_draws_from_the_seed() -> None:
    def draw(seed: int) -> list[str | None]:
        faults = Faults(seed)
        faults.add(Fault("slow", probability=0.3))
        return taken(faults, *["POST /members"] * 200)

    assert draw(1) == draw(1) != draw(2)
    assert 30 < sum(kind is not None for kind in draw(1)) < 90


def test_probability_draws_from_the_nth_on() -> None:
    faults = Faults()
    faults.add(Fault("slow", nth=3, probability=1.0))

    assert taken(faults, *["POST /members"] * 4) == [None, None, "slow", "slow"]


def test_simulator_draws_from_the_seed_of_its_state(tmp_path: Path) -> None:
    def draw(seed: int, file: Path | None = None) -> list[str | None]:
        simulator = Simulator(seed, state_file=file)
        simulator.stop()
        simulator.faults.add(Fault("slow", probability=0.5))
        return taken(simulator.faults, *["POST /members"] * 50)

    assert draw(5) == draw(5, tmp_path / "state.json") == draw(9, tmp_path / "state.json") != draw(9)


SCRIPTS: list[tuple[str, Fault]] = [
    ("the 3rd POST to /members: reset after commit", Fault("reset_after", "POST", "/members$", nth=3)),
    ("the 1st DELETE to /m/.*, 2 times: time-out before commit, 3 s", Fault("timeout_before", "DELETE", "/m/.*$", times=2, seconds=3)),
    ("every GET to /members/.*: slow 2 s", Fault("slow", "GET", "/members/.*$", times=None, seconds=2.0)),
    ("10% of * to /v3/.*: throttle, retry after 1", Fault("throttle", "*", "/v3/.*$", probability=0.1, retry_after="1")),
    ("the 2nd PUT to /x: status 500 after commit", Fault("status_after", "PUT", "/x$", nth=2, status=500)),
    ("every * to /x: html 504 after commit", Fault("html", "*", "/x$", times=None, status=504, committed=True)),
    ("the 1st POST to /x$: truncated", Fault("truncated", "POST", "/x$")),
    ("the 1st POST to /x: malformed", Fault("malformed", "POST", "/x$")),
    ("the 1st POST to /x: proxy 407", Fault("proxy_407", "POST", "/x$")),
    ("the 1st POST to /x: expire token", Fault("expire_token", "POST", "/x$")),
    ("the 1st POST to /x: throttle", Fault("throttle", "POST", "/x$")),
    ("the 1st DELETE to /x: empty 202 before commit", Fault("empty_before", "DELETE", "/x$", status=202)),
    ("the 1st GET to /x: refuse 6705", Fault("refuse", "GET", "/x$", code=6705)),
    ("the 1st DELETE to /x: refuse 6711, status 200", Fault("refuse", "DELETE", "/x$", code=6711, status=200)),
    ("the 1st GET to /x: malformed url", Fault("malformed_url", "GET", "/x$")),
    ("the 1st GET to /x: interim 102", Fault("interim", "GET", "/x$", status=102)),
    ("the 1st GET to /x: short list", Fault("short_list", "GET", "/x$")),
    ("the 1st GET to /x: short list, 3 left", Fault("short_list", "GET", "/x$", left=3)),
    ("the 1st GET to /x: empty list", Fault("empty_list", "GET", "/x$")),
    ('the 1st GET to /x: field status is "\\ud800"', Fault("field_value", "GET", "/x$", field="status", body="\ud800")),
    ("the 1st GET to /x: field updated_at is 0", Fault("field_value", "GET", "/x$", field="updated_at", body=0)),
    ("the 1st GET to /x: field a is null", Fault("field_value", "GET", "/x$", field="a")),
    ("the 1st GET to /x: field created_at missing", Fault("field_missing", "GET", "/x$", field="created_at")),
    ("the 1st GET to /x: field a upper", Fault("field_upper", "GET", "/x$", field="a")),
    ("the 1st GET to /x: field a dashed", Fault("field_dashed", "GET", "/x$", field="a")),
    ("every * to /members|/tokens: truncated", Fault("truncated", "*", "(?:/members|/tokens)$", times=None)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fault"), SCRIPTS)
def test_script(line: str, fault: Fault) -> None:
    faults = Faults()

    assert faults.scripted(line) == fault
    assert faults.list() == [fault]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "the 1st POST to /x: explode",
        "the 0th POST to /x: truncated",
        "every GET to [: malformed",
        "every GET to /x: throttle, retry after 1\u00b2",
        "every GET to /x: refuse 1234",
        "every GET to /x: interim 200",
        "every GET to /x: field status is pending",
        'every GET to /x: field status is "pending',
    ],
)
def test_script_not_understood(line: str) -> None:
    with pytest.raises(
        ValueError, match=r"not understood|no such fault|count from 1|not a regular expression|ASCII|must be"
    ):
        Faults().scripted(line)


def test_script_of_no_fault_names_all_in_words() -> None:
    with pytest.raises(
        ValueError, match=r"no such fault: 'explode'; there are: reset before\|after commit; "
    ) as refused:
        Faults().scripted("the 1st POST to /x: explode")
    assert "(?P" not in str(refused.value)


@pytest.mark.parametrize("which", ["every", "10% of"])
def test_script_counts_times_from_the_nth_alone(which: str) -> None:
    with pytest.raises(ValueError, match="', 2 times' goes with 'the 1st'"):
        Faults().scripted(f"{which} GET to /x, 2 times: truncated")


def test_each_branch_of_a_scripted_path_reaches_to_its_end() -> None:
    faults = Faults()
    faults.scripted("every GET to /members|/tokens: slow 0 s")

    assert taken(faults, "GET /members", "GET /tokens", "GET /members/x") == ["slow", "slow", None]


WRONG: list[dict[str, Any]] = [
    {"kind": "explode"},
    {"kind": "slow", "nth": 0},
    {"kind": "slow", "nth": True},
    {"kind": "slow", "path": "("},
    {"kind": "slow", "status": 99},
    {"kind": "slow", "probability": 1.5},
    {"kind": "slow", "seconds": -1},
    {"kind": "slow", "seconds": "1"},
    {"kind": "slow", "committed": 1},
    {"kind": "throttle", "retry_after": "1\r\nX: y"},
    {"kind": "throttle", "retry_after": "\uff11"},
    {"kind": "html", "body": "\ud800"},
    {"kind": []},
    {"kind": {}},
    {"kind": "slow", "path": "(" * 10_000},
    {"kind": "slow", "what": 1},
    {"kind": "refuse"},
    {"kind": "refuse", "code": 1},
    {"kind": "field_value", "body": 1},
    {"kind": "field_missing", "field": 1},
    {"kind": "short_list", "left": -1},
    {"kind": "interim", "status": 200},
    {"kind": "status_before", "status": 103},
    {},
]


@pytest.mark.parametrize("document", WRONG)
def test_wrong_fault_is_refused(document: dict[str, Any], cbr_simulator: Simulator) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Fault.from_dict(document)
    answer = requests.post(f"{cbr_simulator.url}/_simulator/faults", json=document, timeout=5)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


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


def test_every_kind_has_an_outcome() -> None:
    assert {fault.kind for fault, *_ in OUTCOMES} == set(KINDS)


@pytest.mark.parametrize(("fault", "seen", "there"), OUTCOMES, ids=lambda value: getattr(value, "kind", None))
def test_what_happens(
    cbr_simulator: Simulator, ask: Ask, fault: Fault, seen: int | type[Exception], there: bool
) -> None:
    cbr_simulator.faults.add(fault)
    cbr_simulator.clear_calls()

    if isinstance(seen, int):
        answer = ask(timeout=5)
        assert answer.status_code == seen
        assert {"Date", "X-Request-Id"} <= set(answer.headers)
    else:
        with pytest.raises(seen):
            ask(timeout=0.2 if seen is requests.ReadTimeout else 5)

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


def test_short_list_contradicts_its_count(cbr_simulator: Simulator, ask: Ask) -> None:
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


def test_ids_in_other_forms(cbr_simulator: Simulator, ask: Ask) -> None:
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
    with raw_connection(cbr_simulator) as raw:
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


def test_details_of_the_gateways_answers(cbr_simulator: Simulator, ask: Ask) -> None:
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


def test_an_expired_token_stays_expired(cbr_simulator: Simulator, ask: Ask) -> None:
    cbr_simulator.faults.add(Fault("expire_token", method="GET"))

    assert [ask("GET").status_code, ask("GET").status_code] == [401, 401]


def test_faults_reach_identity_but_not_the_steering(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("status_before", method="*", path="", times=None))

    assert requests.post(f"{cbr_simulator.url}/v3/auth/tokens", json={}, timeout=5).status_code == 503
    assert requests.get(f"{cbr_simulator.url}/_simulator", timeout=5).status_code == 200


def test_faults_over_http(cbr_simulator: Simulator, ask: Ask) -> None:
    faults = f"{cbr_simulator.url}/_simulator/faults"

    requests.post(faults, json={"kind": "html", "method": "GET"}, timeout=5)
    requests.post(faults, json={"script": "every GET to /members: slow 0 s"}, timeout=5)
    assert [fault["kind"] for fault in requests.get(faults, timeout=5).json()["faults"]] == ["html", "slow"]
    assert [ask("GET").status_code, ask("GET").status_code] == [502, 200]
    requests.delete(faults, timeout=5)
    assert cbr_simulator.faults.list() == []


def test_stopping_releases_what_is_held(ask: Ask, cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_after"))
    with pytest.raises(requests.ReadTimeout):
        ask(timeout=0.1)

    cbr_simulator.restart()

    assert ask("GET").json()["count"] == 1


def test_a_time_out_lasts_though_the_client_sends_more(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_before", "GET", "/v3$"))
    with raw_connection(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: cbr_simulator.calls)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.recv(1)

    assert len(cbr_simulator.calls) == 1


def test_a_time_out_ends_without_an_answer(cbr_simulator: Simulator) -> None:
    cbr_simulator.faults.add(Fault("timeout_before", "GET", "/v3$", seconds=0.01))
    with raw_connection(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(1) == b""


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_a_reset_is_one(cbr_simulator: Simulator, kind: str) -> None:
    cbr_simulator.faults.add(Fault(kind, "GET", "/v3$"))
    with raw_connection(cbr_simulator) as raw:
        raw.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_what_a_time_out_holds_is_a_call_at_once_and_is_let_go_when_its_client_leaves(
    ask: Ask, cbr_simulator: Simulator
) -> None:
    before = set(threading.enumerate())
    cbr_simulator.faults.add(Fault("timeout_after"))
    with pytest.raises(requests.ReadTimeout):
        ask(timeout=0.1)

    assert [call.status for call in cbr_simulator.calls if call.fault == "timeout_after"] == [0]
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_a_fault_can_be_taken_out_of_force_alone(cbr_simulator: Simulator) -> None:
    lasting, other = Fault("slow", times=None), Fault("html")
    for fault in (lasting, other, lasting):
        cbr_simulator.faults.add(fault)

    cbr_simulator.faults.remove(lasting)

    assert cbr_simulator.faults.list() == [other]
