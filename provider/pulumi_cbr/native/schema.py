"""The schema of the package `cbr`, from which documentation and other languages' SDKs are generated.

Descriptions are the docstrings of the Python classes, so that there is one text of each.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pulumi_cbr import backup_share, backup_share_accepter, backup_share_member, lookups
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import Backup, Member
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.native.names import camel

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_TEXTS = {"type": "array", "items": _TEXT}

_CLOUD = {"cloud": _TEXT}

#: What the arguments and the results of look-ups are, by their Python names.
_MEMBER = {
    "id": "The share's own ID: a UUID.",
    "share_id": "The share's own ID: a UUID.",
    "status": "pending, accepted or rejected.",
    "backup_id": "The backup: a UUID.",
    "dest_project_id": "The project that it is shared with: 32 hex digits.",
    "created_at": "When it was shared: an ISO 8601 time in UTC.",
    "updated_at": "When the share was last changed: an ISO 8601 time in UTC.",
    "vault_id": "The receiver's vault that took it.",
    "image_id": "The image that the receiver made of it.",
}
_BACKUP = {
    "id": "The backup's ID: a UUID.",
    "status": "available, or what is being done with it, or error.",
    "resource_type": "What it is a backup of, such as OS::Nova::Server.",
    "resource_id": "The server or disk that it is a backup of.",
    "created_at": "When it was made: an ISO 8601 time in UTC.",
    "name": "Its name.",
    "project_id": "Its own project: 32 hex digits.",
    "resource_name": "The name of the server or disk.",
    "vault_id": "The vault that it is in.",
    "image_type": "backup or replication.",
    "encrypted": "Whether it is of encrypted disks, where the service tells.",
    "members": "Who it is shared with, as far as the service tells.",
}
_FILTERS = {
    **_BACKUP,
    "resource_type": "What they are backups of, such as OS::Nova::Server.",
    "own_type": "private (the own ones), shared (by others with this project) or all_granted.",
    "member_status": "Of what is shared with this project: pending, accepted or rejected.",
    "start_time": "Made at this time or later, such as 2026-01-31T00:00:00Z.",
    "end_time": "Made at this time or before.",
    "sort": "The API's own order, such as name:asc.",
    "newest_first": "The same as the sort created_at:desc.",
    "limit": "Stop after so many.",
    "cloud": "The entry of clouds.yaml to sign in with; the provider's own settings without it.",
}


def schema() -> str:
    """Give the schema as JSON, in the version of the installed package."""
    return json.dumps(_schema(), indent=2)


def check_arguments(function: str, args: Mapping[str, Any]) -> None:
    """Refuse arguments of a function that its schema has not. Raises `CbrError`."""
    inputs = _schema()["functions"][function]["inputs"]
    known = inputs["properties"]
    given = {camel(name): value for name, value in args.items()}
    for name in inputs["required"]:
        if name not in given:
            raise CbrError(f"{function} needs {name}")
    kinds = {"string": str, "boolean": bool, "integer": float}
    for name, value in given.items():
        if name not in known:
            raise CbrError(f"{function} has no argument {name}; there are: {', '.join(known)}")
        if not isinstance(value, kinds[known[name]["type"]]):
            raise CbrError(f"{function}: {name} must be of type {known[name]['type']}, not {value!r}")


@cache
def _schema() -> dict[str, Any]:
    variables = {
        name: {
            "type": {bool: "boolean", int: "integer", float: "number"}.get(setting.kind, "string"),
            "description": _sentence(setting.meaning),
            **({"secret": True} if setting.secret else {}),
        }
        for name, setting in SETTINGS.items()
    }
    variables["parallel"] = {"type": "integer", "description": "How many calls may be on their way at once: 32."}
    return {
        "name": "cbr",
        "version": version("pulumi-cbr"),
        "displayName": "CBR",
        "description": "Manage who a CBR backup (Cloud Backup and Recovery) is shared with",
        "keywords": ["cbr", "backup", "category/cloud", "kind/native"],
        "license": "Apache-2.0",
        "language": {
            "python": {
                "packageName": "pulumi_cbr.native",
                "pyproject": {"enabled": True},
                "respectSchemaVersion": True,
            },
            "nodejs": {"packageName": "pulumi-cbr", "respectSchemaVersion": True},
            "go": {"importBasePath": "pulumi-cbr/sdk/go/cbr", "respectSchemaVersion": True},
        },
        "config": {"variables": variables},
        "provider": {
            "description": "Signs in to one project. Settings that are not given come from the environment.",
            "inputProperties": variables,
        },
        "types": {
            "cbr:index:ShareMember": _object(
                "One project's share of a set.",
                {name: _TEXT for name in ("share_id", "status", "created_at", "updated_at", "vault_id", "image_id")},
                _MEMBER,
                required=("share_id", "status", "created_at"),
            ),
            "cbr:index:Backup": _backup(),
            "cbr:index:Member": _object(
                _summary(Member),
                {name: _TEXT for name in Member.__dataclass_fields__},
                _MEMBER,
                required=("id", "status", "backup_id", "dest_project_id", "created_at"),
            ),
        },
        "resources": {
            "cbr:index:BackupShareMember": _resource(
                backup_share_member.BackupShareMember,
                backup_share_member.BackupShareMemberProperties,
                inputs={
                    "backup_id": _TEXT,
                    "dest_project_id": _TEXT,
                    **_CLOUD,
                    "adopt_existing": _FLAG,
                    "reshare_if_rejected": _FLAG,
                },
                required_inputs=("backup_id", "dest_project_id"),
                outputs={name: _TEXT for name in backup_share_member.BackupShareMemberController.outputs},
                required_outputs=("share_id", "status", "created_at"),
                replace=("backup_id", "dest_project_id"),
            ),
            "cbr:index:BackupShare": _resource(
                backup_share.BackupShare,
                backup_share.BackupShareProperties,
                inputs={
                    "backup_id": _TEXT,
                    "dest_project_ids": _TEXTS,
                    "exclusive": _FLAG,
                    "adopt_existing": _FLAG,
                    **_CLOUD,
                },
                required_inputs=("backup_id", "dest_project_ids"),
                outputs={
                    "members": {"type": "object", "additionalProperties": {"$ref": "#/types/cbr:index:ShareMember"}},
                    "source_project_id": _TEXT,
                },
                required_outputs=("members", "source_project_id"),
                replace=("backup_id",),
            ),
            "cbr:index:BackupShareAccepter": _resource(
                backup_share_accepter.BackupShareAccepter,
                backup_share_accepter.BackupShareAccepterProperties,
                inputs={"backup_id": _TEXT, "vault_id": _TEXT, **_CLOUD},
                required_inputs=("backup_id", "vault_id"),
                outputs={name: _TEXT for name in backup_share_accepter.BackupShareAccepterController.outputs},
                required_outputs=("status",),
                replace=("backup_id", "vault_id"),
            ),
        },
        "functions": {
            "cbr:index:getBackup": _function(
                lookups.get_backup,
                inputs={"backup_id": _TEXT, **_CLOUD},
                required=("backup_id",),
                outputs=_backup(),
            ),
            "cbr:index:getBackups": _function(
                lookups.get_backups,
                inputs={
                    **{name: _TEXT for name in inspect.signature(lookups.get_backups).parameters},
                    "newest_first": _FLAG,
                    "limit": {"type": "integer"},
                },
                outputs=_result("backups", "Backup"),
            ),
            "cbr:index:getBackupShareMembers": _function(
                lookups.get_backup_share_members,
                inputs={"backup_id": _TEXT, **_CLOUD},
                required=("backup_id",),
                outputs=_result("members", "Member"),
            ),
        },
    }


def _object(
    description: str, properties: dict[str, Any], texts: Mapping[str, str], required: Sequence[str]
) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {camel(name): {**kind, "description": texts[name]} for name, kind in properties.items()},
        "required": [camel(name) for name in required],
    }


def _result(name: str, kind: str) -> dict[str, Any]:
    entries = {"type": "array", "items": {"$ref": f"#/types/cbr:index:{kind}"}}
    return _object("What was found.", {name: entries}, {name: "All that was found."}, required=(name,))


def _resource(
    resource: type,
    documented: type,
    *,
    inputs: dict[str, Any],
    required_inputs: Sequence[str],
    outputs: dict[str, Any],
    required_outputs: Sequence[str],
    replace: Sequence[str],
) -> dict[str, Any]:
    texts = _property_docs(documented)

    def described(properties: dict[str, Any]) -> dict[str, Any]:
        return {
            camel(name): {
                **kind,
                "description": texts[name],
                **({"willReplaceOnChanges": True} if name in replace else {}),
            }
            for name, kind in properties.items()
        }

    return {
        "description": inspect.getdoc(resource),
        "inputProperties": described(inputs),
        "requiredInputs": [camel(name) for name in required_inputs],
        "properties": described({**inputs, **outputs}),
        "required": [camel(name) for name in (*required_inputs, *required_outputs)],
    }


def _function(
    function: Any, *, inputs: dict[str, Any], outputs: dict[str, Any], required: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "description": _summary(function),
        "inputs": _object(_summary(function), inputs, {**_FILTERS, "backup_id": _MEMBER["backup_id"]}, required),
        "outputs": outputs,
    }


def _backup() -> dict[str, Any]:
    properties: dict[str, Any] = {
        **{name: _TEXT for name in Backup.__dataclass_fields__},
        "encrypted": _FLAG,
        "members": {"type": "array", "items": {"$ref": "#/types/cbr:index:Member"}},
    }
    required = ("id", "status", "resource_type", "resource_id", "created_at")
    return _object(_summary(Backup), properties, _BACKUP, required)


def _summary(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _property_docs(documented: type) -> dict[str, str]:
    """Give the docstrings below a class's annotations, which Python itself does not keep."""
    body = [entry for tree in ast.parse(inspect.getsource(documented)).body for entry in ast.iter_child_nodes(tree)]
    found = {}
    for entry, below in itertools.pairwise(body):
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name) and isinstance(below, ast.Expr):
            found[entry.target.id] = str(ast.literal_eval(below.value))
    return found
