"""A component: the newest backups of a server, each shared with the same projects."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

import pulumi_cbr as cbr


class SharedServer(pulumi.ComponentResource):
    """Shares the newest backups of one server with one to ten projects."""

    backup_ids: pulumi.Output[list[str]]
    """The backups that are shared, the newest first."""

    def __init__(
        self,
        name: str,
        server_id: str,
        dest_project_ids: Sequence[pulumi.Input[str]],
        *,
        newest: int = 1,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("example:index:SharedServer", name, None, opts)
        backups = cbr.get_backups(resource_id=server_id, status="available", newest_first=True, limit=newest)
        shares = [
            cbr.BackupShare(
                f"{name}-{backup.id}",
                backup_id=backup.id,
                dest_project_ids=dest_project_ids,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for backup in backups
        ]
        self.backup_ids = pulumi.Output.all(*(share.backup_id for share in shares))
        self.register_outputs({"backup_ids": self.backup_ids})


config = pulumi.Config()
server = SharedServer(
    "web", config.require("server_id"), config.require_object("dest_project_ids"), newest=config.get_int("newest") or 1
)

pulumi.export("backup_ids", server.backup_ids)
