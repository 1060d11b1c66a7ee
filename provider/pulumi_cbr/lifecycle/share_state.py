"""Functions about what a state says of a share, and how that compares with what the service shows: none makes a request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.models import UNKNOWN_TIME

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member

_log = logging.getLogger("pulumi_cbr")

#: Outputs of a share that others can change.
_WATCHED = ("share_id", "status", "vault_id", "image_id")

#: How much older than its request a share or an acceptance may be, because the service's clocks differ.
CLOCK_SLACK = timedelta(seconds=5)

#: A request may still be carried out this long after its client gave up.
_MAX_EXECUTION_DELAY = timedelta(minutes=5)


def describe_shares(members: Iterable[Member], now: datetime) -> list[str]:
    """Return a description of each share, with its age."""
    return [
        messages.share(member.dest_project_id, member.id, member.status, _age(member.created_at, now))
        for member in members
    ]


def _age(since: datetime, now: datetime) -> str | None:
    return None if since == UNKNOWN_TIME else messages.age((now - since).total_seconds())


def is_unverified(known: Mapping[str, Any]) -> bool:
    """Return whether the state has a share that no read has confirmed since its last request.

    After a create, it has no ID: its `created_at` is when the request was sent, its `updated_at` when the client gave up. After a
    delete, it has the ID and no status.
    """
    return "status" not in known if "share_id" in known else "created_at" in known


def to_unverified(known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a share whose delete has an unknown result: the next run looks for it."""
    return {name: known[name] for name in ("share_id", "created_at") if name in known}


def is_foreign(known: Mapping[str, Any], member: Member) -> bool:
    """Return whether a share is not the unverified one of the state.

    It has another ID or, after a create, was created before that request, or long after it.
    """
    if share_id := known.get("share_id"):
        return bool(share_id != member.id)
    sent_at, given_up_at = to_datetime(known.get("created_at")), to_datetime(known.get("updated_at"))
    if sent_at is None or member.created_at < sent_at - CLOCK_SLACK:
        return True
    # Without the service's time there is no upper limit: this machine's clock may be behind.
    return given_up_at is not None and member.created_at > given_up_at + _MAX_EXECUTION_DELAY


def is_replaced(backup_id: str, project: str, known: Mapping[str, Any], member: Member) -> bool:
    """Return whether the project's share is not the one in the state.

    Warns if the IDs differ.
    """
    share_id = known.get("share_id")
    if share_id and share_id != member.id:
        _log.warning("%s", messages.share_replaced(backup_id, project, str(share_id), member.id))
        return True
    if is_unverified(known) and is_foreign(known, member):
        warn_of_foreign(backup_id, project, known, member)
        return True
    return False


def warn_of_foreign(backup_id: str, project: str, known: Mapping[str, Any], member: Member) -> None:
    """Warn that a share is not taken for the unverified one of the state, and stays."""
    if share_id := known.get("share_id"):
        _log.warning("%s", messages.share_not_deleted(backup_id, project, str(share_id), member.id))
        return
    created_at = None if member.created_at == UNKNOWN_TIME else _to_text(member.created_at, None)
    sent_at = known.get("created_at")
    _log.warning("%s", messages.unverified_is_foreign(backup_id, project, member.id, created_at, str(sent_at)))


def warn_of_changes(backup_id: str, project: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Show what others changed of a share: an acceptance as a note, the rest as a warning."""
    changed = [name for name in _WATCHED if "status" in before and before.get(name) != now.get(name)]
    if changed:
        changes = [(name, before.get(name, "none"), now.get(name, "none")) for name in changed]
        is_acceptance = (
            before.get("status") == "pending" and now.get("status") == "accepted" and "share_id" not in changed
        )
        _log.log(logging.INFO if is_acceptance else logging.WARNING, "%s", messages.drift(backup_id, project, changes))


def is_status_worse(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a share was rejected, or is no longer accepted."""
    old, new = before.get("status"), now.get("status")
    return old not in (None, new) and (new == "rejected" or old == "accepted")


def share_outputs(member: Member, before: object = None) -> dict[str, Any]:
    """Return a share's outputs, without those that have no value.

    `before` are its outputs in the state.

    The service returns the same time with or without fractions of a second. So if a time differs from the state's by less than a
    second, the state's text stays.
    """
    olds = before if isinstance(before, Mapping) else {}
    outputs = {
        "share_id": member.id,
        "status": member.status,
        "created_at": olds.get("created_at")
        if member.created_at == UNKNOWN_TIME
        else _to_text(member.created_at, olds.get("created_at")),
        "updated_at": _to_text(member.updated_at, olds.get("updated_at")) if member.updated_at else None,
        "vault_id": member.vault_id,
        "image_id": member.image_id,
    }
    return {name: value for name, value in outputs.items() if value is not None}


def _to_text(value: datetime, before: object) -> str:
    known = to_datetime(before)
    is_same = known is not None and abs(known - value) < timedelta(seconds=1)
    return str(before) if is_same else value.isoformat(timespec="seconds")


def is_before(one: object, other: object) -> bool:
    """Return whether one time of a state is clearly before another; False if one is unknown."""
    first, second = to_datetime(one), to_datetime(other)
    return first is not None and second is not None and second - first > CLOCK_SLACK


def to_datetime(text: object) -> datetime | None:
    """Return a time of a state, or None if it is malformed."""
    try:
        value = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return value.replace(tzinfo=value.tzinfo or timezone.utc) if value else None
