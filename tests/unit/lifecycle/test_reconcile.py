"""The plans of sets: a table of inputs, shares of the state and members of the service."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from pulumi_cbr.api.models import Member
from pulumi_cbr.lifecycle.reconcile import Plan, SetInputs, plan_changes

NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
#: Ten projects that somebody else shares the backup with.
OTHERS = "klmnopqrst"


def own(projects: str, **outputs: Any) -> dict[str, dict[str, Any]]:
    """Return the state's shares: project `a` has the share `a1`."""
    return {project: {"share_id": f"{project}1", "status": "pending", **outputs} for project in projects}


def members(projects: str, number: int = 1, **fields: Any) -> dict[str, Member]:
    return {
        project: Member(
            f"{project}{number}", fields.get("status", "pending"), BACKUP, project, NOW, image_id=fields.get("image")
        )
        for project in projects
    }


def summary(plan: Plan) -> dict[str, Any]:
    """Return what a plan asks for, without what is empty."""
    parts = {
        "create": "".join(plan.create),
        "adopt": "".join(plan.adopt),
        "refuse": "".join(plan.refuse),
        "delete": "".join(plan.delete),
        "recreated": "".join(plan.recreated),
        "first": plan.delete_first,
        "exceeds": plan.exceeds_limit,
    }
    return {name: value for name, value in parts.items() if value}


CASES: dict[str, tuple[str, dict[str, bool], dict[str, dict[str, Any]], dict[str, Member] | None, dict[str, Any]]] = {
    # declared, options, state, service (None: nobody looked), plan
    "new": ("ab", {}, {}, None, {"create": "ab"}),
    "nothing changes": ("ab", {}, own("ab"), None, {}),
    "twice the same": ("aba", {}, own("a"), None, {"create": "b"}),
    "one more, one less": ("bc", {}, own("ab"), None, {"create": "c", "delete": "a"}),
    "nothing left": ("", {}, own("a"), None, {"delete": "a"}),
    "foreign": ("ab", {}, {}, members("a"), {"create": "b", "refuse": "a"}),
    "foreign, adopted": ("ab", {"adopt": True}, {}, members("a"), {"create": "b", "adopt": "a"}),
    "foreign beside": ("a", {}, own("a"), members("ax"), {}),
    "foreign beside, exclusive": ("a", {"exclusive": True}, own("a"), members("ax"), {"delete": "x"}),
    "gone": ("ab", {}, own("ab"), members("a"), {"create": "b"}),
    "made again": ("a", {}, own("a"), members("a", 2), {"refuse": "a"}),
    "made again, adopted": ("a", {"adopt": True}, own("a"), members("a", 2), {"adopt": "a"}),
    "created again, not of the set": ("b", {}, own("ab"), {**members("a", 2), **members("b")}, {"recreated": "a"}),
    "made again, leaving, adopted": (
        "b",
        {"adopt": True},
        own("ab"),
        {**members("a", 2), **members("b")},
        {"delete": "a"},
    ),
    "made again, leaving, exclusive": ("", {"exclusive": True}, own("a"), members("a", 2), {"delete": "a"}),
    "not listed, leaving": ("b", {}, own("ab"), members("b"), {"delete": "a"}),
    "a state without share IDs": ("a", {}, {"a": {}}, members("a", 2), {}),
    "rejected": ("a", {}, own("a", status="rejected"), None, {}),
    "rejected, again": (
        "a",
        {"reshare": True},
        own("a", status="rejected"),
        None,
        {"create": "a", "delete": "a", "first": True},
    ),
    "rejected as seen, again": (
        "a",
        {"reshare": True},
        own("a"),
        members("a", status="rejected"),
        {"create": "a", "delete": "a", "first": True},
    ),
    "rejected, leaving": ("b", {"reshare": True}, own("a", status="rejected"), None, {"create": "b", "delete": "a"}),
    "an image of the state holds it": (
        "b",
        {},
        own("a", image_id="i"),
        None,
        {"create": "b", "delete": "a", "first": True},
    ),
    "an image holds it": ("b", {}, own("a"), members("a", image="i"), {"create": "b", "delete": "a", "first": True}),
    "full": ("bcdefghijk", {}, own("abcdefghij"), None, {"create": "k", "delete": "a", "first": True}),
    "too many": ("a", {}, {}, members(OTHERS), {"create": "a", "exceeds": True}),
    "too many, exclusive": (
        "a",
        {"exclusive": True},
        {},
        members(OTHERS),
        {"create": "a", "delete": OTHERS, "first": True},
    ),
    "too many with others": (
        "bc",
        {},
        own("a"),
        members(f"a{OTHERS[:9]}"),
        {"create": "bc", "delete": "a", "first": True, "exceeds": True},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_plan_changes(name: str) -> None:
    projects, options, state, service, expected = CASES[name]
    plan = plan_changes(SetInputs(BACKUP, tuple(projects), **dict[str, Any](options)), state, service)
    assert summary(plan) == expected
