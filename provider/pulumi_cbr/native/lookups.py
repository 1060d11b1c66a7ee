"""The look-ups of the first-class provider: invokes, which sign in as a resource with the same options would."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import pulumi

from pulumi_cbr import messages
from pulumi_cbr.api.models import Backup, Member, Project, Vault
from pulumi_cbr.api.names import to_camel, to_snake
from pulumi_cbr.native.schema import plugin_options

T = TypeVar("T")

Options = pulumi.InvokeOptions | pulumi.InvokeOutputOptions | None


def get_backup(backup_id: str, *, cloud: str | None = None, opts: pulumi.InvokeOptions | None = None) -> Backup:
    """Return one backup: see `pulumi_cbr.get_backup`."""
    return _backup(_invoke("getBackup", {"backup_id": backup_id, "cloud": cloud}, opts))


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
    opts: pulumi.InvokeOptions | None = None,
) -> Iterator[Backup]:
    """Return backups, all pages up to `limit` at once: see `pulumi_cbr.get_backups`."""
    args = {**locals()}
    return iter(_backups(_invoke("getBackups", {name: args[name] for name in args if name != "opts"}, opts)))


def get_backup_share_members(
    backup_id: str, *, cloud: str | None = None, opts: pulumi.InvokeOptions | None = None
) -> tuple[Member, ...]:
    """Return the members of a backup: see `pulumi_cbr.get_backup_share_members`."""
    return _members(_invoke("getBackupShareMembers", {"backup_id": backup_id, "cloud": cloud}, opts))


def get_vault(
    vault_id: str | None = None,
    *,
    name: str | None = None,
    cloud: str | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> Vault:
    """Return one vault: see `pulumi_cbr.get_vault`."""
    return _vault(_invoke("getVault", {"vault_id": vault_id, "name": name, "cloud": cloud}, opts))


def get_vaults(
    *,
    name: str | None = None,
    object_type: str | None = None,
    protect_type: str | None = None,
    status: str | None = None,
    cloud: str | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> tuple[Vault, ...]:
    """Return vaults: see `pulumi_cbr.get_vaults`."""
    args = {**locals()}
    return _vaults(_invoke("getVaults", {name: args[name] for name in args if name != "opts"}, opts))


def get_projects(
    *, name: str | None = None, cloud: str | None = None, opts: pulumi.InvokeOptions | None = None
) -> tuple[Project, ...]:
    """Return projects: see `pulumi_cbr.get_projects`."""
    return _projects(_invoke("getProjects", {"name": name, "cloud": cloud}, opts))


def get_backup_output(
    backup_id: pulumi.Input[str],
    *,
    cloud: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Backup]:
    """Return the result of `get_backup` as an output; arguments may be outputs of resources."""
    return _invoke_output("getBackup", {"backup_id": backup_id, "cloud": cloud}, opts, _backup)


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
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Sequence[Backup]]:
    """Return the result of `get_backups` as an output; arguments may be outputs of resources."""
    args = {**locals()}
    return _invoke_output("getBackups", {name: args[name] for name in args if name != "opts"}, opts, _backups)


def get_backup_share_members_output(
    backup_id: pulumi.Input[str],
    *,
    cloud: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Sequence[Member]]:
    """Return the result of `get_backup_share_members` as an output.

    Arguments may be outputs of resources.
    """
    return _invoke_output("getBackupShareMembers", {"backup_id": backup_id, "cloud": cloud}, opts, _members)


def get_vault_output(
    vault_id: pulumi.Input[str] | None = None,
    *,
    name: pulumi.Input[str] | None = None,
    cloud: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Vault]:
    """Return the result of `get_vault` as an output; arguments may be outputs of resources."""
    return _invoke_output("getVault", {"vault_id": vault_id, "name": name, "cloud": cloud}, opts, _vault)


def get_vaults_output(
    *,
    name: pulumi.Input[str] | None = None,
    object_type: pulumi.Input[str] | None = None,
    protect_type: pulumi.Input[str] | None = None,
    status: pulumi.Input[str] | None = None,
    cloud: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Sequence[Vault]]:
    """Return the result of `get_vaults` as an output; arguments may be outputs of resources."""
    args = {**locals()}
    return _invoke_output("getVaults", {name: args[name] for name in args if name != "opts"}, opts, _vaults)


def get_projects_output(
    *,
    name: pulumi.Input[str] | None = None,
    cloud: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Sequence[Project]]:
    """Return the result of `get_projects` as an output; arguments may be outputs of resources."""
    return _invoke_output("getProjects", {"name": name, "cloud": cloud}, opts, _projects)


def _invoke(function: str, args: Mapping[str, Any], opts: pulumi.InvokeOptions | None) -> Mapping[str, Any]:
    try:
        result: Mapping[str, Any] | None = pulumi.runtime.invoke(
            f"cbr:index:{function}", _wired(args), with_plugin(opts)
        ).value
    except Exception as error:  # the SDK raises the provider's message as a plain Exception
        # Of a RunError, the language host shows the message alone: without what the SDK puts before the provider's own.
        raise pulumi.RunError(str(error).rpartition(" returned an error: ")[2]) from error
    if not result:
        _refuse_empty_mock(function)
        raise pulumi.RunError(f"cbr: {messages.lookup_unknown(to_snake(function))}")
    return result


def _refuse_empty_mock(function: str) -> None:
    """Raise `RunError` for an empty answer of a mock: no look-up's own is empty."""
    from pulumi.runtime.mocks import MockMonitor
    from pulumi.runtime.settings import get_monitor

    if isinstance(get_monitor(), MockMonitor):
        raise pulumi.RunError(f"cbr: {messages.mock_without_result(to_snake(function), f'cbr:index:{function}')}")


def _invoke_output(
    function: str,
    args: Mapping[str, Any],
    opts: pulumi.InvokeOutputOptions | pulumi.InvokeOptions | None,
    make: Callable[[Mapping[str, Any]], T],
) -> pulumi.Output[T]:
    def known(result: Mapping[str, Any]) -> pulumi.Input[T]:
        if result:
            return make(result)
        _refuse_empty_mock(function)
        # What the engine gives in a preview for a provider whose settings are not known yet.
        return pulumi.Output.from_input(unknown)

    unknown: Any = pulumi.output.UNKNOWN
    return pulumi.runtime.invoke_output(f"cbr:index:{function}", _wired(args), with_plugin(opts)).apply(known)


def with_plugin(opts: Options) -> Any:
    """Return options that name the plugin.

    Resources name it too, so that both share a default provider.
    """
    merged = pulumi.InvokeOptions() if opts is None else copy.copy(opts)
    for name, value in plugin_options().items():
        # What the program says wins.
        setattr(merged, name, getattr(merged, name) or value)
    return merged


def _wired(args: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in args.items() if value is not None}


def _backup(result: Mapping[str, Any]) -> Backup:
    fields = _fields(Backup, result)
    return Backup(**{**fields, "members": tuple(_member(member) for member in fields.get("members", ()))})


def _backups(result: Mapping[str, Any]) -> list[Backup]:
    return [_backup(entry) for entry in result.get("backups", ())]


def _member(result: Mapping[str, Any]) -> Member:
    return Member(**_fields(Member, result))


def _members(result: Mapping[str, Any]) -> tuple[Member, ...]:
    return tuple(_member(entry) for entry in result.get("members", ()))


def _vault(result: Mapping[str, Any]) -> Vault:
    fields = _fields(Vault, result)
    size = fields.get("size")
    # Numbers come over the wire as floats.
    return Vault(**{**fields, "size": None if size is None else int(size)})


def _vaults(result: Mapping[str, Any]) -> tuple[Vault, ...]:
    return tuple(_vault(entry) for entry in result.get("vaults", ()))


def _projects(result: Mapping[str, Any]) -> tuple[Project, ...]:
    return tuple(Project(**_fields(Project, entry)) for entry in result.get("projects", ()))


def _fields(kind: Any, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a result in Python's names.

    Raises `RunError` if a mock left out a required one.
    """
    fields = {to_snake(name): value for name, value in result.items()}
    required = (field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING)
    if missing := [to_camel(name) for name in required if name not in fields]:
        raise pulumi.RunError(f"cbr: {messages.result_incomplete(kind.__name__, missing)}")
    times = {name: datetime.fromisoformat(fields[name]) for name in ("created_at", "updated_at") if fields.get(name)}
    return {**fields, **times}
