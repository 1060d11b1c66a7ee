"""The names of vaults and projects, as far as the API tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from pulumi_cbr.api import CbrClient, CbrError
from pulumi_cbr.shares.model import Share


@dataclass(frozen=True)
class Names:
    """Names by ID. Both services tell only what is the caller's own."""

    vaults: Mapping[str, str]
    projects: Mapping[str, str]

    def add_to(self, share: Share) -> Share:
        """Return a share with the names that are known."""
        return replace(
            share,
            vault_name=self.vaults.get(share.vault_id or ""),
            dest_vault_name=self.vaults.get(share.dest_vault_id or ""),
            source_project_name=self.projects.get(share.source_project_id or ""),
            dest_project_name=self.projects.get(share.dest_project_id),
        )


def look_up(client: CbrClient, pool: Executor) -> Names:
    """Return the names of the own vaults and projects; none for what may not be listed."""
    vaults = pool.submit(_if_allowed, lambda: {vault.id: vault.name for vault in client.list_vaults()})
    projects = pool.submit(_if_allowed, lambda: {project.id: project.name for project in client.list_projects()})
    return Names(vaults.result(), projects.result())


def merge(all_names: Iterable[Names]) -> Names:
    """Return the names that several projects tell, as one."""
    vaults: dict[str, str] = {}
    projects: dict[str, str] = {}
    for names in all_names:
        vaults.update(names.vaults)
        projects.update(names.projects)
    return Names(vaults, projects)


def _if_allowed(names: Callable[[], dict[str, str]]) -> dict[str, str]:
    try:
        return names()
    except CbrError:
        # They are a convenience: whoever may list shares may not be allowed to list vaults or projects.
        return {}
