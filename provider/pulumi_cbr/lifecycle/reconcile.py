"""Change a backup's members to the projects of a `BackupShare` (a set).

`plan_changes` decides, and `apply_changes` does it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pulumi_cbr import messages
from pulumi_cbr.api.errors import AlreadyShared, CbrError, LimitReached, ServiceError, UnknownOutcomeError
from pulumi_cbr.api.models import MAX_MEMBERS, to_known_time
from pulumi_cbr.lifecycle.failures import UnverifiedSharesError
from pulumi_cbr.lifecycle.share_state import describe_shares, is_foreign, is_unverified, share_outputs, warn_of_foreign
from pulumi_cbr.lifecycle.shares import (
    CreateResult,
    DeleteResult,
    PartialFailure,
    already_shared,
    create_shares,
    delete_created,
    delete_shares,
    join_failed_deletes,
    read_each_share,
    read_shares,
    show_adopted,
    wait_for_members,
)

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")

#: Outputs of shares, by their project's ID.
SharesByProject = Mapping[str, Mapping[str, Any]]

#: The first plan is usually made without a list of members, the second with one. Each project that somebody adds meanwhile
#: needs one more.
_MAX_PLANS = 2 + MAX_MEMBERS


@dataclass(frozen=True)
class SetInputs:
    """The inputs of a set. `adopt` is also true if the stack sets `cbr:adoptExisting`."""

    backup_id: str
    projects: tuple[str, ...]
    exclusive: bool = False
    adopt: bool = False
    reshare: bool = False
    #: All inputs. They tell this resource from its replacement, which has the same URN.
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The changes that a set needs.

    `create`, `adopt` and `refuse` are in the order of the inputs.
    """

    #: Projects to share with, by one POST.
    create: tuple[str, ...] = ()
    #: Projects whose share exists and becomes the set's.
    adopt: tuple[str, ...] = ()
    #: Projects whose share exists and is foreign.
    refuse: tuple[str, ...] = ()
    #: Shares to delete, with what is known of them.
    delete: SharesByProject = field(default_factory=dict)
    #: Projects that left the set, but whose share somebody deleted and created again. The new shares stay.
    recreated: tuple[str, ...] = ()
    #: Whether shares are deleted before others are created.
    delete_first: bool = False
    #: How many members exist and stay.
    staying: int = 0

    @property
    def deleted_for_good(self) -> SharesByProject:
        """The shares that are deleted and not created again."""
        return {project: share for project, share in self.delete.items() if project not in self.create}

    @property
    def reshared(self) -> SharesByProject:
        """The rejected shares that are deleted and created again."""
        return {project: share for project, share in self.delete.items() if project in self.create}

    @property
    def exceeds_limit(self) -> bool:
        """Whether there would be more members than a backup can have."""
        return bool(self.create) and self.staying + len(self.create) > MAX_MEMBERS


def plan_changes(inputs: SetInputs, state: SharesByProject, members: Mapping[str, Member] | None) -> Plan:
    """Return the changes that a set needs.

    `state` are the shares of the state. `members` are all members, or None if they were not listed: then the backup is
    assumed to have the shares of the state and no others.
    """
    current = (
        {project: _to_properties(member) for project, member in members.items()} if members is not None else dict(state)
    )
    same_share = {project for project in state if project in current and _is_same(state[project], current[project])}
    wanted = list(dict.fromkeys(inputs.projects))
    existing = [project for project in wanted if project in current and project not in same_share]
    to_reshare = [
        project
        for project in wanted
        if inputs.reshare and project in same_share and current[project].get("status") == "rejected"
    ]
    create = tuple(project for project in wanted if project not in current or project in to_reshare)
    delete, recreated = _plan_deletes(inputs, state, current, same_share, to_reshare)
    has_image = any(share.get("image_id") for share in delete.values())
    return Plan(
        create=create,
        adopt=tuple(existing) if inputs.adopt else (),
        refuse=() if inputs.adopt else tuple(existing),
        delete=delete,
        recreated=recreated,
        delete_first=bool(create and delete)
        and bool(to_reshare or has_image or len(current) + len(create) > MAX_MEMBERS),
        staying=len(current.keys() - delete.keys()),
    )


def _plan_deletes(
    inputs: SetInputs,
    state: SharesByProject,
    current: SharesByProject,
    same_share: Collection[str],
    to_reshare: Collection[str],
) -> tuple[SharesByProject, tuple[str, ...]]:
    """Return the shares to delete, and the projects whose recreated share stays."""
    wanted = inputs.projects
    removed = [project for project in state if project in same_share and project not in wanted]
    unwanted = [project for project in current if inputs.exclusive and project not in (*wanted, *state)]
    recreated = [project for project in state if project in current and project not in (*same_share, *wanted)]
    # A list may omit a share of the state. `delete_shares` reads such a share by its own GET.
    unlisted = [project for project in state if project not in current and project not in wanted]
    to_delete = [*removed, *unlisted, *to_reshare, *unwanted]
    if inputs.exclusive or inputs.adopt:
        to_delete, recreated = [*to_delete, *recreated], []
    return {project: current.get(project) or state[project] for project in sorted(to_delete)}, tuple(recreated)


def _to_properties(member: Member) -> dict[str, Any]:
    return {"share_id": member.id, "status": member.status, "image_id": member.image_id}


def _is_same(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a share has the ID that the state has, or the state has no ID."""
    return known.get("share_id") in (None, now.get("share_id"))


def apply_changes(
    session: CloudSession, inputs: SetInputs, state: SharesByProject, result: DeleteResult
) -> dict[str, Member]:
    """Change a backup's members to the projects of a set.

    Return all members that were read or created, by project. `result` has a copy of `state`, and is filled even if the change fails.

    Creates before it deletes, so that a refused POST changes nothing. Deletes first if the limit of members or a rejected share
    requires it, or if the service may refuse the delete because of an image. If it fails, it deletes what it created.
    Raises `CbrError`, which names the deleted shares. `UnverifiedSharesError` names what may remain.
    """
    members: Mapping[str, Member] | None = None
    if inputs.exclusive:
        members = read_members(session, inputs.backup_id, state, inputs.projects)
    elif inputs.reshare and any(share.get("status") == "rejected" for share in state.values()):
        # A share that was rejected at the last refresh may have been accepted since, also in this operation.
        session.invalidate(inputs.backup_id)
        members = read_shares(session, inputs.backup_id, state)
    for _ in range(_MAX_PLANS):
        plan = plan_changes(inputs, state, members)
        _check_plan(session, inputs, plan, members)
        try:
            return _execute_plan(session, inputs, plan, members or {}, state, result)
        except _Refused as refused:
            members = _read_after_refusal(session, inputs, state, refused.error, plan.create)
            if not _needs_new_plan(refused.error, plan, plan_changes(inputs, state, members)):
                raise _to_user_error(session, inputs, refused.error, plan, members) from refused.error
    raise CbrError(messages.members_keep_changing(inputs.backup_id))


class _Refused(Exception):
    """The service refused the POST, and nothing was deleted before it."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


def _check_plan(session: CloudSession, inputs: SetInputs, plan: Plan, members: Mapping[str, Member] | None) -> None:
    if plan.refuse and members:
        raise CbrError(already_shared(session, inputs.backup_id, [members[project] for project in plan.refuse]))
    if plan.exceeds_limit:
        raise CbrError(messages.too_many_members(inputs.backup_id, plan.staying, len(plan.create), MAX_MEMBERS))


def _execute_plan(
    session: CloudSession,
    inputs: SetInputs,
    plan: Plan,
    members: Mapping[str, Member],
    state: SharesByProject,
    result: DeleteResult,
) -> dict[str, Member]:
    backup_id = inputs.backup_id
    for project in plan.recreated:
        old_id, new_id = str(state[project]["share_id"]), members[project].id
        _log.warning("%s", messages.share_not_deleted(backup_id, project, old_id, new_id))
    must_stay = find_must_stay(session, backup_id, plan.deleted_for_good, inputs.properties)
    for project in must_stay:
        result.remaining.pop(project, None)
    held = _keep_rejected(session, inputs, plan, state)
    deleting = {project: share for project, share in plan.delete.items() if project not in (*must_stay, *held)}
    to_create = tuple(project for project in plan.create if project not in held)

    created: dict[str, Member] = {}

    def delete() -> None:
        try:
            delete_shares(session, backup_id, deleting, rejected=plan.reshared, adopt=inputs.adopt, result=result)
        except CbrError as error:
            roll_back(session, backup_id, created, error, result.deleted)

    if plan.delete_first and deleting:
        delete()
    existing = {project: members[project] for project in plan.adopt}
    if to_create:
        new = _create(session, inputs, to_create, result.deleted)
        created |= new.created
        existing |= new.existing
    if not plan.delete_first and deleting:
        delete()
    try:
        _record(session, inputs, state, created, existing)
    except CbrError as error:
        roll_back(session, backup_id, created, error, result.deleted)
    return {**members, **existing, **created}


def _keep_rejected(session: CloudSession, inputs: SetInputs, plan: Plan, state: SharesByProject) -> list[str]:
    """Keep rejected shares of the state; return those that are not to be created again.

    A share is kept if it was accepted since, or if another resource has it, too. A warning names the latter: to create it again
    would delete the share of the other resource.
    """
    ownership, backup_id = session.ownership, inputs.backup_id
    held = [
        project
        for project, share in plan.reshared.items()
        if ownership.find_other_holder(backup_id, project, str(share.get("share_id")))
    ]
    if held:
        _log.warning("%s", messages.stays_rejected(backup_id, held))
    replaced = {*plan.create, *plan.adopt, *plan.refuse}.difference(held)
    for project in inputs.projects:
        share = state.get(project, {})
        if share.get("status") == "rejected" and project not in replaced:
            ownership.keep(backup_id, project, share.get("share_id"), share.get("created_at"))
    return held


def _record(
    session: CloudSession,
    inputs: SetInputs,
    state: SharesByProject,
    created: Mapping[str, Member],
    existing: Mapping[str, Member],
) -> None:
    """Record which shares the set has now, and show those that it has adopted.

    Raises `CbrError`, and records none then, if another resource deletes one of them.
    """
    adopted: list[Member] = []
    for project, member in (*existing.items(), *created.items()):
        if state.get(project, {}).get("share_id") != member.id:
            try:
                session.ownership.record(
                    inputs.backup_id, project, member.id, adopted=project in existing, properties=inputs.properties
                )
            except CbrError:
                for other in adopted:
                    session.ownership.release(inputs.backup_id, other.dest_project_id, other.id)
                raise
            adopted += [member] if project in existing else []
    show_adopted(session, inputs.backup_id, adopted)


def _create(session: CloudSession, inputs: SetInputs, projects: Sequence[str], deleted: list[str]) -> CreateResult:
    """Create the shares of a plan. `deleted` are the projects whose share was deleted first.

    Raises `_Refused` if the service refuses the POST with a 400, and nothing was deleted before.
    """
    try:
        return create_shares(session, inputs.backup_id, projects, adopt=inputs.adopt)
    except UnverifiedSharesError as error:
        if deleted:
            # The error keeps what it knows of the shares.
            error.args = (messages.also_deleted(str(error), deleted),)
        raise
    except PartialFailure as error:
        roll_back(session, inputs.backup_id, error.created, error, deleted)
    except CbrError as error:
        if deleted:
            raise CbrError(messages.deleted_before(str(error), deleted)) from error
        if isinstance(error, ServiceError) and error.status == 400:
            raise _Refused(error) from error
        raise


def roll_back(
    session: CloudSession,
    backup_id: str,
    created: Mapping[str, Member],
    error: CbrError,
    deleted: Sequence[str] = (),
) -> NoReturn:
    """Delete the shares that a failed change has created, and raise the error for the user.

    It names the projects whose share was `deleted` before the change failed.
    """
    rolled_back, failed = delete_created(session, backup_id, created) if created else ([], {})
    if rolled_back and not failed:
        raise CbrError(messages.rolled_back(str(error), rolled_back, deleted)) from error
    if deleted and not failed:
        raise CbrError(messages.deleted_before(str(error), deleted)) from error
    if not failed:
        raise error
    text = messages.not_rolled_back(
        str(error), list(failed), str(join_failed_deletes(failed)), deleted=deleted, rolled_back=rolled_back
    )
    unknown = [project for project in failed if isinstance(failed[project], UnknownOutcomeError)]
    now = session.client.service_now()
    # A share without `created_at` counts as created now.
    oldest = min((time for project in failed if (time := to_known_time(created[project].created_at))), default=now)
    given_up_at = now if session.client.knows_service_time() else None
    unverified = UnverifiedSharesError(text, oldest, given_up_at, unknown)
    unverified.created.update({project: created[project] for project in failed if project not in unknown})
    raise unverified from error


def _read_after_refusal(
    session: CloudSession, inputs: SetInputs, state: SharesByProject, refused: ServiceError, requested: Collection[str]
) -> dict[str, Member]:
    """Return all members after a refusal.

    After `AlreadyShared`, if none of the requested shares is visible, wait up to three seconds for all of them.
    """
    try:
        members = read_members(session, inputs.backup_id, state, inputs.projects)
        if isinstance(refused, AlreadyShared) and not members.keys() & set(requested):
            members.update(wait_for_members(session, inputs.backup_id, list(requested)))
    except CbrError as error:
        if isinstance(refused, AlreadyShared):
            raise CbrError(messages.existing_share_unreadable(str(refused), str(error))) from error
        # The service refused the last attempt. An earlier one may have been carried out.
        raise CbrError(messages.unknown_result(str(refused), str(error), messages.run_again_and_adopt())) from error
    return members


def _needs_new_plan(error: ServiceError, before: Plan, after: Plan) -> bool:
    """Return whether to try again.

    True if the new plan can succeed, or if `_check_plan` refuses it with a clearer error.
    """
    if isinstance(error, AlreadyShared):
        return bool(after.refuse) or (bool(after.adopt) and len(after.create) < len(before.create))
    if isinstance(error, LimitReached):
        return after.exceeds_limit or (after.delete_first and not before.delete_first)
    return False


def _to_user_error(
    session: CloudSession, inputs: SetInputs, error: ServiceError, plan: Plan, members: Mapping[str, Member]
) -> CbrError:
    """Return the error for the user, with the requested shares that a read shows."""
    if isinstance(error, AlreadyShared):
        return CbrError(messages.existing_share_hidden(str(error)))
    existing = [members[project] for project in plan.create if project in members]
    if not existing:
        return error
    described = describe_shares(existing, session.client.service_now())
    return CbrError(messages.refused_beside_shares(str(error), described))


def read_members(
    session: CloudSession, backup_id: str, state: SharesByProject, projects: Collection[str]
) -> dict[str, Member]:
    """Return all members of a backup, by one list that is not older than this call.

    Shares of the state that the list lacks are read one by one, if they are among `projects`.
    """
    session.invalidate(backup_id)
    members = dict(session.member_cache.get(backup_id))
    missing = {
        project: state[project].get("created_at") for project in state if project in projects and project not in members
    }
    if missing:
        members.update(read_each_share(session, backup_id, missing))
    return members


def resolve_unverified(
    session: CloudSession, backup_id: str, known: SharesByProject, kept: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Return the shares of the state.

    Unverified ones are read, and left out if they do not exist or are foreign. `kept` are the projects whose share stays with the
    resource. For the others, a warning names a foreign share.
    """
    unverified = {project: known[project] for project in known if is_unverified(known[project])}
    if not unverified:
        return dict(known)
    session.invalidate(backup_id)
    members = read_shares(session, backup_id, unverified) or {}
    verified = {project: known[project] for project in known if project not in unverified}
    for project in unverified:
        member = members.get(project)
        if member and is_foreign(known[project], member):
            if project not in kept:
                warn_of_foreign(backup_id, project, known[project], member)
        elif member:
            verified[project] = share_outputs(member)
            if project in kept:
                session.ownership.keep(backup_id, project, member.id, verified[project].get("created_at"))
    return verified


def find_must_stay(
    session: CloudSession, backup_id: str, shares: SharesByProject, properties: Mapping[str, Any]
) -> list[str]:
    """Return the projects of the shares that must stay although they are to be deleted.

    A warning names them. `properties` are of the set that is deleted or changed.
    """
    must_stay = [
        project
        for project in shares
        if session.ownership.must_share_stay(backup_id, project, shares[project].get("share_id"), properties)
    ]
    if must_stay:
        _log.warning("%s", messages.managed_elsewhere(backup_id, must_stay))
    return must_stay
