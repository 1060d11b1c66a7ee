"""Bring a backup's members in line with a set: `plan_changes` decides, and `apply_changes` carries out."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.errors import AlreadyShared, CbrError, LimitReached, ServiceError
from pulumi_cbr.api.models import MAX_MEMBERS
from pulumi_cbr.lifecycle.failures import UnverifiedSharesError
from pulumi_cbr.lifecycle.shares import (
    CreatedShares,
    PartialFailure,
    already_shared,
    create_shares,
    delete_created,
    delete_shares,
    describe_shares,
    find_unlisted,
    is_foreign,
    is_unverified,
    share_outputs,
    show_adopted,
    wait_for_members,
)

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")

#: The state's outputs of shares, by their project's ID.
KnownShares = Mapping[str, Mapping[str, Any]]

#: One without a list, one with the list after a refusal, and one for each project that appears meanwhile.
_MAX_PLANS = 2 + MAX_MEMBERS


@dataclass(frozen=True)
class SetInputs:
    """The inputs of a set. `adopt` includes the stack's own setting."""

    backup_id: str
    projects: tuple[str, ...]
    exclusive: bool = False
    adopt: bool = False
    reshare: bool = False
    #: All inputs, by which the record of owners tells two forms of a set apart.
    form: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The changes that a set needs. Projects are in the order of the inputs."""

    #: Projects to share with, by one POST.
    create: tuple[str, ...] = ()
    #: Projects whose share exists and becomes the set's.
    adopt: tuple[str, ...] = ()
    #: Projects whose share exists and is somebody else's.
    refuse: tuple[str, ...] = ()
    #: Shares to delete, with what is known of them.
    delete: KnownShares = field(default_factory=dict)
    #: Shares of the state that somebody made again: they are left alone.
    leave: tuple[str, ...] = ()
    #: Whether shares are deleted before others are created.
    delete_first: bool = False
    #: How many members exist and stay.
    staying: int = 0

    @property
    def removed(self) -> KnownShares:
        """The shares that are deleted and not made again."""
        return {project: share for project, share in self.delete.items() if project not in self.create}

    @property
    def exceeds_limit(self) -> bool:
        """Whether there would be more members than a backup can have."""
        return bool(self.create) and self.staying + len(self.create) > MAX_MEMBERS


def plan_changes(inputs: SetInputs, own: KnownShares, current: Mapping[str, Member] | None) -> Plan:
    """Return the changes that a set needs.

    `own` are the shares of the state. `current` are all members, or None if they were not listed.

    Without a list, the backup is assumed to have the shares of the state and no others.
    """
    known = {project: _to_known(member) for project, member in current.items()} if current is not None else dict(own)
    kept = {project for project in own if project in known and _is_same_share(own[project], known[project])}
    wanted = list(dict.fromkeys(inputs.projects))
    foreign = [project for project in wanted if project in known and project not in kept]
    again = [
        project
        for project in wanted
        if inputs.reshare and project in kept and known[project].get("status") == "rejected"
    ]
    create = tuple(project for project in wanted if project not in known or project in again)
    delete, leave = _plan_deletes(inputs, own, known, kept, again)
    has_image = any(share.get("image_id") for share in delete.values())
    return Plan(
        create=create,
        adopt=tuple(foreign) if inputs.adopt else (),
        refuse=() if inputs.adopt else tuple(foreign),
        delete=delete,
        leave=leave,
        delete_first=bool(create and delete) and bool(again or has_image or len(known) + len(create) > MAX_MEMBERS),
        staying=len(known.keys() - delete.keys()),
    )


def _plan_deletes(
    inputs: SetInputs, own: KnownShares, known: KnownShares, kept: Collection[str], again: Collection[str]
) -> tuple[KnownShares, tuple[str, ...]]:
    """Return the shares to delete, and the projects whose share somebody made again and keeps."""
    wanted = inputs.projects
    others = [project for project in known if inputs.exclusive and project not in (*wanted, *own)]
    remade = [project for project in own if project in known and project not in (*kept, *wanted)]
    # A list may hide a share of the state: it is asked for by itself before it is deleted.
    hidden = [project for project in own if project not in known and project not in wanted]
    leaving = [*(project for project in own if project in kept and project not in wanted), *hidden, *again, *others]
    if inputs.exclusive or inputs.adopt:
        leaving, remade = [*leaving, *remade], []
    return {project: known.get(project) or own[project] for project in sorted(leaving)}, tuple(remade)


def _to_known(member: Member) -> dict[str, Any]:
    return {"share_id": member.id, "status": member.status, "image_id": member.image_id}


def _is_same_share(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a share has the ID that the state has, or the state has no ID."""
    return known.get("share_id") in (None, now.get("share_id"))


def apply_changes(session: CloudSession, inputs: SetInputs, own: KnownShares) -> dict[str, Member]:
    """Change a backup's members to those of a set; return the known shares by project ID.

    New shares are made before others are deleted, so a refused request changes nothing, unless there is no room for both.
    Raises `CbrError`, after it has deleted what its own requests created.
    """
    current = read_members(session, inputs.backup_id, own, inputs.projects) if inputs.exclusive else None
    for _ in range(_MAX_PLANS):
        plan = plan_changes(inputs, own, current)
        _check_plan(session, inputs, plan, current)
        try:
            return _execute_plan(session, inputs, plan, current or {}, own)
        except _Refused as refused:
            seen = _read_after_refusal(session, inputs, own, refused.error, plan.create)
            if not _needs_new_plan(inputs, refused.error, plan, plan_changes(inputs, own, seen)):
                raise _to_user_error(session, inputs, refused.error, plan, seen) from refused.error
            current = seen
    raise CbrError(messages.existing_share_hidden(f"sharing backup {inputs.backup_id} failed"))


class _Refused(Exception):
    """The service refused a create, and nothing was made."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


def _check_plan(session: CloudSession, inputs: SetInputs, plan: Plan, current: Mapping[str, Member] | None) -> None:
    if plan.refuse and current:
        raise CbrError(already_shared(session, inputs.backup_id, [current[project] for project in plan.refuse]))
    if plan.exceeds_limit:
        raise CbrError(messages.too_many_members(inputs.backup_id, plan.staying, len(plan.create), MAX_MEMBERS))


def _execute_plan(
    session: CloudSession, inputs: SetInputs, plan: Plan, current: Mapping[str, Member], own: KnownShares
) -> dict[str, Member]:
    backup_id = inputs.backup_id
    for project in plan.leave:
        _log.warning(messages.share_not_deleted(backup_id, project, str(own[project]["share_id"]), current[project].id))
    elsewhere = managed_elsewhere(session, backup_id, plan.removed, inputs.form)
    deleting = {project: share for project, share in plan.delete.items() if project not in elsewhere}
    if plan.delete_first:
        delete_shares(session, backup_id, deleting, adopt=inputs.adopt)
    result = CreatedShares()
    if plan.create:
        result = _create(session, inputs, plan, list(deleting) if plan.delete_first else [])
    created = result.created
    existing = {**{project: current[project] for project in plan.adopt}, **result.existing}
    if not plan.delete_first and deleting:
        try:
            delete_shares(session, backup_id, deleting, adopt=inputs.adopt)
        except CbrError as error:
            raise roll_back(session, backup_id, created, error) from error
    _record(session, inputs, own, created, existing)
    return {**current, **existing, **created}


def _record(
    session: CloudSession,
    inputs: SetInputs,
    own: KnownShares,
    created: Mapping[str, Member],
    existing: Mapping[str, Member],
) -> None:
    """Record what is the set's from now on, and show what it has adopted."""
    adopted = []
    for project, member in (*created.items(), *existing.items()):
        if own.get(project, {}).get("share_id") != member.id:
            session.ownership.record(
                inputs.backup_id, project, member.id, adopted=project in existing, form=inputs.form
            )
            adopted += [member] if project in existing else []
    show_adopted(session, inputs.backup_id, adopted)


def _create(session: CloudSession, inputs: SetInputs, plan: Plan, deleted: list[str]) -> CreatedShares:
    """Create the shares of a plan. Raises `_Refused` if nothing was made or `deleted`."""
    try:
        return create_shares(session, inputs.backup_id, plan.create, adopt=inputs.adopt)
    except UnverifiedSharesError:
        raise
    except PartialFailure as error:
        raise roll_back(session, inputs.backup_id, error.created, error) from error
    except CbrError as error:
        if deleted:
            raise CbrError(messages.deleted_to_make_room(str(error), deleted)) from error
        if isinstance(error, ServiceError) and error.status == 400:
            raise _Refused(error) from error
        raise


def roll_back(session: CloudSession, backup_id: str, created: Mapping[str, Member], error: CbrError) -> CbrError:
    """Delete what a failed change has made; return the error for the user."""
    if not created:
        return error
    try:
        delete_created(session, backup_id, created)
    except CbrError as failed:
        text = messages.not_rolled_back(str(error), list(created), str(failed))
        now = session.client.service_now()
        unverified = UnverifiedSharesError(text, now, now, ())
        unverified.created.update(created)
        return unverified
    return CbrError(messages.rolled_back(str(error), list(created)))


def _read_after_refusal(
    session: CloudSession, inputs: SetInputs, own: KnownShares, refused: ServiceError, asked: Collection[str]
) -> dict[str, Member]:
    """Return all members after a refusal. Waits for a share that the refusal names."""
    try:
        seen = read_members(session, inputs.backup_id, own, inputs.projects)
        if isinstance(refused, AlreadyShared) and not seen.keys() & set(asked):
            seen.update(wait_for_members(session, inputs.backup_id, list(asked)))
    except CbrError as error:
        if isinstance(refused, AlreadyShared):
            raise CbrError(messages.existing_share_unreadable(str(refused), str(error))) from error
        # The request may have been carried out, although it was refused.
        raise CbrError(messages.unknown_result(str(refused), str(error), messages.if_adopting())) from error
    return seen


def _needs_new_plan(inputs: SetInputs, error: ServiceError, before: Plan, after: Plan) -> bool:
    """Return whether the members listed after a refusal explain it or ask for a new plan."""
    if isinstance(error, AlreadyShared):
        return bool(after.refuse) or (bool(after.adopt) and len(after.create) < len(before.create))
    if isinstance(error, LimitReached):
        return after.exceeds_limit or (after.delete_first and not before.delete_first)
    return False


def _to_user_error(
    session: CloudSession, inputs: SetInputs, error: ServiceError, plan: Plan, seen: Mapping[str, Member]
) -> CbrError:
    """Return the error of a refused request. It names shares that may be of that request."""
    if isinstance(error, AlreadyShared):
        return CbrError(messages.existing_share_hidden(str(error)))
    there = [seen[project] for project in plan.create if project in seen]
    if not there:
        return error
    described = describe_shares(there, session.client.service_now())
    return CbrError(messages.refused_beside_shares(str(error), described))


def read_members(
    session: CloudSession, backup_id: str, own: KnownShares, projects: Collection[str]
) -> dict[str, Member]:
    """Return all members of a backup, by one list that is not older than this call.

    Shares of the state that the list lacks are read one by one, if they are among `projects`.
    """
    session.invalidate(backup_id)
    members = dict(session.member_cache.get(backup_id))
    missing = {
        project: own[project].get("created_at") for project in own if project in projects and project not in members
    }
    if missing:
        members.update(find_unlisted(session, backup_id, missing))
    return members


def verify_shares(session: CloudSession, backup_id: str, known: KnownShares) -> dict[str, Mapping[str, Any]]:
    """Return the shares of the state, without those that an unverified create did not make."""
    unverified = {project: known[project] for project in known if is_unverified(known[project])}
    if not unverified:
        return dict(known)
    members = read_members(session, backup_id, unverified, unverified)
    verified = {project: known[project] for project in known if project not in unverified}
    for project in unverified:
        member = members.get(project)
        if member and not is_foreign(known[project], member):
            session.ownership.keep(backup_id, project, member.id)
            verified[project] = share_outputs(member)
    return verified


def managed_elsewhere(session: CloudSession, backup_id: str, shares: KnownShares, form: Mapping[str, Any]) -> list[str]:
    """Return the projects whose share another resource of the stack took over, and warn.

    `form` has the options of the set that is deleted or changed.
    """
    log = session.ownership
    kept = [
        project
        for project in shares
        if log.managed_elsewhere(backup_id, project, shares[project].get("share_id"), form)
    ]
    if kept:
        _log.warning("%s", messages.managed_elsewhere(backup_id, kept))
    return kept
