"""Which shares came to a resource in this operation of the engine, told among the processes that serve it.

The engine creates before it deletes: a resource that was renamed has taken a share over by the time that its old form is
deleted. Each first-class provider is a process of its own, and the old form may be another one's.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: each process has its own notes alone
    fcntl = None  # type: ignore[assignment]

#: A backup's ID and a project's.
Pair = tuple[str, str]

_own: dict[Pair, tuple[float, str, bool]] = {}
_file: tuple[Path, int] | None = None


def join(engine: str) -> None:
    """Share notes with the other processes of the engine at this address, until the end of this one."""
    global _file
    if fcntl is None:
        return
    folder = Path(tempfile.gettempdir(), f"pulumi-cbr-{os.getuid()}-{engine.replace(':', '-')}")
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            file, path = tempfile.mkstemp(dir=folder)
            # The kernel lets go of it however this process ends: what a dead one wrote was for an engine before this one.
            fcntl.flock(file, fcntl.LOCK_EX)
            _file = Path(path), file


def leave() -> None:
    """Take away what this process wrote."""
    if _file:
        with suppress(OSError):
            _file[0].unlink(missing_ok=True)
            _file[0].parent.rmdir()


def write(pair: Pair, share_id: str, *, adopted: bool) -> None:
    """Note that a resource has a share from now on, and whether it was there before."""
    _own[pair] = time.time(), share_id, adopted
    if _file:
        with suppress(OSError):
            os.write(_file[1], f"{json.dumps([*pair, *_own[pair]])}\n".encode())


def latest(pair: Pair) -> tuple[str, bool] | None:
    """Give the ID of the share that came to a resource last, and whether it was there before."""
    notes = [_own[pair]] if pair in _own else []
    # What this process wrote is among its own.
    for path in (path for path in _file[0].parent.iterdir() if path != _file[0]) if _file else ():
        with suppress(OSError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer lives
                lines = [json.loads(line) for line in file]
                notes += [(when, share, adopted) for *of, when, share, adopted in lines if tuple(of) == pair]
    return max(notes)[1:] if notes else None
