"""Which requests meet a fault, and how a script line or JSON describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.simulator.faults import Faults
from waiting import PATIENCE


def taken(faults: Faults, *requests_made: str) -> list[str | None]:
    found = [faults.take(*request.split(" ", 1)) for request in requests_made]
    return [fault.kind if fault else None for fault in found]


def test_fault_counts_matching_requests() -> None:
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


def test_faults_all_count_and_the_first_due_decides() -> None:
    faults = Faults()
    faults.add(Fault("slow"))
    faults.add(Fault("throttle", method="*", path="", nth=1, times=None))

    assert taken(faults, "POST /members", "POST /members") == ["slow", "throttle"]


def test_fault_probability_draws_from_the_seed() -> None:
    def draw(seed: int) -> list[str | None]:
        faults = Faults(seed)
        faults.add(Fault("slow", probability=0.3))
        return taken(faults, *["POST /members"] * 200)

    assert draw(1) == draw(1) != draw(2)
    assert 30 < sum(kind is not None for kind in draw(1)) < 90


def test_fault_probability_begins_at_the_nth() -> None:
    faults = Faults()
    faults.add(Fault("slow", nth=3, probability=1.0))

    assert taken(faults, *["POST /members"] * 4) == [None, None, "slow", "slow"]


def test_fault_draws_from_the_seed_of_the_state(tmp_path: Path) -> None:
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
def test_script_line_adds_its_fault(line: str, fault: Fault) -> None:
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
def test_script_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(
        ValueError, match=r"not understood|no such fault|count from 1|not a regular expression|ASCII|must be"
    ):
        Faults().scripted(line)


def test_script_unknown_fault_names_the_help() -> None:
    with pytest.raises(
        ValueError, match=r"no such fault: 'explode'\. See `python -m pulumi_cbr\.simulator faults --help`"
    ) as refused:
        Faults().scripted("the 1st POST to /x: explode")
    assert "(?P" not in str(refused.value)


@pytest.mark.parametrize("which", ["every", "10% of"])
def test_script_times_without_nth_is_refused(which: str) -> None:
    with pytest.raises(ValueError, match="Write ', 2 times' after 'the 1st"):
        Faults().scripted(f"{which} GET to /x, 2 times: truncated")


def test_script_path_branches_match_to_the_end() -> None:
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
def test_fault_wrong_json_is_refused(document: dict[str, Any], cbr_simulator: Simulator) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Fault.from_dict(document)
    answer = requests.post(f"{cbr_simulator.url}/_simulator/faults", json=document, timeout=PATIENCE)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_faults_remove_one_keeps_the_others(cbr_simulator: Simulator) -> None:
    lasting, other = Fault("slow", times=None), Fault("html")
    for fault in (lasting, other, lasting):
        cbr_simulator.faults.add(fault)

    cbr_simulator.faults.remove(lasting)

    assert cbr_simulator.faults.list() == [other]
