"""One call for all callers that ask for the same thing at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Run a call once for all callers that ask for it while it is in flight. Thread-safe.

    The call runs on a daemon thread and outside of its callers' contexts, so it has the whole time of a call. Nothing is
    cached: a caller that comes after the end of a call starts the next one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: dict[Hashable, Future[T]] = {}

    def do(self, key: Hashable, call: Callable[[], T], timeout: float) -> T:
        """Return the result of `call`, or of the running call of the same key.

        Raises what the call raises, and `TimeoutError` if the result takes longer than `timeout` seconds.
        """
        with self._lock:
            future = self._in_flight.get(key)
            is_first = future is None
            if future is None:
                future = self._in_flight[key] = Future()
        if is_first:
            self._start(key, call, future)
        if not (future.done() or wait([future], timeout).done):
            raise TimeoutError
        return future.result()

    def _start(self, key: Hashable, call: Callable[[], T], future: Future[T]) -> None:
        # A caller's context holds its own deadline, which is not the call's.
        run = contextvars.Context().run
        try:
            threading.Thread(
                target=run, args=(self._run, key, call, future), name="pulumi-cbr-call", daemon=True
            ).start()
        except RuntimeError:  # the process has as many threads as it can have
            run(self._run, key, call, future)

    def _run(self, key: Hashable, call: Callable[[], T], future: Future[T]) -> None:
        try:
            result = call()
        except BaseException as error:
            self._remove(key)
            future.set_exception(error)
        else:
            self._remove(key)
            future.set_result(result)

    def _remove(self, key: Hashable) -> None:
        with self._lock:
            del self._in_flight[key]
