"""The simulator against a client that nobody here wrote: Huawei Cloud's own SDK, in all members calls, signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from huaweicloudsdkcbr.v1 import (
    AddMemberRequest,
    AddMembersReq,
    CbrClient,
    DeleteMemberRequest,
    ListBackupsRequest,
    ShowBackupRequest,
    ShowMemberDetailRequest,
    ShowMembersDetailRequest,
    UpdateMember,
    UpdateMemberStatusRequest,
)
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region

from pulumi_cbr.simulator import Simulator

from .sdk import WARNINGS, connected

pytestmark = WARNINGS

Connect = Callable[..., Any]


@pytest.fixture
def connect(cbr_simulator: Simulator) -> Connect:
    """Return the SDK's client for a role, with its permanent or its temporary keys."""

    def make(role: str = "owner", **changed: str) -> Any:
        keys = cbr_simulator.access_key_env(role, temporary="HW_SECURITY_TOKEN" in changed) | changed
        return connected(keys)

    return make


def test_members_all_five_calls(cbr_simulator: Simulator, connect: Connect) -> None:
    owner, receiver = connect("owner"), connect("receiver")
    backup, (first, second, *_) = cbr_simulator.backups[0].id, cbr_simulator.projects

    added = owner.add_member(AddMemberRequest(backup, AddMembersReq([first, second])))
    assert [(m.dest_project_id, m.status, m.backup_id) for m in added.members] == [
        (first, "pending", backup),
        (second, "pending", backup),
    ]

    listed = owner.show_members_detail(
        ShowMembersDetailRequest(backup, status="pending", limit=1, offset=1, sort="id:asc")
    )
    assert (listed.count, len(listed.members)) == (2, 1)

    wanted = UpdateMember("accepted", cbr_simulator.vaults[0].id)
    accepted = receiver.update_member_status(UpdateMemberStatusRequest(member_id=first, backup_id=backup, body=wanted))
    assert (accepted.member.status, accepted.member.vault_id) == ("accepted", cbr_simulator.vaults[0].id)

    shown = owner.show_member_detail(ShowMemberDetailRequest(member_id=first, backup_id=backup))
    assert (shown.member.status, shown.member.id) == ("accepted", added.members[0].id)
    assert shown.member.updated_at is not None

    owner.delete_member(DeleteMemberRequest(member_id=first, backup_id=backup))
    assert set(cbr_simulator.members(backup)) == {second}
    assert {call.method for call in cbr_simulator.calls} == {"POST", "GET", "PUT", "DELETE"}


def test_backups_owner_and_receiver(cbr_simulator: Simulator, connect: Connect) -> None:
    backup = cbr_simulator.backups[3]
    cbr_simulator.share(backup.id, cbr_simulator.receiver.project_id)

    assert connect("owner").show_backup(ShowBackupRequest(backup.id)).backup.name == backup.name
    assert connect("owner").list_backups(ListBackupsRequest(name=backup.name)).count == 1
    shared = connect("receiver").list_backups(ListBackupsRequest(own_type="shared", member_status="pending"))
    assert [entry.id for entry in shared.backups] == [backup.id]


def test_temporary_keys(cbr_simulator: Simulator, connect: Connect) -> None:
    token = cbr_simulator.access_key_env("owner", temporary=True)["HW_SECURITY_TOKEN"]

    assert connect("owner", HW_SECURITY_TOKEN=token).list_backups(ListBackupsRequest()).count == 12
    with pytest.raises(ClientRequestException) as refused:
        connect("owner", HW_SECURITY_TOKEN="another").list_backups(ListBackupsRequest())
    assert refused.value.status_code == 401


@pytest.mark.parametrize(
    "changed",
    [{"HW_ACCESS_KEY": "UNKNOWN"}, {"HW_SECRET_KEY": "wrong"}, {"HW_PROJECT_ID": "0" * 32}],
    ids=["unknown key", "wrong secret", "project of another"],
)
def test_signature_refused(connect: Connect, changed: dict[str, str]) -> None:
    with pytest.raises(ClientRequestException) as refused:
        connect("owner", **changed).list_backups(ListBackupsRequest())

    assert (refused.value.status_code, refused.value.error_code) == (401, "APIGW.0301")


def test_signature_refused_when_clock_is_off(cbr_simulator: Simulator, connect: Connect) -> None:
    cbr_simulator.advance(16 * 60)

    with pytest.raises(ClientRequestException) as refused:
        connect().list_backups(ListBackupsRequest())

    assert "signature expired" in refused.value.error_msg


def test_add_refused_with_the_services_code(cbr_simulator: Simulator, connect: Connect) -> None:
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)

    with pytest.raises(ClientRequestException) as refused:
        connect().add_member(AddMemberRequest(backup, AddMembersReq([project])))

    assert (refused.value.status_code, refused.value.error_code) == (400, "BackupService.6703")
    assert project in refused.value.error_msg


def test_project_found_by_region_name(cbr_simulator: Simulator) -> None:
    keys = cbr_simulator.access_key_env("owner")
    credentials = BasicCredentials(keys["HW_ACCESS_KEY"], keys["HW_SECRET_KEY"]).with_iam_endpoint(cbr_simulator.url)
    builder = CbrClient.new_builder().with_credentials(credentials)
    client = builder.with_region(Region(keys["HW_REGION_NAME"], keys["CBR_ENDPOINT"])).build()

    assert client.list_backups(ListBackupsRequest(limit=2)).count == 12
    assert cbr_simulator.count("GET", "^/v3/projects$") == 1
