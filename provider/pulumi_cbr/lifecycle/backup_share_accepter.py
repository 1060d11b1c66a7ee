"""The controller of `BackupShareAccepter`: a shared backup that is accepted into a vault, from the receiver's side.

Calls: ``PUT /backups/{backup_id}/members/{own project}`` (``accepted`` to create and update, ``rejected`` to delete),
``GET .../members/{own project}`` or ``GET /backups/{backup_id}`` (read).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi_cbr import messages
from pulumi_cbr.api.errors import (
    CbrError,
    ContradictoryResponseError,
    NotAllowed,
    NotFound,
    ServiceError,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.retry import attempts
from pulumi_cbr.lifecycle.claims import ACCEPTANCE_ID
from pulumi_cbr.lifecycle.controller import CheckedInputs, Controller, Diff, Properties, ResourceState, split_share_id
from pulumi_cbr.lifecycle.failures import IncompleteResourceError
from pulumi_cbr.lifecycle.inputs import Inputs
from pulumi_cbr.lifecycle.outputs import ACCEPTER_OUTPUTS
from pulumi_cbr.lifecycle.share_state import CLOCK_SLACK, share_outputs, warn_of_changes

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession


_log = logging.getLogger("pulumi_cbr")

#: Seconds between attempts. `cbr:maxRetries` limits how many are used: by default the first four, 15 seconds.
_RETRY_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)

#: Waits of at least this many seconds are logged.
_LONG_WAIT = 4.0


class BackupShareAccepterController(Controller):
    """The controller of acceptances."""

    outputs: ClassVar[tuple[str, ...]] = ACCEPTER_OUTPUTS

    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        inputs = Inputs(news)
        inputs.backup_id()
        inputs.vault_id()
        inputs.cloud()
        return inputs.checked()

    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        replaces = tuple(name for name in ("backup_id", "vault_id") if not _is_same_id(olds.get(name), news.get(name)))
        updates = ["cloud"] if olds.get("cloud") != news.get("cloud") else []
        if olds.get("status") != "accepted" or (not replaces and not self._keeps_acceptance(id_, olds)):
            updates.append("status")
        # A project accepts a backup only once, so the old resource rejects before the new one accepts. An alias may give this
        # resource the state of a member, which has no vault: to delete that first would delete the share.
        delete_first = "backup_id" not in replaces and "vault_id" in olds
        return Diff(updates=tuple(updates), replaces=replaces, delete_first=delete_first)

    def _keeps_acceptance(self, id_: str, olds: Properties) -> bool:
        return self.sessions.ownership.keep_acceptance(*split_share_id(id_, "own project ID"), olds.get("updated_at"))

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        session = self.sessions.get(inputs.get("cloud"))
        project = session.client.project_id()
        backup_id, vault_id = inputs["backup_id"], inputs["vault_id"]
        started = session.client.timing.monotonic()
        try:
            member = _accept(session, backup_id, project, vault_id)
        except UnknownOutcomeError as error:
            # The next run accepts again, and a destroy rejects if this request was carried out.
            pending = {**inputs, "status": "pending", **session.endpoint_output()}
            raise IncompleteResourceError(str(error), f"{backup_id}/{project}", inputs, pending) from error
        sent = session.client.service_now() - timedelta(seconds=session.client.timing.monotonic() - started)
        outputs = {**inputs, **_outputs(session, member)}
        # An older acceptance may be of the resource that this one replaces. Recorded as adopted, it survives that one's delete.
        is_older = member.updated_at is None or member.updated_at < sent - CLOCK_SLACK
        self.sessions.ownership.record_acceptance(backup_id, project, adopted=is_older, properties=outputs)
        id_ = f"{backup_id}/{project}"
        self._check_not_deleted(session, id_, inputs, member)
        if is_older and member.updated_at is not None:
            self.sessions.ownership.show_adoption(messages.adopted_acceptance(backup_id, project, vault_id))
        return id_, outputs

    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        backup_id, project = split_share_id(id_, "own project ID")
        session = self.sessions.get(properties.get("cloud"))
        _ensure_receiver(session, backup_id, project, properties)
        try:
            member = _find_share(session, backup_id, project)
        except NotFound:
            if properties.get("status"):
                _log.warning("%s", messages.share_gone(backup_id, project))
            return None
        options = {name: properties[name] for name in ("vault_id", "cloud") if properties.get(name)}
        if "status" not in properties and member and member.vault_id:
            self.sessions.ownership.mark_imported(backup_id, project, acceptance=True)
        inputs = {"backup_id": backup_id, **options}
        # If the share is in another vault, the preview shows a change of `vault_id`. If it is in none, keep the state's.
        if member and member.vault_id:
            inputs["vault_id"] = member.vault_id
        if "vault_id" not in inputs:
            raise CbrError(messages.no_acceptance_to_import(backup_id, project))
        if member is None:
            return ResourceState(
                f"{backup_id}/{project}",
                self.with_outputs(properties, inputs),
                inputs,
            )
        outputs = {**inputs, **_outputs(session, member, properties)}
        warn_of_changes(backup_id, project, properties, outputs)
        return ResourceState(f"{backup_id}/{project}", outputs, inputs)

    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        backup_id, project = split_share_id(id_, "own project ID")
        was_accepted = olds.get("status") == "accepted"
        is_new = self.sessions.ownership.is_share_new(backup_id, project, olds.get("updated_at"))
        try:
            session = self.sessions.get(news.get("cloud"))
            if was_accepted and not is_new:
                if olds.get("cloud") != news.get("cloud"):
                    _ensure_receiver(session, backup_id, project, olds)
                return self.with_outputs(olds, news)
            _ensure_receiver(session, backup_id, project, olds)
            member = _accept(session, backup_id, project, news["vault_id"])
        except CbrError as error:
            if not (was_accepted and is_new):
                raise
            # The share is new, so the acceptance of the state is gone. The next run accepts the new share.
            pending = {**self.with_outputs(olds, news), "status": "pending"}
            raise IncompleteResourceError(str(error), id_, news, pending) from error
        outputs = {**news, **_outputs(session, member, olds)}
        self.sessions.ownership.record_acceptance(backup_id, project, adopted=True, properties=outputs)
        self._check_not_deleted(session, id_, news, member)
        return outputs

    def _check_not_deleted(self, session: CloudSession, id_: str, inputs: Properties, member: Member) -> None:
        """Raise `IncompleteResourceError` if another resource deletes the accepted share."""
        backup_id, project = member.backup_id, member.dest_project_id
        if self.sessions.ownership.is_deleted_by_another(backup_id, project, member.id):
            self.sessions.ownership.release(backup_id, project, ACCEPTANCE_ID)
            pending = {**inputs, "status": "pending", **session.endpoint_output()}
            raise IncompleteResourceError(messages.accepted_while_deleted(backup_id, project), id_, inputs, pending)

    def delete(self, id_: str, outputs: Properties) -> None:
        backup_id, project = split_share_id(id_, "own project ID")
        session = self.sessions.get(outputs.get("cloud"))
        _ensure_receiver(session, backup_id, project, outputs)
        vault_id = outputs.get("vault_id")
        if self.sessions.ownership.must_acceptance_stay(backup_id, project, outputs):
            _log.warning("%s", messages.acceptance_managed_elsewhere(backup_id, project))
            return
        try:
            member = _find_share(session, backup_id, project)
        except NotFound:
            return
        except NotAllowed:
            member = None  # reject without a read: the permission is missing
        if member and member.status == "accepted" and _is_in_other_vault(member, vault_id):
            _log.warning("%s", messages.accepted_elsewhere(backup_id, project, str(member.vault_id), str(vault_id)))
        elif member and member.status == "pending":
            _log.warning("%s", messages.pending_not_rejected(backup_id, project))
        elif member is None or member.status == "accepted":
            _reject(session, backup_id, project)


def _reject(session: CloudSession, backup_id: str, project: str) -> None:
    """Reject the share, unless it is gone.

    Raises `UnknownOutcomeError` if the service said `not found`, but still shows the share as accepted.
    """
    if _set_status(session, backup_id, project, "rejected"):
        return
    try:
        after = _find_share(session, backup_id, project)
    except (NotFound, NotAllowed):
        return
    if after and after.status == "accepted":
        raise UnknownOutcomeError(messages.still_exists("rejecting", backup_id, project))


def _accept(session: CloudSession, backup_id: str, project: str, vault_id: str) -> Member:
    """Accept the share, and wait for it if it does not exist yet. Raises `CbrError`."""
    waits = _get_waits(session)
    first_long = next((wait for wait in waits if wait >= _LONG_WAIT), None)
    for wait in (*waits, None):
        member = _set_status(session, backup_id, project, "accepted", vault_id)
        if member:
            return member
        # Once, before the waits get long: no wait helps the owner.
        if wait == first_long and _is_owner(session, backup_id, project):
            raise CbrError(messages.own_backup(backup_id, project))
        if wait is not None:
            if wait >= _LONG_WAIT:
                _log.warning("%s", messages.not_shared_yet(backup_id, project, wait))
            session.client.timing.sleep(wait)
    raise CbrError(messages.not_shared(backup_id, project))


def _is_owner(session: CloudSession, backup_id: str, project: str) -> bool:
    try:
        return session.client.show_backup(backup_id).project_id == project
    except CbrError:
        return False  # only for a clearer message


def _get_waits(session: CloudSession) -> Sequence[float]:
    return _RETRY_WAITS[: session.client.settings.max_retries]


def _set_status(
    session: CloudSession, backup_id: str, project: str, status: str, vault_id: str | None = None
) -> Member | None:
    """Set the status of a share, and return the share, or None if it does not exist.

    Sends one PUT. If its result is unknown or its response unexpected, reads the share: the status may be set already. The PUT
    is idempotent. Raises `UnknownOutcomeError` if an attempt may have been carried out and no later one tells.
    """
    client = session.client
    lost: UnknownOutcomeError | None = None
    try:
        for is_last in attempts(client.timing, _get_waits(session)):
            try:
                updated = client.update_member(backup_id, project, status, vault_id=vault_id)
                lost = None
                return _check_vault(updated, vault_id)
            except NotFound:
                if lost and status == "accepted":
                    raise  # the read after the lost response did not say so
                return None
            except (UnknownOutcomeError, UnexpectedResponseError) as error:
                lost = error if isinstance(error, UnknownOutcomeError) else lost
                try:
                    member = _read_after(session, backup_id, project, status, error)
                except NotFound:
                    return None
                if member and member.status == status:
                    lost = None
                    return _check_vault(member, vault_id)
                if is_last or isinstance(error, UnexpectedResponseError):
                    raise
    except CbrError as error:
        if lost is None or _is_about_all_attempts(error):
            raise
        raise UnknownOutcomeError(messages.unknown_result(str(lost), str(error))) from error
    finally:
        session.invalidate(backup_id)
    raise AssertionError("the last attempt returns or raises")


def _is_about_all_attempts(error: CbrError) -> bool:
    """Return whether the error of a PUT also tells what became of its earlier attempts.

    A refusal does, except for "not found" and 6708: after an attempt that was carried out, there may be nothing to update.
    """
    if isinstance(error, UnknownOutcomeError):
        return True
    is_refusal = isinstance(error, ServiceError) and error.is_from_service
    return is_refusal and not isinstance(error, (NotFound, UnexpectedResponseError))


def _is_same_id(one: object, other: object) -> bool:
    # A state of 0.1.0 has the vault's ID as the service wrote it.
    return str(one).lower() == str(other).lower()


def _is_in_other_vault(member: Member, vault_id: object) -> bool:
    """Return whether the service says that a share is in another vault than this one."""
    return bool(vault_id and member.vault_id) and not _is_same_id(member.vault_id, vault_id)


def _check_vault(member: Member, vault_id: str | None) -> Member:
    """Return a share; raise `CbrError` if it is in another vault."""
    if _is_in_other_vault(member, vault_id):
        raise CbrError(messages.accepted_into_other_vault(member.backup_id, str(member.vault_id), str(vault_id)))
    return member


def _read_after(
    session: CloudSession,
    backup_id: str,
    project: str,
    status: str,
    error: UnknownOutcomeError | UnexpectedResponseError,
) -> Member | None:
    """Return the share after a PUT whose result is unknown, or that was refused unexpectedly.

    Raises `NotFound` if the share is gone. If it cannot be read, raises `error` if that is a refusal, else
    `UnknownOutcomeError`.
    """
    try:
        return _find_share(session, backup_id, project)
    except NotFound:
        if isinstance(error, UnexpectedResponseError) and status == "accepted":
            # `not found` may only mean that the receiver cannot see the share. The refusal says more.
            raise error from None
        raise
    except CbrError as failed:
        if isinstance(error, UnexpectedResponseError):
            raise error from failed
        raise UnknownOutcomeError(messages.unknown_result(str(error), str(failed))) from error


def _find_share(session: CloudSession, backup_id: str, project: str) -> Member | None:
    """Return this project's share, or None if the backup is visible but its members are not.

    Raises `NotFound` if the share is gone.
    """
    try:
        return session.client.show_member(backup_id, project)
    except (NotAllowed, NotFound, ContradictoryResponseError) as error:
        if isinstance(error, NotFound) and error.is_backup_gone:
            raise
        says_gone = isinstance(error, NotFound) and error.is_about_member
        try:
            # `ContradictoryResponseError` has the backup, so no second read is needed.
            backup = error.backup if isinstance(error, ContradictoryResponseError) else None
            members = (backup or session.client.show_backup(backup_id)).members
        except NotAllowed as hidden:
            # Neither may be read. The first error tells more if it is a 403, or a 404 for the member.
            tells_more = says_gone or isinstance(error, NotAllowed)
            raise (error if tells_more else hidden) from None
        found = next((member for member in members if member.dest_project_id == project), None)
        if says_gone and found:
            raise CbrError(messages.contradictory(backup_id)) from error
        if says_gone:
            raise
        return found


def _outputs(session: CloudSession, member: Member, before: Properties | None = None) -> dict[str, Any]:
    source = (before or {}).get("source_project_id")
    if source is None:
        # Only for the user's information.
        with suppress(CbrError):
            source = session.client.show_backup(member.backup_id).project_id
    outputs = share_outputs(member, before)
    found = {
        "source_project_id": source,
        "status": outputs["status"],
        "updated_at": outputs.get("updated_at"),
        **session.endpoint_output(),
    }
    return {name: value for name, value in found.items() if value is not None}


def _ensure_receiver(session: CloudSession, backup_id: str, project: str, state: Properties) -> None:
    """Raise `CbrError` if the session is of another project or region than the share."""
    signed_in = session.client.project_id()
    if signed_in != project:
        raise CbrError(messages.other_receiver(project, signed_in))
    session.check_same_endpoint(backup_id, state.get("endpoint"), project)
