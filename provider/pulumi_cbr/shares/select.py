"""Which shares are shown, and in which order: pure functions over rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from pulumi_cbr import messages
from pulumi_cbr.api import Backup
from pulumi_cbr.api.models import UNKNOWN_TIME
from pulumi_cbr.durations import to_seconds
from pulumi_cbr.shares.model import Share

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Filters:
    """The values that a share must match; a filter without values lets everything pass.

    Texts are IDs or names, with ``*`` and ``?`` as in file names; their case does not matter.
    """

    projects: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    vaults: tuple[str, ...] = ()
    older_than: timedelta | None = None

    def match(self, share: Share, now: datetime) -> bool:
        """Return whether a share passes every filter."""
        return (
            _any(self.projects, share.other_project_id, share.other_project_name)
            and (not self.statuses or share.status in self.statuses)
            and _any(self.servers, share.server_id, share.server_name)
            and _any(self.vaults, share.vault_id, share.vault_name, share.dest_vault_id, share.dest_vault_name)
            and (self.older_than is None or _is_older(share.shared_at, self.older_than, now))
        )

    def may_match(self, backup: Backup, now: datetime) -> bool:
        """Return whether a share of this backup can pass, as far as the backup alone tells."""
        return _any(self.servers, backup.resource_id, backup.resource_name) and (
            self.older_than is None
            or backup.created_at == UNKNOWN_TIME
            or _is_older(backup.created_at, self.older_than, now)
        )

    @property
    def server_id(self) -> str | None:
        """The one server's ID if the service itself can filter by it."""
        only = self.servers[0] if len(self.servers) == 1 else ""
        return only.lower() if _UUID.fullmatch(only) else None


def _any(patterns: Sequence[str], *values: str | None) -> bool:
    known = [value.lower() for value in values if value]
    return not patterns or any(fnmatchcase(value, pattern.lower()) for pattern in patterns for value in known)


def _is_older(since: datetime | None, age: timedelta, now: datetime) -> bool:
    return since is not None and now - since >= age


def duration(text: str) -> timedelta:
    """Read an age such as ``30d``, ``12h`` or ``2w``. Raises ValueError."""
    try:
        return timedelta(seconds=to_seconds(text))
    except (ValueError, OverflowError):
        raise ValueError(messages.wrong_age(text)) from None


def _text(value: str | None) -> str:
    return (value or "").lower()


def _seconds(value: datetime | None) -> float:
    return value.timestamp() if value else float("-inf")


#: By what shares can be sorted.
SORT_KEYS: dict[str, Callable[[Share], str | float]] = {
    "backup": lambda share: _text(share.backup_name or share.backup_id),
    "backup_id": lambda share: share.backup_id,
    "server": lambda share: _text(share.server_name or share.server_id),
    "vault": lambda share: _text(share.vault_name or share.vault_id),
    "project": lambda share: _text(share.other_project_name or share.other_project_id),
    "status": lambda share: share.status,
    "age": lambda share: -_seconds(share.shared_at),
    "cloud": lambda share: _text(share.cloud),
    "known": lambda share: _text(share.known),
}

DEFAULT_SORT = "cloud,server,age,backup_id,project"


def sort_order(text: str) -> tuple[tuple[str, bool], ...]:
    """Read ``<key>[:asc|:desc],...`` as pairs of a key and whether it is reversed.

    Raises ValueError.
    """
    order = []
    for part in text.split(","):
        key, _, direction = part.strip().partition(":")
        if key not in SORT_KEYS or direction not in ("", "asc", "desc"):
            raise ValueError(messages.wrong_sort(part, SORT_KEYS))
        order.append((key, direction == "desc"))
    return tuple(order)


def sort(shares: Iterable[Share], order: Sequence[tuple[str, bool]]) -> list[Share]:
    """Return shares in an order of `sort_order`; equal ones stay as they are."""
    result = list(shares)
    for key, is_reversed in reversed(order):
        result.sort(key=SORT_KEYS[key], reverse=is_reversed)
    return result
