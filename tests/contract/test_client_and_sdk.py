"""Our client and Huawei Cloud's own SDK, side by side: the same calls, and the same reading of the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from huaweicloudsdkcbr.v1 import (
    AddMemberRequest,
    AddMembersReq,
    DeleteMemberRequest,
    ListBackupsRequest,
    ShowBackupRequest,
    ShowMemberDetailRequest,
    ShowMembersDetailRequest,
    UpdateMember,
    UpdateMemberStatusRequest,
)
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError, ServiceError, UnknownOutcomeError
from pulumi_cbr.api.models import Backup, Member
from pulumi_cbr.api.settings import load
from pulumi_cbr.simulator import Simulator

from .sdk import WARNINGS, connected

pytestmark = WARNINGS

VARIABLES = {
    "accessKey": "HW_ACCESS_KEY",
    "secretKey": "HW_SECRET_KEY",
    "securityToken": "HW_SECURITY_TOKEN",
    "region": "HW_REGION_NAME",
    "projectId": "HW_PROJECT_ID",
    "endpoint": "CBR_ENDPOINT",
}


def sdk(simulator: Simulator, role: str = "owner") -> Any:
    return connected(simulator.access_key_env(role))


def ours(simulator: Simulator, role: str = "owner", *, temporary: bool = False) -> CbrClient:
    keys = simulator.access_key_env(role, temporary=temporary)
    return CbrClient(load(lambda name: keys.get(VARIABLES.get(name, ""))))


@pytest.fixture
def twins() -> Iterator[tuple[Simulator, Simulator]]:
    """Serve two that answer alike: the SDK changes the one, our client the other."""
    now = datetime.now(timezone.utc).timestamp()
    with Simulator(7, now=lambda: now) as one, Simulator(7, now=lambda: now) as other:
        yield one, other


def instant(text: Any) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text if text is None or text.tzinfo else text.replace(tzinfo=timezone.utc)
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def member(read: Any) -> Member:
    """Return what the SDK read as our model."""
    return Member(
        id=read.id,
        status=read.status,
        backup_id=read.backup_id,
        dest_project_id=read.dest_project_id,
        created_at=instant(read.created_at) or datetime.min,
        updated_at=instant(read.updated_at),
        vault_id=read.vault_id,
        image_id=read.image_id,
    )


def backup(read: Any) -> Backup:
    return Backup(
        id=read.id,
        status=read.status,
        resource_type=read.resource_type,
        resource_id=read.resource_id,
        created_at=instant(read.created_at) or datetime.min,
        name=read.name,
        resource_name=read.resource_name,
        vault_id=read.vault_id,
        project_id=read.project_id,
        image_type=read.image_type,
        encrypted=read.extend_info.encrypted,
    )


def requests_of(simulator: Simulator) -> list[tuple[str, str, int]]:
    return [(call.method, call.path, call.status) for call in simulator.calls]


def test_the_five_calls_of_members(twins: tuple[Simulator, Simulator]) -> None:
    one, other = twins
    shared, (project, second, *_), vault = one.backups[0].id, one.projects, one.vaults[0].id

    added = sdk(one).add_member(AddMemberRequest(shared, AddMembersReq([project, second]))).members
    assert ours(other).add_members(shared, [project, second]) == tuple(member(read) for read in added)

    accepting = UpdateMemberStatusRequest(member_id=project, backup_id=shared, body=UpdateMember("accepted", vault))
    accepted = sdk(one, "receiver").update_member_status(accepting).member
    assert ours(other, "receiver").update_member(shared, project, "accepted", vault_id=vault) == member(accepted)
    assert accepted.vault_id == vault

    one.register_image(shared, project)
    other.register_image(shared, project)
    shown = sdk(one).show_member_detail(ShowMemberDetailRequest(member_id=project, backup_id=shared)).member
    assert ours(other).show_member(shared, project) == member(shown)
    assert shown.image_id

    listed = sdk(one).show_members_detail(ShowMembersDetailRequest(shared)).members
    assert set(ours(other).list_members(shared)) == {member(read) for read in listed}

    sdk(one).delete_member(DeleteMemberRequest(member_id=second, backup_id=shared))
    ours(other).delete_member(shared, second)

    assert one.members(shared).keys() == other.members(shared).keys() == {project}
    assert requests_of(one) == requests_of(other)


def test_backups(twins: tuple[Simulator, Simulator]) -> None:
    one, other = twins
    first = one.backups[0].id
    assert ours(other).show_backup(first) == backup(sdk(one).show_backup(ShowBackupRequest(first)).backup)
    assert list(ours(other).list_backups()) == [
        backup(read) for read in sdk(one).list_backups(ListBackupsRequest()).backups
    ]
    assert requests_of(one) == requests_of(other)


@pytest.mark.parametrize(
    ("filters", "request_of"),
    [
        ({"status": "pending"}, {"status": "pending"}),
        ({"sort": "dest_project_id:asc"}, {"sort": "dest_project_id:asc"}),
        ({"status": "accepted"}, {"status": "accepted"}),
    ],
)
def test_filters(twins: tuple[Simulator, Simulator], filters: dict[str, str], request_of: dict[str, str]) -> None:
    one, _ = twins
    shared = one.backups[0].id
    for project in one.projects[:3]:
        one.share(shared, project)
    one.accept(shared, one.projects[0])
    listed = sdk(one).show_members_detail(ShowMembersDetailRequest(shared, **request_of)).members
    assert ours(one).list_members(shared, **filters) == tuple(member(read) for read in listed)


REFUSALS: dict[str, Callable[[Simulator], tuple[Callable[[], object], Callable[[], object]]]] = {
    "shared already": lambda s: (
        lambda: sdk(s).add_member(AddMemberRequest(s.backups[0].id, AddMembersReq([s.projects[0]]))),
        lambda: ours(s).add_members(s.backups[0].id, [s.projects[0]]),
    ),
    "no such member": lambda s: (
        lambda: sdk(s).show_member_detail(ShowMemberDetailRequest(member_id=s.projects[5], backup_id=s.backups[0].id)),
        lambda: ours(s).show_member(s.backups[0].id, s.projects[5]),
    ),
    "no such backup": lambda s: (
        lambda: sdk(s).show_backup(ShowBackupRequest("0" * 8 + "-0000-0000-0000-" + "0" * 12)),
        lambda: ours(s).show_backup("0" * 8 + "-0000-0000-0000-" + "0" * 12),
    ),
    "receiver has no right": lambda s: (
        lambda: sdk(s, "receiver").delete_member(
            DeleteMemberRequest(member_id=s.projects[0], backup_id=s.backups[0].id)
        ),
        lambda: ours(s, "receiver").delete_member(s.backups[0].id, s.projects[0]),
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(what: str, twins: tuple[Simulator, Simulator]) -> None:
    one, _ = twins
    one.share(one.backups[0].id, one.projects[0])
    by_sdk, by_us = REFUSALS[what](one)

    with pytest.raises(ClientRequestException) as theirs:
        by_sdk()
    with pytest.raises(CbrError) as raised:
        by_us()

    # A DELETE that the backup's GET contradicts has an unknown result.
    error = raised.value.__cause__ if isinstance(raised.value, UnknownOutcomeError) else raised.value
    assert isinstance(error, ServiceError)
    assert (error.status, error.code) == (theirs.value.status_code, theirs.value.error_code)
    # Ours adds what a look at the backup says.
    assert error.said.startswith(theirs.value.error_msg.removesuffix("."))
    assert error.request_id
    assert theirs.value.request_id


def test_temporary_keys(twins: tuple[Simulator, Simulator]) -> None:
    one, _ = twins
    assert len(list(ours(one, temporary=True).list_backups())) == len(one.backups)
