"""The listing of shares: its calls, and how many are made at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from pulumi_cbr.api import Backup, CbrClient, CbrError, Member, load
from pulumi_cbr.shares.collect import Listing, Source, list_own, list_received
from pulumi_cbr.shares.select import Filters
from pulumi_cbr.simulator import Fault, Simulator
from unit.shares.rows import NOW
from unit.signing_in import sign_in
from waiting import PATIENCE, Gate, wait_until


def own(client: Any, filters: Filters | None = None, *, whole: bool = False) -> Listing:
    with ThreadPoolExecutor(8) as pool:
        return list_own(Source("a", client), filters or Filters(), pool, lambda done, total: None, whole=whole)


def received(client: Any, filters: Filters | None = None, *, details: Collection[str] = ()) -> Listing:
    with ThreadPoolExecutor(8) as pool:
        return list_received(
            Source(None, client), filters or Filters(), pool, lambda done, total: None, whole=False, details=details
        )


@pytest.fixture
def owner(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> CbrClient:
    sign_in(monkeypatch, cbr_simulator.env())
    return CbrClient(load())


@pytest.fixture
def receiver(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> CbrClient:
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    return CbrClient(load())


def test_list_own_asks_once_for_each_backup(cbr_simulator: Simulator, owner: CbrClient) -> None:
    backup, project = cbr_simulator.backups[3], cbr_simulator.projects[0]
    cbr_simulator.share(backup.id, project, "accepted")
    listing = own(owner)
    (share,) = listing.shares
    record = cbr_simulator.members(backup.id)[project]
    assert (share.backup_id, share.dest_project_id, share.status) == (backup.id, project, "accepted")
    assert (share.cloud, share.backup_name, share.server_name) == ("a", backup.name, backup.resource_name)
    assert (share.vault_id, share.dest_vault_id, share.share_id) == (backup.vault_id, record.vault_id, record.id)
    assert share.source_project_id == listing.project_id == cbr_simulator.owner.project_id
    backup_ids = frozenset(entry.id for entry in cbr_simulator.backups)
    assert (listing.backup_ids, listing.complete) == (backup_ids, backup_ids)
    assert cbr_simulator.count("GET", "/backups$") == 1
    assert cbr_simulator.count("GET", "/members$") == 12


def test_list_own_has_no_time_where_none_is_told(cbr_simulator: Simulator, owner: CbrClient) -> None:
    backup, project = cbr_simulator.backups[3], cbr_simulator.projects[0]
    cbr_simulator.share(backup.id, project)
    cbr_simulator.faults.add(Fault("field_value", "GET", "", field="created_at", body="yesterday", times=None))
    (share,) = own(owner).shares
    assert (share.shared_at, share.backup_created_at) == (None, None)
    # What has no age is not older than anything.
    assert not Filters(older_than=timedelta()).match(share, NOW)


def test_list_own_lists_members_only_of_what_may_match(cbr_simulator: Simulator, owner: CbrClient) -> None:
    backup = cbr_simulator.backups[3]
    there = [entry for entry in cbr_simulator.backups if entry.resource_id == backup.resource_id]
    listing = own(owner, Filters(servers=(backup.resource_name.upper(),)))
    assert listing.complete == {entry.id for entry in there}
    assert cbr_simulator.count("GET", "/members$") == len(there) < 12
    assert len(listing.backup_ids or ()) == 12


class CountingPool(ThreadPoolExecutor):
    """A pool that counts what it was given."""

    submitted = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(*args, **kwargs)
        self.submitted += 1
        return future


def test_list_own_ends_if_its_calls_are_cancelled(cbr_simulator: Simulator, owner: CbrClient) -> None:
    """Another project could not be listed: nobody waits for what has not begun."""
    pool = CountingPool(1)
    with ThreadPoolExecutor(1) as thread, Gate(cbr_simulator, "GET", "/members$") as gate:
        listing = thread.submit(list_own, Source("a", owner), Filters(), pool, lambda done, total: None, whole=False)
        wait_until(lambda: gate.held and pool.submitted == len(cbr_simulator.backups))
        pool.shutdown(wait=False, cancel_futures=True)
        gate.open()
        assert isinstance(listing.exception(PATIENCE), CancelledError)


@pytest.mark.parametrize("whole", [False, True])
def test_list_own_lets_the_service_filter_a_server(cbr_simulator: Simulator, owner: CbrClient, whole: bool) -> None:
    server = cbr_simulator.backups[3].resource_id
    listing = own(owner, Filters(servers=(server,)), whole=whole)
    (call,) = (call for call in cbr_simulator.calls if call.path.endswith("/backups"))
    assert parse_qs(call.query).get("resource_id") == (None if whole else [server])
    assert parse_qs(call.query)["limit"] == ["1000"]
    # A comparison with stacks needs to know every backup.
    assert (listing.backup_ids is None) is not whole


def test_list_own_passes_over_a_backup_that_goes_meanwhile(cbr_simulator: Simulator, owner: CbrClient) -> None:
    gone = cbr_simulator.backups[0].id
    listed = owner.list_members

    def list_members(backup_id: str, **filters: str | None) -> tuple[Member, ...]:
        if backup_id == gone:
            cbr_simulator.delete_backup(gone)
        return listed(backup_id, **filters)

    owner.list_members = list_members  # type: ignore[method-assign]
    assert gone not in own(owner).complete


def test_list_own_raises_what_the_service_refuses(cbr_simulator: Simulator, owner: CbrClient) -> None:
    cbr_simulator.deny("cbr:member:list")
    with pytest.raises(CbrError, match="cbr:member:list"):
        own(owner)


class TellingClient:
    """A service that returns members with its backups, but for those in `hides`."""

    def __init__(self, hides: int = 0) -> None:
        self.calls: list[str] = []
        self.members = {
            f"b{number}": tuple(
                Member(f"s{number}{project}", "pending", f"b{number}", project, NOW) for project in "pq"[: number % 3]
            )
            for number in range(30)
        }
        self.hides = hides

    def project_id(self) -> str:
        return "own"

    def service_now(self) -> datetime:
        return NOW + timedelta(days=1)

    def list_backups(self, page_size: int, /, **filters: str | None) -> Iterator[Backup]:
        for backup_id, members in self.members.items():
            told = members[self.hides :]
            yield Backup(backup_id, "available", "OS::Nova::Server", "s", NOW, members=told)

    def list_members(self, backup_id: str) -> tuple[Member, ...]:
        self.calls.append(backup_id)
        return self.members[backup_id]


@pytest.mark.parametrize(("hides", "calls"), [(0, 2), (1, 30)])
def test_list_own_uses_members_that_come_with_backups(hides: int, calls: int) -> None:
    """Two lists check that the service tells all of them; if not, every backup is asked for."""
    client = TellingClient(hides)
    listing = own(client)
    assert len(listing.shares) == sum(len(members) for members in client.members.values()) == 30
    assert len(client.calls) == calls
    assert len(listing.complete) == 30


class CountingClient(TellingClient):
    """Lets a call go on only when as many as the pool has threads have begun."""

    def __init__(self, threads: int) -> None:
        super().__init__(hides=2)
        self.barrier = threading.Barrier(threads)

    def list_members(self, backup_id: str) -> tuple[Member, ...]:
        self.barrier.wait(PATIENCE)
        return super().list_members(backup_id)


def test_list_own_asks_for_several_backups_at_a_time() -> None:
    client = CountingClient(5)
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(5) as pool:
        list_own(
            Source(None, client),  # type: ignore[arg-type]
            Filters(),
            pool,
            lambda done, total: seen.append((done, total)),
            whole=False,
        )
    assert seen == [(done, 30) for done in range(1, 31)]


class LargeClient(TellingClient):
    """A project of 10,000 backups, of which each fifth is shared; pages as the API does."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = 0
        shared = {number: (Member(f"s{number}", "pending", f"b{number}", "p", NOW),) for number in range(0, 10_000, 5)}
        self.members = {f"b{number}": shared.get(number, ()) for number in range(10_000)}

    def list_backups(self, page_size: int, /, **filters: str | None) -> Iterator[Backup]:
        for number, backup in enumerate(super().list_backups(page_size)):
            self.pages += number % page_size == 0
            yield backup


@pytest.mark.parametrize(
    ("hides", "filters", "lists"),
    [
        (0, Filters(), 2),
        (9, Filters(), 10_000),
        (9, Filters(servers=("other",)), 0),
        (9, Filters(older_than=timedelta(days=9)), 0),
    ],
    ids=["told with backups", "not told", "other server", "younger backups"],
)
def test_list_own_of_10000_backups_counts_calls(hides: int, filters: Filters, lists: int) -> None:
    client = LargeClient()
    client.hides = hides
    with ThreadPoolExecutor(8) as pool:
        listing = list_own(
            Source(None, client),  # type: ignore[arg-type]
            filters,
            pool,
            lambda done, total: None,
            whole=False,
        )
    assert (client.pages, len(client.calls), len(set(client.calls))) == (10, lists, lists)
    assert len(listing.shares) == (2_000 if lists else 0)


def test_list_own_of_large_project_asks_by_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator tells members with backups, as some clouds do."""
    with Simulator(backups=2_050, backups_with_members=True) as simulator:
        sign_in(monkeypatch, simulator.env())
        for backup in simulator.backups[:50]:
            simulator.share(backup.id, simulator.projects[0])
        assert len(own(CbrClient(load())).shares) == 50
        assert simulator.count("GET", "/backups$") == 3
        assert simulator.count("GET", "/members$") == 2


def test_list_received_asks_once_for_each_status(cbr_simulator: Simulator, receiver: CbrClient) -> None:
    one, two, _ = cbr_simulator.backups[:3]
    cbr_simulator.share(one.id, cbr_simulator.receiver.project_id)
    cbr_simulator.share(two.id, cbr_simulator.receiver.project_id, "accepted")
    listing = received(receiver)
    assert [(share.backup_id, share.status, share.received) for share in listing.shares] == [
        (one.id, "pending", True),
        (two.id, "accepted", True),
    ]
    assert {share.source_project_id for share in listing.shares} == {cbr_simulator.owner.project_id}
    assert [
        parse_qs(call.query)["member_status"] for call in cbr_simulator.calls if call.path.endswith("/backups")
    ] == [
        ["pending"],
        ["accepted"],
        ["rejected"],
    ]
    assert cbr_simulator.count("GET", "/members") == 0
    assert listing.backup_ids == frozenset({one.id, two.id})


def test_list_received_asks_only_for_the_statuses_of_the_filter(cbr_simulator: Simulator, receiver: CbrClient) -> None:
    """And for one more, which tells whether the service ignores the filter."""
    listing = received(receiver, Filters(statuses=("pending", "gone")))
    assert cbr_simulator.count("GET", "/backups$") == 2
    assert listing.backup_ids is None


def test_list_received_asks_since_when_it_is_shared_for_an_age(cbr_simulator: Simulator, receiver: CbrClient) -> None:
    """The list tells only when the backup was made."""
    backup = cbr_simulator.backups[0].id
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    assert [share.shared_at for share in received(receiver).shares] == [None]
    filters = Filters(older_than=timedelta(hours=1))
    (share,) = received(receiver, filters, details=["time"]).shares
    assert share.shared_at
    assert not filters.match(share, share.shared_at + timedelta(minutes=59))
    assert filters.match(share, share.shared_at + timedelta(minutes=61))


def test_list_received_shows_the_vault_if_details_are_asked(cbr_simulator: Simulator, receiver: CbrClient) -> None:
    one, two, _ = cbr_simulator.backups[:3]
    project = cbr_simulator.receiver.project_id
    cbr_simulator.share(one.id, project)
    cbr_simulator.share(two.id, project, "accepted")
    shares = {share.backup_id: share for share in received(receiver, details=["vault"]).shares}
    assert shares[two.id].dest_vault_id == cbr_simulator.members(two.id)[project].vault_id is not None
    assert cbr_simulator.count("GET", "/members/") == 1


class IgnoringClient(TellingClient):
    """A service that passes over `member_status`."""

    def list_backups(self, page_size: int, /, **filters: str | None) -> Iterator[Backup]:
        backups = super().list_backups(page_size)
        return (replace(backup, members=(), project_id="owner") for backup in itertools.islice(backups, 3))

    def show_member(self, backup_id: str, project: str) -> Member:
        return Member("s", {"b0": "pending", "b1": "accepted", "b2": "rejected"}[backup_id], backup_id, project, NOW)


@pytest.mark.parametrize("filters", [Filters(), Filters(statuses=("pending",))])
def test_list_received_shows_each_share_if_the_filter_is_ignored(filters: Filters) -> None:
    shares = received(IgnoringClient(), filters).shares
    assert [(share.backup_id, share.status) for share in shares] == [
        ("b0", "pending"),
        ("b1", "accepted"),
        ("b2", "rejected"),
    ]
