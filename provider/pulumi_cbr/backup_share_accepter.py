"""`BackupShareAccepter`: a shared backup that is accepted into a vault, from the receiver's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from pulumi_cbr.dynamic import DynamicProvider, DynamicResource
from pulumi_cbr.lifecycle.outputs import ACCEPTER_OUTPUTS

if TYPE_CHECKING:
    from pulumi_cbr.lifecycle.controller import Controller
    from pulumi_cbr.lifecycle.session import SessionPool


class BackupShareAccepterProperties:
    """Inputs and outputs of a `BackupShareAccepter`, in both flavors."""

    backup_id: pulumi.Output[str]
    """The backup: a UUID. A change replaces the acceptance."""
    vault_id: pulumi.Output[str]
    """The vault that takes the backup: a UUID. It belongs to the receiving project and fits the backup's type.

    A change deletes the acceptance, then accepts again.
    """
    cloud: pulumi.Output[str | None]
    """The entry of clouds.yaml that signs in to the receiving project; None for the stack's settings."""
    source_project_id: pulumi.Output[str | None]
    """The backup's own project: 32 hex digits. Unset if the receiver may not read the backup."""
    status: pulumi.Output[str]
    """``accepted``. After a refresh also ``pending`` or ``rejected``: then the next `pulumi up` accepts again."""
    updated_at: pulumi.Output[str | None]
    """When the share was last changed: ISO 8601, UTC."""
    endpoint: pulumi.Output[str | None]
    """The CBR address where the share was last seen. At another one, a missing backup is an error."""


class BackupShareAccepter(BackupShareAccepterProperties, DynamicResource, module="cbr", name="BackupShareAccepter"):
    """A backup of another project, accepted into a vault of the receiving project.

    Waits up to 15 seconds for a share that does not exist yet. Destroying the resource rejects the share. What was restored
    from it stays. The ID is ``<backup_id>/<own project ID>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        vault_id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the acceptance.

        :param resource_name: The resource's name in the stack.
        :param backup_id: The backup: a UUID with dashes.
        :param vault_id: The vault that takes it: a UUID with dashes.
        :param cloud: The entry of clouds.yaml that signs in to the receiving project; the stack's settings without it.
        :param opts: Options of the resource.
        """
        self._register(
            BackupShareAccepterProvider(),
            resource_name,
            {"backup_id": backup_id, "vault_id": vault_id, "cloud": cloud, **dict.fromkeys(ACCEPTER_OUTPUTS)},
            opts,
        )


class BackupShareAccepterProvider(DynamicProvider):
    """The provider that the engine calls.

    States store this class by its import path. Do not move it, and do not add instance attributes: they would be pickled.
    """

    @staticmethod
    def make_controller(sessions: SessionPool) -> Controller:
        from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController

        return BackupShareAccepterController(sessions)
