package cbrexample;

import com.pulumi.Context;
import com.pulumi.Pulumi;
import io.github.pulumicbr.cbr.BackupShare;
import io.github.pulumicbr.cbr.BackupShareAccepter;
import io.github.pulumicbr.cbr.BackupShareAccepterArgs;
import io.github.pulumicbr.cbr.BackupShareArgs;
import io.github.pulumicbr.cbr.BackupShareMember;
import io.github.pulumicbr.cbr.BackupShareMemberArgs;
import io.github.pulumicbr.cbr.CbrFunctions;
import io.github.pulumicbr.cbr.NewestBackupShares;
import io.github.pulumicbr.cbr.NewestBackupSharesArgs;
import io.github.pulumicbr.cbr.Provider;
import io.github.pulumicbr.cbr.ProviderArgs;
import io.github.pulumicbr.cbr.inputs.GetBackupShareMembersArgs;
import com.pulumi.core.Output;
import com.pulumi.resources.CustomResourceOptions;
import java.util.List;

/** Shares a backup with a receiver, who accepts it, another backup with a set of projects, and the newest of a vault. */
public final class App {
    public static void main(String[] args) {
        Pulumi.run(App::stack);
    }

    private static void stack(Context ctx) {
        var config = ctx.config();

        // The owner signs in by the environment, the receiver by a provider of its own.
        var receiver = new Provider("receiver", ProviderArgs.builder()
            .authUrl(config.require("authUrl"))
            .region(config.require("region"))
            .projectId(config.require("receiverProjectId"))
            .username(config.require("receiverUsername"))
            .password(config.requireSecret("receiverPassword"))
            .userDomainName(config.require("receiverDomain"))
            .maxRetries(3)
            .build());

        var share = new BackupShareMember("dr", BackupShareMemberArgs.builder()
            .backupId(config.require("backupId"))
            .destProjectId(config.require("receiverProjectId"))
            .build());
        var accepted = new BackupShareAccepter("in", BackupShareAccepterArgs.builder()
            .backupId(share.backupId())
            .vaultId(config.require("vaultId"))
            .build(), CustomResourceOptions.builder().provider(receiver).dependsOn(share).build());

        var projects = List.of(config.requireObject("destProjectIds", String[].class));
        var set = new BackupShare("set", BackupShareArgs.builder()
            .backupId(config.require("setBackupId"))
            .destProjectIds(projects)
            .build());
        var found = CbrFunctions.getBackupShareMembers(GetBackupShareMembersArgs.builder()
            .backupId(set.backupId())
            .build());
        // The newest backup of a vault, whichever it is when the program runs.
        var newest = new NewestBackupShares("newest", NewestBackupSharesArgs.builder()
            .vaultId(config.require("backupVaultId"))
            .count(1)
            .destProjectIds(config.require("receiverProjectId"))
            .build());
        // A share that is managed elsewhere.
        var known = BackupShareMember.get("known", Output.of(config.require("knownShareId")), null, null);

        ctx.export("status", accepted.status());
        ctx.export("known", known.status());
        ctx.export("rolling", newest.backupIds());
        ctx.export("shared", found.applyValue(result -> result.members().size()));
    }
}
