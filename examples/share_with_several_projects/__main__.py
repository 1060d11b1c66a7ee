"""Share one backup with a set of projects."""

import pulumi

import pulumi_cbr as cbr

config = pulumi.Config()
share = cbr.BackupShare(
    "everyone",
    backup_id=config.require("backup_id"),
    dest_project_ids=config.require_object("dest_project_ids"),
    # With true, other shares of the backup are deleted. A preview names them.
    exclusive=config.get_bool("exclusive") or False,
)

pulumi.export("status", share.members.apply(lambda members: {project: m["status"] for project, m in members.items()}))
