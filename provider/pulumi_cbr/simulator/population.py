"""The contents of a new simulator: accounts, projects, backups, vaults and shares."""

from __future__ import annotations

from pulumi_cbr.simulator.models import MEMBER_LIMIT, Account, Backup, Identifiers, MemberRecord, Vault
from pulumi_cbr.simulator.options import Switches
from pulumi_cbr.simulator.state_file import Contents

__all__ = ["make_backup", "populate"]

_PROJECTS = 16
_STATUSES = ("pending", "accepted", "rejected")

#: The receiver's vaults: name, type of objects, status, size in GB.
_VAULTS = (
    ("servers", "server", "available", 1_000_000),
    ("disks", "disk", "available", 1_000_000),
    ("locked", "server", "lock", 1_000_000),
    ("full", "server", "available", 10),
)


def populate(seed: int, switches: Switches, region: str, now: float) -> Contents:
    """Return the contents that follow from a seed.

    Backups and shares were made in the time before ``now``, in epoch seconds.
    """
    ids = Identifiers(seed)
    contents = Contents(seed)
    contents.accounts = {role: _make_account(ids, role, region) for role in ("owner", "receiver")}
    receiver = contents.accounts["receiver"].project_id
    contents.projects = [receiver, *(ids.hexadecimal(f"project {number}") for number in range(1, _PROJECTS))]
    for number in range(switches.backups):
        backup = make_backup(
            ids, number, contents.accounts["owner"].project_id, now - 3600.0 * (switches.backups - number)
        )
        contents.backups[backup.id] = backup
    for name, object_type, status, size in _VAULTS:
        vault = Vault(ids.uuid(f"vault {name}"), name, receiver, object_type, status, size)
        contents.vaults[vault.id] = vault
    _add_shares(ids, contents, switches.shares, now)
    return contents


def _make_account(ids: Identifiers, role: str, region: str) -> Account:
    return Account(
        role=role,
        domain_id=ids.hexadecimal(f"{role}'s domain"),
        domain_name=f"{role}-domain",
        project_id=ids.hexadecimal(f"{role}'s project"),
        project_name=region,
        user_id=ids.hexadecimal(f"{role}'s user"),
        username=role,
        password=f"{role}-{ids.hexadecimal(f'{role} password', 16)}",
        application_credential_id=ids.hexadecimal(f"{role}'s application credential"),
        application_credential_secret=ids.hexadecimal(f"{role}'s application secret", 64),
        access_key=ids.hexadecimal(f"{role}'s access key", 20).upper(),
        secret_key=ids.hexadecimal(f"{role}'s secret key", 40),
        temporary_access_key=ids.hexadecimal(f"{role}'s temporary access key", 20).upper(),
        temporary_secret_key=ids.hexadecimal(f"{role}'s temporary secret key", 40),
        security_token=ids.hexadecimal(f"{role}'s security token", 128),
    )


def make_backup(ids: Identifiers, number: int, owner: str, created_at: float) -> Backup:
    """Return a backup of a server that has no other backup."""
    return Backup(
        id=ids.uuid(f"backup {number}"),
        name=f"backup-{number:03}",
        project_id=owner,
        resource_id=ids.uuid(f"server {number}"),
        resource_name=f"server-{number:03}",
        resource_size=40,
        vault_id=ids.uuid("owner's vault"),
        created_at=created_at,
    )


def _add_shares(ids: Identifiers, contents: Contents, shares: int, now: float) -> None:
    """Share the backups in turn, each round with the next project, in alternating statuses."""
    backups = list(contents.backups)
    if shares > MEMBER_LIMIT * len(backups):
        raise ValueError(f"{len(backups)} backups can have {MEMBER_LIMIT * len(backups)} shares, not {shares}")
    for number in range(shares):
        status = _STATUSES[number % len(_STATUSES)]
        project = contents.projects[number // len(backups)]
        record = MemberRecord(
            ids.uuid(f"share {number}"),
            backups[number % len(backups)],
            project,
            created_at=now - 60.0 * (shares - number),
            status=status,
            updated_at=None if status == "pending" else now,
            vault_id=_accepting_vault(ids, contents, project) if status == "accepted" else None,
        )
        contents.put_member(record)


def _accepting_vault(ids: Identifiers, contents: Contents, project: str) -> str:
    own = (vault.id for vault in contents.vaults.values() if vault.project_id == project)
    return next(own, None) or ids.uuid(f"vault of {project}")
