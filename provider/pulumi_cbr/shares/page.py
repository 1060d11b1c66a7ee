"""Draw shares as one page that needs nothing else: a map of backups and projects, and the table below it.

The map and the table are plain HTML, so the page can be read and printed without its script. The script only filters.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from pulumi_cbr import messages
from pulumi_cbr.shares.formats import age
from pulumi_cbr.shares.model import STATUSES, Share, clean

_UNKNOWN = "unknown"


def page(shares: Sequence[Share], now: datetime) -> str:
    """Return the page, with every value escaped.

    A policy in it forbids all that is not its own style and script.
    """
    style, script = (files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    received = any(share.received for share in shares)
    number = messages.share_count(len(shares))
    title = "What is shared with us?" if received else "Who can see our backups?"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="meta">{_owners(shares)}<time datetime="{now.isoformat()}">{now:%Y-%m-%d %H:%M} UTC</time></p>
</header>
<main>
{_tiles(shares)}
{_filters(shares)}
<section class="card" aria-labelledby="map-title">
<div class="bar"><h2 id="map-title">Map</h2>{_legend(shares)}</div>
{_map(shares)}
<p class="empty" id="empty" {"hidden" if shares else ""}>No share matches.</p>
</section>
<section class="card" aria-labelledby="list-title">
<div class="bar"><h2 id="list-title">Shares</h2><span id="count" role="status" class="meta">{number}</span></div>
{_list(shares, now)}
</section>
<aside class="detail" id="detail" aria-label="The selected share" aria-live="polite" hidden>
<div class="bar"><h2>Share</h2><span><button type="button" class="plain" id="to-row">Show in table</button>
<button type="button" class="plain" id="close" aria-label="Close">✕</button></span></div><dl></dl>
</aside>
</main>
<script>{script}</script>
</body>
</html>
"""


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _e(value: object) -> str:
    """Return a value as text of HTML or of an attribute, without anything that is invisible."""
    return escape(clean(str(value)))


def _short(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:45]}…"


def _server(share: Share) -> str:
    return share.server_id or share.server_name or _UNKNOWN


def _vault(share: Share) -> str:
    return share.vault_id or share.vault_name or _UNKNOWN


def _project(share: Share) -> str:
    return share.other_project_id or _UNKNOWN


def _server_label(share: Share) -> str:
    return share.server_name or share.server_id or "unknown server"


def _vault_label(share: Share) -> str:
    return share.vault_name or share.vault_id or "unknown vault"


def _project_label(share: Share) -> str:
    return share.other_project_name or share.other_project_id or "unknown project"


def _owners(shares: Iterable[Share]) -> str:
    own = {
        (share.dest_project_id, share.dest_project_name)
        if share.received
        else (share.source_project_id or _UNKNOWN, share.source_project_name)
        for share in shares
    }
    words = [f"{name} ({project})" if name else project for project, name in sorted(own, key=str)]
    return f"Project {_e(', '.join(words))} · " if words else ""


def _tiles(shares: Sequence[Share]) -> str:
    counts = Counter(share.status for share in shares)
    tiles = [("", "All shares", len(shares), "")]
    tiles += [(s, s.capitalize(), counts[s], f"dot {s}") for s in STATUSES if counts[s] or s != "gone"]
    if any(share.known for share in shares):
        unmanaged = sum(share.known == "unmanaged" for share in shares)
        tiles.append(("unmanaged", "Unmanaged", unmanaged, "dot other unmanaged"))
    entries = [
        f'<li><button type="button" class="tile" data-tile="{value}" aria-pressed="false"><b>{count}</b>'
        f'<span class="name">{_mark(mark)}{name}</span></button></li>'
        for value, name, count, mark in tiles
    ]
    return f'<ul class="tiles" aria-label="Filter by status">{"".join(entries)}</ul>'


def _mark(classes: str) -> str:
    return f'<span class="{classes}" aria-hidden="true"></span>' if classes else ""


def _filters(shares: Sequence[Share]) -> str:
    choices = (
        ("project", "Project", {_project(share): _project_label(share) for share in shares}),
        ("server", "Server", {_server(share): _server_label(share) for share in shares}),
        ("vault", "Vault", {_vault(share): _vault_label(share) for share in shares}),
    )
    selects = ""
    for name, label, values in choices:
        options = "".join(
            f'<option value="{_e(value)}">{_e(_short(text))}</option>'
            for value, text in sorted(values.items(), key=lambda entry: entry[1].lower())
        )
        selects += f'<label>{label}<select name="{name}"><option value="">All</option>{options}</select></label>'
    return (
        '<div class="filters needs-js" role="search"><label class="search">Search'
        '<input type="search" id="search" placeholder="name or ID (press /)" autocomplete="off"></label>'
        f'{selects}<button type="button" class="plain" id="reset">Reset</button></div>'
    )


def _legend(shares: Sequence[Share]) -> str:
    entries = [(f"dot {status}", status) for status in STATUSES]
    if any(share.known for share in shares):
        entries.append(("dot other unmanaged", "in no stack"))
    return f'<ul class="legend">{"".join(f"<li>{_mark(mark)}{name}</li>" for mark, name in entries)}</ul>'


def _map(shares: Sequence[Share]) -> str:
    """Return a table: rows of servers by vault, columns of projects, a square a share."""
    projects = {_project(share): _project_label(share) for share in shares}
    columns = sorted(projects, key=lambda project: projects[project].lower())
    heads = "".join(
        f'<th scope="col" data-c="{number}" title="{_e(project)}">{_pick("project", project, projects[project])}</th>'
        for number, project in enumerate(columns)
    )
    vaults: dict[tuple[str, str, str], dict[tuple[str, str], dict[str, list[int]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for index, share in enumerate(shares):
        vault = (share.cloud or "", _vault_label(share), _vault(share))
        vaults[vault][_server_label(share), _server(share)][_project(share)].append(index)
    bodies = ""
    for (cloud, label, vault_id), servers in sorted(vaults.items()):
        name = f"{cloud}: {label}" if cloud else label
        bodies += (
            f'<tbody><tr class="vault"><th scope="rowgroup" title="{_e(vault_id)}">'
            f'{_pick("vault", vault_id, name)}</th><td colspan="{len(columns)}"></td></tr>'
        )
        for (server, server_id), cells in sorted(servers.items()):
            bodies += (
                f'<tr class="server"><th scope="row" title="{_e(server_id)}">{_pick("server", server_id, server)}</th>'
            )
            for number, project in enumerate(columns):
                dots = "".join(_dot(index, shares[index]) for index in cells.get(project, ()))
                bodies += f'<td data-c="{number}">{f"<div class=dots>{dots}</div>" if dots else ""}</td>'
            bodies += "</tr>"
        bodies += "</tbody>"
    return (
        '<div class="scroll map-scroll"><table class="map"><caption>Servers by vault, and the projects that see their '
        "backups: each square is a share. Arrow keys move, Enter shows it.</caption>"
        f'<thead><tr><th scope="col">Server</th>{heads}</tr></thead>{bodies}</table></div>'
    )


def _pick(name: str, value: str, label: str) -> str:
    kind = "pick id" if label == value else "pick"
    return (
        f'<button type="button" class="{kind}" data-name="{name}" data-value="{_e(value)}">{_e(_short(label))}</button>'
    )


def _classes(share: Share) -> str:
    status = share.status if share.status in STATUSES else "other"
    return f"dot {status}{' unmanaged' if share.known == 'unmanaged' else ''}"


def _dot(index: int, share: Share) -> str:
    words = f"{share.backup_name or share.backup_id}, {_project_label(share)}: {share.status}"
    words += f", {share.known}" if share.known else ""
    return (
        f'<button type="button" class="{_classes(share)}" data-i="{index}" tabindex="-1" '
        f'aria-label="{_e(words)}" title="{_e(words)}"></button>'
    )


_COLUMNS = ("Backup", "Server", "Vault", "Project", "Status", "Age", "In vault", "Image", "Managed by")


def _list(shares: Sequence[Share], now: datetime) -> str:
    heads = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in _COLUMNS)
    rows = "".join(_row(index, share, now) for index, share in enumerate(shares))
    return (
        '<div class="scroll list-scroll"><table class="list" id="list"><caption>All shares</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(index: int, share: Share, now: datetime) -> str:
    since = share.shared_at
    status = f'<span class="state">{_mark(_classes(share))}{_e(share.status)}</span>'
    values = (
        (share.backup_name or share.backup_id, _named(share.backup_name, share.backup_id)),
        (_server_label(share), _named(share.server_name, share.server_id)),
        (_vault_label(share), _named(share.vault_name, share.vault_id)),
        (_project_label(share), _named(share.other_project_name, share.other_project_id)),
        (share.status, status),
        # Padded, so that it sorts as a number does; the oldest last.
        (f"{(now - since).total_seconds():015.0f}" if since else "", _e(age(since, now))),
        (share.dest_vault_name or share.dest_vault_id or "", _named(share.dest_vault_name, share.dest_vault_id)),
        (share.image_id or "", _named(None, share.image_id)),
        (share.known or "", _managers(share)),
    )
    cells = "".join(
        f'<td data-label="{label}" data-v="{_e(key)}">{f"<div>{html}</div>" if html else ""}</td>'
        for label, (key, html) in zip(_COLUMNS, values, strict=True)
    )
    return (
        f'<tr data-i="{index}" data-status="{_e(share.status)}" data-known="{share.known or ""}" '
        f'data-project="{_e(_project(share))}" data-server="{_e(_server(share))}" data-vault="{_e(_vault(share))}">{cells}</tr>'
    )


def _named(name: str | None, id_: str | None) -> str:
    shown = _e(name) if name else ""
    return f'{shown}<span class="id">{_e(id_)}</span>' if id_ else shown


def _managers(share: Share) -> str:
    if share.managed_by is None:
        return ""
    if not share.managed_by:
        return '<span class="badge unmanaged">unmanaged</span>'
    return ", ".join(_e(manager) for manager in share.managed_by)
