"""Read entries of clouds.yaml and secure.yaml with openstacksdk. No other module imports it."""

from __future__ import annotations

import copy
import difflib
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.clouds_file import Document, check_document, normalize
from pulumi_cbr.api.definitions import ALTERNATIVES, AUTH_TYPES, SETTINGS, parse_value
from pulumi_cbr.api.endpoints import cloud_of_region
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.precedence import Place, Source, Value
from pulumi_cbr.api.text import one_line

if TYPE_CHECKING:
    from keystoneauth1.identity.base import BaseIdentityPlugin
    from openstack.config.cloud_region import CloudRegion
    from openstack.config.loader import OpenStackConfig

#: Keys below `auth` whose values are secret, for any plugin: password, token, application_credential_secret, passcode...
_SECRET = re.compile("pass|secret|token|key|code")

#: The keys below `auth` that are settings of ours. Of several keys for one setting, the first counts.
AUTH_KEYS: Mapping[str, str] = {
    "auth_url": "authUrl",
    "project_id": "projectId",
    "project_name": "projectName",
    "project_domain_id": "projectDomainId",
    "project_domain_name": "projectDomainName",
    "user_id": "userId",
    "username": "username",
    "user_name": "username",
    "password": "password",
    "passcode": "passcode",
    "user_domain_id": "userDomainId",
    "user_domain_name": "userDomainName",
    "domain_id": "userDomainId",
    "domain_name": "userDomainName",
    "token": "token",
    "application_credential_id": "applicationCredentialId",
    "application_credential_secret": "applicationCredentialSecret",
    "access_key": "accessKey",
    "ak": "accessKey",
    "secret_key": "secretKey",
    "sk": "secretKey",
    "security_token": "securityToken",
    "target_agency_name": "agencyName",
    "agency_name": "agencyName",
    "target_domain_id": "agencyDomainId",
    "agency_domain_id": "agencyDomainId",
    "target_domain_name": "agencyDomainName",
    "agency_domain_name": "agencyDomainName",
    "target_project_id": "delegatedProject",
    "target_project_name": "delegatedProject",
    "delegated_project": "delegatedProject",
}

#: Those that a plugin takes. A plugin has no agency.
_PLUGIN_SETTINGS = frozenset(AUTH_KEYS.values()) - {
    "agencyName",
    "agencyDomainName",
    "agencyDomainId",
    "delegatedProject",
}

#: The keys beside `auth` that are settings of ours. A key for CBR overrides the one for all services, so it is first.
_KEYS: Mapping[str, str] = {
    "auth_type": "authType",
    "cbr_region_name": "region",
    "region_name": "region",
    "cbr_interface": "interface",
    "interface": "interface",
    "cbr_endpoint_override": "endpoint",
    "cbr_endpoint": "endpoint",
    "cloud_domain": "cloudDomain",
}

#: Frequent mistakes, and the right key. `difflib` would find several similar ones.
_MISTAKES = {
    "user": "username",
    "project": "project_name",
    "tenant": "project_name",
    "domain": "user_domain_name",
    "region": "region_name",
}

#: Other keys beside `auth` that are read here or by openstacksdk.
_OTHER_KEYS = ("auth", "auth_plugin", "regions", "profile", "cloud", "verify", "insecure", "cacert")
#: The same for each service, such as `cbr_timeout`.
_SERVICE_KEYS = re.compile(
    r".+_(api_version|endpoint(_override|_type)?|interface|region_name|service_(type|name)|timeout)"
)

#: Keys that change who signs in or what is called, and that nothing here can honor.
_UNSUPPORTED = ("cert", "key", "cbr_service_type", "cbr_service_name", "cbr_api_version")
#: Values of these keys that change nothing.
_USUAL = {"cbr_service_type": ("cbr",), "cbr_api_version": ("3", "3.0", "v3", "v3.0")}


def read_entry(cloud: str, region: str | None = None) -> Source:
    """Return the values of an entry in one region, under the names of our settings.

    Raises `SettingsError` if openstacksdk is not installed, or the entry is missing or broken.
    """
    document, loader = _load(cloud)
    entry, merged = _choose_region(document, loader, cloud, region)
    auth = {str(key): value for key, value in (merged.config.get("auth") or {}).items()}
    explicit = {key: value for key, value in merged.config.items() if key in _written_keys(loader, cloud, entry)}
    # As openstacksdk has it, what belongs below `auth` may be beside it.
    auth |= {key: explicit[key] for key in AUTH_KEYS if explicit.get(key) and not auth.get(key)}
    _check_keys(document, cloud, entry, _profile_of(loader, cloud, entry))
    needs_plugin = _needs_plugin(document, cloud, explicit.get("auth_type"), auth)
    values = [
        *_find_values(document, cloud, merged.region_name, explicit, auth),
        *_certificate_values(document, cloud, explicit, merged),
    ]
    secrets = tuple(str(value) for key, value in sorted(auth.items()) if value and _SECRET.search(key))
    unsupported = tuple(document.origin(cloud, key) for key in _UNSUPPORTED if _is_set(explicit, key))
    return Source(Place.ENTRY, tuple(values), needs_plugin, secrets if needs_plugin else (), unsupported)


def _is_set(explicit: Mapping[str, Any], key: str) -> bool:
    return bool(explicit.get(key)) and str(explicit[key]) not in _USUAL.get(key, ())


def _certificate_values(
    document: Document, cloud: str, explicit: Mapping[str, Any], merged: CloudRegion
) -> list[Value]:
    if not isinstance(explicit.get("cacert"), (str, type(None))):
        raise SettingsError(messages.wrong_form(document.origin(cloud, "cacert"), "a path"))
    if not any(key in explicit for key in ("verify", "insecure", "cacert")):
        return []
    # openstacksdk merges the three keys into one value: False, True or a path. Give both settings, so that
    # neither comes from a later place.
    verify, _ = merged.get_requests_verify_args()
    path = verify if isinstance(verify, str) else None
    return [
        Value("insecure", verify is False, document.origin(cloud)),
        Value("caCert", path, document.origin(cloud, "cacert")),
    ]


def plugin_of(cloud: str, region: str | None, overrides: Iterable[tuple[str, str]]) -> BaseIdentityPlugin:
    """Return the keystoneauth1 plugin of an entry, after the settings that override the entry.

    Raises `SettingsError`.
    """
    from keystoneauth1.identity.base import BaseIdentityPlugin

    document, loader = _load(cloud)
    try:
        entry = loader.cloud_config["clouds"][cloud]
        for key in (key for key, name in AUTH_KEYS.items() if name not in _PLUGIN_SETTINGS):
            # The agency's token is fetched afterwards, with the plugin's own.
            (entry.get("auth") or {}).pop(key, None)
        for name, value in overrides:
            if name in _PLUGIN_SETTINGS:
                _override(entry, name, value)
        _choose_region(document, loader, cloud, region)
        plugin = loader.get_one(cloud, region_name=region or "").get_session().auth
    except SettingsError:
        raise
    except Exception as error:  # openstacksdk and its plugins raise whatever fits them, down to ValueError
        words = _shorten(error)
        raise SettingsError(messages.entry_cannot_sign_in(document.origin(cloud), words)) from error
    if not isinstance(plugin, BaseIdentityPlugin):
        raise SettingsError(messages.entry_gives_no_token(document.origin(cloud)))
    return plugin


def _override(entry: dict[str, Any], name: str, value: str) -> None:
    """Set a value in an entry.

    Removes its other spellings, and the ID or name that means the same.
    """
    same = next((pair for pair in ALTERNATIVES if name in pair), (name,))
    auth = entry["auth"] = dict(entry.get("auth") or {})
    for key in [key for key, setting in AUTH_KEYS.items() if setting in same]:
        for spelling in (key, key.replace("project", "tenant")):
            for written in (spelling, spelling.replace("_", "-")):
                auth.pop(written, None)
                entry.pop(written, None)
    auth[next(key for key, setting in AUTH_KEYS.items() if setting == name)] = value


def _load(cloud: str) -> tuple[Document, OpenStackConfig]:
    """Return the file that has the entries, and openstacksdk's reading of it."""
    try:
        from openstack.config import loader
    except ImportError:
        raise SettingsError(messages.no_openstacksdk(cloud)) from None

    config_files = _files("OS_CLIENT_CONFIG_FILE", loader.CONFIG_FILES)
    secure_files = _files("OS_CLIENT_SECURE_FILE", loader.SECURE_FILES)
    document = check_document(cloud, config_files, secure_files)
    try:
        config = loader.OpenStackConfig(config_files=config_files, secure_files=secure_files, load_envvars=False)
    except Exception as error:  # a file of a wrong form
        raise SettingsError(messages.entry_unreadable(document.path, type(error).__name__)) from None
    if cloud not in config.cloud_config["clouds"]:
        raise SettingsError(messages.name_is_no_text(document.origin(cloud)))
    return document, config


def _files(variable: str, usual: Iterable[str]) -> list[str]:
    """Return the files to look for.

    Raises `SettingsError` if the variable names one that does not exist.
    """
    # Read here: openstacksdk adds the variable's file to a list that every later loader of the process reads.
    given = os.path.expanduser(os.environ.get(variable, "").strip())
    if given and not os.path.exists(given):
        raise SettingsError(messages.no_such_file(variable, given))
    return [given] if given else list(usual)


def _choose_region(
    document: Document, loader: OpenStackConfig, cloud: str, region: str | None
) -> tuple[dict[str, Any], CloudRegion]:
    """Return an entry as it is written, and as openstacksdk reads it in a region."""
    entry: dict[str, Any] = loader.cloud_config["clouds"][cloud]
    _normalize_regions(document, cloud, entry)
    try:
        _check_profile(document, loader, cloud, entry)
        # openstacksdk would take the first of the regions, whatever `region_name` says.
        region = region or ((entry.get("region_name") or None) if entry.get("regions") else None)
        offered = _offered_regions(loader, cloud, entry)
        if region and offered and region not in offered:
            raise SettingsError(messages.entry_has_no_region(document.origin(cloud), region, offered))
        own = entry.get("region_name")
        own_cloud, wanted = cloud_of_region(own), cloud_of_region(region)
        if region and own_cloud and own_cloud is not wanted and (wanted or not _has_address(loader, cloud, entry)):
            # The entry's region is the only sign of its cloud. Its credentials must not go to another cloud.
            raise SettingsError(messages.entry_has_no_region(document.origin(cloud), region, [str(own)]))
        if region and "regions" not in entry and own != region:
            # A region that the vendor profile offers keeps the profile's own values for it.
            if offered:
                entry.pop("region_name", None)
            else:
                entry["region_name"] = region
        return entry, loader.get_one(cloud, validate=False, region_name=region or "")
    except SettingsError:
        raise
    except Exception as error:  # a vendor file that is not YAML, an entry of a wrong form
        mark = getattr(error, "problem_mark", None)
        if mark:
            raise SettingsError(messages.no_yaml(mark.name, mark.line + 1)) from None
        is_odd = isinstance(error, (AttributeError, KeyError, IndexError, TypeError))
        words = "a value has a wrong form" if is_odd else _shorten(error)
        raise SettingsError(messages.entry_cannot_sign_in(document.origin(cloud), words)) from error


def _has_address(loader: OpenStackConfig, cloud: str, entry: Mapping[str, Any]) -> bool:
    """Return whether an entry or its vendor profile has an identity address."""
    parts = (entry, _profile_of(loader, cloud, entry))
    return any(part.get("auth_url") or (part.get("auth") or {}).get("auth_url") for part in parts)


def _normalize_regions(document: Document, cloud: str, entry: dict[str, Any]) -> None:
    """Read a list in `region_name` as `regions`.

    Raises `SettingsError` for a value of a wrong form.
    """
    name, regions = entry.get("region_name"), entry.get("regions")
    if isinstance(name, str) and "," in name:
        name = [part.strip() for part in name.split(",")]
    if isinstance(name, list):
        del entry["region_name"]
        regions = entry["regions"] = name
    elif not isinstance(name, (str, type(None))):
        raise SettingsError(messages.wrong_form(document.origin(cloud, "region_name"), "a text"))
    if regions is None:
        entry.pop("regions", None)
    elif not isinstance(regions, list) or not all(map(_is_region, regions)):
        raise SettingsError(messages.wrong_form(document.origin(cloud, "regions"), "a list of regions"))
    for region in regions or ():
        if isinstance(region, dict):
            region["values"] = region.get("values") or {}
    if not isinstance(entry.get("auth") or {}, dict):
        raise SettingsError(messages.wrong_form(document.origin(cloud, "auth"), "keys with values"))
    # openstacksdk turns a key without a value into the text `None`.
    entry["auth"] = {key: value for key, value in (entry.get("auth") or {}).items() if value is not None}


def _is_region(region: object) -> bool:
    if not isinstance(region, dict):
        return isinstance(region, str)
    return isinstance(region.get("name"), str) and isinstance(region.get("values") or {}, dict)


def _check_profile(document: Document, loader: OpenStackConfig, cloud: str, entry: Mapping[str, Any]) -> None:
    """Refuse a vendor profile that nobody knows. Raises `SettingsError`."""
    key = next((key for key in ("profile", "cloud") if entry.get(key)), None)
    if key and not isinstance(entry[key], str):
        raise SettingsError(messages.wrong_form(document.origin(cloud, key), "a text"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        profile = _profile_of(loader, cloud, entry)
    if key and not profile:
        raise SettingsError(messages.unknown_profile(document.origin(cloud, key), str(entry[key])))


def _profile_of(loader: OpenStackConfig, cloud: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the vendor profile of an entry; nothing if it names none."""
    profile: dict[str, Any] = {}
    # Private in name only: the public methods do not tell a profile's values apart from the entry's.
    loader._expand_vendor_profile(cloud, profile, copy.deepcopy(dict(entry)))
    return profile


def _check_keys(document: Document, cloud: str, *merged: Mapping[str, Any]) -> None:
    """Refuse a key beside `auth`, of an anchor or of a profile, that is likely misspelled.

    Raises `SettingsError`.
    """
    known = (*AUTH_KEYS, *_KEYS, *_OTHER_KEYS)
    keys = [*document.keys(cloud), *(str(key).replace("-", "_") for part in merged for key in part)]
    for key in dict.fromkeys(keys):
        if normalize(key) in known or _SERVICE_KEYS.fullmatch(key):
            continue
        if key in _MISTAKES or difflib.get_close_matches(key, known, n=1, cutoff=0.85):
            raise SettingsError(messages.unknown_key(document.origin(cloud, key), _MISTAKES.get(key, key), known))


def _offered_regions(loader: OpenStackConfig, cloud: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the regions that an entry or its vendor profile offers; none if it does not say."""
    regions = entry.get("regions")
    if not regions:
        without = {key: value for key, value in entry.items() if key != "region_name"}
        regions = _profile_of(loader, cloud, without).get("regions")
    return [str(region["name"] if isinstance(region, dict) else region) for region in regions or ()]


def _written_keys(loader: OpenStackConfig, cloud: str, entry: Mapping[str, Any]) -> set[str]:
    """Return the keys that somebody wrote, apart from openstacksdk's own defaults."""
    profile = _profile_of(loader, cloud, entry)
    regions = [*(entry.get("regions") or ()), *(profile.get("regions") or ())]
    values = [region.get("values") or {} for region in regions if isinstance(region, dict)]
    written = {str(key).replace("-", "_") for part in (entry, profile, *values) for key in part}
    aliases = {"auth_plugin": "auth_type", "endpoint_type": "interface", "cbr_endpoint_type": "cbr_interface"}
    return written | {alias for key, alias in aliases.items() if key in written} | {"region_name"}


def _needs_plugin(document: Document, cloud: str, auth_type: object, auth: Mapping[str, object]) -> bool:
    """Return whether a plugin of keystoneauth1 reads the entry.

    Raises `SettingsError` for an unknown key.
    """
    unknown = [key for key in auth if key not in AUTH_KEYS]
    kind = str(auth_type) if auth_type else None
    if not unknown and (kind in AUTH_TYPES or kind is None):
        return False
    known = {*AUTH_KEYS, *_plugin_options(kind or "password")}
    for key in unknown:
        if key not in known:
            raise SettingsError(messages.unknown_key(document.origin(cloud, key), _MISTAKES.get(key, key), known))
    return True


def _plugin_options(auth_type: str) -> set[str]:
    from keystoneauth1 import loading

    try:
        loader: loading.BaseLoader[Any] = loading.get_plugin_loader(auth_type)
    except Exception:  # a plugin that is not installed: what it takes is not known
        return set()
    names = {option.name for option in loader.get_options()}
    names |= {old.name for option in loader.get_options() for old in option.deprecated}
    return {name.replace("-", "_") for name in names}


def _find_values(
    document: Document, cloud: str, region: str | None, explicit: Mapping[str, object], auth: Mapping[str, object]
) -> list[Value]:
    found = [(name, key, auth[key]) for key, name in AUTH_KEYS.items() if auth.get(key) not in (None, "")]
    # Reversed, so that the first of several keys for one setting wins.
    beside = {_KEYS[key]: key for key in reversed(list(_KEYS)) if explicit.get(key) not in (None, "")}
    found += [(name, key, explicit[key]) for name, key in beside.items()]
    values = [Value("cloud", cloud, document.origin(cloud))]
    is_changed_by_yaml = document.make_change_check(cloud, region)
    for name, key, given in found:
        origin = document.origin(cloud, key)
        if not isinstance(given, (dict, list)) and is_changed_by_yaml(key):
            raise SettingsError(messages.wrong_form(origin, "in quotes: YAML changes it"))
        text = str(given) if SETTINGS[name].kind is str and isinstance(given, (str, int)) else given
        values.append(Value(name, parse_value(name, text, origin), origin))
    return values


def _shorten(error: Exception) -> str:
    """Return an error's text for the middle of a sentence. Three dots show that it is cut."""
    text = one_line(str(error), 120)
    return text if text.endswith("...") else text.rstrip(".")
