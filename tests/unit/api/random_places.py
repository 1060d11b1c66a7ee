"""Random values of the places that sign-ins are read from, for the tests of the documented rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fake_clouds import project_id

#: Settings and their values.
Values = dict[str, str]

#: The last is the one of each application credential.
PROJECTS = (*(digit * 32 for digit in "abc"), project_id("otc", "application"))
PROJECT_NAMES = ("eu-de_b", "eu-nl_b")
REGIONS = ("eu-de", "eu-nl", "ap-southeast-1", "zz-north-7")
HOSTS = {
    "eu-de": "cbr.eu-de.otc.t-systems.com",
    "eu-nl": "cbr.eu-nl.otc.t-systems.com",
    "ap-southeast-1": "cbr.ap-southeast-1.myhuaweicloud.com",
}
#: One region, or the first of two.
ENTRY_REGIONS = ("region_name: eu-de", "regions: [eu-de, eu-nl]")
CONTRADICTION = "two projects"

#: What each setting can be. A place has most of them seldom, so that few contradict each other.
_VALUES: Mapping[str, tuple[str | None, ...]] = {
    "projectId": (None, None, None, None, *PROJECTS[:2]),
    "projectName": (None, None, None, None, None, *PROJECT_NAMES),
    "region": (None, None, None, *REGIONS, "eu-de"),
    "authUrl": (None, None, None, None, "https://iam.eu-de.otc.t-systems.com/v3", "https://iam.myhuaweicloud.com/v3"),
    "accessKey": (None, "k"),
    "secretKey": (None, "s"),
}
#: An agency to act for, in its own project, and what lacks the agency.
AGENCY = {"agencyName": "agency", "agencyDomainName": "theirs"}
_AGENCIES: tuple[Values, ...] = (
    *({},) * 10,
    AGENCY,
    {**AGENCY, "delegatedProject": "eu-de_theirs"},
    {"delegatedProject": "eu-nl_theirs"},
)
_VARIABLES = {
    "OS": {
        "projectId": "OS_PROJECT_ID",
        "projectName": "OS_PROJECT_NAME",
        "region": "OS_REGION_NAME",
        "authUrl": "OS_AUTH_URL",
        "authType": "OS_AUTH_TYPE",
        "accessKey": "OS_ACCESS_KEY",
        "secretKey": "OS_SECRET_KEY",
        "username": "OS_USERNAME",
        "password": "OS_PASSWORD",
        "token": "OS_TOKEN",
        "applicationCredentialId": "OS_APPLICATION_CREDENTIAL_ID",
        "applicationCredentialSecret": "OS_APPLICATION_CREDENTIAL_SECRET",
        "userDomainName": "OS_USER_DOMAIN_NAME",
        "agencyName": "OS_AGENCY_NAME",
        "agencyDomainName": "OS_AGENCY_DOMAIN_NAME",
        "delegatedProject": "OS_DELEGATED_PROJECT",
    },
    "HW": {
        "projectId": "HW_PROJECT_ID",
        "projectName": "HW_PROJECT_NAME",
        "region": "HW_REGION_NAME",
        "authUrl": "HW_AUTH_URL",
        "accessKey": "HW_ACCESS_KEY",
        "secretKey": "HW_SECRET_KEY",
        "username": "HW_USER_NAME",
        "password": "HW_USER_PASSWORD",
        "token": "HW_AUTH_TOKEN",
        "userDomainName": "HW_DOMAIN_NAME",
        "agencyName": "HW_ASSUME_ROLE_AGENCY_NAME",
        "agencyDomainName": "HW_ASSUME_ROLE_DOMAIN_NAME",
    },
}

#: Variables beside those of a family: an older name of one setting, and one that is not supported.
MORE_VARIABLES = st.sampled_from(
    [*({},) * 8, {"OS_TENANT_ID": PROJECTS[0]}, {"OS_TENANT_ID": PROJECTS[1]}, {"OS_TRUST_ID": "trust"}]
)
#: What names the entry of clouds.yaml.
NAMED_BY = st.sampled_from([None, None, None, "argument", "stack", "OS_CLOUD", "OS_CLOUD"])


def place(settings: Iterable[str], family: str = "") -> st.SearchStrategy[Values]:
    """Return a strategy of a place that gives some of these settings, and perhaps an agency.

    With a family, of those that it has variables for.
    """
    given = {name: st.sampled_from(_VALUES[name]) for name in settings if has_variable(family, name)}
    return st.builds(
        lambda values, agency: {
            name: value
            for name, value in {**values, **agency}.items()
            if value is not None and has_variable(family, name)
        },
        st.fixed_dictionaries(given),
        st.sampled_from(_AGENCIES),
    )


def has_variable(family: str, setting: str) -> bool:
    """Return whether a family of variables has a setting. No family has them all."""
    return not family or setting in _VARIABLES[family]


def variables(family: str, values: Values) -> Values:
    """Return a place as the variables of a family."""
    return {_VARIABLES[family][name]: value for name, value in values.items()}


def domain_of(region: str | None) -> str | None:
    """Return the domain of the cloud that has a region, if it is known."""
    return HOSTS[region].split(".", 2)[2] if region in HOSTS else None


def merge(places: Iterable[Values]) -> Values:
    """Return the values of the first place that gives each.

    A project's name and ID are one setting.
    """
    values: Values = {}
    for place in places:
        has_project = bool({"projectId", "projectName"} & values.keys())
        for name, value in place.items():
            if name not in values and not (has_project and name in ("projectId", "projectName")):
                values[name] = value
    return values


@contextmanager
def environment(
    values: Mapping[str, str], clouds_yaml: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Set these variables, and write a clouds.yaml, for a while."""
    file = folder / "clouds.yaml"
    file.write_text(clouds_yaml)
    with monkeypatch.context() as patch:
        for name, value in {**values, "OS_CLIENT_CONFIG_FILE": str(file)}.items():
            patch.setenv(name, value)
        yield
