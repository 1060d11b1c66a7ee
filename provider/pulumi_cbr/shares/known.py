"""Read what stacks know of shares, and compare it with the service's lists."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pulumi_cbr import messages
from pulumi_cbr.api import CbrError
from pulumi_cbr.shares.collect import Listing
from pulumi_cbr.shares.model import Manager, Share

_DYNAMIC = "pulumi-python:dynamic/cbr:"
_NATIVE = "cbr:index:"

#: An export of thousands of resources from a distant backend.
_TIMEOUT = 300


@dataclass(frozen=True)
class ManagedShare:
    """A share in a stack's state. `received` is set for the share of an accepter."""

    backup_id: str
    dest_project_id: str
    received: bool
    source_project_id: str | None
    manager: Manager

    @property
    def own_project_id(self) -> str | None:
        """The project that the resource signs in to, as far as the state tells."""
        return self.dest_project_id if self.received else self.source_project_id


def read_stack(stack: str, *, folder: str | None = None) -> list[ManagedShare]:
    """Return the shares in the state of a stack, of any backend. Raises `CbrError`."""
    if folder is not None and not Path(folder).is_dir():
        raise CbrError(messages.stack_without_folder(stack, folder))
    command = ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"]
    try:
        told = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_TIMEOUT, cwd=folder
        )
    except FileNotFoundError:
        raise CbrError(messages.stack_without_pulumi(stack)) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CbrError(messages.stack_unreadable(stack, str(error))) from error
    if told.returncode:
        lines = [line for line in told.stderr.splitlines() if line.strip()] or [messages.PULUMI_WAS_SILENT]
        raise CbrError(messages.stack_unreadable(stack, lines[0].removeprefix("error: ")))
    try:
        return managed_shares(json.loads(told.stdout), stack)
    except (ValueError, AttributeError, TypeError) as error:
        raise CbrError(messages.stack_unreadable(stack, messages.NO_STATE)) from error


def managed_shares(export: Mapping[str, Any], stack: str) -> list[ManagedShare]:
    """Return the shares that an exported state manages, of both flavors.

    What is only read (`get`) is left out.
    """
    resources = (export.get("deployment") or {}).get("resources") or []
    return [share for entry in resources if not entry.get("external") for share in _of_resource(entry, stack)]


def _of_resource(entry: Mapping[str, Any], stack: str) -> Iterator[ManagedShare]:
    type_, outputs = str(entry.get("type", "")), entry.get("outputs") or {}
    kind = type_.removeprefix(_DYNAMIC).removeprefix(_NATIVE)
    if kind == type_ or not entry.get("id"):
        return
    backup_id, _, project = str(entry["id"]).partition("/")
    source = outputs.get("source_project_id", outputs.get("sourceProjectId"))
    projects: Iterable[str] = [project]
    if kind == "BackupShare":
        members = outputs.get("members")
        # A secret, which a program made of it, hides who the members are.
        if not isinstance(members, dict) or "ciphertext" in members:
            raise CbrError(messages.members_are_secret(str(entry.get("urn"))))
        projects = members
    for dest in projects:
        yield ManagedShare(
            backup_id=backup_id,
            dest_project_id=dest,
            received=kind == "BackupShareAccepter",
            source_project_id=source if isinstance(source, str) else None,
            manager=Manager(stack, str(entry.get("urn"))),
        )


def mark(listings: Sequence[Listing], managed: Iterable[ManagedShare]) -> list[Share]:
    """Return all shares with the resources that manage them.

    Shares that are in a state but gone from the service are added.
    """
    managers: dict[tuple[bool, str, str], list[ManagedShare]] = defaultdict(list)
    for entry in managed:
        managers[entry.received, entry.backup_id, entry.dest_project_id].append(entry)
    marked = []
    for listing in listings:
        there = {share.pair for share in listing.shares}
        for share in listing.shares:
            found = managers.get((share.received, *share.pair), ())
            marked.append(replace(share, managed_by=tuple(entry.manager for entry in found)))
        for (received, *pair), found in managers.items():
            if received == listing.received and (pair[0], pair[1]) not in there and _is_gone(found[0], listing):
                marked.append(_gone(found, listing))
    return marked


def _is_gone(entry: ManagedShare, listing: Listing) -> bool:
    """Return whether the service would have told this share, if it were there."""
    if entry.own_project_id != listing.project_id or listing.backup_ids is None:
        return False
    return listing.received or entry.backup_id not in listing.backup_ids or entry.backup_id in listing.complete


def _gone(entries: Sequence[ManagedShare], listing: Listing) -> Share:
    first = entries[0]
    return Share(
        backup_id=first.backup_id,
        dest_project_id=first.dest_project_id,
        status="gone",
        received=first.received,
        cloud=listing.cloud,
        source_project_id=first.source_project_id,
        managed_by=tuple(entry.manager for entry in entries),
    )
