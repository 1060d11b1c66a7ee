"""Names on the wire are `camelCase`, as in every Pulumi package; in Python they are `snake_case`."""

from __future__ import annotations

import re
from collections.abc import Iterable


def to_camel(name: str) -> str:
    """Return a Python name as it is on the wire."""
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), name)


def to_snake(name: str) -> str:
    """Return a name on the wire as it is in Python."""
    return re.sub(r"[A-Z]", lambda match: f"_{match.group(0).lower()}", name)


def find_closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None."""
    # Not at the top: a program that only declares resources does not wait for it.
    import difflib

    by_letters = {_letters(entry): entry for entry in known}
    found = difflib.get_close_matches(_letters(name), by_letters, n=1, cutoff=0.75)
    return by_letters[found[0]] if found else None


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
