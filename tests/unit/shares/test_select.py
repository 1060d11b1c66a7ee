"""Filters, ages and orders of shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pulumi_cbr.api import Backup
from pulumi_cbr.shares.select import Filters, duration, sort, sort_order
from unit.shares.rows import NOW, OTHER_PROJECT, PROJECT, make_share


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"projects": (PROJECT,)}, True),
        ({"projects": (OTHER_PROJECT,)}, False),
        ({"projects": ("eu-de_*",)}, True),
        ({"statuses": ("pending", "accepted")}, True),
        ({"statuses": ("pending",)}, False),
        ({"servers": ("web-1",)}, True),
        ({"servers": ("5DDB0E92-50b2-49d4-bd57-35b378502536",)}, True),
        ({"servers": ("web",)}, False),
        ({"vaults": ("6ddb*",)}, True),
        ({"vaults": ("dr-vault",)}, True),
        ({"vaults": ("none",)}, False),
        ({"older_than": timedelta(days=3)}, True),
        ({"older_than": timedelta(days=4)}, False),
        ({"servers": ("web-1",), "statuses": ("pending",)}, False),
    ],
)
def test_filters_match_by_ids_names_and_age(filters: dict[str, Any], matches: bool) -> None:
    share = make_share(dest_project_name="eu-de_dr", dest_vault_name="DR-vault")
    assert Filters(**filters).match(share, NOW) is matches


def test_filters_of_received_share_match_its_owner() -> None:
    share = make_share(received=True, source_project_id=OTHER_PROJECT)
    assert Filters(projects=(OTHER_PROJECT,)).match(share, NOW)
    assert not Filters(projects=(PROJECT,)).match(share, NOW)


def test_filters_take_no_age_of_a_backup_for_that_of_its_share() -> None:
    assert not Filters(older_than=timedelta(seconds=1)).match(make_share(shared_at=None), NOW)


def test_filters_rule_out_backups_before_their_members() -> None:
    backup = Backup("id", "available", "OS::Nova::Server", "server", NOW - timedelta(days=2), resource_name="web-1")
    assert Filters(servers=("web-*",), older_than=timedelta(days=2)).may_match(backup, NOW)
    assert not Filters(servers=("db-*",)).may_match(backup, NOW)
    # A share is never older than its backup.
    assert not Filters(older_than=timedelta(days=3)).may_match(backup, NOW)


@pytest.mark.parametrize(
    ("text", "expected"), [("90m", timedelta(minutes=90)), ("12H", timedelta(hours=12)), (" 2w ", timedelta(weeks=2))]
)
def test_duration_reads_number_and_unit(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "d", "-5d", "1.5d", "5y", "999999999w", "٣d"])
def test_duration_refuses_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="not an age"):
        duration(text)


def test_sort_by_several_keys_and_directions() -> None:
    old = make_share(server_name="b", shared_at=NOW - timedelta(days=9))
    new = make_share(server_name="b", shared_at=NOW)
    first = make_share(server_name="A")
    assert sort([old, new, first], sort_order("server,age")) == [first, new, old]
    assert sort([new, first, old], sort_order("server:desc, age:desc")) == [old, new, first]


def test_sort_order_refuses_unknown_key() -> None:
    with pytest.raises(ValueError, match="not a sort key: 'size'"):
        sort_order("age,size")
