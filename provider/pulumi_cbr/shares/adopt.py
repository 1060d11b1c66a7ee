"""Write what brings shares under management: an import file, or a program with `adopt_existing`."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pulumi_cbr import messages
from pulumi_cbr.api import CbrError
from pulumi_cbr.shares.model import Share, clean

_MODULES = {"dynamic": "pulumi_cbr", "native": "pulumi_cbr.native"}


@dataclass(frozen=True)
class Adoptable:
    """Shares that can be adopted, and how many cannot, by reason."""

    shares: tuple[Share, ...]
    left_out: Mapping[str, int]


def adoptable(shares: Iterable[Share], *, needs_vault: bool) -> Adoptable:
    """Return the shares that no stack manages; of received ones, the accepted.

    `needs_vault` leaves out those whose vault is not known.
    """
    found, left_out = [], Counter[str]()
    for share in shares:
        if share.managed_by:
            left_out[messages.LEFT_OUT_MANAGED] += 1
        elif share.received and share.status != "accepted":
            left_out[messages.LEFT_OUT_NOT_ACCEPTED] += 1
        elif share.received and needs_vault and not share.dest_vault_id:
            left_out[messages.LEFT_OUT_NO_VAULT] += 1
        else:
            found.append(share)
    return Adoptable(tuple(found), left_out)


def import_file(shares: Sequence[Share], everything: Iterable[Share], *, as_sets: bool) -> str:
    """Return the file for ``pulumi import --file``.

    Raises `CbrError` for shares of several clouds. An import of a set takes over every share of its backup, so a set
    is written only if `everything` has no other share of that backup.
    """
    if len({share.cloud for share in shares}) > 1:
        raise CbrError(messages.import_of_several_clouds())
    names = resource_names(shares)
    total = Counter(share.backup_id for share in everything if not share.received and share.status != "gone")
    sets = defaultdict(list)
    for share in shares:
        sets[share.backup_id].append(share)
    resources = []
    for backup_id, members in sets.items():
        if as_sets and not members[0].received and len(members) == total[backup_id]:
            resources.append({"type": "cbr:index:BackupShare", "name": _set_name(members[0]), "id": backup_id})
            continue
        for share in members:
            kind = "BackupShareAccepter" if share.received else "BackupShareMember"
            resource_id = f"{share.backup_id}/{share.dest_project_id}"
            resources.append({"type": f"cbr:index:{kind}", "name": names[share.pair], "id": resource_id})
    return json.dumps({"resources": resources}, indent=2) + "\n"


def program(shares: Sequence[Share], *, flavor: str, as_sets: bool) -> str:
    """Return a program that declares these shares, and adopts them when it first runs."""
    received = [share for share in shares if share.received]
    own = [share for share in shares if not share.received]
    parts = [
        '"""Shares that existed already. The first `pulumi up` adopts them; it changes none."""\n',
        f"import {_MODULES[flavor]} as cbr\n",
    ]
    names = resource_names(shares)
    if own:
        parts.append(_sets(own) if as_sets else _members(own, names))
    if received:
        parts.append(_accepters(received, names))
    return "\n".join(parts)


def resource_names(shares: Iterable[Share]) -> dict[tuple[str, str], str]:
    """Return a name for each share's resource: the server's, and parts of the IDs."""
    shares = list(shares)
    short = {share.pair: _name(share, share.backup_id[:8], share.dest_project_id[:8]) for share in shares}
    counts = Counter(short.values())
    return {
        share.pair: short[share.pair]
        if counts[short[share.pair]] == 1
        else _name(share, share.backup_id, share.dest_project_id)
        for share in shares
    }


def _name(share: Share, *parts: str) -> str:
    # Names become parts of URNs and, in programs that the engine writes, of variables.
    server = re.sub(r"[^a-z0-9]+", "-", (share.server_name or "").lower()).strip("-")[:40] or "backup"
    return "-".join([server if server[0].isalpha() else f"server-{server}", *parts])


def _set_name(share: Share) -> str:
    return _name(share, share.backup_id)


def _sets(shares: Sequence[Share]) -> str:
    sets: dict[tuple[str | None, str], list[Share]] = defaultdict(list)
    for share in shares:
        sets[share.cloud, share.backup_id].append(share)
    rows = []
    for (cloud, backup_id), members in sets.items():
        projects = ", ".join(_literal(share.dest_project_id) for share in members)
        comment = _comment(members[0], with_project=False)
        rows.append(_Row(comment, _set_name(members[0]), cloud, (_literal(backup_id), f"[{projects}]")))
    return _declare("SETS", "BackupShare", ("backup_id", "dest_project_ids"), rows, ("str", "list[str]"), adopt=True)


def _members(shares: Sequence[Share], names: Mapping[tuple[str, str], str]) -> str:
    rows = [
        _Row(
            _comment(share),
            names[share.pair],
            share.cloud,
            (_literal(share.backup_id), _literal(share.dest_project_id)),
        )
        for share in shares
    ]
    columns = ("backup_id", "dest_project_id")
    return _declare("SHARES", "BackupShareMember", columns, rows, ("str", "str"), adopt=True)


def _accepters(shares: Sequence[Share], names: Mapping[tuple[str, str], str]) -> str:
    rows = [
        _Row(
            _comment(share), names[share.pair], share.cloud, (_literal(share.backup_id), _literal(share.dest_vault_id))
        )
        for share in shares
    ]
    return _declare("ACCEPTED", "BackupShareAccepter", ("backup_id", "vault_id"), rows, ("str", "str"), adopt=False)


@dataclass(frozen=True)
class _Row:
    """One resource of a table in the program: `values` are literals."""

    comment: str
    name: str
    cloud: str | None
    values: tuple[str, str]


def _declare(
    table: str, resource: str, columns: tuple[str, str], rows: Sequence[_Row], types: tuple[str, str], *, adopt: bool
) -> str:
    """Return a table of resources, and the loop that declares them."""
    with_cloud = any(row.cloud for row in rows)
    variables = ", ".join(("name", *columns, *(("cloud",) if with_cloud else ())))
    kinds = ", ".join(("str", *types, *(("str",) if with_cloud else ())))
    lines = [f"# {variables}", f"{table}: list[tuple[{kinds}]] = ["]
    for row in rows:
        values = [_literal(row.name), *row.values, *((_literal(row.cloud),) if with_cloud else ())]
        lines += [f"    # {row.comment}", f"    ({', '.join(values)}),"]
    options = (", cloud=cloud" if with_cloud else "") + (", adopt_existing=True" if adopt else "")
    call = f"cbr.{resource}(name, {', '.join(columns)}{options})"
    return "\n".join([*lines, "]", "", f"for {variables} in {table}:", f"    {call}", ""])


def _literal(value: str | None) -> str:
    return json.dumps(value) if value is not None and value.isascii() else ascii(value)


def _comment(share: Share, *, with_project: bool = True) -> str:
    """Return words for a share that cannot end the comment they are in."""
    words = [share.backup_name or "a backup", "of", share.server_name or share.server_id or "an unknown server"]
    if with_project and share.other_project_name:
        words += ["from" if share.received else "with", share.other_project_name]
    return clean(" ".join(words))[:100]
