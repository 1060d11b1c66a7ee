"""When a call is sent again, how long it waits, and how long it may take.

======================================  =====================  ============  =====================
outcome of an attempt                   GET, DELETE            sign-in       POST, PUT
======================================  =====================  ============  =====================
not sent: no host, no connection        retried                retried       retried
not sent: certificate, malformed URL    error                  error         error
sent, no complete response              retried                retried       unknown outcome
429                                     retried                retried       retried
408, 502, 503, 504                      retried                retried       unknown outcome
500, redirect, 409, 423, gateway's 404  error                  error (5xx    unknown outcome
                                                               retried)
2xx with an unreadable body             error                  retried       unknown outcome
401                                     signs in once          error         signs in once
any other refusal                       error                  error         error
======================================  =====================  ============  =====================

Waits double from half a second to 20 seconds, less a random part of up to one half. A ``Retry-After`` of up to 60 seconds
is obeyed. Retries end with `maxRetries`, or if the next wait would end after `timeout`. Waits for a 429 do not count as
retries: only `timeout` ends them. A DELETE of which an attempt may have been carried out ends in `UnknownOutcomeError`,
unless the service refuses a later attempt with a code of its own.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum, auto

from pulumi_cbr import messages
from pulumi_cbr.api.errors import ServiceUnavailableError

#: Attempts of calls that a process has in flight at the same time, unless cbr:parallel says otherwise.
MAX_IN_FLIGHT = 32

_FIRST_WAIT = 0.5
_MAX_WAIT = 20.0
_MAX_RETRY_AFTER = 60.0
#: A repeatable attempt gets half of the remaining time, which leaves time for another.
_MAX_ATTEMPT = 30.0
_MIN_ATTEMPT = 0.05
#: Some platforms cannot wait for longer.
_MAX_CALL = 4e6
#: Longer waits are shown to the user.
_LONG_WAIT = 2.0
#: Seconds without a long wait after which an outage has ended.
_OUTAGE_GAP = 60.0

_log = logging.getLogger("pulumi_cbr")


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def _unlimited() -> float:
    return math.inf


@dataclass(frozen=True)
class Clock:
    """Time and randomness, which tests replace.

    `monotonic` returns seconds that never go back, `now` the time of day in UTC, `time_left` the seconds that the caller has left.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    random_fraction: Callable[[], float] = random.random
    time_left: Callable[[], float] = _unlimited


def attempts(timing: Clock, waits: Sequence[float]) -> Iterator[bool]:
    """Yield for each attempt whether it is the last one, and wait between attempts."""
    for wait in waits:
        yield False
        timing.sleep(wait)
    yield True


class Outcome(Enum):
    """The outcome of one attempt."""

    SUCCESS = auto()
    NOT_SENT = auto()
    #: Not sent, and another attempt would fail too.
    NOT_SENDABLE = auto()
    #: Sent, and no complete response came back.
    LOST = auto()
    THROTTLED = auto()
    UNAUTHORIZED = auto()
    UNAVAILABLE = auto()
    REFUSED = auto()
    #: A response that says nothing of whether the call was carried out.
    UNCLEAR = auto()


_REPEATABLE = frozenset({"GET", "DELETE"})
_ALL = frozenset({"GET", "DELETE", "POST", "PUT"})

#: The methods that are sent again after an outcome; after the others, none is.
_RETRYABLE = {
    Outcome.NOT_SENT: _ALL,
    Outcome.THROTTLED: _ALL,
    Outcome.LOST: _REPEATABLE,
    Outcome.UNAVAILABLE: _REPEATABLE,
}

#: After these, a call that changes something may have been carried out.
_UNKNOWN = frozenset({Outcome.LOST, Outcome.UNAVAILABLE, Outcome.UNCLEAR})


def is_repeatable(method: str) -> bool:
    """Return whether a call of this method may be carried out twice without harm."""
    return method in _REPEATABLE


def is_retryable(method: str, outcome: Outcome) -> bool:
    """Return whether a call of this method may be sent again after this outcome."""
    return method in _RETRYABLE.get(outcome, frozenset())


def is_unknown(method: str, outcome: Outcome) -> bool:
    """Return whether a call of this method may have changed something after this outcome."""
    return method != "GET" and outcome in _UNKNOWN


class Deadline:
    """The end of a call, `timeout` seconds from now or as soon as its caller has no time left."""

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + min(timeout, _MAX_CALL, clock.time_left())

    @property
    def remaining(self) -> float:
        """The seconds until the deadline; 0 after it."""
        return max(0.0, self._end - self._clock.monotonic())

    def check(self, operation: str) -> None:
        """Raise `ServiceUnavailableError` if no time remains."""
        if not self.remaining:
            raise ServiceUnavailableError(messages.not_sent_in_time(operation))

    def attempt_timeout(self, *, repeatable: bool) -> float:
        """Return the seconds that the next attempt may take; a very short time after the deadline."""
        remaining = self.remaining
        return max(_MIN_ATTEMPT, min(_MAX_ATTEMPT, remaining / 2 if repeatable else remaining))


class OutageNotices:
    """Announce long waits once for each outage of a host, not once for each call. Thread-safe.

    An outage ends after a minute in which no call has to wait for long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ends: dict[str, float] = {}

    def announce(self, host: str, reason: str, wait: float, now: float) -> None:
        """Log a wait of `wait` seconds: as a warning if it is the first long one of an outage."""
        is_new = False
        if wait > _LONG_WAIT:
            with self._lock:
                last_end = self._last_ends.get(host)
                is_new = last_end is None or now - last_end > _OUTAGE_GAP
                self._last_ends[host] = max(now + wait, last_end or 0.0)
        if is_new:
            _log.warning("%s", messages.outage(reason, wait))
        else:
            _log.debug("%s", messages.retry(reason, wait))


class CallLimits:
    """The limits that all clients of a process share: slots for attempts, notices of outages."""

    def __init__(self, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self.slots: threading.BoundedSemaphore = threading.BoundedSemaphore(max_in_flight)
        self.outages: OutageNotices = OutageNotices()


class Backoff:
    """The waits between the attempts of one call."""

    def __init__(self, clock: Clock, deadline: Deadline, max_retries: int, notices: OutageNotices, host: str) -> None:
        self._clock = clock
        self._deadline = deadline
        self._max_retries = max_retries
        self._notices = notices
        self._host = host
        self._retries = 0
        self._throttled = 0

    def wait_before_retry(self, reason: str, retry_after: float | None = None, *, throttled: bool = False) -> bool:
        """Wait and return True, or return False if neither retries nor time are left.

        `retry_after` are the seconds that the service asks for. Waits of a throttled call do not count as retries.
        """
        if not throttled and self._retries >= self._max_retries:
            return False
        count = self._throttled if throttled else self._retries
        wait = min(_MAX_WAIT, _FIRST_WAIT * 2 ** min(count, 10)) * (1 - self._clock.random_fraction() / 2)
        if retry_after is not None:
            wait = max(wait, min(_MAX_RETRY_AFTER, retry_after))
        if wait >= self._deadline.remaining:
            return False
        if throttled:
            self._throttled += 1
        else:
            self._retries += 1
        self._notices.announce(self._host, reason, wait, self._clock.monotonic())
        self._clock.sleep(wait)
        return True
