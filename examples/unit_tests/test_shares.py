"""Tests of the program with `pulumi.runtime.set_mocks`: no cloud, no engine, no state, and a second for all."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from shares import NightlyShares

BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
BERLIN = "0123456789abcdef0123456789abcdef"
PARIS = "fedcba9876543210fedcba9876543210"


class Cloud(pulumi.runtime.Mocks):
    """Answers for the service: every share is made, and Paris accepts at once."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.typ.endswith("cbr:BackupShareMember"):
            return args.name, args.inputs
        self.made[args.name] = args.inputs
        status = "accepted" if args.inputs["dest_project_id"] == PARIS else "pending"
        id_ = f"{args.inputs['backup_id']}/{args.inputs['dest_project_id']}"
        return id_, {**args.inputs, "share_id": f"share of {args.name}", "status": status}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(f"the program calls {args.token}")


@pytest.fixture
def cloud() -> Cloud:
    cloud = Cloud()
    pulumi.runtime.set_mocks(cloud, preview=False)
    return cloud


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_each_site_gets_the_backup(cloud: Cloud) -> Any:
    nightly = NightlyShares("nightly", BACKUP, {"berlin": BERLIN, "paris": PARIS}, production=["paris"])

    def check(values: dict[str, Any]) -> None:
        assert values["ids"] == [f"{BACKUP}/{BERLIN}", f"{BACKUP}/{PARIS}"]
        assert values["waiting"] == ["berlin"]
        assert set(cloud.made) == {"nightly-berlin", "nightly-paris"}
        assert all(inputs["reshare_if_rejected"] is True for inputs in cloud.made.values())

    ids = pulumi.Output.all(*(share.id for share in nightly.shares.values()))
    return pulumi.Output.all(ids=ids, waiting=nightly.waiting).apply(check)


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_a_backup_that_another_resource_makes(cloud: Cloud) -> Any:
    """Inputs may be outputs; the tested program sees them resolved."""
    nightly = NightlyShares("nightly", pulumi.Output.from_input(BACKUP), {"berlin": BERLIN}, production=[])

    def check(values: list[Any]) -> None:
        assert values == [BACKUP, BERLIN, "share of nightly-berlin"]

    berlin = nightly.shares["berlin"]
    return pulumi.Output.all(berlin.backup_id, berlin.dest_project_id, berlin.share_id).apply(check)
