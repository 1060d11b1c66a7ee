"""Predict the properties of a resource after a change: only what is new is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_cbr.lifecycle.controller import UNKNOWN, Properties


def preview_create(outputs: tuple[str, ...], inputs: Properties) -> dict[str, Any]:
    """Return the properties of a new resource: the service decides all outputs."""
    return {**dict.fromkeys(outputs, UNKNOWN), **inputs}


def preview_update(kind: str, outputs: tuple[str, ...], olds: Properties, news: Properties) -> dict[str, Any]:
    """Return the properties after an update from the outputs `olds` to the inputs `news`."""
    kept = {name: olds[name] for name in outputs if name in olds}
    if kind == "BackupShare":
        kept["members"] = _preview_members(olds.get("members", {}), news.get("dest_project_ids", UNKNOWN))
    elif kind == "BackupShareAccepter" and olds.get("status") != "accepted":
        kept = {"source_project_id": UNKNOWN, **kept, "status": "accepted", "updated_at": UNKNOWN}
    elif kind == "BackupShareMember" and "share_id" not in olds:
        # An earlier create could not be verified: the update finds out.
        kept = dict.fromkeys(outputs, UNKNOWN)
    return {**kept, **news}


def _preview_members(members: Mapping[str, Any], projects: Any) -> Any:
    if projects == UNKNOWN or UNKNOWN in projects:
        return UNKNOWN
    # The update reads a share whose last request has an unknown result: the state lacks its status.
    return {project: members[project] if "status" in members.get(project, ()) else UNKNOWN for project in projects}
