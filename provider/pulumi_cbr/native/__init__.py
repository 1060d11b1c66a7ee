"""The same resources and look-ups, served by the first-class provider `pulumi-resource-cbr`.

Unlike the dynamic ones of `pulumi_cbr`, these can be imported and serve every language. Names and arguments are the same:
``import pulumi_cbr.native as cbr``.
"""

from typing import TYPE_CHECKING

from pulumi_cbr.lazy import import_on_use

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Backup, Member, Project, Vault
    from pulumi_cbr.native.components import AcceptPendingShares, NewestBackupShares
    from pulumi_cbr.native.lookups import (
        get_backup,
        get_backup_output,
        get_backup_share_members,
        get_backup_share_members_output,
        get_backups,
        get_backups_output,
        get_projects,
        get_projects_output,
        get_vault,
        get_vault_output,
        get_vaults,
        get_vaults_output,
    )
    from pulumi_cbr.native.resources import BackupShare, BackupShareAccepter, BackupShareMember, Provider

__all__ = [
    "AcceptPendingShares",
    "Backup",
    "BackupShare",
    "BackupShareAccepter",
    "BackupShareMember",
    "Member",
    "NewestBackupShares",
    "Project",
    "Provider",
    "Vault",
    "get_backup",
    "get_backup_output",
    "get_backup_share_members",
    "get_backup_share_members_output",
    "get_backups",
    "get_backups_output",
    "get_projects",
    "get_projects_output",
    "get_vault",
    "get_vault_output",
    "get_vaults",
    "get_vaults_output",
]

#: The modules that are imported when a program first uses one of these names.
_MODULES = {
    "pulumi_cbr.api.models": ("Backup", "Member", "Project", "Vault"),
    "pulumi_cbr.native.components": ("AcceptPendingShares", "NewestBackupShares"),
    "pulumi_cbr.native.lookups": [name for name in __all__ if name.startswith("get_")],
    "pulumi_cbr.native.resources": ("BackupShare", "BackupShareAccepter", "BackupShareMember", "Provider"),
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = import_on_use(__name__, _MODULES)
