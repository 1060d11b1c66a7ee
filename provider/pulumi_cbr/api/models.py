"""The objects of the service, as frozen dataclasses: fields have the API's names, unknown ones are ignored.

An optional field never makes an object unreadable: if it is missing or odd, it is None or empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeVar

from pulumi_cbr.api.text import clean, one_line

#: Projects that a backup can be shared with, and that one call can add.
MAX_MEMBERS = 10

#: The creation time of an object if the service does not tell it. It is older than any other.
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=timezone.utc)


def to_known_time(time: datetime) -> datetime | None:
    """Return a creation time, or None if the service does not tell it."""
    return None if time == UNKNOWN_TIME else time


_ID = re.compile("[!-~]{1,128}")
_PROJECT_ID = re.compile("[0-9a-f]{32}")
_MAX_TEXT = 255

#: Cleans a text of the service. See `pulumi_cbr.api.redact`.
Clean = Callable[[str], str]


class MalformedResponse(Exception):
    """A response lacks a part, or has one of the wrong type.

    The text says which. It becomes an `UnexpectedResponseError`.
    """


T = TypeVar("T")


def read_value(data: Mapping[str, object], key: str, kind: type[T], what: str) -> T:
    """Return a required part of a response, or raise `MalformedResponse`."""
    value = data.get(key)
    if not isinstance(value, kind):
        raise MalformedResponse(
            f"{what} has no `{key}`" if value is None else f"`{key}` of {what} is not of type {kind.__name__}"
        )
    return value


def read_id(data: Mapping[str, object], key: str, what: str) -> str:
    """Return a required ID: printable ASCII without spaces. Raises `MalformedResponse`."""
    text = read_value(data, key, str, what).strip()
    if not _ID.fullmatch(text):
        raise MalformedResponse(f"`{key}` of {what} is no ID")
    return text


def read_backup_id(data: Mapping[str, object], key: str, what: str) -> str:
    """Return a required ID, a UUID in lower case and with dashes."""
    return _to_uuid(read_id(data, key, what).lower())


def read_project_id(data: Mapping[str, object], key: str, what: str) -> str:
    """Return a required ID, a project's in lower case and without dashes."""
    return _to_project_id(read_id(data, key, what))


def _to_uuid(text: str) -> str:
    """Return a UUID in lower case and with dashes; any other text as it is."""
    plain = text.lower().replace("-", "")
    if not _PROJECT_ID.fullmatch(plain):
        return text
    return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"


def _to_project_id(text: str) -> str:
    """Return a project's ID in lower case and without dashes; any other text as it is."""
    plain = text.lower().replace("-", "")
    return plain if _PROJECT_ID.fullmatch(plain) else text


def _text(data: Mapping[str, object], key: str, clean: Clean) -> str:
    """Return an optional text, empty if there is none."""
    value = data.get(key)
    return _cleaned(value, clean) if isinstance(value, str) else ""


def _cleaned(text: str, clean: Clean) -> str:
    # Cleaning takes seconds for a megabyte. If the first cut divides a secret, the second one most likely removes its rest.
    return clean(text[: 4 * _MAX_TEXT])[:_MAX_TEXT].strip()


def _instant(data: Mapping[str, object], key: str) -> datetime | None:
    """Return an optional time in UTC."""
    text = data.get(key)
    if not isinstance(text, str):
        return None
    try:
        # Python 3.10 reads neither a Z nor a fraction of other than three or six digits.
        fraction = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6]:0<6}", text, count=1)
        value = datetime.fromisoformat(fraction.replace("Z", "+00:00"))
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


class _Time:
    """A descriptor of a time.

    Programs read a datetime. Pulumi exports the ISO 8601 text in `__dict__`.
    """

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
        known = value and to_known_time(value)
        vars(instance)[self._text] = known and known.isoformat(timespec="seconds")


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
    `status` is ``pending``, ``accepted`` or ``rejected``; `vault_id` and `image_id` are the receiver's. Times are UTC;
    `created_at` is `UNKNOWN_TIME` if the service does not tell it.
    """

    id: str
    status: str
    backup_id: str
    dest_project_id: str
    created_at: datetime = UNKNOWN_TIME
    updated_at: datetime | None = None
    vault_id: str | None = None
    image_id: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, object], clean: Clean = clean) -> Member:
        """Read the service's member object.

        Raises `MalformedResponse` if an ID or the status is missing.
        """
        what = "the member"
        return cls(
            id=read_id(data, "id", what),
            status=one_line(_cleaned(read_value(data, "status", str, what), clean), 40),
            backup_id=read_backup_id(data, "backup_id", what),
            dest_project_id=read_project_id(data, "dest_project_id", what),
            created_at=_instant(data, "created_at") or UNKNOWN_TIME,
            updated_at=_instant(data, "updated_at"),
            vault_id=_to_uuid(_text(data, "vault_id", clean)) or None,
            image_id=_text(data, "image_id", clean) or None,
        )


@_with_times("created_at")
@dataclass(frozen=True)
class Backup:
    """One restore point of a server or a disk.

    `resource_type` is such as ``OS::Nova::Server``; `project_id` is the owner's. Times are UTC; `created_at` is
    `UNKNOWN_TIME` if the service does not tell it. `encrypted` is what the service says of the disks, and None if it says nothing.
    `members` are the shares that some clouds tell along with the backup.
    """

    id: str
    status: str
    resource_type: str
    resource_id: str
    created_at: datetime = UNKNOWN_TIME
    name: str | None = None
    resource_name: str | None = None
    vault_id: str | None = None
    project_id: str | None = None
    image_type: str | None = None
    encrypted: bool | None = None
    members: tuple[Member, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, object], clean: Clean = clean) -> Backup:
        """Read the service's backup object. Raises `MalformedResponse` if its ID is missing."""
        extend_info = data.get("extend_info")
        encrypted = extend_info.get("encrypted") if isinstance(extend_info, dict) else None
        return cls(
            id=read_backup_id(data, "id", "the backup"),
            status=_text(data, "status", clean),
            resource_type=_text(data, "resource_type", clean),
            resource_id=_text(data, "resource_id", clean),
            created_at=_instant(data, "created_at") or UNKNOWN_TIME,
            name=_text(data, "name", clean) or None,
            resource_name=_text(data, "resource_name", clean) or None,
            vault_id=_to_uuid(_text(data, "vault_id", clean)) or None,
            project_id=_to_project_id(_text(data, "project_id", clean)) or None,
            image_type=_text(data, "image_type", clean) or None,
            encrypted=encrypted if isinstance(encrypted, bool) else None,
            members=_readable_members(data.get("members"), clean),
        )


class AddedMembers(tuple[Member, ...]):
    """The shares in the response to a call that adds members."""

    #: When the call was sent that was answered, by the client's clock.
    sent_at: float = 0.0


def members_of(entries: list[object], clean: Clean = clean) -> tuple[Member, ...]:
    """Read a list of member objects. Raises `MalformedResponse` if an entry is not one."""
    for entry in entries:
        if not isinstance(entry, dict):
            raise MalformedResponse("an entry of `members` is not an object")
    return tuple(Member.from_dict(entry, clean) for entry in entries if isinstance(entry, dict))


def _readable_members(entries: object, clean: Clean) -> tuple[Member, ...]:
    members: list[Member] = []
    for entry in entries if isinstance(entries, list) else ():
        try:
            members += members_of([entry], clean)
        except MalformedResponse:
            continue
    return tuple(members)


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
    def from_dict(cls, data: Mapping[str, object], clean: Clean = clean) -> Vault:
        """Read the service's vault object.

        Raises `MalformedResponse` if its ID or name is missing.
        """
        what = "the vault"
        billing = data.get("billing")
        billing = billing if isinstance(billing, dict) else {}
        size = billing.get("size")
        return cls(
            id=read_id(data, "id", what),
            name=_cleaned(read_value(data, "name", str, what), clean),
            status=_text(billing, "status", clean) or None,
            object_type=_text(billing, "object_type", clean) or None,
            protect_type=_text(billing, "protect_type", clean) or None,
            size=size if isinstance(size, int) else None,
            project_id=_text(data, "project_id", clean) or None,
        )


@dataclass(frozen=True)
class Project:
    """A project that the credentials may sign in to."""

    id: str
    name: str
    domain_id: str | None = None
    enabled: bool = True

    @classmethod
    def from_dict(cls, data: Mapping[str, object], clean: Clean = clean) -> Project:
        """Read the identity service's project object.

        Raises `MalformedResponse` if its ID or name is missing.
        """
        what = "the project"
        return cls(
            id=read_id(data, "id", what),
            name=_cleaned(read_value(data, "name", str, what), clean),
            domain_id=_text(data, "domain_id", clean) or None,
            enabled=data.get("enabled") is not False,
        )
