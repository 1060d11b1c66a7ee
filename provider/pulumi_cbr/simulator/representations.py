"""Members, backups and vaults as JSON, in the shapes of the public API references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from pulumi_cbr.simulator.models import Backup, MemberRecord, Vault

__all__ = [
    "format_microseconds",
    "format_milliseconds",
    "read_backup_field",
    "represent_backup",
    "represent_member",
    "represent_vault",
]

_PROVIDER_ID = "0daac4c5-6707-4851-97ba-169e36266b66"


def format_microseconds(seconds: float) -> str:
    """Return a time as ``2020-02-05T10:38:34.209782``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


def format_milliseconds(seconds: float) -> str:
    """Return a time as ``2020-02-05T10:38:34.209+00:00``."""
    return f"{format_microseconds(seconds)[:-3]}+00:00"


def represent_member(record: MemberRecord, format_time: Callable[[float], str]) -> dict[str, Any]:
    """Return a member without the fields that have no value yet."""
    fields = {
        "status": record.status,
        "created_at": format_time(record.created_at),
        "updated_at": None if record.updated_at is None else format_time(record.updated_at),
        "backup_id": record.backup_id,
        "image_id": record.image_id,
        "dest_project_id": record.dest_project_id,
        "vault_id": record.vault_id,
        "id": record.id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def read_backup_field(backup: Backup, name: str) -> Any:
    """Return the value that lists are filtered or sorted by; times are numbers."""
    if name in ("updated_at", "protected_at"):
        return backup.created_at
    if name == "checkpoint_id":
        return backup.id
    return "backup" if name == "image_type" else getattr(backup, name)


def represent_backup(backup: Backup, members: Sequence[MemberRecord] | None = None) -> dict[str, Any]:
    """Return a backup, with its members if they are given."""
    time = format_microseconds(backup.created_at)
    document = {
        "id": backup.id,
        "name": backup.name,
        "description": "",
        "status": backup.status,
        "resource_type": backup.resource_type,
        "resource_id": backup.resource_id,
        "resource_name": backup.resource_name,
        "resource_size": backup.resource_size,
        "resource_az": "",
        "vault_id": backup.vault_id,
        "checkpoint_id": backup.id,
        "project_id": backup.project_id,
        "provider_id": _PROVIDER_ID,
        "image_type": "backup",
        "created_at": time,
        "updated_at": time,
        "protected_at": time,
        "expired_at": None,
        "parent_id": None,
        "children": [],
        "replication_records": [],
        "extend_info": {
            "auto_trigger": False,
            "bootable": True,
            "contain_system_disk": True,
            "encrypted": backup.encrypted,
            "support_lld": True,
            "supported_restore_mode": "backup",
            "system_disk": True,
        },
    }
    if members is not None:
        document["members"] = [represent_member(record, format_milliseconds) for record in members]
    return document


def represent_vault(vault: Vault, stored: Sequence[Backup], created_at: float) -> dict[str, Any]:
    """Return a vault with the servers and disks whose backups it stores."""
    resources: dict[str, list[Backup]] = {}
    for backup in stored:
        resources.setdefault(backup.resource_id, []).append(backup)
    return {
        "id": vault.id,
        "name": vault.name,
        "description": "",
        "project_id": vault.project_id,
        "provider_id": _PROVIDER_ID,
        "created_at": format_microseconds(created_at),
        "auto_bind": False,
        "auto_expand": False,
        "enterprise_project_id": "0",
        "billing": {
            "allocated": sum(backups[0].resource_size for backups in resources.values()),
            "charging_mode": "post_paid",
            "cloud_type": "public",
            "consistent_level": "crash_consistent",
            "object_type": vault.object_type,
            "protect_type": "backup",
            "size": vault.size,
            "spec_code": f"vault.backup.{vault.object_type}.normal",
            "status": vault.status,
            "used": sum(backup.resource_size for backup in stored),
        },
        "resources": [_represent_resource(backups) for backups in resources.values()],
        "tags": [],
    }


def _represent_resource(backups: Sequence[Backup]) -> dict[str, Any]:
    return {
        "id": backups[0].resource_id,
        "name": backups[0].resource_name,
        "type": backups[0].resource_type,
        "size": backups[0].resource_size,
        "backup_count": len(backups),
        "backup_size": sum(backup.resource_size for backup in backups),
        "protect_status": "available",
        "extra_info": {},
    }
