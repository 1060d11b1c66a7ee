"""The rules of look-ups that both flavors share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.inputs import format_value

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient
    from pulumi_cbr.api.models import Vault


def check_order(sort: object, newest_first: bool, limit: object) -> None:
    """Refuse what `get_backups` cannot follow, in every flavor. Raises `CbrError`."""
    if sort and newest_first:
        raise CbrError(messages.sort_given_twice())
    # Numbers among the outputs of resources are floats.
    if limit is not None and not (isinstance(limit, (int, float)) and limit >= 0 and float(limit).is_integer()):
        raise CbrError(messages.wrong_limit(format_value(limit)))


def find_vault(client: CbrClient, vault_id: str | None, name: str | None) -> Vault:
    """Return one vault by its ID or its name, in every flavor. Raises `CbrError`."""
    if (vault_id is None) == (name is None):
        raise CbrError(messages.vault_needs_id_or_name())
    if vault_id is not None:
        return client.show_vault(vault_id)
    # The service may find parts of names.
    found = [vault for vault in client.list_vaults(name=name) if vault.name == name]
    if len(found) != 1:
        raise CbrError(messages.no_single_vault(str(name), [vault.id for vault in found]))
    return found[0]
