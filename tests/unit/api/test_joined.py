from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound, Unreachable
from pulumi_cbr.api.joined import JoinedCall
from pulumi_cbr.api.retries import Patience, Timing

LONG = 30.0


def patience(seconds: float = LONG, *, hurried: bool = False, looked: Callable[[], object] = lambda: None) -> Patience:
    """Give a patience of so many seconds; `looked` is called when somebody looks how many are left."""
    made: list[bool] = []

    def clock() -> float:
        if made:
            looked()
        return 0.0

    given = Patience(Timing(clock=clock, time_left=lambda: seconds), LONG + 1 if hurried else seconds, 0)
    made.append(True)
    return given


class Call:
    """A call that somebody has begun, in a thread of its own: it ends when it is told to, and counts how often it is made."""

    def __init__(self, joined: JoinedCall[str], threads: ThreadPoolExecutor, *, hurried: bool = False) -> None:
        self.made = 0
        self._joined = joined
        self._threads = threads
        self._begun = threading.Event()
        self._ended: Future[str] = Future()
        self.first = threads.submit(joined.result, self._make, patience(hurried=hurried))
        assert self._begun.wait(LONG)

    def _make(self) -> str:
        self.made += 1
        self._begun.set()
        return self._ended.result(LONG)

    def joined_by(self, number: int) -> list[Future[str]]:
        """Have others ask for the same, and come back when they wait."""
        waiting = threading.Semaphore(0)
        asking = [
            self._threads.submit(self._joined.result, self._make_again, patience(looked=waiting.release))
            for _ in range(number)
        ]
        assert all(waiting.acquire(timeout=LONG) for _ in range(number))
        return asking

    def _make_again(self) -> str:
        self.made += 1
        return "made again"

    def answer(self, text: str) -> None:
        self._ended.set_result(text)

    def fail(self, error: BaseException) -> None:
        self._ended.set_exception(error)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_who_comes_while_it_is_on_its_way_gets_its_result(threads: ThreadPoolExecutor) -> None:
    joined = JoinedCall[str]("asking")
    call = Call(joined, threads)
    assert joined.on_its_way
    others = call.joined_by(4)
    call.answer("found")
    assert {one.result(LONG) for one in (call.first, *others)} == {"found"}
    assert not joined.on_its_way
    assert joined.result(lambda: "another", patience()) == "found"
    assert call.made == 1


@pytest.mark.parametrize("error", [CbrError("no"), KeyError("a bug"), SystemExit(1)], ids=repr)
def test_a_failure_is_everybodys_and_the_next_makes_it_anew(threads: ThreadPoolExecutor, error: BaseException) -> None:
    joined = JoinedCall[str]("asking", kept=(NotFound,))
    call = Call(joined, threads)
    others = call.joined_by(4)
    call.fail(error)
    assert all(one.exception(LONG) is error for one in (call.first, *others))
    assert call.made == 1
    assert not joined.on_its_way
    assert joined.result(lambda: "another", patience()) == "another"


@pytest.mark.parametrize("hurried", [False, True])
def test_a_failure_that_is_kept_serves_who_comes_later(threads: ThreadPoolExecutor, hurried: bool) -> None:
    joined = JoinedCall[str]("asking", kept=(NotAllowed, NotFound))
    call = Call(joined, threads, hurried=hurried)
    others = call.joined_by(2)
    call.fail(NotFound("asking", status=404))
    assert all(isinstance(one.exception(LONG), NotFound) for one in (call.first, *others))
    with pytest.raises(NotFound):
        joined.result(lambda: "another", patience())
    assert call.made == 1


def test_who_waits_does_so_for_its_own_time(threads: ThreadPoolExecutor) -> None:
    joined = JoinedCall[str]("asking")
    call = Call(joined, threads)
    with pytest.raises(Unreachable, match=r"^asking: no answer in time$"):
        joined.result(lambda: "another", patience(0.01))
    others = call.joined_by(1)
    call.answer("found")
    assert {one.result(LONG) for one in (call.first, *others)} == {"found"}


def test_who_had_less_time_fails_alone(threads: ThreadPoolExecutor) -> None:
    joined = JoinedCall[str]("asking")
    call = Call(joined, threads, hurried=True)
    others = call.joined_by(4)
    call.fail(Unreachable("its time is over"))
    assert isinstance(call.first.exception(LONG), Unreachable)
    # One of the four makes it for them all.
    assert {one.result(LONG) for one in others} == {"made again"}
    assert call.made == 2
