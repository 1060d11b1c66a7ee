"""The controller of `BackupShare`: a set of one to ten projects that a backup is shared with, from the owner's side.

Calls: one ``POST /backups/{backup_id}/members`` for all that are missing, ``DELETE .../members/{project}`` in parallel for
those to delete, ``GET .../members`` to read, before deletes, after a refusal, and before each change of an exclusive set.
A share that the list does not show is read by ``GET .../members/{project}``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.acceptance import NotAcceptedError, wait_for_acceptance
from pulumi_cbr.lifecycle.controller import UNKNOWN, CheckedInputs, Controller, Diff, Properties, ResourceState
from pulumi_cbr.lifecycle.failures import IncompleteResourceError, UnverifiedCreateError, UnverifiedSharesError
from pulumi_cbr.lifecycle.inputs import Inputs, keep_order
from pulumi_cbr.lifecycle.outputs import SET_OUTPUTS
from pulumi_cbr.lifecycle.preflight import PlannedChange
from pulumi_cbr.lifecycle.reconcile import SetInputs, SharesByProject, apply_changes, find_must_stay, resolve_unverified
from pulumi_cbr.lifecycle.share_state import is_replaced, is_status_worse, is_unverified, share_outputs, warn_of_changes
from pulumi_cbr.lifecycle.shares import DeleteResult, delete_shares, read_shares

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")


_FLAGS = ("exclusive", "adopt_existing", "reshare_if_rejected")
_OPTIONS = (*_FLAGS, "wait_for_acceptance", "cloud")


class BackupShareController(Controller):
    """The controller of sets of shares."""

    outputs: ClassVar[tuple[str, ...]] = SET_OUTPUTS

    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        inputs = Inputs(news)
        inputs.cloud()
        inputs.backup_id()
        inputs.dest_project_ids(
            self.sessions.configured_project_id(inputs.value("cloud")), before=olds.get("dest_project_ids")
        )
        for name in _FLAGS:
            inputs.flag(name)
        inputs.duration("wait_for_acceptance")
        if not inputs.checked().problems and self.sessions.flag("preflight"):
            for problem in self._preflight(olds, inputs.checked().inputs):
                inputs.add_problem("dest_project_ids", problem)
        return inputs.checked()

    def _preflight(self, olds: Properties, inputs: Properties) -> list[str]:
        backup_id, projects, cloud = inputs["backup_id"], inputs["dest_project_ids"], inputs.get("cloud")
        if UNKNOWN in (backup_id, projects, cloud):
            return []
        before = set(olds.get("dest_project_ids", ())) if olds.get("backup_id") == backup_id else set()
        for project in before.intersection(projects):
            self.sessions.mark_managed(backup_id, project)
        joining, leaving = set(projects) - before - {UNKNOWN}, before - set(projects)
        exclusive = inputs.get("exclusive") is True
        becomes_exclusive = exclusive and olds.get("exclusive") is not True
        if not (joining or leaving or becomes_exclusive):
            return []
        try:
            preflight = self.sessions.get(cloud).preflight
        except CbrError as error:
            return [str(error)]
        change = PlannedChange(
            backup_id,
            joining,
            leaving,
            # An unknown value may turn out to adopt.
            adopt=self.adopts(inputs) or inputs.get("adopt_existing") == UNKNOWN,
            exclusive=exclusive,
            has_old_inputs=bool(olds),
        )
        problems = preflight.find_problems(change)
        if exclusive and not problems and UNKNOWN not in projects:
            with suppress(CbrError):  # errors show in the `up`
                _warn_exclusive(backup_id, set(preflight.members(backup_id)) - before - set(projects))
        return problems

    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        # An alias can turn a `BackupShareMember` into this set. Then the ID is `<backup>/<project>`, and the set is replaced.
        keeps_id = olds.get("backup_id") == news.get("backup_id") and "/" not in id_
        updates = [name for name in _OPTIONS if olds.get(name) != news.get(name)]
        projects, shares = news.get("dest_project_ids", ()), _shares_of(olds)
        is_same = projects == olds.get("dest_project_ids")
        if not is_same:
            updates.append("dest_project_ids")
        # The state's `dest_project_ids` and `members` can differ. After a refresh of an exclusive set, `dest_project_ids` also lists
        # projects with foreign shares: a program that lists them needs `adopt_existing`. After a failed change, `members` has
        # shares to delete or verify, and lacks some to create.
        members_differ = is_same and (set(projects) != set(olds.get("members", projects)) or _has_unverified(olds))
        reshares = news.get("reshare_if_rejected") is True and _find_rejected(olds, projects)
        if members_differ or reshares or self.has_recorded_drift(shares.values()):
            updates.append("members")
        for project in shares:
            self.sessions.mark_managed(str(olds.get("backup_id")), project)
        # A user can ask to replace any resource. A project can have one share of a backup, so the old one is deleted first.
        return Diff(updates=tuple(updates), replaces=() if keeps_id else ("backup_id",), delete_first=keeps_id)

    def after_diff(self, id_: str, olds: Properties, news: Properties) -> None:
        backup_id, projects = news.get("backup_id"), news.get("dest_project_ids", ())
        if olds.get("backup_id") != backup_id or UNKNOWN in projects:
            return
        shares = _shares_of(olds)
        reshared = _find_rejected(olds, projects) if news.get("reshare_if_rejected") else []
        for project in shares.keys() & set(projects) - set(reshared):
            share = shares[project]
            if is_unverified(share):
                continue  # the update reads it
            self.sessions.ownership.keep(str(backup_id), project, share.get("share_id"), share.get("created_at"))
        if news.get("exclusive") is True:
            # After a refresh, `dest_project_ids` has foreign shares too.
            foreign = set(olds.get("dest_project_ids", ())) - set(shares)
            _warn_exclusive(str(backup_id), foreign - set(projects))
        if not news.get("reshare_if_rejected"):
            for project in _find_rejected(olds, projects):
                _log.warning("%s", messages.rejected(str(backup_id), project))

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        return str(inputs["backup_id"]), self._apply(inputs, {})

    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        backup_id = ids.uuid("the ID", id_)
        session = self.sessions.get(properties.get("cloud"))
        session.check_same_source(backup_id, properties)
        state = _shares_of(properties)
        list_required = properties.get("exclusive") is True or "members" not in properties
        members = read_shares(session, backup_id, state, list_required=list_required)
        _warn_of_gone(backup_id, state, members or {})
        if members is None or ("members" not in properties and not members):
            return None
        if "members" not in properties:
            # An import adopts all shares.
            state = {project: {} for project in members}
            for project in members:
                self.sessions.ownership.mark_imported(backup_id, project)
        own = {
            project: members[project]
            for project in sorted(state.keys() & members.keys())
            if not is_replaced(backup_id, project, state[project], members[project])
        }
        options = {name: properties[name] for name in _OPTIONS if properties.get(name)}
        # For an exclusive set, the inputs list foreign shares too, so the preview shows that they are deleted.
        listed = members.keys() if options.get("exclusive") else own
        inputs = {
            "backup_id": backup_id,
            "dest_project_ids": keep_order(listed, properties.get("dest_project_ids")),
            **options,
        }
        outputs = {
            **inputs,
            "members": {project: share_outputs(member, state[project]) for project, member in own.items()},
            "source_project_id": session.client.project_id(),
            **session.endpoint_output(),
        }
        for project in own:
            now = outputs["members"][project]
            warn_of_changes(backup_id, project, state[project], now)
            if is_status_worse(state[project], now):
                self.record_drift(now)
        return ResourceState(backup_id, outputs, inputs)

    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        session = self.sessions.get(news.get("cloud"))
        changed = self.diff(id_, olds, news).updates
        if not {"dest_project_ids", "members"}.isdisjoint(changed) or (
            "exclusive" in changed and news.get("exclusive")
        ):
            return self._apply(news, olds)
        if "cloud" in changed:
            session.check_same_source(news["backup_id"], olds)
        return _wait(session, news, self.with_outputs(olds, news))

    def delete(self, id_: str, outputs: Properties) -> None:
        backup_id = ids.uuid("the ID", id_)
        session = self.sessions.get(outputs.get("cloud"))
        session.check_same_source(backup_id, outputs)
        shares = _shares_of(outputs)
        must_stay = find_must_stay(session, backup_id, shares, outputs)
        own = {project: shares[project] for project in shares if project not in must_stay}
        own = resolve_unverified(session, backup_id, own, kept=())
        result = DeleteResult()
        try:
            delete_shares(session, backup_id, own, adopt=self.adopts(outputs), result=result)
        except CbrError as error:
            if not result.deleted:
                raise
            # A failed delete cannot change the state.
            raise CbrError(messages.deleted_partly(str(error), result.deleted)) from error

    def _apply(self, inputs: Properties, olds: Properties) -> dict[str, Any]:
        """Make the service agree with the inputs, and return all outputs.

        `olds` has the shares of the state.
        """
        session = self.sessions.get(inputs.get("cloud"))
        session.check_same_source(inputs["backup_id"], olds)
        source = session.client.project_id()
        origin = {"source_project_id": source, **session.endpoint_output()}
        projects = inputs["dest_project_ids"]
        if source in projects:
            raise CbrError(messages.own_project(source))
        wanted = SetInputs(
            inputs["backup_id"],
            tuple(projects),
            exclusive=inputs.get("exclusive") is True,
            adopt=self.adopts(inputs),
            reshare=inputs.get("reshare_if_rejected") is True,
            properties=inputs,
        )
        own = resolve_unverified(session, wanted.backup_id, _shares_of(olds), kept=wanted.projects)
        result = DeleteResult(remaining=dict(own))
        try:
            members = apply_changes(session, wanted, own, result)
        except CbrError as error:
            shares = result.remaining
            # With the old state, a program that lists a deleted share again would have nothing to change.
            kind = IncompleteResourceError if shares != own else None
            if isinstance(error, UnverifiedSharesError):
                created = {project: share_outputs(member) for project, member in error.created.items()}
                shares |= {**created, **error.unverified}
                kind = kind or UnverifiedCreateError
            if kind is None:
                raise
            outputs = {**inputs, "members": shares, **origin}
            # Foreign shares may be left. Without `exclusive` in the outputs, the next update deletes them. The next `up` makes
            # one in any case: the state records that this one failed.
            outputs.pop("exclusive", None)
            raise kind(str(error), wanted.backup_id, inputs, outputs) from error
        shares = {
            project: share_outputs(members[project], own.get(project)) if project in members else dict(own[project])
            for project in sorted(set(projects))
        }
        return _wait(session, inputs, {**inputs, "members": shares, **origin})


def _shares_of(properties: Properties) -> SharesByProject:
    """Return the shares of a state, by their project's ID."""
    members: SharesByProject = properties.get("members", {})
    return members


def _warn_of_gone(backup_id: str, state: SharesByProject, members: Collection[str]) -> None:
    for project, share in state.items():
        if share.get("share_id") and project not in members:
            _log.warning("%s", messages.share_gone(backup_id, project))


def _has_unverified(olds: Properties) -> bool:
    return any(is_unverified(share) for share in _shares_of(olds).values())


def _find_rejected(olds: Properties, projects: Collection[str]) -> list[str]:
    """Return the projects whose share is rejected in the state."""
    shares = _shares_of(olds)
    return [project for project in projects if shares.get(project, {}).get("status") == "rejected"]


def _warn_exclusive(backup_id: str, to_delete: Collection[str]) -> None:
    if to_delete:
        _log.warning("%s", messages.exclusive_deletes(backup_id, list(to_delete)))


def _wait(session: CloudSession, inputs: Properties, outputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for the receivers if the inputs ask for it. Raises `IncompleteResourceError`."""
    duration = inputs.get("wait_for_acceptance")
    before = _shares_of(outputs)
    pending = [project for project in before if before[project].get("status") != "accepted"]
    if not duration or not pending:
        return outputs
    backup_id = str(inputs["backup_id"])

    def updated(members: Mapping[str, Member]) -> dict[str, Any]:
        decided = {project: share_outputs(member, before[project]) for project, member in members.items()}
        return {**outputs, "members": {**before, **decided}}

    try:
        return updated(wait_for_acceptance(session, backup_id, pending, duration))
    except NotAcceptedError as error:
        raise IncompleteResourceError(str(error), backup_id, inputs, updated(error.members)) from error
