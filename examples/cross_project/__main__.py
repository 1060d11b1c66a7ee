"""Share a backup from one project, and accept it in another: both sides in one program, each signed in by its own cloud."""

import pulumi

import pulumi_cbr as cbr

config = pulumi.Config()
backup_id = config.require("backup_id")
dest_project_id = config.require("dest_project_id")
vault_id = config.require("vault_id")
# Entries of clouds.yaml.
owner = config.get("owner_cloud") or "owner"
receiver = config.get("receiver_cloud") or "receiver"

share = cbr.BackupShareMember("share", backup_id=backup_id, dest_project_id=dest_project_id, cloud=owner)

# There is nothing to accept before it is shared; and a destroy rejects it first, then takes it away.
accepted = cbr.BackupShareAccepter(
    "accepted",
    backup_id=backup_id,
    vault_id=vault_id,
    cloud=receiver,
    opts=pulumi.ResourceOptions(depends_on=[share]),
)

pulumi.export("status", accepted.status)
pulumi.export("source_project_id", accepted.source_project_id)
