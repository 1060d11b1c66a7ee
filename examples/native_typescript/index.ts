// Shares a backup with a receiver, who accepts it, another backup with a set of projects, and the newest of a vault.
import * as pulumi from "@pulumi/pulumi";
import * as cbr from "pulumi-cbr";

const config = new pulumi.Config();

// The owner signs in by the environment, the receiver by a provider of its own.
const receiver = new cbr.Provider("receiver", {
    authUrl: config.require("authUrl"),
    region: config.require("region"),
    projectId: config.require("receiverProjectId"),
    username: config.require("receiverUsername"),
    password: config.requireSecret("receiverPassword"),
    userDomainName: config.require("receiverDomain"),
    maxRetries: 3,
});

const share = new cbr.BackupShareMember("dr", {
    backupId: config.require("backupId"),
    destProjectId: config.require("receiverProjectId"),
}, { customTimeouts: { create: "5m" } });
const accepted = new cbr.BackupShareAccepter("in", {
    backupId: share.backupId,
    vaultId: config.require("vaultId"),
}, { provider: receiver, dependsOn: [share] });

const set = new cbr.BackupShare("set", {
    backupId: config.require("setBackupId"),
    destProjectIds: config.requireObject<string[]>("destProjectIds"),
});
const found = cbr.getBackupShareMembersOutput({ backupId: set.backupId });

// The newest backup of a vault, whichever it is when the program runs.
const newest = new cbr.NewestBackupShares("newest", {
    vaultId: config.require("backupVaultId"),
    count: 1,
    destProjectIds: [config.require("receiverProjectId")],
});

// A share that is managed elsewhere.
const other = cbr.BackupShareMember.get("known", config.require("knownShareId"));

export const status = accepted.status;
export const known = other.status;
export const rolling = newest.backupIds;
export const shared = found.members.apply(members => members.length);
