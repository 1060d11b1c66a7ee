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
    """Its inputs and outputs, as programs see them in every flavour."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the share."""
    dest_project_id: pulumi.Output[str]
    """The project that it is shared with: 32 hex digits. A change replaces the share."""
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the backup's own project; None for the stack's settings."""
    adopt_existing: pulumi.Output[bool | None]
    """Whether a share that was there before is taken over. Matters when the share is created."""
    reshare_if_rejected: pulumi.Output[bool | None]
    """Whether a share that its receiver rejected is taken away and made anew by the next `pulumi up`."""
    wait_for_acceptance: pulumi.Output[str | float | None]
    """How long a create or an update waits for the receiver: seconds, or a text such as ``15m``. It fails on a rejection."""
    share_id: pulumi.Output[str]
    """The share record's own ID: a UUID."""
    status: pulumi.Output[str]
    """``pending``, ``accepted`` or ``rejected``: changes when the receiver decides."""
    created_at: pulumi.Output[str]
    """When the share was made: an ISO 8601 time in UTC."""
    updated_at: pulumi.Output[str | None]
    """When the share was last changed, such as by its receiver: an ISO 8601 time in UTC, or None."""
    vault_id: pulumi.Output[str | None]
    """The receiver's vault, a UUID, from when the share is accepted."""
    image_id: pulumi.Output[str | None]
    """The image that the receiver made of the backup, a UUID, from when there is one."""
    source_project_id: pulumi.Output[str | None]
    """The backup's own project: 32 hex digits. Never changes; None where the receiver reads the share by `get`."""


class BackupShareMember(BackupShareMemberProperties, DynamicResource, module="cbr", name="BackupShareMember"):
    """Shares a backup with one project.

    A share that exists already is refused, unless `adopt_existing`. Destroying the resource takes the share away from the
    receiver; what the receiver restored from it stays. The ID is ``<backup_id>/<dest_project_id>``.
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
        :param adopt_existing: Take over a share that exists already, instead of refusing.
        :param reshare_if_rejected: Share again when the receiver has rejected.
        :param wait_for_acceptance: Wait so long until the receiver accepts: seconds, or a text such as ``15m``.
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
        # The ID says it all: there are no inputs to give, and the engine reads instead of creating.
        nothing: Any = None
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        return cls(resource_name, nothing, nothing, cloud=cloud, opts=opts)


class BackupShareMemberProvider(DynamicProvider):
    """The provider that the engine calls.

    Its name is pickled into the state of every stack: it never moves and holds nothing.
    """

    @staticmethod
    def controller(sessions: SessionPool) -> Controller:
        from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController

        return BackupShareMemberController(sessions)
