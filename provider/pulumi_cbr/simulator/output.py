"""Output of the commands: JSON for programs, tables for terminals."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pulumi_cbr.simulator.admin_client import AdminError

#: Fields that the admin routes give in epoch seconds.
_TIMES = ("created_at", "updated_at", "now")

__all__ = ["clean", "print_json", "print_table", "wants_json", "with_readable_times"]


def wants_json(is_requested: bool) -> bool:
    """Return whether to print JSON: on request, or if standard output is no terminal."""
    return is_requested or not sys.stdout.isatty()


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document."""
    print(json.dumps(with_readable_times(document), indent=2))


def with_readable_times(document: Any) -> Any:
    """Return a JSON document whose times are ISO 8601 text in place of epoch seconds."""
    if isinstance(document, list):
        return [with_readable_times(entry) for entry in document]
    if not isinstance(document, Mapping):
        return document
    return {
        name: datetime.fromtimestamp(value, timezone.utc).isoformat(timespec="seconds")
        if name in _TIMES and isinstance(value, float)
        else with_readable_times(value)
        for name, value in document.items()
    }


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for a terminal. Raises `AdminError` if rich is not installed."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError as error:
        raise AdminError("tables need rich: install pulumi-cbr[simulator], or use --json") from error
    if not rows:
        print(f"{title}: none")
        return
    # Narrow enough for an ID in one piece on a terminal of 80 columns.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Bare text would be read as markup, and a path may have brackets.
        table.add_row(*(Text(clean(cell)) for cell in row))
    Console().print(table)


def clean(text: str) -> str:
    """Return text without characters that a terminal obeys."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
