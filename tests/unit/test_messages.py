"""Every text for users: one line, short, and with what it is about."""

from __future__ import annotations

import re

import pytest

from pulumi_cbr import messages

BACKUP, SHARE, NEW = (f"2f8a1a44-7b1f-4a80-b7d5-{number:012}" for number in range(3))
A, B, C, D = (letter * 32 for letter in "abcd")
REFUSED = f"sharing backup {BACKUP} with project {A}: no (BackupService.6704, HTTP 400)"
SHARES = [messages.share(project, SHARE, "pending", "3 days") for project in (A, B, C, D)]

#: Each message of a section, with what it must have.
TEXTS = {
    "already_shared": (messages.already_shared(BACKUP, SHARES[:1]), [A, SHARE, "3 days old", "adoptExisting"]),
    "already_shared, many": (messages.already_shared(BACKUP, SHARES), [A, B, "and 2 more"]),
    "refused_beside_shares": (messages.refused_beside_shares(REFUSED, SHARES[:1]), ["6704", A, "adoptExisting"]),
    "own_project": (messages.own_project(A), [A]),
    "too_many_members": (messages.too_many_members(BACKUP, 8, 3, 10), ["11 members (8 existing, 3 new)", "10"]),
    "not_all_shared": (messages.not_all_shared(BACKUP, [B, A]), [f"{A}, {B}", "all shares"]),
    "not_all_shared, one": (messages.not_all_shared(BACKUP, [A]), ["the share. Run again"]),
    "cannot_look": (messages.cannot_look("sharing failed", "listing failed"), ["result is unknown"]),
    "not_shown_after": (messages.not_shown_after("sharing failed", 3), ["3 attempts"]),
    "not_shown_after, one": (messages.not_shown_after("sharing failed", 1), ["one attempt"]),
    "existing_share_hidden": (messages.existing_share_hidden("sharing failed."), ["failed. The service"]),
    "existing_share_unreadable": (messages.existing_share_unreadable("sharing failed", "no right"), ["no right"]),
    "rolled_back": (messages.rolled_back("sharing failed", [B, A]), [f"Rolled back {A}, {B}. Fix the cause"]),
    "not_rolled_back": (messages.not_rolled_back("sharing failed", [A], "no right"), [f"Rolling back {A} failed"]),
    "deleted_to_make_room": (messages.deleted_to_make_room("sharing failed", [A]), [f"to make room: {A}"]),
    "also_not_deleted": (messages.also_not_deleted("deleting failed", [B, A]), [f"Also not deleted: {A}, {B}"]),
    "image_of_share": (messages.image_of_share("deleting failed", SHARE), [f"The image is {SHARE}"]),
    "still_there": (messages.still_there(BACKUP, A), [BACKUP, A]),
    "cannot_identify": (messages.cannot_identify(BACKUP, A, "no right"), [BACKUP, A, "Nothing was deleted"]),
    "contradictory": (messages.contradictory(BACKUP), [BACKUP, "state is unchanged"]),
    "share_replaced": (messages.share_replaced(BACKUP, A, SHARE, NEW), [BACKUP, A, SHARE, NEW]),
    "share_not_deleted": (messages.share_not_deleted(BACKUP, A, SHARE, NEW), [BACKUP, A, SHARE, NEW]),
    "managed_elsewhere": (messages.managed_elsewhere(BACKUP, [B, A]), [f"{A}, {B}: another resource"]),
    "drift": (messages.drift(BACKUP, A, [("status", "pending", "rejected")]), ["status is rejected, not pending"]),
    "rejected": (messages.rejected(BACKUP, A), ["reshare_if_rejected=True"]),
    "exclusive_deletes": (messages.exclusive_deletes(BACKUP, [B, A]), [f"{A}, {B}"]),
    "other_source_project": (messages.other_source_project(A, B), [A, B, "`pulumi up`", "--run-program"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_message_is_one_short_line(name: str) -> None:
    text, parts = TEXTS[name]
    assert [part for part in parts if part not in text] == []
    assert text.isprintable()
    without_ids = re.sub(r"\b([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})\b", "", text)
    assert len(without_ids) <= 250
    assert not re.search(r"\.\.|\. \.|  ", text)


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-9, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (23 * 3600 + 3540, "23 hours"),
        (400 * 86400, "400 days"),
    ],
)
def test_age_uses_the_largest_unit(seconds: float, age: str) -> None:
    assert messages.age(seconds) == age
