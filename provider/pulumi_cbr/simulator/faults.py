"""Faults: which requests fail, and how.

A fault comes from Python, from a line of a script, or as JSON (``POST /_simulator/faults``). This module decides which
fault a request meets; `fault_responses` carries it out.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from pulumi_cbr.simulator.errors import REFUSALS

__all__ = ["FORM_HELP", "KINDS", "Fault", "Faults"]

#: Each kind of fault and what happens.
KINDS: dict[str, str] = {
    "reset_before": "the connection is reset; nothing was done",
    "reset_after": "the change is made, then the connection is reset without a response",
    "timeout_before": "nothing is done and no response comes",
    "timeout_after": "the change is made and no response comes",
    "status_before": "the status and body that the fault names; nothing was done",
    "status_after": "the change is made, then the status and body that the fault names",
    "empty_before": "a status without a body; nothing was done",
    "empty_after": "the change is made, then a status without a body",
    "refuse": "the error that the service documents for a code, with another status if one is given; nothing was done",
    "malformed_url": "401 'Malformed request url', which the service sends for IDs that it cannot read",
    "html": "a gateway's page in HTML",
    "throttle": "429, with Retry-After if the fault gives one",
    "slow": "the right response, late",
    "truncated": "the change is made; the response ends before its length",
    "malformed": "the change is made; the response has status 200 and a broken body",
    "interim": "an interim response (1xx) before the right one",
    "short_list": "the right response, but the list leaves entries out and the count does not",
    "empty_list": "the right response, but the list is empty and the count is 0",
    "field_value": "the right response, but a field of each backup or member has another value",
    "field_missing": "the right response, but a field of each backup or member is missing",
    "field_upper": "the right response, but a field of each backup or member is in capitals",
    "field_dashed": "the right response, but an ID in a field of each backup or member has dashes",
    "proxy_407": "a proxy wants credentials",
    "expire_token": "the token of the request is revoked, and refused",
}

_HELP = "`python -m pulumi_cbr.simulator faults --help`"
_FIELD_KINDS = ("field_value", "field_missing", "field_upper", "field_dashed")


@dataclass(frozen=True)
class Fault:
    """One fault.

    It counts the requests whose method is ``method`` (``*``: any) and whose path, without the query, has a match of
    the regular expression ``path``. Requests to the identity service count too. Of those, ``times`` in a row (None:
    all) meet the fault, from the ``nth`` on. With ``probability``, each request from the ``nth`` on meets it by chance,
    drawn from the seed, and ``times`` has no effect.

    ``status`` is 503 if not given; 502 for `html`, 200 for `empty_before` and `empty_after`, 103 for `interim`.
    ``seconds`` is how long `slow` waits (1 if not given) and how long a timeout holds the connection (an hour).
    ``body`` is sent as text or, if it is no text, as JSON; for `field_value` it is the value. ``code`` is the number of
    an error code for `refuse`, such as 6705. ``field`` is the name of a field for ``field_*``. ``left`` is how many
    entries `short_list` leaves (none if not given). Raises ValueError for anything else.
    """

    kind: str
    method: str = "POST"
    path: str = r"/members$"
    nth: int = 1
    times: int | None = 1
    status: int | None = None
    body: Any = None
    retry_after: str | int | None = None
    seconds: float | None = None
    probability: float | None = None
    #: For `html`: the change was made.
    committed: bool = False
    code: int | None = None
    field: str | None = None
    left: int | None = None

    def __post_init__(self) -> None:
        for name, types in _TYPES.items():
            _check_type(name, getattr(self, name), *types)
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind!r}. See {_HELP}")
        _check_pattern(self.path)
        self._check_ranges()
        _check_sendable(self.body, as_text=self.kind != "field_value")
        if isinstance(self.retry_after, str) and not (self.retry_after.isascii() and self.retry_after.isprintable()):
            raise ValueError("retry_after must be one line of ASCII text")
        if self.kind == "refuse" and self.code not in REFUSALS:
            raise ValueError(f"code must be one of {', '.join(map(str, REFUSALS))}, not {self.code}")
        if self.kind in _FIELD_KINDS and not self.field:
            raise ValueError(f"{self.kind} needs the name of a field")

    def _check_ranges(self) -> None:
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        least, most = (100, 199) if self.kind == "interim" else (200, 599)
        if self.status is not None and not least <= self.status <= most:
            raise ValueError(f"status must be {least} to {most}, not {self.status}")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be 0 to 1, not {self.probability}")
        if self.seconds is not None and not 0 <= self.seconds <= 86400:
            raise ValueError(f"seconds must be 0 to 86400, not {self.seconds}")
        if self.left is not None and self.left < 0:
            raise ValueError("left must be at least 0")

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault counts a request."""
        return self.method in ("*", method) and re.search(self.path, path) is not None

    @classmethod
    def from_dict(cls, document: object) -> Fault:
        """Return the fault of a JSON object with its fields by name. Raises ValueError."""
        if not isinstance(document, dict) or "kind" not in document:
            raise ValueError("a fault is an object with at least a kind")
        known = {field.name for field in fields(cls)}
        unknown = [str(name) for name in document if name not in known]
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)} (it has {', '.join(sorted(known))})")
        return cls(**document)


class Faults:
    """The active faults, in the order they were added.

    Each of them counts a request. The request meets the first one that is due.
    """

    def __init__(self, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._random = Random(f"{seed}/faults")  # noqa: S311
        self._faults: list[_CountedFault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault, which counts from the next request on."""
        with self._lock:
            self._faults.append(_CountedFault(fault))

    def scripted(self, line: str) -> Fault:
        """Add the fault of a script line and return it. Raises ValueError.

            the 3rd POST to /members: reset after commit
            the 1st DELETE to /members/.*, 2 times: status 503 before commit
            every GET to /members/.*: slow 2 s
            10% of * to /v3/.*: throttle, retry after 1

        The path is a regular expression that must match up to the end of the path. Only ``the <n>th`` can have
        ``, <n> times``. `FORM_HELP` has what can happen.
        """
        fault = _parse(line)
        self.add(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove one fault; one that is not active is no error."""
        with self._lock:
            self._faults = [counted for counted in self._faults if counted.fault is not fault]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def list(self) -> list[Fault]:
        """Return the faults that can still happen."""
        with self._lock:
            return [counted.fault for counted in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """Count a request and return the fault that it meets, if any."""
        with self._lock:
            due = [counted.fault for counted in self._faults if counted.count(method, path, self._random)]
            self._faults = [counted for counted in self._faults if not counted.is_spent()]
            return due[0] if due else None


class _CountedFault:
    """A fault and the number of requests that it has counted."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0

    def count(self, method: str, path: str, random: Random) -> bool:
        """Count a request; return whether it meets the fault."""
        fault = self.fault
        if not fault.matches(method, path):
            return False
        self._seen += 1
        if self._seen < fault.nth:
            return False
        if fault.probability is not None:
            return random.random() < fault.probability
        return fault.times is None or self._seen < fault.nth + fault.times

    def is_spent(self) -> bool:
        fault = self.fault
        return fault.probability is None and fault.times is not None and self._seen >= fault.nth + fault.times - 1


# Script lines

_LINE = re.compile(
    r"(?:the (?P<nth>\d+)(?:st|nd|rd|th)|(?P<every>every)|(?P<percent>\d+(?:\.\d+)?)% of)"
    r" (?P<method>[A-Z]+|\*) to (?P<path>\S+?)(?:, (?P<times>\d+) times)?: (?P<what>.+)"
)

_NUMBER = r"\d+(?:\.\d+)?"
_WHEN = r"(?P<when>before|after) commit"

#: Each form as the help shows it, the kind (without ``_before`` or ``_after``) and the pattern with the kind's fields.
_SCRIPTS: tuple[tuple[str, str, str], ...] = (
    ("reset before|after commit", "reset", f"reset {_WHEN}"),
    ("timeout before|after commit[, N s]", "timeout", rf"time-?out {_WHEN}(?:, (?P<seconds>{_NUMBER}) s)?"),
    ("status NNN before|after commit", "status", rf"status (?P<status>\d{{3}}) {_WHEN}"),
    ("empty NNN before|after commit", "empty", rf"empty (?P<status>\d{{3}}) {_WHEN}"),
    ("html NNN before|after commit", "html", r"html (?P<status>\d{3}) (?P<committed>before|after) commit"),
    ("refuse CODE[, status NNN]", "refuse", r"refuse (?P<code>\d{4})(?:, status (?P<status>\d{3}))?"),
    ("malformed url", "malformed_url", "malformed url"),
    ("throttle[, retry after N]", "throttle", "throttle(?:, retry after (?P<retry_after>.+))?"),
    ("slow N s", "slow", f"slow (?P<seconds>{_NUMBER}) s"),
    ("truncated", "truncated", "truncated"),
    ("malformed", "malformed", "malformed"),
    ("interim NNN", "interim", r"interim (?P<status>\d{3})"),
    ("short list[, N left]", "short_list", r"short list(?:, (?P<left>\d{1,9}) left)?"),
    ("empty list", "empty_list", "empty list"),
    ("field NAME is JSON", "field_value", r"field (?P<field>\w+) is (?P<body>[^a-z].*|true|false|null)"),
    ("field NAME missing", "field_missing", r"field (?P<field>\w+) missing"),
    ("field NAME upper", "field_upper", r"field (?P<field>\w+) upper"),
    ("field NAME dashed", "field_dashed", r"field (?P<field>\w+) dashed"),
    ("proxy 407", "proxy_407", "proxy 407"),
    ("expire token", "expire_token", "expire token"),
)

#: What each form does.
FORM_HELP: dict[str, str] = {form: KINDS.get(kind) or KINDS[f"{kind}_after"] for form, kind, _pattern in _SCRIPTS}

_CONVERTERS: dict[str, Any] = {
    "status": int,
    "code": int,
    "left": int,
    "seconds": float,
    "committed": "after".__eq__,
    "body": json.loads,
}


def _parse(line: str) -> Fault:
    head = _LINE.fullmatch(line.strip())
    if head is None:
        raise ValueError(
            f"not understood: {line!r}. Write 'the 3rd POST to /members: reset after commit', "
            "'every GET to <path>: <what>' or '10% of * to <path>: <what>'"
        )
    if head["times"] and not head["nth"]:
        raise ValueError(f"not understood: {line!r}. Write ', {head['times']} times' after 'the 1st ...' only")
    path = head["path"].rstrip("$")
    chosen: dict[str, Any] = {"method": head["method"], "path": f"(?:{path})$" if "|" in path else f"{path}$"}
    if head["nth"]:
        chosen |= {"nth": int(head["nth"]), "times": int(head["times"] or 1)}
    elif head["every"]:
        chosen["times"] = None
    else:
        chosen["probability"] = float(head["percent"]) / 100
    return Fault(**chosen, **_parse_what(head["what"].strip()))


def _parse_what(text: str) -> dict[str, Any]:
    """Return the kind and the fields of what happens. Raises ValueError."""
    for _form, kind, pattern in _SCRIPTS:
        if (what := re.fullmatch(pattern, text)) is None:
            continue
        found = {name: value for name, value in what.groupdict().items() if value is not None}
        when = found.pop("when", None)
        try:
            values = {name: _CONVERTERS.get(name, str)(value) for name, value in found.items()}
        except (ValueError, RecursionError):
            raise ValueError(f"not understood: {text!r}. Write the value as JSON") from None
        return {"kind": f"{kind}_{when}" if when else kind, **values}
    raise ValueError(f"no such fault: {text!r}. See {_HELP}")


# Checks: faults come in over HTTP too

_TYPES: dict[str, tuple[type | None, ...]] = {
    "kind": (str,),
    "method": (str,),
    "path": (str,),
    "nth": (int,),
    "times": (int, None),
    "status": (int, None),
    "retry_after": (str, int, None),
    "seconds": (int, float, None),
    "probability": (int, float, None),
    "committed": (bool,),
    "code": (int, None),
    "field": (str, None),
    "left": (int, None),
}


def _check_type(name: str, value: object, *types: type | None) -> None:
    allowed = tuple(kind for kind in types if kind is not None)
    is_wrong_boolean = isinstance(value, bool) and bool not in allowed
    if (value is None and None not in types) or (
        value is not None and (is_wrong_boolean or not isinstance(value, allowed))
    ):
        names = " or ".join("none" if kind is None else kind.__name__ for kind in types)
        raise ValueError(f"{name} must be {names}, not {value!r}")


def _check_pattern(path: str) -> None:
    try:
        re.compile(path)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"path {path!r} is not a regular expression: {error}") from None


def _check_sendable(body: object, *, as_text: bool) -> None:
    try:
        (body if isinstance(body, str) and as_text else json.dumps(body)).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("body must be text that can be sent, or JSON") from None
