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
    """Its inputs and outputs, as programs see them in every flavour."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the set."""
    dest_project_ids: pulumi.Output[Sequence[str]]
    """The projects that it is shared with: 32 hex digits each. A change adds and takes away in place."""
    exclusive: pulumi.Output[bool | None]
    """Whether every share that is not of this set is taken away."""
    adopt_existing: pulumi.Output[bool | None]
    """Whether shares of the set that exist already are adopted. Matters when they are added or deleted."""
    reshare_if_rejected: pulumi.Output[bool | None]
    """Whether shares that their receiver rejected are deleted and created again by the next `pulumi up`."""
    wait_for_acceptance: pulumi.Output[str | float | None]
    """How long a create or an update waits for the receivers: seconds, or a text such as ``15m``. It fails on a rejection."""
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the backup's own project; None for the stack's settings."""
    members: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """The shares, by their project's ID: of each the ``share_id, status, created_at, updated_at, vault_id, image_id`` that it has."""
    source_project_id: pulumi.Output[str]
    """The backup's own project: 32 hex digits."""


class BackupShare(BackupShareProperties, DynamicResource, module="cbr", name="BackupShare"):
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
        reshare_if_rejected: pulumi.Input[bool] = False,
        wait_for_acceptance: pulumi.Input[str | float] | None = None,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the set.

        :param resource_name: The resource's name in the stack.
        :param backup_id: The backup: a UUID with dashes.
        :param dest_project_ids: One to ten projects, 32 hex digits each, in the backup's region; in any order.
        :param exclusive: Take away every share of the backup that is not of this set.
        :param adopt_existing: Take over shares of the set that exist already, instead of refusing.
        :param reshare_if_rejected: Share again with projects that have rejected.
        :param wait_for_acceptance: Wait so long until all receivers accept: seconds, or a text such as ``15m``.
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

    Its name is pickled into the state of every stack: it never moves and holds nothing.
    """

    @staticmethod
    def controller(sessions: SessionPool) -> Controller:
        from pulumi_cbr.lifecycle.backup_share import BackupShareController

        return BackupShareController(sessions)
