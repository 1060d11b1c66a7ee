"""The decisions of the components: which backups are in a window, which shares are to be accepted, and a month of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pulumi
import pytest

from faults.bare_engine import Hooks, Resource, Run
from protocol.plugin import HookFailed
from pulumi_cbr.api import Backup, CbrClient, CbrError, Member, load
from pulumi_cbr.api.models import UNKNOWN_TIME
from pulumi_cbr.simulator import Fault, Simulator
from pulumi_cbr.window import check_window, find_acceptable, find_window

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
OWNER, OTHER_OWNER = "a" * 32, "b" * 32
VAULT, OTHER_VAULT = "0ddb0e92-50b2-49d4-bd57-35b378502536", "1ddb0e92-50b2-49d4-bd57-35b378502536"


def make_backup(name: str, days: float = 0, **changes: Any) -> Backup:
    fields: dict[str, Any] = {"status": "available", "resource_type": "OS::Nova::Server", "resource_id": "s"}
    return Backup(id=name, created_at=NOW - timedelta(days=days), **{**fields, **changes})


class Service:
    """Backups that are found as the API finds them; counts what was read."""

    def __init__(self, *backups: Backup) -> None:
        self.backups = sorted(backups, key=lambda backup: backup.created_at, reverse=True)
        self.read: list[str] = []

    def find(self, *, limit: int | None = None, newest_first: bool = False, **filters: str | None) -> Iterable[Backup]:
        found = 0
        for backup in self.backups:
            if all(value in (None, getattr(backup, name)) for name, value in filters.items()) and found != limit:
                found += 1
                self.read.append(backup.id)
                yield backup


def chosen(service: Service, **window: Any) -> list[str]:
    arguments = {"servers": ["s"], "vault_id": None, "count": None, "max_age": None, **window}
    return [backup.id for backup in find_window(service.find, now=NOW, **arguments)]


def test_window_has_newest_available_of_each_server() -> None:
    service = Service(
        *(make_backup(f"s{days}", days) for days in range(4)),
        make_backup("new", -1, status="creating"),
        make_backup("t", 9, resource_id="t"),
    )
    assert chosen(service, servers=["s", "t"], count=2) == ["s0", "s1", "t"]
    assert chosen(service, servers=None, vault_id=None, count=5) == ["s0", "s1", "s2", "s3", "t"]
    assert chosen(service, servers=["s", "s"], count=1) == ["s0"]


def test_window_keeps_a_backup_that_is_busy() -> None:
    """Its share would be deleted in the middle of a restore."""
    service = Service(
        make_backup("new", 0, status="protecting"),
        make_backup("restored", 1, status="restoring"),
        make_backup("failed", 2, status="error"),
        make_backup("leaves", 3, status="deleting"),
        make_backup("old", 4),
        make_backup("older", 5),
    )
    assert chosen(service, count=2) == ["restored", "old"]
    assert chosen(service, max_age="4d") == ["restored", "old"]
    assert chosen(service, count=9) == ["restored", "old", "older"]


@pytest.mark.parametrize("status", ["creating", "protecting", "waiting_protect", "error", "deleting", "waiting_delete"])
def test_window_leaves_out_what_is_not_finished(status: str) -> None:
    assert chosen(Service(make_backup("b", status=status)), count=1) == []


def test_window_by_age_refuses_a_backup_without_time() -> None:
    """It would end the window, and the shares of all backups after it would be deleted."""
    service = Service(make_backup("a", 1), make_backup("b", 3))
    service.backups.insert(1, replace(make_backup("odd"), created_at=UNKNOWN_TIME))
    with pytest.raises(CbrError, match=r"when backup odd was made\. Nothing was changed\. Limit the window by"):
        chosen(service, max_age="7d")
    assert chosen(service, count=3) == ["a", "odd", "b"]


def test_window_ends_with_age_and_reads_no_further() -> None:
    service = Service(*(make_backup(f"s{days}", days) for days in range(9)))
    assert chosen(service, max_age="2d") == ["s0", "s1", "s2"]
    assert service.read[-1] == "s3"
    assert chosen(service, max_age=86400, count=9) == ["s0", "s1"]
    assert chosen(service, max_age="9d", count=2) == ["s0", "s1"]


def test_window_of_server_without_backups_is_refused() -> None:
    with pytest.raises(CbrError, match="t has no backup"):
        chosen(Service(make_backup("s")), servers=["s", "t"], count=1)
    # One that is being made is no mistake.
    assert chosen(Service(make_backup("s", status="creating")), count=1) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"servers": None}, "needs servers"),
        ({"servers": []}, "needs servers"),
        ({"servers": "s"}, "needs servers"),
        ({"servers": [pulumi.Output.from_input("s")]}, "servers must be plain text"),
        ({"vault_id": pulumi.Output.from_input(VAULT)}, "vault_id must be plain text"),
        ({"count": None}, "needs count or max_age"),
        ({"count": 0}, "count must be a whole number"),
        ({"count": True}, "count must be a whole number"),
        ({"count": 1.5}, "count must be a whole number"),
        ({"max_age": "soon"}, "max_age must be seconds"),
        # The window would be empty, and all shares would be deleted.
        ({"max_age": 0}, "max_age must be seconds above 0"),
        ({"max_age": "0d"}, "max_age must be seconds above 0"),
        ({"accept_into": VAULT, "dest_project_ids": ["a", "b"]}, "exactly one"),
    ],
)
def test_check_window_refuses_with_one_line(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"servers": ["s"], "vault_id": None, "count": 1, "max_age": None}
    arguments |= {"dest_project_ids": ["a"], "accept_into": None}
    check_window(**arguments)
    with pytest.raises(CbrError, match=message):
        check_window(**{**arguments, **changes})


def accepted(*vault_ids: str | None) -> tuple[Member, ...]:
    return tuple(Member("m", "accepted", "b", "p", NOW, vault_id=vault_id) for vault_id in vault_ids)


def test_find_acceptable_takes_what_the_owners_share() -> None:
    shared = {
        "pending": [make_backup("new", project_id=OWNER), make_backup("foreign", project_id=OTHER_OWNER)],
        "accepted": [
            make_backup("ours", project_id=OWNER, members=accepted(VAULT)),
            make_backup("untold", project_id=OWNER),
            make_backup("elsewhere", project_id=OWNER, members=accepted(OTHER_VAULT)),
        ],
    }

    def find(*, own_type: str, member_status: str) -> Iterable[Backup]:
        assert own_type == "shared"
        return shared[member_status]

    warnings: list[str] = []
    found = find_acceptable(find, VAULT.upper(), [OWNER.upper()], warnings.append)
    assert [backup.id for backup in found] == ["ours", "untold", "new"]
    (warning,) = warnings
    assert "leaves out 1 share in another vault" in warning
    assert "backup elsewhere" in warning


def test_find_acceptable_believes_no_single_empty_list() -> None:
    """All that was accepted would be rejected."""
    accepted, pending = (make_backup(name, project_id=OWNER) for name in ("accepted", "pending"))
    lists = iter([[], [accepted], [pending]])
    found = find_acceptable(lambda **filters: next(lists), VAULT, [OWNER], print)
    assert [backup.id for backup in found] == ["accepted", "pending"]
    assert find_acceptable(lambda **filters: [], VAULT, [OWNER], print) == []


@pytest.mark.parametrize(("vault", "owner"), [(VAULT, OWNER[1:]), (VAULT[1:], OWNER)])
def test_find_acceptable_refuses_a_mistyped_id(vault: str, owner: str) -> None:
    with pytest.raises(CbrError, match="must be a"):
        find_acceptable(lambda **filters: (), vault, [owner], print)


def test_find_acceptable_needs_the_owner_of_each_backup() -> None:
    """An acceptance would be rejected if a response once lacks the field."""
    with pytest.raises(CbrError, match="does not tell the owner of backup b"):
        find_acceptable(lambda **filters: [make_backup("b")], VAULT, [OWNER], print)


@pytest.mark.parametrize(
    "arguments", [{"servers": [""]}, {"servers": ["s", " "]}, {"vault_id": ""}, {"servers": ["s"], "vault_id": ""}]
)
def test_check_window_refuses_an_empty_id(arguments: dict[str, Any]) -> None:
    given: dict[str, Any] = {"servers": None, "vault_id": None, **arguments}
    with pytest.raises(CbrError, match=r"has an empty ID|needs servers"):
        check_window(**given, count=3, max_age=None, dest_project_ids=[OWNER], accept_into=None)


@pytest.mark.parametrize("limit", [{"count": 3, "max_age": None}, {"count": None, "max_age": "9d"}])
@pytest.mark.parametrize(
    ("servers", "vault_id", "wanted", "other"),
    [
        (["wanted"], None, {"resource_id": "WANTED"}, {"resource_id": "other"}),
        (None, "wanted", {"vault_id": "WANTED"}, {"vault_id": "other"}),
    ],
)
def test_find_window_refuses_backups_that_it_did_not_ask_for(
    servers: list[str] | None,
    vault_id: str | None,
    wanted: dict[str, Any],
    other: dict[str, Any],
    limit: dict[str, Any],
) -> None:
    """A service that ignores the filter: the backups of any server would be shared. The first may fit by chance."""
    backups = [make_backup("a", **wanted), make_backup("b", **other)]
    with pytest.raises(CbrError, match="listed backup b of other among those of wanted"):
        find_window(lambda **filters: backups, servers, vault_id, now=NOW, **limit)
    assert find_window(lambda **filters: backups[:1], servers, vault_id, now=NOW, **limit) == backups[:1]


def test_find_acceptable_in_a_vault_in_capitals_is_found() -> None:
    """Its acceptance would be rejected."""
    member = {
        "id": "m",
        "status": "accepted",
        "backup_id": VAULT,
        "dest_project_id": "c" * 32,
        "vault_id": VAULT.upper(),
    }
    backup = Backup.from_dict({"id": VAULT, "project_id": OWNER.upper(), "members": [member]})
    assert find_acceptable(lambda **filters: [backup], VAULT, [OWNER], pytest.fail) == [backup]


@pytest.mark.parametrize("owners", [[], OWNER])
def test_find_acceptable_refuses_a_list_of_nobody(owners: Any) -> None:
    with pytest.raises(CbrError, match="needs source_project_ids"):
        find_acceptable(lambda: (), VAULT, owners, print)


@pytest.mark.parametrize(
    ("status", "vault", "is_found"),
    [("pending", None, True), ("accepted", VAULT, True), ("accepted", OTHER_VAULT, False), ("rejected", None, False)],
)
def test_find_acceptable_trusts_a_member_over_its_list(status: str, vault: str | None, is_found: bool) -> None:
    """A service that ignores `member_status` lists what was rejected too."""
    backup = make_backup("b", project_id=OWNER, members=(Member("m", status, "b", "p", NOW, vault_id=vault),))
    assert bool(find_acceptable(lambda **filters: [backup], VAULT, [OWNER], print)) is is_found


def test_find_acceptable_contradicting_lists_are_refused() -> None:
    with pytest.raises(CbrError, match="listed as accepted and as pending"):
        find_acceptable(lambda **filters: [make_backup("b", project_id=OWNER)], VAULT, [OWNER], print)
    # What others share does not matter.
    assert find_acceptable(lambda **filters: [make_backup("b", project_id=OTHER_OWNER)], VAULT, [OWNER], print) == []


@pytest.mark.parametrize("name", ["vault_id", "source_project_ids"])
def test_find_acceptable_refuses_outputs_of_resources(name: str) -> None:
    arguments: dict[str, Any] = {"vault_id": VAULT, "source_project_ids": [OWNER]}
    arguments[name] = pulumi.Output.from_input(arguments[name])
    with pytest.raises(CbrError, match=f"{name} must be plain text"):
        find_acceptable(lambda **filters: (), **arguments, warn=print)


class Month:
    """Daily runs of an owner and of a receiver, each with a state of its own."""

    def __init__(self, simulator: Simulator, environment: pytest.MonkeyPatch, vault_id: str) -> None:
        self.simulator = simulator
        self.environment = environment
        self.vault_id = vault_id
        self.states: dict[str, dict[str, Resource]] = {"owner": {}, "receiver": {}}

    def sign_in(self, role: str) -> CbrClient:
        for name, value in self.simulator.env(role).items():
            self.environment.setenv(name, value)
        return CbrClient(load())

    def run(self, role: str, declared: dict[str, Resource]) -> bool:
        """Create what is new, delete what is no longer declared; return whether all succeeded."""
        state, hooks, succeeded = self.states[role], Run({"maxRetries": "0"}), True
        for name in (*declared, *[name for name in state if name not in declared]):
            succeeded = self._step(hooks, state, name, declared.get(name)) and succeeded
        return succeeded

    @staticmethod
    def _step(hooks: Hooks, state: dict[str, Resource], name: str, declared: Resource | None) -> bool:
        resource = state.get(name) or declared
        assert resource
        try:
            if declared:
                resource.up(hooks)
                state[name] = resource
            else:
                resource.destroy(hooks)
                del state[name]
        except HookFailed:
            return False
        return True

    def share(self, now: datetime) -> bool:
        """Run the owner's program: the three newest of the vault, and none older than five hours."""
        client, receiver = self.sign_in("owner"), self.simulator.receiver.project_id
        window = find_window(_finder(client), None, self.simulator.backups[0].vault_id, 3, "5h", now)
        share = {
            backup.id: Resource("BackupShareMember", backup_id=backup.id, dest_project_id=receiver) for backup in window
        }
        return self.run("owner", share)

    def accept(self) -> bool:
        """Run the receiver's program: accept what the owner shares."""
        client = self.sign_in("receiver")
        found = find_acceptable(_finder(client), self.vault_id, [self.simulator.owner.project_id], print)
        accept = {
            backup.id: Resource("BackupShareAccepter", backup_id=backup.id, vault_id=self.vault_id) for backup in found
        }
        return self.run("receiver", accept)


def _finder(client: CbrClient) -> Any:
    def find(*, limit: int | None = None, newest_first: bool = False, **filters: str | None) -> list[Backup]:
        order = {"sort": "created_at:desc"} if newest_first else {}
        return list(client.list_backups(**filters, **order))[:limit]

    return find


def test_window_over_a_month_shares_the_newest_and_nothing_else(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator's backups are an hour apart: each hour is a day here. On some days, a part of the service fails."""
    with Simulator(backups=31) as simulator:
        backups = simulator.backups
        for backup in backups:
            simulator.set_backup(backup.id, status="creating")
        foreign = {backup.id: simulator.projects[5] for backup in backups[3::7]}
        month = Month(simulator, monkeypatch, simulator.vaults[0].id)
        failing = {
            5: Fault("status_before", "POST", "/members$", times=None),
            11: Fault("status_before", "PUT", "/members/", times=None),
            17: Fault("reset_after", "POST", "/members$", times=None),
            22: Fault("status_before", "DELETE", "/members/", times=None),
            27: Fault("status_before", "*", "/backups$", times=None),
        }
        for day, today in enumerate(backups):
            simulator.set_backup(today.id, status="available")
            if today.id in foreign:
                simulator.share(today.id, foreign[today.id])
            if day >= 12:
                # Retention deletes a backup that left the window long ago, and one day one that is in it.
                simulator.delete_backup(backups[day - 1 if day == 20 else day - 12].id)
            if day in failing:
                simulator.faults.add(failing[day])
            now = datetime.fromtimestamp(today.created_at, timezone.utc)
            went_well = _run_day(month, now)
            assert went_well is (day not in failing or day == 17), day
            simulator.faults.clear()
            if day not in failing or day == 17:
                _assert_day(month, now, foreign)


def _run_day(month: Month, now: datetime) -> bool:
    try:
        shared = month.share(now)
        return month.accept() and shared
    except CbrError:
        return False


def _assert_day(month: Month, now: datetime, foreign: dict[str, str]) -> None:
    simulator, receiver = month.simulator, month.simulator.receiver.project_id
    available = [backup for backup in simulator.backups if backup.status == "available"]
    newest = sorted(available, key=lambda backup: backup.created_at)[-3:]
    expected = {backup.id for backup in newest if backup.created_at >= now.timestamp() - 5 * 3600}
    members = {backup.id: simulator.members(backup.id) for backup in simulator.backups}
    assert {backup_id for backup_id in members if receiver in members[backup_id]} == expected
    assert {members[backup_id][receiver].status for backup_id in expected} <= {"accepted"}
    others = {backup_id: project for backup_id in members for project in members[backup_id] if project != receiver}
    there = {backup.id for backup in available}
    assert others == {backup_id: project for backup_id, project in foreign.items() if backup_id in there}
