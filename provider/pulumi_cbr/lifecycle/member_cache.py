"""One list of a backup's members for all who read it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pulumi_cbr.api.errors import NotAllowed, NotFound
from pulumi_cbr.api.retry import Clock, Patience
from pulumi_cbr.api.single_flight import SingleFlight

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member

#: Seconds that a list serves. A refresh of many members of one backup comes in one burst.
_KEPT = 3.0


class MemberCache:
    """Lists of members, asked for once a burst of reads; no read is older than a write that has ended.

    Who comes while a list is on its way waits for it; a list, or the service's refusal to give one, serves for seconds;
    `drop` after a write makes the next read ask again, also where a list from before the write is still on its way.
    """

    def __init__(self, fetch: Callable[[str], tuple[Member, ...]], *, timing: Clock, timeout: float) -> None:
        self._fetch = fetch
        self._timing = timing
        self._timeout = timeout
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, SingleFlight[Mapping[str, Member]]]] = {}

    def of(self, backup_id: str) -> Mapping[str, Member]:
        """Give a backup's members by their project's ID. Raises what the call raises."""
        now = self._timing.clock()
        with self._lock:
            asked_at, listing = self._lists.get(backup_id, (now, None))
            if listing is None or (now - asked_at > _KEPT and not listing.on_its_way):
                listing = SingleFlight(f"listing the members of backup {backup_id}", kept=(NotAllowed, NotFound))
                self._lists[backup_id] = now, listing
        return listing.result(
            lambda _: {member.dest_project_id: member for member in self._fetch(backup_id)},
            Patience(self._timing, self._timeout, 0),
        )

    def drop(self, backup_id: str) -> None:
        """Forget a backup's list, after its members were changed."""
        with self._lock:
            self._lists.pop(backup_id, None)
