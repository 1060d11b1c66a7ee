"""The shares of a stack's state, compared with those of the service."""

from __future__ import annotations

from typing import Any

import pytest

from pulumi_cbr.api import CbrError
from pulumi_cbr.shares.collect import Listing
from pulumi_cbr.shares.known import ManagedShare, managed_shares, mark
from pulumi_cbr.shares.model import Manager
from unit.shares.rows import BACKUP, MANAGER, OTHER_BACKUP, OTHER_PROJECT, OWN, PROJECT, make_share


def export(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": [{"type": "pulumi:pulumi:Stack", "urn": "s"}, *resources]}}


@pytest.mark.parametrize(
    ("prefix", "source"),
    [("pulumi-python:dynamic/cbr:", "source_project_id"), ("cbr:index:", "sourceProjectId")],
)
def test_managed_shares_of_all_kinds_and_flavors(prefix: str, source: str) -> None:
    found = managed_shares(
        export(
            {"type": f"{prefix}BackupShareMember", "urn": "m", "id": f"{BACKUP}/{PROJECT}", "outputs": {source: OWN}},
            {
                "type": f"{prefix}BackupShare",
                "urn": "s",
                "id": OTHER_BACKUP,
                "outputs": {source: OWN, "members": {PROJECT: {}, OTHER_PROJECT: {}}},
            },
            {"type": f"{prefix}BackupShareAccepter", "urn": "a", "id": f"{BACKUP}/{OWN}", "outputs": {}},
        ),
        "prod",
    )
    assert [(share.backup_id, share.dest_project_id, share.received, share.own_project_id) for share in found] == [
        (BACKUP, PROJECT, False, OWN),
        (OTHER_BACKUP, PROJECT, False, OWN),
        (OTHER_BACKUP, OTHER_PROJECT, False, OWN),
        (BACKUP, OWN, True, OWN),
    ]
    assert found[0].manager == Manager("prod", "m")


def test_managed_shares_leave_out_what_is_only_read() -> None:
    read = {"type": "cbr:index:BackupShareMember", "urn": "m", "id": f"{BACKUP}/{PROJECT}", "external": True}
    other = {"type": "aws:s3:Bucket", "urn": "b", "id": "x"}
    assert managed_shares(export(read, other), "prod") == []
    assert managed_shares({"deployment": None}, "prod") == []


def test_managed_shares_refuse_a_secret_set() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:"}
    entry = {"type": "cbr:index:BackupShare", "urn": "urn:s", "id": BACKUP, "outputs": {"members": secret}}
    with pytest.raises(CbrError, match="reading urn:s failed: its members are a secret"):
        managed_shares(export(entry), "prod")


def listing(**changes: Any) -> Listing:
    fields: dict[str, Any] = {
        "cloud": None,
        "project_id": OWN,
        "received": False,
        "shares": (make_share(),),
        "backup_ids": frozenset({BACKUP}),
        "complete": frozenset({BACKUP}),
    }
    return Listing(**{**fields, **changes})


def managed(project: str, *, backup: str = BACKUP, received: bool = False, source: str | None = OWN) -> ManagedShare:
    return ManagedShare(backup, project, received, source, MANAGER)


def test_mark_tells_managed_unmanaged_and_gone() -> None:
    marked = mark([listing()], [managed(PROJECT), managed(OTHER_PROJECT), managed(PROJECT, backup=OTHER_BACKUP)])
    assert [(share.backup_id, share.dest_project_id, share.status, share.known) for share in marked] == [
        (BACKUP, PROJECT, "accepted", "managed"),
        (BACKUP, OTHER_PROJECT, "gone", "gone"),
        (OTHER_BACKUP, PROJECT, "gone", "gone"),
    ]
    assert [share.known for share in mark([listing()], [])] == ["unmanaged"]


def test_mark_names_every_stack_that_manages_a_share() -> None:
    twice = ManagedShare(BACKUP, PROJECT, False, OWN, Manager("test", "urn::b"))
    (share,) = mark([listing()], [managed(PROJECT), twice])
    assert [str(manager) for manager in share.managed_by or ()] == ["prod/dr", "test/b"]


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        # Another project's share, one of an unknown project, one whose backup nobody asked about, and the other side's.
        (managed(OTHER_PROJECT, source=PROJECT), {}),
        (managed(OTHER_PROJECT, source=None), {}),
        (managed(OTHER_PROJECT), {"complete": frozenset()}),
        (managed(OTHER_PROJECT, backup=OTHER_BACKUP), {"backup_ids": None}),
        (managed(OWN, received=True), {}),
    ],
)
def test_mark_calls_nothing_gone_that_was_not_listed(entry: ManagedShare, changes: dict[str, Any]) -> None:
    assert [share.status for share in mark([listing(**changes)], [entry])] == ["accepted"]


def test_mark_compares_accepters_with_what_is_received() -> None:
    received = listing(received=True, shares=(make_share(received=True, dest_project_id=OWN),), complete=frozenset())
    marked = mark([received], [managed(OWN, received=True), managed(OWN, backup=OTHER_BACKUP, received=True)])
    assert [(share.backup_id, share.known) for share in marked] == [(BACKUP, "managed"), (OTHER_BACKUP, "gone")]
