"""Which backups are in a rolling window, and which received shares are to be accepted: decisions over plain values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain, takewhile

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import UNKNOWN_TIME, Backup
from pulumi_cbr.durations import to_seconds

#: The status of a backup that is being made, that failed, or that is being deleted.
_UNFINISHED = ("creating", "protecting", "waiting_protect", "error", "deleting", "waiting_delete")

#: Return backups that match filters of the API, the newest first.
FindBackups = Callable[..., Iterable[Backup]]


def check_window(
    servers: Sequence[str] | None,
    vault_id: str | None,
    count: int | None,
    max_age: str | float | None,
    dest_project_ids: object,
    accept_into: object,
) -> None:
    """Refuse a window that says too little or too much. Raises `CbrError`."""
    given: dict[str, Sequence[str]] = {"servers": servers or (), "vault_id": () if vault_id is None else (vault_id,)}
    _check_plain("NewestBackupShares", **given)
    if isinstance(servers, str) or (not servers and not vault_id):
        raise CbrError(messages.window_needs_backups())
    for name, values in given.items():
        # A filter by an empty ID may match the backups of any server.
        if not all(value.strip() for value in values):
            raise CbrError(messages.empty_window_value(name))
    if count is None and max_age is None:
        raise CbrError(messages.window_needs_limit())
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise CbrError(messages.wrong_window_count(count))
    # A list that a preview does not know yet has no length.
    if accept_into is not None and isinstance(dest_project_ids, Sequence) and len(dest_project_ids) != 1:
        raise CbrError(messages.window_accepts_for_one_project())
    _age(max_age)


def find_window(
    find: FindBackups,
    servers: Sequence[str] | None,
    vault_id: str | None,
    count: int | None,
    max_age: str | float | None,
    now: datetime,
) -> list[Backup]:
    """Return the newest finished backups, of each server or of the vault alone.

    `count` is how many of each, `max_age` how old they may be. Raises `CbrError` if a server or the vault has no backup at
    all: its ID may be mistyped, and every share would be deleted.
    """
    age = _age(max_age)
    chosen: dict[str, Backup] = {}
    each: Sequence[str | None] = servers or [None]
    for server in each:
        # The first that is too old ends the look-up: no further page is asked for.
        young = takewhile(
            lambda backup: age is None or _age_of(backup, now) <= age, _find_newest(find, server, vault_id, count)
        )
        chosen.update((backup.id, backup) for backup in young)
    return list(chosen.values())


def _find_newest(find: FindBackups, server: str | None, vault_id: str | None, count: int | None) -> Iterable[Backup]:
    """Return finished backups, the newest first.

    Raises `CbrError` if there is no backup at all. A backup that is busy for a while, as in a restore, is among them: its
    shares would be deleted otherwise.
    """
    limit = count
    while True:
        listed = find(resource_id=server, vault_id=vault_id, newest_first=True, limit=limit)
        found = (_check_filters(backup, server, vault_id) for backup in listed)
        first = next(found, None)
        if first is None:
            raise CbrError(messages.window_without_backups(server, vault_id))
        backups = chain([first], found)
        if limit is None or count is None:
            return (backup for backup in backups if backup.status not in _UNFINISHED)
        newest = list(backups)
        finished = [backup for backup in newest if backup.status not in _UNFINISHED]
        if len(finished) >= count or len(newest) < limit:
            return finished[:count]
        limit *= 2


def _check_filters(backup: Backup, server: str | None, vault_id: str | None) -> Backup:
    """Return a backup; raise `CbrError` if it is of another server or vault."""
    for wanted, found in ((server, backup.resource_id), (vault_id, backup.vault_id)):
        if wanted and found and _normalize(found) != _normalize(wanted):
            raise CbrError(messages.filter_ignored(wanted, backup.id, found))
    return backup


def _normalize(text: str) -> str:
    return text.strip().lower().replace("-", "")


def _age_of(backup: Backup, now: datetime) -> timedelta:
    if backup.created_at == UNKNOWN_TIME:
        # If it counted as old, the window would end here, and the shares of all later backups would be deleted.
        raise CbrError(messages.backup_without_time(backup.id))
    return now - backup.created_at


def _check_plain(component: str, **arguments: object) -> None:
    """Refuse outputs of resources, which nobody can search by while the program runs."""
    for name, values in arguments.items():
        if not isinstance(values, Sequence) or not all(isinstance(value, str) for value in values):
            raise CbrError(messages.component_needs_plain_values(component, name))


def _age(max_age: str | float | None) -> timedelta | None:
    if max_age is None:
        return None
    try:
        age = timedelta(seconds=to_seconds(max_age))
        if not age:
            # The window would be empty: all shares would be deleted.
            raise ValueError
        return age
    except (ValueError, OverflowError):
        raise CbrError(messages.wrong_max_age(max_age)) from None


def find_acceptable(
    find: FindBackups, vault_id: str, source_project_ids: Sequence[str], warn: Callable[[str], object]
) -> list[Backup]:
    """Return the backups of these owners that are pending, or were accepted before.

    A share that was accepted into another vault is left out with a warning, if the service tells its vault.
    """
    _check_plain("AcceptPendingShares", vault_id=[vault_id], source_project_ids=source_project_ids)
    if isinstance(source_project_ids, str) or not source_project_ids:
        raise CbrError(messages.accepter_needs_owners())
    # A mistyped one would find nothing, and what was accepted from it would be rejected.
    owners = {ids.project_id("source_project_ids", project) for project in source_project_ids}
    vault_id = ids.uuid("vault_id", vault_id)
    listed = _find_shared(find, owners)
    found = {backup_id: entries[-1][1] for backup_id, entries in listed.items() if _can_accept(entries, vault_id)}
    elsewhere = [
        backup_id
        for backup_id, entries in listed.items()
        if backup_id not in found and any(member.status == "accepted" for member in entries[-1][1].members)
    ]
    if elsewhere:
        warn(messages.left_out(elsewhere[0], vault_id, len(elsewhere)))
    return list(found.values())


def _find_shared(find: FindBackups, owners: Collection[str]) -> dict[str, list[tuple[str, Backup]]]:
    """Return the lists (`accepted`, `pending`) that each backup of these owners is in.

    The key is the backup's ID.
    """
    listed: dict[str, list[tuple[str, Backup]]] = {}
    for status in ("accepted", "pending"):
        filters = {"own_type": "shared", "member_status": status}
        # Ask again after an empty list: if it is wrong, all acceptances would be rejected.
        for backup in list(find(**filters)) or find(**filters):
            if backup.project_id is None:
                raise CbrError(messages.backup_without_owner(backup.id))
            if backup.project_id.lower() in owners:
                listed.setdefault(backup.id, []).append((status, backup))
    return listed


def _can_accept(entries: Sequence[tuple[str, Backup]], vault_id: str) -> bool:
    """Return whether a share is pending, or accepted into this vault. Raises `CbrError`."""
    backup = entries[-1][1]
    # A member that comes with its backup says more than the list that it is in.
    if backup.members:
        vaults = {member.vault_id for member in backup.members if member.status == "accepted"} - {None}
        return vaults <= {vault_id} and any(member.status != "rejected" for member in backup.members)
    if len(entries) > 1:
        # The service ignores the filter: a rejected share would be accepted.
        raise CbrError(messages.status_filter_ignored(backup.id))
    return True
