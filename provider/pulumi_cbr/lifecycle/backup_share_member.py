"""The controller of `BackupShareMember`: one project that a backup is shared with, from the owner's side.

Calls: ``POST /backups/{backup_id}/members`` (create), ``GET .../members`` and ``GET .../members/{project}`` (read),
``DELETE .../members/{project}`` (delete). A create reads after a lost response, and a delete reads before it deletes.
An update signs in to a changed `cloud`, reads a share whose ID the state lacks, creates it if it is missing, and waits if
`wait_for_acceptance` is set.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi_cbr import messages
from pulumi_cbr.api.errors import AlreadyShared, CbrError
from pulumi_cbr.lifecycle.acceptance import NotAcceptedError, wait_for_acceptance
from pulumi_cbr.lifecycle.controller import (
    UNKNOWN,
    CheckedInputs,
    Controller,
    Diff,
    Properties,
    ResourceState,
    split_share_id,
)
from pulumi_cbr.lifecycle.failures import IncompleteResourceError, UnverifiedCreateError, UnverifiedSharesError
from pulumi_cbr.lifecycle.inputs import Inputs
from pulumi_cbr.lifecycle.outputs import MEMBER_OUTPUTS
from pulumi_cbr.lifecycle.preflight import PlannedChange
from pulumi_cbr.lifecycle.reconcile import resolve_unverified
from pulumi_cbr.lifecycle.share_state import is_replaced, is_status_worse, is_unverified, share_outputs, warn_of_changes
from pulumi_cbr.lifecycle.shares import (
    already_shared,
    announce_and_delete,
    create_shares,
    read_shares,
    show_adopted,
    wait_for_members,
)

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")


_IDENTITY = ("backup_id", "dest_project_id")
_OPTIONS = ("cloud", "adopt_existing", "reshare_if_rejected", "wait_for_acceptance")


class BackupShareMemberController(Controller):
    """The controller of single shares."""

    outputs: ClassVar[tuple[str, ...]] = MEMBER_OUTPUTS

    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        inputs = Inputs(news)
        inputs.cloud()
        inputs.backup_id()
        inputs.dest_project_id(self.sessions.configured_project_id(inputs.value("cloud")))
        inputs.flag("adopt_existing")
        inputs.flag("reshare_if_rejected")
        inputs.duration("wait_for_acceptance")
        if not inputs.checked().problems and self.sessions.flag("preflight"):
            for problem in self._preflight(olds, inputs.checked().inputs):
                inputs.add_problem("backup_id", problem)
        return inputs.checked()

    def _preflight(self, olds: Properties, inputs: Properties) -> list[str]:
        backup_id, project, cloud = inputs["backup_id"], inputs["dest_project_id"], inputs.get("cloud")
        if UNKNOWN in (backup_id, project, cloud):
            return []
        if (olds.get("backup_id"), olds.get("dest_project_id")) == (backup_id, project):
            self.sessions.mark_managed(backup_id, project)
            return []
        try:
            preflight = self.sessions.get(cloud).preflight
        except CbrError as error:
            return [str(error)]
        # An unknown value may turn out to adopt.
        adopt = self.adopts(inputs) or inputs.get("adopt_existing") == UNKNOWN
        return preflight.find_problems(PlannedChange(backup_id, [project], adopt=adopt, has_old_inputs=bool(olds)))

    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        replaces = [name for name in _IDENTITY if olds.get(name) != news.get(name)]
        same_pair = not replaces
        if _is_reshared(olds, news):
            replaces.append("status")
        updates = [name for name in _OPTIONS if olds.get(name) != news.get(name)]
        if self.has_recorded_drift([olds]) and "status" not in replaces:
            updates.append("status")
        # To replace a resource, the engine calls `check` again with empty `olds`: preflight must know the existing share then.
        self.sessions.mark_managed(str(olds.get("backup_id")), str(olds.get("dest_project_id")))
        # A project can have one share of a backup, so the old one is deleted first. For another pair, the new share is
        # created first: if that fails, the old one stays.
        return Diff(updates=tuple(updates), replaces=tuple(replaces), delete_first=same_pair)

    def after_diff(self, id_: str, olds: Properties, news: Properties) -> None:
        if any(olds.get(name) != news.get(name) for name in _IDENTITY):
            return
        if _is_reshared(olds, news):
            self.sessions.ownership.mark_reshared(olds["backup_id"], olds["dest_project_id"])
        else:
            self.sessions.ownership.keep(
                olds["backup_id"], olds["dest_project_id"], olds.get("share_id"), olds.get("created_at")
            )
        if olds.get("status") == "rejected" and not news.get("reshare_if_rejected"):
            _log.warning("%s", messages.rejected(str(news["backup_id"]), str(news["dest_project_id"])))

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        session = self.sessions.get(inputs.get("cloud"))
        backup_id, project = inputs["backup_id"], inputs["dest_project_id"]
        source = session.client.project_id()
        if project == source:
            raise CbrError(messages.own_project(project))
        adopt, id_ = self.adopts(inputs), f"{backup_id}/{project}"
        origin = {"source_project_id": source, **session.endpoint_output()}
        try:
            result = create_shares(session, backup_id, [project], adopt=adopt)
            member, is_new = result[project], project in result.created
        except UnverifiedSharesError as error:
            outputs = {**inputs, **error.unverified[project], **origin}
            raise UnverifiedCreateError(str(error), id_, inputs, outputs) from error
        except AlreadyShared as error:
            member, is_new = _read_existing(session, backup_id, project, error), False
            if not adopt:
                raise CbrError(already_shared(session, backup_id, [member])) from error
        self.sessions.ownership.record(backup_id, project, member.id, adopted=not is_new, properties=inputs)
        if not is_new:
            show_adopted(session, backup_id, [member])
        outputs = {**inputs, **share_outputs(member), **origin}
        return id_, _wait(session, inputs, outputs)

    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        backup_id, project = split_share_id(id_, "dest_project_id")
        session = self.sessions.get(properties.get("cloud"))
        session.check_same_source(backup_id, properties)
        member = (read_shares(session, backup_id, {project: properties}) or {}).get(project)
        if member is None and properties.get("share_id"):
            _log.warning("%s", messages.share_gone(backup_id, project))
        if member is None or is_replaced(backup_id, project, properties, member):
            return None
        if not properties.keys() & set(MEMBER_OUTPUTS):
            self.sessions.ownership.mark_imported(backup_id, project)
        options = {name: properties[name] for name in _OPTIONS if properties.get(name)}
        inputs = {"backup_id": backup_id, "dest_project_id": project, **options}
        outputs = {**inputs, **share_outputs(member, dict(properties))}
        warn_of_changes(backup_id, project, properties, outputs)
        if is_status_worse(properties, outputs):
            self.record_drift(outputs)
        outputs |= session.endpoint_output()
        # A receiver may read its own share, but is not the source project.
        if (source := session.client.project_id()) != project:
            outputs["source_project_id"] = source
        return ResourceState(f"{backup_id}/{project}", outputs, inputs)

    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        session = self.sessions.get(news.get("cloud"))
        if is_unverified(olds):
            backup_id, project = split_share_id(id_, "dest_project_id")
            session.check_same_source(backup_id, olds)
            verified = resolve_unverified(session, backup_id, {project: olds}, kept=[project]).get(project)
            if verified is None:
                return self.create(news)[1]
            origin = {"source_project_id": session.client.project_id(), **session.endpoint_output()}
            outputs = {**news, **verified, **origin}
        else:
            if olds.get("cloud") != news.get("cloud"):
                session.check_same_source(news["backup_id"], olds)
            outputs = self.with_outputs(olds, news)
        return _wait(session, news, outputs)

    def delete(self, id_: str, outputs: Properties) -> None:
        backup_id, project = split_share_id(id_, "dest_project_id")
        session = self.sessions.get(outputs.get("cloud"))
        session.check_same_source(backup_id, outputs)
        if self.sessions.ownership.must_share_stay(backup_id, project, outputs.get("share_id"), outputs):
            _log.warning("%s", messages.managed_elsewhere(backup_id, [project]))
            return
        known = resolve_unverified(session, backup_id, {project: outputs}, kept=()).get(project)
        if known is None:
            return
        is_reshare = self.sessions.ownership.is_reshared(backup_id, project)
        if is_reshare:
            _check_still_rejected(session, backup_id, project)
        announce_and_delete(session, backup_id, project, known, adopt=self.adopts(outputs), is_reshare=is_reshare)


def _is_reshared(olds: Properties, news: Properties) -> bool:
    """Return whether the share was rejected and is to be created again."""
    return olds.get("status") == "rejected" and news.get("reshare_if_rejected") is True


def _check_still_rejected(session: CloudSession, backup_id: str, project: str) -> None:
    """Raise `CbrError` if a share that is rejected in the state is accepted now."""
    session.invalidate(backup_id)  # a refresh of this operation may have cached the list
    member = (read_shares(session, backup_id, {project: {}}) or {}).get(project)
    if member and member.status == "accepted":
        raise CbrError(messages.accepted_meanwhile(backup_id, project))


def _read_existing(session: CloudSession, backup_id: str, project: str, error: AlreadyShared) -> Member:
    """Return the share that the refusal names, once the service shows it."""
    try:
        return wait_for_members(session, backup_id, [project])[project]
    except KeyError:
        raise CbrError(messages.existing_share_hidden(str(error))) from error
    except CbrError as failed:
        raise CbrError(messages.existing_share_unreadable(str(error), str(failed))) from failed


def _wait(session: CloudSession, inputs: Properties, outputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for the receiver if the inputs ask for it. Raises `IncompleteResourceError`."""
    duration = inputs.get("wait_for_acceptance")
    if not duration or outputs.get("status") == "accepted":
        return outputs
    backup_id, project = str(inputs["backup_id"]), str(inputs["dest_project_id"])
    try:
        members = wait_for_acceptance(session, backup_id, [project], duration)
    except NotAcceptedError as error:
        seen = share_outputs(error.members[project], outputs) if project in error.members else {}
        raise IncompleteResourceError(str(error), f"{backup_id}/{project}", inputs, {**outputs, **seen}) from error
    return {**outputs, **share_outputs(members[project], outputs)}
