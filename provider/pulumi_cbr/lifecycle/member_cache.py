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

#: Seconds that a list is used for. A refresh of many members of one backup reads it in one burst.
_MAX_AGE = 3.0

Members = Mapping[str, "Member"]


class _Entry(NamedTuple):
    asked_at: float
    result: Members | CbrError


#: Seconds that a list identifies the shares of parallel deletes.
_IDENTITY_AGE = 10.0


@dataclass
class _Identities:
    """A list of members for a burst of deletes, and the projects whose share changed since."""

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
        self._identities: dict[str, _Identities] = {}

    def get(self, backup_id: str) -> Members:
        """Return a backup's members by their project's ID. Raises what the call raises."""
        now = self._timing.clock()
        with self._lock:
            generation = self._generations.get(backup_id, 0)
            entry = self._entry(backup_id, now)
        if entry:
            return _members(entry)
        deadline = Deadline(self._timing, self._timeout)
        operation = f"listing the members of backup {backup_id}"
        deadline.check(operation)
        try:
            return self._flight.do(
                (backup_id, generation), lambda: self._list(backup_id, generation, now), deadline.remaining
            )
        except TimeoutError:
            raise ServiceUnavailableError(messages.no_response_in_time(operation)) from None

    def identify(self, backup_id: str, project: str) -> Member | None:
        """Return a project's share before it is deleted, or None. Raises what the call raises.

        One list serves a burst: deletes of other projects' shares do not change it.
        """
        now = self._timing.clock()
        with self._lock:
            known = self._identities.get(backup_id)
        if known and now - known.asked_at <= _IDENTITY_AGE and project not in known.changed:
            return known.members.get(project)
        return self.get(backup_id).get(project)

    def invalidate(self, backup_id: str, projects: Collection[str] = ()) -> None:
        """Forget a backup's list, after its members were changed: those of `projects`, or any."""
        with self._lock:
            self._generations[backup_id] = self._generations.get(backup_id, 0) + 1
            self._entries.pop(backup_id, None)
            if known := self._identities.pop(backup_id, None) if not projects else self._identities.get(backup_id):
                known.changed.update(projects)

    def _entry(self, backup_id: str, now: float) -> _Entry | None:
        entry = self._entries.get(backup_id)
        return entry if entry and now - entry.asked_at <= _MAX_AGE else None

    def _list(self, backup_id: str, generation: int, asked_at: float) -> Members:
        with self._lock:
            # Another call may have stored a list since the caller read the cache.
            entry = self._entry(backup_id, asked_at) if generation == self._generations.get(backup_id, 0) else None
        if entry:
            return _members(entry)
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
                    self._identities[backup_id] = _Identities(asked_at, result)
        return _members(entry)


def _members(entry: _Entry) -> Members:
    if isinstance(entry.result, CbrError):
        raise entry.result
    return entry.result
