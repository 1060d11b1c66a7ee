"""The private folder: what it makes, and which folders and files it refuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pulumi_cbr.private_folder import PrivateFolder, UnsafePathError


def test_folder_new_is_closed_to_others(tmp_path: Path) -> None:
    base = tmp_path / "new" / "base"
    with PrivateFolder(base, "leaf") as folder:
        folder.write("a", b"1")
        folder.write("a", b"2")
        assert (folder.names(), folder.read("a")) == (["a"], b"2")
        folder.remove("a")
        folder.remove("a")
        assert folder.names() == []
        folder.write("b", b"")

    modes = [path.stat().st_mode & 0o777 for path in (base, base / "leaf", base / "leaf" / "b")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize(
    ("base", "leaf", "refused"), [(0o755, 0o700, False), (0o775, 0o700, True), (0o700, 0o750, True)]
)
def test_folder_open_to_others_is_refused(tmp_path: Path, base: int, leaf: int, refused: bool) -> None:
    (tmp_path / "base" / "leaf").mkdir(parents=True)
    (tmp_path / "base" / "leaf").chmod(leaf)
    (tmp_path / "base").chmod(base)
    if refused:
        with pytest.raises(UnsafePathError, match="open to other users"):
            PrivateFolder(tmp_path / "base", "leaf")
    else:
        PrivateFolder(tmp_path / "base", "leaf").close()


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").mkdir(mode=0o700)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    with pytest.raises(UnsafePathError, match="belongs to another user"):
        PrivateFolder(tmp_path / "base", "leaf")


@pytest.mark.parametrize("part", ["base", "base/leaf"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_folder_that_is_a_link_or_file_is_refused(tmp_path: Path, part: str, kind: str) -> None:
    (tmp_path / "elsewhere" / "leaf").mkdir(parents=True, mode=0o700)
    path = tmp_path / part
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path / "elsewhere") if kind == "link" else path.touch()

    with pytest.raises(UnsafePathError, match="link or of the wrong type"):
        PrivateFolder(tmp_path / "base", "leaf")


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_second_name(path: Path) -> None:
    path.with_name("other").touch(0o600)
    path.hardlink_to(path.with_name("other"))


def make_long_file(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(b"x" * 101)


def make_readable_file(path: Path) -> None:
    path.touch()
    path.chmod(0o644)


NO_FILES = [make_link, make_second_name, make_long_file, make_readable_file, os.mkfifo, os.mkdir]


@pytest.mark.parametrize("make", NO_FILES)
def test_read_of_no_private_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    with PrivateFolder(tmp_path / "base", "leaf") as folder:
        make(folder.path / "x")
        with pytest.raises(OSError, match=r"plain file|link|open to other users|more than 100 bytes|directory"):
            folder.read("x", limit=100)


def test_read_of_a_file_that_is_replaced_reads_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be replaced between its opening and the check of what was opened."""
    with PrivateFolder(tmp_path / "base", "leaf") as folder:
        folder.write("a", b"old")

        def replace_first(fd: int) -> os.stat_result:
            monkeypatch.undo()
            folder.write("a", b"new")
            return os.fstat(fd)

        monkeypatch.setattr(os, "fstat", replace_first)
        assert folder.read("a") == b"new"


def test_read_beside_a_writer_returns_one_of_its_contents(tmp_path: Path) -> None:
    with PrivateFolder(tmp_path / "base", "leaf") as folder:
        folder.write("a", b"old")

        def write() -> None:
            for _ in range(200):
                folder.write("a", b"new")

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        while writer.is_alive():
            seen.add(folder.read("a"))
        writer.join()
    assert seen <= {b"old", b"new"}


def test_read_stays_in_the_folder_that_was_opened(tmp_path: Path) -> None:
    with PrivateFolder(tmp_path / "base", "leaf") as folder:
        folder.write("a", b"mine")
        folder.path.rename(tmp_path / "away")
        folder.path.mkdir(mode=0o700)
        (folder.path / "a").write_bytes(b"forged")

        assert folder.read("a") == b"mine"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a"])
def test_name_of_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    with PrivateFolder(tmp_path / "base") as folder, pytest.raises(ValueError, match="not a file name"):
        folder.read(name)


def test_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError("no space left")

    with PrivateFolder(tmp_path / "base") as folder:
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            folder.write("a", b"1")
        assert folder.names() == []
