"""The look-ups of the package `cbr`: from a stack's sessions and a function's arguments to its result, in plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

from pulumi_cbr.api.models import to_known_time
from pulumi_cbr.lifecycle.queries import check_order, find_vault
from pulumi_cbr.lifecycle.session import SessionPool


def _get_backup(sessions: SessionPool, backup_id: str, cloud: str | None = None) -> dict[str, Any]:
    return _to_result(sessions.get(cloud).client.show_backup(backup_id))


def _get_backups(
    sessions: SessionPool,
    cloud: str | None = None,
    limit: float | None = None,
    newest_first: bool = False,
    **filters: str,
) -> dict[str, Any]:
    check_order(filters.get("sort"), newest_first, limit)
    if newest_first:
        filters["sort"] = "created_at:desc"
    backups = sessions.get(cloud).client.list_backups(**filters)
    return {"backups": [_to_result(backup) for backup in islice(backups, None if limit is None else int(limit))]}


def _get_backup_share_members(sessions: SessionPool, backup_id: str, cloud: str | None = None) -> dict[str, Any]:
    return {"members": [_to_result(member) for member in sessions.get(cloud).client.list_members(backup_id)]}


def _get_vault(
    sessions: SessionPool, vault_id: str | None = None, name: str | None = None, cloud: str | None = None
) -> dict[str, Any]:
    return _to_result(find_vault(sessions.get(cloud).client, vault_id, name))


def _get_vaults(sessions: SessionPool, cloud: str | None = None, **filters: str) -> dict[str, Any]:
    return {"vaults": [_to_result(vault) for vault in sessions.get(cloud).client.list_vaults(**filters)]}


def _get_projects(sessions: SessionPool, name: str | None = None, cloud: str | None = None) -> dict[str, Any]:
    projects = sessions.get(cloud).client.list_projects()
    return {"projects": [_to_result(project) for project in projects if name in (None, project.name)]}


#: Each takes the sessions, and the function's arguments by their Python names.
FUNCTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "cbr:index:getBackup": _get_backup,
    "cbr:index:getBackups": _get_backups,
    "cbr:index:getBackupShareMembers": _get_backup_share_members,
    "cbr:index:getVault": _get_vault,
    "cbr:index:getVaults": _get_vaults,
    "cbr:index:getProjects": _get_projects,
}


def _to_result(record: Any) -> dict[str, Any]:
    return {name: _to_plain(value) for name, value in asdict(record).items()}


def _to_plain(value: Any) -> Any:
    if isinstance(value, datetime):
        # As in the outputs of resources.
        known = to_known_time(value)
        return known and known.isoformat(timespec="seconds")
    if isinstance(value, (list, tuple)):
        return [_to_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _to_plain(entry) for name, entry in value.items()}
    return value
