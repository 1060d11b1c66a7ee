// Shares one backup with one project.
import * as pulumi from "@pulumi/pulumi";
import * as cbr from "pulumi-cbr";

// Yours go into the configuration (`pulumi config set backupId ...`). These two are the simulator's first backup and its
// receiver's project, so that the program runs with nothing configured.
const config = new pulumi.Config();

const share = new cbr.BackupShareMember("dr", {
    backupId: config.get("backupId") ?? "0ddb0e92-50b2-49d4-bd57-35b378502536",
    destProjectId: config.get("destProjectId") ?? "e991c88fb754e3862d3e981533f29aec",
});

export const shareId = share.shareId;
export const status = share.status;
