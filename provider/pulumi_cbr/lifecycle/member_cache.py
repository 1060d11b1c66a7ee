"""A cache of a backup's members, for reads at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound, ServiceUnavailableError
from pulumi_cbr.api.retry import Clock, Deadline
from pulumi_cbr.api.single_flight import SingleFlight

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member

#: Seconds for which a list is reused. A refresh reads all shares of a backup within this time.
_MAX_AGE = 3.0

Members = Mapping[str, "Member"]


class _Entry(NamedTuple):
    asked_at: float
    result: Members | CbrError


#: Seconds for which parallel deletes check their share IDs with one list.
_SNAPSHOT_AGE = 10.0


@dataclass
class _Snapshot:
    """The members before parallel deletes, and the projects whose share changed since."""

    asked_at: float
    members: Mapping[str, Member]
    changed: set[str] = field(default_factory=set)


class MemberCache:
    """Lists of members, fetched once for a burst of reads. Thread-safe.

    A list, or the service's refusal to return it, is used for three seconds. After `invalidate`, the next read asks again,
    even if an older list is still in flight.
    """

    def __init__(self, fetch: Callable[[str], tuple[Member, ...]], *, timing: Clock, timeout: float) -> None:
        self._fetch = fetch
        self._timing = timing
        self._timeout = timeout
        self._lock = threading.Lock()
        self._flight: SingleFlight[Members] = SingleFlight()
        self._entries: dict[str, _Entry] = {}
        self._generations: dict[str, int] = {}
        self._snapshots: dict[str, _Snapshot] = {}

    def get(self, backup_id: str) -> Members:
        """Return a backup's members by their project's ID.

        Raises what `fetch` raises, or `ServiceUnavailableError` if no time is left.
        """
        now = self._timing.monotonic()
        with self._lock:
            generation = self._generations.get(backup_id, 0)
            entry = self._find_fresh(backup_id, now)
        if entry:
            return _get_result(entry)
        deadline = Deadline(self._timing, self._timeout)
        operation = f"listing the members of backup {backup_id}"
        deadline.check(operation)
        try:
            return self._flight.do(
                (backup_id, generation), lambda: self._list(backup_id, generation, now), deadline.remaining
            )
        except TimeoutError:
            raise ServiceUnavailableError(messages.no_response_in_time(operation)) from None

    def get_before_delete(self, backup_id: str, project: str) -> Member | None:
        """Return the share of a project that is about to be deleted, or None.

        One list serves parallel deletes, as they do not change each other's share. Raises as `get`.
        """
        now = self._timing.monotonic()
        with self._lock:
            snapshot = self._snapshots.get(backup_id)
            is_valid = snapshot and now - snapshot.asked_at <= _SNAPSHOT_AGE and project not in snapshot.changed
        if snapshot and is_valid:
            return snapshot.members.get(project)
        return self.get(backup_id).get(project)

    def invalidate(self, backup_id: str, projects: Collection[str] = ()) -> None:
        """Forget a backup's list after a change.

        `projects` are those whose share changed; empty if that is unknown.
        """
        with self._lock:
            self._generations[backup_id] = self._generations.get(backup_id, 0) + 1
            self._entries.pop(backup_id, None)
            if snapshot := self._snapshots.pop(backup_id, None) if not projects else self._snapshots.get(backup_id):
                snapshot.changed.update(projects)

    def _find_fresh(self, backup_id: str, now: float) -> _Entry | None:
        entry = self._entries.get(backup_id)
        return entry if entry and now - entry.asked_at <= _MAX_AGE else None

    def _list(self, backup_id: str, generation: int, asked_at: float) -> Members:
        with self._lock:
            # Another call may have stored a list since the caller read the cache.
            entry = self._find_fresh(backup_id, asked_at) if generation == self._generations.get(backup_id, 0) else None
        if entry:
            return _get_result(entry)
        result: Members | CbrError
        try:
            result = {member.dest_project_id: member for member in self._fetch(backup_id)}
        except (NotAllowed, NotFound) as error:
            result = error
        entry = _Entry(asked_at, result)
        with self._lock:
            if generation == self._generations.get(backup_id, 0):
                self._entries[backup_id] = entry
                if not isinstance(result, CbrError):
                    self._snapshots[backup_id] = _Snapshot(asked_at, result)
        return _get_result(entry)


def _get_result(entry: _Entry) -> Members:
    if isinstance(entry.result, CbrError):
        raise entry.result
    return entry.result
