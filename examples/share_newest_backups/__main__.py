"""Share the newest backups of some servers with a disaster-recovery project. Run it after each backup."""

import pulumi

import pulumi_cbr as cbr

config = pulumi.Config()
project, servers, vault = config.require("dr_project_id"), config.get_object("server_ids"), config.get("vault_id")
window = cbr.NewestBackupShares(
    "dr",
    dest_project_ids=[project],
    servers=servers,
    vault_id=vault,
    count=config.get_int("newest") or 3,
    max_age=config.get("max_age"),
)
pulumi.export("backups", window.backup_ids)
