"""Waiting for what will happen: by looking, and never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def wait_until(happened: Callable[[], object], patience: float = 60) -> None:
    """Wait until something has happened, and fail after `patience` seconds."""
    until = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.005)


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
