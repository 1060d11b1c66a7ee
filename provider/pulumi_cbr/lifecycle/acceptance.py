"""Wait until the receivers of shares have decided."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.durations import to_seconds
from pulumi_cbr.lifecycle.shares import wait_for_members

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Member
    from pulumi_cbr.lifecycle.session import CloudSession

_log = logging.getLogger("pulumi_cbr")

#: Seconds between two reads. The last one repeats.
_POLL_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)


class NotAcceptedError(CbrError):
    """A share that was not accepted.

    `members` are the shares as they were last read, by their project's ID.
    """

    def __init__(self, text: str, members: Mapping[str, Member]) -> None:
        super().__init__(text)
        self.members = members


def wait_for_acceptance(
    session: CloudSession, backup_id: str, projects: Sequence[str], duration: object
) -> dict[str, Member]:
    """Return the shares once all are accepted. Raises `NotAcceptedError`; no share is changed.

    `duration` is the longest wait, as `to_seconds` reads it. A rejection ends the wait at once, as does a failed read.
    """
    clock = session.client.timing
    seconds = to_seconds(duration)
    end = clock.monotonic() + seconds
    members: dict[str, Member] = {}
    _log.info("%s", messages.waits_for_acceptance(backup_id, projects, seconds))
    for wait in itertools.chain(_POLL_WAITS, itertools.repeat(_POLL_WAITS[-1])):
        try:
            # A new share may not be visible yet.
            members = wait_for_members(session, backup_id, projects)
            problem = _problem(backup_id, projects, members)
            remaining = end - clock.monotonic()
            if not problem and all(member.status == "accepted" for member in members.values()):
                return members
            if not problem and remaining > 0:
                clock.sleep(min(wait, remaining))
                continue
        except CbrError as error:
            # The share exists, so the state must not lose it.
            raise NotAcceptedError(messages.acceptance_unknown(backup_id, str(error)), members) from error
        pending = [project for project in projects if members[project].status != "accepted"] if not problem else []
        raise NotAcceptedError(problem or messages.not_accepted_in_time(backup_id, pending, seconds), members)
    raise AssertionError("the last wait repeats")


def _problem(backup_id: str, projects: Sequence[str], members: Mapping[str, Member]) -> str | None:
    """Return why the shares will not be accepted, or None."""
    if missing := [project for project in projects if project not in members]:
        return messages.share_gone_while_waiting(backup_id, missing)
    if rejected := [project for project in projects if members[project].status == "rejected"]:
        return messages.rejected_while_waiting(backup_id, rejected)
    return None
