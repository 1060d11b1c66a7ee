"""Entries of clouds.yaml (with secure.yaml), read by openstacksdk's own loader: the only place that imports it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pulumi_cbr.api.errors import SettingsError, one_line

if TYPE_CHECKING:
    from keystoneauth1.identity.base import BaseIdentityPlugin
    from openstack.config.cloud_region import CloudRegion

#: Names of what an entry keeps secret, whatever the plugin: password, token, application_credential_secret, passcode...
_SECRET = re.compile("pass|secret|token|key|code")


def settings_of(cloud: str) -> dict[str, object]:
    """Give what an entry says, by our settings' names.

    Raises `SettingsError` when openstacksdk is not installed, or the entry is missing or broken.
    """
    entry, region = _entry(cloud)
    auth = region.config.get("auth") or {}
    found = {
        "authUrl": auth.get("auth_url"),
        "region": region.config.get("region_name"),
        "projectId": auth.get("project_id"),
        "projectName": auth.get("project_name"),
        # Only to be left out of messages: the plugin has them too.
        "cloudSecrets": tuple(str(value) for name, value in sorted(auth.items()) if value and _SECRET.search(name)),
        "endpoint": region.config.get("cbr_endpoint_override") or region.config.get("cbr_endpoint"),
    }
    given = {name: value for name, value in found.items() if value not in (None, "")}
    if any(name in entry for name in ("verify", "insecure", "cacert")):
        # openstacksdk gives one value: False, True, or the file to check with. Both are said, also by no file.
        verify, _ = region.get_requests_verify_args()
        given |= {"insecure": verify is False, "caCert": verify if isinstance(verify, str) else None}
    return given


def plugin_of(cloud: str) -> BaseIdentityPlugin:
    """Give the keystoneauth1 plugin that an entry asks for, of any kind that signs in for a token. Raises `SettingsError`."""
    from keystoneauth1.identity.base import BaseIdentityPlugin

    try:
        _, region = _entry(cloud)
        plugin = region.get_session().auth
    except Exception as error:  # openstacksdk and its plugins raise whatever fits them, down to ValueError
        words = one_line(str(error), 200).rstrip(".")
        raise SettingsError(f"the entry `{cloud}` of clouds.yaml does not say how to sign in: {words}") from error
    if not isinstance(plugin, BaseIdentityPlugin):
        raise SettingsError(
            f"the `auth_type` of the entry `{cloud}` of clouds.yaml gives no token of an identity service"
        )
    return plugin


def _entry(cloud: str) -> tuple[Mapping[str, object], CloudRegion]:
    """Give an entry as it is written, and what openstacksdk makes of it."""
    try:
        from openstack.config.loader import OpenStackConfig
    except ImportError:
        raise SettingsError(
            f"the cloud `{cloud}` is read by openstacksdk, which is not installed: pip install 'pulumi-cbr[clouds]'"
        ) from None
    from yaml import MarkedYAMLError

    try:
        config = OpenStackConfig()
        return config.cloud_config["clouds"].get(cloud) or {}, config.get_one(cloud)
    except MarkedYAMLError as error:
        # Without its words, which may be a part of a credential.
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a file"
        raise SettingsError(f"the cloud `{cloud}` cannot be used: no YAML in {where}") from None
    except Exception as error:  # no such entry, a YAML error, a file that cannot be read, a plugin's complaint
        words = one_line(str(error), 300).rstrip(".")
        raise SettingsError(
            f"the cloud `{cloud}` cannot be used: {words} (clouds.yaml is looked for in OS_CLIENT_CONFIG_FILE, the working "
            "folder, the user's configuration folder and /etc/openstack)"
        ) from error
