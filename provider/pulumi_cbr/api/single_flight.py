"""One call for all who ask for the same at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from pulumi_cbr.api.errors import CbrError, ServiceUnavailableError
from pulumi_cbr.api.retry import Patience

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """A call that is made by the first who asks for its result, and whose result serves everybody else.

    Who comes while it is on its way waits for it, for its own time at most (`ServiceUnavailableError` then). A failure is told to all
    who wait; of failures, only those of the types `kept` serve who comes later.

    The call itself has the whole time of a call, whoever makes it: who has less has it made aside, and waits as all others
    do. So none fails with another's time, or sends anew what another was refused.
    """

    def __init__(self, operation: str, *, kept: tuple[type[CbrError], ...] = ()) -> None:
        self._attempted = operation
        self._kept = kept
        self._lock = threading.Lock()
        self._result: Future[T] | None = None

    @property
    def on_its_way(self) -> bool:
        """Whether it is being made now."""
        result = self._result
        return result is not None and not result.done()

    @property
    def known(self) -> T | None:
        """Its result, where that is there already."""
        result = self._result
        return result.result() if result and result.done() and not result.exception() else None

    def result(self, call: Callable[[Patience], T], patience: Patience) -> T:
        """Give the result of the call, which is made unless it has been already. Raises what it raises."""
        with self._lock:
            result, mine = self._result, self._result is None
            if result is None:
                patience.begin(self._attempted)
                result = self._result = Future()
        if mine and (patience.whole or not self._made_aside(call, result, patience)):
            self._make(call, result, patience)
        if not (result.done() or wait([result], patience.left).done):
            raise ServiceUnavailableError(f"{self._attempted}: no answer in time")
        return result.result()

    def _made_aside(self, call: Callable[[Patience], T], result: Future[T], patience: Patience) -> bool:
        def make() -> None:
            self._make(call, result, patience.anew())

        try:
            # In no context: the caller's knows of the caller's time.
            threading.Thread(target=contextvars.Context().run, args=(make,), daemon=True).start()
        except RuntimeError:  # there are as many threads as there can be
            return False
        return True

    def _make(self, call: Callable[[Patience], T], result: Future[T], patience: Patience) -> None:
        try:
            result.set_result(call(patience))
        except BaseException as error:
            if not isinstance(error, self._kept):
                with self._lock:
                    self._result = None
            result.set_exception(error)
