from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.single_flight import SingleFlight
from waiting import PATIENCE

KEY = "key"

own_time = contextvars.ContextVar("own_time", default="the call's")


class Call:
    """A call in flight, started by its first caller.

    It ends when a test says so, and counts its runs.
    """

    def __init__(self, flight: SingleFlight[str], threads: ThreadPoolExecutor) -> None:
        self.count = 0
        self._flight = flight
        self._threads = threads
        self._started = threading.Event()
        self._result: Future[str] = Future()
        self.first = threads.submit(flight.do, KEY, self._run, PATIENCE)
        assert self._started.wait(PATIENCE)

    def _run(self) -> str:
        self.count += 1
        self._started.set()
        return self._result.result(PATIENCE)

    def join(self, number: int) -> list[Future[str]]:
        """Start more callers, which all wait for the same call."""
        return [self._threads.submit(self._flight.do, KEY, self._run, PATIENCE) for _ in range(number)]

    def succeed(self, text: str) -> None:
        self._result.set_result(text)

    def fail(self, error: BaseException) -> None:
        self._result.set_exception(error)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def joined(call: Call, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Future[str]]:
    """Return callers that wait for the call's end by now."""
    waiting = threading.Semaphore(0)
    wait = futures.wait

    def counted(*args: object) -> object:
        waiting.release()
        return wait(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("pulumi_cbr.api.single_flight.wait", counted)
    callers = call.join(number)
    assert all(waiting.acquire(timeout=PATIENCE) for _ in range(number))
    return callers


def test_do_while_in_flight_joins_the_call(threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    flight = SingleFlight[str]()
    call = Call(flight, threads)
    others = joined(call, 4, monkeypatch)
    call.succeed("found")
    assert {caller.result(PATIENCE) for caller in (call.first, *others)} == {"found"}
    assert call.count == 1


def test_do_after_the_end_calls_again() -> None:
    flight = SingleFlight[str]()
    assert flight.do(KEY, lambda: "first", PATIENCE) == "first"
    assert flight.do(KEY, lambda: "second", PATIENCE) == "second"


def test_do_with_another_key_calls_too(threads: ThreadPoolExecutor) -> None:
    flight = SingleFlight[str]()
    call = Call(flight, threads)
    assert flight.do("other", lambda: "other", PATIENCE) == "other"
    call.succeed("found")
    assert call.first.result(PATIENCE) == "found"


@pytest.mark.parametrize("error", [CbrError("no"), KeyError("a bug"), SystemExit(1)], ids=repr)
def test_do_failed_call_fails_all_callers(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    flight = SingleFlight[str]()
    call = Call(flight, threads)
    others = joined(call, 4, monkeypatch)
    call.fail(error)
    assert all(caller.exception(PATIENCE) is error for caller in (call.first, *others))
    assert call.count == 1
    assert flight.do(KEY, lambda: "again", PATIENCE) == "again"


def test_do_out_of_time_leaves_the_call_running(threads: ThreadPoolExecutor) -> None:
    flight = SingleFlight[str]()
    call = Call(flight, threads)
    for seconds in (0.01, 0.0):
        with pytest.raises(TimeoutError):
            flight.do(KEY, lambda: "another", seconds)
    call.succeed("found")
    assert call.first.result(PATIENCE) == "found"


def test_do_runs_the_call_outside_its_callers_context() -> None:
    def call() -> tuple[str, bool]:
        return own_time.get(), threading.current_thread().daemon

    token = own_time.set("the caller's")
    try:
        assert SingleFlight[tuple[str, bool]]().do(KEY, call, PATIENCE) == ("the call's", True)
    finally:
        own_time.reset(token)


def test_do_without_a_free_thread_runs_the_call_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert SingleFlight[str]().do(KEY, lambda: "found", 1.0) == "found"
