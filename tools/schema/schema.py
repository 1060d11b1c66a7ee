"""Write the package's schema into provider/pulumi_cbr/native/schema.json, or another file: `schema.py [FILE]`.

Texts of the resources' properties are the docstrings of their classes, and other properties' texts are below. Texts of
resources and functions, with examples, are in docs/. Settings are the client's own table, and the version is the installed
package's.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from pulumi_cbr.api.names import to_camel
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.backup_share import BackupShareProperties
from pulumi_cbr.backup_share_accepter import BackupShareAccepterProperties
from pulumi_cbr.backup_share_member import BackupShareMemberProperties

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "provider" / "pulumi_cbr" / "native" / "schema.json"

REPOSITORY = "https://github.com/pulumi-cbr/pulumi-cbr"

Spec = dict[str, Any]

TEXT: Spec = {"type": "string"}
FLAG: Spec = {"type": "boolean"}
NUMBER: Spec = {"type": "integer"}

#: Enumerations: what the service has today. Inputs take any other text too.
ENUMS = {
    "ShareStatus": ("The decision of a share's receiver.", ("pending", "accepted", "rejected")),
    "BackupStatus": (
        "What is being done with a backup.",
        (
            "available",
            "protecting",
            "deleting",
            "restoring",
            "error",
            "waiting_protect",
            "waiting_delete",
            "waiting_restore",
        ),
    ),
    "ImageType": ("How a backup came to be.", ("backup", "replication")),
    "OwnType": (
        "Whose backups: the project's own, those that others share with it, or both.",
        ("private", "shared", "all_granted"),
    ),
}


def enum(name: str) -> Spec:
    return {"type": "string", "oneOf": [TEXT, {"$ref": f"#/types/cbr:index:{name}"}]}


def list_of(name: str) -> Spec:
    return {"type": "array", "items": {"$ref": f"#/types/cbr:index:{name}"}}


def property_texts(properties: type) -> dict[str, str]:
    """Return the docstrings of a class's annotations, by name."""
    body = next(
        node.body for node in ast.walk(ast.parse(inspect.getsource(properties))) if isinstance(node, ast.ClassDef)
    )
    return {
        node.target.id: " ".join(inspect.cleandoc(text.value.value).replace("``", "`").split())
        for node, text in pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


_MEMBER_TEXTS = property_texts(BackupShareMemberProperties)

#: Properties by their Python names: type and text.
CLOUD = {"cloud": (TEXT, "The entry of `clouds.yaml` to sign in with. The provider's settings without it.")}
BACKUP_ID = {"backup_id": (TEXT, "The backup: a UUID.")}

SHARE = {
    name: (TEXT, _MEMBER_TEXTS[name])
    for name in ("share_id", "status", "created_at", "updated_at", "vault_id", "image_id")
}
MEMBER = {
    "id": SHARE["share_id"],
    "status": SHARE["status"],
    "backup_id": (TEXT, "The backup: a UUID."),
    "dest_project_id": (TEXT, "The project that the backup is shared with: 32 hex digits."),
    **{name: SHARE[name] for name in ("created_at", "updated_at", "vault_id", "image_id")},
}
BACKUP = {
    "id": (TEXT, "The backup's ID: a UUID."),
    "status": (TEXT, "`available`, or what is being done with the backup."),
    "resource_type": (TEXT, "The type of what was backed up, such as `OS::Nova::Server`."),
    "resource_id": (TEXT, "The server or disk that was backed up."),
    "created_at": (TEXT, "When the backup was made: ISO 8601, UTC."),
    "name": (TEXT, "The backup's name."),
    "resource_name": (TEXT, "The name of the server or disk."),
    "vault_id": (TEXT, "The vault that the backup is in: a UUID."),
    "project_id": (TEXT, "The backup's own project: 32 hex digits."),
    "image_type": (TEXT, "`backup` or `replication`."),
    "encrypted": (FLAG, "Whether the backed-up disks are encrypted, if the service tells."),
    "members": (list_of("Member"), "The shares of the backup, if the service tells."),
}
FILTERS = {
    "name": (TEXT, "Only backups with this name."),
    "resource_id": (TEXT, "Only backups of this server or disk."),
    "resource_name": (TEXT, "Only backups of the server or disk with this name."),
    "resource_type": (TEXT, "Only backups of this type of resource, such as `OS::Nova::Server`."),
    "status": (enum("BackupStatus"), "Only backups in this status, such as `available`."),
    "vault_id": (TEXT, "Only backups in this vault."),
    "image_type": (enum("ImageType"), "Only backups of this kind."),
    "own_type": (enum("OwnType"), "Whose backups: `private` (own), `shared` (by others) or `all_granted`."),
    "member_status": (enum("ShareStatus"), "Of backups that others share with this project: the share's status."),
    "start_time": (TEXT, "Only backups made at this time or later, such as `2026-01-31T00:00:00Z`."),
    "end_time": (TEXT, "Only backups made at this time or earlier."),
    "sort": (TEXT, "The order, as the API has it, such as `name:asc`."),
    "newest_first": (FLAG, "The newest backup first: the same as the order `created_at:desc`."),
    "limit": (NUMBER, "The number of backups to return at most."),
    **CLOUD,
}

VAULT = {
    "id": (TEXT, "The vault's ID: a UUID."),
    "name": (TEXT, "The vault's name."),
    "status": (TEXT, "The vault's status, such as `available` or `lock`."),
    "object_type": (TEXT, "What its backups are of: `server` or `disk`, among others."),
    "protect_type": (TEXT, "`backup` or `replication`."),
    "size": (NUMBER, "The vault's capacity in GB."),
    "project_id": (TEXT, "The vault's project: 32 hex digits."),
}
VAULT_FILTERS = {
    "name": (TEXT, "Only vaults with this name."),
    "object_type": (TEXT, "Only vaults for backups of this, such as `server` or `disk`."),
    "protect_type": (TEXT, "Only vaults for this: `backup` or `replication`."),
    "status": (TEXT, "Only vaults in this status, such as `available`."),
    **CLOUD,
}
VAULT_KEY = {
    "vault_id": (TEXT, "The vault: a UUID. Either this or the name."),
    "name": (TEXT, "The vault's name, which no other vault of the project has."),
    **CLOUD,
}
PROJECT_FILTERS = {"name": (TEXT, "Only projects with this name."), **CLOUD}
PROJECT = {
    "id": (TEXT, "The project's ID: 32 hex digits."),
    "name": (TEXT, "The project's name."),
    "domain_id": (TEXT, "The domain (account) of the project."),
    "enabled": (FLAG, "Whether the project can be used."),
}
LIST: Spec = {"type": "array", "items": TEXT}
DURATION: Spec = {"oneOf": [TEXT, {"type": "number"}]}
MEMBERS: Spec = {"type": "object", "additionalProperties": {"$ref": "#/types/cbr:index:ShareMember"}}


def properties_of(properties: type, **types: Spec) -> Spec:
    """Return properties with these types, and with the texts of a class."""
    texts = property_texts(properties)
    return {name: CLOUD[name] if name == "cloud" else (type_, texts[name]) for name, type_ in types.items()}


RESOURCES: dict[str, Spec] = {
    "BackupShareMember": {
        "inputs": properties_of(
            BackupShareMemberProperties,
            backup_id=TEXT,
            dest_project_id=TEXT,
            cloud=TEXT,
            adopt_existing=FLAG,
            reshare_if_rejected=FLAG,
            wait_for_acceptance=DURATION,
        ),
        "required": ("backup_id", "dest_project_id"),
        "outputs": {**SHARE, **properties_of(BackupShareMemberProperties, source_project_id=TEXT, endpoint=TEXT)},
        "always": ("share_id", "status", "created_at"),
        "replaces": ("backup_id", "dest_project_id"),
    },
    "BackupShare": {
        "inputs": properties_of(
            BackupShareProperties,
            backup_id=TEXT,
            dest_project_ids=LIST,
            exclusive=FLAG,
            adopt_existing=FLAG,
            reshare_if_rejected=FLAG,
            wait_for_acceptance=DURATION,
            cloud=TEXT,
        ),
        "required": ("backup_id", "dest_project_ids"),
        "outputs": properties_of(BackupShareProperties, members=MEMBERS, source_project_id=TEXT, endpoint=TEXT),
        "always": ("members", "source_project_id"),
        "replaces": ("backup_id",),
    },
    "BackupShareAccepter": {
        "inputs": properties_of(BackupShareAccepterProperties, backup_id=TEXT, vault_id=TEXT, cloud=TEXT),
        "required": ("backup_id", "vault_id"),
        "outputs": properties_of(
            BackupShareAccepterProperties, source_project_id=TEXT, status=TEXT, updated_at=TEXT, endpoint=TEXT
        ),
        "always": ("status",),
        "replaces": ("backup_id", "vault_id"),
    },
}

#: Components: their inputs, of which those in `required` must be given.
COMPONENTS: dict[str, Spec] = {
    "NewestBackupShares": {
        "inputs": {
            "dest_project_ids": (
                LIST,
                "One to ten projects that the backups are shared with: 32 hex digits each.",
            ),
            "servers": (LIST, "The servers or disks whose backups are shared: UUIDs."),
            "vault_id": (
                TEXT,
                "The vault whose backups are shared: a UUID. With `servers`, of these servers in this vault.",
            ),
            "count": (
                NUMBER,
                "How many backups are shared, of each server or of the vault. This, or `maxAge`, or both.",
            ),
            "max_age": (
                {"oneOf": [TEXT, {"type": "number"}]},
                "How old a shared backup may be: seconds, or a text such as `14d`.",
            ),
            "accept_into": (
                TEXT,
                "The receiver's vault: accept each share there too. Needs exactly one destination project.",
            ),
            "accept_cloud": (TEXT, "The entry of `clouds.yaml` that signs in to the receiver's project."),
            "adopt_existing": (FLAG, "Whether to adopt shares that exist already, instead of refusing."),
            **CLOUD,
        },
        "required": ("dest_project_ids",),
        "backup_ids": "The backups of the window, of each server the newest first: UUIDs.",
    },
    "AcceptPendingShares": {
        "inputs": {
            "vault_id": (TEXT, "The vault that takes the backups: a UUID."),
            "source_project_ids": (
                LIST,
                "The owners whose shares are accepted: 32 hex digits each. Others' shares stay pending.",
            ),
            **CLOUD,
        },
        "required": ("vault_id", "source_project_ids"),
        "backup_ids": "The backups that are accepted: UUIDs.",
    },
}


def schema() -> Spec:
    """Return the whole schema."""
    settings = {
        name: {
            "type": {bool: "boolean", int: "integer", float: "number"}.get(setting.kind, "string"),
            "description": _sentence(setting.meaning, setting.variables),
            **({"secret": True} if setting.secret else {}),
        }
        for name, setting in SETTINGS.items()
    }
    settings["parallel"] = {
        **NUMBER,
        "description": "The number of calls that this provider makes at once (32). The engine asks for four resources "
        "per processor, unless `--parallel` says more.",
    }
    return {
        **_package(),
        "config": {"variables": settings},
        "provider": {"description": _text("Provider"), "inputProperties": settings},
        "types": {f"cbr:index:{name}": spec for name, spec in _types().items()},
        "resources": {
            **{f"cbr:index:{name}": _resource(name, spec) for name, spec in RESOURCES.items()},
            **{f"cbr:index:{name}": _component(name, spec) for name, spec in COMPONENTS.items()},
        },
        "functions": {f"cbr:index:{name}": spec for name, spec in _functions().items()},
    }


def _package() -> Spec:
    return {
        "name": "cbr",
        "version": version("pulumi-cbr"),
        "displayName": "CBR",
        "description": "Share backups of CBR (Cloud Backup and Recovery) between projects of Open Telekom Cloud, "
        "Huawei Cloud and FlexibleEngine",
        "keywords": ["cbr", "backup", "open telekom cloud", "huawei cloud", "category/cloud", "kind/native"],
        "homepage": REPOSITORY,
        "repository": REPOSITORY,
        "publisher": "pulumi-cbr",
        "license": "Apache-2.0",
        "logoUrl": f"{REPOSITORY.replace('github.com', 'raw.githubusercontent.com')}/main/docs/logo.svg",
        "pluginDownloadURL": "github://api.github.com/pulumi-cbr/pulumi-cbr",
        "meta": {"moduleFormat": "(.*)", "supportPack": True},
        "language": {
            "python": {
                "packageName": "pulumi_cbr_native",
                "pyproject": {"enabled": True},
                "respectSchemaVersion": True,
            },
            "nodejs": {"packageName": "pulumi-cbr", "respectSchemaVersion": True},
            "go": {"respectSchemaVersion": True, "generateResourceContainerTypes": True},
            "java": {
                "basePackage": "io.github.pulumicbr",
                "buildFiles": "gradle",
                "gradleNexusPublishPluginVersion": "2.0.0",
            },
            "csharp": {
                "rootNamespace": "PulumiCbr",
                "namespaces": {"cbr": "Cbr"},
                "respectSchemaVersion": True,
            },
        },
    }


def _types() -> Spec:
    enums: Spec = {
        name: {
            "type": "string",
            "description": text,
            "enum": [{"name": to_name(value), "value": value} for value in values],
        }
        for name, (text, values) in ENUMS.items()
    }
    return {
        "ShareMember": _object("One project's share of a set.", SHARE, ("share_id", "status", "created_at")),
        "Member": _object(
            "One project that a backup is shared with.",
            MEMBER,
            ("id", "status", "backup_id", "dest_project_id", "created_at"),
        ),
        "Backup": _object("One backup of a server or disk.", BACKUP, BACKUP_ALWAYS),
        "Vault": _object("One vault of a project.", VAULT, ("id", "name")),
        "Project": _object("One project that the credentials may sign in to.", PROJECT, ("id", "name", "enabled")),
        **enums,
    }


BACKUP_ALWAYS = ("id", "status", "resource_type", "resource_id", "created_at")


def to_name(value: str) -> str:
    return "".join(part.capitalize() for part in value.split("_"))


def _functions() -> Spec:
    members = {"members": (list_of("Member"), "The shares of the backup.")}
    backups = {"backups": (list_of("Backup"), "The backups that were found.")}
    vaults = {"vaults": (list_of("Vault"), "The vaults that were found.")}
    projects = {"projects": (list_of("Project"), "The projects that were found.")}
    return {
        "getBackup": _function("getBackup", {**BACKUP_ID, **CLOUD}, ("backup_id",), BACKUP, BACKUP_ALWAYS),
        "getBackups": _function("getBackups", FILTERS, (), backups, ("backups",)),
        "getBackupShareMembers": _function(
            "getBackupShareMembers", {**BACKUP_ID, **CLOUD}, ("backup_id",), members, ("members",)
        ),
        "getVault": _function("getVault", VAULT_KEY, (), VAULT, ("id", "name")),
        "getVaults": _function("getVaults", VAULT_FILTERS, (), vaults, ("vaults",)),
        "getProjects": _function("getProjects", PROJECT_FILTERS, (), projects, ("projects",)),
    }


def _object(description: str, properties: Spec, required: tuple[str, ...]) -> Spec:
    spec = {"type": "object", "description": description, "properties": _properties(properties)}
    return {**spec, "required": [to_camel(name) for name in required]} if required else spec


def _properties(properties: Spec, replaces: tuple[str, ...] = ()) -> Spec:
    return {
        to_camel(name): {
            **{key: value for key, value in kind.items() if key != "type" or "oneOf" not in kind},
            "description": text,
            **({"willReplaceOnChanges": True} if name in replaces else {}),
        }
        for name, (kind, text) in properties.items()
    }


def _resource(name: str, spec: Spec) -> Spec:
    return {
        "description": _text(name),
        "inputProperties": _properties(spec["inputs"], spec["replaces"]),
        "requiredInputs": [to_camel(entry) for entry in spec["required"]],
        "properties": _properties({**spec["inputs"], **spec["outputs"]}, spec["replaces"]),
        "required": [to_camel(entry) for entry in (*spec["required"], *spec["always"])],
        # TypeScript's and Python's `get` have no other outputs than these. The provider reads with `cloud` alone.
        "stateInputs": _object(f"What is known of a {name}.", {**spec["inputs"], **spec["outputs"]}, ()),
    }


def _component(name: str, spec: Spec) -> Spec:
    backup_ids = {"backup_ids": (LIST, spec["backup_ids"])}
    return {
        "isComponent": True,
        "description": _text(name),
        "inputProperties": _properties(spec["inputs"]),
        "requiredInputs": [to_camel(entry) for entry in spec["required"]],
        "properties": _properties(backup_ids),
        "required": ["backupIds"],
    }


def _function(name: str, inputs: Spec, required: tuple[str, ...], outputs: Spec, always: tuple[str, ...]) -> Spec:
    return {
        "description": _text(name),
        "inputs": _object(f"Arguments of {name}.", inputs, required),
        "outputs": _object(f"Result of {name}.", outputs, always),
    }


def _text(name: str) -> str:
    return (HERE / "docs" / f"{name}.md").read_text(encoding="utf-8").strip() + "\n"


def _sentence(meaning: str, variables: tuple[str, ...]) -> str:
    # No `defaultInfo`: SDKs would write the environment's credentials into the state.
    names = f" Environment: {', '.join(f'`{variable}`' for variable in variables)}." if variables else ""
    return f"{meaning[0].upper()}{meaning[1:]}.{names}"


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
