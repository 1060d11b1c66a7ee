"""The same files and variables, read by openstacksdk's loader as openstackclient uses it: equal, or different with a reason.

The reasons are rows of the table in docs/sign-in.md.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openstack.config import loader

from fake_clouds import OTHER, OWN
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.settings import Settings, load
from unit.api.sign_in_rows import ENTRY_USER, IAM_DE, ONE, OS_ONE, OTC, OTC_PROFILE, REGIONS, USER, entry, shell

# openstacksdk warns of options of its own, and of old forms in clouds.yaml.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for InfluxDB"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*were found in OS_CLOUD"),
]

PAGE = (Path(__file__).parents[3] / "docs" / "sign-in.md").read_text()

#: Our setting, and the key below `auth` that says the same.
AUTH = {
    "auth_url": "auth_url",
    "username": "username",
    "user_id": "user_id",
    "password": "password",
    "user_domain_name": "user_domain_name",
    "user_domain_id": "user_domain_id",
    "project_id": "project_id",
    "project_name": "project_name",
    "project_domain_name": "project_domain_name",
    "token": "token",
    "application_credential_id": "application_credential_id",
    "application_credential_secret": "application_credential_secret",
}

NAME_REPLACES_ID = "keeps an entry's `project_id` beside `OS_PROJECT_NAME`"
ENTRY_PASSWORD = "keeps an entry's `password` beside `OS_PASSWORD`"
ONE_REGION = "an entry with one `region_name` refuses every other region"
FIRST_REGION = "uses the first of `regions`, whatever `region_name` says"
LAST_KEY = "uses the last of a repeated key"
UNKNOWN_PROFILE = "warns of an unknown `profile` and goes on"
MISSING_FILE = "looks in the usual places if `OS_CLIENT_CONFIG_FILE` does not exist"
TENANT = "uses `OS_PROJECT_ID` if `OS_TENANT_ID` differs"
TWO_CLOUDS = "sends an entry's password to whatever `OS_AUTH_URL` names"
TOKEN = "ignores or refuses `OS_TOKEN` beside an entry with a password"
NO_DOMAIN = "signs a user in without a domain"
SUPPORTED = "signs in with a client certificate or a trust"
MISSPELT = "ignores a key beside `auth` that it does not know"


@dataclass(frozen=True)
class Case:
    """Variables and files that both read. `differences` has the reason for each setting."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    clouds: str = ""
    secure: str = ""
    differences: Mapping[str, str] = field(default_factory=dict)
    #: The reason for which only this package, or only openstacksdk, refuses the case.
    only_here_refused: str = ""
    only_there_refused: str = ""


APPLICATION_CREDENTIAL = {
    "OS_AUTH_URL": f"https://{IAM_DE}/v3",
    "OS_AUTH_TYPE": "v3applicationcredential",
    "OS_APPLICATION_CREDENTIAL_ID": "a",
    "OS_APPLICATION_CREDENTIAL_SECRET": "s",
    "OS_REGION_NAME": "eu-de",
}
TOP_LEVEL = ENTRY_USER.replace(", ", "\n    ")

CASES = [
    Case("user", USER),
    Case(
        "user, project by name",
        shell(USER, OS_PROJECT_NAME="eu-de_b", OS_PROJECT_DOMAIN_NAME="d", without="OS_PROJECT_ID"),
    ),
    Case("user by ID", shell(USER, OS_USER_ID="i", without="OS_USERNAME OS_USER_DOMAIN_NAME")),
    Case("tenant for project", shell(USER, OS_TENANT_ID=OWN, without="OS_PROJECT_ID")),
    Case("interface", shell(USER, OS_INTERFACE="internal")),
    Case("endpoint type", shell(USER, OS_ENDPOINT_TYPE="adminURL")),
    Case("endpoint", shell(USER, OS_CBR_ENDPOINT_OVERRIDE="https://cbr.eu-de.otc.t-systems.com")),
    Case(
        "token",
        shell(USER, OS_AUTH_TYPE="v3token", OS_TOKEN="t", without="OS_USERNAME OS_PASSWORD OS_USER_DOMAIN_NAME"),
    ),
    Case("application credential", APPLICATION_CREDENTIAL),
    Case("empty variables", shell(USER, OS_TENANT_ID="", OS_PROJECT_NAME="", OS_TOKEN="")),
    Case("v2 and v3 variables of two projects", shell(USER, OS_TENANT_ID=OTHER), only_here_refused=TENANT),
    Case("entry", OS_ONE, ONE),
    Case(
        "entry and password in secure.yaml",
        OS_ONE,
        ONE.replace("otc-password", "x"),
        "clouds: {one: {auth: {password: p}}}",
    ),
    Case("entry with dashes", OS_ONE, entry(ENTRY_USER.replace("_", "-"))),
    Case("entry with a tenant", OS_ONE, entry(ENTRY_USER.replace("project_id", "tenant_id"))),
    Case("entry, all beside auth", OS_ONE, f"clouds:\n  one:\n    region_name: eu-de\n    {TOP_LEVEL}\n"),
    Case("entry with an interface", OS_ONE, entry(ENTRY_USER, beside="region_name: eu-de\n    interface: admin")),
    Case(
        "entry, interface of the service",
        OS_ONE,
        entry(ENTRY_USER, beside="interface: admin\n    cbr_interface: internal"),
    ),
    Case(
        "entry, region of the service",
        OS_ONE,
        entry(ENTRY_USER, beside="region_name: eu-de\n    cbr_region_name: eu-nl"),
    ),
    Case(
        "entry, endpoint",
        OS_ONE,
        entry(ENTRY_USER, beside="region_name: eu-de\n    cbr_endpoint_override: https://cbr.eu-de.otc.t-systems.com"),
    ),
    Case("entry that checks nothing", OS_ONE, entry(ENTRY_USER, beside="region_name: eu-de\n    verify: false")),
    Case("vendor profile", OS_ONE, OTC_PROFILE),
    Case("vendor profile and region", shell(OS_ONE, OS_REGION_NAME="eu-nl"), OTC_PROFILE),
    Case("regions", OS_ONE, REGIONS),
    Case("regions and one of them", shell(OS_ONE, OS_REGION_NAME="eu-nl"), REGIONS),
    Case("regions and another", shell(OS_ONE, OS_REGION_NAME="eu-xx"), REGIONS),
    Case(
        "merged entry",
        OS_ONE,
        f"clouds:\n  zero: &z\n    region_name: eu-de\n    auth: {{{ENTRY_USER}}}\n  one: {{<<: *z}}\n",
    ),
    Case(
        "entry and another password",
        shell(OS_ONE, OS_PASSWORD="p"),
        ONE,
        differences={"password": ENTRY_PASSWORD},
    ),
    Case("entry and another project's ID", shell(OS_ONE, OS_PROJECT_ID=OTHER), ONE),
    Case(
        "entry without a project, and a project",
        shell(OS_ONE, OS_PROJECT_ID=OTHER),
        ONE.replace(f", project_id: {OWN}", ""),
    ),
    Case(
        "entry and another project's name",
        shell(OS_ONE, OS_PROJECT_NAME="eu-de_b"),
        ONE,
        differences={"project_id": NAME_REPLACES_ID},
    ),
    Case("entry and another region", shell(OS_ONE, OS_REGION_NAME="eu-nl"), ONE, only_there_refused=ONE_REGION),
    Case(
        "region_name and regions",
        OS_ONE,
        entry(ENTRY_USER, beside="regions: [eu-de, eu-nl]\n    region_name: eu-nl"),
        differences={"region": FIRST_REGION},
    ),
    Case("repeated key", OS_ONE, entry(f"{ENTRY_USER}, project_id: {OTHER}"), only_here_refused=LAST_KEY),
    Case("unknown profile", OS_ONE, entry(ENTRY_USER, beside="profile: nope"), only_here_refused=UNKNOWN_PROFILE),
    Case("misspelt region", OS_ONE, entry(ENTRY_USER, beside="region: eu-nl"), only_here_refused=MISSPELT),
    Case(
        "another cloud's address",
        shell(OS_ONE, OS_AUTH_URL="https://iam.myhuaweicloud.com/v3"),
        ONE,
        only_here_refused=TWO_CLOUDS,
    ),
    Case(
        "token beside an entry with a password",
        shell(OS_ONE, OS_TOKEN="t"),
        ONE,
        differences=dict.fromkeys(("token", "username", "password"), TOKEN),
    ),
    Case("user without a domain", shell(USER, without="OS_USER_DOMAIN_NAME"), only_here_refused=NO_DOMAIN),
    Case("client certificate", shell(USER, OS_CERT="x", OS_KEY="y"), only_here_refused=SUPPORTED),
    Case(
        "file that does not exist",
        shell(USER, OS_CLIENT_CONFIG_FILE="/nowhere", **OS_ONE),
        only_here_refused=MISSING_FILE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_same_values_as_openstacksdk(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loader, "CONFIG_FILES", [str(tmp_path / "usual" / "clouds.yaml")])
    # openstacksdk puts what OS_CLIENT_SECURE_FILE names into this list.
    monkeypatch.setattr(loader, "SECURE_FILES", [*loader.SECURE_FILES])
    for name, value in case.env.items():
        monkeypatch.setenv(name, value)
    for variable, text in (("OS_CLIENT_CONFIG_FILE", case.clouds), ("OS_CLIENT_SECURE_FILE", case.secure)):
        if text:
            (tmp_path / variable).write_text(text)
            monkeypatch.setenv(variable, str(tmp_path / variable))
    if "OS_CLIENT_CONFIG_FILE" in case.env:
        (tmp_path / "usual").mkdir()
        (tmp_path / "usual" / "clouds.yaml").write_text(ONE)

    theirs, ours = _read_theirs(), _read_ours()

    for reason in (*case.differences.values(), case.only_here_refused, case.only_there_refused):
        assert reason in PAGE
    assert (theirs is None) == bool(case.only_there_refused) or (theirs is None and ours is None)
    assert (ours is None) == bool(case.only_here_refused) or (theirs is None and ours is None)
    if theirs and ours:
        different = {name for name in ours if ours[name] != theirs[name]}
        assert different == set(case.differences), {name: (ours[name], theirs[name]) for name in different}


@pytest.mark.parametrize(
    "values",
    [
        f"project_id: {OTHER}",
        f"auth: {{project_id: {OTHER}}}",
        "interface: internal",
        "verify: false",
        f"auth: {{auth_url: 'https://iam.eu-nl.{OTC}/v3'}}",
    ],
)
@pytest.mark.parametrize("region", ["eu-nl", ""])
def test_values_of_a_vendor_region_are_as_openstacksdk_has_them(
    values: str, region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = f"public-clouds: {{v: {{regions: [{{name: eu-nl, values: {{{values}}}}}, eu-de]}}}}"
    (tmp_path / "clouds-public.yaml").write_text(vendor)
    (tmp_path / "clouds.yaml").write_text(entry(ENTRY_USER, beside="profile: v"))
    monkeypatch.setattr(loader, "VENDOR_FILES", [str(tmp_path / "clouds-public.yaml")])
    shown = {"OS_CLOUD": "one", "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"), "OS_REGION_NAME": region}
    for name, value in shown.items():
        if value:
            monkeypatch.setenv(name, value)

    theirs, ours = _read_theirs(), _read_ours()

    assert theirs
    assert ours
    assert {name: theirs[name] for name in ours} == ours


def _read_ours() -> dict[str, object] | None:
    try:
        settings: Settings = load()
    except SettingsError:
        return None
    auth = {name: getattr(settings, name) for name in AUTH}
    region, interface, endpoint = settings.region, settings.interface, settings.endpoint
    return {**auth, "region": region, "interface": interface, "endpoint": endpoint, "verify": settings.verify}


def _read_theirs() -> dict[str, object] | None:
    """Return what openstacksdk reads, with the variables as options of a command."""
    try:
        config = loader.OpenStackConfig()
        parser = argparse.ArgumentParser()
        config.register_argparse_arguments(parser, [])
        options = parser.parse_args([])
        if "OS_INTERFACE" not in os.environ and "OS_ENDPOINT_TYPE" not in os.environ:
            options.os_interface = None  # its default would come before the entry's, which openstackclient's does not
        region = config.get_one(argparse=options)
    except Exception:
        return None
    auth = region.config["auth"]
    interface = re.sub("URL$", "", str(region.get_interface("cbr") or "public"))
    return {
        **{name: auth.get(key) or None for name, key in AUTH.items()},
        "region": region.get_region_name("cbr") or None,
        "interface": interface,
        "endpoint": region.get_endpoint("cbr"),
        "verify": region.get_requests_verify_args()[0],
    }
