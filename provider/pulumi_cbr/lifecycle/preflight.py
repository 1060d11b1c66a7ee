"""Asking the service in a preview whether a share can be made: two calls a backup, however many shares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, NotAllowed, NotFound, ServiceUnavailableError
from pulumi_cbr.api.models import MAX_MEMBERS
from pulumi_cbr.api.retry import Clock, Deadline
from pulumi_cbr.api.single_flight import SingleFlight
from pulumi_cbr.lifecycle.shares import describe_shares

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient
    from pulumi_cbr.api.models import Backup, Member

_SERVER = "OS::Nova::Server"

_Looked = tuple["Backup", dict[str, "Member"]]

#: Backups whose members this process has changed.
_changed: set[str] = set()

#: Shares that are a resource's already.
_kept: set[tuple[str, str]] = set()


def mark_changed(backup_id: str) -> None:
    """Record that a backup's members were changed, so results about it are out of date.

    This is no preview then: the calls themselves report what prevents them.
    """
    _changed.add(backup_id)


def mark_managed(backup_id: str, project: str) -> None:
    """Record that a resource has a share. If it is replaced, it is checked again as a new one."""
    _kept.add((backup_id, project))


class Preflight:
    """The checks of one account's backups, and their results."""

    def __init__(self, client: Callable[[], CbrClient], *, timing: Clock, timeout: float) -> None:
        self._client = client
        self._timing = timing
        self._timeout = timeout
        self._lock = threading.Lock()
        self._flight: SingleFlight[_Looked] = SingleFlight()
        self._results: dict[str, _Looked | CbrError] = {}
        # Who is to be a member by this program, in all its resources.
        self._planned: dict[str, set[str]] = {}
        self._declared: set[tuple[str, str]] = set()

    def reasons(
        self,
        backup_id: str,
        joining: Collection[str],
        *,
        adopt: bool,
        leaving: Collection[str] = (),
        exclusive: bool = False,
        replacing: bool = False,
    ) -> list[str]:
        """Give the reasons why a backup cannot be shared with the projects `joining`, while others are taken away.

        `replacing` says that a resource has other inputs now. The engine checks it once more as if it were new, so that it
        is not counted as declared by then.
        """
        joining = {project for project in joining if (backup_id, project) not in _kept}
        if not joining:
            return []
        try:
            looked = self._look(backup_id)
        except NotFound:
            own = self._client().project_id()
            return [f"backup {backup_id} does not exist in project {own}: check its ID, the region, and the project"]
        except CbrError as error:
            return [f"could not be looked at: {error}"]
        if looked is None:
            return []
        backup, members = looked
        with self._lock:
            planned = self._planned.setdefault(backup_id, set())
            pairs = {(backup_id, project) for project in joining}
            twice = set() if replacing else {project for _, project in pairs & self._declared}
            self._declared |= set() if replacing else pairs
            planned |= joining
            total = len(planned if exclusive else planned | (set(members) - set(leaving)))
        reasons = []
        if backup.status != "available":
            reasons.append(f"backup {backup_id} has status `{backup.status}`: only an available one can be shared")
        if backup.resource_type != _SERVER:
            reasons.append(
                f"backup {backup_id} is of type {backup.resource_type}: most regions share backups of servers only "
                "(where yours shares this one, turn cbr:preflight off)"
            )
        if backup.encrypted:
            reasons.append(
                f"backup {backup_id} is of encrypted disks: most regions do not share these (where yours shares this one, turn "
                "cbr:preflight off)"
            )
        if total > MAX_MEMBERS:
            reasons.append(
                f"backup {backup_id} would be shared with {total} projects, and can be with {MAX_MEMBERS}: "
                f"{len(members)} are members now"
            )
        there = [members[project] for project in joining if project in members]
        if there and not adopt:
            reasons.append(messages.already_shared(backup_id, describe_shares(there, self._client().service_now())))
        reasons += [
            f"the share of backup {backup_id} with project {project} is declared twice" for project in sorted(twice)
        ]
        return reasons

    def members(self, backup_id: str) -> Collection[str]:
        """Return the projects that are members now, or none after a change. Raises what the calls raise."""
        looked = self._look(backup_id)
        return looked[1] if looked else ()

    def _look(self, backup_id: str) -> _Looked | None:
        """Return the backup and its members, None once they were changed."""
        if backup_id in _changed:
            return None
        # Of two calls.
        deadline = Deadline(self._timing, 2 * self._timeout)
        try:
            looked = self._known(backup_id)
            if looked is None:
                deadline.check(f"looking at backup {backup_id}")
                looked = self._flight.do(backup_id, lambda: self._fetch(backup_id), deadline.remaining)
        except (CbrError, TimeoutError) as error:
            if backup_id in _changed:
                return None
            if isinstance(error, CbrError):
                raise
            raise ServiceUnavailableError(messages.no_response_in_time(f"looking at backup {backup_id}")) from None
        return None if backup_id in _changed else looked

    def _known(self, backup_id: str) -> _Looked | None:
        with self._lock:
            result = self._results.get(backup_id)
        if isinstance(result, CbrError):
            raise result
        return result

    def _fetch(self, backup_id: str) -> _Looked:
        known = self._known(backup_id)
        if known is not None:
            return known
        result: _Looked | CbrError
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
