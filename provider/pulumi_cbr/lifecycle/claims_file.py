"""The claims of several processes, in a private folder of the user.

Several processes serve one operation: one for each provider of the package `cbr`, and one for all dynamic providers. Each
writes a file of its own and reads those of the others.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.claims import Claim, ShareKey

if TYPE_CHECKING:
    from pulumi_cbr.private_folder import Lock, PrivateFolder

_log = logging.getLogger("pulumi_cbr")

#: Age in seconds at which a lock without claims is removed, if nobody holds it. A younger one may be of a process that starts.
_STALE_LOCK_AGE = 3600.0


class _OtherClaims:
    """The claims in the file of another process."""

    def __init__(self) -> None:
        self._content = b""
        #: The version of the file that was read.
        self.version: tuple[int, ...] | None = None
        self.claims: dict[ShareKey, list[Claim]] = {}

    def is_start_of(self, content: bytes) -> bool:
        """Return whether a file still starts with what was read before."""
        return content.startswith(self._content)

    def read(self, content: bytes) -> None:
        """Add the claims of the new lines. Raises ValueError or TypeError."""
        # Skip an incomplete last line: its process is still writing it.
        lines, _, _ = content.rpartition(b"\n")
        for line in lines[len(self._content) :].splitlines():
            claim = Claim(**json.loads(line))
            self.claims.setdefault(claim.key, []).append(claim)
        self._content = lines + b"\n"


class ClaimsFile:
    """The file of this process, with a line for each claim.

    The process holds a lock beside the file until it ends, so that others recognize the files of ended processes.
    """

    def __init__(self, engine: str) -> None:
        self._prefix = re.sub(r"[^0-9A-Za-z.]", "_", engine)
        self._name = f"{self._prefix}-{os.getpid()}-{os.urandom(8).hex()}"
        self._folder: PrivateFolder | None = None
        self._process_lock: Lock | None = None
        self._append_descriptor: int | None = None
        self._others: dict[str, _OtherClaims] = {}
        self._has_written = False
        self._has_warned = False

    def add(self, claim: Claim, claims: Iterable[Claim]) -> None:
        """Write a claim; warn if that fails.

        If the line cannot be appended, the file is written again with `claims`: all claims of this process.
        """
        if self._try_append(claim.line):
            return
        reason = self._try_write(b"".join(each.line for each in claims))
        if reason is None:
            self._has_written = True
            return
        if self._folder:
            # The file lacks a claim. Make it empty on purpose: other processes then refuse to delete.
            with suppress(OSError):
                self._folder.write(f"{self._name}.json", b"")
        if not self._has_warned:
            self._has_warned = True
            _log.warning("%s", messages.claim_not_recorded(reason))

    def read_others(self, key: ShareKey) -> list[Claim]:
        """Return the claims on a share by the other processes of this engine.

        Raises `CbrError` if they cannot be read.
        """
        try:
            folder = self._open()
            names = folder.names()
            if self._has_written and f"{self._name}.json" not in names:
                raise OSError(f"{folder.path} was deleted while it was used")
            others = [name for name in names if name.endswith(".json") and name != f"{self._name}.json"]
            return [claim for name in others for claim in self._read(folder, name).claims.get(key, ())]
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise CbrError(messages.claims_unreadable(str(error))) from error

    def close(self) -> None:
        """Remove the files of this process."""
        if self._folder:
            with suppress(OSError):
                self._folder.remove(f"{self._name}.json")
            self._forget_folder()

    def _try_append(self, line: bytes) -> bool:
        if self._append_descriptor is None:
            return False
        try:
            # Without a link the file was deleted, and nobody reads it.
            return os.fstat(self._append_descriptor).st_nlink > 0 and os.write(self._append_descriptor, line) == len(
                line
            )
        except OSError:
            return False

    def _try_write(self, content: bytes) -> str | None:
        for is_last in (False, True):
            try:
                self._close_descriptor()
                folder = self._open()
                folder.write(f"{self._name}.json", content)
                self._append_descriptor = folder.open_for_appending(f"{self._name}.json")
            except (OSError, ImportError) as error:
                # The folder may have been deleted. Make it and the file again.
                if is_last:
                    return str(error)
                self._forget_folder()
            else:
                return None
        raise AssertionError("the last try returns")

    def _open(self) -> PrivateFolder:
        if self._folder is None:
            folder = _open_folder()
            try:
                self._process_lock = folder.lock(f"{self._name}.lock")
                if self._process_lock is None:
                    raise OSError(f"the lock in {folder.path} is held by another process")
                _remove_leftovers(folder)
            except BaseException:
                folder.close()
                raise
            self._folder = folder
        return self._folder

    def _forget_folder(self) -> None:
        self._close_descriptor()
        if self._process_lock:
            self._process_lock.release()
            self._process_lock = None
        if self._folder:
            with suppress(OSError):
                self._folder.remove(f"{self._name}.lock")
            self._folder.close()
            self._folder = None

    def _close_descriptor(self) -> None:
        descriptor, self._append_descriptor = self._append_descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _read(self, folder: PrivateFolder, name: str) -> _OtherClaims:
        """Return the claims of another process: none if it has ended or serves another engine.

        Every `keep` calls this, so the claims are cached until the version of the file differs.
        """
        if not name.startswith(f"{self._prefix}-") or _remove_if_ended(folder, name):
            return _OtherClaims()
        try:
            version = folder.version(name)
            known = self._others.get(name)
            if known and known.version == version:
                return known
            content = folder.read(name, limit=1 << 24)
        except FileNotFoundError:
            return _OtherClaims()  # the process has left since the folder was listed
        if b"\n" not in content:
            raise OSError(f"{folder.path / name} is incomplete")
        claims = known if known and known.is_start_of(content) else _OtherClaims()
        claims.read(content)
        # The version from before the read: if the file grew in between, the next call reads it again.
        claims.version = version
        self._others[name] = claims
        return claims


def _remove_leftovers(folder: PrivateFolder) -> None:
    """Remove the files of killed processes."""
    names = folder.names()
    for name in names:
        if name.endswith(".json"):
            _remove_if_ended(folder, name)
        elif name.endswith(".lock") and f"{name.removesuffix('.lock')}.json" not in names:
            with suppress(OSError):
                if time.time() - (folder.path / name).lstat().st_mtime > _STALE_LOCK_AGE:
                    _remove_if_ended(folder, f"{name.removesuffix('.lock')}.json")


def _remove_if_ended(folder: PrivateFolder, name: str) -> bool:
    """Remove the claims and the lock of a process if it has ended; return whether it has."""
    lock_name = f"{name.removesuffix('.json')}.lock"
    lock = folder.lock(lock_name)
    if lock is None:
        return False
    lock.release()
    folder.remove(name)
    folder.remove(lock_name)
    return True


def _open_folder() -> PrivateFolder:
    """Open the folder of the claims: in the user's runtime folder, else in the cache folder.

    Raises OSError.
    """
    import platformdirs

    from pulumi_cbr.private_folder import PrivateFolder

    try:
        return PrivateFolder.in_runtime_folder("takeovers")
    except OSError:
        return PrivateFolder(platformdirs.user_cache_path("pulumi-cbr"), "takeovers")
