"""What the user is told when a hook fails: one line, and for a bug of ours a file with the traceback."""

from __future__ import annotations

import tempfile
import traceback


class Refused(Exception):
    """A failed hook, in the words for its user."""


def report(error: Exception) -> str:
    """Keep the traceback of a bug of ours in a file, and give the line for the user."""
    bug = f"this is a bug in pulumi-cbr ({type(error).__name__}), and what it was doing may have been done or not"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pulumi-cbr-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as full:
        trace = " ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__))
        return (
            f"{bug}. No file could be written ({full.strerror}): please report it with this line. {error!r} in {trace}"
        )
    return f"{bug}. Please report it with the file {file.name} (which names backups and projects, but no credentials)"
