from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pulumi_cbr.api import single_flight as module
from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound, ServiceUnavailableError
from pulumi_cbr.api.retry import Clock, Patience
from pulumi_cbr.api.single_flight import SingleFlight
from waiting import Lingering

#: Seconds that a call has, and after which a test has failed.
LONG = 30.0

time_left = contextvars.ContextVar("time_left", default=2 * LONG)


def patience(seconds: float = 2 * LONG, *, looked: Callable[[], object] = lambda: None) -> Patience:
    """Give what a call has whose caller has so many seconds; `looked` is called when somebody looks how many are left."""
    made: list[bool] = []

    def clock() -> float:
        if made:
            looked()
        return 0.0

    token = time_left.set(seconds)
    given = Patience(Clock(clock=clock, time_left=time_left.get), LONG, 0)
    time_left.reset(token)
    made.append(True)
    return given


class Call:
    """A call that somebody has begun, in a thread of its own: it ends when it is told to, and counts how often it is made."""

    def __init__(self, joined: SingleFlight[str], threads: ThreadPoolExecutor) -> None:
        self.made = 0
        self._joined = joined
        self._threads = threads
        self._begun = threading.Event()
        self._ended: Future[str] = Future()
        self.first = threads.submit(joined.result, self._make, patience())
        assert self._begun.wait(LONG)

    def _make(self, _: Patience) -> str:
        self.made += 1
        self._begun.set()
        return self._ended.result(LONG)

    def joined_by(self, number: int) -> list[Future[str]]:
        """Have others ask for the same, and come back when they wait."""
        waiting = threading.Semaphore(0)
        asking = [
            self._threads.submit(self._joined.result, self._make, patience(looked=waiting.release))
            for _ in range(number)
        ]
        assert all(waiting.acquire(timeout=LONG) for _ in range(number))
        return asking

    def answer(self, text: str) -> None:
        self._ended.set_result(text)

    def fail(self, error: BaseException) -> None:
        self._ended.set_exception(error)


def another(_: Patience) -> str:
    return "another"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_who_comes_while_it_is_on_its_way_gets_its_result(threads: ThreadPoolExecutor) -> None:
    joined = SingleFlight[str]("asking")
    call = Call(joined, threads)
    assert joined.on_its_way
    others = call.joined_by(4)
    call.answer("found")
    assert {one.result(LONG) for one in (call.first, *others)} == {"found"}
    assert not joined.on_its_way
    assert joined.known == joined.result(another, patience()) == "found"
    assert call.made == 1


def test_it_is_made_once_where_all_come_at_the_same_moment(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Lingering(Future[str])
    monkeypatch.setattr(module, "Future", begin)
    joined = SingleFlight[str]("asking")
    asking = [threads.submit(joined.result, another, patience()) for _ in range(4)]
    assert {one.result(LONG) for one in asking} == {"another"}
    assert len(begin.made) == 1


@pytest.mark.parametrize("error", [CbrError("no"), KeyError("a bug"), SystemExit(1)], ids=repr)
def test_a_failure_is_everybodys_and_the_next_makes_it_anew(threads: ThreadPoolExecutor, error: BaseException) -> None:
    joined = SingleFlight[str]("asking", kept=(NotFound,))
    call = Call(joined, threads)
    others = call.joined_by(4)
    call.fail(error)
    assert all(one.exception(LONG) is error for one in (call.first, *others))
    assert call.made == 1
    assert not joined.on_its_way
    assert joined.result(another, patience()) == "another"


def test_a_failure_that_is_kept_serves_who_comes_later(threads: ThreadPoolExecutor) -> None:
    joined = SingleFlight[str]("asking", kept=(NotAllowed, NotFound))
    call = Call(joined, threads)
    others = call.joined_by(2)
    assert joined.known is None
    call.fail(NotFound("asking", status=404))
    assert all(isinstance(one.exception(LONG), NotFound) for one in (call.first, *others))
    with pytest.raises(NotFound):
        joined.result(another, patience())
    assert joined.known is None
    assert call.made == 1


def test_who_waits_does_so_for_its_own_time(threads: ThreadPoolExecutor) -> None:
    joined = SingleFlight[str]("asking")
    call = Call(joined, threads)
    with pytest.raises(ServiceUnavailableError, match=r"^asking: no answer in time$"):
        joined.result(another, patience(0.01))
    others = call.joined_by(1)
    call.answer("found")
    assert {one.result(LONG) for one in (call.first, *others)} == {"found"}


def test_who_has_less_time_leaves_a_call_behind_that_has_all_of_it(threads: ThreadPoolExecutor) -> None:
    joined = SingleFlight[str]("asking")
    ended = threading.Event()
    left: list[float] = []

    def call(given: Patience) -> str:
        left.append(given.left)
        assert ended.wait(LONG)
        return "found"

    token = time_left.set(0.01)
    try:
        with pytest.raises(ServiceUnavailableError, match=r"^asking: no answer in time$"):
            joined.result(call, patience(0.01))
    finally:
        time_left.reset(token)
    waiting = threading.Event()
    other = threads.submit(joined.result, another, patience(looked=waiting.set))
    assert waiting.wait(LONG)
    ended.set()
    assert other.result(LONG) == "found"
    assert left == [LONG]


@pytest.mark.parametrize(("seconds", "aside"), [(0.9 * LONG, False), (0.8 * LONG, True)])
def test_a_call_is_made_where_its_maker_has_enough_time_for_it(seconds: float, aside: bool) -> None:
    made_by = SingleFlight[threading.Thread]("asking").result(lambda _: threading.current_thread(), patience(seconds))
    assert (made_by is not threading.current_thread()) is aside
    # Nobody's exit waits for it.
    assert made_by.daemon is aside


def test_it_is_made_by_its_asker_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert SingleFlight[str]("asking").result(lambda _: "found", patience(1.0)) == "found"


def test_who_has_time_without_end_waits(threads: ThreadPoolExecutor) -> None:
    joined = SingleFlight[str]("asking")
    call = Call(joined, threads)
    waiting = threading.Event()

    def clock() -> float:
        waiting.set()
        return 0.0

    endless = Patience(Clock(clock=clock), 1e300, 0)
    waiting.clear()
    other = threads.submit(joined.result, another, endless)
    assert waiting.wait(LONG)
    call.answer("found")
    assert other.result(LONG) == "found"


def test_who_has_no_time_left_makes_no_call() -> None:
    joined = SingleFlight[str]("asking")
    for seconds in 0.0, -1.0:
        with pytest.raises(ServiceUnavailableError, match=r"^asking: not sent, for its time \(.*\) was over$"):
            joined.result(another, patience(seconds))
    assert joined.result(lambda _: "found", patience()) == "found"
    assert joined.result(another, patience(0.0)) == "found"
