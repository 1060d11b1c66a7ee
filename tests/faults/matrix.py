"""The fault matrix: each operation, each fault, and the required outcome.

The three letters of an entry in `EXPECTED` are three cells: the fault happens once, twice in a row, and for as long as the
operation lasts.

    +  the operation succeeds; state and service agree at once
    e  a clear error; the same command, run again after the fault, makes state and service agree
    a  a clear error that names `cbr:adoptExisting`; run again with it, the command makes state and service agree
    -  not run: equal to another column, or parallel calls, of which a random one would meet the fault, or no call that could

The columns are the keys of `OPERATIONS` in test_matrix.py, which has a title for each. No cell loses a share, leaves one that
the state does not know, or shows a traceback.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from protocol.plugin import FLAVORS
from pulumi_cbr.simulator import Fault

from .hurried import TIMED_OUT

#: How often each fault happens, in the order of the letters.
TIMES: dict[str, int | None] = {"once": 1, "twice": 2, "for ever": None}

#: What can go wrong with a call of the operation, as the simulator's faults say it.
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "timeout before": {"kind": "status_before", "status": TIMED_OUT},
    "timeout after": {"kind": "status_after", "status": TIMED_OUT},
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
    "slow": {"kind": "slow", "seconds": 0.02},
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
reset after              ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
timeout before           ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
timeout after            ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
500 before               ++e    eee  eee    ++e    eee  ++e    ++e   eee  ++e eee    eee     -
500 after                ++a    eee  eee    ++e    eee  ++e    ++a   eee  ++a eee    eee     -
502 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
502 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
503 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
503 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
504 before               ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
504 after                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
html 502 before          ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
html 502 after           ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
html 200 before          ++e    eee  ++e    ++e    eee  ++e    ++e   eee  ++e ++e    ++e     -
html 200 after           ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     -
throttle 2 s             ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
throttle date            ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
throttle                 ++e    ++e  ++e    ++e    ++e  ++e    ++e   ++e  ++e ++e    ++e     -
throttle a day           eee    eee  eee    eee    eee  eee    eee   eee  eee eee    eee     -
slow                     +++    +++  +++    +++    +++  +++    +++   +++  +++ +++    +++     -
truncated                ++a    ++e  ++e    ++e    ++e  ++e    ++a   ++e  ++a ++e    ++e     -
malformed                ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     -
wrong shape              ++a    eee  ++e    ++e    eee  ++e    ++a   eee  ++a ++e    ++e     -
proxy 407                eee    eee  eee    eee    eee  eee    eee   eee  eee eee    eee     -
token expired            +ee    +ee  +ee    +ee    +ee  +ee    +ee   +ee  +ee -      -       -
sign-in: reset before    ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: timeout before  ++e    -    -      -      -    -      -     -    -   -      -       -
sign-in: 503 before      ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: html 502 before ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: html 200 before ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: throttle 2 s    ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
sign-in: slow            +++    +++  +++    +++    -    -      -     -    -   -      -       -
sign-in: truncated       ++e    ++e  ++e    ++e    -    -      -     -    -   -      -       -
"""

#: These revoke the shared token, so they run one at a time.
RUN_ALONE = {"token expired", *SIGN_IN_FAULTS}

#: These need a connection.
BREAK_CONNECTIONS = {
    name
    for name in (*FAULTS, *SIGN_IN_FAULTS)
    if name.removeprefix("sign-in: ").startswith(("reset", "timeout", "truncated"))
}

#: These run in plugins too: each kind of error crosses the wire, and one of the retries ends well.
IN_PLUGINS = {"reset after", "500 before", "throttle 2 s"}


@dataclass(frozen=True)
class Cell:
    """One operation, one fault, and how often it happens."""

    operation: str
    fault: str
    times: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell: its letter, and the calls that were made."""

    letter: str
    calls: str


def flavors_of(cell: Cell, letter: str) -> Collection[str]:
    """Return the flavors that run a cell.

    Both retry by the same code, so each runs a part of what they do alike.
    """
    if "SOAK" in os.environ or (cell.times == "for ever" and (letter == "a" or cell.fault in IN_PLUGINS)):
        return FLAVORS
    return ["native"] if cell.times == "twice" else ["dynamic"]


def make_fault(name: str, times: int | None, method: str, path: str, now: float) -> Fault:
    """Make a fault of the simulator by its name, for calls of a method.

    `now` is the service's time.
    """
    options = {**FAULTS, **SIGN_IN_FAULTS}[name]
    if options.get("retry_after") == "in 2 s":
        options = {**options, "retry_after": formatdate(now + 2, usegmt=True)}
    if name in SIGN_IN_FAULTS:
        method, path = "POST", "/auth/tokens$"
    return Fault(**{"method": method, "path": path, "times": times, **options})


def read_expected(operations: Collection[str]) -> dict[Cell, str]:
    """Read `EXPECTED`: the letter of each cell."""
    header, *rows = EXPECTED.strip("\n").splitlines()
    columns = header.split()
    assert set(columns) == set(operations)
    cells: dict[Cell, str] = {}
    for row in rows:
        name, *entries = row.rsplit(maxsplit=len(columns))
        for column, letters in zip(columns, entries, strict=True):
            if letters != "-":
                cells.update((Cell(column, name, times), letter) for times, letter in zip(TIMES, letters, strict=True))
    return cells


_WORDS = {"+": "done", "e": "error, again", "a": "error, adopt"}

INTRODUCTION = """\
# What faults do to an operation

The tests in `tests/faults` produce this page, and fail if a run gives anything else. To write it again, run
`FAULT_MATRIX=write pytest tests/faults/test_matrix.py`. The tests make the calls that the Pulumi engine makes, against the
simulator. `cbr:maxRetries` is 2 and `cbr:timeout` is 8. The defaults are 4 and 120. Faults that happen twice are run in the
first-class flavor, and the others in the dynamic one. Faults for ever are run in both if the operation then needs an adoption, or if
they are `reset after`, `500 before` or `throttle 2 s`: these also run in a plugin's process. `make soak` runs every cell in both
flavors, and in plugins.

A fault happens to the call that the title names: once, twice in a row, or for ever. For ever means every call of the operation.
"Before" and "after" say whether the service had made the change before the fault. Each cell has its outcome, and all its calls:

- **done**: the operation succeeded. State and service agree.
- **error, again**: the error is one line. The same `pulumi` command, run again after the fault, makes state and service agree.
- **error, adopt**: the error is one line, and names `cbr:adoptExisting`. Run again after
  `pulumi config set cbr:adoptExisting true`, the command makes state and service agree. Every read of the command failed, so it
  could not tell whether the share is its own. The first-class flavor keeps such a share in the state. There, the same command,
  run again, makes state and service agree.

No cell loses a share, leaves one behind, or takes one from somebody else. No cell shows a traceback.
"""


def to_page(titles: Mapping[str, str], outcomes: Mapping[Cell, Outcome]) -> str:
    """Return the outcomes of all cells as a page."""
    counted = Counter(outcome.letter for outcome in outcomes.values())
    counts = ", ".join(f"{counted[letter]} {words}" for letter, words in _WORDS.items())
    lines = [INTRODUCTION, f"{len(outcomes)} cells: {counts}."]
    for operation, title in titles.items():
        lines += ["", f"## {title}", "", "| fault | once | twice | for ever |", "| --- | --- | --- | --- |"]
        faults = dict.fromkeys(cell.fault for cell in outcomes if cell.operation == operation)
        for name in sorted(faults, key=[*FAULTS, *SIGN_IN_FAULTS].index):
            row = {times: outcomes[Cell(operation, name, times)] for times in TIMES}
            entries = [f"{_WORDS[outcome.letter]} ({outcome.calls})" for outcome in row.values()]
            lines.append(" | ".join(["| " + name, *entries]) + " |")
    return "\n".join(lines) + "\n"
