"""A progress bar on standard error, if that is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from pulumi_cbr import messages
from pulumi_cbr.shares.collect import Progress

_WIDTH = 30

#: Seconds between two drawings.
_PAUSE = 0.1


class Bar:
    """Adds up the progress of several listings. Threads may report at the same time."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._lock = threading.Lock()
        self._parts: list[tuple[int, int]] = []
        self._drawn_at: float | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn_at is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def part(self) -> Progress:
        """Return what one listing reports to."""
        with self._lock:
            self._parts.append((0, 0))
            index = len(self._parts) - 1

        def report(done: int, total: int) -> None:
            with self._lock:
                self._parts[index] = done, total
                self._draw()

        return report

    def _draw(self) -> None:
        now = self._clock()
        if not self._stream.isatty() or (self._drawn_at is not None and now - self._drawn_at < _PAUSE):
            return
        self._drawn_at = now
        done, total = (sum(part[index] for part in self._parts) for index in (0, 1))
        filled = _WIDTH * done // max(total, 1)
        self._stream.write(f"\r{'█' * filled}{'░' * (_WIDTH - filled)} {messages.listing_progress(done, total)}\x1b[K")
        self._stream.flush()
