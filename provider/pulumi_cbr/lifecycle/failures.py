"""The errors of failed hooks: one line for users, and a file with a bug's traceback."""

from __future__ import annotations

import re
import tempfile
import traceback
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, UnknownOutcomeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_cbr.api.models import Member


class HookError(Exception):
    """A failed hook. The text is for the user, and `cause` is the original error."""

    def __init__(self, text: str, cause: CbrError | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class UnverifiedSharesError(UnknownOutcomeError):
    """A create whose result is unknown: neither its response nor a read tells it.

    `created` are shares that were certainly created, `projects` those that may have been. By the service's time, the request
    was sent at `sent_at`, and its client gave up at `given_up_at`: None if only this machine's time is known.
    """

    def __init__(self, text: str, sent_at: datetime, given_up_at: datetime | None, projects: Iterable[str]) -> None:
        super().__init__(text)
        self.created: dict[str, Member] = {}
        #: The outputs of each share, as far as they are known: one without an ID is unverified.
        known = {"created_at": sent_at, "updated_at": given_up_at}
        times = {name: time.isoformat(timespec="seconds") for name, time in known.items() if time}
        self.unverified: dict[str, dict[str, str]] = {project: dict(times) for project in projects}


class IncompleteResourceError(CbrError):
    """A create or update that failed, and left a resource that the state must not lose.

    The engine keeps `outputs`, and its next run updates the resource.
    """

    def __init__(self, text: str, id_: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.id = id_
        self.inputs = inputs
        self.outputs = outputs

    @property
    def text_if_kept(self) -> str:
        """The text for an engine that keeps the outputs: its next run verifies the shares."""
        if isinstance(self.__cause__, UnverifiedSharesError):
            return str(self).replace(messages.run_again_and_adopt(), messages.run_again_to_verify())
        return str(self)


class UnverifiedCreateError(IncompleteResourceError):
    """A create that was sent, and whose outcome could not be read from the service."""


def save_bug_report(error: Exception) -> str:
    """Write the traceback of a bug in this package to a file; return the message for the user."""
    kind = type(error).__name__
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pulumi-cbr-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as full:
        trace = " ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__))
        return messages.bug_without_file(kind, str(full.strerror), repr(error), trace)
    return messages.bug(kind, file.name)


def is_verbose(arguments: Iterable[str]) -> bool:
    """Return whether a plugin's arguments ask to show every call: ``-v=9`` or more."""
    return any(re.fullmatch(r"-v=(9|[1-9]\d+)", argument) for argument in arguments)
