"""Waiting for what will happen: by looking, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], patience: float = 60) -> None:
    """Wait for something that will happen. Fails where it does not within so many seconds."""
    until = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.005)
