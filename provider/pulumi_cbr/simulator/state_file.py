"""The file that keeps a simulator's state, and the lock that keeps it for one simulator."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["FileLock"]


class FileLock:
    """The lock on a state file, held from creation to `release`.

    Raises ValueError if another simulator holds it; on Windows nothing is locked. The empty file beside the state file
    stays, because two simulators could lock two files if it was removed.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._handle.close()
                raise ValueError(f"another simulator keeps its state in {file}") from None

    def release(self) -> None:
        """Release the lock."""
        self._handle.close()
