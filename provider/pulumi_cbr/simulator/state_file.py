"""The state of a simulator, and the JSON file that keeps it (format 1)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pulumi_cbr.simulator.models import TRANSITIONS, Account, Backup, MemberRecord, Vault

__all__ = ["Contents", "FileLock", "read_state_file", "write_state_file"]

_FORMAT = 1


@dataclass
class Contents:
    """The accounts, projects, backups, vaults and members of a simulator."""

    seed: int
    #: How often a simulator has begun with these contents.
    runs: int = 0
    #: How many IDs were issued since.
    issued: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    projects: list[str] = field(default_factory=list)
    backups: dict[str, Backup] = field(default_factory=dict)
    vaults: dict[str, Vault] = field(default_factory=dict)
    #: By the ID of the backup and of the project.
    members: dict[str, dict[str, MemberRecord]] = field(default_factory=dict)
    #: How often the owner has read each member.
    reads: dict[tuple[str, str], int] = field(default_factory=dict)
    #: From how many more reads each member is hidden.
    hidden: dict[tuple[str, str], int] = field(default_factory=dict)

    def all_members(self) -> Iterable[MemberRecord]:
        """Yield the members of all backups."""
        for members in self.members.values():
            yield from members.values()

    def put_member(self, record: MemberRecord) -> None:
        """Add a member, or replace the one of its backup and project."""
        self.members.setdefault(record.backup_id, {})[record.dest_project_id] = record


def write_state_file(file: Path, contents: Contents) -> None:
    """Write the contents; a reader sees the old file or the new one."""
    document = {
        "format": _FORMAT,
        "seed": contents.seed,
        "runs": contents.runs,
        "issued": contents.issued,
        "accounts": _dump(contents.accounts.values()),
        "projects": contents.projects,
        "backups": _dump(contents.backups.values()),
        "vaults": _dump(contents.vaults.values()),
        "members": _dump(contents.all_members()),
        "reads": [[*key, reads] for key, reads in contents.reads.items()],
        "hidden": [[*key, reads] for key, reads in contents.hidden.items()],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    os.replace(temporary, file)


def read_state_file(file: Path) -> Contents:
    """Return the contents of a state file. Raises ValueError if it is broken."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}, not {_FORMAT}")
        return _parse(document)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{file} is not a simulator's state file: {error}") from error


def _parse(document: dict[str, Any]) -> Contents:
    contents = Contents(
        seed=int(document["seed"]),
        # The first release wrote neither this nor `hidden`.
        runs=int(document.get("runs", 0)),
        issued=int(document["issued"]),
        accounts={entry["role"]: Account(**entry) for entry in document["accounts"]},
        projects=[str(project) for project in document["projects"]],
        backups={entry["id"]: Backup(**entry) for entry in document["backups"]},
        vaults={entry["id"]: Vault(**entry) for entry in document["vaults"]},
        reads={(backup, project): int(reads) for backup, project, reads in document["reads"]},
        hidden={(backup, project): int(reads) for backup, project, reads in document.get("hidden", [])},
    )
    for entry in document["members"]:
        contents.put_member(MemberRecord(**entry))
    _check_consistent(contents)
    return contents


def _check_consistent(contents: Contents) -> None:
    if not {"owner", "receiver"} <= set(contents.accounts):
        raise ValueError("it has no owner or no receiver")
    if not set(contents.members) <= set(contents.backups):
        raise ValueError("it has members of a backup that is missing")
    if not all(record.status in TRANSITIONS for record in contents.all_members()):
        raise ValueError("it has members without a valid status")


def _dump(records: Iterable[Account | Backup | Vault | MemberRecord]) -> list[Mapping[str, object]]:
    return [asdict(record) for record in records]


class FileLock:
    """The lock on a state file, held from creation to `release`.

    Raises ValueError if another simulator holds it; on Windows nothing is locked. The empty file beside the state file
    stays, because two simulators could lock two files if it was removed.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._handle.close()
                raise ValueError(f"another simulator keeps its state in {file}") from None

    def release(self) -> None:
        """Release the lock."""
        self._handle.close()
