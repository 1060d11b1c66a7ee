"""The record of which resource has a share or an acceptance in one operation of the engine.

If a resource is renamed, replaced or moved, its successor takes the share over first. Then the engine deletes the old
resource. This record tells the old one not to delete the share. Several processes serve one operation: one for each explicit
provider, and one for dynamic providers.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, UnknownOutcomeError

if TYPE_CHECKING:
    from pulumi_cbr.private_folder import Lock, PrivateFolder

_log = logging.getLogger("pulumi_cbr")

#: Inputs that tell a replacement (the new form) from the replaced resource. Of an acceptance, also `updated_at`.
Form = Mapping[str, Any]

#: The share ID of an acceptance: its receiver may not see the real one.
_ACCEPTED = "accepted"

_FORM = ("adopt_existing", "cloud", "exclusive", "reshare_if_rejected", "updated_at", "vault_id")

#: Seconds to wait for an engine to accept a connection.
_CONNECT_TIMEOUT = 2.0

#: Age in seconds at which a lock without a record is removed, if it is free. Before, a process may be about to take it.
_STALE_LOCK_AGE = 3600.0


#: How many adoptions of one operation are shown with a line of their own.
_SHOWN_ADOPTIONS = 10

#: A backup's ID, a project's, and whether it is about the acceptance.
Key = tuple[str, str, bool]


@dataclass(frozen=True)
class Claim:
    """One line of the record.

    A resource created, adopted or keeps a share, has released it because it is deleted or replaced, or deletes the share.
    `retracted` takes a `deleted` back: the share stays.
    """

    backup_id: str
    project: str
    share_id: str
    urn: str
    kind: Literal["created", "adopted", "kept", "released", "deleted", "retracted"]
    form: dict[str, Any] | None
    time: float

    @property
    def key(self) -> Key:
        """The share or the acceptance that the claim is about."""
        return self.backup_id, self.project, self.share_id == _ACCEPTED

    @property
    def line(self) -> bytes:
        """The claim as a line of JSON."""
        return f"{json.dumps(asdict(self))}\n".encode()


class OwnershipLog:
    """The claims of one operation, from all processes of the same engine.

    `urn` returns the URN of the current request, or an empty text. Without `join`, only this process sees the claims.
    Thread-safe.
    """

    def __init__(self, urn: Callable[[], str] = str) -> None:
        self._urn = urn
        self._lock = threading.Lock()
        self._claims: dict[Key, list[Claim]] = {}
        self._imports: set[tuple[Key, str]] = set()
        self._adoptions = 0
        self._registered: set[str] = set()
        # By URN: the shares kept by resources of the program.
        self._kept: dict[str, set[tuple[Key, str]]] = {}
        self._engine: str | None = None
        self._is_operation: bool | None = None
        self._file: _SharedFile | None = None

    def join(self, engine: str) -> None:
        """Share the claims with the other processes of the engine at this address.

        No file is made before the first claim.

        Another address than before is another operation: the claims of this process are forgotten.
        """
        with self._lock:
            if engine != self._engine:
                self._leave()
                self._forget()
                self._engine = engine

    def leave(self) -> None:
        """Remove what this process has written for others."""
        with self._lock:
            self._leave()

    def record(self, backup_id: str, project: str, share_id: str, *, adopted: bool, form: Form | None = None) -> None:
        """Record that the current resource has created a share, or adopted one that existed.

        Without `form`, the former owner is unknown. If the record cannot be written, a warning is logged.
        """
        key, urn, kept = (backup_id, project, share_id == _ACCEPTED), self._urn(), to_form(form)
        with self._lock:
            before = _last_own(_current(self._claims.get(key, [])), urn)
            if before and before.kind == "adopted" and before.share_id == share_id and before.form is None:
                adopted, kept = True, None
            self._add(Claim(*key[:2], share_id, urn, "adopted" if adopted else "created", kept, time.time()))

    def record_acceptance(self, backup_id: str, project: str, *, adopted: bool, form: Form) -> None:
        """Record that the current resource has accepted a share, or found it accepted.

        A failure is a warning.
        """
        self.record(backup_id, project, _ACCEPTED, adopted=adopted, form=form)

    def show_adoption(self, line: str) -> None:
        """Show what the current resource has adopted, for the first few of an operation."""
        with self._lock:
            self._adoptions += 1
            number = self._adoptions
        if number <= _SHOWN_ADOPTIONS:
            _log.info("%s", line)
        elif number == _SHOWN_ADOPTIONS + 1:
            _log.info("%s", messages.more_adopted(_SHOWN_ADOPTIONS))

    def register(self, *, is_new: bool) -> None:
        """Record that the program declares the current resource, new or known to the state.

        Called for each check: the engine checks a resource that it replaces as a new one.
        """
        urn = self._urn()
        with self._lock:
            if not is_new:
                self._registered.add(urn)
                return
            self._registered.discard(urn)
            for key, share_id in self._kept.pop(urn, ()):
                self._release(key, share_id, urn)

    def expect_import(self, backup_id: str, project: str, *, acceptance: bool = False) -> None:
        """Note that the current resource was read by its ID alone.

        If it is kept afterwards, it was imported.
        """
        with self._lock:
            self._imports.add(((backup_id, project, acceptance), self._urn()))

    def keep(self, backup_id: str, project: str, share_id: object) -> None:
        """Record that the current resource keeps a share, if the program has it or it is imported.

        What only a refresh keeps may be deleted in the same operation. A failure is a warning.

        Raises `CbrError` if another resource deletes the share in this operation, or has deleted it.
        """
        key, urn = (backup_id, project, share_id == _ACCEPTED), self._urn()
        if not (urn and isinstance(share_id, str)):
            return
        with self._lock:
            is_import = (key, urn) in self._imports
            if urn in self._registered:
                self._kept.setdefault(urn, set()).add((key, share_id))
            elif not is_import:
                return
            known = _current(self._claims.get(key, []))
            if not any(claim.urn == urn and claim.share_id == share_id for claim in known):
                self._add(Claim(*key[:2], share_id, urn, "adopted" if is_import else "kept", None, time.time()))
            if self._is_deleted(key, share_id, urn):
                raise CbrError(messages.deleted_by_another(backup_id, project))

    def keep_acceptance(self, backup_id: str, project: str) -> None:
        """Record that the current resource keeps an acceptance in this operation."""
        self.keep(backup_id, project, _ACCEPTED)

    def managed_elsewhere(self, backup_id: str, project: str, share_id: object, form: Form | None = None) -> bool:
        """Return whether another resource, or a new form of this one, has the share to delete.

        `share_id` and `form` are of the state that is deleted. If the share need not stay, this resource's claims on it end.
        Raises `CbrError` if the record cannot be read.
        """
        urn, key = self._urn(), (backup_id, project, share_id == _ACCEPTED)
        deleted = share_id if isinstance(share_id, str) else ""
        with self._lock:
            claims = _current(self._read_all(key))
            if share_id == _ACCEPTED:
                # A refresh found the acceptance in another vault: it is not this resource's any more.
                claims = [claim for claim in claims if claim.urn != urn or _is_same_vault(claim.form, form)]
            if is_kept(claims, deleted, urn) and self._engine is not None and self._in_operation():
                # An interrupted replacement left this old resource in the state.
                return True
            is_renewed = is_new_form(claims, deleted, urn, to_form(form), in_operation=self._in_operation)
            own = [
                claim for claim in claims if claim.urn == urn and (claim.kind != "kept" or claim.share_id == deleted)
            ]
            if own and not (is_renewed and self._in_operation()):
                # A later delete of the same URN is of a remaining resource.
                self._release(key, deleted, urn)
            return is_renewed or is_anothers(claims, deleted, urn)

    def acceptance_managed_elsewhere(self, backup_id: str, project: str, form: Form | None = None) -> bool:
        """Return the same as `managed_elsewhere`, for an acceptance that is about to be rejected."""
        return self.managed_elsewhere(backup_id, project, _ACCEPTED, form)

    @contextmanager
    def record_delete(self, backup_id: str, project: str, share_id: str) -> Iterator[bool]:
        """Record that the current resource deletes a share; yield whether it must stay.

        The DELETE is sent inside the context. Its record comes before it, not after: `keep` writes and then reads, as this
        does, so at least one of the two resources notices the other. After the DELETE, a resource in between would keep a
        share that is gone. The record is retracted if the share stays, because another resource has it or the DELETE
        failed. It remains if the result is unknown. Raises `CbrError` if the record cannot be read.
        """
        key, urn = (backup_id, project, False), self._urn()
        try:
            with self._lock:
                self._add(Claim(*key[:2], share_id, urn, "deleted", None, time.time()))
                is_kept_since = is_anothers(_current(self._read_all(key)), share_id, urn)
                if is_kept_since:
                    self._retract_delete(key, share_id, urn)
            yield is_kept_since
        except UnknownOutcomeError:
            raise
        except CbrError:
            with self._lock:
                self._retract_delete(key, share_id, urn)
            raise

    def _forget(self) -> None:
        self._claims.clear()
        self._imports.clear()
        self._adoptions = 0
        self._registered.clear()
        self._kept.clear()
        self._is_operation = None

    def _read_all(self, key: Key) -> list[Claim]:
        """Return the claims of all processes. Raises `CbrError`."""
        claims = [*self._claims.get(key, ())]
        if self._engine is not None:
            self._file = self._file or _SharedFile(self._engine)
            claims += self._file.read_others(key)
        return claims

    def _is_deleted(self, key: Key, share_id: str, urn: str) -> bool:
        """Return whether another resource deletes the share, as far as the record can be read."""
        if self._engine is None:
            return False
        try:
            claims = self._read_all(key)
        except CbrError:
            claims = self._claims.get(key, [])
        return is_deleted(claims, share_id, urn) and self._in_operation()

    def _retract_delete(self, key: Key, share_id: str, urn: str) -> None:
        self._add(Claim(*key[:2], share_id, urn, "retracted", None, time.time()))

    def _release(self, key: Key, share_id: str, urn: str) -> None:
        self._add(Claim(*key[:2], share_id, urn, "released", None, time.time()))

    def _add(self, claim: Claim) -> None:
        self._claims.setdefault(claim.key, []).append(claim)
        if self._engine is not None:
            self._file = self._file or _SharedFile(self._engine)
            self._file.add(claim, (each for of_key in self._claims.values() for each in of_key))

    def _in_operation(self) -> bool:
        """Return whether an engine runs this process for one operation.

        A test or a debugger may run several.
        """
        if self._is_operation is None:
            self._is_operation = self._engine is None or _answers(self._engine)
        return self._is_operation

    def _leave(self) -> None:
        if self._file:
            self._file.close()
        self._engine, self._file = None, None


def to_form(properties: Form | None) -> dict[str, Any] | None:
    """Return the part of inputs or outputs that tells forms of a resource apart."""
    if properties is None:
        return None
    return {name: properties[name] for name in _FORM if properties.get(name)}


def is_anothers(claims: list[Claim], share_id: str, urn: str) -> bool:
    """Return whether another resource than `urn` has the share, or has replaced it."""
    others = [claim for claim in claims if claim.urn != urn]
    return any(claim.kind != "kept" or claim.share_id == share_id for claim in others)


def is_deleted(claims: list[Claim], share_id: str, urn: str) -> bool:
    """Return whether another resource than `urn` deletes the share, or has deleted it."""
    others = [claim for claim in claims if claim.urn != urn and claim.share_id == share_id]
    last = {claim.urn: claim.kind for claim in others if claim.kind in ("deleted", "retracted")}
    return "deleted" in last.values()


def is_kept(claims: list[Claim], share_id: str, urn: str) -> bool:
    """Return whether the program has the resource, and it keeps the share."""
    return any(claim.urn == urn and claim.kind == "kept" and claim.share_id == share_id for claim in claims)


def is_new_form(
    claims: list[Claim], share_id: str, urn: str, form: dict[str, Any] | None, *, in_operation: Callable[[], bool]
) -> bool:
    """Return whether the resource's new form has the share that its old form deletes.

    `claims` are current, oldest first; `share_id` and `form` are of the form that is deleted.
    """
    own = _last_own(claims, urn)
    if own is None:
        return False
    if share_id and own.share_id != share_id:
        return True
    if own.kind == "created" and share_id != _ACCEPTED:
        return False  # it was created by this resource, so no earlier one had it
    if own.form is None:
        return True
    if form is not None and own.form != form:
        return True
    # In one operation, an engine deletes a resource that it created only to finish a replacement. The replaced resource may
    # have had an adopted share or the acceptance. It cannot have had a share that the replacement created.
    return (own.kind == "adopted" or (bool(urn) and share_id == _ACCEPTED)) and in_operation()


def _current(claims: list[Claim]) -> list[Claim]:
    """Return the claims that still count, oldest first.

    Those of released shares, and of shares that are gone, do not.
    """
    # A project has at most one share. A new one means that the earlier one is gone.
    made = max((claim for claim in claims if claim.kind == "created"), key=lambda claim: claim.time, default=None)
    if made:
        claims = [claim for claim in claims if claim.share_id == made.share_id or claim.time > made.time]
    current: dict[str, list[Claim]] = {}
    for claim in sorted(claims, key=lambda claim: claim.time):
        if claim.kind in ("deleted", "retracted"):
            continue
        if claim.kind == "released":
            current.pop(claim.urn, None)
        else:
            current.setdefault(claim.urn, []).append(claim)
    return sorted((claim for of_one in current.values() for claim in of_one), key=lambda claim: claim.time)


def _is_same_vault(claimed: Form | None, deleted: Form | None) -> bool:
    """Return whether two forms of an acceptance may have the same vault."""
    return not claimed or not deleted or claimed.get("vault_id") == deleted.get("vault_id")


def _last_own(claims: list[Claim], urn: str) -> Claim | None:
    own = [claim for claim in claims if claim.urn == urn and claim.kind != "kept"]
    return own[-1] if own else None


def _answers(engine: str) -> bool:
    host, _, port = engine.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT):
            return True
    except (OSError, ValueError):
        return False


class _Record:
    """The claims of another process, which writes a line for each."""

    def __init__(self) -> None:
        self._content = b""
        #: Of the file that was read.
        self.version: tuple[int, ...] | None = None
        self.claims: dict[Key, list[Claim]] = {}

    def continues_in(self, content: bytes) -> bool:
        """Return whether the content of a file is what was read before, and more."""
        return content.startswith(self._content)

    def read(self, content: bytes) -> None:
        """Add the lines that are new. Raises ValueError or TypeError."""
        # A line without an end is of a request that the engine still waits for.
        lines, _, _ = content.rpartition(b"\n")
        for line in lines[len(self._content) :].splitlines():
            claim = Claim(**json.loads(line))
            self.claims.setdefault(claim.key, []).append(claim)
        self._content = lines + b"\n"


class _SharedFile:
    """The claims of one process in a private folder.

    A lock beside them is held as long as the process lives.
    """

    def __init__(self, engine: str) -> None:
        self._prefix = re.sub(r"[^0-9A-Za-z.]", "_", engine)
        self._name = f"{self._prefix}-{os.getpid()}-{os.urandom(8).hex()}"
        self._folder: PrivateFolder | None = None
        self._held: Lock | None = None
        #: The file, open for more lines.
        self._lines: int | None = None
        self._others: dict[str, _Record] = {}
        self._has_written = False
        self._has_warned = False

    def add(self, claim: Claim, claims: Iterable[Claim]) -> None:
        """Write a claim for others; warn if that fails.

        `claims` are all, in case that the file must be made again.
        """
        if self._try_append(claim.line):
            return
        reason = self._try_write(b"".join(each.line for each in claims))
        if reason is None:
            self._has_written = True
            return
        if self._folder:
            # An empty record tells others that there are claims that it does not have.
            with suppress(OSError):
                self._folder.write(f"{self._name}.json", b"")
        if not self._has_warned:
            self._has_warned = True
            _log.warning("%s", messages.takeover_not_recorded(reason))

    def read_others(self, key: Key) -> list[Claim]:
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
            raise CbrError(messages.takeovers_unreadable(str(error))) from error

    def close(self) -> None:
        """Remove the files of this process."""
        if self._folder:
            with suppress(OSError):
                self._folder.remove(f"{self._name}.json")
            self._forget_folder()

    def _try_append(self, line: bytes) -> bool:
        if self._lines is None:
            return False
        try:
            # A file without a name was deleted: nobody reads it.
            return os.fstat(self._lines).st_nlink > 0 and os.write(self._lines, line) == len(line)
        except OSError:
            return False

    def _try_write(self, content: bytes) -> str | None:
        for is_last in (False, True):
            try:
                self._close_lines()
                folder = self._open()
                folder.write(f"{self._name}.json", content)
                self._lines = folder.open_for_appending(f"{self._name}.json")
            except (OSError, ImportError) as error:
                # The folder may have been deleted: it is made again, with all that was written.
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
                self._held = folder.lock(f"{self._name}.lock")
                _remove_leftovers(folder)
            except BaseException:
                folder.close()
                raise
            self._folder = folder
        return self._folder

    def _forget_folder(self) -> None:
        self._close_lines()
        if self._held:
            self._held.release()
            self._held = None
        if self._folder:
            with suppress(OSError):
                self._folder.remove(f"{self._name}.lock")
            self._folder.close()
            self._folder = None

    def _close_lines(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            os.close(lines)

    def _read(self, folder: PrivateFolder, name: str) -> _Record:
        """Return the claims of another process, none if it has ended or has another engine.

        A file that has not changed is not read again: each unchanged resource asks for all of them.
        """
        if not name.startswith(f"{self._prefix}-") or _remove_if_ended(folder, name):
            return _Record()
        try:
            version = folder.version(name)
            known = self._others.get(name)
            if known and known.version == version:
                return known
            content = folder.read(name, limit=1 << 24)
        except FileNotFoundError:
            return _Record()  # the process has left since the folder was listed
        if b"\n" not in content:
            raise OSError(f"{folder.path / name} is incomplete")
        record = known if known and known.continues_in(content) else _Record()
        record.read(content)
        # The file may have grown since its version was read: then it is read again.
        record.version = version
        self._others[name] = record
        return record


def _remove_leftovers(folder: PrivateFolder) -> None:
    """Remove what processes that were killed have left."""
    names = folder.names()
    for name in names:
        if name.endswith(".json"):
            _remove_if_ended(folder, name)
        elif name.endswith(".lock") and f"{name.removesuffix('.lock')}.json" not in names:
            with suppress(OSError):
                if time.time() - (folder.path / name).lstat().st_mtime > _STALE_LOCK_AGE:
                    _remove_if_ended(folder, f"{name.removesuffix('.lock')}.json")


def _remove_if_ended(folder: PrivateFolder, name: str) -> bool:
    """Remove the record and the lock of a process that has ended; return whether it has."""
    lock_name = f"{name.removesuffix('.json')}.lock"
    lock = folder.lock(lock_name)
    if lock is None:
        return False
    lock.release()
    folder.remove(name)
    folder.remove(lock_name)
    return True


def _open_folder() -> PrivateFolder:
    """Open the folder of records: in the user's runtime folder, else in the cache folder.

    Raises OSError.
    """
    import platformdirs

    from pulumi_cbr.private_folder import PrivateFolder

    try:
        return PrivateFolder.in_runtime_folder("takeovers")
    except OSError:
        return PrivateFolder(platformdirs.user_cache_path("pulumi-cbr"), "takeovers")
