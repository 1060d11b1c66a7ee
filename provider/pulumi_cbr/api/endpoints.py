"""The public clouds that run CBR, as data, and the hosts that follow from a domain and a region."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit


class Cloud(NamedTuple):
    """A public cloud: its domain, its regions, and the source of these facts."""

    name: str
    domain: str
    #: A regular expression of the regions that only this cloud has.
    regions: str
    source: str
    #: The first part of the identity service's host.
    identity: str = "iam"
    #: Whether one identity service without a region in its name serves all regions.
    has_global_identity: bool = False


#: A region that more than one company runs under its own domain is in no row: see `SHARED_REGIONS`.
CLOUDS = (
    Cloud(
        "Open Telekom Cloud",
        "otc.t-systems.com",
        r"eu-de|eu-nl",
        "docs.otc.t-systems.com, Regions and Endpoints; openstacksdk's vendor profile `otc`",
    ),
    Cloud(
        "Swiss Open Telekom Cloud",
        "sc.otc.t-systems.com",
        r"eu-ch2",
        "docs.sc.otc.t-systems.com, Regions and Endpoints; openstacksdk's vendor profile `otc-swiss`",
        identity="iam-pub",
    ),
    Cloud(
        "Huawei Cloud Europe",
        "myhuaweicloud.eu",
        r"eu-west-1\d\d",
        "terraform-provider-huaweicloud, provider.go: defaultEuropeCloud, prefixEuropeRegion",
        has_global_identity=True,
    ),
    Cloud(
        "Huawei Cloud",
        "myhuaweicloud.com",
        r"cn-(north-(1|2|4|9|11|12)|east-[2-5]|south-[124]|southwest-[23])|ap-southeast-[1-5]|af-(south|north)-1"
        r"|sa-brazil-1|la-north-2|la-south-2|na-mexico-1|tr-west-1|me-east-1|ru-northwest-2",
        "huaweicloudsdkcbr 3.1.219, v1/region/cbr_region.py",
        has_global_identity=True,
    ),
)

#: Regions that partners run under domains of their own, although Huawei's SDK lists them under its own domain.
SHARED_REGIONS = {
    "eu-west-0": "prod-cloud-ocb.orange-business.com",  # terraform-provider-flexibleengine: defaultCloud
    "ae-ad-1": "g42cloud.com",  # g42cloud-sdk-python: regions of each service
    "ru-moscow-1": "hc.sbercloud.ru",  # terraform-provider-sbercloud, examples
    "my-kualalumpur-1": "alphaedge.tmone.com.my",  # huaweicloud-sdk-java-v3: KmsRegion
}

#: How the name of a region looks, in a host of a cloud that is not in the table.
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)*-[a-z]*\d+")
_HOST = re.compile(r"(iam|iam-pub|cbr)\.(.+)")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")


class Address(NamedTuple):
    """The domain in an address of a cloud, and the region unless it serves all of them."""

    domain: str
    region: str | None


def cloud_of_domain(domain: str | None) -> Cloud | None:
    """Return the public cloud that has a domain."""
    return next((cloud for cloud in CLOUDS if cloud.domain == domain), None)


def cloud_of_region(region: str | None) -> Cloud | None:
    """Return the public cloud that has a region, if no other company has one of that name."""
    return next((cloud for cloud in CLOUDS if re.fullmatch(cloud.regions, region or "")), None)


def is_domain(text: str) -> bool:
    """Return whether a text can be the domain of a cloud."""
    return bool(_DOMAIN.fullmatch(text))


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, or an empty text for a malformed URL."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def find_hidden_domain(host: str) -> str | None:
    """Return the domain of a public cloud in the middle of a host, which somebody else has."""
    return next((cloud.domain for cloud in CLOUDS if f".{cloud.domain}." in f".{host.rstrip('.')}"), None)


def find_public_domain(domain: str) -> str | None:
    """Return the domain of the public cloud that a domain is, or is below."""
    known = [cloud.domain for cloud in CLOUDS if f".{domain}".endswith(f".{cloud.domain}")]
    return max(known, key=len, default=None)


def parse_address(url: str | None, region: str | None = None) -> Address | None:
    """Return the domain and the region in a URL, or None if it has another form.

    `region` is the one that is configured: it helps to tell a region from a part of an unknown domain.
    """
    host = host_of(url or "")
    match = _HOST.fullmatch(host)
    known = [cloud.domain for cloud in CLOUDS if host.endswith(f".{cloud.domain}")]
    if known:
        domain = max(known, key=len)
        labels = host.removesuffix(f".{domain}").split(".")
        is_usual = match and len(labels) == 2
        return Address(domain, labels[1] if is_usual else next(filter(cloud_of_region, labels), None))
    if not match:
        return None
    rest = match[2]
    first, _, domain = rest.partition(".")
    if "." in domain and (first == region or _REGION.fullmatch(first)):
        return Address(domain, first)
    return Address(rest, None)


def identity_url(domain: str, region: str | None) -> str:
    """Return the URL of the identity service in a cloud's region."""
    cloud = cloud_of_domain(domain)
    prefix = cloud.identity if cloud else "iam"
    return f"https://{prefix}.{region}.{domain}/v3" if region else f"https://{prefix}.{domain}/v3"


def with_version(url: str) -> str:
    """Return an identity service's URL with ``/v3``, also for none or the old ``/v2.0``."""
    return f"{re.sub('/v(2[.]0|3)$', '', url.rstrip('/'))}/v3"


def cbr_url(domain: str, region: str) -> str:
    """Return the URL of CBR in a cloud's region."""
    return f"https://cbr.{region}.{domain}"
