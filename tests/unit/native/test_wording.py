"""Messages of controllers in the terms of the first-class flavor."""

from __future__ import annotations

import pytest

from pulumi_cbr.native.wording import find_explicit_provider_name, to_native_terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Set adopt_existing=True", "Set adoptExisting=true (Python: adopt_existing=True)"),
        ("exclusive=True takes", "exclusive=true takes"),
        ("get_backups takes sort or newest_first", "getBackups takes sort or newestFirst"),
        ("the ID must be <backup_id>/<dest_project_id>", "the ID must be <backupId>/<destProjectId>"),
        ("dest_project_ids and my_dest_project_id_x", "destProjectIds and my_dest_project_id_x"),
        ("`pulumi config set cbr:adoptExisting true`", "`pulumi config set cbr:adoptExisting true`"),
        ("OS_PROJECT_ID, project_name", "OS_PROJECT_ID, project_name"),
    ],
)
def test_to_native_terms_names_arguments_as_the_wire(text: str, expected: str) -> None:
    assert to_native_terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run `pulumi config set cbr:adoptExisting true`", "run adoptExisting=true of Provider 'p'"),
        ("`pulumi config set --secret cbr:password`", "password of Provider 'p'"),
        ("cbr:timeout must be", "timeout of Provider 'p' must be"),
        ("(cbr:projectId or OS_PROJECT_ID)", "(projectId of Provider 'p' or OS_PROJECT_ID)"),
    ],
)
def test_to_native_terms_names_the_explicit_provider(text: str, expected: str) -> None:
    assert to_native_terms(text, "p") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("owner", "owner"), ("default", None), ("default_0_1_0", None), ("defaults", "defaults"), ("a::b", "a::b")],
)
def test_explicit_provider_default_has_no_name(name: str, expected: str | None) -> None:
    assert find_explicit_provider_name(f"urn:pulumi:s::p::pulumi:providers:cbr::{name}") == expected
    assert find_explicit_provider_name("") is None
