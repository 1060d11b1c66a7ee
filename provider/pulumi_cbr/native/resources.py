"""The resources of the first-class provider, with the names and arguments of the dynamic ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi

from pulumi_cbr import stack_trace
from pulumi_cbr.api.definitions import SETTINGS
from pulumi_cbr.api.names import to_camel, to_snake
from pulumi_cbr.backup_share import BackupShareProperties
from pulumi_cbr.backup_share_accepter import BackupShareAccepterProperties
from pulumi_cbr.backup_share_member import BackupShareMemberProperties
from pulumi_cbr.lifecycle.outputs import ACCEPTER_OUTPUTS, MEMBER_OUTPUTS, SET_OUTPUTS
from pulumi_cbr.native.schema import plugin_options


def _with_plugin(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    # What the program says wins.
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(**plugin_options()), opts)


class _CbrResource(pulumi.CustomResource):
    def _register(self, type_: str, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        with stack_trace.shorten():
            pulumi.CustomResource.__init__(self, type_, name, props, _with_plugin(opts))

    def translate_output_property(self, prop: str) -> str:
        return to_snake(prop)

    def translate_input_property(self, prop: str) -> str:
        return to_camel(prop)


class BackupShareMember(BackupShareMemberProperties, _CbrResource):
    """The share of a backup with one project: see `pulumi_cbr.BackupShareMember`.

    The ID is ``<backup_id>/<dest_project_id>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        dest_project_id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        adopt_existing: pulumi.Input[bool] | None = None,
        reshare_if_rejected: pulumi.Input[bool] | None = None,
        wait_for_acceptance: pulumi.Input[str | float] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the share; the arguments are those of `pulumi_cbr.BackupShareMember`."""
        self._register(
            "cbr:index:BackupShareMember",
            resource_name,
            {
                "backup_id": backup_id,
                "dest_project_id": dest_project_id,
                "cloud": cloud,
                "adopt_existing": adopt_existing,
                "reshare_if_rejected": reshare_if_rejected,
                "wait_for_acceptance": wait_for_acceptance,
                **dict.fromkeys(MEMBER_OUTPUTS),
            },
            opts,
        )

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> BackupShareMember:
        """Read a share that exists, without managing it.

        :param id: ``<backup_id>/<dest_project_id>``.
        """
        nothing: Any = None
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        return cls(resource_name, nothing, nothing, cloud=cloud, opts=opts)


class BackupShare(BackupShareProperties, _CbrResource):
    """The shares of a backup with a set of one to ten projects: see `pulumi_cbr.BackupShare`.

    The ID is ``<backup_id>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        dest_project_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
        *,
        exclusive: pulumi.Input[bool] | None = None,
        adopt_existing: pulumi.Input[bool] | None = None,
        reshare_if_rejected: pulumi.Input[bool] | None = None,
        wait_for_acceptance: pulumi.Input[str | float] | None = None,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the set; the arguments are those of `pulumi_cbr.BackupShare`."""
        self._register(
            "cbr:index:BackupShare",
            resource_name,
            {
                "backup_id": backup_id,
                "dest_project_ids": dest_project_ids,
                "exclusive": exclusive,
                "adopt_existing": adopt_existing,
                "reshare_if_rejected": reshare_if_rejected,
                "wait_for_acceptance": wait_for_acceptance,
                "cloud": cloud,
                **dict.fromkeys(SET_OUTPUTS),
            },
            opts,
        )


class BackupShareAccepter(BackupShareAccepterProperties, _CbrResource):
    """The acceptance of a shared backup: see `pulumi_cbr.BackupShareAccepter`.

    The ID is ``<backup_id>/<own project ID>``.
    """

    def __init__(
        self,
        resource_name: str,
        backup_id: pulumi.Input[str],
        vault_id: pulumi.Input[str],
        *,
        cloud: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the acceptance; the arguments are those of `pulumi_cbr.BackupShareAccepter`."""
        self._register(
            "cbr:index:BackupShareAccepter",
            resource_name,
            {
                "backup_id": backup_id,
                "vault_id": vault_id,
                "cloud": cloud,
                **dict.fromkeys(ACCEPTER_OUTPUTS),
            },
            opts,
        )


class Provider(pulumi.ProviderResource):
    """Signs in to one project with settings of its own, as one of several in a program.

    The settings are those of the namespace ``cbr`` (see `pulumi_cbr.api.settings.SETTINGS`), by their Python names, and
    `parallel`: how many calls may be in flight at once. A provider without credentials signs in by the environment. Credentials are
    secrets in the state.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cloud: pulumi.Input[str] | None = None,
        auth_url: pulumi.Input[str] | None = None,
        cloud_domain: pulumi.Input[str] | None = None,
        region: pulumi.Input[str] | None = None,
        project_id: pulumi.Input[str] | None = None,
        project_name: pulumi.Input[str] | None = None,
        project_domain_name: pulumi.Input[str] | None = None,
        project_domain_id: pulumi.Input[str] | None = None,
        auth_type: pulumi.Input[str] | None = None,
        user_id: pulumi.Input[str] | None = None,
        username: pulumi.Input[str] | None = None,
        password: pulumi.Input[str] | None = None,
        passcode: pulumi.Input[str] | None = None,
        user_domain_name: pulumi.Input[str] | None = None,
        user_domain_id: pulumi.Input[str] | None = None,
        token: pulumi.Input[str] | None = None,
        application_credential_id: pulumi.Input[str] | None = None,
        application_credential_secret: pulumi.Input[str] | None = None,
        access_key: pulumi.Input[str] | None = None,
        secret_key: pulumi.Input[str] | None = None,
        security_token: pulumi.Input[str] | None = None,
        agency_name: pulumi.Input[str] | None = None,
        agency_domain_name: pulumi.Input[str] | None = None,
        agency_domain_id: pulumi.Input[str] | None = None,
        delegated_project: pulumi.Input[str] | None = None,
        endpoint: pulumi.Input[str] | None = None,
        interface: pulumi.Input[str] | None = None,
        ca_cert: pulumi.Input[str] | None = None,
        insecure: pulumi.Input[bool] | None = None,
        user_profile: pulumi.Input[str] | None = None,
        adopt_existing: pulumi.Input[bool] | None = None,
        preflight: pulumi.Input[bool] | None = None,
        timeout: pulumi.Input[float] | None = None,
        max_retries: pulumi.Input[int] | None = None,
        parallel: pulumi.Input[int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the provider, to be given to resources as `opts.provider`."""
        given = {**locals()}
        props = {name: _as_text(name, given[to_snake(name)]) for name in (*SETTINGS, "parallel")}
        super().__init__("cbr", resource_name, props, _with_plugin(opts))


def _as_text(name: str, value: pulumi.Input[Any]) -> pulumi.Output[Any] | None:
    """Return a setting as it is on the wire: a text, or None.

    A value that is not a text becomes JSON.
    """
    if value is None:
        return None
    text = pulumi.Output.from_input(value).apply(
        lambda known: known if known is None or isinstance(known, str) else json.dumps(known)
    )
    return pulumi.Output.secret(text) if name in SETTINGS and SETTINGS[name].secret else text
