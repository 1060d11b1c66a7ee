"""Write shares as a table for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pulumi_cbr import messages
from pulumi_cbr.shares.model import STATUSES, Share, clean

#: Letters of a name that are shown at least.
_SHORTEST = 12

#: Columns that a narrow terminal leaves out, in this order.
_DISPENSABLE = ("image_id", "dest_vault", "vault", "server", "age", "backup", "project")

_COLORS = {"accepted": "32", "pending": "33", "rejected": "31", "gone": "35", "unmanaged": "1;31"}

#: First letters of a spreadsheet's formula. Some spreadsheets accept the full-width ones too.
_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")


@dataclass(frozen=True)
class Column:
    """One column: its heading, and its text of a share. Only names are ever cut."""

    heading: str
    text: Callable[[Share, datetime], str]
    is_name: bool = False


def _managers(share: Share) -> str:
    if share.managed_by is None:
        return ""
    return ", ".join(str(manager) for manager in share.managed_by) or "unmanaged"


def _time(value: datetime | None) -> str:
    return value.isoformat(timespec="seconds") if value else ""


COLUMNS: dict[str, Column] = {
    "cloud": Column("CLOUD", lambda share, now: share.cloud or "", is_name=True),
    "backup": Column("BACKUP", lambda share, now: share.backup_name or "", is_name=True),
    "backup_id": Column("BACKUP ID", lambda share, now: share.backup_id),
    "server": Column("SERVER", lambda share, now: share.server_name or share.server_id or "", is_name=True),
    "vault": Column("VAULT", lambda share, now: share.vault_name or share.vault_id or "", is_name=True),
    "project": Column("PROJECT", lambda share, now: share.other_project_name or "", is_name=True),
    "project_id": Column("PROJECT ID", lambda share, now: share.other_project_id or ""),
    "status": Column("STATUS", lambda share, now: share.status),
    "age": Column("AGE", lambda share, now: age(share.shared_at, now)),
    "dest_vault": Column(
        "IN VAULT", lambda share, now: share.dest_vault_name or share.dest_vault_id or "", is_name=True
    ),
    "image_id": Column("IMAGE", lambda share, now: share.image_id or ""),
    "managed_by": Column("MANAGED BY", lambda share, now: _managers(share)),
    "server_id": Column("SERVER ID", lambda share, now: share.server_id or ""),
    "vault_id": Column("VAULT ID", lambda share, now: share.vault_id or ""),
    "dest_vault_id": Column("IN VAULT ID", lambda share, now: share.dest_vault_id or ""),
    "share_id": Column("SHARE ID", lambda share, now: share.share_id or ""),
    "shared_at": Column("SHARED AT", lambda share, now: _time(share.shared_at)),
    "updated_at": Column("UPDATED AT", lambda share, now: _time(share.updated_at)),
    "backup_created_at": Column("BACKUP MADE AT", lambda share, now: _time(share.backup_created_at)),
}

#: What the table shows unless told otherwise; a column that is empty in every row is left out.
DEFAULT_COLUMNS = tuple(COLUMNS)[: tuple(COLUMNS).index("server_id")]


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago a time was, in its largest unit."""
    if since is None:
        return ""
    passed = max(now - since, timedelta())
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if passed >= size:
            return f"{passed // size} {unit}"
    return f"{int(passed.total_seconds())} s"


def table(
    shares: Sequence[Share],
    now: datetime,
    *,
    columns: Sequence[str] | None = None,
    width: int | None = None,
    color: bool = False,
) -> str:
    """Return a table of lines that fit `width` (None: any), as far as names can be cut.

    IDs are always whole.
    """
    names = columns or fitting_columns(shares, now, width)[0]
    cells = _cells(names, shares, now)
    widths = _widths(cells)
    if width is not None:
        _shrink(widths, width)
    lines = ["  ".join(_pad(COLUMNS[name].heading, widths[name]) for name in names).rstrip()]
    for row in range(len(shares)):
        parts = [_cell(name, cells[name][row], widths[name], color=color) for name in names]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines) + "\n"


def fitting_columns(
    shares: Sequence[Share], now: datetime, width: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that fit, and those that a table of this width has no room for.

    Empty columns are in neither.
    """
    cells = {name: texts for name, texts in _cells(DEFAULT_COLUMNS, shares, now).items() if any(texts)}
    shown = {name: min(need, _SHORTEST) if COLUMNS[name].is_name else need for name, need in _widths(cells).items()}
    hidden = []
    for name in _DISPENSABLE:
        if width is None or sum(shown.values()) + 2 * (len(shown) - 1) <= width:
            break
        if shown.pop(name, None):
            hidden.append(name)
    return tuple(shown), tuple(hidden)


def _cells(names: Iterable[str], shares: Sequence[Share], now: datetime) -> dict[str, list[str]]:
    return {name: [clean(COLUMNS[name].text(share, now)) for share in shares] for name in names}


def _widths(cells: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {name: max(_width(text) for text in (COLUMNS[name].heading, *texts)) for name, texts in cells.items()}


def _shrink(widths: dict[str, int], width: int) -> None:
    """Take from the widest names first, until all columns fit or no name can be shorter."""
    while sum(widths.values()) + 2 * (len(widths) - 1) > width:
        names = [name for name in widths if COLUMNS[name].is_name and widths[name] > _SHORTEST]
        if not names:
            return
        widths[max(names, key=lambda name: widths[name])] -= 1


def _cell(name: str, text: str, width: int, *, color: bool) -> str:
    padded = _pad(text, width)
    code = _COLORS.get(text) if color and name in ("status", "managed_by") else None
    return f"\x1b[{code}m{text}\x1b[0m{padded[len(text) :]}" if code else padded


def _pad(text: str, width: int) -> str:
    if _width(text) > width:
        kept = ""
        for letter in text:
            if _width(kept + letter) > width - 1:
                break
            kept += letter
        text = f"{kept}…"
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def summary(shares: Sequence[Share]) -> str:
    """Return how many shares there are, of which status, and how many are unmanaged."""
    counts = Counter(share.status for share in shares)
    text = messages.shares_summary(
        len(shares),
        len({share.backup_id for share in shares}),
        len({share.other_project_id for share in shares}),
        {status: counts[status] for status in STATUSES if counts[status]},
    )
    if all(share.managed_by is None for share in shares):
        return text
    unmanaged = sum(share.known == "unmanaged" for share in shares)
    return text + messages.shares_in_stacks(unmanaged, sum(len(share.managed_by or ()) > 1 for share in shares))


def to_record(share: Share) -> dict[str, object]:
    """Return a share as JSON has it: every field, times as ISO 8601 in UTC."""
    managers = share.managed_by
    return {
        "cloud": share.cloud,
        "received": share.received,
        "backup_id": share.backup_id,
        "backup_name": share.backup_name,
        "backup_created_at": _time(share.backup_created_at) or None,
        "server_id": share.server_id,
        "server_name": share.server_name,
        "vault_id": share.vault_id,
        "vault_name": share.vault_name,
        "source_project_id": share.source_project_id,
        "source_project_name": share.source_project_name,
        "dest_project_id": share.dest_project_id,
        "dest_project_name": share.dest_project_name,
        "status": share.status,
        "share_id": share.share_id,
        "shared_at": _time(share.shared_at) or None,
        "updated_at": _time(share.updated_at) or None,
        "dest_vault_id": share.dest_vault_id,
        "dest_vault_name": share.dest_vault_name,
        "image_id": share.image_id,
        "known": share.known,
        "managed_by": None
        if managers is None
        else [{"stack": manager.stack, "urn": manager.urn} for manager in managers],
    }


def to_json(shares: Iterable[Share]) -> str:
    """Return an object whose `shares` are the records, in ASCII."""
    return json.dumps({"shares": [to_record(share) for share in shares]}, indent=2) + "\n"


def to_csv(shares: Iterable[Share]) -> str:
    """Return one line a share, below a line of headings.

    A text that a spreadsheet would calculate begins with a quote. Every cell is in double quotes, as spreadsheets of
    many countries separate cells by semicolons.
    """
    file = io.StringIO()
    fields = list(to_record(Share("", "", "")))
    writer = csv.DictWriter(file, fields, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for share in shares:
        record = {**to_record(share), "managed_by": " ".join(str(manager) for manager in share.managed_by or ())}
        writer.writerow({name: _csv_cell(value) for name, value in record.items()})
    return file.getvalue()


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    text = clean(value) if isinstance(value, str) else str(value).lower()
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text
