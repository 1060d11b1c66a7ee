"""What the user is told when a hook fails: one line, and for a bug of ours a file with the traceback."""

from __future__ import annotations

import re
import tempfile
import traceback
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pulumi_cbr.api.errors import CbrError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_cbr.api.models import Member


class HookError(Exception):
    """A failed hook, in the words for its user."""


class UnverifiedCreateError(CbrError):
    """A create whose outcome is unknown: it was sent, and the service could not be asked whether it was carried out.

    `outputs` are what the resource has if it was. A flavour that can keeps them in the state, for its next run to verify.
    """

    def __init__(self, text: str, id_: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.id = id_
        self.inputs = inputs
        self.outputs = outputs


def report(error: Exception) -> str:
    """Keep the traceback of a bug of ours in a file, and give the line for the user."""
    bug = f"this is a bug in pulumi-cbr ({type(error).__name__}), and what it was doing may have been done or not"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pulumi-cbr-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as full:
        trace = " ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__))
        return (
            f"{bug}. No file could be written ({full.strerror}): please report it with this line. {error!r} in {trace}"
        )
    return f"{bug}. Please report it with the file {file.name} (which names backups and projects, but no credentials)"


def is_verbose(arguments: Iterable[str]) -> bool:
    """Tell whether a plugin's arguments, which are the engine's own, ask for every call to be shown: by `-v=9` and more."""
    return any(re.fullmatch(r"-v=(9|[1-9]\d+)", argument) for argument in arguments)


def already_shared(backup_id: str, members: Iterable[Member], now: datetime) -> str:
    """Say which shares were there before, and how to take them over."""
    shares = "; ".join(
        f"with project {member.dest_project_id} (share {member.id}, status {member.status}, made {_age(member, now)})"
        for member in members
    )
    return (
        f"backup {backup_id} is shared already {shares}. To take that over and manage it here, set adopt_existing=True, or for "
        "one run `pulumi config set cbr:adoptExisting true`. Where this stack has it under another name, say so by `aliases`; to "
        "replace it (`--replace`), set delete_before_replace"
    )


def _age(member: Member, now: datetime) -> str:
    seconds = max(0, int((now - member.created_at).total_seconds()))
    count, unit = next(
        ((seconds // size, unit) for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")) if seconds >= size),
        (seconds, "second"),
    )
    return f"{count} {unit}{'' if count == 1 else 's'} ago, at {member.created_at.isoformat(timespec='seconds')}"
