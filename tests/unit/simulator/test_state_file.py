"""The state file: what it keeps, and which files are refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.options import Switches
from pulumi_cbr.simulator.state import State


def add(state: State, project: str, backup: int = 0) -> object:
    owner = state.account("owner").project_id
    return state.add_members(owner, state.backups[backup].id, [project])


def share(state: State) -> State:
    state.share(state.backups[0].id, state.projects[0])
    return state


def test_state_file_keeps_the_state(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "state.json"
    first = State(5, state_file=file)
    share(first)

    second = State(99, state_file=file)

    assert second.members(second.backups[0].id) == first.members(first.backups[0].id)
    assert (second.seed, second.projects, second.accounts, second.vaults) == (
        5,
        first.projects,
        first.accounts,
        first.vaults,
    )
    add(second, second.projects[1])
    ids = {record.id for record in second.members(second.backups[0].id).values()}
    assert len(ids) == 2
    assert [path.name for path in file.parent.iterdir()] == ["state.json"]


def test_state_file_keeps_the_reads(tmp_path: Path) -> None:
    file, switches = tmp_path / "state.json", Switches(visible_after_reads=3, accept_after_reads=2)
    state = State(switches=switches, state_file=file)
    owner, backup, project = state.account("owner").project_id, state.backups[0].id, state.projects[0]
    add(state, project)

    for status in ("pending", "pending", "accepted"):
        with pytest.raises(Refused, match="6705"):
            state.show_member(owner, backup, project)
        state = State(switches=switches, state_file=file)
        assert state.members(backup)[project].status == status

    assert state.show_member(owner, backup, project).status == "accepted"


def test_state_file_forgets_a_deleted_member(tmp_path: Path) -> None:
    state = State(switches=Switches(visible_after_reads=1), state_file=tmp_path / "state.json")
    add(state, state.projects[0])

    state.withdraw(state.backups[0].id, state.projects[0])

    document = json.loads((tmp_path / "state.json").read_text())
    assert (document["members"], document["reads"], document["hidden"]) == ([], [], [])


def test_state_file_write_that_fails_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_paths: object) -> None:
        raise OSError("no space left")

    state = State(state_file=tmp_path / "state.json")
    before = (tmp_path / "state.json").read_bytes()
    monkeypatch.setattr(os, "replace", no_room)

    with pytest.raises(OSError, match="no space left"):
        share(state)

    assert (tmp_path / "state.json").read_bytes() == before


def test_state_file_of_the_first_release_is_read(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    share(State(state_file=file))
    document = json.loads(file.read_text())
    del document["runs"], document["hidden"]
    file.write_text(json.dumps(document))

    assert len(State(state_file=file).members(document["backups"][0]["id"])) == 1


WRONG: list[Callable[[dict[str, Any]], object]] = [
    lambda document: document.update(seed=float("inf")),
    lambda document: document["accounts"].pop(),
    lambda document: document["backups"].pop(0),
    lambda document: document["members"][0].update(status="maybe"),
]


@pytest.mark.parametrize("damage", WRONG)
def test_state_file_inconsistent_is_refused(tmp_path: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    file = tmp_path / "state.json"
    share(State(state_file=file))
    document = json.loads(file.read_text())
    damage(document)
    file.write_text(json.dumps(document))

    with pytest.raises(ValueError, match=r"state\.json is not a simulator's state file"):
        State(state_file=file)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"format": 2}', b'{"format": 1, "seed": 1}', b"\0", b"[" * 100_000, "{}".encode("utf-16")],
)
def test_state_file_broken_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)

    with pytest.raises(ValueError, match=r"state\.json is not a simulator's state file: .*\Z"):
        State(state_file=file)
    assert file.read_bytes() == content


def test_state_file_agrees_after_parallel_changes(tmp_path: Path) -> None:
    state = State(state_file=tmp_path / "state.json")
    projects = state.projects[:8]

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda n: add(state, projects[n % 8], backup=n // 8), range(32)))
        codes = list(pool.map(lambda n: refused(state, projects[0], n % 4), range(8)))

    assert len(added) == 32
    assert codes == [6703] * 8
    again = State(state_file=tmp_path / "state.json")
    assert [again.members(b.id) for b in again.backups] == [state.members(b.id) for b in state.backups]
    assert sum(len(again.members(b.id)) for b in again.backups) == 32


def refused(state: State, project: str, backup: int) -> int | None:
    try:
        add(state, project, backup=backup)
    except Refused as no:
        return no.number
    return None
