"""Components: a rolling window of shared backups, and an acceptance of all that certain owners share.

Their resources are looked up while the program runs, so what they look up by must be plain: outputs are not known yet then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, ClassVar

import pulumi

from pulumi_cbr import lookups
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import Backup
from pulumi_cbr.backup_share import BackupShare
from pulumi_cbr.backup_share_accepter import BackupShareAccepter
from pulumi_cbr.window import check_window, find_acceptable, find_window


class _Component(pulumi.ComponentResource):
    """The base of the components of both flavors. A flavor adds its resources and its look-up."""

    _share: ClassVar[Any] = BackupShare
    _accepter: ClassVar[Any] = BackupShareAccepter
    #: What the state calls the output `backup_ids`.
    _output: ClassVar[str] = "backup_ids"

    backups: list[Backup]
    """The backups that are shared or accepted, of each server the newest first."""
    backup_ids: pulumi.Output[list[str]]
    """Their IDs."""

    def _find(self, **filters: Any) -> Iterable[Backup]:
        return lookups.get_backups(**filters)

    def _finish(self, backups: list[Backup]) -> None:
        self.backups = backups
        self.backup_ids = pulumi.Output.from_input([backup.id for backup in backups])
        self.register_outputs({self._output: self.backup_ids})


class NewestBackupShares(_Component):
    """A window of shares: the newest finished backups, without those that are older now.

    Run the program after each backup. A backup that is busy, as in a restore, stays in the window.

    With `servers`, each server has a window of its own. With `vault_id` alone, the whole vault has one.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        dest_project_ids: Sequence[pulumi.Input[str]],
        servers: Sequence[str] | None = None,
        vault_id: str | None = None,
        count: int | None = None,
        max_age: str | float | None = None,
        accept_into: pulumi.Input[str] | None = None,
        accept_opts: pulumi.ResourceOptions | None = None,
        accept_cloud: str | None = None,
        adopt_existing: bool = False,
        cloud: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the window.

        :param resource_name: The component's name in the stack.
        :param dest_project_ids: One to ten projects that the backups are shared with: 32 hex digits each.
        :param servers: The servers or disks whose backups are shared: UUIDs.
        :param vault_id: The vault whose backups are shared: a UUID. With `servers`, of these servers in this vault.
        :param count: How many backups are shared, of each server or of the vault.
        :param max_age: How old a shared backup may be: seconds, or a text such as ``14d``. With `count`, both hold.
        :param accept_into: The receiver's vault: accept each share there too. Needs exactly one destination project.
        :param accept_opts: Options of the acceptances, such as a provider that signs in as the receiver.
        :param accept_cloud: The entry of clouds.yaml that signs in to the receiver's project.
        :param adopt_existing: Adopt shares that exist already, instead of refusing.
        :param cloud: The entry of clouds.yaml that signs in to the owner's project; the stack's settings without it.
        :param opts: Options of the component.
        :raises pulumi.RunError: if a server has no backup at all, or an argument is wrong.
        """
        super().__init__("cbr:index:NewestBackupShares", resource_name, None, opts)
        with _one_line_errors():
            check_window(servers, vault_id, count, max_age, dest_project_ids, accept_into)
            backups = find_window(
                lambda **filters: self._find(cloud=cloud, **filters),
                servers,
                vault_id,
                count,
                max_age,
                datetime.now(timezone.utc),
            )
        for backup in backups:
            # The name goes with the backup: a share stays as it is for as long as its backup is in the window.
            name = f"{resource_name}-{backup.id}"
            child = pulumi.ResourceOptions(parent=self)
            share = self._share(
                name, backup.id, dest_project_ids, adopt_existing=adopt_existing or None, cloud=cloud, opts=child
            )
            if accept_into is not None:
                after = pulumi.ResourceOptions(parent=self, depends_on=[share])
                merged = pulumi.ResourceOptions.merge(after, accept_opts)
                self._accepter(name, backup.id, accept_into, cloud=accept_cloud, opts=merged)
        self._finish(backups)


class AcceptPendingShares(_Component):
    """The acceptance of all that certain owners share with this project, into one vault.

    Run the program from time to time.

    What it accepted stays accepted until its owner withdraws it. Destroying the component rejects all shares.
    """

    def __init__(
        self,
        resource_name: str,
        vault_id: str,
        source_project_ids: Sequence[str],
        *,
        cloud: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the acceptances.

        :param resource_name: The component's name in the stack.
        :param vault_id: The vault that takes the backups: a UUID.
        :param source_project_ids: The owners whose shares are accepted: 32 hex digits each. Others' stay pending.
        :param cloud: The entry of clouds.yaml that signs in to the receiving project; the stack's settings without it.
        :param opts: Options of the component.
        :raises pulumi.RunError: if an argument is wrong, or the look-up fails.
        """
        super().__init__("cbr:index:AcceptPendingShares", resource_name, None, opts)
        with _one_line_errors():
            backups = find_acceptable(
                lambda **filters: self._find(cloud=cloud, **filters),
                vault_id,
                source_project_ids,
                lambda text: pulumi.log.warn(f"cbr: {text}", self),
            )
        for backup in backups:
            child = pulumi.ResourceOptions(parent=self)
            self._accepter(f"{resource_name}-{backup.id}", backup.id, vault_id, cloud=cloud, opts=child)
        self._finish(backups)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Show an error as one line: of a RunError, the language host shows the message alone."""
    try:
        yield
    except CbrError as error:
        raise pulumi.RunError(f"cbr: {error}") from error
