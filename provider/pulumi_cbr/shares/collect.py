"""Ask the service for shares, with as few calls as it allows, several at a time.

Own shares: ``GET /backups`` once, then ``GET /backups/{id}/members`` of each backup, unless the list tells the members.
Received shares: ``GET /backups`` once for each status.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Protocol, TypeVar

from pulumi_cbr.api import Backup, CbrClient, Member, NotFound
from pulumi_cbr.api.models import to_known_time
from pulumi_cbr.shares.model import Share
from pulumi_cbr.shares.select import Filters

#: The API's largest page.
PAGE_SIZE = 1000

_RECEIVED = ("pending", "accepted", "rejected")

T = TypeVar("T")
R = TypeVar("R")


class Progress(Protocol):
    """Is told how many calls are done, and how many are known so far."""

    def __call__(self, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Source:
    """One project to list, and the entry of clouds.yaml that signs in to it."""

    cloud: str | None
    client: CbrClient


@dataclass(frozen=True)
class Listing:
    """The list of one project.

    `backup_ids` are all that it has, or None if not all were listed. `complete` are the backups of which every share is
    among `shares`.
    """

    cloud: str | None
    project_id: str
    received: bool
    shares: tuple[Share, ...]
    backup_ids: frozenset[str] | None = field(default=None, repr=False)
    complete: frozenset[str] = field(default=frozenset(), repr=False)


def list_own(source: Source, filters: Filters, pool: Executor, progress: Progress, *, whole: bool) -> Listing:
    """Return the shares of a project's own backups. Raises `CbrError`.

    With `whole`, every backup is listed, as a comparison with stacks needs it.
    """
    client = source.client
    server_id = None if whole else filters.server_id
    backups = list(client.list_backups(PAGE_SIZE, resource_id=server_id, own_type="private"))
    # Until a response tells the service's time, it is this machine's.
    now = client.service_now()
    wanted = [backup for backup in backups if filters.may_match(backup, now)]
    members = _members(client, wanted, pool, progress)
    own = client.project_id()
    shares = tuple(
        _own_share(source.cloud, own, backup, member) for backup in wanted for member in members.get(backup.id, ())
    )
    ids = None if server_id else frozenset(backup.id for backup in backups)
    return Listing(source.cloud, own, False, shares, ids, frozenset(members))


def list_received(
    source: Source, filters: Filters, pool: Executor, progress: Progress, *, whole: bool, details: Collection[str] = ()
) -> Listing:
    """Return what is shared with a project. Raises `CbrError`.

    `whole` as for `list_own`. If `details` has ``vault``, each accepted share whose vault the list does not tell costs one
    more call. If it has ``time``, so does each share without a time.
    """
    client = source.client
    statuses = _RECEIVED if whole else _statuses_to_list(filters)
    listed: dict[str, list[tuple[str, Backup]]] = defaultdict(list)
    for status in statuses:
        for backup in client.list_backups(PAGE_SIZE, own_type="shared", member_status=status):
            listed[backup.id].append((status, backup))
    own = client.project_id()
    shares = {
        backup_id: _received_share(source.cloud, own, entries[0][0], entries[0][1])
        for backup_id, entries in listed.items()
    }
    # A service that ignores `member_status` lists a backup under each: then only the share itself tells.
    unclear = {backup_id for backup_id, entries in listed.items() if len(entries) > 1}
    to_show = sorted(unclear | _untold(shares.values(), vaults="vault" in details, times="time" in details))
    for backup_id, member in _each(to_show, lambda backup_id: _show(client, backup_id, own), pool, progress):
        if member:
            shares[backup_id] = _with_member(shares[backup_id], member)
        elif backup_id in unclear:
            del shares[backup_id]
    complete = len(statuses) == len(_RECEIVED)
    return Listing(source.cloud, own, True, tuple(shares.values()), frozenset(listed) if complete else None)


def _statuses_to_list(filters: Filters) -> Sequence[str]:
    """Return the statuses to list, at least two.

    A second list tells whether the service ignores the filter.
    """
    asked = [status for status in _RECEIVED if not filters.statuses or status in filters.statuses]
    return [*asked, *(status for status in _RECEIVED if status not in asked)][: max(2, len(asked))] if asked else asked


def _untold(shares: Iterable[Share], *, vaults: bool, times: bool) -> set[str]:
    """Return the backups of accepted shares without a vault, and of shares without a time.

    Lists tell the backup's time only, and not since when it is shared.
    """
    return {
        share.backup_id
        for share in shares
        if (vaults and share.status == "accepted" and not share.dest_vault_id) or (times and share.shared_at is None)
    }


def _show(client: CbrClient, backup_id: str, project: str) -> Member | None:
    try:
        return client.show_member(backup_id, project)
    except NotFound:
        return None


def _members(
    client: CbrClient, backups: Sequence[Backup], pool: Executor, progress: Progress
) -> dict[str, tuple[Member, ...]]:
    """Return the members by backup; a backup that was deleted meanwhile has no entry."""

    def listed(backup: Backup) -> tuple[Member, ...] | None:
        try:
            return client.list_members(backup.id)
        except NotFound:
            return None

    told = [backup for backup in backups if backup.members]
    untold = [backup for backup in backups if not backup.members]
    # Some clouds tell all members along with a backup. Two lists check that this is one of them.
    samples = [*told[:1], *untold[:1]] if told else []
    found = dict(_each(samples, listed, pool, progress))
    rest = [backup for backup in backups if backup not in samples]
    if samples and all(_same(backup.members, members) for backup, members in found.items()):
        found.update((backup, backup.members) for backup in rest)
    else:
        found.update(_each(rest, listed, pool, progress))
    return {backup.id: members for backup, members in found.items() if members is not None}


def _same(told: Iterable[Member], listed: Iterable[Member] | None) -> bool:
    return listed is None or {entry.dest_project_id for entry in told} == {entry.dest_project_id for entry in listed}


def _each(items: Sequence[T], call: Callable[[T], R], pool: Executor, progress: Progress) -> Iterator[tuple[T, R]]:
    """Call for every item, several at a time, and yield the results as they come.

    Raises the first error.
    """
    futures = {pool.submit(call, item): item for item in items}
    # `as_completed` waits for ever for what a shutdown of the pool has cancelled.
    ended: SimpleQueue[Future[R]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    try:
        for done in range(1, len(items) + 1):
            future = ended.get()
            progress(done, len(items))
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _own_share(cloud: str | None, own: str, backup: Backup, member: Member) -> Share:
    share = Share(
        backup_id=backup.id,
        dest_project_id=member.dest_project_id,
        status=member.status,
        cloud=cloud,
        source_project_id=backup.project_id or own,
    )
    return _with_member(_with_backup(share, backup), member)


def _received_share(cloud: str | None, own: str, status: str, backup: Backup) -> Share:
    share = Share(
        backup_id=backup.id,
        dest_project_id=own,
        status=status,
        received=True,
        cloud=cloud,
        source_project_id=backup.project_id if backup.project_id != own else None,
    )
    member = next((entry for entry in backup.members if entry.dest_project_id == own), None)
    share = _with_backup(share, backup)
    return _with_member(share, member) if member else share


def _with_backup(share: Share, backup: Backup) -> Share:
    return replace(
        share,
        backup_name=backup.name,
        backup_created_at=to_known_time(backup.created_at),
        server_id=backup.resource_id,
        server_name=backup.resource_name,
        vault_id=backup.vault_id,
    )


def _with_member(share: Share, member: Member) -> Share:
    return replace(
        share,
        status=member.status,
        share_id=member.id,
        shared_at=to_known_time(member.created_at),
        updated_at=member.updated_at,
        dest_vault_id=member.vault_id,
        image_id=member.image_id,
    )
