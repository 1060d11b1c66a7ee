"""The components of the first-class provider: those of `pulumi_cbr.components`, with its resources and look-ups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import pulumi

from pulumi_cbr import components
from pulumi_cbr.api.models import Backup
from pulumi_cbr.native import lookups
from pulumi_cbr.native.resources import BackupShare, BackupShareAccepter


class _NativeFlavor(pulumi.ComponentResource):
    _share: ClassVar[Any] = BackupShare
    _accepter: ClassVar[Any] = BackupShareAccepter

    def _find(self, **filters: Any) -> Iterable[Backup]:
        # With the provider that the component's own options name.
        return lookups.get_backups(**filters, opts=pulumi.InvokeOptions(parent=self))


class NewestBackupShares(_NativeFlavor, components.NewestBackupShares):
    """The shares of the newest finished backups: see `pulumi_cbr.NewestBackupShares`."""


class AcceptPendingShares(_NativeFlavor, components.AcceptPendingShares):
    """The acceptances of all that certain owners share: see `pulumi_cbr.AcceptPendingShares`."""
