"""One list of a backup's members for all who read it at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from pulumi_cbr.api.errors import NotAllowed, NotFound

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member

#: Seconds that a list serves. A refresh of many members of one backup comes in one burst.
_KEPT = 3.0


class MemberLists:
    """Lists of members, asked for once a burst of reads; no read is older than a write that has ended.

    Who comes while a list is on its way waits for it; a list, or the service's refusal to give one, serves for seconds;
    `drop` after a write makes the next read ask again, also where a list from before the write is still on its way.
    """

    def __init__(
        self, fetch: Callable[[str], tuple[Member, ...]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, Future[Mapping[str, Member]]]] = {}

    def of(self, backup_id: str) -> Mapping[str, Member]:
        """Give a backup's members by their project's ID. Raises what the call raises."""
        now = self._clock()
        with self._lock:
            asked_at, future = self._lists.get(backup_id, (now, None))
            mine = future is None or (future.done() and now - asked_at > _KEPT)
            if mine or future is None:
                future = Future()
                self._lists[backup_id] = (now, future)
        if mine:
            try:
                future.set_result({member.dest_project_id: member for member in self._fetch(backup_id)})
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, (NotAllowed, NotFound)):
                    self._forget(backup_id, future)
        return future.result()

    def drop(self, backup_id: str) -> None:
        """Forget a backup's list, after its members were changed."""
        with self._lock:
            self._lists.pop(backup_id, None)

    def _forget(self, backup_id: str, future: Future[Mapping[str, Member]]) -> None:
        with self._lock:
            if self._lists.get(backup_id, (0.0, None))[1] is future:
                del self._lists[backup_id]
