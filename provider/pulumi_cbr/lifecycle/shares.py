"""Sharing a backup so that the answer is known in the end, and reading what a share is: for the member and for the set."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from pulumi_cbr.api.errors import AlreadyShared, CbrError, ImageRegistered, NotFound, UnknownOutcomeError
from pulumi_cbr.lifecycle import ownership
from pulumi_cbr.lifecycle.failures import already_shared

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")

#: What others change of a share.
_WATCHED = ("share_id", "status", "vault_id", "image_id")

#: Seconds between looks at what the service may not show yet: three seconds in all.
_LOOKS = (0.2, 0.4, 0.8, 1.6)

#: How a share that was made without the state's knowledge is taken over.
_ADOPTING = "; where the backup is shared by then, with `pulumi config set cbr:adoptExisting true` for that run"

#: The service's clock and its database may differ by so much.
_SLACK = timedelta(seconds=30)

#: A share younger than this may not be visible everywhere yet.
_YOUNG = timedelta(minutes=1)


class PartialFailure(CbrError):
    """A call was carried out for some of its projects only."""

    #: The shares that the call seems to have made, by their project's ID.
    found: dict[str, Member]

    def __init__(self, text: str, found: dict[str, Member]) -> None:
        super().__init__(text)
        self.found = found


# Ten members of each resource that the engine has served at a time, which are 256 at most: nobody waits for another's
# retries. Threads start when they are needed.
_side_by_side = futures.ThreadPoolExecutor(10 * 256, thread_name_prefix="pulumi-cbr")


def create_shares(
    account: CloudSession, backup_id: str, projects: Sequence[str], *, adopt: bool = False
) -> dict[str, Member]:
    """Share a backup with projects that it is not shared with, by one POST where all goes well.

    A lost answer is resolved by looking: what is there is ours, unless it is older than the first try by half a minute (and
    not to be adopted); what is not is sent again. Raises `AlreadyShared` for what was there before the first try,
    `UnknownOutcomeError` where even looking fails, `PartialFailure` where some were shared and some not, and what the call itself raises.
    """
    found: dict[str, Member] = {}
    try:
        _create_shares(account, backup_id, projects, found, adopt=adopt)
    except CbrError as error:
        if found:
            raise PartialFailure(str(error), found) from error
        raise
    finally:
        account.changed(backup_id)
    return found


def _create_shares(
    account: CloudSession, backup_id: str, projects: Sequence[str], found: dict[str, Member], *, adopt: bool
) -> None:
    client = account.client
    started = client.timing.clock()
    lost: CbrError | None = None
    waits = _LOOKS[: client.settings.max_retries]
    for wait in (*waits, None):
        missing = [project for project in projects if project not in found]
        # The service may not show yet what it took, so it is looked for patiently; what a lost call did, at once.
        looking, last = wait_for_members, None
        try:
            found.update((member.dest_project_id, member) for member in client.add_members(backup_id, missing))
        except UnknownOutcomeError as error:
            lost, looking = error, find_members
        except AlreadyShared as error:
            if lost is None:
                raise
            lost = error
        except CbrError as error:
            if lost is None:
                raise
            # This try was refused, and yet an earlier one may have been carried out.
            last = error
        else:
            last = CbrError(
                f"backup {backup_id} was not shared with all of {', '.join(missing)}: the service took the call, but does "
                f"not show them all. Check the projects' IDs, then run again{_ADOPTING}"
            )
        missing = [project for project in missing if project not in found]
        if not missing:
            return
        try:
            there = looking(account, backup_id, missing)
        except CbrError as error:
            raise UnknownOutcomeError(
                f"{lost or last}; looking whether it was carried out failed too: {error}. Run again{_ADOPTING}"
            ) from error
        if lost and not adopt:
            elapsed = timedelta(seconds=client.timing.clock() - started)
            _refuse_older(backup_id, there.values(), client.service_now() - elapsed - _SLACK, client.service_now())
        if lost:
            for member in there.values():
                # Ours as far as can be told. A young one may yet be what another resource of this stack has had.
                record_owner(member, adopted=True)
        found.update(there)
        if len(there) == len(missing):
            return
        if last:
            raise last
        if wait is not None:
            client.timing.sleep(wait)
    raise CbrError(
        f"{lost}; tried {len(waits) + 1} times, and the service shows no such share. Run again later{_ADOPTING}"
    ) from lost


def record_owner(member: Member, *, adopted: bool) -> None:
    """Note that a share is a resource's from now on."""
    pair = member.backup_id, member.dest_project_id
    ownership.write(pair, member.id, adopted=adopted or ownership.latest(pair) == (member.id, True))


def managed_elsewhere(backup_id: str, project: str, share_id: object) -> bool:
    """Tell whether a share of the state, with that ID, is another resource's of the same stack by now.

    The engine creates before it deletes: a resource that was renamed, or became one of another kind, has taken the share
    over by the time that its old form is deleted.
    """
    taken_id, adopted = ownership.latest((backup_id, project)) or (share_id, False)
    return adopted or taken_id != share_id


def find_members(account: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Give those of the projects that are members now: by one GET."""
    try:
        if len(projects) == 1:
            return {projects[0]: account.client.show_member(backup_id, projects[0])}
        members = account.client.list_members(backup_id)
    except NotFound:
        return {}
    return {member.dest_project_id: member for member in members if member.dest_project_id in projects}


def delete_shares(account: CloudSession, backup_id: str, projects: Iterable[str]) -> None:
    """Take shares away side by side, by one DELETE each; what is gone already is a success.

    Raises `CbrError`, after every other one was taken away, where one could not be; it names all that stay.
    """

    def one(project: str) -> CbrError | None:
        try:
            account.client.delete_member(backup_id, project)
        except ImageRegistered as error:
            return add_image_id(account, backup_id, project, error)
        except CbrError as error:
            return error
        return None

    running: dict[str, futures.Future[CbrError | None]] = {}
    try:
        for project in projects:
            # Each in a copy of the caller's context, which knows how much time is left.
            running[project] = _side_by_side.submit(contextvars.copy_context().run, one, project)
        errors = {project: error for project, future in running.items() if (error := future.result())}
    finally:
        # A bug in one of them must not leave others on their way.
        futures.wait(running.values())
        account.changed(backup_id)
    staying = [(project, error) for project, error in errors.items() if not isinstance(error, NotFound)]
    if staying:
        (_, first), *others = staying
        if others:
            names = ", ".join(project for project, _ in others)
            raise CbrError(f"{first}. Neither were taken away the shares with {names}") from first
        raise first


def add_image_id(
    account: CloudSession, backup_id: str, project: str, error: CbrError, known: str | None = None
) -> CbrError:
    """Name the image that holds a share, as the service tells it, or else as the state has `known` it."""
    try:
        image_id = account.client.show_member(backup_id, project).image_id or known
    except CbrError:
        image_id = known
    return CbrError(f"{error}. The image is {image_id}" if image_id else str(error))


def wait_for_members(account: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Give those of the projects that are members, after a wait for those that the service may not show yet."""
    found = find_members(account, backup_id, projects)
    for wait in _LOOKS:
        if len(found) == len(projects):
            break
        account.client.timing.sleep(wait)
        found = find_members(account, backup_id, projects)
    return found


def find_recent_member(account: CloudSession, backup_id: str, project: str, created_at: object) -> Member | None:
    """Look once more, for a while, for a member that was made so lately that the service may not show it yet."""
    return find_recent(account, backup_id, {project: created_at}).get(project)


def find_recent(account: CloudSession, backup_id: str, created: Mapping[str, object]) -> dict[str, Member]:
    """Do as `find_recent_member` for several projects at a time; `created` has the times of their shares."""
    now = account.client.service_now()
    young = [
        project
        for project, created_at in created.items()
        if (made := _instant_of(created_at)) is not None and now - made <= _YOUNG
    ]
    return wait_for_members(account, backup_id, young) if young else {}


def _refuse_older(backup_id: str, members: Iterable[Member], oldest: datetime, now: datetime) -> None:
    older = [member for member in members if member.created_at < oldest]
    if older:
        raise CbrError(already_shared(backup_id, older, now))


def log_drift(backup_id: str, project: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Tell the user what others changed of a share: the engine shows a refresh of outputs alone as no change."""
    changed = [name for name in _WATCHED if "status" in before and before.get(name) != now.get(name)]
    if changed:
        drift = "; ".join(f"{name} is {now.get(name, 'none')}, not {before.get(name, 'none')}" for name in changed)
        _log.warning("the share of backup %s with project %s has changed: %s", backup_id, project, drift)


def share_outputs(member: Member, before: object = None) -> dict[str, Any]:
    """Give a share's outputs; what it has not is left out. `before` are the outputs that a state has of it.

    Times are to the second: the service tells one instant in forms of different precision. Where it is the same, the state
    keeps what it has.
    """
    olds = before if isinstance(before, dict) else {}
    outputs = {
        "share_id": member.id,
        "status": member.status,
        "created_at": _text(member.created_at, olds.get("created_at")),
        "updated_at": _text(member.updated_at, olds.get("updated_at")) if member.updated_at else None,
        "vault_id": member.vault_id,
        "image_id": member.image_id,
    }
    return {name: value for name, value in outputs.items() if value is not None}


def _text(value: datetime, before: object) -> str:
    known = _instant_of(before)
    same = known is not None and abs(known - value) < timedelta(seconds=1)
    return str(before) if same else value.isoformat(timespec="seconds")


def _instant_of(text: object) -> datetime | None:
    """Read a time of a state; None for one that is none, which no state of ours has."""
    try:
        value = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return value.replace(tzinfo=value.tzinfo or timezone.utc) if value else None
