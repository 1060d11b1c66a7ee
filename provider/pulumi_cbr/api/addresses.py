"""Which cloud the addresses belong to: the checks that no credential leaves its cloud, and what follows from a region."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple
from urllib.parse import urlsplit

from pulumi_cbr import messages
from pulumi_cbr.api.endpoints import (
    SHARED_REGIONS,
    cbr_url,
    cloud_of_domain,
    cloud_of_region,
    find_hidden_domain,
    find_public_domain,
    host_of,
    identity_url,
    parse_address,
)
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.precedence import Place, Resolution, Source, Value


class _Fact(NamedTuple):
    """A domain of a cloud, or a host of which no more is known, and the value that names it."""

    value: Value
    domain: str | None
    host: str = ""

    @property
    def shown(self) -> str:
        return self.domain or self.host


def check_one_cloud(resolution: Resolution, sources: Mapping[Place, Source]) -> None:
    """Refuse addresses of two clouds, and credentials with another cloud's address.

    Raises `SettingsError`.
    """
    values = resolution.values
    _check_hosts(values)
    used = list(_find_facts(values))
    for first, second in combinations(used, 2):
        if _contradict(first, second):
            raise SettingsError(messages.two_clouds(first.value.origin, first.shown, second.value.origin, second.shown))
    _check_one_region(values)
    for place in _find_credential_places(resolution):
        own = next(_find_facts(sources[place].values), None)
        for fact in used:
            if own and resolution.places[fact.value.name] is not place and not _same_cloud(own, fact):
                raise SettingsError(messages.two_clouds(fact.value.origin, fact.shown, own.value.origin, own.shown))


def _check_hosts(values: Mapping[str, Value]) -> None:
    """Refuse a host that only begins like one of a public cloud."""
    for name in {"authUrl", "endpoint", "cloudDomain"} & values.keys():
        text = str(values[name].value)
        domain = find_hidden_domain(text if name == "cloudDomain" else host_of(text))
        if domain:
            raise SettingsError(messages.hidden_domain(values[name].origin, domain))


def _find_credential_places(resolution: Resolution) -> list[Place]:
    """Return the entry that is named, and the places that give a credential."""
    given = (name for names in resolution.method.credentials for name in names if name in resolution.places)
    named = [Place.ENTRY] if resolution.rule.credentials_from is Place.ENTRY else []
    return list(dict.fromkeys((*named, *(resolution.places[name] for name in given))))


def _check_one_region(values: Mapping[str, Value]) -> None:
    """Refuse a CBR address and a project of another region than the configured one."""
    if "region" not in values:
        return
    region = values["region"]
    others = []
    if endpoint := values.get("endpoint"):
        address = parse_address(str(endpoint.value), str(region.value))
        # A host of an unknown domain may have no region in it.
        if address and (cloud_of_domain(address.domain) or address.domain in SHARED_REGIONS.values()):
            others.append((endpoint, address.region))
    # With an agency, only the agency's project is worked in.
    project = values.get("delegatedProject" if "agencyName" in values else "projectName")
    if project:
        others.append((project, other_region_of(str(project.value), str(region.value))))
    for other, other_region in others:
        if other_region and other_region != region.value:
            raise SettingsError(messages.two_regions(other.origin, other_region, region.origin, str(region.value)))


def _find_facts(values: Mapping[str, Value]) -> Iterator[_Fact]:
    """Yield what is told of the cloud, the most telling first."""
    region = str(values["region"].value) if "region" in values else None
    for name in ("authUrl", "cloudDomain", "endpoint", "region"):
        if name not in values:
            continue
        value = values[name]
        text = str(value.value)
        if name == "cloudDomain":
            # The hosts of a domain below a public cloud's are that cloud's.
            yield _Fact(value, find_public_domain(text) or text)
        elif name == "region":
            cloud = cloud_of_region(text)
            if cloud:
                yield _Fact(value, cloud.domain)
        else:
            address = parse_address(text, region)
            if address or name == "authUrl":
                yield _Fact(value, address.domain if address else None, urlsplit(text).netloc.lower())


def _contradict(first: _Fact, second: _Fact) -> bool:
    """Return whether two addresses in use belong to two clouds, at least one of them known."""
    if first.domain is None or second.domain is None or first.domain == second.domain:
        return False
    if "region" in (first.value.name, second.value.name):
        # A partner's domain may have a region of any name.
        return all(cloud_of_domain(fact.domain) for fact in (first, second))
    return any(cloud_of_domain(fact.domain) for fact in (first, second))


def _same_cloud(own: _Fact, other: _Fact) -> bool:
    if own.value.name == "region" and other.value.name in ("authUrl", "cloudDomain"):
        # Only the region tells the cloud of the credentials, and no other company has a region of that name.
        return other.domain == own.domain
    if own.domain and other.domain:
        names = (own.value.name, other.value.name)
        unknown = not all(cloud_of_domain(fact.domain) for fact in (own, other))
        return own.domain == other.domain or ("region" in names and unknown)
    if "region" in (own.value.name, other.value.name):
        return True
    return own.host == other.host if own.host and other.host else True


def is_elsewhere(url: str, auth_url: str | None, region: str) -> bool:
    """Return whether a catalog's address is in another public cloud or region."""
    address, identity = parse_address(url), parse_address(auth_url)
    if not address or not cloud_of_domain(address.domain):
        return False
    is_other_cloud = identity and cloud_of_domain(identity.domain) and identity.domain != address.domain
    return bool(
        is_other_cloud or (cloud_of_region(region) and cloud_of_region(address.region) and address.region != region)
    )


def is_same_region(one: str, other: str) -> bool:
    """Return whether two CBR addresses are of one region. False if they do not tell it."""
    if _normalize(one) == _normalize(other):
        return True
    first, second = parse_address(one), parse_address(other)
    return bool(first and second and first.region and first == second)


def _normalize(url: str) -> str:
    """Return an address in lower case and without the usual port."""
    return re.sub("^(https://[^/]*):443(?=/|$)", r"\1", url.lower()).rstrip("/")


def region_from(auth_url: str | None, project_name: str | None) -> str | None:
    """Return the region in a project's name or in the identity address."""
    own = _region_of_project(project_name)
    if own:
        return own
    address = parse_address(auth_url)
    return address.region if address else None


def other_region_of(project: str | None, region: str | None) -> str | None:
    """Return the region that a project is in by its name, if another one is configured.

    A region that no public cloud has is the catalog's to refuse: it knows the names.
    """
    own = _region_of_project(project)
    return own if cloud_of_region(region) and own != region else None


def _region_of_project(name: str | None) -> str | None:
    """Return the region that the name of a project begins with, in a public cloud."""
    prefix = (name or "").partition("_")[0].lower()
    return prefix if cloud_of_region(prefix) else None


def cloud_domain_from(values: Mapping[str, object]) -> str | None:
    """Return the cloud's domain: from the setting, the identity address or the region."""
    region = values.get("region")
    if values.get("cloudDomain"):
        return str(values["cloudDomain"])
    if values.get("authUrl"):
        address = parse_address(str(values["authUrl"]), str(region) if region else None)
        return address.domain if address else None
    cloud = cloud_of_region(str(region)) if region else None
    return cloud.domain if cloud else None


def default_auth_url(values: Mapping[str, object]) -> str | None:
    """Return the identity address for a region and a domain, or for the CBR address."""
    region = str(values["region"]) if values.get("region") else None
    if values.get("endpoint") and not values.get("cloudDomain"):
        # A region's name may be another company's too: the address tells more.
        address = parse_address(str(values["endpoint"]), region)
        if address is None:
            return None
        # The host of a known cloud may have another form, which tells no region.
        return identity_url(address.domain, address.region or (region if cloud_of_domain(address.domain) else None))
    domain = cloud_domain_from(values)
    return identity_url(domain, region) if domain else None


def default_endpoint(values: Mapping[str, object]) -> str | None:
    """Return the CBR address that follows from the region and the cloud's domain."""
    domain = cloud_domain_from(values)
    return cbr_url(domain, str(values["region"])) if domain and values.get("region") else None
