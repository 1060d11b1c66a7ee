"""Tests of a program in the first-class flavor, which looks up what it shares: the mock answers the look-up too."""

from __future__ import annotations

from typing import Any

import pulumi
from newest import share_newest

SERVER = "a8ddf3b8-e6fd-48d5-8e1d-35fe132f68f9"
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
BERLIN = "0123456789abcdef0123456789abcdef"


class Cloud(pulumi.runtime.Mocks):
    """Answers for the provider, in its spelling: camelCase."""

    def __init__(self, *backups: str) -> None:
        self.backups = backups

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ != "cbr:index:BackupShareMember":
            return args.name, args.inputs
        id_ = f"{args.inputs['backupId']}/{args.inputs['destProjectId']}"
        return id_, {**args.inputs, "shareId": f"share of {args.name}", "status": "pending"}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        assert args.token == "cbr:index:getBackups"
        assert args.args["resourceId"] == SERVER
        found = {
            "status": "available",
            "resourceType": "OS::Nova::Server",
            "resourceId": SERVER,
            "createdAt": "2026-11-26T02:00:00+00:00",
        }
        return {"backups": [{"id": backup, **found} for backup in self.backups]}


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_the_newest_backup_is_shared() -> Any:
    pulumi.runtime.set_mocks(Cloud(BACKUP))
    share = share_newest(SERVER, BERLIN)
    assert share

    def check(values: list[Any]) -> None:
        assert values == [f"{BACKUP}/{BERLIN}", "share of newest", "pending"]

    return pulumi.Output.all(share.id, share.share_id, share.status).apply(check)


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_a_server_without_a_backup_shares_nothing() -> None:
    pulumi.runtime.set_mocks(Cloud())
    assert share_newest(SERVER, BERLIN) is None
