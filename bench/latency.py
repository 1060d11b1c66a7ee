"""The time that a call to the service takes, for floors that make none."""

from __future__ import annotations

import os

#: The variable with its seconds.
LATENCY = "BENCH_LATENCY"


def seconds() -> float:
    """Return how long a call takes."""
    return float(os.environ[LATENCY])
