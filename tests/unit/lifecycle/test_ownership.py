"""The record of owners: what one process decides, what processes of one engine share, and what attacks on it do."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from pulumi_cbr.api.errors import CbrError, UnknownOutcomeError
from pulumi_cbr.lifecycle.claims import is_same_vault, select_distinctive
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.private_folder import PrivateFolder

BACKUP, PROJECT = "backup", "project"

#: Another process of an engine, which records one share, and lives until its standard input ends.
OTHER = """
import sys
from pulumi_cbr.lifecycle.ownership import Ownership
log = Ownership(lambda: "other")
log.join(sys.argv[1])
log.record("backup", "project", "S", adopted=True, properties={})
print(flush=True)
sys.stdin.read()
"""


class Process:
    """A log whose current resource a test sets."""

    def __init__(self, engine: str | None = None) -> None:
        self.urn = ""
        self.log = Ownership(lambda: self.urn)
        if engine:
            self.log.join(engine)

    def create(self, urn: str, share_id: str, *, adopted: bool = False, **form: object) -> None:
        self.urn = urn
        self.log.record(BACKUP, PROJECT, share_id, adopted=adopted, properties=form)

    def keep(self, urn: str, share_id: str) -> None:
        """Keep a share for a resource that the program has."""
        self.urn = urn
        self.log.record_declared(is_new=False)
        self.log.keep(BACKUP, PROJECT, share_id)

    def read(self, urn: str, share_id: str) -> None:
        """Keep a share as a refresh does."""
        self.urn = urn
        self.log.keep(BACKUP, PROJECT, share_id)

    def replace(self, urn: str) -> None:
        self.urn = urn
        self.log.record_declared(is_new=True)

    def stays(self, urn: str, share_id: str, **form: object) -> bool:
        self.urn = urn
        return self.log.must_share_stay(BACKUP, PROJECT, share_id, form)

    def delete(
        self, urn: str, share_id: str, error: CbrError | None = None, *, meanwhile: Callable[[], object] = bool
    ) -> bool:
        """Send a DELETE, which may fail; return whether it was sent."""
        self.urn = urn
        with self.log.announce_delete(BACKUP, PROJECT, share_id) as must_stay:
            meanwhile()
            if error:
                raise error
            return not must_stay


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's runtime folder."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of an engine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def files(runtime: Path) -> list[Path]:
    return sorted((runtime / "pulumi-cbr" / "takeovers").glob("*.json"))


# One process


@pytest.mark.parametrize("urn", ["a", ""])
def test_share_made_by_its_own_resource_is_deleted(urn: str) -> None:
    process = Process()
    process.create(urn, "S")
    assert not process.stays(urn, "S")


def test_share_of_nobody_else_is_deleted() -> None:
    assert not Process().stays("a", "S")


@pytest.mark.parametrize("adopted", [False, True])
def test_share_of_another_resource_stays(adopted: bool) -> None:
    process = Process()
    process.create("new", "S", adopted=adopted)
    assert process.stays("old", "S")
    assert process.stays("old", "S")


def test_share_kept_by_another_resource_stays() -> None:
    """The engine was killed between the create and the delete: the next run keeps the one and deletes the other."""
    process = Process()
    process.keep("new", "S")
    assert process.stays("old", "S")
    assert not process.stays("old", "another")
    assert not process.stays("new", "S")


@pytest.mark.parametrize("urn", ["a", ""])
def test_replaced_resource_keeps_its_adopted_share(urn: str) -> None:
    process = Process()
    process.create(urn, "S", adopted=True, adopt_existing=True)
    assert process.stays(urn, "S", adopt_existing=True)


def test_share_made_in_place_of_the_old_one_stays() -> None:
    process = Process()
    process.create("", "new")
    assert process.stays("", "old")


def test_share_that_replaces_an_unverified_one_stays() -> None:
    """The state has no ID of what a lost create made: the replacement's share would look like it."""
    process = Process()
    process.create("a", "new")
    assert process.stays("a", "")


def test_acceptance_of_a_replaced_resource_stays() -> None:
    process = Process()
    process.urn = "a"
    process.log.record_acceptance(BACKUP, PROJECT, adopted=False, properties={})
    assert process.log.must_acceptance_stay(BACKUP, PROJECT, {})
    assert not process.stays("a", "S")


def test_share_found_after_a_lost_response_stays() -> None:
    process = Process()
    process.log.record(BACKUP, PROJECT, "S", adopted=True)
    process.create("", "S")
    assert process.stays("", "S")


@pytest.mark.parametrize("of_another_process", [False, True])
def test_share_kept_by_its_own_resource_stays(engine: str, of_another_process: bool) -> None:
    """The program has the resource: what is deleted is left of a replacement that was interrupted."""
    process, keeper = Process(engine), Process(engine)
    (keeper if of_another_process else process).keep("a", "S")
    assert process.stays("a", "S")
    assert not process.stays("a", "another")


@pytest.mark.parametrize("of_another_process", [False, True])
def test_share_of_a_replaced_resource_is_deleted(engine: str, of_another_process: bool) -> None:
    process, keeper = Process(engine), Process(engine)
    keeper = keeper if of_another_process else process
    keeper.keep("a", "S")
    keeper.replace("a")
    assert not process.stays("a", "S")
    assert not process.stays("b", "S")


@pytest.mark.parametrize("urn", ["a", "b"])
def test_share_that_only_a_refresh_kept_is_deleted(engine: str, urn: str) -> None:
    process = Process(engine)
    process.read(urn, "S")
    assert not process.stays("a", "S")


def test_share_that_a_refresh_kept_in_another_form_is_deleted(engine: str) -> None:
    """A refresh reads what an interrupted replacement left, and has the same URN as the new form."""
    process = Process(engine)
    process.read("a", "old")
    process.keep("a", "new")
    assert not process.stays("a", "old")
    assert process.stays("a", "new")


def test_vault_in_capitals_is_the_same_vault() -> None:
    ab, capitals, other = (select_distinctive({"vault_id": vault}) for vault in ("ab", "AB", "AC"))
    assert is_same_vault(ab, capitals)
    assert not is_same_vault(ab, other)


def test_rejected_share_is_replaced_by_one_resource(engine: str) -> None:
    """The DELETE of the second would take the new share of the first."""
    first, second = Process(engine), Process(engine)
    first.replace("first")
    second.replace("second")
    with first.log.announce_delete(BACKUP, PROJECT, "S", is_reshare=True) as must_stay:
        assert not must_stay
        with (
            pytest.raises(CbrError, match="another resource"),
            second.log.announce_delete(BACKUP, PROJECT, "S", is_reshare=True),
        ):
            pass


# Processes that outlive an operation


def test_long_lived_process_deletes_what_it_kept() -> None:
    process = Process("127.0.0.1:1")
    process.keep("a", "S")
    assert not process.stays("a", "S")


def test_long_lived_process_deletes_what_it_adopted() -> None:
    """No engine runs it, as in a debugger or a test: a create and a delete of one resource are not a replacement."""
    process = Process("127.0.0.1:1")
    process.create("a", "S", adopted=True, adopt_existing=True)
    assert not process.stays("a", "S", adopt_existing=True)


def test_engine_that_cannot_be_asked_counts_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without free descriptors knows nothing of the engine. If in doubt, a share stays."""

    def refuse(*args: object, **options: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "create_connection", refuse)
    process = Process("127.0.0.1:1")
    process.keep("a", "S")
    assert process.stays("a", "S")


def test_long_lived_process_leaves_another_form_once() -> None:
    process = Process("127.0.0.1:1")
    process.create("a", "S", adopted=True, adopt_existing=True)
    assert process.stays("a", "S")
    assert not process.stays("a", "S", adopt_existing=True)


def test_long_lived_process_follows_a_rename() -> None:
    process = Process("127.0.0.1:1")
    process.create("a", "S")
    process.create("b", "S", adopted=True)
    assert process.stays("a", "S")
    assert not process.stays("b", "S")


def test_next_engine_starts_a_new_operation(engine: str) -> None:
    process = Process(engine)
    process.create("a", "S", adopted=True)
    assert process.stays("a", "S")
    process.log.join("127.0.0.1:2")
    assert not process.stays("a", "S")


# Several processes


def start_other(engine: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", OTHER, engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_share_adopted_by_another_process_stays_while_it_lives(engine: str, runtime: Path) -> None:
    process = Process(engine)
    with start_other(engine) as other:
        assert process.stays("old", "S")
        assert not Process("127.0.0.1:1").stays("old", "S")
        other.kill()
    assert not process.stays("old", "S")
    assert not [file for file in files(runtime) if f"-{other.pid}-" in file.name]


def test_share_kept_by_another_process_stays(engine: str, runtime: Path) -> None:
    """Two resources of the stack have the share, each by a provider of its own."""
    keeper, process = Process(engine), Process(engine)
    keeper.keep("another", "T")
    assert process.delete("old", "U")
    keeper.keep("new", "S")
    keeper.keep("new", "S")
    assert process.stays("old", "S")
    assert sorted(file.read_bytes().count(b"\n") for file in files(runtime)) == [1, 2]


@pytest.mark.parametrize("of_another_process", [False, True])
def test_share_that_another_resource_deletes_cannot_be_kept(engine: str, of_another_process: bool) -> None:
    """A set that drops a project may be asked before a set that keeps it."""
    process, keeper = Process(engine), Process(engine)
    keeper = keeper if of_another_process else process
    assert process.delete("a", "S")
    keeper.keep("b", "T")
    keeper.keep("a", "S")
    with pytest.raises(CbrError, match="another resource of this stack deletes it"):
        keeper.keep("b", "S")


@pytest.mark.parametrize("of_another_process", [False, True])
def test_share_whose_delete_failed_can_be_kept(engine: str, of_another_process: bool) -> None:
    process, keeper = Process(engine), Process(engine)
    keeper = keeper if of_another_process else process
    with pytest.raises(CbrError, match="an image uses it"):
        process.delete("a", "S", CbrError("an image uses it"))
    keeper.keep("b", "S")
    assert not process.delete("a", "S")


@pytest.mark.parametrize("of_another_process", [False, True])
@pytest.mark.parametrize("is_import", [False, True])
def test_share_whose_adoption_failed_can_be_deleted(engine: str, of_another_process: bool, is_import: bool) -> None:
    """Another resource deletes it, and that delete fails: the adopter is in no state, and its claim keeps nothing."""
    process, adopter = Process(engine), Process(engine)
    adopter = adopter if of_another_process else process

    def adopt() -> None:
        adopter.urn = "b"
        if is_import:
            adopter.log.mark_imported(BACKUP, PROJECT)
        with pytest.raises(CbrError, match=r"adopting the share .* failed: another"):
            adopter.read("b", "S") if is_import else adopter.create("b", "S", adopted=True)

    with pytest.raises(CbrError, match="busy"):
        process.delete("a", "S", CbrError("busy"), meanwhile=adopt)
    assert not process.stays("a", "S")
    assert process.delete("a", "S")


def test_share_whose_delete_is_unknown_cannot_be_kept(engine: str) -> None:
    process = Process(engine)
    with pytest.raises(UnknownOutcomeError):
        process.delete("a", "S", UnknownOutcomeError("no response"))
    with pytest.raises(CbrError, match="another resource of this stack deletes it"):
        process.keep("b", "S")


@pytest.mark.parametrize("of_another_process", [False, True])
def test_share_kept_since_the_check_stays_for_its_keeper(engine: str, of_another_process: bool) -> None:
    process, keeper = Process(engine), Process(engine)
    keeper = keeper if of_another_process else process
    assert not process.stays("a", "S")
    keeper.keep("b", "S")
    assert not process.delete("a", "S")
    keeper.keep("b", "S")


def test_own_delete_counts_if_another_record_is_unreadable(engine: str, runtime: Path) -> None:
    other, process = Process(engine), Process(engine)
    assert process.delete("a", "S")
    other.create("new", "T", adopted=True)
    for file in files(runtime):
        if b"new" in file.read_bytes():
            file.write_bytes(b"")
    with pytest.raises(CbrError, match="another resource of this stack deletes it"):
        process.keep("b", "S")


def test_record_that_has_not_changed_is_not_read_again(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `up` of 1,000 unchanged resources asks for all records 1,000 times."""
    other, process = Process(engine), Process(engine)
    reads, read = [], PrivateFolder.read

    def count(folder: PrivateFolder, name: str, limit: int = 0) -> bytes:
        reads.append(name)
        return read(folder, name, limit)

    monkeypatch.setattr(PrivateFolder, "read", count)
    assert other.delete("a", "S")
    process.keep("b", "T")
    process.keep("c", "T")
    assert len(reads) == 1
    assert other.delete("a", "U")
    with pytest.raises(CbrError, match="another resource of this stack deletes it"):
        process.keep("d", "U")


def test_long_lived_process_keeps_what_it_could_not_delete() -> None:
    process = Process("127.0.0.1:1")
    assert process.delete("a", "S")
    process.keep("b", "S")


def test_acceptance_kept_by_another_process_stays(engine: str) -> None:
    keeper, process = Process(engine), Process(engine)
    keeper.urn, process.urn = "new", "old"
    keeper.log.record_declared(is_new=False)
    keeper.log.keep_acceptance(BACKUP, PROJECT)
    assert process.log.must_acceptance_stay(BACKUP, PROJECT, {})
    assert not process.stays("old", "S")


@pytest.mark.parametrize("is_created", [False, True])
def test_acceptance_of_a_new_share_is_not_kept(engine: str, is_created: bool) -> None:
    owner, receiver = Process(engine), Process(engine)
    receiver.urn = "accepter"
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    with pytest.raises(CbrError, match="busy"):
        owner.delete("owner", "S", CbrError("busy"))
    owner.create("owner", "S", adopted=True)
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    if is_created:
        owner.create("owner", "T")
    else:
        owner.delete("owner", "S")
    assert not receiver.log.keep_acceptance(BACKUP, PROJECT)


@pytest.mark.parametrize(("created", "is_kept"), [("12:00:04", True), ("12:00:06", False), (None, True)])
@pytest.mark.parametrize("is_first", [True, False])
def test_acceptance_of_an_earlier_share_is_not_kept(
    engine: str, caplog: pytest.LogCaptureFixture, created: str | None, is_kept: bool, is_first: bool
) -> None:
    """An `up` made the share again, and failed before it came to the accepter."""
    owner, receiver = Process(engine), Process(engine)
    owner.urn, receiver.urn = "owner", "accepter"
    owner.log.record_declared(is_new=False)
    receiver.log.record_declared(is_new=False)
    since = created and f"2026-01-01T{created}+00:00"
    accepted_at = "2026-01-01T12:00:00+00:00"
    if is_first:
        assert receiver.log.keep_acceptance(BACKUP, PROJECT, accepted_at)
    owner.log.keep(BACKUP, PROJECT, "S", since)
    assert receiver.log.is_share_new(BACKUP, PROJECT, accepted_at) is not is_kept
    warnings = {record.getMessage() for record in caplog.records}
    assert bool(warnings) is (is_first and not is_kept)
    assert all("newer than its acceptance" in warning for warning in warnings)


def test_new_share_under_a_kept_acceptance_warns(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    owner, receiver = Process(engine), Process(engine)
    receiver.urn = "accepter"
    receiver.log.record_declared(is_new=False)
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    owner.create("owner", "S", adopted=True)
    assert not caplog.records
    owner.create("owner", "T")
    assert "newer than its acceptance" in caplog.text


def test_share_is_not_deleted_under_a_kept_acceptance(engine: str) -> None:
    owner, receiver = Process(engine), Process(engine)
    receiver.urn = "accepter"
    receiver.log.record_declared(is_new=False)
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    owner.replace("owner")
    with pytest.raises(CbrError, match="a BackupShareAccepter of this stack keeps its acceptance"):
        owner.delete("owner", "S")
    # The delete is retracted.
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    # A share that was just created is not the accepted one.
    with owner.log.announce_delete(BACKUP, PROJECT, "T", may_be_accepted=False) as must_stay:
        assert not must_stay
    receiver.replace("accepter")
    assert owner.delete("owner", "S")


def test_share_that_leaves_ends_its_acceptance(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """A window and an inbox in one program: the inbox still finds what leaves the window."""
    owner, receiver = Process(engine), Process(engine)
    receiver.urn = "accepter"
    receiver.log.record_declared(is_new=False)
    assert receiver.log.keep_acceptance(BACKUP, PROJECT)
    assert owner.delete("owner", "S")
    (warning,) = {record.getMessage() for record in caplog.records}
    assert "ends its acceptance" in warning


def test_two_resources_of_one_share_are_named(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Process(engine), Process(engine)
    for _ in range(2):
        first.keep("urn:pulumi:test::test::cbr:index:BackupShareMember::a", "S")
        second.keep("urn:pulumi:test::test::t:Site$cbr:index:BackupShare::b::c", "S")
    first.keep("urn:pulumi:test::test::cbr:index:BackupShareMember::d", "T")
    (warning,) = {record.getMessage() for record in caplog.records}
    assert warning.startswith(
        "BackupShare b::c and BackupShareMember a have one share of backup backup with project project"
    )


def test_first_claim_removes_what_killed_processes_left(engine: str, runtime: Path) -> None:
    with start_other("127.0.0.1:1") as other:
        other.kill()
    assert len(files(runtime)) == 1
    Process(engine).keep("a", "S")
    assert len(files(runtime)) == 1
    assert len(list((runtime / "pulumi-cbr" / "takeovers").glob("*.lock"))) == 1


def test_lock_that_another_process_tests_is_taken_again(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its lock, others would take the process for ended, and delete its claims."""
    keeper, process = Process(engine), Process(engine)
    lock, names = PrivateFolder.lock, list[str]()

    def lock_later(folder: PrivateFolder, name: str) -> object:
        names.append(name)
        return None if len(names) == 1 else lock(folder, name)

    monkeypatch.setattr(PrivateFolder, "lock", lock_later)
    keeper.keep("new", "S")
    assert process.stays("old", "S")
    assert Process(engine).stays("old", "S")


def test_lock_that_is_held_for_hours_is_not_removed(engine: str, runtime: Path) -> None:
    """A process that has checked a delete waits for acceptances, and records a share only then."""
    waiting, process = Process(engine), Process(engine)
    assert not waiting.stays("a", "T")
    folder = runtime / "pulumi-cbr" / "takeovers"
    (folder / "free.lock").touch(mode=0o600)
    for lock in folder.glob("*.lock"):
        os.utime(lock, (time.time() - 7200,) * 2)
    process.keep("b", "U")
    assert not (folder / "free.lock").exists()
    waiting.create("new", "S", adopted=True)
    assert process.stays("old", "S")


def test_line_that_is_being_written_is_read_later(engine: str, runtime: Path) -> None:
    keeper, process = Process(engine), Process(engine)
    keeper.keep("new", "S")
    keeper.keep("new", "T")
    (file,) = files(runtime)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert process.stays("old", "S")
    assert not process.stays("old", "T")
    file.write_bytes(content)
    assert process.stays("old", "T")


def test_import_is_known_to_other_processes(engine: str) -> None:
    """A resource that is moved to the other flavor by an import, without the step that takes the old one out of the state."""
    native, dynamic = Process(engine), Process(engine)
    native.urn = "native"
    native.log.mark_imported(BACKUP, PROJECT)
    native.read("native", "S")
    assert dynamic.stays("dynamic", "S")


def test_leaving_removes_all_files(engine: str, runtime: Path) -> None:
    process = Process(engine)
    process.create("a", "S")
    (file,) = files(runtime)
    assert file.stat().st_mode & 0o77 == 0
    assert file.parent.stat().st_mode & 0o77 == 0
    process.log.leave()
    assert list(file.parent.iterdir()) == []


# Attacks


def test_folder_of_another_user_is_not_used(engine: str, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both users' processes go by their own folders: here the second choice, as the first one is not private."""
    (runtime / "pulumi-cbr" / "takeovers").mkdir(parents=True)
    (runtime / "pulumi-cbr").chmod(0o777)
    one, two = Process(engine), Process(engine)
    one.create("new", "S", adopted=True)
    assert two.stays("old", "S")
    assert files(runtime) == []
    assert list(platformdirs.user_cache_path("pulumi-cbr").glob("takeovers/*.json"))


def test_link_in_place_of_the_folder_is_not_followed(engine: str, runtime: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    forged.mkdir(mode=0o700)
    (runtime / "pulumi-cbr").mkdir(mode=0o700)
    (runtime / "pulumi-cbr" / "takeovers").symlink_to(forged)
    one, two = Process(engine), Process(engine)
    one.create("new", "S", adopted=True)
    assert two.stays("old", "S")
    assert list(forged.iterdir()) == []


def test_deleted_folder_fails_no_create(engine: str, runtime: Path) -> None:
    process = Process(engine)
    process.create("a", "S")
    process.keep("a", "S")
    for file in (runtime / "pulumi-cbr" / "takeovers").iterdir():
        file.unlink()
    (runtime / "pulumi-cbr" / "takeovers").rmdir()
    process.create("b", "S", adopted=True)
    assert Process(engine).stays("a", "S")


def test_folder_deleted_before_a_delete_is_an_error(engine: str, runtime: Path) -> None:
    """What other processes recorded may be lost: nothing is deleted."""
    process = Process(engine)
    process.create("a", "S")
    for file in (runtime / "pulumi-cbr" / "takeovers").iterdir():
        file.unlink()
    with pytest.raises(CbrError, match="Nothing was changed"):
        process.stays("b", "T")


@pytest.mark.parametrize("attack", ["fifo", "link", "garbage", "open to others"])
def test_odd_record_of_a_living_process_is_an_error(engine: str, runtime: Path, tmp_path: Path, attack: str) -> None:
    other, process = Process(engine), Process(engine)
    other.create("new", "S", adopted=True)
    (file,) = files(runtime)
    content = file.read_bytes()
    if attack != "open to others":
        file.unlink()
    if attack == "fifo":
        os.mkfifo(file, 0o600)
    elif attack == "link":
        (tmp_path / "forged").write_bytes(content)
        file.symlink_to(tmp_path / "forged")
    elif attack == "garbage":
        file.write_text('[{"urn": 1}]')
        file.chmod(0o600)
    else:
        file.chmod(0o644)
    with pytest.raises(CbrError, match="cannot be read"):
        process.stays("old", "S")


def test_record_removed_while_it_is_read_is_no_error(
    engine: str, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, process = Process(engine), Process(engine)
    other.create("new", "S", adopted=True)
    names = PrivateFolder.names

    def list_and_remove(folder: PrivateFolder) -> list[str]:
        listed = names(folder)
        for path in files(runtime):
            path.unlink()
        return listed

    monkeypatch.setattr(PrivateFolder, "names", list_and_remove)
    assert not process.stays("old", "S")


def test_share_remade_on_the_same_pair_is_deleted() -> None:
    process = Process()
    process.create("set", "S")
    process.create("member", "T")
    assert not process.stays("member", "T")


def test_forged_record_without_a_process_is_ignored(engine: str, runtime: Path) -> None:
    with start_other(engine) as other:
        (file,) = files(runtime)
        content = file.read_bytes()
        other.kill()
    file.write_bytes(content)
    file.chmod(0o600)
    assert not Process(engine).stays("old", "S")


def test_unusable_folders_warn_and_delete_nothing(
    engine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A create goes on after its POST; a delete cannot know, and changes nothing."""
    (tmp_path / "file").touch()
    for name in ("user_runtime_path", "user_cache_path"):
        monkeypatch.setattr(platformdirs, name, lambda _: tmp_path / "file" / "folder")
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(caplog.handler)
    process = Process(engine)
    process.create("a", "S")
    process.create("a", "T")
    logger.removeHandler(caplog.handler)
    assert sum("XDG_RUNTIME_DIR" in message for message in {record.getMessage() for record in caplog.records}) == 1
    with pytest.raises(CbrError, match="Nothing was changed"):
        process.stays("old", "S")


def test_record_lost_on_a_full_disk_is_an_error_elsewhere(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi_cbr import private_folder

    write = private_folder.PrivateFolder.write

    def full(self: private_folder.PrivateFolder, name: str, content: bytes) -> None:
        if content:
            raise OSError(28, "No space left on device")
        write(self, name, content)

    monkeypatch.setattr(private_folder.PrivateFolder, "write", full)
    other, process = Process(engine), Process(engine)
    other.create("new", "S", adopted=True)
    with pytest.raises(CbrError, match="incomplete"):
        process.stays("old", "S")
