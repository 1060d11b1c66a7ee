"""BackupShare, check and diff: what a program may say, and what a change of it means. No call is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from protocol.plugin import Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Simulator

KIND = "BackupShare"
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
A, B, C = (letter * 32 for letter in "abc")
MANY = [f"{number:032x}" for number in range(11)]
PROJECT_FORM = "must be a project ID: 32 hex digits without dashes"


@pytest.fixture(autouse=True)
def no_calls(service: Simulator) -> Iterator[None]:
    yield
    assert service.calls == []


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (None, ["must be a list of project IDs; nothing was given"]),
        (A, [f"must be a list of project IDs; not '{A}'"]),
        (7, ["must be a list of project IDs; not 7"]),
        ({"a": A}, [f"must be a list of project IDs; not {{'a': '{A}'}}"]),
        ([], ["must have 1 to 10 projects, not 0"]),
        (MANY, ["must have 1 to 10 projects, not 11"]),
        ([*MANY, UNKNOWN], ["must have 1 to 10 projects, not 12"]),
        (
            [*MANY, "eu-de"],
            [
                f"entry 11 {PROJECT_FORM}; not 'eu-de'",
                "must have 1 to 10 projects, not 11",
            ],
        ),
        ([A, "eu-de"], [f"entry 1 {PROJECT_FORM}; not 'eu-de'"]),
        (["", A, None], [f"entry 0 {PROJECT_FORM}; nothing was given", f"entry 2 {PROJECT_FORM}; nothing was given"]),
        ([[A]], [f"entry 0 {PROJECT_FORM}; not ['{A}']"]),
    ],
)
def test_check_says_what_is_wrong_with_the_projects(plugin: Plugin, given: Any, reasons: list[str]) -> None:
    _, failures = plugin.check(KIND, {"backup_id": BACKUP, "dest_project_ids": given})
    assert failures == {"dest_project_ids": reasons}


def test_check_keeps_the_order_of_the_state(plugin: Plugin) -> None:
    """A preview compares by position: a new project comes last, so it is shown as an addition."""
    olds = {"backup_id": BACKUP, "dest_project_ids": [C, B]}
    checked, failures = plugin.check(KIND, {"backup_id": BACKUP, "dest_project_ids": [A, B, C]}, olds)
    assert (checked["dest_project_ids"], failures) == ([C, B, A], {})
    checked, _ = plugin.check(KIND, {"backup_id": BACKUP, "dest_project_ids": [B, UNKNOWN, A]}, olds)
    assert checked["dest_project_ids"] == [B, A, UNKNOWN]


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ([B, A], [A, B]),
        # It may turn out to be one of the ten.
        ([*MANY[1:], UNKNOWN], [*MANY[1:], UNKNOWN]),
        ([A, B, A, A.upper(), f" {B} "], [A, B]),
        ([*MANY[1:], MANY[1].upper()], MANY[1:]),
        ([B, UNKNOWN, A], [A, B, UNKNOWN]),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_check_makes_one_form_of_equal_sets(plugin: Plugin, given: Any, checked: Any) -> None:
    inputs, failures = plugin.check(KIND, {"backup_id": BACKUP, "dest_project_ids": given})
    assert failures == {}
    assert inputs == {"backup_id": BACKUP, "dest_project_ids": checked}


def test_check_reports_all_problems_together(plugin: Plugin) -> None:
    news = {"backup_id": "nightly", "dest_project_ids": [], "exclusive": "yes", "adopt_existing": 1, "cloud": 7}
    assert set(plugin.check(KIND, news)[1]) == set(news)


def test_check_refuses_the_owners_own_project(plugin_with: Any, service: Simulator) -> None:
    own = service.owner.project_id
    _, failures = plugin_with(projectId=own).check(KIND, {"backup_id": BACKUP, "dest_project_ids": [A, own]})
    assert failures == {
        "dest_project_ids": [f"{own} is the backup's own project. Name another project"],
    }


OLDS = {"backup_id": BACKUP, "dest_project_ids": [A, B], "members": {A: {}, B: {}}}


@pytest.mark.parametrize(
    ("olds", "news", "changes", "replaces", "delete_first"),
    [
        ({}, {}, False, [], None),
        ({}, {"dest_project_ids": [A, C]}, True, [], None),
        ({}, {"dest_project_ids": [A, UNKNOWN]}, True, [], None),
        ({}, {"dest_project_ids": UNKNOWN}, True, [], None),
        ({}, {"exclusive": True}, True, [], None),
        ({}, {"adopt_existing": True}, True, [], None),
        ({"cloud": "dr"}, {}, True, [], None),
        ({"dest_project_ids": [A]}, {}, True, [], None),
        ({}, {"backup_id": BACKUP.replace("2", "3")}, True, ["backup_id"], False),
        ({}, {"backup_id": UNKNOWN}, True, ["backup_id"], False),
    ],
)
def test_diff(
    plugin: Plugin,
    olds: dict[str, Any],
    news: dict[str, Any],
    changes: bool,
    replaces: list[str],
    delete_first: bool | None,
) -> None:
    before = {**OLDS, **olds}
    old_inputs = {name: value for name, value in before.items() if name != "members"}
    inputs = {"backup_id": BACKUP, "dest_project_ids": [A, B], **news}
    told = plugin.diff(KIND, BACKUP, before, inputs, old_inputs)
    assert (told.changes, told.replaces) == (changes, replaces)
    if delete_first is not None:
        assert told.delete_first == delete_first
