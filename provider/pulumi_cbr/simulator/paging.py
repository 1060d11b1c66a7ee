"""Sorting and paging of lists, by the query parameters that both lists of the service take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pulumi_cbr.simulator.errors import Refused

__all__ = ["page", "sort"]


def page(entries: Sequence[dict[str, Any]], query: Mapping[str, str], size: int) -> list[dict[str, Any]]:
    """Give the page that the query asks for.

    ``limit`` is its size, and at most ``size``; ``offset`` what is left out before it, ``marker`` the ``id`` of the last
    entry before it. Raises `Refused` with 9900 for a limit below 1, an offset that is no number, a marker that is not
    there.
    """
    limit = min(_number(query, "limit", size, least=1), size)
    start = _number(query, "offset", 0, least=0)
    marker = query.get("marker")
    if marker:
        identifiers = [entry["id"] for entry in entries]
        if marker not in identifiers:
            raise Refused(9900, "marker is not the ID of an entry.")
        start += identifiers.index(marker) + 1
    return list(entries[start : start + limit])


def sort(entries: Sequence[dict[str, Any]], wanted: str | None, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Sort by ``<key>[:asc|:desc],...``; without a direction, descending. Raises `Refused` with 9900."""
    result = list(entries)
    if not wanted:
        return result
    if len(wanted) > 255:
        raise Refused(9900, "sort has at most 255 characters.")
    for part in reversed(wanted.split(",")):
        key, _, direction = part.strip().partition(":")
        if key not in keys or direction not in ("", "asc", "desc"):
            raise Refused(9900, f"sort is <key>[:asc|:desc], ... with the keys {', '.join(keys)}.")
        result.sort(key=partial(_text, key), reverse=direction != "asc")
    return result


def _number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < least:
        raise Refused(9900, f"{name} must be a number, at least {least}.")
    return int(text)


def _text(key: str, entry: dict[str, Any]) -> str:
    return str(entry.get(key) or "")
