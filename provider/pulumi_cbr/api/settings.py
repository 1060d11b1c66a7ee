"""Read the settings of a client from a cloud's entry, the stack's configuration (`cbr:*`) and the environment."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.addresses import (
    check_one_cloud,
    cloud_domain_from,
    default_auth_url,
    default_endpoint,
    region_from,
)
from pulumi_cbr.api.certificates import resolve_ca_bundle
from pulumi_cbr.api.definitions import NATIVE_SETTINGS, SETTINGS, ConfigLookup, parse_value
from pulumi_cbr.api.endpoints import cloud_of_region, is_domain, is_loopback
from pulumi_cbr.api.errors import InvalidId, SettingsError
from pulumi_cbr.api.names import find_closest, to_snake
from pulumi_cbr.api.precedence import Place, Resolution, Source, place_to_set, resolve
from pulumi_cbr.api.sources import read_sources

__all__ = [
    "SETTINGS",
    "ConfigLookup",
    "Settings",
    "check_names",
    "check_url",
    "find_project_id",
    "load",
    "parse_value",
    "read_nothing",
    "read_option",
    "resolve_settings",
]

_log = logging.getLogger("pulumi_cbr")

#: The placeholder of the own project's ID in an endpoint, such as `$(project_id)s`. Service catalogs use it.
PROJECT_TEMPLATE = re.compile(r"[%$]\((project_id|tenant_id)\)s")


@dataclass(frozen=True)
class Settings:
    """The checked settings of a client. Its repr has no credential.

    Equal settings share one client.

    `method` says how to sign in: one of ``cloud, token, applicationCredential, password, accessKey``. Times are seconds.
    With an agency, `project_id` and `project_name` are those of the agency's project, and `source_project_id` and
    `source_project_name` those of the user's own.
    """

    method: str
    cloud: str | None = None
    auth_url: str | None = None
    cloud_domain: str | None = None
    region: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_name: str | None = None
    project_domain_id: str | None = None
    user_id: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    passcode: str | None = field(default=None, repr=False)
    user_domain_name: str | None = None
    user_domain_id: str | None = None
    token: str | None = field(default=None, repr=False)
    application_credential_id: str | None = None
    application_credential_secret: str | None = field(default=None, repr=False)
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    agency_name: str | None = None
    agency_domain_name: str | None = None
    agency_domain_id: str | None = None
    source_project_id: str | None = None
    source_project_name: str | None = None
    endpoint: str | None = None
    interface: str = "public"
    ca_cert: str | None = None
    insecure: bool = False
    user_profile: str | None = None
    adopt_existing: bool = False
    preflight: bool = False
    timeout: float = 120.0
    max_retries: int = 4
    #: For an entry that signs in by a plugin of keystoneauth1: values from other places, which replace the entry's.
    cloud_overrides: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: Where the values come from.
    resolution: Resolution | None = field(default=None, repr=False, compare=False)
    #: Secrets that are in no field: a plugin's, and those that were found but are not used. Messages leave them out too.
    other_secrets: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, url in (("authUrl", self.auth_url), ("endpoint", self.endpoint)):
            if url:
                check_url(name, url, insecure=self.insecure)
        if self.project_id:
            try:
                object.__setattr__(self, "project_id", ids.project_id("projectId", self.project_id))
            except InvalidId as error:
                raise SettingsError(f"{error} (set by {SETTINGS['projectId'].all_places()})") from None
        if not self.insecure:
            resolve_ca_bundle(self.ca_cert)

    @property
    def verify(self) -> bool | str:
        """The value of `verify` for `requests`: a file or folder, or whether to check."""
        return False if self.insecure else resolve_ca_bundle(self.ca_cert) or True

    def where_to_set(self, name: str) -> str:
        """Return where a setting is set, or where the user can set it."""
        if self.resolution is None:
            return SETTINGS[name].all_places()
        given = name in self.resolution.values
        return self.resolution.origin(name) if given else place_to_set(self.resolution.rule, name)

    def with_rerun_advice(self, advice: str) -> str:
        """Return the advice, with a command if the stack's configuration has credentials.

        The command applies changed ones.
        """
        places = self.resolution.places if self.resolution else {}
        is_stored = any(places.get(name) is Place.STACK for name in SETTINGS if SETTINGS[name].secret)
        return f"{advice}, {messages.use_of_changed_settings()}" if is_stored else advice

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("settings hold credentials and are not pickled")

    def secrets(self) -> Iterator[str]:
        """Yield every credential, for a message to leave out."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not entry.repr and isinstance(value, str) and value:
                yield value
        yield from self.other_secrets


def read_nothing(name: str) -> object:
    """Return None: a configuration that sets nothing."""
    return None


def load(config: ConfigLookup = read_nothing, *, cloud: str | None = None) -> Settings:
    """Read the settings: a resource's `cloud`, then `config`, then the environment.

    Raises `SettingsError`, which names the setting and how to give it.
    """
    resolution = resolve_settings(config, cloud=cloud)
    if resolution.also_complete:
        others = [place.value for place in resolution.also_complete]
        _log.warning("%s", messages.both_environments(resolution.rule.credentials_from.value, others))
    return settings_from(resolution)


def resolve_settings(config: ConfigLookup = read_nothing, *, cloud: str | None = None) -> Resolution:
    """Return the values to sign in with, their origins, and why others are not used."""
    if cloud is not None and not cloud.strip():
        # Without a name, the stack's own account would sign in.
        raise SettingsError(messages.empty_cloud())
    sources = read_sources(config)
    seen = dict(sources)

    def read_and_remember(name: str, region: str | None) -> Source:
        from pulumi_cbr.api.clouds import read_entry

        seen[Place.ENTRY] = read_entry(name, region)
        return seen[Place.ENTRY]

    resolution = resolve(sources, cloud.strip() if cloud else None, read_and_remember)
    _check_values(resolution)
    check_one_cloud(resolution, seen)
    return resolution


def read_option(name: str, config: ConfigLookup = read_nothing) -> object:
    """Return one setting of the configuration or the environment, or None.

    Use it only for options that do not depend on the credentials. Raises `SettingsError` if it has the wrong type.
    """
    sources = read_sources(config)
    found = (sources[place].values.get(name) for place in (Place.STACK, Place.CBR, Place.OS, Place.HW))
    return next((value.value for value in found if value), None)


def find_project_id(config: ConfigLookup) -> str | None:
    """Return the own project's ID if the configuration or the environment has it.

    Makes no call.
    """
    try:
        found: object = load(config).project_id
    except SettingsError:
        # Without credentials, what is configured still tells the project.
        found = read_option("projectId", config)
    return str(found).lower() if found else None


def check_names(names: Iterable[str]) -> None:
    """Refuse names in the namespace ``cbr`` that no setting has. Raises `SettingsError`."""
    known = (*SETTINGS, *NATIVE_SETTINGS)
    for name in names:
        if name not in known:
            raise SettingsError(messages.unknown_setting(name, find_closest(name, known)))


def settings_from(resolution: Resolution) -> Settings:
    """Return the settings of a resolution, with what follows from the region.

    Raises `SettingsError`.
    """
    values = {name: value.value for name, value in resolution.values.items() if name != "authType"}
    method = resolution.method.name
    if method == "accessKey" and not values.get("region"):
        region = region_from(_text(values, "authUrl"), _text(values, "projectName"))
        values |= {"region": region} if region else {}
    if values.get("agencyName"):
        values["delegatedProject"] = values.get("delegatedProject") or _pop_agency_project(resolution, values)
    else:
        values |= _region_project(method, values)
    _check_complete(resolution, values)
    values |= _default_addresses(method, values)
    if values.get("agencyName"):
        values |= {
            "sourceProjectId": values.pop("projectId", None),
            "sourceProjectName": values.pop("projectName", None),
            **_project(str(values["delegatedProject"])),
        }
    values.pop("delegatedProject", None)
    attributes = {to_snake(name): value for name, value in values.items()}
    return Settings(
        method=method,
        cloud_overrides=_overrides(resolution) if method == "cloud" else (),
        other_secrets=resolution.secrets,
        resolution=resolution,
        **attributes,  # type: ignore[arg-type]
    )


def _text(values: Mapping[str, object], name: str) -> str | None:
    return str(values[name]) if values.get(name) else None


def _project(given: str) -> dict[str, object]:
    return {"projectId": given} if re.fullmatch("[0-9a-fA-F]{32}", given) else {"projectName": given}


def _check_values(resolution: Resolution) -> None:
    """Raise `SettingsError` for a malformed value, naming its origin."""
    values = resolution.values
    insecure = "insecure" in values and bool(values["insecure"].value)
    for name in ("authUrl", "endpoint"):
        if name in values:
            check_url(values[name].origin, str(values[name].value), insecure=insecure)
    if "region" in values and not re.fullmatch(r"\w+([.-]+\w+)*", str(values["region"].value), re.ASCII):
        raise SettingsError(messages.not_a_region(resolution.origin("region"), str(values["region"].value)))
    if "caCert" in values and values["caCert"].value and not insecure:
        resolve_ca_bundle(str(values["caCert"].value), resolution.origin("caCert"))
    if "cloudDomain" in values and not is_domain(str(values["cloudDomain"].value)):
        raise SettingsError(messages.not_a_domain(resolution.origin("cloudDomain"), str(values["cloudDomain"].value)))
    if "projectId" in values:
        try:
            ids.project_id(resolution.origin("projectId"), values["projectId"].value)
        except InvalidId as error:
            raise SettingsError(str(error)) from None


def _pop_agency_project(resolution: Resolution, values: dict[str, object]) -> str | None:
    """Return the agency's project if no setting names it: the region's.

    With `HW_*` it is the project that they name, which is removed from `values`.
    """
    region = _text(values, "region")
    if resolution.rule.credentials_from is Place.HW:
        # `HW_*` can name one project only. With an agency, it is the agency's.
        by_name, by_id = values.pop("projectName", None), values.pop("projectId", None)
        return str(by_id or by_name or region or "") or None
    return region


def _region_project(method: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the project that has the region's name, if no project is set.

    Only some clouds create one for each region.
    """
    region = _text(values, "region")
    named = values.get("projectId") or values.get("projectName")
    has_regional_projects = bool(cloud_of_region(region) or cloud_domain_from(values))
    if method in ("token", "password") and not named and region and has_regional_projects:
        return {"projectName": region}
    return {}


def _check_complete(resolution: Resolution, values: Mapping[str, object]) -> None:
    """Raise `SettingsError` if a setting is missing, naming the place to set it.

    Missing credentials are found before, by `precedence.resolve`.
    """
    method = resolution.method.name
    region = _text(values, "region")
    for name in ("delegatedProject", "agencyDomainName", "agencyDomainId"):
        if values.get(name) and not values.get("agencyName"):
            raise SettingsError(
                messages.needs_agency(resolution.origin(name), place_to_set(resolution.rule, "agencyName"))
            )
    auth_type = resolution.values.get("authType")
    if auth_type and auth_type.value == "agency" and not values.get("agencyName"):
        raise SettingsError(messages.needs_agency(auth_type.origin, place_to_set(resolution.rule, "agencyName")))
    is_unknown = (
        region and not values.get("authUrl") and not values.get("endpoint") and cloud_domain_from(values) is None
    )
    needs_cloud_domain = not values.get("endpoint") if method == "accessKey" else _signs_in_at_identity(method, values)
    if is_unknown and needs_cloud_domain:
        raise SettingsError(messages.unknown_region(str(region), place_to_set(resolution.rule, "cloudDomain")))
    missing = [name for name, is_missing in _requirements(method, values) if is_missing]
    if missing:
        places = [place_to_set(resolution.rule, name) for name in missing]
        raise SettingsError(messages.missing_settings(resolution.method.description, missing, places))
    if method == "accessKey":
        _check_access_keys(resolution, values)


def _requirements(method: str, values: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
    """Yield each required setting of a method, and whether it is missing."""
    named = values.get("projectId") or values.get("projectName")
    has_user_domain = bool(values.get("userDomainName") or values.get("userDomainId"))
    agency = values.get("agencyName")
    if _signs_in_at_identity(method, values):
        yield "authUrl", not (values.get("authUrl") or default_auth_url(values))
    if method in ("token", "password") and not agency:
        yield "projectId", not named
    if method in ("token", "password"):
        has_project_domain = has_user_domain or values.get("projectDomainName") or values.get("projectDomainId")
        by_name = bool(values.get("projectName") and not values.get("projectId"))
        user_by_name = method == "password" and not values.get("userId")
        yield "userDomainName", (user_by_name and not has_user_domain) or (by_name and not has_project_domain)
    if method == "accessKey":
        yield "region", not (values.get("region") or (values.get("endpoint") and named))
    if agency:
        yield "agencyDomainName", not (values.get("agencyDomainName") or values.get("agencyDomainId"))
        yield "delegatedProject", not values.get("delegatedProject")


def _signs_in_at_identity(method: str, values: Mapping[str, object]) -> bool:
    """Return whether a token must be fetched.

    A given token is used as it is if the project and the endpoint are known.
    """
    is_fixed = method == "token" and values.get("endpoint") and values.get("projectId") and not values.get("agencyName")
    return method in ("token", "applicationCredential", "password") and not is_fixed


def _check_access_keys(resolution: Resolution, values: Mapping[str, object]) -> None:
    rule = resolution.rule
    if values.get("agencyName"):
        places = [place_to_set(rule, name) for name in ("username", "password")]
        raise SettingsError(messages.no_agency_with_keys(resolution.origin("agencyName"), places))
    if values.get("endpoint"):
        return
    if values.get("interface", "public") != "public":
        place = place_to_set(rule, "endpoint")
        raise SettingsError(messages.no_interface_with_keys(resolution.origin("interface"), place))
    if default_endpoint(values) is None:
        endpoint = place_to_set(rule, "endpoint")
        raise SettingsError(messages.unknown_cbr_host(resolution.origin("authUrl"), str(values["authUrl"]), endpoint))


def _default_addresses(method: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the missing addresses, which follow from the region and the domain."""
    addresses: dict[str, object] = {}
    if method == "accessKey" and not values.get("endpoint"):
        addresses["endpoint"] = default_endpoint(values)
    if method != "cloud" and not values.get("authUrl"):
        addresses["authUrl"] = default_auth_url(values)
    return addresses


def _overrides(resolution: Resolution) -> tuple[tuple[str, str], ...]:
    own = Place.ENTRY
    return tuple(
        (name, str(value.value)) for name, value in resolution.values.items() if resolution.places[name] is not own
    )


def check_url(origin: str, url: str, *, insecure: bool) -> None:
    """Raise `SettingsError` for a malformed URL, or one that shows credentials to the network."""
    without_placeholder = PROJECT_TEMPLATE.sub("", url)
    try:
        parts = urlsplit(without_placeholder)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if (
        not host
        or parts.scheme not in ("https", "http")
        or "@" in parts.netloc
        or re.search(r"[?#\\\s{]|[%$]\(", without_placeholder)
    ):
        raise SettingsError(messages.not_a_url(origin))
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise SettingsError(messages.plain_http(origin, host))
