"""Ask the service in a preview whether a backup can be shared: two calls for each backup, however many shares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound, ServiceUnavailableError
from pulumi_cbr.api.models import MAX_MEMBERS
from pulumi_cbr.api.retry import Clock, Deadline
from pulumi_cbr.api.single_flight import SingleFlight
from pulumi_cbr.lifecycle.share_state import describe_shares

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient
    from pulumi_cbr.api.models import Backup, Member

_SERVER = "OS::Nova::Server"

#: A backup, and its members by their project's ID.
_Found = tuple["Backup", dict[str, "Member"]]


class PreflightState:
    """The backups that a process has changed, and the shares that resources have."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._managed: set[tuple[str, str]] = set()

    def mark_changed(self, backup_id: str) -> None:
        """Record that a backup's members were changed, so that older results no longer count.

        This happens only in an `up`, whose own calls report what fails.
        """
        self._changed.add(backup_id)

    def has_changed(self, backup_id: str) -> bool:
        """Return whether this process has changed the backup's members."""
        return backup_id in self._changed

    def mark_managed(self, backup_id: str, project: str) -> None:
        """Record that a resource has a share.

        A replacement is checked as a new resource: this keeps its own share from counting as somebody else's.
        """
        self._managed.add((backup_id, project))

    def is_managed(self, backup_id: str, project: str) -> bool:
        """Return whether a resource has the share."""
        return (backup_id, project) in self._managed


class PlannedChange(NamedTuple):
    """The change of a backup's members that a resource's inputs ask for."""

    backup_id: str
    joining: Collection[str]
    leaving: Collection[str] = ()
    #: Whether shares that exist are adopted.
    adopt: bool = False
    #: Whether all other members are removed.
    exclusive: bool = False
    #: Whether the resource existed with other inputs. Its new inputs are checked twice, and count once.
    has_old_inputs: bool = False


class Preflight:
    """The checks of one project's backups, and what they have found. Thread-safe."""

    def __init__(
        self, client: Callable[[], CbrClient], state: PreflightState, *, timing: Clock, timeout: float
    ) -> None:
        self._client = client
        self._state = state
        self._timing = timing
        self._timeout = timeout
        self._lock = threading.Lock()
        self._flight: SingleFlight[_Found] = SingleFlight()
        self._results: dict[str, _Found | CbrError] = {}
        # The projects that the program shares each backup with, in all its resources.
        self._planned: dict[str, set[str]] = {}
        self._declared: set[tuple[str, str]] = set()

    def find_problems(self, change: PlannedChange) -> list[str]:
        """Return what would prevent a change, as messages for the user."""
        backup_id = change.backup_id
        joining = {project for project in change.joining if not self._state.is_managed(backup_id, project)}
        if not joining:
            return []
        try:
            found = self._read(backup_id)
        except NotFound:
            return [messages.backup_missing(backup_id, self._client().project_id())]
        except CbrError as error:
            return [messages.preflight_failed(str(error))]
        if found is None:
            return []
        backup, members = found
        total, twice = self._declare(change, joining, members)
        problems = _backup_problems(backup)
        if total > MAX_MEMBERS:
            problems.append(messages.too_many_planned(backup_id, total, len(members), MAX_MEMBERS))
        existing = [members[project] for project in joining if project in members]
        if existing and not change.adopt:
            descriptions = describe_shares(existing, self._client().service_now())
            problems.append(messages.already_shared_in_preflight(backup_id, descriptions))
        return problems + [messages.declared_twice(backup_id, project) for project in sorted(twice)]

    def _declare(self, change: PlannedChange, joining: set[str], members: Collection[str]) -> tuple[int, set[str]]:
        """Record a change.

        Return how many members the backup would have, and which projects another resource declares too.
        """
        pairs = {(change.backup_id, project) for project in joining}
        with self._lock:
            twice = set() if change.has_old_inputs else {project for _, project in pairs & self._declared}
            self._declared |= set() if change.has_old_inputs else pairs
            planned = self._planned.setdefault(change.backup_id, set())
            planned |= joining
            staying = set() if change.exclusive else set(members) - set(change.leaving)
            return len(planned | staying), twice

    def members(self, backup_id: str) -> Collection[str]:
        """Return the projects that are members now, or none after a change.

        Raises what the calls raise.
        """
        found = self._read(backup_id)
        return found[1] if found else ()

    def _read(self, backup_id: str) -> _Found | None:
        """Return the backup and its members, or None after they were changed."""
        if self._state.has_changed(backup_id):
            return None
        deadline = Deadline(self._timing, 2 * self._timeout)  # there are two calls
        operation = f"reading backup {backup_id}"
        try:
            found = self._get_result(backup_id)
            if found is None:
                deadline.check(operation)
                found = self._flight.do(backup_id, lambda: self._fetch(backup_id), deadline.remaining)
        except (CbrError, TimeoutError) as error:
            if self._state.has_changed(backup_id):
                return None
            if isinstance(error, CbrError):
                raise
            raise ServiceUnavailableError(messages.no_response_in_time(operation)) from None
        return None if self._state.has_changed(backup_id) else found

    def _get_result(self, backup_id: str) -> _Found | None:
        with self._lock:
            result = self._results.get(backup_id)
        if isinstance(result, CbrError):
            raise result
        return result

    def _fetch(self, backup_id: str) -> _Found:
        known = self._get_result(backup_id)
        if known is not None:
            return known
        result: _Found | CbrError
        try:
            backup = self._client().show_backup(backup_id)
            result = backup, {member.dest_project_id: member for member in self._client().list_members(backup_id)}
        except (NotAllowed, NotFound) as error:
            result = error
        with self._lock:
            self._results[backup_id] = result
        if isinstance(result, CbrError):
            raise result
        return result


def _backup_problems(backup: Backup) -> list[str]:
    problems = []
    if backup.status != "available":
        problems.append(messages.backup_not_available(backup.id, backup.status))
    if backup.resource_type != _SERVER:
        problems.append(messages.seldom_shared(backup.id, f"of type {backup.resource_type}"))
    if backup.encrypted:
        problems.append(messages.seldom_shared(backup.id, "of encrypted disks"))
    return problems
