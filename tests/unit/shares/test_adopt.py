"""Import files and programs that adopt shares."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

from pulumi_cbr.api import CbrError
from pulumi_cbr.shares import adopt
from pulumi_cbr.shares.model import Share
from unit.shares.rows import BACKUP, MANAGER, OTHER_BACKUP, OTHER_PROJECT, PROJECT, make_share

VAULT = "8ddb0e92-50b2-49d4-bd57-35b378502536"
SHARES = [
    make_share(),
    make_share(dest_project_id=OTHER_PROJECT),
    make_share(backup_id=OTHER_BACKUP, backup_name=None, server_name=None, server_id=None),
]
RECEIVED = make_share(received=True, dest_vault_id=VAULT)


def resources(shares: list[Share], everything: list[Share], *, as_sets: bool = False) -> list[tuple[str, str, str]]:
    entries = json.loads(adopt.import_file(shares, everything, as_sets=as_sets))["resources"]
    return [(entry["type"].rpartition(":")[2], entry["name"], entry["id"]) for entry in entries]


def test_adoptable_leaves_out_with_reasons() -> None:
    shares = [
        make_share(),
        make_share(managed_by=()),
        make_share(managed_by=(MANAGER,)),
        make_share(received=True, status="pending"),
        make_share(received=True),
        RECEIVED,
    ]
    found = adopt.adoptable(shares, needs_vault=True)
    assert found.shares == (shares[0], shares[1], RECEIVED)
    assert found.left_out == {"managed": 1, "not accepted": 1, "in no known vault": 1}
    assert len(adopt.adoptable(shares, needs_vault=False).shares) == 4


def test_import_file_of_members() -> None:
    assert resources(SHARES, SHARES) == [
        ("BackupShareMember", "web-1-0ddb0e92-e991c88f", f"{BACKUP}/{PROJECT}"),
        ("BackupShareMember", "web-1-0ddb0e92-f991c88f", f"{BACKUP}/{OTHER_PROJECT}"),
        ("BackupShareMember", "backup-1ddb0e92-e991c88f", f"{OTHER_BACKUP}/{PROJECT}"),
    ]


def test_import_file_of_sets_takes_whole_backups_only() -> None:
    """An import of a set takes over all shares of its backup, also those that a stack has."""
    assert resources(SHARES, SHARES, as_sets=True) == [
        ("BackupShare", f"web-1-{BACKUP}", BACKUP),
        ("BackupShare", f"backup-{OTHER_BACKUP}", OTHER_BACKUP),
    ]
    kinds = [kind for kind, _, _ in resources(SHARES[1:], SHARES, as_sets=True)]
    assert kinds == ["BackupShareMember", "BackupShare"]


def test_import_file_of_received_shares_is_of_accepters() -> None:
    ((kind, _, id_),) = resources([RECEIVED], [RECEIVED], as_sets=True)
    assert (kind, id_) == ("BackupShareAccepter", f"{BACKUP}/{PROJECT}")


def test_import_file_refuses_several_clouds() -> None:
    with pytest.raises(CbrError, match="Give one --cloud at a time"):
        adopt.import_file([make_share(cloud="a"), make_share(cloud="b")], [], as_sets=False)


def declared(program: str, flavor: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Run a program with classes that note how they are called."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    class Module:
        def __getattr__(self, kind: str) -> Any:
            return lambda *args, **kwargs: calls.append((kind, args, kwargs))

    line = f"import pulumi_cbr{'.native' if flavor == 'native' else ''} as cbr\n"
    assert line in program
    exec(compile(program.replace(line, ""), "program", "exec"), {"cbr": Module()})
    return calls


@pytest.mark.parametrize("flavor", ["dynamic", "native"])
def test_program_declares_members_and_accepters(flavor: str) -> None:
    calls = declared(adopt.program([*SHARES, RECEIVED], flavor=flavor, as_sets=False), flavor)
    assert [(kind, args[1:], kwargs) for kind, args, kwargs in calls] == [
        ("BackupShareMember", (BACKUP, PROJECT), {"adopt_existing": True}),
        ("BackupShareMember", (BACKUP, OTHER_PROJECT), {"adopt_existing": True}),
        ("BackupShareMember", (OTHER_BACKUP, PROJECT), {"adopt_existing": True}),
        ("BackupShareAccepter", (BACKUP, VAULT), {}),
    ]


def test_program_declares_sets_by_backup_and_cloud() -> None:
    shares = [make_share(cloud="a"), make_share(cloud="a", dest_project_id=OTHER_PROJECT), make_share(cloud="ü")]
    calls = declared(adopt.program(shares, flavor="dynamic", as_sets=True), "dynamic")
    assert [(args[1:], kwargs) for _, args, kwargs in calls] == [
        ((BACKUP, [PROJECT, OTHER_PROJECT]), {"adopt_existing": True, "cloud": "a"}),
        ((BACKUP, [PROJECT]), {"adopt_existing": True, "cloud": "ü"}),
    ]


@pytest.mark.parametrize("as_sets", [False, True])
def test_program_runs_nothing_of_a_name(as_sets: bool) -> None:
    evil = 'x\nimport os"""\r\x0c\u2028print(1)\\'
    shares = [make_share(backup_name=evil, server_name=evil, dest_project_name=evil, cloud='c"\n')]
    program = adopt.program(shares, flavor="dynamic", as_sets=as_sets)
    assert [node.names[0].name for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Import)] == [
        "pulumi_cbr"
    ]
    ((_, args, kwargs),) = declared(program, "dynamic")
    assert re.fullmatch(r"[a-z0-9-]+", args[0])
    assert kwargs["cloud"] == 'c"\n'


def test_resource_names_are_unique() -> None:
    twin = "0ddb0e92-0000-49d4-bd57-35b378502536"
    names = adopt.resource_names([make_share(), make_share(backup_id=twin), make_share(backup_id=OTHER_BACKUP)])
    assert names[BACKUP, PROJECT] == f"web-1-{BACKUP}-{PROJECT}"
    assert len(set(names.values())) == 3
