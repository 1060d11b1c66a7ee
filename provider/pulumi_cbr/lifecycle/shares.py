"""Create, find and delete shares: what members and sets have in common.

After a lost response, the shares are read. A delete leaves a share whose ID is not the known one: see `delete_share` and
docs/inferences.md.

==================================  =================================  ===============================
to read members                     requests                           retries for invisible shares
==================================  =================================  ===============================
`MemberCache.get`                   one list for all who ask together  no
`MemberCache.get_before_delete`     one list for parallel deletes      no
`read_shares`, `read_members`       one list, a GET for each missing   if under a minute old
`find_members`                      one list, or one GET               no
`wait_for_members`                  `find_members`, up to five times   yes
`read_each_share`                   a GET for each share               if under a minute old
==================================  =================================  ===============================
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pulumi_cbr import messages
from pulumi_cbr.api.errors import (
    AlreadyShared,
    CbrError,
    ContradictoryResponseError,
    ImageRegistered,
    LimitReached,
    NotAllowed,
    NotFound,
    ServiceError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.models import MAX_MEMBERS, UNKNOWN_TIME
from pulumi_cbr.lifecycle.failures import UnverifiedSharesError
from pulumi_cbr.lifecycle.share_state import CLOCK_SLACK, describe_shares, to_datetime, to_unverified

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

T = TypeVar("T")

_log = logging.getLogger("pulumi_cbr")

#: Seconds between reads of shares that the service may not show yet, and between POSTs: three seconds in all.
_VISIBILITY_WAITS = (0.2, 0.4, 0.8, 1.6)

#: A share in a POST's response existed before if it is this much older than the POST. No wrong clock or time zone
#: explains a day.
_RESPONSE_SLACK = timedelta(days=1)

#: A share younger than this may not be visible everywhere yet.
_MAX_VISIBILITY_DELAY = timedelta(minutes=1)


class PartialFailure(CbrError):
    """A create that failed after it had created some of its shares."""

    #: The shares that the request created, by their project's ID.
    created: dict[str, Member]

    def __init__(self, text: str, created: dict[str, Member]) -> None:
        super().__init__(text)
        self.created = created


@dataclass
class CreateResult:
    """The shares that a request created, and those that existed before, by project ID."""

    created: dict[str, Member] = field(default_factory=dict)
    existing: dict[str, Member] = field(default_factory=dict)

    def __contains__(self, project: str) -> bool:
        return project in self.created or project in self.existing

    def __getitem__(self, project: str) -> Member:
        return self.created.get(project) or self.existing[project]


@dataclass
class DeleteResult:
    """The effect of deletes, even if one of them fails."""

    #: The shares of the state, without those that were deleted or left to another resource.
    remaining: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    #: The projects whose share was deleted.
    deleted: list[str] = field(default_factory=list)


def create_shares(
    session: CloudSession, backup_id: str, projects: Sequence[str], *, adopt: bool = False
) -> CreateResult:
    """Share a backup with projects, by one POST unless a response is lost.

    Raises `AlreadyShared` if the service refuses the first request because a share exists already, and `CbrError` if a response
    shows one that may not be adopted. Raises `PartialFailure` if some shares were created, `UnverifiedSharesError` if it is
    unknown whether they were, and what the request itself raises.
    """
    create = _Create(session, backup_id, tuple(projects), adopt)
    result = create.result
    try:
        create.run()
        if result.existing and not adopt:
            raise CbrError(already_shared(session, backup_id, result.existing.values()))
    except UnverifiedSharesError as error:
        error.created.update(result.created)
        raise
    except CbrError as error:
        if result.created:
            raise PartialFailure(str(error), result.created) from error
        raise
    finally:
        session.invalidate(backup_id, *projects)
    return result


@dataclass(frozen=True)
class _Attempt:
    """The outcome of one request."""

    #: Whether its response was lost.
    is_lost: bool = False
    #: The error that ends the create: a refusal, or that a 2xx lacks a project.
    final_error: CbrError | None = None


class _Create:
    """One create of shares: a POST, and after a lost response a read and another POST."""

    def __init__(self, session: CloudSession, backup_id: str, projects: tuple[str, ...], adopt: bool) -> None:
        self._session, self._client = session, session.client
        self._backup_id, self._projects, self._adopt = backup_id, projects, adopt
        self.result = CreateResult()
        #: Time of the first request that may have been carried out.
        self._first_sent_at = session.client.timing.monotonic()
        #: The last error that leaves open whether the shares exist: a lost response, or `already shared` after one.
        self._unclear_error: CbrError | None = None

    def run(self) -> None:
        """Create the shares; fill `result`, even if an error is raised."""
        attempts, attempt = 0, _Attempt()
        for wait in (*_VISIBILITY_WAITS[: self._client.settings.max_retries], None):
            attempts += 1
            attempt = self._post()
            if not self._missing() or self._read_missing(attempt):
                return
            if attempt.final_error:
                break
            if wait is not None:
                self._sleep(wait)
        self._raise_missing(attempt.final_error, attempts)

    def _missing(self) -> list[str]:
        return [project for project in self._projects if project not in self.result]

    def _post(self) -> _Attempt:
        """Send one request for the missing shares."""
        try:
            members = self._client.add_members(self._backup_id, self._missing())
        except UnknownOutcomeError as error:
            if self._unclear_error is None and error.sent_at is not None:
                # The client's attempts before `sent_at` did not reach the service.
                self._first_sent_at = error.sent_at
            self._unclear_error = error
            return _Attempt(is_lost=True)
        except CbrError as error:
            if self._unclear_error is None:
                raise
            # This request was refused, but an earlier one may have succeeded.
            if not isinstance(error, AlreadyShared):
                return _Attempt(final_error=error)
            self._unclear_error = error
            return _Attempt()
        if self._unclear_error is None:
            self._first_sent_at = members.sent_at
        _add_from_response(self._session, members, self.result, self._first_sent_at)
        missing = self._missing()
        return _Attempt(final_error=CbrError(messages.not_all_shared(self._backup_id, missing)) if missing else None)

    def _read_missing(self, attempt: _Attempt) -> bool:
        """Read the missing shares; return whether to stop.

        True if all were found, or if one existed before and may not be adopted."""
        # After a lost response, read once: the loop sends and reads again. Otherwise wait.
        find = find_members if attempt.is_lost else wait_for_members
        missing = self._missing()
        try:
            found = find(self._session, self._backup_id, missing)
        except CbrError as error:
            raise self._not_readable(error, attempt.final_error) from error
        _add_from_read(self._session, found.values(), self.result, self._first_sent_at)
        return bool(self.result.existing and not self._adopt) or len(found) == len(missing)

    def _sleep(self, seconds: float) -> None:
        try:
            self._client.timing.sleep(seconds)
        except CbrError as error:
            raise self._not_readable(error) from error

    def _not_readable(self, error: CbrError, final_error: CbrError | None = None) -> UnverifiedSharesError:
        text = messages.unknown_result(
            str(self._unclear_error or final_error), str(error), messages.run_again_and_adopt()
        )
        return self._unverified(text)

    def _raise_missing(self, final_error: CbrError | None, attempts: int) -> NoReturn:
        """Raise the error that explains best why shares are missing."""
        is_from_service = isinstance(final_error, ServiceError) and final_error.is_from_service
        # The lost request may itself have created the members that reach the limit.
        is_limit_unclear = isinstance(final_error, LimitReached) and self._unclear_error is not None
        if final_error and is_from_service and not is_limit_unclear:
            # CBR refused this request with HTTP 400 or 404, so it also refused the one whose response was lost.
            raise final_error
        if self._unclear_error is None:
            # A 2xx lacks projects. If it has created others, the caller deletes those. Otherwise the state keeps what may exist.
            raise CbrError(str(final_error)) if self.result.created else self._unverified(str(final_error))
        raise self._unverified(
            messages.not_shown_after(str(final_error or self._unclear_error), attempts)
        ) from self._unclear_error

    def _unverified(self, text: str) -> UnverifiedSharesError:
        """Return the error that keeps in the state what may have been created."""
        given_up_at = self._client.service_now() if self._client.knows_service_time() else None
        sent_at = _service_time(self._session, self._first_sent_at)
        return UnverifiedSharesError(text, sent_at, given_up_at, self._missing())


def _add_from_response(
    session: CloudSession, members: Sequence[Member], result: CreateResult, first_sent_at: float
) -> None:
    """Add each share of a POST's response to `created`, or to `existing` if it is older."""
    sent_at = _service_time(session, first_sent_at)
    newest = max((member.created_at for member in members), default=sent_at)
    for member in members:
        existed = _existed_before(member, newest, sent_at)
        (result.existing if existed else result.created)[member.dest_project_id] = member


def _existed_before(member: Member, newest: datetime, sent_at: datetime) -> bool:
    """Return whether a share in a POST's response is older than the POST.

    The shares of one POST have nearly the same creation time. So a share more than five seconds older than `newest` existed
    before. So did one that is a day older than the POST, is rejected, or has an image.
    """
    if member.status == "rejected" or member.image_id is not None:
        return True
    if member.created_at == UNKNOWN_TIME:
        return False
    return newest - member.created_at > CLOCK_SLACK or member.created_at < sent_at - _RESPONSE_SLACK


def _add_from_read(
    session: CloudSession, members: Iterable[Member], result: CreateResult, first_sent_at: float
) -> None:
    """Add each share that was read to `created`, or to `existing` if it is older."""
    sent_at = _service_time(session, first_sent_at)
    for member in members:
        if member.created_at < sent_at - CLOCK_SLACK:
            result.existing[member.dest_project_id] = member
        else:
            result.created[member.dest_project_id] = member
            # Another resource of this stack, or the one that this one replaces, may have created the share. The claim "adopted"
            # keeps that resource from deleting it.
            session.ownership.record(member.backup_id, member.dest_project_id, member.id, adopted=True)


def _service_time(session: CloudSession, monotonic: float) -> datetime:
    """Return the service's time at a moment of the client's clock."""
    return session.client.service_now() - timedelta(seconds=session.client.timing.monotonic() - monotonic)


def find_members(session: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Return the members among the projects, by one GET if the list is allowed."""
    try:
        if len(projects) == 1:
            return {projects[0]: session.client.show_member(backup_id, projects[0])}
        members = session.client.list_members(backup_id)
    except NotFound:
        return {}
    except NotAllowed:
        if len(projects) == 1:
            raise
        # A user who may not list may be allowed to show.
        return _show_members(session, backup_id, projects)
    return {member.dest_project_id: member for member in members if member.dest_project_id in projects}


def _show_members(session: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Return the members among the projects, by one GET for each."""
    results = _run_parallel(projects, lambda project: session.client.show_member(backup_id, project))
    for error in _find_failed(results).values():
        if not isinstance(error, NotFound):
            raise error
    return {project: result for project, result in results.items() if not isinstance(result, CbrError)}


def wait_for_members(session: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Return the members among the projects, and wait for late ones.

    A service may not show a new share at once.
    """
    found = find_members(session, backup_id, projects)
    for wait in _VISIBILITY_WAITS:
        if len(found) == len(projects):
            break
        session.client.timing.sleep(wait)
        found = find_members(session, backup_id, projects)
    return found


def read_shares(
    session: CloudSession, backup_id: str, state: Mapping[str, Mapping[str, Any]], *, list_required: bool = False
) -> dict[str, Member] | None:
    """Return a backup's members, or None if the backup is gone.

    One list serves all shares that are read together. Shares of the state that it does not show are read by their own GET.
    If the list is forbidden, only they are read, unless `list_required`. If it is contradictory and no share is found, raises
    `ContradictoryResponseError`.
    """
    members: dict[str, Member] = {}
    failed: NotFound | ContradictoryResponseError | None = None
    try:
        members.update(session.member_cache.get(backup_id))
    except (NotFound, ContradictoryResponseError) as error:
        failed = error
    except NotAllowed:
        if list_required:
            raise
    is_backup_gone = isinstance(failed, NotFound) and failed.is_backup_gone
    missing = {project: state[project].get("created_at") for project in state if project not in members}
    if missing and not is_backup_gone:
        members.update(read_each_share(session, backup_id, missing))
    if isinstance(failed, ContradictoryResponseError) and not members:
        raise failed
    return members if members or not failed else None


def read_each_share(session: CloudSession, backup_id: str, created_at: Mapping[str, object]) -> dict[str, Member]:
    """Read shares that a list does not show, each by its own GET.

    `created_at` has the times of the state, by project. Waits for a share that may be too young to be visible. Raises
    `CbrError` if a read fails, or if the responses contradict each other.
    """
    found: dict[str, Member] = {}
    backup_missing = False
    results = _run_parallel(list(created_at), lambda project: session.client.show_member(backup_id, project))
    for project, result in results.items():
        if isinstance(result, NotFound):
            backup_missing = backup_missing or not result.is_about_member
        elif isinstance(result, CbrError):
            raise result
        else:
            found[project] = result
    if backup_missing and found:
        raise CbrError(messages.contradictory(backup_id))
    if backup_missing:
        return found
    now = session.client.service_now()
    young = [
        project
        for project, created in created_at.items()
        if project not in found and (time := to_datetime(created)) is not None and now - time <= _MAX_VISIBILITY_DELAY
    ]
    if young:
        found.update(wait_for_members(session, backup_id, young))
    return found


def delete_share(
    session: CloudSession, backup_id: str, project: str, known: Mapping[str, Any], *, adopt: bool = False
) -> bool:
    """Delete one share, unless somebody created it again; return whether it was deleted.

    True for a share that is gone already.

    `known` has what is known of the share, such as the state's outputs. Parallel deletes check their share IDs with one list of
    the members.
    With `adopt`, or if the state has no share ID, whatever share the project has is deleted.
    """
    current, share_id = None, known.get("share_id")
    try:
        if share_id and not adopt:
            try:
                current = _identify(session, backup_id, project)
            except CbrError as error:
                raise CbrError(messages.cannot_identify(backup_id, project, str(error))) from error
            if current and current.id != share_id:
                _log.warning("%s", messages.share_not_deleted(backup_id, project, str(share_id), current.id))
                return False
        _delete_member(session, backup_id, project, current, known)
        return True
    finally:
        session.invalidate(backup_id, project)


def announce_and_delete(
    session: CloudSession,
    backup_id: str,
    project: str,
    known: Mapping[str, Any],
    *,
    adopt: bool = False,
    is_reshare: bool = False,
) -> bool:
    """Delete a share, and announce that to the other resources; return whether it was deleted.

    The claim is recorded before the DELETE is sent. The share stays, with a warning, if another resource of the stack has it. With
    `is_reshare`, it was rejected and is created again. See `delete_share`.
    """
    share_id = str(known.get("share_id") or "")
    any_share = adopt or not share_id
    with session.ownership.announce_delete(
        backup_id, project, share_id, any_share=any_share, is_reshare=is_reshare
    ) as must_stay:
        if must_stay:
            _log.warning("%s", messages.managed_elsewhere(backup_id, [project]))
            return False
        return delete_share(session, backup_id, project, known, adopt=adopt)


def _identify(session: CloudSession, backup_id: str, project: str) -> Member | None:
    """Return the share that a project has now; None if there is none, or none is visible yet."""
    try:
        listed = session.member_cache.get_before_delete(backup_id, project)
    except NotFound as error:
        if error.is_backup_gone:
            return None
        listed = None
    except (NotAllowed, ContradictoryResponseError):  # a user who may not list may be allowed to show
        listed = None
    try:
        return listed or session.client.show_member(backup_id, project)
    except NotFound:
        return None


def _delete_member(
    session: CloudSession, backup_id: str, project: str, current: Member | None, known: Mapping[str, Any]
) -> None:
    try:
        session.client.delete_member(backup_id, project)
    except ImageRegistered as error:
        image_id = _find_image(session, backup_id, project, known)
        if image_id:
            raise CbrError(messages.image_of_share(str(error), image_id)) from error
        raise
    except NotFound as error:
        if not error.is_backup_gone:
            _confirm_deleted(session, backup_id, project, current, error)


def _confirm_deleted(
    session: CloudSession, backup_id: str, project: str, current: Member | None, error: NotFound
) -> None:
    """Raise `UnknownOutcomeError` if a share still exists after a DELETE returned `not found`.

    That response can be wrong. It is right if somebody else, or an earlier attempt, deleted the share.
    """
    try:
        after = session.client.show_member(backup_id, project)
    except (NotFound, NotAllowed):
        return
    except CbrError as failed:
        raise UnknownOutcomeError(messages.unknown_result(str(error), str(failed))) from failed
    if not current or after.id == current.id:
        raise UnknownOutcomeError(messages.still_exists("deleting", backup_id, project))


def _find_image(session: CloudSession, backup_id: str, project: str, known: Mapping[str, Any]) -> str | None:
    """Return the image that uses a share, if it is known."""
    try:
        return session.client.show_member(backup_id, project).image_id
    except CbrError:
        return known.get("image_id")


def delete_shares(
    session: CloudSession,
    backup_id: str,
    shares: Mapping[str, Mapping[str, Any]],
    *,
    rejected: Collection[str] = (),
    adopt: bool = False,
    result: DeleteResult | None = None,
) -> None:
    """Delete shares in parallel: see `announce_and_delete`.

    `shares` has what is known of each, by its project's ID. The receivers of the projects in `rejected` have rejected the share.

    Records each delete in `result`. One with an unknown result stays in `remaining`, without its status. Raises `CbrError`, after all
    deletes, that names all shares that were not deleted.
    """
    result = result or DeleteResult()
    to_compare = [project for project, known in shares.items() if known.get("share_id") and not adopt]
    if to_compare:
        first, *others = dict.fromkeys((*to_compare, *shares))
        _prefetch_members(session, backup_id, first, others)

    def delete(project: str) -> None:
        try:
            is_deleted = announce_and_delete(
                session, backup_id, project, shares[project], adopt=adopt, is_reshare=project in rejected
            )
        except UnknownOutcomeError:
            if project in result.remaining:
                result.remaining[project] = to_unverified(result.remaining[project])
            raise
        result.remaining.pop(project, None)
        result.deleted += [project] if is_deleted else []

    if failed := _find_failed(_run_parallel(list(shares), delete)):
        raise join_failed_deletes(failed)


def join_failed_deletes(failed: Mapping[str, CbrError]) -> CbrError:
    """Return one error for deletes that failed, by their project."""
    (_, error), *others = failed.items()
    return CbrError(messages.also_not_deleted(str(error), [project for project, _ in others])) if others else error


def _find_failed(results: Mapping[str, object]) -> dict[str, CbrError]:
    return {project: result for project, result in results.items() if isinstance(result, CbrError)}


def _prefetch_members(session: CloudSession, backup_id: str, project: str, others: Sequence[str]) -> None:
    """List a backup's members for the deletes that follow.

    If the list is forbidden or contradictory, each delete reads its own share instead.

    Raises `CbrError` if the list fails: it names `project` and the `others`, as none of them is deleted.
    """
    try:
        session.member_cache.get_before_delete(backup_id, project)
    except (NotAllowed, NotFound, ContradictoryResponseError):
        pass
    except CbrError as error:
        text = messages.cannot_identify(backup_id, project, str(error))
        raise CbrError(messages.also_not_deleted(text, others) if others else text) from error


def delete_created(
    session: CloudSession, backup_id: str, created: Mapping[str, Member]
) -> tuple[list[str], dict[str, CbrError]]:
    """Delete shares that the caller's own request created.

    Return the projects whose share was deleted, and the errors of the others. A share that another resource of the stack has, too, is
    in neither: it stays, with a warning. No share ID is compared: the response or a read has just shown that they are the caller's.
    """

    def delete(project: str) -> bool:
        with session.ownership.announce_delete(
            backup_id, project, created[project].id, may_be_accepted=False
        ) as must_stay:
            if must_stay:
                _log.warning("%s", messages.managed_elsewhere(backup_id, [project]))
                return False
            is_deleted = delete_share(session, backup_id, project, known={})
        session.ownership.release(backup_id, project, created[project].id)
        return is_deleted

    results = _run_parallel(list(created), delete)
    return [project for project, result in results.items() if result is True], _find_failed(results)


def _run_parallel(projects: Sequence[str], call: Callable[[str], T]) -> dict[str, T | CbrError]:
    """Return for each project the result of a call, or its `CbrError`.

    A single call is made in this thread.
    """

    def capture(project: str) -> T | CbrError:
        try:
            return call(project)
        except CbrError as error:
            return error

    if len(projects) == 1:
        return {projects[0]: capture(projects[0])}
    # Each call runs in a copy of the caller's context, which has the caller's deadline.
    with ThreadPoolExecutor(MAX_MEMBERS, thread_name_prefix="pulumi-cbr") as workers:
        running = {project: workers.submit(contextvars.copy_context().run, capture, project) for project in projects}
    return {project: future.result() for project, future in running.items()}


def already_shared(session: CloudSession, backup_id: str, members: Iterable[Member]) -> str:
    """Return the error for shares that existed before, with how to adopt them."""
    members = list(members)
    for member in members:
        project = member.dest_project_id
        if holder := session.ownership.find_other_holder(backup_id, project, member.id):
            return messages.already_held(backup_id, project, holder)
    return messages.already_shared(backup_id, describe_shares(members, session.client.service_now()))


def show_adopted(session: CloudSession, backup_id: str, members: Sequence[Member]) -> None:
    """Show the user which shares existed before the current resource managed them."""
    if members:
        described = describe_shares(members, session.client.service_now())
        session.ownership.show_adoption(messages.adopted(backup_id, described))
