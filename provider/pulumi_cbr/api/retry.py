"""How often and how long a call is tried: the one table, and the waiting.

======================================  =====================  ============  =====================
what happened                           GET, DELETE            signing in    POST, PUT
======================================  =====================  ============  =====================
never sent: no name, no connection      again                  again         again
never sent: certificate, a wrong URL    `ServiceUnavailableError`          the same      the same
sent, and no whole answer came          again                  again         `UnknownOutcomeError`
429                                     again                  again         again
502, 503, 504                           again                  again         `UnknownOutcomeError`
500                                     error                  again         `UnknownOutcomeError`
2xx that is not to be understood        error (see below)      again         `UnknownOutcomeError`
401                                     signs in once, again   error         signs in once, again
any other refusal                       error                  error         error
======================================  =====================  ============  =====================

Waits double from half a second to 20 seconds, less a random part of up to one half; ``Retry-After`` is kept to, up to 60
seconds. Tries end with `maxRetries`, or where the next wait would go past `timeout`: then the last try's error is raised,
`UnknownOutcomeError` for a DELETE that may have been carried out, unless the service itself refused a later try (400 or 404, with its
own code). A 2xx with a body that is not to be understood is `UnknownOutcomeError` for a DELETE too. Tries on the way
to the first call (the sign-in) count as its own, unless that has less than its whole time (see `pulumi_cbr.api.single_flight`).
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from pulumi_cbr.api.errors import ServiceUnavailableError

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 20.0
_LONGEST_RETRY_AFTER = 60.0
#: A try that may be repeated gets half of what is left, so that there is time for another.
_LONGEST_TRY = 30.0
_SHORTEST_TRY = 0.05
#: Longer, and some platforms cannot wait.
_LONGEST_CALL = 1e9
#: From here on the user is told about a wait.
_LONG_WAIT = 2.0

_log = logging.getLogger("pulumi_cbr")


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def _unlimited() -> float:
    return math.inf


@dataclass(frozen=True)
class Clock:
    """Time and chance, which tests replace. `clock` gives seconds that only grow, `now` the time of day in UTC.

    `time_left` gives the seconds that the caller itself has left.
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    random_fraction: Callable[[], float] = random.random
    time_left: Callable[[], float] = _unlimited


class Patience:
    """What one call has left: of its time (seconds) and of its retries."""

    def __init__(self, timing: Clock, timeout: float, max_retries: int) -> None:
        self._timing = timing
        self._timeout = min(timeout, _LONGEST_CALL)
        self._deadline = timing.clock() + min(self._timeout, timing.time_left())
        self._retries = max_retries
        self._tried = 0

    @property
    def left(self) -> float:
        """The seconds that are left; none after its time."""
        return max(0.0, self._deadline - self._timing.clock())

    @property
    def whole(self) -> bool:
        """Whether there is as much time as a call is given, but for what comes before it."""
        return self.left >= 0.9 * self._timeout

    def begin(self, operation: str) -> None:
        """Refuse to begin what there is no time left for. Raises `ServiceUnavailableError`."""
        if not self.left:
            raise ServiceUnavailableError(f"{operation}: not sent, for its time (cbr:timeout, customTimeouts) was over")

    def anew(self) -> Patience:
        """Give what a call has that begins now."""
        return Patience(self._timing, self._timeout, self._retries)

    def for_one_try(self, *, repeatable: bool) -> float:
        """Give the seconds that the next try may take; a very short time where none are left."""
        return max(_SHORTEST_TRY, min(_LONGEST_TRY, self.left / 2 if repeatable else self.left))

    def again(self, why: str, retry_after: float | None = None) -> bool:
        """Wait and allow one more try, or tell that the call's time or its retries are spent."""
        if self._tried >= self._retries:
            return False
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._tried, 10)) * (1 - self._timing.random_fraction() / 2)
        if retry_after is not None:
            wait = max(wait, min(_LONGEST_RETRY_AFTER, retry_after))
        if self._timing.clock() + wait >= self._deadline:
            return False
        self._tried += 1
        tell = _log.warning if wait > _LONG_WAIT else _log.debug
        tell("%s. Trying again in %.1f s (%d of %d)", why, wait, self._tried, self._retries)
        self._timing.sleep(wait)
        return True
