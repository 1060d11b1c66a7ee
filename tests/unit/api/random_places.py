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

_VALUES = {
    "projectId": st.sampled_from(PROJECTS),
    "projectName": st.sampled_from(PROJECT_NAMES),
    "region": st.sampled_from(REGIONS),
    "authUrl": st.sampled_from(["https://iam.eu-de.otc.t-systems.com/v3", "https://iam.myhuaweicloud.com/v3"]),
    "accessKey": st.just("k"),
    "secretKey": st.just("s"),
}
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
    },
}

#: Variables beside those of a family: an older name of one setting, and one that is not supported.
MORE_VARIABLES = st.fixed_dictionaries(
    {}, optional={"OS_TENANT_ID": st.sampled_from(PROJECTS), "OS_TRUST_ID": st.just("trust")}
)
#: What names the entry of clouds.yaml.
NAMED_BY = st.sampled_from([None, None, "argument", "stack", "OS_CLOUD"])


def place(settings: Iterable[str], family: str = "") -> st.SearchStrategy[Values]:
    """Return a strategy of a place that gives any of these settings.

    With a family, of those that it has variables for.
    """
    return st.fixed_dictionaries({}, optional={name: _VALUES[name] for name in settings if has_variable(family, name)})


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
