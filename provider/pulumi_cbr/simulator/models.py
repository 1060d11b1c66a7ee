"""The things the simulated service keeps: accounts, backups, vaults and share members, as frozen records.

A record never changes: a change puts a new record in its place, so whoever holds one holds a snapshot.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random

__all__ = ["DISK", "SERVER", "Account", "Backup", "Identifiers", "MemberRecord", "Vault"]

SERVER = "OS::Nova::Server"
DISK = "OS::Cinder::Volume"


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in: a user with one project, a password, an application credential and access keys."""

    #: ``owner`` or ``receiver``.
    role: str
    domain_id: str
    domain_name: str
    project_id: str
    project_name: str
    user_id: str
    username: str
    password: str = field(repr=False)
    application_credential_id: str
    application_credential_secret: str = field(repr=False)
    access_key: str
    secret_key: str = field(repr=False)
    #: Temporary keys sign like the lasting ones, but need `security_token` in the header X-Security-Token.
    temporary_access_key: str
    temporary_secret_key: str = field(repr=False)
    security_token: str = field(repr=False)


@dataclass(frozen=True)
class Backup:
    """A restore point. `created_at` is epoch seconds; `resource_size` is in GB."""

    id: str
    name: str
    project_id: str
    resource_id: str
    resource_name: str
    resource_size: int
    vault_id: str
    created_at: float
    status: str = "available"
    resource_type: str = SERVER
    encrypted: bool = False


@dataclass(frozen=True)
class Vault:
    """A receiver's vault. `object_type` is ``server`` or ``disk``; `size` is in GB."""

    id: str
    name: str
    project_id: str
    object_type: str
    status: str = "available"
    size: int = 1_000_000


@dataclass(frozen=True)
class MemberRecord:
    """One project that one backup is shared with. Times are epoch seconds; a field that is None is left out."""

    id: str
    backup_id: str
    dest_project_id: str
    created_at: float
    status: str = "pending"
    updated_at: float | None = None
    image_id: str | None = None
    vault_id: str | None = None


class Identifiers:
    """Identifiers that depend on nothing but a seed and what they are for, so that a run can be repeated."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def hexadecimal(self, purpose: str, digits: int = 32) -> str:
        """Give lower-case hex digits: 32 of them are how projects, users and domains are named."""
        return f"{Random(f'{self._seed}/{purpose}').getrandbits(4 * digits):0{digits}x}"  # noqa: S311

    def uuid(self, purpose: str) -> str:
        """Give a UUID with dashes: how backups, vaults, images and share records are named."""
        return str(uuid.UUID(self.hexadecimal(purpose), version=4))
