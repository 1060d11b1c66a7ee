"""Random users, tokens and application credentials: the documented rules' project and region, or a refusal before CBR is called.

The rules are written a second time here, as docs/sign-in.md and docs/reference/settings.md say them. Each case signs in at the
fake clouds, because the token and its service catalog decide the project and the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_clouds import BACKUP, FakeClouds, project_id, tag_of
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.settings import load
from unit.api.random_places import (
    CONTRADICTION,
    ENTRY_REGIONS,
    HOSTS,
    MORE_VARIABLES,
    NAMED_BY,
    PROJECTS,
    Values,
    domain_of,
    environment,
    has_variable,
    merge,
    place,
    variables,
)
from unit.api.sign_in_rows import entry

# openstacksdk warns of an option of its own, which nobody set.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

EXAMPLES = 150
#: The ways of one place, in order of precedence.
WAYS = {
    "v3token": {"token"},
    "v3applicationcredential": {"applicationCredentialId", "applicationCredentialSecret"},
    "password": {"username", "password"},
}
SECRETS = ("token", "applicationCredentialSecret", "password")
CREDENTIALS = set().union(*WAYS.values())
SCOPE = {"projectId", "projectName", "region"}
GIVEN = (*sorted(SCOPE), "authUrl")
DOMAIN = {"userDomainName": "d"}
USER = {"username": "u", "password": "p"}
APPLICATION_CREDENTIAL = {"applicationCredentialId": "a", "applicationCredentialSecret": "a"}
#: Nothing, a part of a way, one way, and two ways.
PLACE_CREDENTIALS: tuple[Values, ...] = (
    {},
    {"username": "u"},
    {"password": "p"},
    USER,
    {"token": "t"},
    {**USER, "authType": "password"},
    APPLICATION_CREDENTIAL,
    {**USER, **APPLICATION_CREDENTIAL},
    {**USER, "token": "t", "authType": "password"},
)
ENTRY_CREDENTIALS: tuple[Values, ...] = (
    {**USER, "projectId": PROJECTS[0]},
    {**USER, "projectName": "eu-de_b", "authType": "password"},
    {"token": "t", "projectId": PROJECTS[0]},
    {**APPLICATION_CREDENTIAL, "authType": "v3applicationcredential"},
)
KEYS = {
    "authUrl": "auth_url",
    "projectId": "project_id",
    "projectName": "project_name",
    "applicationCredentialId": "application_credential_id",
    "applicationCredentialSecret": "application_credential_secret",
    "userDomainName": "user_domain_name",
}


@dataclass(frozen=True)
class Case:
    """The values of each place. `named` says what names the entry of clouds.yaml."""

    stack: Values
    os: Values
    hw: Values
    more: Values
    entry: Values
    regions: str
    named: str | None

    @property
    def clouds_yaml(self) -> str:
        given = {name: value for name, value in self.entry.items() if name not in ("authType", "region")}
        auth = ", ".join(f"{KEYS.get(name, name)}: '{value}'" for name, value in given.items())
        kind = f"\n    auth_type: {self.entry['authType']}" if "authType" in self.entry else ""
        return entry(auth, beside=self.regions + kind)

    @property
    def environment(self) -> Values:
        cloud = {"OS_CLOUD": "one"} if self.named == "OS_CLOUD" else {}
        return {**variables("OS", self.os), **self.more, **variables("HW", self.hw), **cloud}

    @property
    def config(self) -> Values:
        return {**self.stack, **({"cloud": "one"} if self.named == "stack" else {})}

    @property
    def cloud(self) -> str | None:
        return "one" if self.named == "argument" else None


def _tagged(values: Values) -> Values:
    """Return a place whose secrets begin with the tag of its own cloud, or with ``any``."""
    domain = _domain(values)
    tag = tag_of(f"iam.{domain}") if domain else "any"
    return {name: f"{tag}-{value}" if name in SECRETS else value for name, value in values.items()}


def _place(family: str = "") -> st.SearchStrategy[Values]:
    kinds = [{name: kind[name] for name in kind if has_variable(family, name)} for kind in PLACE_CREDENTIALS]
    return st.builds(
        lambda values, credentials: _tagged({**DOMAIN, **values, **credentials}),
        place(GIVEN, family),
        st.sampled_from(kinds),
    )


CASES = st.builds(
    Case,
    stack=_place(),
    os=_place("OS"),
    hw=_place("HW"),
    more=MORE_VARIABLES,
    entry=st.sampled_from(ENTRY_CREDENTIALS).map(lambda values: _tagged({**DOMAIN, **values, "region": "eu-de"})),
    regions=st.sampled_from(ENTRY_REGIONS),
    named=NAMED_BY,
)


def _domain(values: Values) -> str | None:
    """Return the cloud that a place tells of: by its address, or by its region."""
    if "authUrl" not in values:
        return domain_of(values.get("region"))
    return values["authUrl"].partition("iam.")[2].removeprefix("eu-de.").removesuffix("/v3")


def _is_complete(*places: Values) -> bool:
    given = set().union(*places)
    return any(credentials <= given for credentials in WAYS.values())


def _identity_places(case: Case) -> tuple[list[Values], Values] | None:
    """Return the places that give credentials, in order, and what others add.

    Return None if the rules refuse.
    """
    os_ = case.os
    if "OS_TENANT_ID" in case.more:
        differs = os_.get("projectId", case.more["OS_TENANT_ID"]) != case.more["OS_TENANT_ID"]
        os_ = {**os_, "projectId": CONTRADICTION if differs else case.more["OS_TENANT_ID"]}
    if case.named == "argument":
        return [case.entry], {}
    if case.named == "stack":
        return [case.stack, case.entry], {}
    begun = [credentials for credentials in WAYS.values() if credentials & case.stack.keys()]
    if _is_complete(case.stack):
        adding = [family for family in (os_, case.hw) if not CREDENTIALS & family.keys() and SCOPE & family.keys()]
        if case.named == "OS_CLOUD":
            adding = [family for family in adding if family is case.hw]
        return [case.stack], {name: value for name, value in adding[0].items() if name in SCOPE} if adding else {}
    if case.named == "OS_CLOUD":
        return None if "OS_TRUST_ID" in case.more else ([case.stack, os_, case.entry], {})
    families = [os_, case.hw]
    if begun:
        fitting = [
            family
            for family in families
            if any(credentials <= case.stack.keys() | family.keys() for credentials in begun)
        ]
    else:
        fitting = [family for family in families if _is_complete(family)]
    if not fitting or ("OS_TRUST_ID" in case.more and fitting[0] is os_):
        return None
    return [case.stack, fitting[0]], {}


def _way(places: list[Values], values: Mapping[str, str]) -> str | None:
    """Return the way to sign in: of the first place that gives a secret of a complete one."""
    for source in places:
        for way, credentials in WAYS.items():
            wanted = values.get("authType", way) == way
            if wanted and credentials <= values.keys() and set(SECRETS) & credentials & source.keys():
                return way
    return None


def expected(case: Case) -> tuple[str, str] | None:
    """Return the project and the region that the documented rules name, or None for a refusal."""
    found = _identity_places(case)
    if found is None:
        return None
    places, added = found
    values = merge([*places, added])
    way = _way(places, values)
    region = values.get("region")
    if way is None or region not in HOSTS or values.get("projectId") == CONTRADICTION:
        return None
    domain = domain_of(region)
    # One cloud: the region and the address in use, the places that give a credential, and the entry.
    givers = [next(source for source in places if name in source) for name in WAYS[way]]
    told = [_domain(source) for source in (values, *givers, *(source for source in places if source is case.entry))]
    if any(other and other != domain for other in told):
        return None
    tag = tag_of(f"iam.{domain}")
    own = project_id(tag, "application")
    if way == "v3applicationcredential":
        # The token is for the credential's project, whatever is configured.
        return (own, region) if values.get("projectId", own) == own and "projectName" not in values else None
    if "projectId" in values:
        # No project of the fake clouds has the name beside its ID.
        return None if "projectName" in values else (values["projectId"], region)
    return project_id(tag, values.get("projectName", region)), region


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_token_project_and_region_follow_the_rules(
    case: Case, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.clear()
    with environment({**clouds.environment, **case.environment}, case.clouds_yaml, tmp_path, monkeypatch):
        try:
            CbrClient(load(case.config.get, cloud=case.cloud)).show_backup(BACKUP)
            refused = ""
        except CbrError as error:
            refused = str(error)
    called = [(request.host, request.path.split("/")[2]) for request in clouds.sent_to("cbr")]
    wanted = expected(case)
    assert called == ([(HOSTS[wanted[1]], wanted[0])] if wanted else []), (wanted, refused, case)
    assert bool(refused) == (wanted is None), (wanted, refused, case)
    strayed = [text for text in clouds.strayed() if not text.startswith("any-")]
    assert not strayed, (strayed, case)
