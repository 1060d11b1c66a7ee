"""The forms of IDs. Every ID passes here before it becomes part of a URL."""

from __future__ import annotations

import re

from pulumi_cbr import messages
from pulumi_cbr.api.errors import InvalidId
from pulumi_cbr.api.text import one_line

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECT_ID = re.compile(r"[0-9a-f]{32}")


def uuid(name: str, value: object) -> str:
    """Return a UUID in lower case. Raises `InvalidId`, which has the value and the right form."""
    return _matched(_UUID, name, value, "a UUID with dashes, such as 2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f")


def project_id(name: str, value: object) -> str:
    """Return a project's ID in lower case. Raises `InvalidId`, as `uuid` does."""
    return _matched(_PROJECT_ID, name, value, "a project ID: 32 hex digits without dashes")


def _matched(form: re.Pattern[str], name: str, value: object, expected: str) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    if form.fullmatch(text):
        return text
    raise InvalidId(
        messages.wrong_id(name, expected, None if value is None or value == "" else one_line(repr(value), 80))
    )
