"""Start a plugin that waits a twentieth of its time between tries. All else is as it is.

Only these waits move its clock, and nothing is random: what it decides does not depend on how busy the machine is. So
a call that is to time out gets the status `TIMED_OUT`, and every other one has the time that it needs.

    python hurried.py pulumi.dynamic <the engine's address>
"""

from __future__ import annotations

import runpy
import sys
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import CallLimits, Clock
from pulumi_cbr.api.settings import Settings
from pulumi_cbr.api.single_flight import SingleFlight
from pulumi_cbr.lifecycle.member_cache import MemberCache
from pulumi_cbr.lifecycle.session import CloudSession, SessionRegistry

T = TypeVar("T")

#: The status of a response in place of which the client sees a time-out.
TIMED_OUT = 598

#: How requests sends.
send_as_it_is = HTTPAdapter.send

_as_it_is = CloudSession.__init__
_wait_for_call = SingleFlight.do
_cache_as_it_is = MemberCache.__init__


class _FakeClock(threading.local):
    """A call is made by one thread."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, sleep: Callable[[float], None], seconds: float) -> None:
        sleep(seconds / 20)
        self.seconds += seconds


def _hurried(
    self: CloudSession, settings: Settings, timing: Clock | None, limits: CallLimits, registry: SessionRegistry
) -> None:
    timing, clock = timing or Clock(), _FakeClock()
    sleep = timing.sleep
    hurried = replace(
        timing, monotonic=clock, sleep=lambda seconds: clock.wait(sleep, seconds), random_fraction=lambda: 0.5
    )
    _as_it_is(self, settings, hurried, limits, registry)


def _do(self: SingleFlight[T], key: Hashable, call: Callable[[], T], timeout: float) -> T:
    # The clock of a caller that waits for another thread stands still.
    return _wait_for_call(self, key, call, 600.0)


def _cache(self: MemberCache, fetch: Callable[[str], tuple[Member, ...]], *, timing: Clock, timeout: float) -> None:
    # All threads share a list, so its age is told by a clock that they share.
    _cache_as_it_is(self, fetch, timing=replace(timing, monotonic=Clock().monotonic), timeout=timeout)


def _send(self: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    response = send_as_it_is(self, request, **{**options, "timeout": urllib3.Timeout(600)})
    if response.status_code == TIMED_OUT:
        response.close()
        raise requests.ReadTimeout("as if there were no response", request=request)
    return response


def hurry(set_attribute: Callable[[Any, str, Any], None] = setattr) -> None:
    """Shorten the waits of the sessions that this process opens from now on."""
    set_attribute(HTTPAdapter, "send", _send)
    set_attribute(MemberCache, "__init__", _cache)
    set_attribute(SingleFlight, "do", _do)
    set_attribute(CloudSession, "__init__", _hurried)


if __name__ == "__main__":
    hurry()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
