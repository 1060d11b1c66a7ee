"""Share the newest backup of one server with another project, and export how far that is."""

import pulumi

import pulumi_cbr as cbr

config = pulumi.Config()
backups = cbr.get_backups(resource_id=config.require("server_id"), status="available")
newest = max(backups, key=lambda backup: backup.created_at)

share = cbr.BackupShareMember(
    "newest",
    backup_id=newest.id,
    dest_project_id=config.require("dr_project_id"),
    reshare_if_rejected=True,
)

pulumi.export("backup", newest.name)
pulumi.export("status", share.status)
