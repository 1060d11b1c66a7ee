"""BackupShareMember, check and diff: what a program may say, and what a change of it means. No call is made."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.plugin import Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Simulator

KIND = "BackupShareMember"
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
PROJECT = "0123456789abcdef0123456789abcdef"
GOOD = {"backup_id": BACKUP, "dest_project_id": PROJECT}
UUID_FORM = "must be a UUID with dashes, such as 2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
PROJECT_FORM = "must be a project ID: 32 hex digits without dashes"

pytestmark = pytest.mark.usefixtures("no_calls")


@pytest.fixture
def no_calls(service: Simulator) -> Any:
    yield
    assert service.calls == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("backup_id", None, f"{UUID_FORM}; nothing was given"),
        ("backup_id", "", f"{UUID_FORM}; nothing was given"),
        ("backup_id", " ", f"{UUID_FORM}; not ' '"),
        ("backup_id", "nightly", f"{UUID_FORM}; not 'nightly'"),
        ("backup_id", BACKUP.replace("-", ""), f"{UUID_FORM}; not '{BACKUP.replace('-', '')}'"),
        ("backup_id", f"{BACKUP}/..", f"{UUID_FORM}; not '{BACKUP}/..'"),
        ("backup_id", f"{{{BACKUP}}}", f"{UUID_FORM}; not '{{{BACKUP}}}'"),
        ("backup_id", PROJECT, f"{UUID_FORM}; not '{PROJECT}'"),
        ("backup_id", "x" * 5000, f"{UUID_FORM}; not '{'x' * 76}..."),
        ("backup_id", 7, f"{UUID_FORM}; not 7.0"),
        ("backup_id", True, f"{UUID_FORM}; not True"),
        ("backup_id", [BACKUP], f"{UUID_FORM}; not ['{BACKUP}']"),
        ("backup_id", {"id": BACKUP}, f"{UUID_FORM}; not {{'id': '{BACKUP}'}}"),
        ("dest_project_id", None, f"{PROJECT_FORM}; nothing was given"),
        ("dest_project_id", "", f"{PROJECT_FORM}; nothing was given"),
        ("dest_project_id", "eu-de", f"{PROJECT_FORM}; not 'eu-de'"),
        ("dest_project_id", PROJECT[1:], f"{PROJECT_FORM}; not '{PROJECT[1:]}'"),
        ("dest_project_id", PROJECT + "0", f"{PROJECT_FORM}; not '{PROJECT}0'"),
        ("dest_project_id", BACKUP, f"{PROJECT_FORM}; not '{BACKUP}'"),
        ("dest_project_id", 7, f"{PROJECT_FORM}; not 7.0"),
        ("dest_project_id", False, f"{PROJECT_FORM}; not False"),
        ("dest_project_id", [PROJECT], f"{PROJECT_FORM}; not ['{PROJECT}']"),
        ("cloud", 7, "must be a text, not 7"),
        ("cloud", " ", "`cloud` is an empty text. Name an entry of clouds.yaml, or leave `cloud` out"),
        ("cloud", True, "must be a text, not True"),
        ("cloud", ["otc"], "must be a text, not ['otc']"),
        ("cloud", {"name": "otc"}, "must be a text, not {'name': 'otc'}"),
        ("adopt_existing", "true", "must be true or false, not 'true'"),
        ("adopt_existing", 1, "must be true or false, not 1"),
        ("adopt_existing", 0, "must be true or false, not 0"),
        ("adopt_existing", [True], "must be true or false, not [True]"),
        ("adopt_existing", [], "must be true or false, not []"),
        ("reshare_if_rejected", "yes", "must be true or false, not 'yes'"),
        ("reshare_if_rejected", 0, "must be true or false, not 0"),
        ("reshare_if_rejected", {}, "must be true or false, not {}"),
        ("reshare_if_rejected", ["x" * 200], f"must be true or false, not ['{'x' * 75}..."),
    ],
)
def test_check_says_what_is_expected_and_what_was_given(plugin: Plugin, name: str, value: Any, reason: str) -> None:
    inputs, failures = plugin.check(KIND, {**GOOD, name: value})
    assert {key: [text.replace("not 7.0", "not 7") for text in texts] for key, texts in failures.items()} == {
        name: [reason.replace("not 7.0", "not 7")]
    }
    assert name not in inputs


@pytest.mark.parametrize("preflight", ["", "true"])
def test_check_reports_all_problems_at_once(plugin_with: Any, preflight: str) -> None:
    bad = {"backup_id": "b", "cloud": ["c"], "adopt_existing": 1, "reshare_if_rejected": "no"}
    _, failures = plugin_with(preflight=preflight).check(KIND, bad)
    assert {name: len(reasons) for name, reasons in failures.items()} == dict.fromkeys((*bad, "dest_project_id"), 1)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ({"backup_id": f" {BACKUP.upper()}\n"}, {}),
        ({"dest_project_id": f"\t{PROJECT.upper()} "}, {}),
        ({"cloud": " otc "}, {"cloud": "otc"}),
        ({"cloud": None}, {}),
        ({"adopt_existing": False, "reshare_if_rejected": False}, {}),
        ({"adopt_existing": None, "reshare_if_rejected": None}, {}),
        ({"adopt_existing": True, "reshare_if_rejected": True}, {"adopt_existing": True, "reshare_if_rejected": True}),
        (dict.fromkeys(("share_id", "status", "created_at")), {}),
        *[({name: UNKNOWN}, {name: UNKNOWN}) for name in ("backup_id", "dest_project_id", "cloud", "adopt_existing")],
        (
            dict.fromkeys(("backup_id", "dest_project_id", "cloud", "adopt_existing", "reshare_if_rejected"), UNKNOWN),
            dict.fromkeys(("backup_id", "dest_project_id", "cloud", "adopt_existing", "reshare_if_rejected"), UNKNOWN),
        ),
    ],
)
def test_check_gives_the_normal_form(plugin: Plugin, given: Any, normal: Any) -> None:
    expected = {name: value for name, value in {**GOOD, **normal}.items() if value is not None}
    assert plugin.check(KIND, {**GOOD, **given}) == (expected, {})
    # What was checked once is checked again as it is.
    assert plugin.check(KIND, expected) == (expected, {})


@pytest.mark.parametrize("spelt", ["", "upper"])
def test_check_refuses_the_own_project(plugin: Plugin, service: Simulator, spelt: str) -> None:
    own = service.owner.project_id
    _, failures = plugin.check(KIND, {**GOOD, "dest_project_id": own.upper() if spelt else own})
    assert failures == {"dest_project_id": [f"{own} is the backup's own project. Name another project"]}


def test_check_leaves_the_own_project_of_another_cloud_alone(plugin: Plugin, service: Simulator) -> None:
    own = service.owner.project_id
    for cloud in ("otc", UNKNOWN):
        assert plugin.check(KIND, {**GOOD, "dest_project_id": own, "cloud": cloud})[1] == {}


OLDS = {
    **GOOD,
    "share_id": BACKUP,
    "status": "pending",
    "created_at": "2026-01-01T00:00:00+00:00",
    "source_project_id": PROJECT[::-1],
}
REJECTED = {**OLDS, "status": "rejected"}
RESHARE = {"reshare_if_rejected": True}


@pytest.mark.parametrize(
    ("olds", "news", "changes", "replaces", "delete_first"),
    [
        (OLDS, {}, False, [], True),
        (OLDS, {"backup_id": BACKUP[::-1]}, True, ["backup_id"], False),
        (OLDS, {"dest_project_id": PROJECT[::-1]}, True, ["dest_project_id"], False),
        (OLDS, {"backup_id": "b", "dest_project_id": "p"}, True, ["backup_id", "dest_project_id"], False),
        (OLDS, {"backup_id": UNKNOWN}, True, ["backup_id"], False),
        (OLDS, {"dest_project_id": UNKNOWN}, True, ["dest_project_id"], False),
        (OLDS, {"backup_id": UNKNOWN, "cloud": UNKNOWN}, True, ["backup_id"], False),
        (OLDS, {"cloud": "otc"}, True, [], True),
        (OLDS, {"cloud": UNKNOWN}, True, [], True),
        (OLDS, {"adopt_existing": True}, True, [], True),
        (OLDS, {"adopt_existing": UNKNOWN}, True, [], True),
        (OLDS, RESHARE, True, [], True),
        ({**OLDS, "cloud": "otc"}, {}, True, [], True),
        ({**OLDS, **RESHARE}, {}, True, [], True),
        ({**OLDS, **RESHARE}, RESHARE, False, [], True),
        (REJECTED, {}, False, [], True),
        (REJECTED, {"adopt_existing": True}, True, [], True),
        (REJECTED, RESHARE, True, ["status"], True),
        ({**REJECTED, **RESHARE}, RESHARE, True, ["status"], True),
        ({**REJECTED, **RESHARE}, {}, True, [], True),
        (REJECTED, {"reshare_if_rejected": UNKNOWN}, True, [], True),
        (REJECTED, {**RESHARE, "dest_project_id": PROJECT[::-1]}, True, ["dest_project_id", "status"], False),
        ({**OLDS, "status": "accepted", **RESHARE}, RESHARE, False, [], True),
        # What another version of the package put into the state.
        ({**OLDS, "something_new": "x"}, {}, False, [], True),
        ({**GOOD}, {}, False, [], True),
    ],
)
def test_diff(plugin: Plugin, olds: Any, news: Any, changes: bool, replaces: list[str], delete_first: bool) -> None:
    found = plugin.diff(KIND, "id", olds, {**GOOD, **news})
    assert (found.changes, sorted(found.replaces), found.delete_first) == (changes, replaces, delete_first)


def test_diff_knows_the_normal_form(plugin: Plugin) -> None:
    news, _ = plugin.check(KIND, {"backup_id": BACKUP.upper(), "dest_project_id": f" {PROJECT} "})
    assert not plugin.diff(KIND, "id", OLDS, news).changes
