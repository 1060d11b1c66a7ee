// Shares a backup with a receiver, who accepts it, another backup with a set of projects, and the newest of a vault.
package main

import (
	"github.com/pulumi-cbr/pulumi-cbr/sdk/go/cbr"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings := config.New(ctx, "")
		var projects []string
		settings.RequireObject("destProjectIds", &projects)

		// The owner signs in by the environment, the receiver by a provider of its own.
		receiver, err := cbr.NewProvider(ctx, "receiver", &cbr.ProviderArgs{
			AuthUrl:        pulumi.String(settings.Require("authUrl")),
			Region:         pulumi.String(settings.Require("region")),
			ProjectId:      pulumi.String(settings.Require("receiverProjectId")),
			Username:       pulumi.String(settings.Require("receiverUsername")),
			Password:       settings.RequireSecret("receiverPassword"),
			UserDomainName: pulumi.String(settings.Require("receiverDomain")),
			MaxRetries:     pulumi.Int(3),
		})
		if err != nil {
			return err
		}

		share, err := cbr.NewBackupShareMember(ctx, "dr", &cbr.BackupShareMemberArgs{
			BackupId:      pulumi.String(settings.Require("backupId")),
			DestProjectId: pulumi.String(settings.Require("receiverProjectId")),
		})
		if err != nil {
			return err
		}
		accepted, err := cbr.NewBackupShareAccepter(ctx, "in", &cbr.BackupShareAccepterArgs{
			BackupId: share.BackupId,
			VaultId:  pulumi.String(settings.Require("vaultId")),
		}, pulumi.Provider(receiver), pulumi.DependsOn([]pulumi.Resource{share}))
		if err != nil {
			return err
		}

		set, err := cbr.NewBackupShare(ctx, "set", &cbr.BackupShareArgs{
			BackupId:       pulumi.String(settings.Require("setBackupId")),
			DestProjectIds: pulumi.ToStringArray(projects),
		})
		if err != nil {
			return err
		}
		found := cbr.GetBackupShareMembersOutput(ctx, cbr.GetBackupShareMembersOutputArgs{BackupId: set.BackupId})
		// The newest backup of a vault, whichever it is when the program runs.
		newest, err := cbr.NewNewestBackupShares(ctx, "newest", &cbr.NewestBackupSharesArgs{
			VaultId:        pulumi.String(settings.Require("backupVaultId")),
			Count:          pulumi.Int(1),
			DestProjectIds: pulumi.StringArray{pulumi.String(settings.Require("receiverProjectId"))},
		})
		if err != nil {
			return err
		}
		// A share that is managed elsewhere.
		known, err := cbr.GetBackupShareMember(ctx, "known", pulumi.ID(settings.Require("knownShareId")), nil)
		if err != nil {
			return err
		}

		ctx.Export("status", accepted.Status)
		ctx.Export("known", known.Status)
		ctx.Export("rolling", newest.BackupIds)
		ctx.Export("shared", found.Members().ApplyT(func(members []cbr.Member) int { return len(members) }))
		return nil
	})
}
