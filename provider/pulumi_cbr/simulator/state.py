"""The rules of the simulated service: who may share which backup with whom.

Nothing here knows HTTP. The rules are those of the public API references; `Refused` has the documented error code.
Every method may be called from any thread. With a state file, each change is written before it is answered. Denied
actions and the advance of the clock are not kept.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi_cbr.messages import did_you_mean
from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.models import (
    IAM_ACTIONS,
    MEMBER_LIMIT,
    SERVER,
    TRANSITIONS,
    Account,
    Backup,
    Identifiers,
    MemberRecord,
    Vault,
)
from pulumi_cbr.simulator.options import Switches
from pulumi_cbr.simulator.population import make_backup, populate
from pulumi_cbr.simulator.state_file import Contents, read_state_file, write_state_file

__all__ = ["State"]

_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REGION = "eu-de"


class State:
    """The simulated service without HTTP.

    ``now`` returns epoch seconds; `advance` moves the service's clock ahead of it. If ``state_file`` exists, everything
    but the switches is read from it, the seed too.
    """

    def __init__(
        self,
        seed: int = 1,
        switches: Switches | None = None,
        *,
        state_file: str | os.PathLike[str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.switches: Switches = switches or Switches()
        self.region: str = self.switches.regions[0] if self.switches.regions else _REGION
        self.lock: threading.RLock = threading.RLock()
        self._file = Path(state_file) if state_file is not None else None
        self._now = now
        self._ahead = 0.0
        self._denied: set[tuple[str, str]] = set()
        self._contents: Contents = populate(seed, self.switches, self.region, self.now())
        self.load()

    def load(self) -> None:
        """Read the state file if it exists, and count a run. Raises ValueError."""
        with self.lock:
            if self._file is not None and self._file.exists():
                self._contents = read_state_file(self._file)
            self._contents.runs += 1
            self._save()

    # Accounts and resources

    @property
    def seed(self) -> int:
        return self._contents.seed

    @property
    def runs(self) -> int:
        """The number of times that a simulator has started with this state."""
        return self._contents.runs

    @property
    def accounts(self) -> list[Account]:
        with self.lock:
            return list(self._contents.accounts.values())

    @property
    def projects(self) -> list[str]:
        """IDs of the projects that a backup can be shared with, the receiver's first."""
        with self.lock:
            return list(self._contents.projects)

    @property
    def backups(self) -> list[Backup]:
        with self.lock:
            return list(self._contents.backups.values())

    @property
    def vaults(self) -> list[Vault]:
        with self.lock:
            return list(self._contents.vaults.values())

    def account(self, role: str) -> Account:
        """Return the account of a role: ``owner`` or ``receiver``. Raises ValueError."""
        with self.lock:
            accounts = self._contents.accounts
            if role not in accounts:
                raise ValueError(f"no such role: {role!r} (there are {', '.join(accounts)})")
            return accounts[role]

    def members(self, backup_id: str) -> dict[str, MemberRecord]:
        """Return the members of a backup by project ID, also those not yet visible to readers."""
        with self.lock:
            return dict(self._contents.members.get(backup_id, {}))

    # The clock

    def now(self) -> float:
        """Return the service's time in epoch seconds."""
        return self._now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the service's clock forward."""
        with self.lock:
            self._ahead += seconds

    # Permissions

    def deny(self, action: str, role: str = "owner") -> None:
        """Deny an IAM action, such as ``cbr:member:list``, to a role.

        Raises ValueError for an unknown one.
        """
        if action not in IAM_ACTIONS:
            hint = did_you_mean(action, IAM_ACTIONS) or f". The actions are: {', '.join(IAM_ACTIONS)}"
            raise ValueError(f"unknown IAM action {action}{hint}")
        with self.lock:
            self._denied.add((self.account(role).role, action))

    def allow_all(self) -> None:
        """Allow every denied action again."""
        with self.lock:
            self._denied.clear()

    def is_allowed(self, action: str, role: str) -> bool:
        with self.lock:
            return (role, action) not in self._denied

    # The members API

    def add_members(self, project_id: str, backup_id: str, wanted: object) -> list[MemberRecord]:
        """Share a backup with 1 to 10 projects: with all of them, or with none if one is refused.

        Raises `Refused` with 9900 (not a list of 1 to 10 texts), 6200, 6700, 6702, 6709, 6704 (no such project, or the
        owner's), 6714 (listed twice), 6703 (already shared; the message has the project), 6701 (more than ten).
        """
        with self._change():
            backup = self._own_backup(project_id, backup_id)
            projects = _read_projects(wanted)
            self._check_shareable(backup)
            self._check_projects(project_id, projects)
            present = self.members(backup_id)
            for project in projects:
                if project in present:
                    raise Refused(6703, f"Project: {project}.")
            if len(present) + len(projects) > MEMBER_LIMIT:
                raise Refused(6701, f"Shared with {len(present)} projects already; at most {MEMBER_LIMIT}.")
            return [self._add_member(backup_id, project) for project in projects]

    def list_members(self, project_id: str, backup_id: str) -> list[MemberRecord]:
        """Return the members that the owner sees, oldest first, and count a read of each.

        Raises `Refused` with 6200.
        """
        with self._change():
            self._own_backup(project_id, backup_id)
            members = self.members(backup_id).values()
            return [seen for record in members if (seen := self._count_read(record)) is not None]

    def show_member(self, project_id: str, backup_id: str, member_id: str) -> MemberRecord:
        """Return one member to the owner, or to its own project.

        Raises `Refused` with 6200 or 6705.
        """
        with self._change():
            record = self.members(backup_id).get(member_id)
            if record is not None and member_id == project_id and self.switches.receiver_sees_member:
                return record
            self._own_backup(project_id, backup_id)
            seen = None if record is None else self._count_read(record)
            if seen is None:
                raise Refused(6705)
            return seen

    def update_member(
        self, project_id: str, backup_id: str, member_id: str, status: object, vault_id: object
    ) -> MemberRecord:
        """Accept or reject a share as the receiver.

        Raises `Refused` with 6200 (no such backup is shared with this project), 6705, 6706 (status or vault_id is
        missing or malformed), 6105, 6712, 6713, 6708 (no such transition, another vault, no room), 6710 (an image
        exists).
        """
        with self._change():
            if member_id != project_id:
                raise Refused(6200)
            backup = self._backup(backup_id)
            record = self.members(backup_id).get(member_id)
            if record is None:
                raise Refused(6705)
            if not isinstance(status, str) or status not in TRANSITIONS:
                raise Refused(6706, f"status must be one of {', '.join(TRANSITIONS)}.")
            if status != "accepted":
                return self._set_status(record, status, None)
            if not isinstance(vault_id, str) or not _UUID.fullmatch(vault_id):
                raise Refused(6706, "vault_id must be the UUID of the vault that takes the backup.")
            vault_id = vault_id.lower()
            self._check_vault(backup, project_id, vault_id)
            return self._set_status(record, status, vault_id)

    def delete_member(self, project_id: str, backup_id: str, member_id: str) -> None:
        """Delete a share as the owner.

        Raises `Refused` with 6200, 6705, or 6710 (an image was made of it).
        """
        with self._change():
            self._own_backup(project_id, backup_id)
            record = self._member(backup_id, member_id)
            if record.image_id is not None:
                raise Refused(6710, f"Image: {record.image_id}.")
            self._delete_member(record)

    def show_backup(self, project_id: str, backup_id: str) -> Backup:
        """Return a backup to its owner, or to a project that it is shared with.

        Raises `Refused` with 6200.
        """
        with self.lock:
            backup = self._backup(backup_id)
            if not self._is_visible(backup, project_id):
                raise Refused(6200)
            return backup

    def visible_backups(self, project_id: str) -> list[tuple[Backup, str | None]]:
        """Return the backups that a project sees, each with its member status.

        The status is None if the project owns the backup. A project does not see what it rejected.
        """
        with self.lock:
            visible: list[tuple[Backup, str | None]] = []
            for backup in self._contents.backups.values():
                if backup.project_id == project_id:
                    visible.append((backup, None))
                elif (status := self._member_status(backup, project_id)) not in (None, "rejected"):
                    visible.append((backup, status))
            return visible

    def visible_vaults(self, project_id: str) -> list[Vault]:
        """Return the vaults of a project: the stored ones and those that its backups are in."""
        with self.lock:
            own = [vault for vault in self._contents.vaults.values() if vault.project_id == project_id]
            stored = {vault.id for vault in own}
            backups = [backup for backup in self._contents.backups.values() if backup.project_id == project_id]
            # Format 1 of the state file has no vaults of the owner.
            implied = {backup.vault_id: backup for backup in backups if backup.vault_id not in stored}
            return [*own, *(Vault(vault_id, "nightly", project_id, "server") for vault_id in implied)]

    def stored_backups(self, vault_id: str) -> list[Backup]:
        """Return the backups that take up room in a vault: own ones, and accepted ones of others."""
        with self.lock:
            backups = self._contents.backups
            accepted = [r.backup_id for r in self._contents.all_members() if r.vault_id == vault_id]
            own = [backup for backup in backups.values() if backup.vault_id == vault_id]
            return [*own, *(backups[backup_id] for backup_id in accepted)]

    # Actions without a call to the API

    def share(self, backup_id: str, project_id: str, status: str = "pending") -> MemberRecord:
        """Share a backup, visible at once.

        Raises `Refused` as `add_members` does, and with 6706 for an unknown status.
        """
        with self._change():
            backup = self._backup(backup_id)
            if status not in TRANSITIONS:
                raise Refused(6706, f"status must be one of {', '.join(TRANSITIONS)}.")
            record = self.add_members(backup.project_id, backup_id, [project_id])[0]
            del self._contents.hidden[backup_id, project_id]
            return record if status == "pending" else self._answer_share(record, status, None)

    def withdraw(self, backup_id: str, project_id: str) -> None:
        """Delete a share. Raises `Refused` as `delete_member` does."""
        with self._change():
            self.delete_member(self._backup(backup_id).project_id, backup_id, project_id)

    def accept(self, backup_id: str, project_id: str, vault_id: str | None = None) -> MemberRecord:
        """Accept a share for its receiver.

        Without a vault, the first one that fits is used, or a new one.
        """
        with self._change():
            return self._answer_share(self._member(backup_id, project_id), "accepted", vault_id)

    def reject(self, backup_id: str, project_id: str) -> MemberRecord:
        """Reject a share for its receiver."""
        with self._change():
            return self._answer_share(self._member(backup_id, project_id), "rejected", None)

    def register_image(self, backup_id: str, project_id: str) -> str:
        """Make an image of a shared backup and return its ID. Accepts the share if needed."""
        with self._change():
            record = self._member(backup_id, project_id)
            if record.status != "accepted":
                record = self._answer_share(record, "accepted", None)
            image_id = self._issue_id("image")
            self._contents.put_member(replace(record, image_id=image_id, updated_at=self.now()))
            return image_id

    def delete_image(self, backup_id: str, project_id: str) -> None:
        """Delete the image that `register_image` made."""
        with self._change():
            record = self._member(backup_id, project_id)
            self._contents.put_member(replace(record, image_id=None, updated_at=self.now()))

    def set_backup(
        self,
        backup_id: str,
        *,
        status: str | None = None,
        encrypted: bool | None = None,
        resource_type: str | None = None,
    ) -> Backup:
        """Change a backup and return it. Raises `Refused` with 6200."""
        wanted = {"status": status, "encrypted": encrypted, "resource_type": resource_type}
        changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        with self._change():
            changed = replace(self._backup(backup_id), **changes)
            self._contents.backups[backup_id] = changed
            return changed

    def set_vault(self, vault_id: str, *, status: str) -> Vault:
        """Change the status of a vault and return it. Raises `Refused` with 6105."""
        with self._change():
            if vault_id not in self._contents.vaults:
                raise Refused(6105)
            changed = replace(self._contents.vaults[vault_id], status=status)
            self._contents.vaults[vault_id] = changed
            return changed

    def add_backup(self, server: str) -> Backup:
        """Make a backup of a server and return it.

        ``server`` is the UUID or name of one that has backups. Another name makes a new server. Raises ValueError if it is
        empty, or the UUID of no server.
        """
        with self._change():
            backups = self.backups
            names = {backup.name for backup in backups}
            number = next(n for n in itertools.count(len(backups)) if f"backup-{n:03}" not in names)
            new = make_backup(Identifiers(self.seed), number, self.account("owner").project_id, self.now())
            known = next((backup for backup in backups if server in (backup.resource_id, backup.resource_name)), None)
            if known is None and (not server or _UUID.fullmatch(server)):
                raise ValueError(f"no server {server!r}: give one that has backups, or the name of a new one")
            of_server = known or replace(new, resource_id=self._issue_id("added server"), resource_name=server)
            # The ID of a deleted backup is not issued again.
            made = replace(
                of_server,
                id=self._issue_id("added backup"),
                name=new.name,
                created_at=new.created_at,
                status="available",
            )
            self._contents.backups[made.id] = made
            return made

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup with its shares. Raises `Refused` with 6200."""
        with self._change():
            self._backup(backup_id)
            for record in self.members(backup_id).values():
                self._delete_member(record)
            del self._contents.backups[backup_id]

    # Rules

    def _backup(self, backup_id: str) -> Backup:
        if backup_id not in self._contents.backups:
            raise Refused(6200)
        return self._contents.backups[backup_id]

    def _own_backup(self, project_id: str, backup_id: str) -> Backup:
        backup = self._backup(backup_id)
        if backup.project_id != project_id:
            raise Refused(6200)
        return backup

    def _member(self, backup_id: str, project_id: str) -> MemberRecord:
        self._backup(backup_id)
        record = self._contents.members.get(backup_id, {}).get(project_id)
        if record is None:
            raise Refused(6705)
        return record

    def _member_status(self, backup: Backup, project_id: str) -> str | None:
        record = self._contents.members.get(backup.id, {}).get(project_id)
        return None if record is None else record.status

    def _is_visible(self, backup: Backup, project_id: str) -> bool:
        status = self._member_status(backup, project_id)
        return backup.project_id == project_id or status not in (None, "rejected")

    def _check_shareable(self, backup: Backup) -> None:
        if backup.status != "available":
            raise Refused(6702, f"Status: {backup.status}.")
        if backup.resource_type != SERVER and not self.switches.disk_allowed:
            raise Refused(6700)
        if backup.encrypted and not self.switches.encrypted_allowed:
            raise Refused(6709)

    def _check_projects(self, owner: str, projects: list[str]) -> None:
        for number, project in enumerate(projects):
            if not _PROJECT_ID.fullmatch(project) or project == owner or project not in self._contents.projects:
                raise Refused(6704, f"Project: {project[:64]}.")
            if project in projects[:number]:
                raise Refused(6714, f"Project: {project}.")

    def _check_vault(self, backup: Backup, project_id: str, vault_id: str) -> None:
        vault = self._contents.vaults.get(vault_id)
        if vault is None or vault.project_id != project_id:
            raise Refused(6105)
        if vault.status != "available":
            raise Refused(6712, f"Status: {vault.status}.")
        if vault.object_type != _object_type(backup):
            raise Refused(6713)
        used = sum(other.resource_size for other in self.stored_backups(vault_id) if other.id != backup.id)
        if used + backup.resource_size > vault.size:
            raise Refused(6708, "The vault has no room for the backup.")

    def _add_member(self, backup_id: str, project_id: str) -> MemberRecord:
        record = MemberRecord(self._issue_id("member"), backup_id, project_id, created_at=self.now())
        self._contents.put_member(record)
        self._contents.reads[backup_id, project_id] = 0
        self._contents.hidden[backup_id, project_id] = self.switches.visible_after_reads
        return record

    def _count_read(self, record: MemberRecord) -> MemberRecord | None:
        """Count a read by the owner and return the member as it is then, None while it is hidden."""
        key = record.backup_id, record.dest_project_id
        before = self._contents.reads.get(key, 0)
        self._contents.reads[key] = before + 1
        accepts = self.switches.accept_after_reads
        if accepts is not None and before >= accepts and record.status == "pending":
            record = self._answer_share(record, "accepted", None)
        hidden = self._contents.hidden.pop(key, 0)
        if hidden > 0:
            self._contents.hidden[key] = hidden - 1
        return record if hidden <= 0 else None

    def _answer_share(self, record: MemberRecord, status: str, vault_id: str | None) -> MemberRecord:
        """Set the status of a member as its receiver would. A vault is chosen if none is given."""
        if status != "accepted":
            return self._set_status(record, status, None)
        backup, project = self._backup(record.backup_id), record.dest_project_id
        if vault_id is not None:
            self._check_vault(backup, project, vault_id)
            return self._set_status(record, status, vault_id)
        own = (vault for vault in self._contents.vaults.values() if vault.project_id == project)
        fitting = (v.id for v in own if (v.object_type, v.status) == (_object_type(backup), "available"))
        new = Identifiers(self.seed).uuid(f"vault of {project}")
        return self._set_status(record, status, record.vault_id or next(fitting, new))

    def _set_status(self, record: MemberRecord, status: str, vault_id: str | None) -> MemberRecord:
        if status not in TRANSITIONS[record.status]:
            raise Refused(6708, f"From {record.status} to {status}.")
        if status == record.status:
            if vault_id != record.vault_id:
                raise Refused(6708, f"Accepted already, into the vault {record.vault_id}.")
            return record
        if record.image_id is not None:
            raise Refused(6710, f"Image: {record.image_id}.")
        changed = replace(record, status=status, vault_id=vault_id, updated_at=self.now())
        self._contents.put_member(changed)
        return changed

    def _delete_member(self, record: MemberRecord) -> None:
        key = record.backup_id, record.dest_project_id
        del self._contents.members[record.backup_id][record.dest_project_id]
        self._contents.reads.pop(key, None)
        self._contents.hidden.pop(key, None)

    def _issue_id(self, kind: str) -> str:
        self._contents.issued += 1
        return Identifiers(self.seed).uuid(f"{kind} {self._contents.issued}")

    # The state file

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.lock:
            try:
                yield
            finally:
                # A refused read has counted too.
                self._save()

    def _save(self) -> None:
        if self._file is not None:
            write_state_file(self._file, self._contents)


def _read_projects(wanted: object) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(entry, str) for entry in wanted):
        raise Refused(9900, "members must be a list of project IDs.")
    if not 1 <= len(wanted) <= MEMBER_LIMIT:
        raise Refused(9900, f"members must have 1 to {MEMBER_LIMIT} entries.")
    return wanted


def _object_type(backup: Backup) -> str:
    return "server" if backup.resource_type == SERVER else "disk"
