"""What the service answers, as frozen dataclasses: fields have the API's names, unknown ones are ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeVar

#: How many projects a backup can be shared with, and how many one request can name.
MAX_MEMBERS = 10


class MalformedResponse(Exception):
    """An answer lacks a part, or has one of the wrong type; the text says which. Becomes an `UnexpectedResponseError`."""


T = TypeVar("T")


def part(data: Mapping[str, object], key: str, kind: type[T], what: str) -> T:
    """Give a required part of an answer, or raise `MalformedResponse`."""
    value = data.get(key)
    if not isinstance(value, kind):
        raise MalformedResponse(
            f"{what} has no `{key}`" if value is None else f"`{key}` of {what} is not of type {kind.__name__}"
        )
    return value


def _project_id(text: str) -> str:
    """Return a project ID in the form that requests use; some gateways answer with capitals or dashes."""
    return text.strip().lower().replace("-", "")


def _optional_text(data: Mapping[str, object], key: str, what: str) -> str | None:
    return None if data.get(key) in (None, "") else part(data, key, str, what)


def _instant(data: Mapping[str, object], key: str, what: str) -> datetime:
    text = part(data, key, str, what)
    try:
        # Python 3.10 reads neither a Z nor a fraction of other than three or six digits.
        fraction = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6]:0<6}", text, count=1)
        value = datetime.fromisoformat(fraction.replace("Z", "+00:00"))
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        raise MalformedResponse(f"`{key}` of {what} is not a time") from None


def _optional_instant(data: Mapping[str, object], key: str, what: str) -> datetime | None:
    return None if data.get(key) in (None, "") else _instant(data, key, what)


class _Time:
    """A time of an object, whose `__dict__` has ISO 8601 text: Pulumi exports that."""

    def __init__(self, name: str) -> None:
        self._text, self._time = name, f"_{name}"

    def __get__(self, instance: object, owner: type) -> datetime | None:
        if instance is None:
            # The class has no default.
            raise AttributeError(self._text)
        value: datetime | None = vars(instance)[self._time]
        return value

    def __set__(self, instance: object, value: datetime | None) -> None:
        vars(instance)[self._time] = value
        # As in the outputs of resources.
        vars(instance)[self._text] = value.isoformat(timespec="seconds") if value else None


def _with_times(*names: str) -> Callable[[type[T]], type[T]]:
    """Make fields of a dataclass times for programs, and text in exports."""

    def decorate(dataclass_: type[T]) -> type[T]:
        for name in names:
            setattr(dataclass_, name, _Time(name))
        return dataclass_

    return decorate


@_with_times("created_at", "updated_at")
@dataclass(frozen=True)
class Member:
    """One project that a backup is shared with.

    `id` is the share record's own UUID; the member of a path is `dest_project_id` (32 hex digits).
    `status` is ``pending``, ``accepted`` or ``rejected``; `vault_id` and `image_id` are the receiver's. Times are UTC.
    """

    id: str
    status: str
    backup_id: str
    dest_project_id: str
    created_at: datetime
    updated_at: datetime | None = None
    vault_id: str | None = None
    image_id: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Member:
        """Read the service's member object. Raises `MalformedResponse` when a required field is missing."""
        what = "the member"
        return cls(
            id=part(data, "id", str, what),
            status=part(data, "status", str, what),
            backup_id=part(data, "backup_id", str, what).strip().lower(),
            dest_project_id=_project_id(part(data, "dest_project_id", str, what)),
            created_at=_instant(data, "created_at", what),
            updated_at=_optional_instant(data, "updated_at", what),
            vault_id=_optional_text(data, "vault_id", what),
            image_id=_optional_text(data, "image_id", what),
        )


@_with_times("created_at")
@dataclass(frozen=True)
class Backup:
    """One restore point of a server or a disk.

    `resource_type` is such as ``OS::Nova::Server``; `project_id` is the owner's. Times are UTC.
    `encrypted` is what the service says of the disks, and None where it says nothing.
    `members` are the shares that some clouds tell along with the backup.
    """

    id: str
    status: str
    resource_type: str
    resource_id: str
    created_at: datetime
    name: str | None = None
    resource_name: str | None = None
    vault_id: str | None = None
    project_id: str | None = None
    image_type: str | None = None
    encrypted: bool | None = None
    members: tuple[Member, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Backup:
        """Read the service's backup object. Raises `MalformedResponse` when a required field is missing."""
        what = "the backup"
        extend_info = data.get("extend_info")
        encrypted = extend_info.get("encrypted") if isinstance(extend_info, dict) else None
        members = data.get("members")
        return cls(
            id=part(data, "id", str, what),
            status=part(data, "status", str, what),
            resource_type=part(data, "resource_type", str, what),
            resource_id=part(data, "resource_id", str, what),
            created_at=_instant(data, "created_at", what),
            name=_optional_text(data, "name", what),
            resource_name=_optional_text(data, "resource_name", what),
            vault_id=_optional_text(data, "vault_id", what),
            project_id=_optional_text(data, "project_id", what),
            image_type=_optional_text(data, "image_type", what),
            encrypted=encrypted if isinstance(encrypted, bool) else None,
            members=members_of(members) if isinstance(members, list) else (),
        )


def members_of(entries: list[object]) -> tuple[Member, ...]:
    """Read a list of member objects. Raises `MalformedResponse` when an entry is none."""
    for entry in entries:
        if not isinstance(entry, dict):
            raise MalformedResponse("an entry of `members` is not an object")
    return tuple(Member.from_dict(entry) for entry in entries if isinstance(entry, dict))


@dataclass(frozen=True)
class Vault:
    """A vault of a project.

    `object_type` is such as ``server`` or ``disk``, `protect_type` ``backup`` or ``replication``; `size` is in GB.
    """

    id: str
    name: str
    status: str | None = None
    object_type: str | None = None
    protect_type: str | None = None
    size: int | None = None
    project_id: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Vault:
        """Read the service's vault object. Raises `MalformedResponse` when a required field is missing."""
        what = "the vault"
        billing = data.get("billing")
        billing = billing if isinstance(billing, dict) else {}
        size = billing.get("size")
        return cls(
            id=part(data, "id", str, what),
            name=part(data, "name", str, what),
            status=_optional_text(billing, "status", what),
            object_type=_optional_text(billing, "object_type", what),
            protect_type=_optional_text(billing, "protect_type", what),
            size=size if isinstance(size, int) else None,
            project_id=_optional_text(data, "project_id", what),
        )


@dataclass(frozen=True)
class Project:
    """A project that the credentials may sign in to."""

    id: str
    name: str
    domain_id: str | None = None
    enabled: bool = True

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Project:
        """Read the identity service's project object. Raises `MalformedResponse` when a required field is missing."""
        what = "the project"
        return cls(
            id=part(data, "id", str, what),
            name=part(data, "name", str, what),
            domain_id=_optional_text(data, "domain_id", what),
            enabled=data.get("enabled") is not False,
        )
