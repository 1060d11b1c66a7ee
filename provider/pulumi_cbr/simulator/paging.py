"""Filters, order and pages of lists, by their query parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pulumi_cbr.simulator.errors import Refused

__all__ = ["filter_equal", "page", "sort"]

T = TypeVar("T")
#: Returns the value that an entry has in a field, None for none.
Read = Callable[[T, str], Any]


def filter_equal(entries: Iterable[T], query: Mapping[str, str], names: Sequence[str], read: Read[T]) -> list[T]:
    """Return the entries that have the values of the query in the fields of these names."""
    wanted = {name: query[name] for name in names if name in query}
    return [entry for entry in entries if all(read(entry, name) == value for name, value in wanted.items())]


def sort(entries: Iterable[T], wanted: str | None, names: Sequence[str], read: Read[T]) -> list[T]:
    """Return the entries sorted by ``<field>[:asc|:desc],...``.

    The default direction is descending. Raises `Refused` with 9900.
    """
    result = list(entries)
    if not wanted:
        return result
    if len(wanted) > 255:
        raise Refused(9900, "sort has at most 255 characters.")
    for part in reversed(wanted.split(",")):
        name, _, direction = part.strip().partition(":")
        if name not in names or direction not in ("", "asc", "desc"):
            raise Refused(9900, f"sort is <key>[:asc|:desc], ... with the keys {', '.join(names)}.")
        result.sort(key=_sort_key(read, name), reverse=direction != "asc")
    return result


def page(entries: Sequence[T], query: Mapping[str, str], size: int, read: Read[T]) -> list[T]:
    """Return the page that the query asks for.

    ``limit`` is its size, at most ``size``. ``offset`` is the number of entries before it; ``marker`` is the ``id`` of
    the last entry before it. Raises `Refused` with 9900 for a limit below 1, an offset that is no number, or an unknown
    marker.
    """
    limit = min(_parse_number(query, "limit", size, least=1), size)
    start = _parse_number(query, "offset", 0, least=0)
    marker = query.get("marker")
    if marker:
        identifiers = [read(entry, "id") for entry in entries]
        if marker not in identifiers:
            raise Refused(9900, "marker is not the ID of an entry.")
        start += identifiers.index(marker) + 1
    return list(entries[start : start + limit])


def _sort_key(read: Read[T], name: str) -> Callable[[T], Any]:
    def key(entry: T) -> Any:
        value = read(entry, name)
        return "" if value is None else value

    return key


def _parse_number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < least:
        raise Refused(9900, f"{name} must be a number, at least {least}.")
    return int(text)
