"""The fault matrix: what goes wrong, in the middle of what, and how that has to end.

The three letters of an entry in `EXPECTED` are three cells: the fault happens once, twice in a row, and for as long as the
operation lasts.

    +  the operation succeeds; state and service agree at once
    e  a clear error; the same command, run again when the fault is over, makes state and service agree
    a  a clear error that names `cbr:adoptExisting`; run again with it, the command makes state and service agree
    -  not run: the same as in another column, or calls are side by side and which of them meets the fault is chance

However a cell ends, nobody's share is lost, none is left that the state does not know, and no traceback is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from pulumi_cbr.simulator import Fault

#: How often each fault happens, in the order of the letters.
TIMES: dict[str, int | None] = {"once": 1, "twice": 2, "for ever": None}

#: What can go wrong with a call of the operation, as the simulator's faults say it.
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "timeout before": {"kind": "timeout_before"},
    "timeout after": {"kind": "timeout_after"},
    "500 before": {"kind": "status_before", "status": 500},
    "500 after": {"kind": "status_after", "status": 500},
    "502 before": {"kind": "status_before", "status": 502},
    "502 after": {"kind": "status_after", "status": 502},
    "503 before": {"kind": "status_before", "status": 503},
    "503 after": {"kind": "status_after", "status": 503},
    "504 before": {"kind": "status_before", "status": 504},
    "504 after": {"kind": "status_after", "status": 504},
    "html 502 before": {"kind": "html"},
    "html 502 after": {"kind": "html", "committed": True},
    "html 200 before": {"kind": "html", "status": 200},
    "html 200 after": {"kind": "html", "status": 200, "committed": True},
    "throttle 2 s": {"kind": "throttle", "retry_after": 2},
    "throttle date": {"kind": "throttle", "retry_after": "in 2 s"},
    "throttle": {"kind": "throttle"},
    "throttle a day": {"kind": "throttle", "retry_after": 86400},
    "slow": {"kind": "slow", "seconds": 0.3},
    "truncated": {"kind": "truncated"},
    "malformed": {"kind": "malformed"},
    "wrong shape": {"kind": "malformed", "body": {"unexpected": True}},
    "proxy 407": {"kind": "proxy_407"},
    "token expired": {"kind": "expire_token"},
}

#: What can go wrong with signing in, when the token has been revoked.
SIGN_IN_FAULTS = {
    f"sign-in: {name}": FAULTS[name]
    for name in (
        "reset before",
        "timeout before",
        "503 before",
        "html 502 before",
        "html 200 before",
        "throttle 2 s",
        "slow",
        "truncated",
    )
}

EXPECTED = """
                         create read delete accept look reject share list add remove unshare update
reset before             ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
reset after              ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
timeout before           ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
timeout after            ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
500 before               ++e    eee  eee    ++e    eee  ++e    ++e   eee  ++e eee    eee     +++
500 after                ++a    eee  eee    ++e    eee  ++e    ++a   eee  ++a eee    eee     +++
502 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
502 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
503 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
503 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
504 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
504 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
html 502 before          ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
html 502 after           ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
html 200 before          ++e    eee  ++e    ++e    eee  ++e    ++e   eee  ++e ++e    ++e     +++
html 200 after           ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     +++
throttle 2 s             ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
throttle date            ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
throttle                 ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     +++
throttle a day           eee    eee  eee    eee    eee  eee    eee   eee  eee eee    eee     +++
slow                     +++    +++  +++    +++    +++  +++    +++   +++  +++ +++    +++     +++
truncated                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     +++
malformed                ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     +++
wrong shape              ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     +++
proxy 407                eee    eee  eee    eee    eee  eee    eee   eee  eee eee    eee     +++
token expired            +ee    +ee  +ee    +ee    +ee  +ee    +ee   +ee  +ee -      -       +++
sign-in: reset before    ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: timeout before  ++e    -    -      -      -    -      -     -    -   -      -       -
sign-in: 503 before      ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: html 502 before ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: html 200 before ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: throttle 2 s    ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: slow            +++    +++  +++    +++    -    -      -     -    -   -      -       -
sign-in: truncated       ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
"""

#: These take the token from everybody: they are run one at a time.
ALONE = {"token expired", *SIGN_IN_FAULTS}


@dataclass(frozen=True)
class Cell:
    """One operation, one fault, and how often it happens."""

    operation: str
    fault: str
    times: str


@dataclass(frozen=True)
class End:
    """The outcome of a cell: its letter, and the calls that were made."""

    letter: str
    calls: str


def fault(name: str, times: int | None, method: str, path: str, now: float) -> Fault:
    """Make a fault of the simulator by its name, for calls of a method.

    `now` is the service's time.
    """
    made = {**FAULTS, **SIGN_IN_FAULTS}[name]
    if made.get("retry_after") == "in 2 s":
        made = {**made, "retry_after": formatdate(now + 2, usegmt=True)}
    if name in SIGN_IN_FAULTS:
        method, path = "POST", "/auth/tokens$"
    return Fault(**{"method": method, "path": path, "times": times, **made})


def expected(operations: Collection[str]) -> dict[Cell, str]:
    """Read `EXPECTED`: the letter of each cell."""
    head, *rows = EXPECTED.strip("\n").splitlines()
    columns = head.split()
    assert set(columns) == set(operations)
    cells: dict[Cell, str] = {}
    for row in rows:
        name, *letters = row.rsplit(maxsplit=len(columns))
        for column, three in zip(columns, letters, strict=True):
            if three != "-":
                cells.update((Cell(column, name, times), letter) for times, letter in zip(TIMES, three, strict=True))
    return cells


_WORDS = {"+": "done", "e": "error, again", "a": "error, adopt"}

_HEAD = """\
# What faults do to an operation

Made by the tests (`tests/faults`), which fail where a run gives anything else; `FAULT_MATRIX=write pytest tests/faults/test_matrix.py`
writes it anew. Every cell is run in both flavours of the provider, through the calls that the Pulumi engine makes, against
the simulator, with `cbr:maxRetries` 2 and `cbr:timeout` 8 (2 where a fault is a time-out); the defaults are 4 and 120.

A fault happens to the call that the title names: once, twice in a row, or for ever (then to every call of the operation).
"Before" and "after" say whether the service had made the change by then. Each cell says how it ended, and all calls until then:

- **done**: the operation succeeded, and the state has just what the service has;
- **error, again**: one line of error; the same `pulumi` command, run again when the fault is over, makes the two agree;
- **error, adopt**: one line of error that tells so; run again after `pulumi config set cbr:adoptExisting true`, the command makes
  the two agree. The answer was lost for as long as the command went on looking, so nobody could know that the share is one's own.
  The first-class flavour keeps such a share in the state, and the same command, run again, makes the two agree.

In no cell is a share lost, left over, or taken from somebody else, and in none is a traceback shown.
"""


def written(titles: Mapping[str, str], ends: Mapping[Cell, End]) -> str:
    """Write the ends of all cells as a page."""
    counted = Counter(end.letter for end in ends.values())
    counts = ", ".join(f"{counted[letter]} {words}" for letter, words in _WORDS.items())
    lines = [_HEAD, f"{len(ends)} cells: {counts}."]
    for operation, title in titles.items():
        lines += ["", f"## {title}", "", "| fault | once | twice | for ever |", "| --- | --- | --- | --- |"]
        faults = dict.fromkeys(cell.fault for cell in ends if cell.operation == operation)
        for name in sorted(faults, key=[*FAULTS, *SIGN_IN_FAULTS].index):
            cells = {times: ends[Cell(operation, name, times)] for times in TIMES}
            ended = [f"{_WORDS[end.letter]} ({_calls(name, times, end)})" for times, end in cells.items()]
            lines.append(" | ".join(["| " + name, *ended]) + " |")
    return "\n".join(lines) + "\n"


def _calls(name: str, times: str, end: End) -> str:
    """Return the calls of a cell.

    A date has whole seconds, so the number of waits before it depends on the moment of the first one.
    """
    varies = name == "throttle date" and times == "for ever" and end.letter != "+"
    return "as many as the time allows" if varies else end.calls
