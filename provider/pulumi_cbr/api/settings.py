"""Where to sign in and how: read from a cloud's entry, the stack's configuration (`cbr:*`) and the environment."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.addresses import (
    check_one_cloud,
    default_auth_url,
    default_endpoint,
    domain_from,
    region_from,
)
from pulumi_cbr.api.certificates import certificate_path
from pulumi_cbr.api.definitions import NATIVE_SETTINGS, SETTINGS, ConfigLookup, parse_value
from pulumi_cbr.api.endpoints import cloud_of_region, is_domain
from pulumi_cbr.api.errors import InvalidId, SettingsError
from pulumi_cbr.api.precedence import Place, Resolution, Source, how_to_set, resolve
from pulumi_cbr.api.sources import read_sources

__all__ = [
    "SETTINGS",
    "ConfigLookup",
    "Settings",
    "check_names",
    "check_url",
    "is_loopback",
    "known_project_id",
    "load",
    "nothing_configured",
    "option",
    "parse_value",
    "plain_http",
    "resolve_settings",
]

_log = logging.getLogger("pulumi_cbr")

#: The parts of an endpoint that stand for the own project's ID, as service catalogs have them.
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
    #: What comes before the values of a cloud's entry, if a plugin of keystoneauth1 reads that.
    cloud_overrides: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: Where the values come from.
    resolution: Resolution | None = field(default=None, repr=False, compare=False)
    #: What is secret and not in the fields above: a plugin's credentials, and those that are not used.
    other_secrets: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, url in (("authUrl", self.auth_url), ("endpoint", self.endpoint)):
            if url:
                check_url(name, url, insecure=self.insecure)
        if self.project_id:
            try:
                object.__setattr__(self, "project_id", ids.project_id("projectId", self.project_id))
            except InvalidId as error:
                raise SettingsError(f"{error} (set by {SETTINGS['projectId'].how_to_set()})") from None
        if not self.insecure:
            certificate_path(self.ca_cert)

    @property
    def verify(self) -> bool | str:
        """The value of `verify` for `requests`: a file or folder, or whether to check."""
        return False if self.insecure else certificate_path(self.ca_cert) or True

    def where_to_set(self, name: str) -> str:
        """Name the place where a setting has an effect."""
        if self.resolution is None:
            return SETTINGS[name].how_to_set()
        given = name in self.resolution.values
        return self.resolution.origin(name) if given else how_to_set(self.resolution.rule, name)

    def advise(self, check: str) -> str:
        """Add what to run after a change of the stack's configuration, if it has credentials."""
        places = self.resolution.places if self.resolution else {}
        is_stored = any(places.get(name) is Place.STACK for name in SETTINGS if SETTINGS[name].secret)
        return f"{check}, {messages.use_of_changed_settings()}" if is_stored else check

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("settings hold credentials and are not pickled")

    def secrets(self) -> Iterator[str]:
        """Yield every credential, for a message to leave out."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not entry.repr and isinstance(value, str) and value:
                yield value
        yield from self.other_secrets


def nothing_configured(name: str) -> object:
    """Return None: a configuration that sets nothing."""
    return None


def load(config: ConfigLookup = nothing_configured, *, cloud: str | None = None) -> Settings:
    """Read the settings: a resource's `cloud`, then `config`, then the environment.

    Raises `SettingsError`, which names the setting and how to give it.
    """
    resolution = resolve_settings(config, cloud=cloud)
    if resolution.also_complete:
        others = ", ".join(place.value for place in resolution.also_complete)
        _log.warning("%s", messages.both_families(resolution.rule.place.value, others))
    return settings_from(resolution)


def resolve_settings(config: ConfigLookup = nothing_configured, *, cloud: str | None = None) -> Resolution:
    """Return the values to sign in with, their origins, and why others are not used."""
    sources = read_sources(config)
    seen = dict(sources)

    def read_entry(name: str, region: str | None) -> Source:
        from pulumi_cbr.api.clouds import read_entry

        seen[Place.ENTRY] = read_entry(name, region)
        return seen[Place.ENTRY]

    resolution = resolve(sources, cloud.strip() if cloud and cloud.strip() else None, read_entry)
    _check_forms(resolution)
    check_one_cloud(resolution, seen)
    return resolution


def option(name: str, config: ConfigLookup = nothing_configured) -> object:
    """Return one setting of the configuration or the environment, or None.

    It does not depend on how to sign in.

    Raises `SettingsError` if it has the wrong type.
    """
    sources = read_sources(config)
    found = (sources[place].values.get(name) for place in (Place.STACK, Place.CBR, Place.OS, Place.HW))
    return next((value.value for value in found if value), None)


def known_project_id(config: ConfigLookup) -> str | None:
    """Return the own project's ID if neither a call nor clouds.yaml is needed for it."""
    try:
        found: object = load(config).project_id
    except SettingsError:
        # Without credentials, what is configured still tells the project.
        found = option("projectId", config)
    return str(found).lower() if found else None


def check_names(names: Iterable[str]) -> None:
    """Refuse names in the namespace ``cbr`` that no setting has. Raises `SettingsError`."""
    known = (*SETTINGS, *NATIVE_SETTINGS)
    for name in names:
        if name not in known:
            import difflib

            by_lower = {entry.lower(): entry for entry in known}
            close = difflib.get_close_matches(name.lower().replace("_", ""), by_lower, n=1, cutoff=0.75)
            raise SettingsError(messages.unknown_setting(name, by_lower[close[0]] if close else None))


def settings_from(resolution: Resolution) -> Settings:
    """Return the settings of a resolution, with what follows from the region.

    Raises `SettingsError`.
    """
    values = {name: value.value for name, value in resolution.values.items() if name != "authType"}
    method = resolution.way.method
    if method == "accessKey" and not values.get("region"):
        region = region_from(_text(values, "authUrl"), _text(values, "projectName"))
        values |= {"region": region} if region else {}
    project = _default_project(resolution, values)
    _check_complete(resolution, values)
    _add_addresses(method, values)
    if values.get("agencyName"):
        values |= {
            "sourceProjectId": values.pop("projectId", None),
            "sourceProjectName": values.pop("projectName", None),
            **_project(str(values.pop("delegatedProject", None) or project)),
        }
    values.pop("delegatedProject", None)
    attributes = {_attribute(name): value for name, value in values.items()}
    return Settings(
        method=method,
        cloud_overrides=_overrides(resolution) if method == "cloud" else (),
        other_secrets=resolution.secrets,
        resolution=resolution,
        **attributes,  # type: ignore[arg-type]
    )


def _attribute(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _text(values: Mapping[str, object], name: str) -> str | None:
    return str(values[name]) if values.get(name) else None


def _project(given: str) -> dict[str, object]:
    return {"projectId": given} if re.fullmatch("[0-9a-fA-F]{32}", given) else {"projectName": given}


def _check_forms(resolution: Resolution) -> None:
    """Refuse values that have not their form, by what gives them. Raises `SettingsError`."""
    values = resolution.values
    insecure = "insecure" in values and bool(values["insecure"].value)
    for name in ("authUrl", "endpoint"):
        if name in values:
            _check_url_of(values[name].origin, str(values[name].value), insecure=insecure)
    if "region" in values and not re.fullmatch(r"[\w.-]+", str(values["region"].value)):
        raise SettingsError(messages.not_a_region(resolution.origin("region"), str(values["region"].value)))
    if "caCert" in values and values["caCert"].value and not insecure:
        certificate_path(str(values["caCert"].value), resolution.origin("caCert"))
    if "cloudDomain" in values and not is_domain(str(values["cloudDomain"].value)):
        raise SettingsError(messages.not_a_domain(resolution.origin("cloudDomain"), str(values["cloudDomain"].value)))
    if "projectId" in values:
        try:
            ids.project_id(resolution.origin("projectId"), values["projectId"].value)
        except InvalidId as error:
            raise SettingsError(str(error)) from None


def _default_project(resolution: Resolution, values: dict[str, object]) -> str | None:
    """Choose the region's own project if none is named. Return an agency's project."""
    region = _text(values, "region")
    if values.get("agencyName"):
        if resolution.rule.place is Place.HW and not values.get("delegatedProject"):
            # These variables name only one project: the one to work in.
            own = values.pop("projectId", None) or values.pop("projectName", None)
            return str(own) if own else region
        return region
    named = values.get("projectId") or values.get("projectName")
    has_regional_projects = bool(cloud_of_region(region) or domain_from(values))
    if resolution.way.method in ("token", "password") and not named and region and has_regional_projects:
        values["projectName"] = region
    return None


def _check_complete(resolution: Resolution, values: Mapping[str, object]) -> None:
    """Refuse to sign in if a setting is missing.

    Raises `SettingsError`, which names the place to set it.
    """
    method = resolution.way.method
    region = _text(values, "region")
    for name in ("delegatedProject", "agencyDomainName", "agencyDomainId"):
        if values.get(name) and not values.get("agencyName"):
            raise SettingsError(
                messages.needs_agency(resolution.origin(name), how_to_set(resolution.rule, "agencyName"))
            )
    is_unknown = region and not values.get("authUrl") and not values.get("endpoint") and domain_from(values) is None
    needs_domain = not values.get("endpoint") if method == "accessKey" else _signs_in_at_identity(method, values)
    if is_unknown and needs_domain:
        raise SettingsError(messages.unknown_region(str(region), how_to_set(resolution.rule, "cloudDomain")))
    missing = [name for name, is_missing in _requirements(method, values) if is_missing]
    if missing:
        places = [how_to_set(resolution.rule, name) for name in missing]
        raise SettingsError(messages.missing_settings(resolution.way.description, missing, places))
    if method == "accessKey":
        _check_access_keys(resolution, values)


def _requirements(method: str, values: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
    """Yield the settings that a method takes, and whether each is missing."""
    named = values.get("projectId") or values.get("projectName")
    has_domain = bool(values.get("userDomainName") or values.get("userDomainId"))
    agency = values.get("agencyName")
    if _signs_in_at_identity(method, values):
        yield "authUrl", not (values.get("authUrl") or default_auth_url(values))
    if method in ("token", "password") and not agency:
        yield "projectId", not named
    if method in ("token", "password"):
        has_project_domain = has_domain or values.get("projectDomainName") or values.get("projectDomainId")
        by_name = bool(values.get("projectName") and not values.get("projectId"))
        user_by_name = method == "password" and not values.get("userId")
        yield "userDomainName", (user_by_name and not has_domain) or (by_name and not has_project_domain)
    if method == "accessKey":
        yield "region", not (values.get("region") or (values.get("endpoint") and named))
    if agency:
        yield "agencyDomainName", not (values.get("agencyDomainName") or values.get("agencyDomainId"))
        yield "delegatedProject", not (values.get("delegatedProject") or values.get("region") or named)


def _signs_in_at_identity(method: str, values: Mapping[str, object]) -> bool:
    """Return whether a token must be fetched.

    A given token is used as it is if the project and the endpoint are known.
    """
    is_fixed = method == "token" and values.get("endpoint") and values.get("projectId") and not values.get("agencyName")
    return method in ("token", "applicationCredential", "password") and not is_fixed


def _check_access_keys(resolution: Resolution, values: Mapping[str, object]) -> None:
    if values.get("agencyName"):
        raise SettingsError(messages.no_agency_with_keys(resolution.origin("agencyName")))
    if values.get("endpoint"):
        return
    if values.get("interface", "public") != "public":
        raise SettingsError(messages.no_interface_with_keys(resolution.origin("interface")))
    if default_endpoint(values) is None:
        endpoint = how_to_set(resolution.rule, "endpoint")
        raise SettingsError(messages.unknown_cbr_host(resolution.origin("authUrl"), str(values["authUrl"]), endpoint))


def _add_addresses(method: str, values: dict[str, object]) -> None:
    """Add the addresses that follow from the region and the domain."""
    if method == "cloud":
        return
    if method == "accessKey" and not values.get("endpoint"):
        values["endpoint"] = default_endpoint(values)
    if not values.get("authUrl"):
        values["authUrl"] = default_auth_url(values)


def _overrides(resolution: Resolution) -> tuple[tuple[str, str], ...]:
    own = Place.ENTRY
    return tuple(
        (name, str(value.value)) for name, value in resolution.values.items() if resolution.places[name] is not own
    )


def check_url(name: str, url: str, *, insecure: bool) -> None:
    """Refuse a malformed URL, and one that would show credentials on the way.

    Raises `SettingsError`.
    """
    _check_url_of(name, url, insecure=insecure)


def _check_url_of(origin: str, url: str, *, insecure: bool) -> None:
    plain = PROJECT_TEMPLATE.sub("", url)
    try:
        parts = urlsplit(plain)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if (
        not host
        or parts.scheme not in ("https", "http")
        or "@" in parts.netloc
        or re.search(r"[?#\\\s{]|[%$]\(", plain)
    ):
        raise SettingsError(messages.not_a_url(origin))
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise SettingsError(plain_http(origin, host))


def plain_http(name: str, host: str) -> str:
    """Return the message that refuses plain http."""
    return messages.plain_http(name, host)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
