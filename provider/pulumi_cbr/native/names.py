"""Names on the wire are `camelCase`, as in every Pulumi package; in Python they are `snake_case`."""

from __future__ import annotations

import re


def camel(name: str) -> str:
    """Give a Python name as it is on the wire."""
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), name)


def snake(name: str) -> str:
    """Give a name on the wire as it is in Python."""
    return re.sub(r"[A-Z]", lambda match: f"_{match.group(0).lower()}", name)
