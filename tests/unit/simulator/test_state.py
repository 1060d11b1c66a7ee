"""The rules of the service: refusals by code, transitions, and what each side sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_cbr.simulator.errors import REFUSALS, Refused
from pulumi_cbr.simulator.models import DISK, MEMBER_LIMIT, TRANSITIONS, Identifiers
from pulumi_cbr.simulator.options import Switches
from pulumi_cbr.simulator.state import State

NOBODY = "0" * 32


NOTHING = "00000000-0000-4000-8000-000000000000"


Asked = Callable[[State], object]


@pytest.fixture
def state() -> State:
    return State(seed=3, now=lambda: 1_580_897_914.209782)


def add(state: State, *projects: object, backup: int | str = 0) -> object:
    backup_id = backup if isinstance(backup, str) else state.backups[backup].id
    return state.add_members(state.account("owner").project_id, backup_id, list(projects))


def put(state: State, status: object, vault_id: object = None, project: str | None = None) -> object:
    receiver = project or state.account("receiver").project_id
    return state.update_member(receiver, state.backups[0].id, receiver, status, vault_id)


def shared(state: State, project: int = 0) -> State:
    state.share(state.backups[0].id, state.projects[project])
    return state


def with_backup(state: State, **changes: object) -> State:
    state.set_backup(state.backups[0].id, **changes)  # type: ignore[arg-type]
    return state


def with_members(state: State, number: int) -> State:
    for project in state.projects[:number]:
        state.share(state.backups[0].id, project)
    return state


def with_image(state: State) -> State:
    state.register_image(shared(state).backups[0].id, state.projects[0])
    return state


def vault(state: State, name: str) -> str:
    return next(vault.id for vault in state.vaults if vault.name == name)


REFUSED: list[tuple[str, int, Asked]] = [
    ("add to no backup", 6200, lambda s: add(s, s.projects[0], backup=NOTHING)),
    ("add to another's backup", 6200, lambda s: s.add_members(s.projects[0], s.backups[0].id, [s.projects[1]])),
    ("add no list", 9900, lambda s: s.add_members(s.account("owner").project_id, s.backups[0].id, "a")),
    ("add no texts", 9900, lambda s: add(s, 1)),
    ("add nobody", 9900, lambda s: add(s)),
    ("add eleven", 9900, lambda s: add(s, *s.projects[:11])),
    ("add when not available", 6702, lambda s: add(with_backup(s, status="protecting"), s.projects[0])),
    ("add disk backup", 6700, lambda s: add(with_backup(s, resource_type=DISK), s.projects[0])),
    ("add encrypted backup", 6709, lambda s: add(with_backup(s, encrypted=True), s.projects[0])),
    ("add malformed project", 6704, lambda s: add(s, "project")),
    ("add unknown project", 6704, lambda s: add(s, NOBODY)),
    ("add the owner", 6704, lambda s: add(s, s.account("owner").project_id)),
    ("add twice in one call", 6714, lambda s: add(s, s.projects[0], s.projects[0])),
    ("add again", 6703, lambda s: add(shared(s), s.projects[0])),
    ("add an eleventh", 6701, lambda s: add(with_members(s, 10), s.projects[10])),
    ("list no backup", 6200, lambda s: s.list_members(s.account("owner").project_id, NOTHING)),
    ("list as the receiver", 6200, lambda s: s.list_members(s.projects[0], shared(s).backups[0].id)),
    ("show nobody", 6705, lambda s: s.show_member(s.account("owner").project_id, s.backups[0].id, NOBODY)),
    ("delete nobody", 6705, lambda s: s.delete_member(s.account("owner").project_id, s.backups[0].id, NOBODY)),
    ("delete as the receiver", 6200, lambda s: s.delete_member(s.projects[0], shared(s).backups[0].id, s.projects[0])),
    ("delete with image", 6710, lambda s: s.withdraw(with_image(s).backups[0].id, s.projects[0])),
    ("accept nothing", 6705, lambda s: put(s, "accepted", vault(s, "servers"))),
    (
        "accept as the owner",
        6200,
        lambda s: s.update_member(s.account("owner").project_id, s.backups[0].id, s.projects[0], "", ""),
    ),
    ("accept without vault", 6706, lambda s: put(shared(s), "accepted")),
    ("accept malformed vault", 6706, lambda s: put(shared(s), "accepted", "vault")),
    ("accept no vault", 6105, lambda s: put(shared(s), "accepted", NOTHING)),
    ("accept locked vault", 6712, lambda s: put(shared(s), "accepted", vault(s, "locked"))),
    ("accept disks' vault", 6713, lambda s: put(shared(s), "accepted", vault(s, "disks"))),
    (
        "accept vault of another project",
        6105,
        lambda s: s.accept(shared(s, 1).backups[0].id, s.projects[1], vault(s, "servers")),
    ),
    ("share with no status", 6706, lambda s: s.share(s.backups[0].id, s.projects[0], "nonsense")),
    ("accept full vault", 6708, lambda s: put(shared(s), "accepted", vault(s, "full"))),
    ("update no status", 6706, lambda s: put(shared(s), None)),
    ("update other status", 6706, lambda s: put(shared(s), "maybe")),
    ("reject with image", 6710, lambda s: put(with_image(s), "rejected")),
    ("show another's backup", 6200, lambda s: s.show_backup(s.projects[0], s.backups[0].id)),
    ("delete no backup", 6200, lambda s: s.delete_backup(NOTHING)),
]


@pytest.mark.parametrize(("number", "asked"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_rule_broken_gets_the_documented_code(state: State, number: int, asked: Asked) -> None:
    with pytest.raises(Refused) as refused:
        asked(state)

    assert (refused.value.number, refused.value.status) == (number, REFUSALS[number][0])
    assert refused.value.code == f"BackupService.{number}"
    assert str(refused.value).startswith(f"BackupService.{number}: {REFUSALS[number][1]}")


def test_add_one_refused_adds_none_and_names_it(state: State) -> None:
    with_members(state, 3)

    with pytest.raises(Refused, match=state.projects[2]) as refused:
        add(state, state.projects[5], state.projects[2], state.projects[6])

    assert refused.value.number == 6703
    assert list(state.members(state.backups[0].id)) == state.projects[:3]


def test_add_over_the_limit_changes_nothing(state: State) -> None:
    with_members(state, 8)

    with pytest.raises(Refused, match=r"8 projects already; at most 10"):
        add(state, *state.projects[8:11])

    assert len(state.members(state.backups[0].id)) == 8
    add(state, *state.projects[8:10])
    assert len(state.members(state.backups[0].id)) == MEMBER_LIMIT


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in TRANSITIONS for b in TRANSITIONS])
def test_update_allows_only_declared_transitions(state: State, before: str, after: str) -> None:
    state.share(state.backups[0].id, state.projects[0], before)
    vault_id = vault(state, "servers") if after == "accepted" else None

    if after in TRANSITIONS[before]:
        put(state, after, vault_id)
        record = state.members(state.backups[0].id)[state.projects[0]]
        assert (record.status, record.vault_id) == (after, vault_id)
    else:
        with pytest.raises(Refused) as refused:
            put(state, after, vault_id)
        assert refused.value.number == 6708


def test_accept_again_into_another_vault_is_refused(state: State) -> None:
    shared(state)
    put(state, "accepted", vault(state, "servers"))
    first = state.members(state.backups[0].id)

    put(state, "accepted", vault(state, "servers"))

    assert state.members(state.backups[0].id) == first
    with pytest.raises(Refused, match=r"6712"):
        put(state, "accepted", vault(state, "locked"))


def test_share_unknown_status_changes_nothing(state: State) -> None:
    with pytest.raises(Refused, match="6706"):
        state.share(state.backups[0].id, state.projects[0], "nonsense")

    assert state.members(state.backups[0].id) == {}


@pytest.fixture
def with_small_vault(tmp_path: Path) -> tuple[State, str]:
    """Return a state with one more vault, which has room for two backups, and its ID."""
    file = tmp_path / "state.json"
    State(state_file=file)
    document = json.loads(file.read_text())
    document["vaults"].append({**document["vaults"][0], "id": NOTHING, "name": "small", "size": 80})
    file.write_text(json.dumps(document))
    return State(state_file=file), NOTHING


def test_accept_again_into_another_free_vault_is_refused(with_small_vault: tuple[State, str]) -> None:
    state, small = with_small_vault
    put(shared(state), "accepted", vault(state, "servers"))

    with pytest.raises(Refused, match="6708"):
        put(state, "accepted", small)

    (record,) = state.members(state.backups[0].id).values()
    assert record.vault_id == vault(state, "servers")


def test_vault_room_counts_each_backup_once(with_small_vault: tuple[State, str]) -> None:
    state, small = with_small_vault
    first, second, third = (backup.id for backup in state.backups[:3])
    for backup in (first, second, third):
        state.share(backup, state.projects[0])
    state.accept(first, state.projects[0], small)
    state.accept(second, state.projects[0], small)

    state.accept(first, state.projects[0], small)

    with pytest.raises(Refused, match=r"6708.*no room"):
        state.accept(third, state.projects[0], small)


def test_accept_vault_id_in_capitals_is_accepted(state: State) -> None:
    put(shared(state), "accepted", vault(state, "servers").upper())

    (record,) = state.members(state.backups[0].id).values()
    assert record.vault_id == vault(state, "servers")


def test_page_size_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="page_size must be at least 1"):
        Switches(page_size=0)


def test_add_encrypted_disk_backup_is_allowed_by_switches() -> None:
    state = State(switches=Switches(encrypted_allowed=True, disk_allowed=True))
    with_backup(state, encrypted=True, resource_type=DISK)

    add(state, state.projects[0])

    put(state, "accepted", vault(state, "disks"))


def test_member_added_is_visible_after_its_reads() -> None:
    state = State(switches=Switches(visible_after_reads=2))
    owner, backup = state.account("owner").project_id, state.backups[0].id
    add(state, state.projects[0])

    assert state.list_members(owner, backup) == []
    with pytest.raises(Refused, match="6705"):
        state.show_member(owner, backup, state.projects[0])
    assert state.show_member(owner, backup, state.projects[0]).dest_project_id == state.projects[0]
    assert len(state.members(backup)) == 1


def test_share_is_visible_at_once() -> None:
    state = State(switches=Switches(visible_after_reads=5))
    shared(state)

    assert len(state.list_members(state.account("owner").project_id, state.backups[0].id)) == 1


def test_share_counts_as_unread() -> None:
    state = shared(State(switches=Switches(visible_after_reads=3, accept_after_reads=1)))
    owner, backup = state.account("owner").project_id, state.backups[0].id

    assert [state.list_members(owner, backup)[0].status for _ in range(2)] == ["pending", "accepted"]


def test_receivers_accept_after_reads() -> None:
    state = State(switches=Switches(accept_after_reads=1))
    owner, backup = state.account("owner").project_id, state.backups[0].id
    add(state, *state.projects[:2])

    assert {record.status for record in state.list_members(owner, backup)} == {"pending"}
    second = state.list_members(owner, backup)

    assert {record.status for record in second} == {"accepted"}
    assert second[0].vault_id == vault(state, "servers")
    assert second[1].vault_id not in (None, second[0].vault_id)


def test_receiver_sees_a_backup_until_it_rejects(state: State) -> None:
    shared(state)
    receiver, backup = state.projects[0], state.backups[0]

    assert state.visible_backups(receiver) == [(backup, "pending")]
    assert state.show_member(receiver, backup.id, receiver).status == "pending"
    state.reject(backup.id, receiver)
    assert state.visible_backups(receiver) == []


def test_delete_backup_deletes_its_shares(state: State) -> None:
    backup = shared(state).backups[0].id

    state.delete_backup(backup)

    assert state.members(backup) == {}
    assert backup not in {backup.id for backup in state.backups}


@pytest.mark.parametrize("by", ["resource_id", "resource_name"])
def test_add_backup_is_the_newest_of_its_server(state: State, by: str) -> None:
    before = state.backups[3]
    state.set_backup(before.id, status="error", encrypted=True)
    made = state.add_backup(getattr(before, by))

    name = f"backup-{len(state.backups) - 1:03}"
    expected = replace(before, id=made.id, name=name, created_at=made.created_at, encrypted=True)
    assert made == expected == state.backups[-1]
    assert made.created_at > max(backup.created_at for backup in state.backups[:-1])
    assert made.id not in {backup.id for backup in state.backups[:-1]}


def test_add_backup_of_a_new_server_is_in_the_same_vault(state: State) -> None:
    before = state.backups
    one, two = state.add_backup("web"), state.add_backup("web")

    assert (one.resource_name, one.resource_id, one.vault_id) == ("web", two.resource_id, before[0].vault_id)
    assert one.resource_id not in {backup.resource_id for backup in before}
    for unknown in ("", before[0].id):
        with pytest.raises(ValueError, match="no server"):
            state.add_backup(unknown)
    # A name is free again when its backup is deleted; an ID never is.
    state.delete_backup(two.id)
    again = state.add_backup("web")
    assert again.name == two.name
    assert again.id != two.id


def test_delete_image_allows_delete_of_the_share(state: State) -> None:
    with_image(state)

    state.delete_image(state.backups[0].id, state.projects[0])
    state.withdraw(state.backups[0].id, state.projects[0])

    assert state.members(state.backups[0].id) == {}


def test_ids_follow_from_the_seed() -> None:
    one, same, other = State(1), State(1), State(2)

    assert [b.id for b in one.backups] == [b.id for b in same.backups]
    assert one.projects == same.projects
    assert one.account("owner") == same.account("owner")
    assert set(one.projects).isdisjoint(other.projects)
    assert len(set(one.projects)) == 16
    assert Identifiers(1).uuid("a") != Identifiers(1).uuid("b")


def test_member_added_again_begins_anew() -> None:
    state = State(switches=Switches(visible_after_reads=1, accept_after_reads=1))
    owner, backup, project = state.account("owner").project_id, state.backups[0].id, state.projects[0]
    for _ in range(2):
        add(state, project)
        assert state.list_members(owner, backup) == []
        assert state.members(backup)[project].status == "pending"
        assert state.list_members(owner, backup)[0].status == "accepted"
        state.withdraw(backup, project)


def test_share_again_has_another_id(state: State) -> None:
    backup, project = state.backups[0].id, state.projects[0]
    first = shared(state).members(backup)[project]
    state.withdraw(backup, project)

    again = state.share(backup, project)

    assert again.id != first.id
    assert (again.backup_id, again.dest_project_id) == (first.backup_id, first.dest_project_id)


def test_set_vault_changes_its_status(state: State) -> None:
    state.set_vault(vault(state, "locked"), status="available")

    put(shared(state), "accepted", vault(state, "locked"))
    with pytest.raises(Refused, match="6105"):
        state.set_vault(NOTHING, status="available")


@pytest.mark.parametrize(("backups", "shares"), [(12, 25), (3, 30), (100, 7)])
def test_shares_option_spreads_them(backups: int, shares: int) -> None:
    state = State(switches=Switches(backups=backups, shares=shares))
    members = [record for backup in state.backups for record in state.members(backup.id).values()]

    assert len(members) == shares
    assert {record.status for record in members} == set(TRANSITIONS)
    assert all((record.vault_id is not None) == (record.status == "accepted") for record in members)
    most = max(len(state.members(backup.id)) for backup in state.backups)
    assert most == -(-shares // backups)


def test_shares_option_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="3 backups can have 30 shares, not 31"):
        State(switches=Switches(backups=3, shares=31))


def test_account_unknown_role_is_refused(state: State) -> None:
    with pytest.raises(ValueError, match="no such role: 'admin'"):
        state.account("admin")
