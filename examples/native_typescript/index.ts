// Shares a backup with a set of projects.
import * as pulumi from "@pulumi/pulumi";
import * as cbr from "pulumi-cbr";

const config = new pulumi.Config();

const share = new cbr.BackupShare("dr", {
    backupId: config.require("backupId"),
    destProjectIds: config.requireObject<string[]>("destProjectIds"),
}, { customTimeouts: { create: "5m" } });

export const statuses = share.members.apply(members =>
    Object.entries(members).map(([project, member]) => `${project}: ${member.status}`));

export const newestBackup = cbr.getBackupsOutput({ newestFirst: true, limit: 1 }).backups.apply(found => found[0]?.name);
