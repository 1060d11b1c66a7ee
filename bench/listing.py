"""The time that `python -m pulumi_cbr shares` takes for a large project."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.stacks import Simulator, simulator, without_ours

BACKUPS = 10_000
SHARES = 2_000
LATENCY = 0.1


@dataclass(frozen=True)
class Listing:
    """One run of the command: seconds, calls to the service, and the memory at its peak in MB."""

    seconds: float
    calls: int
    memory: float


def listings(rounds: int) -> list[Listing]:
    """Return runs of the command for 10,000 backups with 2,000 shares, at 100 ms a call."""
    with simulator(LATENCY, BACKUPS) as service:
        # Five projects each for every 25th backup.
        shares = service.shares(BACKUPS, 5)[:: BACKUPS * 5 // SHARES]
        service.share(shares)
        return [_listing(service) for _ in range(rounds)]


def _listing(service: Simulator) -> Listing:
    service.forget_calls()
    command = [sys.executable, "-m", "pulumi_cbr", "shares", "--csv"]
    started = time.monotonic()
    process = subprocess.Popen(
        command, env={**without_ours(), **service.env}, stdout=subprocess.PIPE, cwd=Path(__file__).parent
    )
    with process:
        lines = process.stdout.read().count(b"\n") if process.stdout else 0
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if process.returncode or lines != SHARES + 1:
        raise RuntimeError(f"{lines} lines, exit code {process.returncode}")
    return Listing(seconds, len(service.calls()), usage.ru_maxrss / 1024)
