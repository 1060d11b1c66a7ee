"""Tables, JSON and CSV of shares."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta

import pytest

from pulumi_cbr.shares import formats
from pulumi_cbr.shares.model import Share, clean
from unit.shares.rows import BACKUP, MANAGER, NOW, PROJECT, make_share

EVIL = "\x1b[31mred\x07\u202e\r\n"


def test_table_leaves_out_empty_columns_and_keeps_ids() -> None:
    text = formats.table([make_share(backup_name="a" * 60)], NOW, width=125)
    heading, row = text.splitlines()
    assert heading.split() == ["BACKUP", "BACKUP", "ID", "SERVER", "VAULT", "PROJECT", "ID", "STATUS", "AGE"]
    assert BACKUP in row
    assert PROJECT in row
    assert "aaaaaaa…" in row
    assert row.endswith("3 d")


def test_columns_that_do_not_fit_are_left_out_by_rank() -> None:
    shares = [make_share(backup_name="a" * 60, managed_by=())]
    assert formats.fitting_columns(shares, NOW, None)[1] == formats.fitting_columns(shares, NOW, 160)[1] == ()
    shown, hidden = formats.fitting_columns(shares, NOW, 115)
    assert hidden == ("vault", "server")
    assert max(len(line) for line in formats.table(shares, NOW, width=115).splitlines()) == 115
    shown, hidden = formats.fitting_columns(shares, NOW, 20)
    assert shown == ("backup_id", "project_id", "status", "managed_by")
    assert hidden == ("vault", "server", "age", "backup")


def test_table_without_width_cuts_nothing() -> None:
    assert "a" * 60 in formats.table([make_share(backup_name="a" * 60)], NOW)


def test_table_shows_the_columns_that_are_asked_for() -> None:
    lines = formats.table([make_share(image_id=None)], NOW, columns=("status", "image_id")).splitlines()
    assert [line.split() for line in lines] == [["STATUS", "IMAGE"], ["accepted"]]


def test_table_aligns_wide_letters() -> None:
    rows = [make_share(backup_name="备份"), make_share(backup_name="ab")]
    lines = formats.table(rows, NOW, columns=("backup", "status")).splitlines()
    assert lines[1:] == ["备份    accepted", "ab      accepted"]


def test_table_colors_statuses_only_if_asked() -> None:
    share = make_share(managed_by=())
    assert "\x1b" not in formats.table([share], NOW)
    colored = formats.table([share], NOW, color=True)
    assert "\x1b[32maccepted\x1b[0m" in colored
    assert "\x1b[1;31munmanaged\x1b[0m" in colored


@pytest.mark.parametrize("write", [formats.to_json, formats.to_csv, lambda shares: formats.table(shares, NOW)])
def test_output_has_no_terminal_escapes(write: object) -> None:
    assert callable(write)
    share = make_share(
        backup_name=EVIL, server_name=EVIL, dest_project_name=EVIL, vault_name=EVIL, status=EVIL, cloud=EVIL
    )
    text = write([share])
    assert "red" in text
    assert not set("\x1b\x07\u202e\r") & set(text)
    assert len(formats.table([share], NOW).splitlines()) == 2


def test_clean_escapes_only_what_a_terminal_obeys() -> None:
    assert clean("\x1b[0m\x9b é备\u200f\ud800") == r"\x1b[0m\x9b é备\u200f\ud800"


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(days=400), "400 d"),
        (timedelta(hours=47), "1 d"),
        (timedelta(minutes=90), "1 h"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_age_uses_the_largest_unit(passed: timedelta, text: str) -> None:
    assert formats.age(NOW - passed, NOW) == text


def test_summary_counts_by_status_and_stack() -> None:
    shares = [make_share(managed_by=()), make_share(status="pending", managed_by=(MANAGER,))]
    assert formats.summary(shares) == "2 shares of 1 backup, 1 other project: 1 pending, 1 accepted; 1 unmanaged"
    twice = make_share(managed_by=(MANAGER, MANAGER))
    assert formats.summary([twice]).endswith(": 1 accepted; 0 unmanaged, 1 managed more than once")
    assert formats.summary([]) == "0 shares of 0 backups, 0 other projects"


def test_json_has_every_field_of_a_share() -> None:
    share = make_share(managed_by=(MANAGER,), dest_project_name="dr")
    (record,) = json.loads(formats.to_json([share]))["shares"]
    assert set(record) == {*Share.__dataclass_fields__, "known"}
    assert record["managed_by"] == [{"stack": "prod", "urn": MANAGER.urn}]
    assert record["known"] == "managed"
    assert datetime.fromisoformat(record["shared_at"]) == share.shared_at
    assert record["image_id"] is None


def test_csv_reads_back_and_calculates_nothing() -> None:
    shares = [make_share(backup_name='=1+1;"x",\n', managed_by=(MANAGER,)), make_share(received=True)]
    first, second = csv.DictReader(io.StringIO(formats.to_csv(shares)))
    assert first["backup_name"] == '\'=1+1;"x",\\n'
    # If a spreadsheet separates cells by semicolons, each cell must still begin with its quote.
    assert '"\'=1+1;""x"",' in formats.to_csv(shares)
    assert (first["managed_by"], first["received"], second["received"]) == ("prod/dr", "false", "true")
    assert second["image_id"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "  =", "\t=", "\r@", "\u3000+"])
def test_csv_cell_is_never_a_formula(start: str) -> None:
    (row,) = csv.DictReader(io.StringIO(formats.to_csv([make_share(backup_name=f"{start}cmd|' /C calc'!A0")])))
    assert row["backup_name"][0] in "'\\"
