"""One list for a burst of reads, and none that is older than a write."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone

import pytest

from pulumi_cbr.api.errors import NotAllowed, NotFound, ServiceError, ServiceUnavailableError
from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.member_cache import MemberCache
from waiting import PATIENCE


def member(project: str) -> Member:
    return Member("id", "pending", "b", project, datetime.now(timezone.utc))


time_left = ContextVar("time_left", default=math.inf)


class Service:
    """Counts its calls, and can hold or fail them."""

    def __init__(self) -> None:
        self.calls = 0
        self.members: tuple[Member, ...] = (member("p"),)
        self.before_answer: Callable[[], None] = lambda: None
        self.now = 100.0
        self.looked = threading.Semaphore(0)
        timing = Clock(monotonic=self.clock, time_left=lambda: time_left.get())
        self.member_cache = MemberCache(self.fetch, timing=timing, timeout=120)

    def clock(self) -> float:
        self.looked.release()
        return self.now

    def fetch(self, backup_id: str) -> tuple[Member, ...]:
        self.calls += 1
        found = self.members
        self.before_answer()
        return found


@pytest.fixture
def service() -> Service:
    return Service()


def test_list_burst_of_reads_is_one_call(service: Service) -> None:
    all_are_here = threading.Barrier(21)

    def read() -> list[str]:
        all_are_here.wait()
        return list(service.member_cache.get("b"))

    with ThreadPoolExecutor(20) as pool:
        reads = [pool.submit(read) for _ in range(20)]
        all_are_here.wait()
        assert all(one.result() == ["p"] for one in reads)
    assert service.calls == 1


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 1), (2.9, 1), (3.1, 2)])
def test_list_is_cached_for_three_seconds(service: Service, seconds: float, calls: int) -> None:
    service.member_cache.get("b")
    service.now += seconds
    service.member_cache.get("b")
    assert service.calls == calls


def test_list_of_each_backup_is_its_own(service: Service) -> None:
    service.member_cache.get("b")
    service.member_cache.get("c")
    service.member_cache.invalidate("c")
    service.member_cache.get("b")
    assert service.calls == 2


def test_list_after_a_write_is_fetched_again(service: Service) -> None:
    service.member_cache.get("b")
    service.members = ()
    service.member_cache.invalidate("b")
    assert service.member_cache.get("b") == {}


def test_list_in_flight_during_a_write_is_not_cached(service: Service) -> None:
    asked, written = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        assert written.wait(PATIENCE)

    service.before_answer = hold
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(service.member_cache.get, "b")
        assert asked.wait(PATIENCE)
        service.members = ()
        service.before_answer = lambda: None
        service.member_cache.invalidate("b")
        assert service.member_cache.get("b") == {}
        written.set()
        assert list(early.result()) == ["p"]
    assert service.member_cache.get("b") == {}


def test_list_failing_late_keeps_a_newer_one(service: Service) -> None:
    asked, failing = threading.Event(), threading.Event()

    def fail() -> None:
        asked.set()
        assert failing.wait(PATIENCE)
        raise ServiceUnavailableError("no network")

    service.before_answer = fail
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(service.member_cache.get, "b")
        assert asked.wait(PATIENCE)
        service.before_answer = lambda: None
        service.member_cache.invalidate("b")
        assert list(service.member_cache.get("b")) == ["p"]
        failing.set()
        assert early.exception(PATIENCE)
    assert list(service.member_cache.get("b")) == ["p"]
    assert service.calls == 2


@pytest.mark.parametrize("kind", [NotAllowed, NotFound])
def test_list_refusal_is_cached_like_a_list(service: Service, kind: type[ServiceError]) -> None:
    def refuse() -> None:
        raise kind("listing", status=403)

    service.before_answer = refuse
    for _ in range(2):
        with pytest.raises(kind):
            service.member_cache.get("b")
    assert service.calls == 1
    service.before_answer = lambda: None
    service.member_cache.invalidate("b")
    assert list(service.member_cache.get("b")) == ["p"]


def test_list_failure_reaches_waiters_and_is_not_cached(service: Service) -> None:
    def fail() -> None:
        raise ServiceUnavailableError("no network")

    service.before_answer = fail
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match="no network"):
            service.member_cache.get("b")
    assert service.calls == 2
    service.before_answer = lambda: None
    assert list(service.member_cache.get("b")) == ["p"]


@contextmanager
def on_its_way(service: Service) -> Iterator[Callable[[float], Future[Mapping[str, Member]]]]:
    """Keep a list in flight until the block ends; the result asks for it, with a deadline."""
    asked, answered = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        assert answered.wait(PATIENCE)

    def ask(seconds: float) -> Mapping[str, Member]:
        time_left.set(seconds)
        return service.member_cache.get("b")

    service.before_answer = hold
    with ThreadPoolExecutor(2) as threads:

        def begin(seconds: float) -> Future[Mapping[str, Member]]:
            while service.looked.acquire(blocking=False):
                pass
            began = threads.submit(ask, seconds)
            # It looks at the clock for the time of day, for its own end, and for how long it may wait.
            assert all(service.looked.acquire(timeout=PATIENCE) for _ in range(3))
            assert asked.wait(PATIENCE)
            return began

        try:
            yield begin
        finally:
            answered.set()


def test_list_waiter_has_its_own_deadline(service: Service) -> None:
    with on_its_way(service) as begin:
        first = begin(math.inf)
        assert "listing the members of backup b failed: no response in time" in str(begin(0.01).exception(PATIENCE))
        assert not first.done()
    assert list(first.result()) == ["p"]


def test_list_waiter_outlives_a_shorter_deadline(service: Service) -> None:
    with on_its_way(service) as begin:
        hurried = begin(0.01)
        assert isinstance(hurried.exception(PATIENCE), ServiceUnavailableError)
        joined = begin(math.inf)
    assert list(joined.result()) == ["p"]
    assert service.calls == 1


def test_list_in_flight_is_shared_and_as_old_as_its_request(service: Service) -> None:
    with on_its_way(service) as begin:
        reads = [begin(math.inf)]
        service.now += 10
        reads.append(begin(math.inf))
    assert all(list(read.result()) == ["p"] for read in reads)
    assert service.calls == 1
    service.member_cache.get("b")
    assert service.calls == 2
