"""`BackupShareMember`: one project that a backup is shared with, from the owner's side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from pulumi_cbr.dynamic import DynamicProvider, DynamicResource, omit_false
from pulumi_cbr.lifecycle.outputs import MEMBER_OUTPUTS

if TYPE_CHECKING:
    from pulumi_cbr.lifecycle.controller import Controller
    from pulumi_cbr.lifecycle.session import SessionPool


class BackupShareMemberProperties:
    """Inputs and outputs of a `BackupShareMember`, in both flavors."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the share."""
    dest_project_id: pulumi.Output[str]
    """The project to share with: 32 hex digits, in the backup's region. A change replaces the share."""
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the backup's own project; None for the stack's settings."""
    adopt_existing: pulumi.Output[bool | None]
    """Whether to adopt a share that exists already, instead of refusing. Has an effect on create and delete."""
    reshare_if_rejected: pulumi.Output[bool | None]
    """Whether the next `pulumi up` deletes a rejected share and creates it again."""
    wait_for_acceptance: pulumi.Output[str | float | None]
    """How long a create or an update waits for the receiver: seconds, or a text such as ``15m``.

    A rejection or the end of the time fails the update; the share stays.
    """
    share_id: pulumi.Output[str]
    """The ID of the share itself: a UUID."""
    status: pulumi.Output[str]
    """The receiver's decision: ``pending``, ``accepted`` or ``rejected``."""
    created_at: pulumi.Output[str]
    """When the share was created: ISO 8601, UTC."""
    updated_at: pulumi.Output[str | None]
    """When the share was last changed: ISO 8601, UTC."""
    vault_id: pulumi.Output[str | None]
    """The receiver's vault, once the share is accepted: a UUID."""
    image_id: pulumi.Output[str | None]
    """The image that the receiver made of the backup: a UUID."""
    source_project_id: pulumi.Output[str | None]
    """The backup's own project: 32 hex digits. Unknown to a `get` in the receiver's project."""
    endpoint: pulumi.Output[str | None]
    """The CBR address where the share was last seen. At another one, a missing backup is an error."""


class BackupShareMember(BackupShareMemberProperties, DynamicResource, module="cbr", name="BackupShareMember"):
    """The share of a backup with one project.

    Fails if the share exists already, unless `adopt_existing` is set. Destroying the resource deletes the share. What the
    receiver restored from it stays. The ID is ``<backup_id>/<dest_project_id>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        dest_project_id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        adopt_existing: pulumi.Input[bool] = False,
        reshare_if_rejected: pulumi.Input[bool] = False,
        wait_for_acceptance: pulumi.Input[str | float] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the share.

        :param resource_name: The resource's name in the stack.
        :param backup_id: The backup: a UUID with dashes.
        :param dest_project_id: The project to share it with: 32 hex digits, in the backup's region.
        :param cloud: The entry of clouds.yaml that signs in to the backup's own project; the stack's settings without it.
        :param adopt_existing: Adopt a share that exists already, instead of refusing.
        :param reshare_if_rejected: Share again when the receiver has rejected.
        :param wait_for_acceptance: Wait at most this long until the receiver accepts: seconds, or a text such as ``15m``.
        :param opts: Options of the resource.
        """
        self._register(
            BackupShareMemberProvider(),
            resource_name,
            {
                "backup_id": backup_id,
                "dest_project_id": dest_project_id,
                "cloud": cloud,
                "adopt_existing": omit_false(adopt_existing),
                "reshare_if_rejected": omit_false(reshare_if_rejected),
                "wait_for_acceptance": wait_for_acceptance,
                **dict.fromkeys(MEMBER_OUTPUTS),
            },
            opts,
        )

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> BackupShareMember:
        """Read a share that exists, without managing it.

        :param id: ``<backup_id>/<dest_project_id>``.
        """
        # The engine reads the share by its ID, so there are no inputs.
        nothing: Any = None
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        return cls(resource_name, nothing, nothing, cloud=cloud, opts=opts)


class BackupShareMemberProvider(DynamicProvider):
    """The provider that the engine calls.

    Every stack's state has its import path: never move it, and give it no attributes.
    """

    @staticmethod
    def make_controller(sessions: SessionPool) -> Controller:
        from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController

        return BackupShareMemberController(sessions)
