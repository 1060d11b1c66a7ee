"""The stack trace that Pulumi's SDK records for each resource."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: The most frames of a trace: from the SDK's own function to the user's line, and one or two more, as a newer SDK may nest deeper.
_FRAMES = 8

#: The limit is of the process, and programs of the Automation API may run in several threads.
_LOCK = threading.RLock()


@contextmanager
def shorten() -> Iterator[None]:
    """Make the SDK record the user's line without what called it.

    All frames, down to those of Pulumi's language host, are half of a resource's bytes in the state. The engine writes the whole
    state after each step.
    """
    with _LOCK:
        limit = getattr(sys, "tracebacklimit", None)
        sys.tracebacklimit = _FRAMES
        try:
            yield
        finally:
            if limit is None:
                del sys.tracebacklimit
            else:
                sys.tracebacklimit = limit
