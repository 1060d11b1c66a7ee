"""The rows that the command works with. All other modules of this package take and return these."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime

#: Statuses that the service gives a share, and the one of a share that only a stack still knows.
STATUSES = ("pending", "accepted", "rejected", "gone")


@dataclass(frozen=True)
class Manager:
    """A resource of a stack that manages a share."""

    stack: str
    urn: str

    @property
    def name(self) -> str:
        """The resource's name in its stack."""
        return self.urn.rpartition("::")[2]

    def __str__(self) -> str:
        return f"{self.stack}/{self.name}"


@dataclass(frozen=True)
class Share:
    """One backup shared with one project.

    Times are UTC; what the service does not tell is None. `vault_id` is the backup's own vault, `dest_vault_id` the
    receiver's. `managed_by` is None if no stack was read.
    """

    backup_id: str
    dest_project_id: str
    status: str
    received: bool = False
    cloud: str | None = None
    source_project_id: str | None = None
    source_project_name: str | None = None
    dest_project_name: str | None = None
    backup_name: str | None = None
    backup_created_at: datetime | None = None
    server_id: str | None = None
    server_name: str | None = None
    vault_id: str | None = None
    vault_name: str | None = None
    share_id: str | None = None
    shared_at: datetime | None = None
    updated_at: datetime | None = None
    dest_vault_id: str | None = None
    dest_vault_name: str | None = None
    image_id: str | None = None
    managed_by: tuple[Manager, ...] | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """The backup's ID and the destination project's."""
        return self.backup_id, self.dest_project_id

    @property
    def other_project_id(self) -> str | None:
        """The receiver of an own backup, the owner of a received one."""
        return self.source_project_id if self.received else self.dest_project_id

    @property
    def other_project_name(self) -> str | None:
        """The name of the project at the other end."""
        return self.source_project_name if self.received else self.dest_project_name

    @property
    def known(self) -> str | None:
        """``managed``, ``unmanaged`` or ``gone`` from the service; None if no stack was read."""
        if self.managed_by is None:
            return None
        return "gone" if self.status == "gone" else "managed" if self.managed_by else "unmanaged"


def clean(text: str) -> str:
    """Return a text whose control, format and surrogate characters are escapes."""
    return "".join(_escape(letter) if unicodedata.category(letter) in _UNSAFE else letter for letter in text)


_UNSAFE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
