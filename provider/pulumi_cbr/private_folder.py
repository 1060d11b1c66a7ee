"""A folder in the user's runtime folder that nobody else can read, write or swap."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

__all__ = ["Lock", "PrivateFolder", "UnsafePathError", "lock_by_library"]

# None of these flags is known on Windows, where the user's profile is private by its access list.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | _NO_LINK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | _NO_LINK
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | _NO_LINK
_LOCK = os.O_RDWR | os.O_CREAT | _NO_LINK
_WINDOWS = sys.platform == "win32"


class UnsafePathError(OSError):
    """Another user owns the path or can change it, or it is not what it should be."""


class Lock(Protocol):
    """A lock that is held until it is released, or its process ends."""

    def release(self) -> None:
        """Release the lock."""


class PrivateFolder:
    """An open folder below `base`, of which each part belongs to this user.

    The parts are opened one inside the other, without following links. `base` must not be writable for others; the
    last part must be closed to others. Files are read and written relative to the open folder. Missing parts are made.
    Raises `UnsafePathError` for a part that fails the check and OSError for one that cannot be opened.
    """

    def __init__(self, base: Path, *names: str) -> None:
        base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path: Path = base.joinpath(*names)
        self._fd: int | None = None
        if _WINDOWS:
            self.path.mkdir(parents=True, exist_ok=True)
            return
        try:
            self._enter(str(base), 0o022)
            for name in names:
                self._enter(name, 0o022 if name != names[-1] else 0o077)
        except BaseException:
            self.close()
            raise

    @classmethod
    def in_runtime_folder(cls, *names: str) -> PrivateFolder:
        """Open a folder of this package in the user's runtime folder."""
        import platformdirs

        with warnings.catch_warnings():
            # A session without a runtime folder is usual; the folder in its place is checked like any other.
            warnings.simplefilter("ignore")
            base = platformdirs.user_runtime_path("pulumi-cbr")
        return cls(base, *names)

    def close(self) -> None:
        """Close the folder; closing twice does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> PrivateFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def names(self) -> list[str]:
        """Return the names of the entries, sorted."""
        return sorted(os.listdir(self.path if self._fd is None else self._fd))

    def version(self, name: str) -> tuple[int, ...]:
        """Return numbers that change if a file grows or is replaced. Raises OSError."""
        status = os.stat(self._locate(name), dir_fd=self._fd, follow_symlinks=False)
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def read(self, name: str, limit: int = 65536) -> bytes:
        """Return the content of a file.

        Raises `UnsafePathError` unless it is a regular file of this user that others cannot open, of at most `limit`
        bytes and without a second name. Never waits: a FIFO is refused.
        """
        while True:
            fd = _open_without_links(self._locate(name), _READ, self._fd, self.path / name)
            with os.fdopen(fd, "rb") as file:
                status = os.fstat(fd)
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                    continue  # replaced since it was opened
                if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                    raise UnsafePathError(f"{self.path / name} is not a plain file")
                _check_owner(self.path / name, status, 0o077)
                content = file.read(limit + 1)
            break
        if len(content) > limit:
            raise UnsafePathError(f"{self.path / name} has more than {limit} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file that only this user can open; a reader sees the old content or the new one."""
        temporary = f".{secrets.token_hex(8)}"
        fd = os.open(self._locate(temporary), _CREATE, 0o600, dir_fd=self._fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
            os.replace(self._locate(temporary), self._locate(name), src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except BaseException:
            self.remove(temporary)
            raise

    def open_for_appending(self, name: str) -> int:
        """Open a file that exists, and return its descriptor."""
        return _open_without_links(self._locate(name), _APPEND, self._fd, self.path / name)

    def lock(self, name: str) -> Lock | None:
        """Take the lock of this name at once; return None if another process holds it."""
        if _WINDOWS:
            return lock_by_library(self.path / name)
        return _DescriptorLock.take(_open_without_links(self._locate(name), _LOCK, self._fd, self.path / name, 0o600))

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is no error."""
        with suppress(FileNotFoundError):
            os.unlink(self._locate(name), dir_fd=self._fd)

    def _locate(self, name: str) -> str:
        if name in ("", ".", "..") or Path(name).name != name:
            raise ValueError(f"not a file name: {name!r}")
        return str(self.path / name) if self._fd is None else name

    def _enter(self, name: str, forbidden: int) -> None:
        """Open a part inside the one that is open, which is closed."""
        parent = self._fd
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        self._fd = _open_without_links(name, _FOLDER, parent, self.path)
        if parent is not None:
            os.close(parent)
        _check_owner(self.path, os.fstat(self._fd), forbidden)


class _DescriptorLock:
    """An advisory lock on an open file, which also ends with the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, fd: int) -> _DescriptorLock | None:
        """Lock an open file, or close it and return None if another process has locked it."""
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if isinstance(error, BlockingIOError):
                    return None
                raise
        return cls(fd)

    def release(self) -> None:
        os.close(self._fd)


def lock_by_library(path: Path) -> Lock | None:
    """Take a lock on any platform, by a library that takes 50 ms to import."""
    from filelock import FileLock, Timeout

    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _open_without_links(name: str, flags: int, parent: int | None, path: Path, mode: int = 0o777) -> int:
    try:
        return os.open(name, flags, mode, dir_fd=parent)
    except OSError as error:
        # Linux reports a link in a folder's place as ENOTDIR, other systems as ELOOP.
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafePathError(f"{path} is a link or of the wrong type") from None
        raise


def _check_owner(path: Path, status: os.stat_result, forbidden: int) -> None:
    if _WINDOWS:
        return
    if status.st_uid != os.geteuid():
        raise UnsafePathError(f"{path} belongs to another user")
    if stat.S_IMODE(status.st_mode) & forbidden:
        raise UnsafePathError(f"{path} is open to other users")
