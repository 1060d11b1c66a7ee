"""Which simulators run on this machine: a small file each, put there and taken away by ``serve``.

The folder is in ``XDG_RUNTIME_DIR``, or in the cache folder where there is none (``XDG_CACHE_HOME``, ``~/.cache``; on
macOS ``~/Library/Caches``; on Windows ``LOCALAPPDATA``). A file may outlive its simulator, so whoever reads one asks
the URL, and takes the file away where nobody listens.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["FileLock", "announced", "announcements", "forget"]


@contextmanager
def announced(url: str) -> Iterator[None]:
    """Announce a simulator while the context lasts. A folder that cannot be written is no error: then there is none."""
    file = _folder() / f"{os.getpid()}-{url.rpartition(':')[2]}.json"
    try:
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_text(json.dumps({"url": url, "started": time.time()}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            file.unlink()


def announcements() -> list[str]:
    """Give the announced URLs, the latest first; not all of them need to answer."""
    return [url for _started, url, _file in sorted(_announcements(), reverse=True)]


def forget(url: str) -> None:
    """Take away what announces a URL where nobody listens."""
    for _started, announced_url, file in _announcements():
        if announced_url == url:
            with suppress(OSError):
                file.unlink()


def _announcements() -> list[tuple[float, str, Path]]:
    found: list[tuple[float, str, Path]] = []
    with suppress(OSError):
        for file in _folder().glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                entry = json.loads(file.read_text(encoding="utf-8"))
                found.append((float(entry["started"]), str(entry["url"]), file))
    return found


class FileLock:
    """Keep a state file for one simulator. Raises ValueError where another has it; on Windows nothing is kept.

    An empty file beside it stays: to take it away would let two in.
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
        """Let others have it."""
        self._handle.close()


def _folder() -> Path:
    return _user_folder() / "pulumi-cbr" / "simulators"


def _user_folder() -> Path:
    for variable in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        named = os.environ.get(variable)
        if named and os.path.isabs(named):
            # One that is not there yet is made: to pass over it would be to meet other people's simulators.
            with suppress(OSError):
                Path(named).mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(named, os.W_OK):
                return Path(named)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
