"""What processes of one engine tell each other of shares: the last word counts, and the dead say nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_cbr.lifecycle import ownership

PAIR = ("backup", "project")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ownership, "_own", {})
    monkeypatch.setattr(ownership, "_file", None)
    yield tmp_path
    if ownership._file:
        os.close(ownership._file[1])


#: Another process of an engine, which writes one note, and lives until its standard input ends.
OTHER = f"""
import sys
from pulumi_cbr.lifecycle import ownership
ownership.join(sys.argv[1])
ownership.write({PAIR}, "two", adopted=True)
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("engine", "heard"), [("127.0.0.1:5", ("two", True)), ("127.0.0.1:6", ("one", False))])
def test_the_last_word_of_the_living_counts(engine: str, heard: tuple[str, bool], folder: Path) -> None:
    ownership.join("127.0.0.1:5")
    assert ownership.latest(PAIR) is None
    ownership.write(PAIR, "one", adopted=False)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, engine],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert ownership.latest(PAIR) == heard
        assert ownership.latest(("backup", "another")) is None
    # It left its file behind, as one that is killed does.
    assert ownership.latest(PAIR) == ("one", False)
    ownership.write(PAIR, "three", adopted=True)
    assert ownership.latest(PAIR) == ("three", True)


def test_nothing_is_left(folder: Path) -> None:
    ownership.join("127.0.0.1:5")
    ownership.write(PAIR, "one", adopted=False)
    (file,) = folder.glob("*/*")
    assert json.loads(file.read_text())[:2] == list(PAIR)
    assert file.parent.stat().st_mode & 0o77 == 0
    ownership.leave()
    assert list(folder.iterdir()) == []


def test_without_a_folder_a_process_has_its_own_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    ownership.join("127.0.0.1:5")
    ownership.write(PAIR, "one", adopted=True)
    assert ownership.latest(PAIR) == ("one", True)
    ownership.leave()
