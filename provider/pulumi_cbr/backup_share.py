"""`BackupShare`: a set of one to ten projects that a backup is shared with, from the owner's side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pulumi

from pulumi_cbr.dynamic import DynamicProvider, DynamicResource, omit_false
from pulumi_cbr.lifecycle.outputs import SET_OUTPUTS

if TYPE_CHECKING:
    from pulumi_cbr.lifecycle.controller import Controller
    from pulumi_cbr.lifecycle.session import SessionPool


class BackupShareProperties:
    """Inputs and outputs of a `BackupShare`, in both flavors."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the set."""
    dest_project_ids: pulumi.Output[Sequence[str]]
    """One to ten projects: 32 hex digits each, in the backup's region, in any order. A change creates and deletes shares."""
    exclusive: pulumi.Output[bool | None]
    """Whether to delete every share of the backup that is not in this set."""
    adopt_existing: pulumi.Output[bool | None]
    """Whether to adopt shares of the set that exist already, instead of refusing. Has an effect on create and delete."""
    reshare_if_rejected: pulumi.Output[bool | None]
    """Whether the next `pulumi up` deletes rejected shares and creates them again."""
    wait_for_acceptance: pulumi.Output[str | float | None]
    """How long a create or an update waits for the receivers: seconds, or a text such as ``15m``.

    A rejection or the end of the time fails the update; the shares stay.
    """
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the backup's own project; None for the stack's settings."""
    members: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """The shares, by the ID of their project."""
    source_project_id: pulumi.Output[str]
    """The backup's own project: 32 hex digits."""
    endpoint: pulumi.Output[str | None]
    """The CBR address where the shares were last seen. At another one, a missing backup is an error."""


class BackupShare(BackupShareProperties, DynamicResource, module="cbr", name="BackupShare"):
    """The shares of a backup with a set of one to ten projects.

    Leaves shares alone that others created. Fails if such a share is for a project of this set, unless `adopt_existing` is
    set. With `exclusive`, every other share of the backup is deleted. Destroying the resource deletes its own shares. The
    ID is ``<backup_id>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        dest_project_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
        *,
        exclusive: pulumi.Input[bool] = False,
        adopt_existing: pulumi.Input[bool] = False,
        reshare_if_rejected: pulumi.Input[bool] = False,
        wait_for_acceptance: pulumi.Input[str | float] | None = None,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the set.

        :param resource_name: The resource's name in the stack.
        :param backup_id: The backup: a UUID with dashes.
        :param dest_project_ids: One to ten projects, 32 hex digits each, in the backup's region; in any order.
        :param exclusive: Delete every share of the backup that is not in this set.
        :param adopt_existing: Adopt shares of the set that exist already, instead of refusing.
        :param reshare_if_rejected: Share again with projects that have rejected.
        :param wait_for_acceptance: Wait at most this long until all receivers accept: seconds, or a text such as ``15m``.
        :param cloud: The entry of clouds.yaml that signs in to the backup's own project; the stack's settings without it.
        :param opts: Options of the resource.
        """
        self._register(
            BackupShareProvider(),
            resource_name,
            {
                "backup_id": backup_id,
                "dest_project_ids": dest_project_ids,
                "exclusive": omit_false(exclusive),
                "adopt_existing": omit_false(adopt_existing),
                "reshare_if_rejected": omit_false(reshare_if_rejected),
                "wait_for_acceptance": wait_for_acceptance,
                "cloud": cloud,
                **dict.fromkeys(SET_OUTPUTS),
            },
            opts,
        )


class BackupShareProvider(DynamicProvider):
    """The provider that the engine calls.

    Every stack's state has its import path: never move it, and give it no attributes.
    """

    @staticmethod
    def make_controller(sessions: SessionPool) -> Controller:
        from pulumi_cbr.lifecycle.backup_share import BackupShareController

        return BackupShareController(sessions)
