"""One call for all who ask for the same at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from pulumi_cbr.api.errors import CbrError, Unreachable
from pulumi_cbr.api.retries import Patience

T = TypeVar("T")


class JoinedCall(Generic[T]):
    """A call that is made by the first who asks for its result, and whose result serves everybody else.

    Who comes while it is on its way waits for it, for its own time at most (`Unreachable` then). A failure is told to all
    who wait, unless it is of one who had less time than a call is given: then the next of them makes the call. Of failures,
    only those of the types `kept` serve who comes later.
    """

    def __init__(self, attempted: str, *, kept: tuple[type[CbrError], ...] = ()) -> None:
        self._attempted = attempted
        self._kept = kept
        self._lock = threading.Lock()
        self._result: Future[T] | None = None
        self._hurried = False

    @property
    def on_its_way(self) -> bool:
        """Whether somebody is making it now."""
        result = self._result
        return result is not None and not result.done()

    def result(self, call: Callable[[], T], patience: Patience) -> T:
        """Give the result of the call, which is made unless it has been already. Raises what it raises."""
        while True:
            with self._lock:
                mine = self._result is None
                if self._result is None:
                    self._result, self._hurried = Future(), patience.hurried
                result, hurried = self._result, self._hurried
            if mine:
                self._make(call, result)
            elif not (result.done() or wait([result], patience.left).done):
                raise Unreachable(f"{self._attempted}: no answer in time")
            elif hurried and self._failed(result):
                continue
            return result.result()

    def _make(self, call: Callable[[], T], result: Future[T]) -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            if not isinstance(error, self._kept):
                with self._lock:
                    self._result = None
            result.set_exception(error)

    def _failed(self, result: Future[T]) -> bool:
        error = result.exception()
        return error is not None and not isinstance(error, self._kept)
