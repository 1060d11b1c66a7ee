"""Pulumi resources that manage who a CBR backup is shared with.

`BackupShareMember` shares a backup with one project, `BackupShare` with a set of them, and `BackupShareAccepter` accepts a
shared backup on the receiver's side. `get_backup`, `get_backups`, `get_backup_share_members`,
`get_vault`, `get_vaults` and `get_projects` look things up.
`NewestBackupShares` and `AcceptPendingShares` are components made of them.
"""

from typing import TYPE_CHECKING

from pulumi_cbr.lazy import import_on_use

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Backup, Member, Project, Vault
    from pulumi_cbr.backup_share import BackupShare
    from pulumi_cbr.backup_share_accepter import BackupShareAccepter
    from pulumi_cbr.backup_share_member import BackupShareMember
    from pulumi_cbr.components import AcceptPendingShares, NewestBackupShares
    from pulumi_cbr.lookups import (
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

__all__ = [
    "AcceptPendingShares",
    "Backup",
    "BackupShare",
    "BackupShareAccepter",
    "BackupShareMember",
    "Member",
    "NewestBackupShares",
    "Project",
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
    "pulumi_cbr.backup_share": ("BackupShare",),
    "pulumi_cbr.backup_share_accepter": ("BackupShareAccepter",),
    "pulumi_cbr.backup_share_member": ("BackupShareMember",),
    "pulumi_cbr.components": ("AcceptPendingShares", "NewestBackupShares"),
    "pulumi_cbr.lookups": [name for name in __all__ if name.startswith("get_")],
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = import_on_use(__name__, _MODULES)
