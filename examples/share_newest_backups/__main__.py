"""Share the newest backups of some servers, or of a vault, with a disaster-recovery project.

Each run moves the window: backups that are new are shared, those that are no longer among the newest are withdrawn.
"""

import pulumi

import pulumi_cbr as cbr

config = pulumi.Config()
dr_project_id = config.require("dr_project_id")
newest = config.get_int("newest") or 3
server_ids = config.get_object("server_ids") or []
vault_id = config.get("vault_id")
if not server_ids and not vault_id:
    raise pulumi.RunError("say whose backups: set server_ids, or vault_id, or both")

# So many of each server; of a vault alone, so many in all.
backups: list[cbr.Backup] = []
for server_id in server_ids or [None]:
    # Nobody wants a mistyped ID to withdraw every share.
    if not any(cbr.get_backups(resource_id=server_id, vault_id=vault_id, limit=1)):
        raise pulumi.RunError(f"there is no backup of {server_id or vault_id}: check server_ids and vault_id")
    backups += cbr.get_backups(
        resource_id=server_id, vault_id=vault_id, status="available", newest_first=True, limit=newest
    )

# The name goes with the backup: a share stays as it is for as long as its backup is in the window.
for backup in backups:
    cbr.BackupShareMember(f"dr-{backup.id}", backup_id=backup.id, dest_project_id=dr_project_id)

pulumi.export("backups", [backup.id for backup in backups])
