"""State and rules of the simulated service: who may share what with whom, and what the service says no to.

Nothing here knows HTTP. The rules are those of the public API references; a refusal is `Refused` with the documented
code. Every method may be called from any thread. With a state file, accounts, backups, vaults, members and their reads
are written (atomically) before a change is answered; the clock's advance and denied actions are not kept.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.models import SERVER, Account, Backup, Identifiers, MemberRecord, Vault

__all__ = ["MEMBER_LIMIT", "TRANSITIONS", "State", "Switches"]

#: A backup can be shared with this many projects, and one call to add takes as many.
MEMBER_LIMIT = 10

#: From each status of a member, the statuses that its receiver can give it. Repeating the present one changes nothing.
TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"pending", "accepted", "rejected"}),
    "accepted": frozenset({"accepted", "rejected"}),
    "rejected": frozenset({"pending", "accepted", "rejected"}),
}

_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REGION = "eu-de"
_PROJECTS = 16
_FORMAT = 1


@dataclass(frozen=True)
class Switches:
    """In which ways this service differs from the plain one. The clouds do differ in all of these."""

    #: The second documented answer to add: one bare member object instead of ``{"members": [...], "count": n}``.
    bare_add_answer: bool = False
    #: A new member is left out of this many answers to the owner before it shows.
    visible_after_reads: int = 0
    #: The receivers accept by themselves once the owner has read a member this often; None: never.
    accept_after_reads: int | None = None
    #: Seconds until a token expires.
    token_life: float = 86400.0
    #: How many server backups the owner has.
    backups: int = 12
    #: The URL in the catalogue ends in ``/v3/<project ID>``; else it is the plain host.
    catalogue_with_project: bool = True
    #: Regions in which the catalogue lists the service; an empty one leaves the service out.
    regions: tuple[str, ...] = (_REGION,)
    #: Encrypted backups can be shared.
    encrypted_allowed: bool = False
    #: Disk backups can be shared.
    disk_allowed: bool = False
    #: The receiver can show the member of its own project; else only the owner can.
    receiver_sees_member: bool = True
    #: Most entries on one page, and how many there are when no limit is asked for.
    page_size: int = 1000

    def __post_init__(self) -> None:
        if self.page_size < 1:
            raise ValueError("page_size must be at least 1")


class State:
    """The simulated service without its wire.

    ``now`` gives epoch seconds; `advance` moves the service's clock on top of it. ``state_file`` is read when it
    exists, and then says what there is, the seed too; the switches are still those given here.
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
        self.seed: int = seed
        self.lock: threading.RLock = threading.RLock()
        self._file = Path(state_file) if state_file is not None else None
        self._now = now
        self._ahead = 0.0
        #: How often this state was begun or taken up from its file.
        self.runs: int = 0
        self._issued = 0
        self._accounts: dict[str, Account] = {}
        self._projects: list[str] = []
        self._backups: dict[str, Backup] = {}
        self._vaults: dict[str, Vault] = {}
        self._members: dict[tuple[str, str], MemberRecord] = {}
        self._reads: dict[tuple[str, str], int] = {}
        #: How many more reads a member is hidden from.
        self._hidden: dict[tuple[str, str], int] = {}
        self._denied: set[tuple[str, str]] = set()
        self._populate()
        self.take_up()

    def take_up(self) -> None:
        """Read the state file, where there is one, and begin a run. Raises ValueError for a file that is none."""
        with self.lock:
            if self._file is not None and self._file.exists():
                self._load(self._file)
            self.runs += 1
            self._save()

    # Who and what there is

    @property
    def accounts(self) -> list[Account]:
        with self.lock:
            return list(self._accounts.values())

    @property
    def projects(self) -> list[str]:
        """IDs of the projects that a backup can be shared with, the receiver's first."""
        with self.lock:
            return list(self._projects)

    @property
    def backups(self) -> list[Backup]:
        with self.lock:
            return list(self._backups.values())

    @property
    def vaults(self) -> list[Vault]:
        with self.lock:
            return list(self._vaults.values())

    def account(self, role: str) -> Account:
        """Give the account of a role, ``owner`` or ``receiver``. Raises ValueError for any other."""
        with self.lock:
            if role not in self._accounts:
                raise ValueError(f"no such role: {role!r} (there are {', '.join(self._accounts)})")
            return self._accounts[role]

    def members(self, backup_id: str) -> dict[str, MemberRecord]:
        """Give the members of a backup by project ID: the truth, whatever readers are shown."""
        with self.lock:
            return {project: record for (backup, project), record in self._members.items() if backup == backup_id}

    # The clock

    def now(self) -> float:
        """Give the service's time in epoch seconds."""
        return self._now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the service's clock forward."""
        with self.lock:
            self._ahead += seconds

    # Permissions

    def deny(self, action: str, role: str = "owner") -> None:
        """Take an IAM action, such as ``cbr:member:list``, away from a role."""
        with self.lock:
            self._denied.add((self.account(role).role, action))

    def allow_all(self) -> None:
        """Give every denied action back."""
        with self.lock:
            self._denied.clear()

    def allowed(self, action: str, role: str) -> bool:
        with self.lock:
            return (role, action) not in self._denied

    # The members API

    def add_members(self, project_id: str, backup_id: str, wanted: object) -> list[MemberRecord]:
        """Share a backup with 1 to 10 projects: all of them, or none when one is refused.

        Raises `Refused` with 9900 (not a list of 1 to 10 texts), 6200, 6700, 6702, 6709, 6704 (no such project, or the
        owner itself), 6714 (named twice), 6703 (already shared; the message names the project), 6701 (more than ten).
        """
        with self._change():
            backup = self._own_backup(project_id, backup_id)
            if not isinstance(wanted, list) or not all(isinstance(entry, str) for entry in wanted):
                raise Refused(9900, "members must be a list of project IDs.")
            if not 1 <= len(wanted) <= MEMBER_LIMIT:
                raise Refused(9900, f"members must have 1 to {MEMBER_LIMIT} entries.")
            self._check_shareable(backup)
            for number, entry in enumerate(wanted):
                if not _PROJECT_ID.fullmatch(entry) or entry == project_id or entry not in self._projects:
                    raise Refused(6704, f"Project: {entry[:64]}.")
                if entry in wanted[:number]:
                    raise Refused(6714, f"Project: {entry}.")
            present = self.members(backup_id)
            for entry in wanted:
                if entry in present:
                    raise Refused(6703, f"Project: {entry}.")
            if len(present) + len(wanted) > MEMBER_LIMIT:
                raise Refused(6701, f"Shared with {len(present)} projects already; at most {MEMBER_LIMIT}.")
            return [self._put_new(backup_id, entry) for entry in wanted]

    def list_members(self, project_id: str, backup_id: str) -> list[MemberRecord]:
        """Give what the owner is shown, oldest first; counts as a read of each. Raises `Refused` with 6200."""
        with self._change():
            self._own_backup(project_id, backup_id)
            return [seen for record in self.members(backup_id).values() if (seen := self._read(record)) is not None]

    def show_member(self, project_id: str, backup_id: str, member_id: str) -> MemberRecord:
        """Give one member to the owner, or to its own project. Raises `Refused` with 6200 or 6705."""
        with self._change():
            record = self._members.get((backup_id, member_id))
            if record is not None and member_id == project_id and self.switches.receiver_sees_member:
                return record
            self._own_backup(project_id, backup_id)
            seen = None if record is None else self._read(record)
            if seen is None:
                raise Refused(6705)
            return seen

    def update_member(
        self, project_id: str, backup_id: str, member_id: str, status: object, vault_id: object
    ) -> MemberRecord:
        """Accept or reject, as the receiver.

        Raises `Refused` with 6200 (nothing of the kind is shared with this project), 6705, 6706 (status or vault_id is
        missing or not one), 6105, 6712, 6713, 6708 (no such transition, another vault, no room), 6710 (an image was
        made).
        """
        with self._change():
            if member_id != project_id or backup_id not in self._backups:
                raise Refused(6200)
            record = self._members.get((backup_id, member_id))
            if record is None:
                raise Refused(6705)
            if not isinstance(status, str) or status not in TRANSITIONS:
                raise Refused(6706, f"status must be one of {', '.join(TRANSITIONS)}.")
            if status != "accepted":
                return self._move(record, status, None)
            if not isinstance(vault_id, str) or not _UUID.fullmatch(vault_id):
                raise Refused(6706, "vault_id must be the UUID of the vault that takes the backup.")
            vault_id = vault_id.lower()
            self._check_vault(self._backups[backup_id], project_id, vault_id)
            return self._move(record, status, vault_id)

    def delete_member(self, project_id: str, backup_id: str, member_id: str) -> None:
        """Take a share away, as the owner. Raises `Refused` with 6200, 6705, or 6710 (an image was made of it)."""
        with self._change():
            self._own_backup(project_id, backup_id)
            record = self._members.get((backup_id, member_id))
            if record is None:
                raise Refused(6705)
            if record.image_id is not None:
                raise Refused(6710, f"Image: {record.image_id}.")
            self._forget(record)

    def show_backup(self, project_id: str, backup_id: str) -> Backup:
        """Give a backup to its owner, or to a project that it is shared with. Raises `Refused` with 6200."""
        with self.lock:
            for backup, _status in self.visible_backups(project_id):
                if backup.id == backup_id:
                    return backup
            raise Refused(6200)

    def visible_backups(self, project_id: str) -> list[tuple[Backup, str | None]]:
        """Give the backups that a project sees, each with its member status (None: an own one); no rejected ones."""
        with self.lock:
            seen: list[tuple[Backup, str | None]] = []
            for backup in self._backups.values():
                record = self._members.get((backup.id, project_id))
                if backup.project_id == project_id:
                    seen.append((backup, None))
                elif record is not None and record.status != "rejected":
                    seen.append((backup, record.status))
            return seen

    # What happens at the other end, without a call to the API

    def share(self, backup_id: str, project_id: str, status: str = "pending") -> MemberRecord:
        """Share a backup behind everybody's back, at once visible. The rules of `add_members` hold; 6706: no status."""
        with self._change():
            backup = self._backup(backup_id)
            if status not in TRANSITIONS:
                raise Refused(6706, f"status must be one of {', '.join(TRANSITIONS)}.")
            record = self.add_members(backup.project_id, backup_id, [project_id])[0]
            del self._hidden[backup_id, project_id]
            return record if status == "pending" else self._settle(record, status, None)

    def withdraw(self, backup_id: str, project_id: str) -> None:
        """Take a share away behind everybody's back. The rules of `delete_member` hold."""
        with self._change():
            self.delete_member(self._backup(backup_id).project_id, backup_id, project_id)

    def accept(self, backup_id: str, project_id: str, vault_id: str | None = None) -> MemberRecord:
        """Accept for a receiver; without a vault, into its first fitting one (or one made up, where it has none)."""
        with self._change():
            return self._settle(self._member(backup_id, project_id), "accepted", vault_id)

    def reject(self, backup_id: str, project_id: str) -> MemberRecord:
        """Reject for a receiver."""
        with self._change():
            return self._settle(self._member(backup_id, project_id), "rejected", None)

    def register_image(self, backup_id: str, project_id: str) -> str:
        """Make an image of a shared backup, accepting it first if need be; give the image's ID."""
        with self._change():
            record = self._member(backup_id, project_id)
            if record.status != "accepted":
                record = self._settle(record, "accepted", None)
            image_id = self._issue("image")
            self._members[backup_id, project_id] = replace(record, image_id=image_id, updated_at=self.now())
            return image_id

    def delete_image(self, backup_id: str, project_id: str) -> None:
        """Delete the image that `register_image` made."""
        with self._change():
            record = self._member(backup_id, project_id)
            self._members[backup_id, project_id] = replace(record, image_id=None, updated_at=self.now())

    def set_backup(
        self,
        backup_id: str,
        *,
        status: str | None = None,
        encrypted: bool | None = None,
        resource_type: str | None = None,
    ) -> Backup:
        """Change what a backup is. Raises `Refused` with 6200."""
        wanted = {"status": status, "encrypted": encrypted, "resource_type": resource_type}
        changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        with self._change():
            self._backups[backup_id] = replace(self._backup(backup_id), **changes)
            return self._backups[backup_id]

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup, and with it its shares. Raises `Refused` with 6200."""
        with self._change():
            self._backup(backup_id)
            for record in self.members(backup_id).values():
                self._forget(record)
            del self._backups[backup_id]

    # Rules

    def _backup(self, backup_id: str) -> Backup:
        if backup_id not in self._backups:
            raise Refused(6200)
        return self._backups[backup_id]

    def _own_backup(self, project_id: str, backup_id: str) -> Backup:
        backup = self._backup(backup_id)
        if backup.project_id != project_id:
            raise Refused(6200)
        return backup

    def _member(self, backup_id: str, project_id: str) -> MemberRecord:
        self._backup(backup_id)
        if (backup_id, project_id) not in self._members:
            raise Refused(6705)
        return self._members[backup_id, project_id]

    def _check_shareable(self, backup: Backup) -> None:
        if backup.status != "available":
            raise Refused(6702, f"Status: {backup.status}.")
        if backup.resource_type != SERVER and not self.switches.disk_allowed:
            raise Refused(6700)
        if backup.encrypted and not self.switches.encrypted_allowed:
            raise Refused(6709)

    def _check_vault(self, backup: Backup, project_id: str, vault_id: str) -> None:
        vault = self._vaults.get(vault_id)
        if vault is None or vault.project_id != project_id:
            raise Refused(6105)
        if vault.status != "available":
            raise Refused(6712, f"Status: {vault.status}.")
        if vault.object_type != _object_type(backup):
            raise Refused(6713)
        others = (r for r in self._members.values() if r.vault_id == vault_id and r.backup_id != backup.id)
        used = sum(self._backups[record.backup_id].resource_size for record in others)
        if used + backup.resource_size > vault.size:
            raise Refused(6708, "The vault has no room for the backup.")

    def _put_new(self, backup_id: str, project_id: str) -> MemberRecord:
        record = MemberRecord(self._issue("member"), backup_id, project_id, created_at=self.now())
        self._members[backup_id, project_id] = record
        self._reads[backup_id, project_id] = 0
        self._hidden[backup_id, project_id] = self.switches.visible_after_reads
        return record

    def _read(self, record: MemberRecord) -> MemberRecord | None:
        """Count one read by the owner; give what it shows, None while the member is not visible yet."""
        key = record.backup_id, record.dest_project_id
        before = self._reads.get(key, 0)
        self._reads[key] = before + 1
        accepts = self.switches.accept_after_reads
        if accepts is not None and before >= accepts and record.status == "pending":
            record = self._settle(record, "accepted", None)
        hidden = self._hidden.pop(key, 0)
        if hidden > 0:
            self._hidden[key] = hidden - 1
        return record if hidden <= 0 else None

    def _settle(self, record: MemberRecord, status: str, vault_id: str | None) -> MemberRecord:
        """Move a member as its receiver would, who finds a vault by itself."""
        if status != "accepted":
            return self._move(record, status, None)
        backup, project = self._backup(record.backup_id), record.dest_project_id
        if vault_id is not None:
            self._check_vault(backup, project, vault_id)
            return self._move(record, status, vault_id)
        own = (v for v in self._vaults.values() if v.project_id == project and v.object_type == _object_type(backup))
        found = next((v.id for v in own if v.status == "available"), None)
        made_up = Identifiers(self.seed).uuid(f"vault of {project}")
        return self._move(record, status, record.vault_id or found or made_up)

    def _move(self, record: MemberRecord, status: str, vault_id: str | None) -> MemberRecord:
        if status not in TRANSITIONS[record.status]:
            raise Refused(6708, f"From {record.status} to {status}.")
        if status == record.status:
            if vault_id != record.vault_id:
                raise Refused(6708, f"Accepted already, into the vault {record.vault_id}.")
            return record
        if record.image_id is not None:
            raise Refused(6710, f"Image: {record.image_id}.")
        moved = replace(record, status=status, vault_id=vault_id, updated_at=self.now())
        self._members[record.backup_id, record.dest_project_id] = moved
        return moved

    def _forget(self, record: MemberRecord) -> None:
        key = record.backup_id, record.dest_project_id
        del self._members[key]
        self._reads.pop(key, None)
        self._hidden.pop(key, None)

    def _issue(self, kind: str) -> str:
        self._issued += 1
        return Identifiers(self.seed).uuid(f"{kind} {self._issued}")

    # The beginning, and the file

    def _populate(self) -> None:
        names = Identifiers(self.seed)
        self._projects = [names.hexadecimal(f"project {number}") for number in range(_PROJECTS)]
        for role in ("owner", "receiver"):
            self._accounts[role] = _new_account(names, role, self.region)
        owner, receiver = self._accounts["owner"], self._accounts["receiver"]
        self._projects[0] = receiver.project_id
        now = self.now()
        for number in range(self.switches.backups):
            backup = Backup(
                id=names.uuid(f"backup {number}"),
                name=f"backup-{number:03}",
                project_id=owner.project_id,
                resource_id=names.uuid(f"server {number}"),
                resource_name=f"server-{number:03}",
                resource_size=40,
                vault_id=names.uuid("owner's vault"),
                created_at=now - 3600.0 * (self.switches.backups - number),
            )
            self._backups[backup.id] = backup
        for name, object_type, status, size in (
            ("servers", "server", "available", 1_000_000),
            ("disks", "disk", "available", 1_000_000),
            ("locked", "server", "lock", 1_000_000),
            ("full", "server", "available", 10),
        ):
            vault = Vault(names.uuid(f"vault {name}"), name, receiver.project_id, object_type, status, size)
            self._vaults[vault.id] = vault

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.lock:
            try:
                yield
            finally:
                self._save()  # a refused read has counted too

    def _save(self) -> None:
        if self._file is None:
            return
        document = {
            "format": _FORMAT,
            "seed": self.seed,
            "runs": self.runs,
            "issued": self._issued,
            "accounts": _dump(self._accounts.values()),
            "projects": self._projects,
            "backups": _dump(self._backups.values()),
            "vaults": _dump(self._vaults.values()),
            "members": _dump(self._members.values()),
            "reads": [[*key, reads] for key, reads in self._reads.items()],
            "hidden": [[*key, reads] for key, reads in self._hidden.items()],
        }
        text = json.dumps(document, indent=1)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, self._file)

    def _load(self, file: Path) -> None:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']!r}, not {_FORMAT}")
            self.seed = int(document["seed"])
            self.runs = int(document.get("runs", 0))
            self._issued = int(document["issued"])
            self._projects = [str(project) for project in document["projects"]]
            self._accounts = {entry["role"]: Account(**entry) for entry in document["accounts"]}
            self._backups = {entry["id"]: Backup(**entry) for entry in document["backups"]}
            self._vaults = {entry["id"]: Vault(**entry) for entry in document["vaults"]}
            members = [MemberRecord(**entry) for entry in document["members"]]
            self._members = {(record.backup_id, record.dest_project_id): record for record in members}
            self._reads = {(backup, project): int(reads) for backup, project, reads in document["reads"]}
            self._hidden = {(backup, project): int(reads) for backup, project, reads in document.get("hidden", [])}
            if not {"owner", "receiver"} <= set(self._accounts):
                raise ValueError("it has no owner or no receiver")
            if not all(record.backup_id in self._backups and record.status in TRANSITIONS for record in members):
                raise ValueError("it has members of no backup or of no status")
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as broken:
            raise ValueError(f"{file} is not a simulator's state file: {broken}") from broken


def _dump(records: Iterable[Account | Backup | Vault | MemberRecord]) -> list[Mapping[str, object]]:
    return [asdict(record) for record in records]


def _object_type(backup: Backup) -> str:
    return "server" if backup.resource_type == SERVER else "disk"


def _new_account(names: Identifiers, role: str, region: str) -> Account:
    return Account(
        role=role,
        domain_id=names.hexadecimal(f"{role}'s domain"),
        domain_name=f"{role}-domain",
        project_id=names.hexadecimal(f"{role}'s project"),
        project_name=region,
        user_id=names.hexadecimal(f"{role}'s user"),
        username=role,
        password=f"{role}-{names.hexadecimal(f'{role} password', 16)}",
        application_credential_id=names.hexadecimal(f"{role}'s application credential"),
        application_credential_secret=names.hexadecimal(f"{role}'s application secret", 64),
        access_key=names.hexadecimal(f"{role}'s access key", 20).upper(),
        secret_key=names.hexadecimal(f"{role}'s secret key", 40),
        temporary_access_key=names.hexadecimal(f"{role}'s temporary access key", 20).upper(),
        temporary_secret_key=names.hexadecimal(f"{role}'s temporary secret key", 40),
        security_token=names.hexadecimal(f"{role}'s security token", 128),
    )
