"""Create, find and delete shares: what members and sets have in common.

A request whose response is lost is resolved by looking. Nothing is deleted that is not known to be the caller's, by its
share ID or because the caller's own request made it: see docs/inferences.md.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pulumi_cbr import messages
from pulumi_cbr.api.errors import (
    AlreadyShared,
    CbrError,
    ContradictoryResponseError,
    ImageRegistered,
    NotAllowed,
    NotFound,
    ServiceError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.models import MAX_MEMBERS, known_time
from pulumi_cbr.lifecycle.failures import UnverifiedSharesError

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

T = TypeVar("T")

_log = logging.getLogger("pulumi_cbr")

#: What others change of a share.
_WATCHED = ("share_id", "status", "vault_id", "image_id")

#: Seconds between reads of what the service may not show yet: three seconds in all.
_WAITS = (0.2, 0.4, 0.8, 1.6)

#: A share may be so much older than the lost request that made it: the service's clocks differ.
_SLACK = timedelta(seconds=5)

#: A lost request may be carried out so long after its client gave it up.
_LATE = timedelta(minutes=5)

#: A share in a POST's response is taken for new unless it is older than any time zone or wrong clock explains.
_ANSWER_SLACK = timedelta(days=1)

#: A share younger than this may not be visible everywhere yet.
_YOUNG = timedelta(minutes=1)


class PartialFailure(CbrError):
    """A create that failed after it had made some of its shares."""

    #: The shares that the request made, by their project's ID.
    created: dict[str, Member]

    def __init__(self, text: str, created: dict[str, Member]) -> None:
        super().__init__(text)
        self.created = created


@dataclass
class CreatedShares:
    """The shares that a create made, and those that existed before, by project ID."""

    created: dict[str, Member] = field(default_factory=dict)
    existing: dict[str, Member] = field(default_factory=dict)

    def __contains__(self, project: str) -> bool:
        return project in self.created or project in self.existing


# Ten members of each resource that the engine has served at a time, which are 256 at most: nobody waits for another's
# retries. Threads start when they are needed.
_workers = futures.ThreadPoolExecutor(MAX_MEMBERS * 256, thread_name_prefix="pulumi-cbr")


def create_shares(
    session: CloudSession, backup_id: str, projects: Sequence[str], *, adopt: bool = False
) -> CreatedShares:
    """Share a backup with projects, by one POST unless a response is lost.

    Raises `AlreadyShared` if the service refuses the first request for a share that exists, `PartialFailure` if some
    shares were made, `UnverifiedSharesError` if looking after a lost response fails too, and what the request itself raises.
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


class _Create:
    """One create of shares: a POST, and after a lost response a look and another POST."""

    def __init__(self, session: CloudSession, backup_id: str, projects: tuple[str, ...], adopt: bool) -> None:
        self._session, self._client = session, session.client
        self._backup_id, self._projects, self._adopt = backup_id, projects, adopt
        self.result = CreatedShares()
        #: When the first request was sent whose response may have been lost.
        self._started = session.client.timing.clock()
        #: The last request that may have been carried out.
        self._lost: CbrError | None = None

    def run(self) -> None:
        """Make the shares; fill `result`, also before an error is raised."""
        attempts, refusal = 0, None
        for wait in (*_WAITS[: self._client.settings.max_retries], None):
            attempts += 1
            is_lost, refusal = self._post()
            if not self._missing() or self._look(is_lost, refusal, wait):
                return
            if refusal:
                break
        self._raise(refusal, attempts)

    def _missing(self) -> list[str]:
        return [project for project in self._projects if project not in self.result]

    def _post(self) -> tuple[bool, CbrError | None]:
        """Send one request.

        Return whether its response was lost, and the error after which no other is sent.
        """
        try:
            members = self._client.add_members(self._backup_id, self._missing())
        except UnknownOutcomeError as error:
            if self._lost is None and error.sent_at is not None:
                # Before this attempt nothing was made: a wait for a slot or after a refusal does not count.
                self._started = error.sent_at
            self._lost = error
            return True, None
        except CbrError as error:
            if self._lost is None:
                raise
            # This request was refused, but an earlier one may have succeeded.
            if not isinstance(error, AlreadyShared):
                return False, error
            self._lost = error
            return False, None
        _add_answered(self._session, members, self.result, self._started)
        missing = self._missing()
        return False, CbrError(messages.not_all_shared(self._backup_id, missing)) if missing else None

    def _look(self, is_lost: bool, refusal: CbrError | None, wait: float | None) -> bool:
        """Look for the missing shares; return whether that ends the create.

        If not, `wait` is the time until the next request.
        """
        # The service may not show yet what it accepted, so that is waited for; what a lost request did is not.
        find = find_members if is_lost else wait_for_members
        missing = self._missing()
        try:
            found = find(self._session, self._backup_id, missing)
            _add_found(self._session, found.values(), self.result, self._started)
            if (self.result.existing and not self._adopt) or len(found) == len(missing):
                return True
            if wait is not None and not refusal:
                self._client.timing.sleep(wait)
        except CbrError as error:
            text = messages.unknown_result(str(self._lost or refusal), str(error), messages.if_adopting())
            raise self._unverified(text) from error
        return False

    def _raise(self, refusal: CbrError | None, attempts: int) -> NoReturn:
        """Raise what says best why shares are missing."""
        if isinstance(refusal, ServiceError) and refusal.is_from_service:
            # An earlier request would have been refused too.
            raise refusal
        if self._lost is None:
            # What is known to be made is rolled back. Without it, the next run finds out what was made.
            raise CbrError(str(refusal)) if self.result.created else self._unverified(str(refusal))
        raise self._unverified(messages.not_shown_after(str(refusal or self._lost), attempts)) from self._lost

    def _unverified(self, text: str) -> UnverifiedSharesError:
        """Return the error that keeps in the state what may have been made."""
        given_up_at = self._client.service_now() if self._client.knows_service_time() else None
        started = _service_time(self._session, self._started)
        return UnverifiedSharesError(text, started, given_up_at, self._missing())


def _add_answered(session: CloudSession, members: Iterable[Member], result: CreatedShares, started: float) -> None:
    """Sort what a POST's response lists: it may contain shares that existed before."""
    members = list(members)
    newest = max((member.created_at for member in members), default=None)
    sent = _service_time(session, started)
    for member in members:
        # Shares of one request are of one moment, by whatever clock. One alone is the service's word that it is new.
        is_old = (
            newest is not None and newest - member.created_at > _SLACK
        ) or member.created_at < sent - _ANSWER_SLACK
        # Without a time, the service's word is all there is.
        is_old = is_old and known_time(member.created_at) is not None
        is_old = is_old or member.status == "rejected" or member.image_id is not None
        (result.existing if is_old else result.created)[member.dest_project_id] = member


def _add_found(session: CloudSession, members: Iterable[Member], result: CreatedShares, started: float) -> None:
    """Sort the shares found after a lost response.

    The caller's are those that are not older than the first request.
    """
    sent = _service_time(session, started)
    for member in members:
        if member.created_at < sent - _SLACK:
            result.existing[member.dest_project_id] = member
        else:
            result.created[member.dest_project_id] = member
            # It may also be what another resource of this stack had a moment ago.
            session.ownership.record(member.backup_id, member.dest_project_id, member.id, adopted=True)


def _service_time(session: CloudSession, clock: float) -> datetime:
    """Return the service's time at a moment of the client's clock."""
    return session.client.service_now() - timedelta(seconds=session.client.timing.clock() - clock)


def find_members(session: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Return those of the projects that are members now, by one GET."""
    try:
        if len(projects) == 1:
            return {projects[0]: session.client.show_member(backup_id, projects[0])}
        members = session.client.list_members(backup_id)
    except NotFound:
        return {}
    return {member.dest_project_id: member for member in members if member.dest_project_id in projects}


def wait_for_members(session: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    """Return those of the projects that are members, after a wait for late ones.

    The service may not show a new share at once.
    """
    found = find_members(session, backup_id, projects)
    for wait in _WAITS:
        if len(found) == len(projects):
            break
        session.client.timing.sleep(wait)
        found = find_members(session, backup_id, projects)
    return found


def find_missing(
    session: CloudSession,
    backup_id: str,
    created: Mapping[str, object],
    error: NotFound | ContradictoryResponseError | None,
) -> dict[str, Member]:
    """Return the shares that exist although a list does not show them.

    `error` is the list's. It is raised if the backup exists, and none of its shares is found.
    """
    if isinstance(error, NotFound) and error.is_backup_gone:
        return {}
    found = find_unlisted(session, backup_id, created) if created else {}
    if isinstance(error, ContradictoryResponseError) and not found:
        raise error
    return found


def find_unlisted(session: CloudSession, backup_id: str, created: Mapping[str, object]) -> dict[str, Member]:
    """Read each share that a list does not show by its own GET.

    `created` has the times of the state, by project. A share that is not found may be too young to be visible, and is
    waited for. Raises `CbrError` if the responses contradict each other.
    """
    found: dict[str, Member] = {}
    is_gone = False
    for project, result in _side_by_side(
        list(created), lambda project: _show_member(session, backup_id, project)
    ).items():
        if isinstance(result, NotFound):
            is_gone = is_gone or not result.is_about_member
        elif isinstance(result, CbrError):
            raise result
        else:
            found[project] = result
    if is_gone and found:
        raise CbrError(messages.contradictory(backup_id))
    if is_gone:
        return found
    now = session.client.service_now()
    young = [
        project
        for project, created_at in created.items()
        if project not in found and (made := _to_datetime(created_at)) is not None and now - made <= _YOUNG
    ]
    if young:
        found.update(wait_for_members(session, backup_id, young))
    return found


def _show_member(session: CloudSession, backup_id: str, project: str) -> Member | CbrError:
    try:
        return session.client.show_member(backup_id, project)
    except CbrError as error:
        return error


def delete_share(
    session: CloudSession, backup_id: str, project: str, known: Mapping[str, Any], *, adopt: bool = False
) -> CbrError | None:
    """Delete one share, unless somebody made it again; return the error, if any.

    A share that is gone already is a success.

    `known` has the state's outputs of the share. One list of the backup identifies all shares of a burst of deletes. With
    `adopt`, or if the state has no share ID, whatever share the project has is deleted.
    """
    seen, share_id = None, known.get("share_id")
    try:
        if share_id and not adopt:
            try:
                seen = _identify(session, backup_id, project)
            except CbrError as error:
                return CbrError(messages.cannot_identify(backup_id, project, str(error)))
            if seen and seen.id != share_id:
                _log.warning(messages.share_not_deleted(backup_id, project, str(share_id), seen.id))
                return None
        return _delete_member(session, backup_id, project, seen, known)
    finally:
        session.invalidate(backup_id, project)


def _identify(session: CloudSession, backup_id: str, project: str) -> Member | None:
    """Return the share that a project has now; None if there is none, or none is visible yet."""
    try:
        listed = session.member_cache.identify(backup_id, project)
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
    session: CloudSession, backup_id: str, project: str, seen: Member | None, known: Mapping[str, Any]
) -> CbrError | None:
    try:
        session.client.delete_member(backup_id, project)
    except ImageRegistered as error:
        return _with_image(session, backup_id, project, error, known)
    except NotFound as error:
        return None if error.is_backup_gone else _confirm_deleted(session, backup_id, project, seen, error)
    except CbrError as error:
        return error
    return None


def _confirm_deleted(
    session: CloudSession, backup_id: str, project: str, seen: Member | None, error: NotFound
) -> CbrError | None:
    """Return an error unless a share is gone that a DELETE did not find.

    Somebody was faster, a lost response was a success, or this response is wrong.
    """
    after = _show_member(session, backup_id, project)
    if isinstance(after, (NotFound, NotAllowed)):
        return None
    if isinstance(after, CbrError):
        return UnknownOutcomeError(messages.unknown_result(str(error), str(after)))
    return (
        UnknownOutcomeError(messages.still_exists("deleting", backup_id, project))
        if not seen or after.id == seen.id
        else None
    )


def _with_image(
    session: CloudSession, backup_id: str, project: str, error: CbrError, known: Mapping[str, Any]
) -> CbrError:
    """Return the error with the image that holds the share, if it is known."""
    shown = _show_member(session, backup_id, project)
    image_id = known.get("image_id") if isinstance(shown, CbrError) else shown.image_id
    if not image_id:
        return error
    described = CbrError(messages.image_of_share(str(error), image_id))
    described.__cause__ = error
    return described


def delete_shares(
    session: CloudSession, backup_id: str, shares: Mapping[str, Mapping[str, Any]], *, adopt: bool = False
) -> None:
    """Delete shares side by side. See `delete_share`.

    `shares` has what the state knows of them, by their project's ID.

    Raises `CbrError` after all of them, which names those that stay.
    """
    listed = [project for project, known in shares.items() if known.get("share_id") and not adopt]
    if listed and (error := _list_to_identify(session, backup_id, listed[0])):
        errors: dict[str, CbrError | None] = dict.fromkeys(shares, error)
    else:
        errors = _side_by_side(
            list(shares), lambda project: delete_share(session, backup_id, project, shares[project], adopt=adopt)
        )
    failed = {project: error for project, error in errors.items() if error}
    if failed:
        (_, first), *others = failed.items()
        if others:
            raise CbrError(messages.also_not_deleted(str(first), [project for project, _ in others])) from first
        raise first


def _list_to_identify(session: CloudSession, backup_id: str, project: str) -> CbrError | None:
    """List a backup's members for the deletes that follow, and return what prevented it.

    If the list is forbidden or contradictory, each delete reads its own share instead.
    """
    try:
        session.member_cache.identify(backup_id, project)
    except (NotAllowed, NotFound, ContradictoryResponseError):
        pass
    except CbrError as error:
        return CbrError(messages.cannot_identify(backup_id, project, str(error)))
    return None


def delete_created(session: CloudSession, backup_id: str, created: Iterable[str]) -> None:
    """Delete the shares that the caller's own request has just made.

    Its response is the proof. Raises as `delete_shares`.
    """
    delete_shares(session, backup_id, {project: {} for project in created})


def _side_by_side(projects: Sequence[str], call: Callable[[str], T]) -> dict[str, T]:
    """Return the result of a call for each project; one alone runs here."""
    if len(projects) == 1:
        return {projects[0]: call(projects[0])}
    running: dict[str, futures.Future[T]] = {}
    try:
        for project in projects:
            # Each in a copy of the caller's context, which knows the caller's deadline.
            running[project] = _workers.submit(contextvars.copy_context().run, call, project)
        return {project: future.result() for project, future in running.items()}
    finally:
        # A bug in one of them must not leave others in flight.
        futures.wait(running.values())


def already_shared(session: CloudSession, backup_id: str, members: Iterable[Member]) -> str:
    """Return the error for shares that existed before, with how to adopt them."""
    return messages.already_shared(backup_id, describe_shares(members, session.client.service_now()))


def show_adopted(session: CloudSession, backup_id: str, members: Sequence[Member]) -> None:
    """Show the user which shares existed before the current resource managed them."""
    if members:
        described = describe_shares(members, session.client.service_now())
        session.ownership.show_adoption(messages.adopted(backup_id, described))


def describe_shares(members: Iterable[Member], now: datetime) -> list[str]:
    """Return a description of each share, with its age."""
    return [
        messages.share(member.dest_project_id, member.id, member.status, _age(member.created_at, now))
        for member in members
    ]


def _age(since: datetime, now: datetime) -> str | None:
    return messages.age((now - since).total_seconds()) if known_time(since) else None


def is_unverified(known: Mapping[str, Any]) -> bool:
    """Return whether the state has a share only because a create may have made it."""
    return "created_at" in known and "share_id" not in known


def is_foreign(known: Mapping[str, Any], member: Member) -> bool:
    """Return whether a share is older or younger than the state's unverified create.

    It is somebody else's then.
    """
    sent_at, given_up_at = _to_datetime(known.get("created_at")), _to_datetime(known.get("updated_at"))
    # The state has whole seconds.
    if sent_at is None or member.created_at < sent_at - _SLACK:
        return True
    # Without it, only this machine's time was known, which may be behind.
    return given_up_at is not None and member.created_at > given_up_at + _LATE


def is_replaced(backup_id: str, project: str, known: Mapping[str, Any], member: Member) -> bool:
    """Return whether a share is another one than the state's, and warn of it."""
    if is_unverified(known):
        return is_foreign(known, member)
    share_id = known.get("share_id")
    if not share_id or share_id == member.id:
        return False
    _log.warning(messages.share_replaced(backup_id, project, str(share_id), member.id))
    return True


def log_drift(backup_id: str, project: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Warn of others' changes of a share; return whether it was rejected or taken back."""
    changed = [name for name in _WATCHED if "status" in before and before.get(name) != now.get(name)]
    if changed:
        changes = [(name, before.get(name, "none"), now.get(name, "none")) for name in changed]
        _log.warning(messages.drift(backup_id, project, changes))
    return "status" in changed and (now.get("status") == "rejected" or before.get("status") == "accepted")


def share_outputs(member: Member, before: object = None) -> dict[str, Any]:
    """Return a share's outputs, without those that have no value.

    `before` are the outputs that a state has of it.

    Times are to the second: the service tells one instant in forms of different precision. The state keeps its own form of
    the same instant.
    """
    olds = before if isinstance(before, dict) else {}
    outputs = {
        "share_id": member.id,
        "status": member.status,
        "created_at": _to_text(member.created_at, olds.get("created_at"))
        if known_time(member.created_at)
        else olds.get("created_at"),
        "updated_at": _to_text(member.updated_at, olds.get("updated_at")) if member.updated_at else None,
        "vault_id": member.vault_id,
        "image_id": member.image_id,
    }
    return {name: value for name, value in outputs.items() if value is not None}


def _to_text(value: datetime, before: object) -> str:
    known = _to_datetime(before)
    is_same = known is not None and abs(known - value) < timedelta(seconds=1)
    return str(before) if is_same else value.isoformat(timespec="seconds")


def _to_datetime(text: object) -> datetime | None:
    """Return a time of a state; None if it is none, which no state of ours has."""
    try:
        value = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return value.replace(tzinfo=value.tzinfo or timezone.utc) if value else None
