"""`BackupShare`: a set of one to ten projects that a backup is shared with, from the owner's side.

Calls: ``GET /backups/{backup_id}/members`` (read, and before each change), one ``POST .../members`` for all that are
missing, ``DELETE .../members/{project}`` side by side for those that leave.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi
from pulumi.dynamic import Resource

from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import AlreadyShared, CbrError, NotFound, ServiceError
from pulumi_cbr.dynamic import DynamicProvider, given
from pulumi_cbr.lifecycle.controller import UNKNOWN, CheckedInputs, Controller, Diff, Properties, ResourceState
from pulumi_cbr.lifecycle.failures import already_shared
from pulumi_cbr.lifecycle.inputs import Inputs
from pulumi_cbr.lifecycle.preflight import mark_managed
from pulumi_cbr.lifecycle.session import CloudSession
from pulumi_cbr.lifecycle.shares import (
    PartialFailure,
    create_shares,
    delete_shares,
    find_members,
    find_recent,
    log_drift,
    managed_elsewhere,
    record_owner,
    share_outputs,
)

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member

_log = logging.getLogger("pulumi_cbr")


class BackupShareProperties:
    """Its inputs and outputs, as programs see them in every flavour."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the set."""
    dest_project_ids: pulumi.Output[Sequence[str]]
    """The projects that it is shared with: 32 hex digits each. A change adds and takes away in place."""
    exclusive: pulumi.Output[bool | None]
    """Whether every share that is not of this set is taken away."""
    adopt_existing: pulumi.Output[bool | None]
    """Whether shares of the set that were there before are taken over. Matters when they are added."""
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the backup's own project; None for the stack's settings."""
    members: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """The shares, by their project's ID: of each the ``share_id, status, created_at, updated_at, vault_id, image_id`` that it has."""
    source_project_id: pulumi.Output[str]
    """The backup's own project: 32 hex digits."""


class BackupShare(BackupShareProperties, Resource, module="cbr", name="BackupShare"):
    """Shares a backup with a set of one to ten projects.

    Shares that others made are left alone, and refused where they are of this set, unless `adopt_existing`. With
    `exclusive`, the set is the whole list: every other share of the backup is taken away. Destroying the resource takes
    away its own shares. The ID is ``<backup_id>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        dest_project_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
        *,
        exclusive: pulumi.Input[bool] = False,
        adopt_existing: pulumi.Input[bool] = False,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the set.

        :param resource_name: The resource's name in the stack.
        :param backup_id: The backup: a UUID with dashes.
        :param dest_project_ids: One to ten projects, 32 hex digits each, in the backup's region; in any order.
        :param exclusive: Take away every share of the backup that is not of this set.
        :param adopt_existing: Take over shares of the set that exist already, instead of refusing.
        :param cloud: The entry of clouds.yaml that signs in to the backup's own project; the stack's settings without it.
        :param opts: Options of the resource.
        """
        super().__init__(
            BackupShareProvider(),
            resource_name,
            {
                "backup_id": backup_id,
                "dest_project_ids": dest_project_ids,
                "exclusive": given(exclusive),
                "adopt_existing": given(adopt_existing),
                "cloud": cloud,
                **dict.fromkeys(_OUTPUTS),
            },
            opts,
        )


_OPTIONS = ("exclusive", "adopt_existing", "cloud")
_OUTPUTS = ("members", "source_project_id")

#: How many projects a backup can be shared with.
_MAX_MEMBERS = 10

#: Refusals that tell of somebody else at the same backup: too many, not available just now, shared already.
_IN_A_RACE = ("6701", "6702", "6703", "6714")


class BackupShareController(Controller):
    """What becomes of a set of shares when it is declared, changed, looked at and taken away."""

    outputs: ClassVar[tuple[str, ...]] = _OUTPUTS

    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        inputs = Inputs(news)
        inputs.text("cloud")
        inputs.backup_id()
        inputs.dest_project_ids(self.sessions.configured_project_id(inputs.given("cloud")))
        for name in ("exclusive", "adopt_existing"):
            inputs.flag(name)
        if not inputs.checked().problems and self.sessions.flag("preflight"):
            for reason in self._preflight(olds, inputs.checked().inputs):
                inputs.wrong("dest_project_ids", reason)
        return inputs.checked()

    def _preflight(self, olds: Properties, inputs: Properties) -> list[str]:
        backup_id, projects, cloud = inputs["backup_id"], inputs["dest_project_ids"], inputs.get("cloud")
        if UNKNOWN in (backup_id, projects, cloud):
            return []
        before = set(olds.get("dest_project_ids", ())) if olds.get("backup_id") == backup_id else set()
        for project in before.intersection(projects):
            mark_managed(backup_id, project)
        joining, leaving = set(projects) - before - {UNKNOWN}, before - set(projects)
        exclusive = inputs.get("exclusive") is True
        becomes_exclusive = exclusive and olds.get("exclusive") is not True
        if not (joining or leaving or becomes_exclusive):
            return []
        try:
            preflight = self.sessions.of(cloud).preflight
        except CbrError as error:
            return [str(error)]
        reasons = preflight.reasons(
            backup_id,
            joining,
            leaving=leaving,
            # What is not known yet may still allow it.
            adopt=self._adopts(inputs) or inputs.get("adopt_existing") == UNKNOWN,
            exclusive=exclusive,
            replacing=bool(olds),
        )
        if exclusive and not reasons and UNKNOWN not in projects:
            with suppress(CbrError):  # an up says what is wrong, where it matters
                _announce(backup_id, set(preflight.members(backup_id)) - before - set(projects))
        return reasons

    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        same_backup = olds.get("backup_id") == news.get("backup_id")
        updates = [name for name in _OPTIONS if olds.get(name) != news.get(name)]
        projects = news.get("dest_project_ids", ())
        if projects != olds.get("dest_project_ids"):
            updates.append("dest_project_ids")
        elif set(projects) - set(olds.get("members", projects)):
            # A refresh of an exclusive set lists others' shares too: one that is declared now is still to be taken over.
            updates.append("members")
        return Diff(updates=tuple(updates), replaces=() if same_backup else ("backup_id",), delete_first=same_backup)

    def warn_before_change(self, olds: Properties, news: Properties) -> None:
        same_backup = olds.get("backup_id") == news.get("backup_id")
        projects = news.get("dest_project_ids", ())
        if same_backup and news.get("exclusive") is True and UNKNOWN not in projects:
            # Others' shares stand in the old list from when a refresh has seen them.
            _announce(
                news["backup_id"], set(olds.get("dest_project_ids", ())) - set(olds.get("members", ())) - set(projects)
            )

    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        return str(inputs["backup_id"]), self._make(inputs, {})

    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        backup_id = ids.uuid("the ID", id_)
        account = self.sessions.of(properties.get("cloud"))
        account.require_source_project(properties.get("source_project_id"))
        try:
            there = dict(account.lists.of(backup_id))
        except NotFound:
            return None
        if "members" not in properties and not there:
            return None
        # An import takes over all that there is.
        before: Mapping[str, Mapping[str, Any]] = properties.get("members", {project: {} for project in there})
        there.update(_not_visible_yet(account, backup_id, before.keys() - there.keys(), before))
        own = before.keys() & there.keys()
        options = {name: properties[name] for name in _OPTIONS if properties.get(name)}
        # All that would be touched stands among the inputs, so that a preview shows what an up takes away.
        listed = there.keys() if options.get("exclusive") else own
        inputs = {"backup_id": backup_id, "dest_project_ids": sorted(listed), **options}
        outputs = {**inputs, **_outputs(account, {project: there[project] for project in own}, before)}
        for project in sorted(own):
            log_drift(backup_id, project, before[project], outputs["members"][project])
        return ResourceState(backup_id, outputs, inputs)

    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        # Without a call, but a cloud that cannot be used is refused now, and not by the destroy that needs it.
        self.sessions.of(news.get("cloud"))
        changed = self.diff(id_, olds, news).updates
        if {"dest_project_ids", "members"} & {*changed} or ("exclusive" in changed and news.get("exclusive")):
            return self._make(news, olds)
        return {**{name: olds[name] for name in _OUTPUTS if name in olds}, **news}

    def delete(self, id_: str, outputs: Properties) -> None:
        backup_id = ids.uuid("the ID", id_)
        account = self.sessions.of(outputs.get("cloud"))
        account.require_source_project(outputs.get("source_project_id"))
        members: Mapping[str, Mapping[str, Any]] = outputs.get("members", {})
        delete_shares(account, backup_id, _still_own(backup_id, members))

    def _make(self, inputs: Properties, olds: Properties) -> dict[str, Any]:
        """Make the service agree with the inputs. `olds` are the outputs that tell which shares are this resource's by now.

        What is missing is added before anything is taken away, so that a refused call changes nothing; but where there is
        no room for both, or a share that is to go may be held by an image, that goes first.
        """
        account = self.sessions.of(inputs.get("cloud"))
        account.require_source_project(olds.get("source_project_id"))
        backup_id, wanted = inputs["backup_id"], list(dict.fromkeys(inputs["dest_project_ids"]))
        if account.client.project_id() in wanted:
            raise CbrError(
                f"project {account.client.project_id()} is the backup's own project: a backup is shared with another one"
            )
        own: Mapping[str, Mapping[str, Any]] = olds.get("members", {})
        there = {member.dest_project_id: member for member in account.client.list_members(backup_id)}
        there.update(_not_visible_yet(account, backup_id, own.keys() & set(wanted) - there.keys(), own))
        foreign = {project: there[project] for project in wanted if project in there and project not in own}
        if foreign and not self._adopts(inputs):
            raise CbrError(already_shared(backup_id, foreign.values(), account.client.service_now()))
        going = _still_own(backup_id, {project: own[project] for project in own if project not in wanted})
        others = [project for project in there if inputs.get("exclusive") and project not in (*wanted, *own)]
        leaving = sorted([*going, *others])
        missing = [project for project in wanted if project not in there]
        staying = there.keys() - set(leaving)
        if missing and len(staying) + len(missing) > _MAX_MEMBERS:
            raise CbrError(
                f"backup {backup_id} would be shared with {len(staying) + len(missing)} projects, and can be with {_MAX_MEMBERS}: "
                f"{len(staying)} are members now and stay, {len(missing)} would be added. Nothing was changed"
            )
        room_first = bool(missing) and (
            len(there) + len(missing) > _MAX_MEMBERS
            or any(there[project].image_id for project in leaving if project in there)
        )
        if room_first:
            delete_shares(account, backup_id, leaving)
        added: dict[str, Member] = {}
        if missing:
            try:
                added = _add(account, backup_id, missing, there if self._adopts(inputs) else None)
            except CbrError as error:
                if not room_first:
                    raise
                names = ", ".join(leaving)
                raise CbrError(f"{error}. To make room, the shares with {names} were taken away before") from error
        if not room_first:
            try:
                delete_shares(account, backup_id, leaving)
            except CbrError as error:
                raise _undone(account, backup_id, added, error) from error
        there.update(added)
        for project in wanted:
            if project not in own:
                record_owner(there[project], adopted=project not in added)
        return {**inputs, **_outputs(account, {project: there[project] for project in wanted}, own)}

    def _adopts(self, inputs: Properties) -> bool:
        return inputs.get("adopt_existing") is True or self.sessions.flag("adoptExisting")


def _outputs(
    account: CloudSession, members: Mapping[str, Member], before: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "members": {project: share_outputs(members[project], before.get(project)) for project in sorted(members)},
        "source_project_id": account.client.project_id(),
    }


def _add(
    account: CloudSession, backup_id: str, projects: Sequence[str], adopted: dict[str, Member] | None
) -> dict[str, Member]:
    """Share with all of the projects, or with none: the state has no place for a half.

    What came to be there since the list goes into `adopted`, where that is wanted.
    """
    sent = account.client.service_now()
    try:
        return create_shares(account, backup_id, projects, adopt=adopted is not None)
    except (PartialFailure, ServiceError) as error:
        refusal = error.__cause__ if isinstance(error, PartialFailure) else error
        if isinstance(error, ServiceError) and error.status != 400:
            # Refused as a whole, before the service looked at it.
            raise
        there = _seen(account, backup_id, projects)
        there.update(error.found if isinstance(error, PartialFailure) else {})
        if adopted is not None and isinstance(error, AlreadyShared) and there:
            adopted.update(there)
            rest = [project for project in projects if project not in there]
            return _add(account, backup_id, rest, adopted) if rest else {}
        made = {project: member for project, member in there.items() if member.created_at >= sent}
        in_a_race = isinstance(refusal, ServiceError) and refusal.code.removeprefix("BackupService.") in _IN_A_RACE
        if made and not in_a_race:
            raise _undone(account, backup_id, made, error) from error
        if not there:
            raise
        # What came to be since the list may be another stack's: it is told, and never taken away.
        told = already_shared(backup_id, there.values(), account.client.service_now())
        raise CbrError(told if isinstance(error, AlreadyShared) else f"{error}. By now, {told}") from error


def _not_visible_yet(
    account: CloudSession, backup_id: str, projects: Collection[str], before: Mapping[str, Mapping[str, Any]]
) -> dict[str, Member]:
    """Give those shares of the state that a list does not have only because they are seconds old."""
    created = {project: before[project].get("created_at") for project in projects}
    return find_recent(account, backup_id, created)


def _still_own(backup_id: str, members: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Leave out what another resource of the stack has taken over in this operation."""
    kept = sorted(
        project for project in members if managed_elsewhere(backup_id, project, members[project].get("share_id"))
    )
    if kept:
        _log.warning(
            "the shares of backup %s with %s stay: another resource of this stack has them now",
            backup_id,
            ", ".join(kept),
        )
    return [project for project in members if project not in kept]


def _seen(account: CloudSession, backup_id: str, projects: Sequence[str]) -> dict[str, Member]:
    try:
        return find_members(account, backup_id, projects)
    except CbrError:
        return {}  # the error that made us look says more


def _undone(account: CloudSession, backup_id: str, made: Mapping[str, Member], error: CbrError) -> CbrError:
    """Take back what a failed call made, and give the error for the user."""
    if not made:
        return error
    names = ", ".join(sorted(made))
    try:
        delete_shares(account, backup_id, made)
    except CbrError as left:
        return CbrError(
            f"{error}. What was shared by then ({names}) could not all be taken back: {left}. Run again with "
            "`pulumi config set cbr:adoptExisting true`, which takes it over"
        )
    return CbrError(f"{error}. What was shared by then ({names}) was taken back: run again when the reason is gone")


def _announce(backup_id: str, leaving: Collection[str]) -> None:
    if leaving:
        _log.warning("backup %s: exclusive=True takes away the shares with %s", backup_id, ", ".join(sorted(leaving)))


class BackupShareProvider(DynamicProvider):
    """What the engine calls. Pickled by its name into the state of every stack: it never moves and holds nothing."""

    controller: ClassVar[type[Controller]] = BackupShareController
