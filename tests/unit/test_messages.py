"""Every text for users: one line, short, and with what it is about."""

from __future__ import annotations

import inspect
import re

import pytest

from pulumi_cbr import messages
from pulumi_cbr.shares.formats import COLUMNS
from pulumi_cbr.shares.select import SORT_KEYS

BACKUP, SHARE, NEW = (f"2f8a1a44-7b1f-4a80-b7d5-{number:012}" for number in range(3))
A, B, C, D = (letter * 32 for letter in "abcd")
REFUSED = f"sharing backup {BACKUP} with project {A} failed: no (BackupService.6704, HTTP 400)"
SHARES = [messages.share(project, SHARE, "pending", "3 days") for project in (A, B, C, D)]

#: Each message of a section, with what it must have.
TEXTS = {
    "already_shared": (messages.already_shared(BACKUP, SHARES[:1]), [A, SHARE, "3 days old", "adoptExisting"]),
    "already_shared, many": (messages.already_shared(BACKUP, SHARES), [A, B, "and 2 more"]),
    "already_shared_in_preflight": (
        messages.already_shared_in_preflight(BACKUP, SHARES),
        [A, "add --refresh --run-program"],
    ),
    "refused_beside_shares": (messages.refused_beside_shares(REFUSED, SHARES[:1]), ["6704", A, "adoptExisting"]),
    "own_project": (messages.own_project(A), [A]),
    "too_many_members": (messages.too_many_members(BACKUP, 8, 3, 10), ["11 members (8 existing, 3 new)", "10"]),
    "not_all_shared": (messages.not_all_shared(BACKUP, [B, A]), [f"{A}, {B}", "all shares"]),
    "not_all_shared, one": (messages.not_all_shared(BACKUP, [A]), ["the share. Run again"]),
    "unknown_result": (messages.unknown_result("sharing failed", "listing failed"), ["result is unknown"]),
    "not_shown_after": (messages.not_shown_after("sharing failed", 3), ["3 attempts"]),
    "not_shown_after, one": (messages.not_shown_after("sharing failed", 1), ["one attempt"]),
    "members_keep_changing": (messages.members_keep_changing(BACKUP), ["others change its shares"]),
    "existing_share_hidden": (messages.existing_share_hidden("sharing failed."), ["failed. The service"]),
    "existing_share_unreadable": (
        messages.existing_share_unreadable("sharing failed", "no right"),
        ["no right. Run again"],
    ),
    "rolled_back": (messages.rolled_back("sharing failed", [B, A]), [f"Rolled back {A}, {B}. Fix the cause"]),
    "rolled_back_deleted": (
        messages.rolled_back("no", [B], [A]),
        [f"no. Deleted before it: {A}. Rolled back {B}. Fix"],
    ),
    "not_rolled_back": (messages.not_rolled_back("sharing failed", [A], "no right"), [f"Rolling back {A} failed"]),
    "not_rolled_back_deleted": (
        messages.not_rolled_back("no", [A], "no right", deleted=[D], rolled_back=[C, B]),
        [f"no. Deleted before it: {D}. Rolled back {B}, {C}. Rolling back {A} failed"],
    ),
    "also_deleted": (messages.also_deleted("no. Run again", [B, A]), [f"Run again. Deleted before it: {A}, {B}"]),
    "deleted_partly": (messages.deleted_partly("deleting failed", [A]), [f"Deleted: {A}", "pulumi refresh"]),
    "deleted_before": (messages.deleted_before("sharing failed", [A]), [f"Deleted before it: {A}"]),
    "also_not_deleted": (messages.also_not_deleted("deleting failed", [B, A]), [f"Also not deleted: {A}, {B}"]),
    "image_of_share": (messages.image_of_share("deleting failed", SHARE), [f"The image is {SHARE}"]),
    "still_exists": (messages.still_exists("deleting", BACKUP, A), ["deleting the share", BACKUP, A]),
    "accepted_while_deleted": (messages.accepted_while_deleted(BACKUP, A), [BACKUP, A, "depends_on"]),
    "stays_rejected": (messages.stays_rejected(BACKUP, [B, A]), [BACKUP, f"{A}, {B}", "another resource"]),
    "accepted_meanwhile": (messages.accepted_meanwhile(BACKUP, A), [BACKUP, A, "since the last refresh"]),
    "unverified_is_foreign": (
        messages.unverified_is_foreign(BACKUP, A, SHARE, None, "2020-01-01T00:00:00+00:00"),
        [BACKUP, A, SHARE, "an unknown time"],
    ),
    "cannot_identify": (messages.cannot_identify(BACKUP, A, "no right"), [BACKUP, A, "Nothing was deleted"]),
    "not_shared_yet": (messages.not_shared_yet(BACKUP, A, 4), [BACKUP, A, "yet. Trying again in 4.0 s"]),
    "not_shared": (messages.not_shared(BACKUP, A), [BACKUP, A, "depends_on"]),
    "accepted_into_other_vault": (messages.accepted_into_other_vault(BACKUP, SHARE, NEW), [BACKUP, SHARE, NEW]),
    "no_acceptance_to_import": (messages.no_acceptance_to_import(BACKUP, A), [BACKUP, A, "in no vault"]),
    "response_timed_out": (messages.response_timed_out("cbr.x"), ["cbr.x in time. Check the network"]),
    "retry, of a lost response": (messages.retry(messages.response_timed_out("x"), 2), ["in time. Trying again in 2"]),
    "other_receiver": (messages.other_receiver(A, B), [A, B, "`pulumi up`"]),
    "contradictory": (messages.contradictory(BACKUP), [BACKUP, "state is unchanged"]),
    "share_replaced": (messages.share_replaced(BACKUP, A, SHARE, NEW), [BACKUP, A, SHARE, NEW]),
    "share_not_deleted": (messages.share_not_deleted(BACKUP, A, SHARE, NEW), [BACKUP, A, SHARE, NEW]),
    "adopted": (messages.adopted(BACKUP, SHARES[:1]), ["adopted unchanged", BACKUP, A, SHARE, "pending, 3 days old"]),
    "adopted, many": (messages.adopted(BACKUP, SHARES), [A, B, "and 2 more"]),
    "adopted_acceptance": (messages.adopted_acceptance(BACKUP, A, NEW), ["adopted unchanged", BACKUP, A, NEW]),
    "more_adopted": (messages.more_adopted(10), ["more than 10"]),
    "already_held": (messages.already_held(BACKUP, A, "BackupShareMember dr"), [BACKUP, A, "BackupShareMember dr"]),
    "share_gone": (messages.share_gone(BACKUP, A), [BACKUP, A]),
    "deleted_by_another": (messages.deleted_by_another(BACKUP, A), ["keeping", BACKUP, A, "`pulumi up --refresh`"]),
    "adopted_while_deleted": (messages.adopted_while_deleted(BACKUP, A), ["adopting", BACKUP, A, "`pulumi up` again"]),
    "acceptance_ends": (messages.acceptance_ends(BACKUP, A), [BACKUP, A, "pulumi up --refresh"]),
    "acceptance_of_earlier_share": (messages.acceptance_of_earlier_share(BACKUP, A), [BACKUP, A, "--refresh"]),
    "acceptance_kept": (messages.acceptance_kept(BACKUP, A), [BACKUP, A, "depends_on"]),
    "held_twice": (
        messages.held_twice(BACKUP, A, ["BackupShare a", "BackupShareMember b"], is_acceptance=False),
        ["BackupShare a and BackupShareMember b", "one share of", "deletes"],
    ),
    "held_twice, acceptance": (
        messages.held_twice(BACKUP, A, ["BackupShareAccepter a", "BackupShareAccepter b"], is_acceptance=True),
        ["one acceptance of", "undoes"],
    ),
    "managed_elsewhere": (messages.managed_elsewhere(BACKUP, [B, A]), [f"{A}, {B}: another resource"]),
    "drift": (messages.drift(BACKUP, A, [("status", "pending", "rejected")]), ["status is rejected, not pending"]),
    "rejected": (messages.rejected(BACKUP, A), ["reshare_if_rejected=True"]),
    "exclusive_deletes": (messages.exclusive_deletes(BACKUP, [B, A]), [f"{A}, {B}"]),
    "use_of_changed_settings": (messages.use_of_changed_settings(), ["`pulumi up`", "--run-program"]),
    "other_endpoint": (
        messages.other_endpoint(BACKUP, "https://cbr.eu-de.otc.t-systems.com", "https://cbr.eu-nl.otc.t-systems.com"),
        [BACKUP, "at https://cbr.eu-de", "does not have it", "`pulumi up`"],
    ),
    "other_source_project": (messages.other_source_project(A, B), [A, B, "`pulumi up`", "--run-program"]),
}

TEXTS |= {
    "backup_missing": (messages.backup_missing(BACKUP, A), [BACKUP, A, "Check its ID"]),
    "preflight_failed": (messages.preflight_failed("listing failed. Run again"), ["preflight failed: listing failed"]),
    "backup_not_available": (messages.backup_not_available(BACKUP, "error"), [BACKUP, "`error`", "`available`"]),
    "seldom_shared": (messages.seldom_shared(BACKUP, "of encrypted disks"), [BACKUP, "encrypted", "cbr:preflight"]),
    "too_many_planned": (messages.too_many_planned(BACKUP, 11, 8, 10), ["11 projects (8 existing)", "limit is 10"]),
    "declared_twice": (messages.declared_twice(BACKUP, A), [BACKUP, A, "Remove one"]),
}

TEXTS |= {
    "wrong_id": (messages.wrong_id("vault_id", "a UUID", None), ["vault_id must be a UUID; nothing was given"]),
    "wrong_share_id": (messages.wrong_share_id("project", "x", "no UUID"), ["<backup_id>/<project>, not 'x': no UUID"]),
    "wrong_project_list": (messages.wrong_project_list("7"), ["must be a list of project IDs; not 7"]),
    "wrong_project_count": (messages.wrong_project_count(11, 10), ["1 to 10 projects, not 11"]),
    "wrong_input": (messages.wrong_input("a text", "7"), ["must be a text, not 7"]),
    "resource_missing": (messages.resource_missing(BACKUP), [BACKUP, "does not exist. Check the ID"]),
    "bug": (messages.bug("KeyError", "/tmp/x.log"), ["KeyError", "/tmp/x.log", "result is unknown"]),
    "bug_without_file": (messages.bug_without_file("KeyError", "full", "KeyError('x')", "f:1"), ["full", "f:1"]),
    "not_a_cbr_response": (messages.not_a_cbr_response("the body is empty"), ["CBR service (the body is empty)"]),
    "backup_exists": (messages.backup_exists("not found.", BACKUP), [f"not found; but backup {BACKUP} exists"]),
}

WHERE = "/very/long/path/" + "x" * 60

#: Those of the commands, the look-ups and the components: all of them.
TEXTS |= {
    "wrong_age": (messages.wrong_age("long"), ["'long'", "30d"]),
    "wrong_sort": (messages.wrong_sort("size", SORT_KEYS), ["'size'", "age", ":desc"]),
    "wrong_column": (messages.wrong_column("size", COLUMNS), ["'size'", "backup_id"]),
    "option_needs_stack": (messages.option_needs_stack("--status gone"), ["--status gone", "--stack"]),
    "stack_unreadable": (
        messages.stack_unreadable("acme/p/prod", messages.NO_STATE),
        ["acme/p/prod", "a stack's state"],
    ),
    "stack_without_pulumi": (messages.stack_without_pulumi("prod"), ["prod", "not on PATH", "Install"]),
    "stack_without_folder": (messages.stack_without_folder("prod", WHERE), ["prod", WHERE, "--cwd"]),
    "cloud_failed": (
        messages.cloud_failed("prod", "listing failed. Ask for it"),
        ["'prod': listing failed. Ask for it"],
    ),
    "interrupted": (messages.interrupted(), ["Nothing was changed"]),
    "shares_summary": (
        messages.shares_summary(2, 1, 1, {"pending": 2}),
        ["2 shares of 1 backup, 1 other project: 2 pending"],
    ),
    "shares_summary, none": (messages.shares_summary(0, 0, 0, {}), ["0 shares of 0 backups, 0 other projects"]),
    "shares_in_stacks": (messages.shares_in_stacks(3, 2), ["; 3 unmanaged, 2 managed more than once"]),
    "listing_progress": (messages.listing_progress(1, 1), ["1 of 1 backup"]),
    "share_count": (messages.share_count(2), ["2 shares"]),
    "no_shares": (messages.no_shares(received=False, filtered=False), ["0 shares: no backup of this project"]),
    "no_shares, received": (messages.no_shares(received=True, filtered=False), ["nothing is shared with this project"]),
    "no_shares, filtered": (messages.no_shares(received=True, filtered=True), ["none matches the filters"]),
    "hidden_columns": (messages.hidden_columns(["age", "vault"], 80), ["80 columns: age, vault", "--columns"]),
    "adopts_without_stack": (messages.adopts_without_stack(), ["--stack", "are included"]),
    "members_are_secret": (messages.members_are_secret("urn:s"), ["urn:s", "secret"]),
    "import_of_several_clouds": (messages.import_of_several_clouds(), ["one --cloud at a time"]),
    "file_unwritable": (messages.file_unwritable(WHERE, "No space left on device"), [WHERE, "No space left"]),
    "next_step_of_import": (messages.next_step_of_import(), ["pulumi import --file"]),
    "next_step_of_program": (messages.next_step_of_program(), ["pulumi up", "adopt_existing"]),
    "adoption_summary": (
        messages.adoption_summary(1, {messages.LEFT_OUT_MANAGED: 2, messages.LEFT_OUT_NO_VAULT: 1}),
        ["1 share to adopt; left out: 2 managed, 1 in no known vault"],
    ),
    "sort_given_twice": (messages.sort_given_twice(), ["sort or newest_first, not both"]),
    "wrong_limit": (messages.wrong_limit("-1"), ["0 or more, not -1"]),
    "vault_needs_id_or_name": (messages.vault_needs_id_or_name(), ["vault_id or name"]),
    "no_single_vault": (messages.no_single_vault("x" * 200, []), ["no vault", "Check the name"]),
    "no_single_vault, several": (
        messages.no_single_vault("nightly", [BACKUP] * 9),
        ["9 vaults", BACKUP, "Use vault_id"],
    ),
    "empty_window_value": (messages.empty_window_value("servers"), ["servers has an empty ID"]),
    "filter_ignored": (messages.filter_ignored(NEW, BACKUP, SHARE), [NEW, BACKUP, SHARE]),
    "left_out": (messages.left_out(BACKUP, SHARE, 3), ["3 shares", BACKUP, SHARE]),
    "backup_without_owner": (messages.backup_without_owner(BACKUP), [BACKUP]),
    "window_needs_backups": (messages.window_needs_backups(), ["servers", "vault_id"]),
    "window_needs_limit": (messages.window_needs_limit(), ["count or max_age"]),
    "wrong_window_count": (messages.wrong_window_count("x" * 200), ["whole number"]),
    "wrong_max_age": (messages.wrong_max_age("x" * 200), ["14d"]),
    "window_accepts_for_one_project": (messages.window_accepts_for_one_project(), ["accept_into", "exactly one"]),
    "window_without_backups": (messages.window_without_backups(None, BACKUP), [BACKUP, "Nothing was changed"]),
    "backup_without_time": (messages.backup_without_time(BACKUP), [BACKUP, "Nothing was changed", "count"]),
    "own_backup": (messages.own_backup(BACKUP, A), [BACKUP, A, "Sign in to the receiving project"]),
    "component_inputs_unknown": (
        messages.component_inputs_unknown("NewestBackupShares", ["servers", "maxAge"]),
        ["servers and maxAge is not known", "--target"],
    ),
    "component_needs_plain_values": (
        messages.component_needs_plain_values("AcceptPendingShares", "vault_id"),
        ["AcceptPendingShares: vault_id", "plain text"],
    ),
    "status_filter_ignored": (messages.status_filter_ignored(BACKUP), [BACKUP, "BackupShareAccepter"]),
    "accepter_needs_owners": (messages.accepter_needs_owners(), ["source_project_ids"]),
}


def test_messages_of_commands_and_components_are_in_the_table() -> None:
    source = inspect.getsource(messages)
    section = source[source.index("# Commands\n") : source.index("# The first-class provider\n")]
    assert set(re.findall(r"^def (\w+)", section, re.MULTILINE)) <= {name.partition(",")[0] for name in TEXTS}


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
