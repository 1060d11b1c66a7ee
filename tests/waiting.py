"""Waiting for what will happen: by looking, and never for ever."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from pulumi_cbr.simulator import Simulator

T = TypeVar("T")

#: Seconds after which a test has failed. Only a test that fails waits so long, so it is more than a busy machine needs.
PATIENCE = 300.0


def wait_until(happened: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something has happened, and fail after `patience` seconds."""
    until = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.005)


class Gate:
    """A gate that holds a simulator's calls until it is opened, or until enough have come."""

    def __init__(self, simulator: Simulator, method: str, path: str, number: float = math.inf) -> None:
        self.held = 0
        self._method, self._path, self._number = method, path, number
        self._faults, self._take = simulator.faults, simulator.faults.take
        self._lock, self._opened = threading.Lock(), threading.Event()

    def __enter__(self) -> Gate:
        self._faults.take = self._hold  # type: ignore[method-assign]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open()
        self._faults.take = self._take  # type: ignore[method-assign]

    def open(self) -> None:
        """Open the gate for every thread that waits."""
        self._opened.set()

    def _hold(self, method: str, path: str) -> Any:
        if method == self._method and re.search(self._path, path):
            with self._lock:
                self.held += 1
            if self.held >= self._number:
                self.open()
            assert self._opened.wait(PATIENCE), "the gate was not opened"
        return self._take(method, path)


class Lingering(Generic[T]):
    """A factory whose first call is slow: others are `made` meanwhile if they can be."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.made: list[T] = []
        self._make = make
        self._again = threading.Event()

    def __call__(self, *args: object, **kwargs: object) -> T:
        made = self._make()
        self.made.append(made)
        self._again.set() if len(self.made) > 1 else self._again.wait(0.2)
        return made
