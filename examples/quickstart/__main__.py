"""Share one backup with one project."""

import pulumi

import pulumi_cbr as cbr

# Yours go into the configuration (`pulumi config set backup_id ...`). These two are the simulator's first backup and its
# receiver's project, so that the program runs with nothing configured.
config = pulumi.Config()
backup_id = config.get("backup_id") or "0ddb0e92-50b2-49d4-bd57-35b378502536"
dest_project_id = config.get("dest_project_id") or "e991c88fb754e3862d3e981533f29aec"

share = cbr.BackupShareMember("dr", backup_id=backup_id, dest_project_id=dest_project_id)

pulumi.export("share_id", share.share_id)
pulumi.export("status", share.status)
