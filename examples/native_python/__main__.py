"""Share a backup as its owner and accept it as the receiver, in one program: each signs in with settings of its own."""

import pulumi

import pulumi_cbr.native as cbr


def sign_in(role: str) -> cbr.Provider:
    """Give the provider of a role, from the stack's configuration: `pulumi config set owner:projectId ...`."""
    settings = pulumi.Config(role)
    return cbr.Provider(
        role,
        auth_url=pulumi.Config().require("authUrl"),
        region=pulumi.Config().require("region"),
        username=settings.require("username"),
        password=settings.require_secret("password"),
        user_domain_name=settings.require("userDomainName"),
        project_id=settings.require("projectId"),
    )


config = pulumi.Config()
owner, receiver = sign_in("owner"), sign_in("receiver")

share = cbr.BackupShareMember(
    "dr",
    backup_id=config.require("backupId"),
    dest_project_id=pulumi.Config("receiver").require("projectId"),
    opts=pulumi.ResourceOptions(provider=owner),
)

accepted = cbr.BackupShareAccepter(
    "dr-site",
    # An output of the share, so this is created after it and deleted before it.
    backup_id=share.backup_id,
    vault_id=config.require("vaultId"),
    opts=pulumi.ResourceOptions(provider=receiver, depends_on=[share]),
)

pulumi.export("share_id", share.share_id)
pulumi.export("status", accepted.status)
