"""Looking up backups, shares, vaults and projects from a program, with the same settings as the resources.

Plain functions call the service from the program's own process, in previews too; the ``…_output`` forms take Outputs.
Calls: ``GET /backups/{backup_id}``, ``GET /backups``, ``GET /backups/{backup_id}/members``, ``GET /vaults``,
``GET /vaults/{vault_id}``, and ``GET /v3/auth/projects`` of the identity service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import pulumi

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.models import Backup, Member, Project, Vault
from pulumi_cbr.lifecycle.queries import check_order, find_vault
from pulumi_cbr.lifecycle.session import CloudSession, SessionPool

T = TypeVar("T")


def get_backup(backup_id: str, *, cloud: str | None = None) -> Backup:
    """Look up one backup: ``GET /backups/{backup_id}``.

    :param backup_id: A UUID with dashes.
    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why; its cause is the client's error.
    """
    with _clean():
        return _account(cloud).client.show_backup(backup_id)


def get_backups(
    *,
    name: str | None = None,
    resource_id: str | None = None,
    resource_name: str | None = None,
    resource_type: str | None = None,
    status: str | None = None,
    vault_id: str | None = None,
    image_type: str | None = None,
    own_type: str | None = None,
    member_status: str | None = None,
    start_time: str | None = None,
    end_time: str | None = None,
    sort: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
    cloud: str | None = None,
) -> Iterator[Backup]:
    """Look up backups, page by page as they are asked for: ``GET /backups``.

    All that is given must fit: a backup's `name`, `status` (such as ``available``), `vault_id`, `image_type` (``backup`` or
    ``replication``), the server or disk by `resource_id`, `resource_name`, `resource_type` (such as ``OS::Nova::Server``),
    and when it was made, from `start_time` to `end_time` (``2026-01-31T00:00:00Z``).

    :param own_type: ``private`` (the own ones), ``shared`` (by others with this project) or ``all_granted``.
    :param member_status: Of what is shared with this project: ``pending``, ``accepted`` or ``rejected``.
    :param sort: The API's own, such as ``name:asc``.
    :param newest_first: The same as the sort ``created_at:desc``.
    :param limit: Stop after so many.
    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why, when the first backup or a further page is asked for.
    """
    with _clean():
        check_order(sort, newest_first, limit)
    filters = {
        "name": name,
        "resource_id": resource_id,
        "resource_name": resource_name,
        "resource_type": resource_type,
        "status": status,
        "vault_id": vault_id,
        "image_type": image_type,
        "own_type": own_type,
        "member_status": member_status,
        "start_time": start_time,
        "end_time": end_time,
        "sort": "created_at:desc" if newest_first else sort,
    }
    most = None if limit is None else int(limit)
    given = {key: value for key, value in filters.items() if value is not None}

    def pages() -> Iterator[Backup]:
        with _clean():
            yield from islice(_account(cloud).client.list_backups(**given), most)

    return pages()


def get_backup_share_members(backup_id: str, *, cloud: str | None = None) -> tuple[Member, ...]:
    """Look up who a backup is shared with: ``GET /backups/{backup_id}/members``.

    :param backup_id: A UUID with dashes.
    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why; its cause is the client's error.
    """
    with _clean():
        return _account(cloud).client.list_members(backup_id)


def get_vaults(
    *,
    name: str | None = None,
    object_type: str | None = None,
    protect_type: str | None = None,
    status: str | None = None,
    cloud: str | None = None,
) -> tuple[Vault, ...]:
    """Look up the project's own vaults: ``GET /vaults``.

    All that is given must fit: the `name`, the `object_type` (such as ``server`` or ``disk``), the `protect_type`
    (``backup`` or ``replication``) and the `status` (such as ``available``).

    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why; its cause is the client's error.
    """
    filters = {"name": name, "object_type": object_type, "protect_type": protect_type, "status": status}
    with _clean():
        return tuple(_account(cloud).client.list_vaults(**filters))


def get_vault(vault_id: str | None = None, *, name: str | None = None, cloud: str | None = None) -> Vault:
    """Look up one vault by ID (``GET /vaults/{vault_id}``) or by name (``GET /vaults``).

    :param vault_id: A UUID with dashes.
    :param name: Its name, which no other vault of the project has.
    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why; its cause is the client's error.
    """
    with _clean():
        return find_vault(_account(cloud).client, vault_id, name)


def get_projects(*, name: str | None = None, cloud: str | None = None) -> tuple[Project, ...]:
    """Look up the projects that the credentials may sign in to: ``GET /v3/auth/projects``.

    :param name: Only those of this name.
    :param cloud: The entry of clouds.yaml to sign in with; the stack's settings without it.
    :raises pulumi.RunError: with one line that says why; its cause is the client's error.
    """
    with _clean():
        projects = _account(cloud).client.list_projects()
        return tuple(project for project in projects if name in (None, project.name))


def get_backup_output(backup_id: pulumi.Input[str], *, cloud: pulumi.Input[str] | None = None) -> pulumi.Output[Backup]:
    """Look up one backup, by values that may be outputs of resources."""
    return _applied(get_backup, {"backup_id": backup_id, "cloud": cloud})


def get_backups_output(
    *,
    name: pulumi.Input[str] | None = None,
    resource_id: pulumi.Input[str] | None = None,
    resource_name: pulumi.Input[str] | None = None,
    resource_type: pulumi.Input[str] | None = None,
    status: pulumi.Input[str] | None = None,
    vault_id: pulumi.Input[str] | None = None,
    image_type: pulumi.Input[str] | None = None,
    own_type: pulumi.Input[str] | None = None,
    member_status: pulumi.Input[str] | None = None,
    start_time: pulumi.Input[str] | None = None,
    end_time: pulumi.Input[str] | None = None,
    sort: pulumi.Input[str] | None = None,
    newest_first: pulumi.Input[bool] = False,
    limit: pulumi.Input[int] | None = None,
    cloud: pulumi.Input[str] | None = None,
) -> pulumi.Output[Sequence[Backup]]:
    """Look up all backups up to `limit`, by values that may be outputs of resources."""
    given = {**locals()}

    def listed(**known: Any) -> Sequence[Backup]:
        return list(get_backups(**known))

    return _applied(listed, given)


def get_backup_share_members_output(
    backup_id: pulumi.Input[str], *, cloud: pulumi.Input[str] | None = None
) -> pulumi.Output[Sequence[Member]]:
    """Look up a backup's members, by values that may be outputs of resources."""
    return _applied(get_backup_share_members, {"backup_id": backup_id, "cloud": cloud})


def get_vaults_output(
    *,
    name: pulumi.Input[str] | None = None,
    object_type: pulumi.Input[str] | None = None,
    protect_type: pulumi.Input[str] | None = None,
    status: pulumi.Input[str] | None = None,
    cloud: pulumi.Input[str] | None = None,
) -> pulumi.Output[Sequence[Vault]]:
    """Look up vaults, by values that may be outputs of resources."""
    return _applied(get_vaults, {**locals()})


def get_vault_output(
    vault_id: pulumi.Input[str] | None = None,
    *,
    name: pulumi.Input[str] | None = None,
    cloud: pulumi.Input[str] | None = None,
) -> pulumi.Output[Vault]:
    """Look up one vault, by values that may be outputs of resources."""
    return _applied(get_vault, {"vault_id": vault_id, "name": name, "cloud": cloud})


def get_projects_output(
    *, name: pulumi.Input[str] | None = None, cloud: pulumi.Input[str] | None = None
) -> pulumi.Output[Sequence[Project]]:
    """Look up projects, by values that may be outputs of resources."""
    return _applied(get_projects, {"name": name, "cloud": cloud})


def _applied(look_up: Callable[..., T], given: dict[str, Any]) -> pulumi.Output[T]:
    return pulumi.Output.all(**given).apply(lambda known: look_up(**known))


def _account(cloud: str | None) -> CloudSession:
    return SessionPool(pulumi.Config("cbr").get).get(cloud)


@contextmanager
def _clean() -> Iterator[None]:
    """Raise a `CbrError` as a RunError, of which the language host shows the message alone."""
    try:
        yield
    except CbrError as error:
        raise pulumi.RunError(f"cbr: {error}") from error
