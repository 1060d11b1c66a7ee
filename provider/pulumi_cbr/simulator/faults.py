"""What goes wrong on the way, named by what happens: which requests a fault takes, and how a script says so.

A fault is decided here and carried out by `server`. All faults can be put in from Python, by a line of script, and
over HTTP at run time (``POST /_simulator/faults``).
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, fields
from random import Random
from typing import Any

__all__ = ["FORMS", "KINDS", "Fault", "Faults"]

#: Every kind, and what happens.
KINDS: dict[str, str] = {
    "reset_before": "the connection is reset; nothing was done",
    "reset_after": "the change is made, then the connection is reset without an answer",
    "timeout_before": "nothing is done and no answer comes",
    "timeout_after": "the change is made and no answer comes",
    "status_before": "the status and body that the fault names; nothing was done",
    "status_after": "the change is made, then the status and body that the fault names",
    "html": "a gateway's page in HTML",
    "throttle": "429, with Retry-After where the fault gives one",
    "slow": "the right answer, late",
    "truncated": "the change is made; the answer ends before its length",
    "malformed": "the change is made; the answer has status 200 and a body that is none",
    "proxy_407": "a proxy wants to be signed in to",
    "expire_token": "the token that came with the request is revoked, and refused",
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    It takes the requests whose method is ``method`` (``*``: any) and in whose path (without the query) the regular
    expression ``path`` is found, identity's too; of those, it takes ``times`` in a row (None: all)
    from the ``nth`` since it was added. With ``probability``, each from the ``nth`` on is taken by a draw from the
    seed, and ``times`` is not looked at.

    ``status`` is 503 if not given, 502 for `html`. ``seconds`` is how long `slow` waits (1 if not given) and how long a
    time-out holds the connection (an hour). ``body`` is text sent as it is, or anything else sent as JSON. Raises
    ValueError for what is none.
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

    def __post_init__(self) -> None:
        _check("kind", self.kind, str)
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind!r} (there are {', '.join(KINDS)})")
        _check("method", self.method, str)
        _check("path", self.path, str)
        _check("nth", self.nth, int)
        _check("status", self.status, int, None)
        _check("committed", self.committed, bool)
        _check("times", self.times, int, None)
        _check("seconds", self.seconds, int, float, None)
        _check("probability", self.probability, int, float, None)
        _check("retry_after", self.retry_after, str, int, None)
        try:
            re.compile(self.path)
        except (re.error, OverflowError, RecursionError) as broken:
            raise ValueError(f"path {self.path!r} is not a regular expression: {broken}") from None
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be 200 to 599, not {self.status}")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be 0 to 1, not {self.probability}")
        if self.seconds is not None and not 0 <= self.seconds <= 86400:
            raise ValueError(f"seconds must be 0 to 86400, not {self.seconds}")
        if isinstance(self.retry_after, str) and not (self.retry_after.isascii() and self.retry_after.isprintable()):
            raise ValueError("retry_after must be one line of ASCII text")
        try:
            (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        except (TypeError, ValueError, RecursionError):
            raise ValueError("body must be text that can be sent, or JSON") from None

    def matches(self, method: str, path: str) -> bool:
        """Say whether a request is of those that the fault counts."""
        return self.method in ("*", method) and re.search(self.path, path) is not None

    @classmethod
    def from_dict(cls, document: object) -> Fault:
        """Make a fault of its JSON form: the fields by name. Raises ValueError."""
        if not isinstance(document, dict) or "kind" not in document:
            raise ValueError("a fault is an object with at least a kind")
        known = {field.name for field in fields(cls)}
        unknown = [str(name) for name in document if name not in known]
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)} (it has {', '.join(sorted(known))})")
        return cls(**document)


class Faults:
    """The faults in force, in the order they were added; the first that is due takes a request, and counts for all."""

    def __init__(self, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._random = Random(f"{seed}/faults")  # noqa: S311
        self._faults: list[_Counted] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force from the next request on."""
        with self._lock:
            self._faults.append(_Counted(fault))

    def scripted(self, line: str) -> Fault:
        """Put in force what a line says, and give the fault. Raises ValueError with the forms there are.

            the 3rd POST to /members: reset after commit
            the 1st DELETE to /members/.*, 2 times: status 503 before commit
            every GET to /members/.*: slow 2 s
            10% of * to /v3/.*: throttle, retry after 1

        The path is a regular expression that reaches to the path's end; ``, <n> times`` goes with ``the <n>th`` alone.
        What can happen: ``reset``, ``timeout``, ``status <n>`` and ``html <n>``, each ``before commit`` or ``after
        commit``, a ``timeout`` with ``, <n> s`` behind it where it ends; ``throttle``, ``throttle, retry after <text>``;
        ``slow <n> s``; ``truncated``; ``malformed``; ``proxy 407``; ``expire token``.
        """
        fault = _parse(line)
        self.add(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Put one fault out of force; one that is not in force is no error."""
        with self._lock:
            self._faults = [counted for counted in self._faults if counted.fault is not fault]

    def clear(self) -> None:
        """Put all faults out of force."""
        with self._lock:
            self._faults.clear()

    def list(self) -> list[Fault]:
        """Give the faults that have not run out."""
        with self._lock:
            return [counted.fault for counted in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """Count a request; give the fault that it meets, if any."""
        with self._lock:
            due = [counted.fault for counted in self._faults if counted.take(method, path, self._random)]
            self._faults = [counted for counted in self._faults if not counted.spent()]
            return due[0] if due else None


class _Counted:
    """A fault and how many requests it has seen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0

    def take(self, method: str, path: str, random: Random) -> bool:
        fault = self.fault
        if not fault.matches(method, path):
            return False
        self._seen += 1
        if self._seen < fault.nth:
            return False
        if fault.probability is not None:
            return random.random() < fault.probability
        return fault.times is None or self._seen < fault.nth + fault.times

    def spent(self) -> bool:
        fault = self.fault
        return fault.probability is None and fault.times is not None and self._seen >= fault.nth + fault.times - 1


_LINE = re.compile(
    r"(?:the (?P<nth>\d+)(?:st|nd|rd|th)|(?P<every>every)|(?P<percent>\d+(?:\.\d+)?)% of)"
    r" (?P<method>[A-Z]+|\*) to (?P<path>\S+?)(?:, (?P<times>\d+) times)?: (?P<what>.+)"
)

#: What can happen, in the words of a script.
FORMS = (
    "reset before|after commit; timeout before|after commit[, N s]; status NNN before|after commit; "
    "html NNN before|after commit; throttle[, retry after N]; slow N s; truncated; malformed; proxy 407; expire token"
)

_WHAT: dict[str, re.Pattern[str]] = {
    "reset": re.compile(r"reset (?P<when>before|after) commit"),
    "timeout": re.compile(r"time-?out (?P<when>before|after) commit(?:, (?P<seconds>\d+(?:\.\d+)?) s)?"),
    "status": re.compile(r"status (?P<status>\d{3}) (?P<when>before|after) commit"),
    "html": re.compile(r"html (?P<status>\d{3}) (?P<committed>before|after) commit"),
    "throttle": re.compile(r"throttle(?:, retry after (?P<retry_after>.+))?"),
    "slow": re.compile(r"slow (?P<seconds>\d+(?:\.\d+)?) s"),
    "truncated": re.compile(r"truncated"),
    "malformed": re.compile(r"malformed"),
    "proxy_407": re.compile(r"proxy 407"),
    "expire_token": re.compile(r"expire token"),
}


def _parse(line: str) -> Fault:
    head = _LINE.fullmatch(line.strip())
    if head is None:
        raise ValueError(
            f"not understood: {line!r}; say 'the 3rd POST to /members: reset after commit', "
            "'every GET to <path>: <what>' or '10% of * to <path>: <what>'"
        )
    if head["times"] and not head["nth"]:
        raise ValueError(f"not understood: {line!r}; ', {head['times']} times' goes with 'the 1st', 'the 2nd', ...")
    path = head["path"].rstrip("$")
    chosen: dict[str, Any] = {"method": head["method"], "path": f"(?:{path})$" if "|" in path else f"{path}$"}
    if head["nth"]:
        chosen |= {"nth": int(head["nth"]), "times": int(head["times"] or 1)}
    elif head["every"]:
        chosen["times"] = None
    else:
        chosen["probability"] = float(head["percent"]) / 100
    for kind, pattern in _WHAT.items():
        if (what := pattern.fullmatch(head["what"].strip())) is None:
            continue
        said = {name: value for name, value in what.groupdict().items() if value is not None}
        when = said.pop("when", None)
        if "status" in said:
            chosen["status"] = int(said["status"])
        if "seconds" in said:
            chosen["seconds"] = float(said["seconds"])
        if "committed" in said:
            chosen["committed"] = said["committed"] == "after"
        if "retry_after" in said:
            chosen["retry_after"] = said["retry_after"]
        return Fault(f"{kind}_{when}" if when else kind, **chosen)
    raise ValueError(f"no such fault: {head['what']!r}; there are: {FORMS}")


def _check(name: str, value: object, *kinds: type | None) -> None:
    """Refuse a value of another type: faults come in over HTTP too."""
    allowed = tuple(kind for kind in kinds if kind is not None)
    wrong_boolean = isinstance(value, bool) and bool not in allowed
    if (value is None and None not in kinds) or (
        value is not None and (wrong_boolean or not isinstance(value, allowed))
    ):
        raise ValueError(
            f"{name} must be {' or '.join('none' if k is None else k.__name__ for k in kinds)}, not {value!r}"
        )
