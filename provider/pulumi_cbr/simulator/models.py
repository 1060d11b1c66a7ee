"""The records of the simulator: accounts, backups, vaults, share members and calls.

A record never changes. A change replaces it by a new one, so a record in hand is a snapshot.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random

__all__ = [
    "DISK",
    "IAM_ACTIONS",
    "MEMBER_LIMIT",
    "SERVER",
    "TRANSITIONS",
    "Account",
    "Backup",
    "Call",
    "Identifiers",
    "MemberRecord",
    "Vault",
]

SERVER = "OS::Nova::Server"
DISK = "OS::Cinder::Volume"

#: A backup can be shared with this many projects, and one call to add takes as many.
MEMBER_LIMIT = 10

#: From each status of a member, the statuses that its receiver can give it. Repeating the present one changes nothing.
TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"pending", "accepted", "rejected"}),
    "accepted": frozenset({"accepted", "rejected"}),
    "rejected": frozenset({"pending", "accepted", "rejected"}),
}


#: What a role can be denied.
IAM_ACTIONS = (
    "cbr:backups:get",
    "cbr:backups:list",
    "cbr:member:create",
    "cbr:member:delete",
    "cbr:member:get",
    "cbr:member:list",
    "cbr:member:update",
    "cbr:vaults:get",
    "cbr:vaults:list",
    "iam:agencies:assume",
)


@dataclass(frozen=True)
class Account:
    """A user with one project, a password, an application credential and access keys."""

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
    #: Temporary keys sign like permanent ones, but need `security_token` in the header X-Security-Token.
    temporary_access_key: str
    temporary_secret_key: str = field(repr=False)
    security_token: str = field(repr=False)


@dataclass(frozen=True)
class Backup:
    """A backup. `created_at` is in epoch seconds, `resource_size` in GB."""

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
    """A vault. `object_type` is ``server`` or ``disk``; `size` is in GB."""

    id: str
    name: str
    project_id: str
    object_type: str
    status: str = "available"
    size: int = 1_000_000


@dataclass(frozen=True)
class MemberRecord:
    """A project that a backup is shared with. Times are in epoch seconds."""

    id: str
    backup_id: str
    dest_project_id: str
    created_at: float
    status: str = "pending"
    updated_at: float | None = None
    image_id: str | None = None
    vault_id: str | None = None


@dataclass(frozen=True)
class Call:
    """One request to the simulator.

    ``path`` is without the query. ``status`` is 0 if no response was sent. ``started`` and ``finished`` are seconds of
    `time.monotonic`, for durations and overlaps. ``fault`` is the kind of the fault that it met, None for most. A call
    that meets a timeout is finished when the timeout begins.
    """

    method: str
    path: str
    status: int
    started: float
    finished: float
    user_agent: str
    query: str = ""
    fault: str | None = None


class Identifiers:
    """Identifiers that follow from a seed and a purpose, so that a run can be repeated."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def hexadecimal(self, purpose: str, digits: int = 32) -> str:
        """Return lower-case hex digits; an ID of a project, user or domain has 32."""
        return f"{Random(f'{self._seed}/{purpose}').getrandbits(4 * digits):0{digits}x}"  # noqa: S311

    def uuid(self, purpose: str) -> str:
        """Return a UUID with dashes, as backups, vaults, images and share records have."""
        return str(uuid.UUID(self.hexadecimal(purpose), version=4))
