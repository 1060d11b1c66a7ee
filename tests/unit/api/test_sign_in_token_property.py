"""Random users, tokens and application credentials: the documented rules' project and region, or a refusal before CBR is called.

The rules are written a second time here, as docs/sign-in.md and docs/reference/settings.md say them. Each case signs in at the
fake clouds, because the token and its service catalog decide the project and the host. In every case:

- The user, the agency, the project and the CBR host are those that the rules name, or nothing is called.
- Each agency and each plugin of an entry is used or refused.
- The CBR host follows from the region alone, whatever the identity address is.
- No secret reaches a host of another cloud than its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openstack.config import loader

from fake_clouds import BACKUP, FakeClouds, project_id, tag_of
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.settings import load
from unit.api.random_places import (
    AGENCY,
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

EXAMPLES = 100
#: The ways of one place, in order of precedence.
WAYS = {
    "v3token": {"token"},
    "v3applicationcredential": {"applicationCredentialId", "applicationCredentialSecret"},
    "password": {"username", "password"},
}
#: Kinds of `auth_type` that ask for one of these ways.
TYPES = {"agency": "password"}
SECRETS = ("token", "applicationCredentialSecret", "password")
CREDENTIALS = set().union(*WAYS.values())
SCOPE = {"projectId", "projectName", "region", *AGENCY, "delegatedProject"}
GIVEN = ("projectId", "projectName", "region", "authUrl")
DOMAIN = {"userDomainName": "d"}
USER = {"username": "u", "password": "p"}
APPLICATION_CREDENTIAL = {"applicationCredentialId": "a", "applicationCredentialSecret": "a"}
#: Nothing, a part of a way, one way, and two ways.
PLACE_CREDENTIALS: tuple[Values, ...] = (
    {},
    {},
    {},
    {"username": "u"},
    {"password": "p"},
    USER,
    USER,
    {"username": "v", "password": "p"},
    {"token": "t"},
    {**USER, "authType": "password"},
    APPLICATION_CREDENTIAL,
    {**USER, **APPLICATION_CREDENTIAL},
    {**USER, "token": "t", "authType": "password"},
)
ADDRESS = {"authUrl": "https://iam.eu-de.otc.t-systems.com/v3"}
#: `trust_id` and `v3multifactor` need a plugin of keystoneauth1.
ENTRY_CREDENTIALS: tuple[Values, ...] = (
    {**USER, "projectId": PROJECTS[0]},
    {**USER, "projectName": "eu-de_b", "authType": "password"},
    {"token": "t", "projectId": PROJECTS[0]},
    {**APPLICATION_CREDENTIAL, "authType": "v3applicationcredential"},
    {**USER, **AGENCY, "projectId": PROJECTS[0], "delegatedProject": "eu-de_theirs", "authType": "agency"},
    {**USER, **ADDRESS, "trust": "trust"},
    {**USER, **ADDRESS, "passcode": "1", "projectId": PROJECTS[0], "authType": "v3multifactor"},
)
#: A vendor profile of two regions, of which the second has its own project.
VENDOR = f"public-clouds: {{v: {{regions: [eu-de, {{name: eu-nl, values: {{auth: {{project_id: {PROJECTS[2]}}}}}}}]}}}}"
PROFILE = "profile: v"
KEYS = {
    "authUrl": "auth_url",
    "projectId": "project_id",
    "projectName": "project_name",
    "applicationCredentialId": "application_credential_id",
    "applicationCredentialSecret": "application_credential_secret",
    "userDomainName": "user_domain_name",
    "agencyName": "target_agency_name",
    "agencyDomainName": "target_domain_name",
    "delegatedProject": "target_project_name",
    "trust": "trust_id",
}


class SignIn(NamedTuple):
    """The sign-in of a run. `user` is whose password is sent."""

    project: str
    region: str
    user: str | None
    is_agency: bool


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
        kind = self.entry.get("authType")
        beside = f"{self.regions}\n    auth_type: {kind}" if kind else self.regions
        return entry(auth + (", auth_methods: [v3password, v3totp]" if kind == "v3multifactor" else ""), beside=beside)

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

    def effective_entry(self, before: Values) -> Values:
        """Return the entry in the region that the places before it choose."""
        chosen = before.get("region", "eu-de")
        own = {"projectId": PROJECTS[2]} if self.regions == PROFILE and chosen == "eu-nl" else {}
        return {**self.entry, **own}


def _tagged(values: Values) -> Values:
    """Return a place whose secrets begin with the tag of its own cloud, or with ``any``."""
    domain = _domain(values)
    tag = tag_of(f"iam.{domain}") if domain else "any"
    return {name: f"{tag}-{value}" if name in (*SECRETS, "passcode") else value for name, value in values.items()}


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
    regions=st.sampled_from([*ENTRY_REGIONS, PROFILE]),
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


class Places(NamedTuple):
    """The places that give credentials, in order, and what others add.

    `family` are the variables that sign in, if any do.
    """

    identity: list[Values]
    added: Values
    family: Values | None


def _places(case: Case) -> Places | None:
    """Return the places to read, or None if the rules refuse."""
    os_ = case.os
    if "OS_TENANT_ID" in case.more:
        differs = os_.get("projectId", case.more["OS_TENANT_ID"]) != case.more["OS_TENANT_ID"]
        os_ = {**os_, "projectId": CONTRADICTION if differs else case.more["OS_TENANT_ID"]}
    if case.named == "argument":
        return Places([case.effective_entry({})], {}, None)
    if case.named == "stack":
        return Places([case.stack, case.effective_entry(case.stack)], {}, None)
    begun = [credentials for credentials in WAYS.values() if credentials & case.stack.keys()]
    if _is_complete(case.stack):
        adding = [family for family in (os_, case.hw) if not CREDENTIALS & family.keys() and SCOPE & family.keys()]
        if case.named == "OS_CLOUD":
            adding = [family for family in adding if family is case.hw]
        added = {name: value for name, value in adding[0].items() if name in SCOPE} if adding else {}
        return Places([case.stack], added, None)
    if case.named == "OS_CLOUD":
        before = merge([case.stack, os_])
        return None if "OS_TRUST_ID" in case.more else Places([case.stack, os_, case.effective_entry(before)], {}, None)
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
    return Places([case.stack, fitting[0]], {}, fitting[0])


def _way(case: Case, places: list[Values], values: Mapping[str, str]) -> str | None:
    """Return the way to sign in: of the first place that gives a secret of a complete one."""
    kind = values.get("authType")
    if "trust" in values or values.get("passcode"):
        # The entry needs a plugin, which takes a user: another way in a place before it is refused.
        others = (source.get("authType") for source in places[:-1])
        foreign = WAYS["v3token"] | WAYS["v3applicationcredential"]
        return None if any(others) or foreign & values.keys() else "plugin"
    for source in places:
        for way, credentials in WAYS.items():
            wanted = TYPES.get(kind, kind) in (None, way) if kind else True
            if wanted and credentials <= values.keys() and set(SECRETS) & credentials & source.keys():
                return way
    return None


def _names_two_identities(case: Case, places: Places, way: str, values: Mapping[str, str]) -> bool:
    if way == "v3applicationcredential" and "authType" not in values and places.identity[-1].get("username"):
        # An application credential beside an entry that has a user.
        return (
            places.family is None
            and case.named is not None
            and "applicationCredentialSecret" not in places.identity[-1]
        )
    if places.family is None:
        return False
    if way != "plugin" and (CREDENTIALS & case.stack.keys()) - WAYS[way]:
        return True
    names = {source["username"] for source in (case.stack, places.family) if "username" in source}
    return way == "password" and len(names) > 1


def _drops_agency(case: Case, places: Places) -> bool:
    """Return whether an agency is in a place that has no credentials and adds nothing."""
    if case.named in ("argument", "stack"):
        return False
    return any(
        "agencyName" in family and not CREDENTIALS & family.keys() and not (family is case.os and case.named)
        for family in (case.os, case.hw)
    )


def _is_one_cloud(case: Case, places: Places, way: str, values: Values) -> bool:
    """Return whether all that is used, and all that gives credentials, is of one cloud."""
    credentials = WAYS.get(way, {"password"})
    givers = [next(source for source in places.identity if name in source) for name in credentials]
    entries = [source for source in places.identity if source.get("region") == "eu-de" and case.named]
    told = [_domain(source) for source in (values, *givers, *entries[-1:])]
    return all(other in (None, domain_of(values["region"])) for other in told)


def expected(case: Case) -> SignIn | None:
    """Return what the documented rules name, or None for a refusal."""
    places = _places(case)
    if places is None:
        return None
    values = merge([*places.identity, places.added])
    way = _way(case, places.identity, values)
    region = values.get("region")
    if way is None or region not in HOSTS or values.get("projectId") == CONTRADICTION:
        return None
    if _names_two_identities(case, places, way, values) or not _is_one_cloud(case, places, way, values):
        return None
    tag = tag_of(f"iam.{domain_of(region)}")
    user = values.get("username") if way in ("password", "plugin") else None
    is_agency = "agencyName" in values
    if not is_agency:
        if "delegatedProject" in values or _drops_agency(case, places):
            return None
        project = _project(way, tag, region, values)
    elif "delegatedProject" in values:
        project = project_id(tag, values["delegatedProject"]) if values["delegatedProject"].startswith(region) else None
    else:
        project = project_id(tag, region)
        if places.family is case.hw:
            # These variables name only one project: the agency's.
            project = _project(way, tag, region, {**values})
    return SignIn(project, region, user, is_agency) if project else None


def _project(way: str, tag: str, region: str, values: Mapping[str, str]) -> str | None:
    """Return the project without an agency, or None for a refusal."""
    if way == "v3applicationcredential":
        # The token is for the credential's project, whatever is configured.
        own = project_id(tag, "application")
        return own if values.get("projectId", own) == own and "projectName" not in values else None
    if "trust" in values:
        return None if {"projectId", "projectName"} & values.keys() else project_id(tag, "trust")
    if "projectId" in values:
        # No project of the fake clouds has the name beside its ID.
        return None if "projectName" in values else values["projectId"]
    name = values.get("projectName", region)
    return project_id(tag, name) if name.startswith(region) else None


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_token_project_and_region_follow_the_rules(
    case: Case, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.clear()
    (tmp_path / "clouds-public.yaml").write_text(VENDOR)
    monkeypatch.setattr(loader, "VENDOR_FILES", [str(tmp_path / "clouds-public.yaml")])
    with environment({**clouds.environment, **case.environment}, case.clouds_yaml, tmp_path, monkeypatch):
        try:
            CbrClient(load(case.config.get, cloud=case.cloud)).show_backup(BACKUP)
            refused = ""
        except CbrError as error:
            refused = str(error)
    called = [(request.host, request.path.split("/")[2]) for request in clouds.sent_to("cbr")]
    wanted = expected(case)
    assert called == ([(HOSTS[wanted.region], wanted.project)] if wanted else []), (wanted, refused, case)
    assert bool(refused) == (wanted is None), (wanted, refused, case)
    if wanted:
        identities = [request.json["auth"]["identity"] for request in clouds.requests if request.method == "POST"]
        users = {identity["password"]["user"]["name"] for identity in identities if "password" in identity}
        assert users == ({wanted.user} if wanted.user else set()), (wanted, case)
        assert any("assume_role" in identity for identity in identities) == wanted.is_agency, (wanted, case)
    strayed = [text for text in clouds.strayed() if not text.startswith("any-")]
    assert not strayed, (strayed, case)
