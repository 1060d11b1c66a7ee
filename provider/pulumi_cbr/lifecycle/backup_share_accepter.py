"""The controller of `BackupShareAccepter`: a shared backup that is accepted into a vault, from the receiver's side.

Calls: ``PUT /backups/{backup_id}/members/{own project}`` (``accepted`` to create and update, ``rejected`` to delete),
``GET .../members/{own project}`` or ``GET /backups/{backup_id}`` (read).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi_cbr import messages
from pulumi_cbr.api.errors import (
    CbrError,
    ContradictoryResponseError,
    NotAllowed,
    NotFound,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.lifecycle.controller import CheckedInputs, Controller, Diff, Properties, ResourceState, split_share_id
from pulumi_cbr.lifecycle.failures import IncompleteResourceError
from pulumi_cbr.lifecycle.inputs import Inputs
from pulumi_cbr.lifecycle.outputs import ACCEPTER_OUTPUTS
from pulumi_cbr.lifecycle.session import CloudSession
from pulumi_cbr.lifecycle.shares import log_drift, share_outputs

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member


_log = logging.getLogger("pulumi_cbr")

#: Seconds between looks for a share that its owner may just have made; `maxRetries` of them: a quarter of a minute.
_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)

#: An acceptance that is older than the request by so much was not made by it: the service's clocks differ.
_SLACK = timedelta(seconds=5)

#: From this wait on, the user is told what is waited for.
_LONG_WAIT = 4.0


class BackupShareAccepterController(Controller):
    """The controller of acceptances."""

    outputs: ClassVar[tuple[str, ...]] = ACCEPTER_OUTPUTS

    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        inputs = Inputs(news)
        inputs.backup_id()
        inputs.vault_id()
        inputs.text("cloud")
        return inputs.checked()

    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        replaces = tuple(name for name in ("backup_id", "vault_id") if olds.get(name) != news.get(name))
        updates = ["cloud"] if olds.get("cloud") != news.get("cloud") else []
        if olds.get("status") != "accepted":
            updates.append("status")
        return Diff(updates=tuple(updates), replaces=replaces, delete_first="backup_id" not in replaces)

    def warn_before_change(self, id_: str, olds: Properties, news: Properties) -> None:
        is_same = all(olds.get(name) == news.get(name) for name in ("backup_id", "vault_id"))
        if is_same and olds.get("status") == "accepted":
            self.sessions.ownership.keep_acceptance(*split_share_id(id_, "own project ID"))

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        session = self.sessions.get(inputs.get("cloud"))
        own = session.client.project_id()
        backup_id, vault_id = inputs["backup_id"], inputs["vault_id"]
        started = session.client.timing.clock()
        try:
            member = _accept(session, backup_id, own, vault_id)
        except UnknownOutcomeError as error:
            # The next run accepts it, whatever became of this request; and a destroy rejects what it did.
            undecided = {**inputs, "status": "pending"}
            raise IncompleteResourceError(str(error), f"{backup_id}/{own}", inputs, undecided) from error
        sent = session.client.service_now() - timedelta(seconds=session.client.timing.clock() - started)
        outputs = {**inputs, **_outputs(session, member)}
        # What was accepted before may be of a resource that is deleted next.
        is_older = member.updated_at is None or member.updated_at < sent - _SLACK
        self.sessions.ownership.record_acceptance(backup_id, own, adopted=is_older, form=outputs)
        if is_older and member.updated_at is not None:
            self.sessions.ownership.show_adoption(messages.adopted_acceptance(backup_id, own, vault_id))
        return f"{backup_id}/{own}", outputs

    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        backup_id, own = split_share_id(id_, "own project ID")
        session = self.sessions.get(properties.get("cloud"))
        _ensure_receiver(session, own)
        try:
            member = _find_share(session, backup_id, own)
        except NotFound:
            return None
        kept = {name: properties[name] for name in ("vault_id", "cloud") if properties.get(name)}
        if "status" not in properties and member and member.vault_id:
            self.sessions.ownership.expect_import(backup_id, own, acceptance=True)
        inputs = {"backup_id": backup_id, **kept}
        # A share in another vault shows as a change of `vault_id`; one that is in none keeps the vault it should be in.
        if member and member.vault_id:
            inputs["vault_id"] = member.vault_id
        if "vault_id" not in inputs:
            raise CbrError(messages.no_acceptance_to_import(backup_id, own))
        if member is None:
            return ResourceState(
                f"{backup_id}/{own}",
                {**{name: properties[name] for name in ACCEPTER_OUTPUTS if name in properties}, **inputs},
                inputs,
            )
        outputs = {**inputs, **_outputs(session, member, properties)}
        log_drift(backup_id, own, properties, outputs)
        return ResourceState(f"{backup_id}/{own}", outputs, inputs)

    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        session = self.sessions.get(news.get("cloud"))
        if olds.get("status") == "accepted":
            return {**{name: olds[name] for name in ACCEPTER_OUTPUTS if name in olds}, **news}
        backup_id, own = split_share_id(id_, "own project ID")
        _ensure_receiver(session, own)
        outputs = {**news, **_outputs(session, _accept(session, backup_id, own, news["vault_id"]), olds)}
        self.sessions.ownership.record_acceptance(backup_id, own, adopted=True, form=outputs)
        return outputs

    def delete(self, id_: str, outputs: Properties) -> None:
        backup_id, own = split_share_id(id_, "own project ID")
        session = self.sessions.get(outputs.get("cloud"))
        _ensure_receiver(session, own)
        vault_id = outputs.get("vault_id")
        if self.sessions.ownership.acceptance_managed_elsewhere(backup_id, own, outputs):
            _log.warning("%s", messages.acceptance_managed_elsewhere(backup_id, own))
            return
        try:
            member = _find_share(session, backup_id, own)
        except NotFound:
            return
        except NotAllowed:
            member = None  # a receiver that may not look rejects what it has accepted
        if member and member.status == "accepted" and vault_id and member.vault_id not in (None, vault_id):
            _log.warning("%s", messages.accepted_elsewhere(backup_id, own, str(member.vault_id), str(vault_id)))
        elif member and member.status == "pending":
            _log.warning("%s", messages.pending_not_rejected(backup_id, own))
        elif member is None or member.status == "accepted":
            _reject(session, backup_id, own)


def _reject(session: CloudSession, backup_id: str, own: str) -> None:
    """Reject the share, unless it is gone.

    Raises `UnknownOutcomeError` if a "not found" was wrong.
    """
    if _set_status(session, backup_id, own, "rejected"):
        return
    try:
        after = _find_share(session, backup_id, own)
    except (NotFound, NotAllowed):
        return
    if after and after.status == "accepted":
        raise UnknownOutcomeError(messages.still_exists("rejecting", backup_id, own))


def _accept(session: CloudSession, backup_id: str, own: str, vault_id: str) -> Member:
    waits = _WAITS[: session.client.settings.max_retries]
    for wait in (*waits, None):
        member = _set_status(session, backup_id, own, "accepted", vault_id)
        if member:
            return member
        if wait is not None:
            if wait >= _LONG_WAIT:
                _log.warning("%s", messages.not_shared_yet(backup_id, own, wait))
            session.client.timing.sleep(wait)
    raise CbrError(
        messages.own_backup(backup_id, own)
        if _is_owner(session, backup_id, own)
        else messages.not_shared(backup_id, own)
    )


def _is_owner(session: CloudSession, backup_id: str, own: str) -> bool:
    try:
        return session.client.show_backup(backup_id).project_id == own
    except CbrError:
        return False  # it only makes the message clearer


def _set_status(
    session: CloudSession, backup_id: str, own: str, status: str, vault_id: str | None = None
) -> Member | None:
    """Set the status of a share, and return the share, or None if it does not exist.

    This takes one PUT if all goes well. A lost response, or a refusal because the status is set already, is resolved by a
    read. The call may be sent again at any time.
    """
    client = session.client
    waits = _WAITS[: client.settings.max_retries]
    try:
        for wait in (*waits, None):
            try:
                return client.update_member(backup_id, own, status, vault_id=vault_id)
            except NotFound:
                return None
            except (UnknownOutcomeError, UnexpectedResponseError) as error:
                try:
                    member = _find_share(session, backup_id, own)
                except NotFound:
                    if isinstance(error, UnexpectedResponseError) and status == "accepted":
                        # A receiver who may not see the share was refused for a reason all the same.
                        raise error from None
                    return None
                except CbrError as failed:
                    lost = isinstance(error, UnknownOutcomeError)
                    text = messages.unknown_result(str(error), str(failed))
                    raise (UnknownOutcomeError(text) if lost else error) from error
                if member and member.status == status and (vault_id is None or member.vault_id == vault_id):
                    return member
                if member and member.status == status == "accepted":
                    found, wanted = str(member.vault_id), str(vault_id)
                    raise CbrError(messages.accepted_into_other_vault(backup_id, found, wanted)) from error
                if wait is None or isinstance(error, UnexpectedResponseError):
                    raise
                client.timing.sleep(wait)
    finally:
        session.invalidate(backup_id)
    raise AssertionError("the last try returns or raises")


def _find_share(session: CloudSession, backup_id: str, own: str) -> Member | None:
    """Return the share; None if it exists, and its receiver may see the backup only.

    A share that is missing is looked for in the backup too. Raises `NotFound`.
    """
    try:
        return session.client.show_member(backup_id, own)
    except (NotAllowed, NotFound, ContradictoryResponseError) as error:
        if isinstance(error, NotFound) and error.is_backup_gone:
            raise
        says_gone = isinstance(error, NotFound) and error.is_about_member
        try:
            # The backup that contradicts a 404 was just read.
            backup = error.backup if isinstance(error, ContradictoryResponseError) else None
            members = (backup or session.client.show_backup(backup_id)).members
        except NotAllowed as hidden:
            # A service that hides members from receivers says of each that there is no such backup, which is no word on it.
            raise (error if says_gone or isinstance(error, NotAllowed) else hidden) from None
        found = next((member for member in members if member.dest_project_id == own), None)
        if says_gone and found:
            raise CbrError(messages.contradictory(backup_id)) from error
        if says_gone:
            raise
        return found


def _outputs(session: CloudSession, member: Member, before: Properties | None = None) -> dict[str, Any]:
    source = (before or {}).get("source_project_id")
    if source is None:
        try:
            source = session.client.show_backup(member.backup_id).project_id
        except CbrError:
            source = None  # it is only for the user's information
    outputs = share_outputs(member, before)
    found = {"source_project_id": source, "status": outputs["status"], "updated_at": outputs.get("updated_at")}
    return {name: value for name, value in found.items() if value is not None}


def _ensure_receiver(session: CloudSession, own: str) -> None:
    """Raise `CbrError` if the session is of another project, where every share is "not found"."""
    signed_in = session.client.project_id()
    if signed_in != own:
        raise CbrError(messages.other_receiver(own, signed_in))
