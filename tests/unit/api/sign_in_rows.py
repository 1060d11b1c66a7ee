"""Rows of variables, files and configuration, and what must come of each: hosts, project and method, or a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fake_clouds import BACKUP, OTHER, OWN, FakeClouds
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.settings import load

OTC = "otc.t-systems.com"
IAM_DE = f"iam.eu-de.{OTC}"
CBR_DE = f"cbr.eu-de.{OTC}"
CBR_NL = f"cbr.eu-nl.{OTC}"
CBR_AP = "cbr.ap-southeast-1.myhuaweicloud.com"
IAM_AP = "iam.ap-southeast-1.myhuaweicloud.com"


@dataclass(frozen=True)
class Row:
    """Variables, configuration and files in; hosts and project, or the message, out."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    clouds: str | bytes = ""
    secure: str = ""
    cloud: str | None = None
    #: Hosts that are asked to sign in, in order; none for access keys with a project's ID.
    identity: tuple[str, ...] = ()
    cbr: str = ""
    project: str = OWN
    #: The region that the names of the projects begin with.
    home: str = "eu-de"
    #: The identity methods of each request to sign in, or how the call is signed without any.
    method: str = "password"
    refused: str = ""
    catalog: str = ""
    interfaces: tuple[str, ...] = ("public",)


def shell(*parts: Mapping[str, str], without: str = "", **more: str) -> dict[str, str]:
    """Put variables together; an empty value or a name in `without` takes one away."""
    merged = {name: value for part in (*parts, more) for name, value in part.items()}
    return {name: value for name, value in merged.items() if name not in without.split()}


USER = {
    "OS_AUTH_URL": f"https://{IAM_DE}/v3",
    "OS_USERNAME": "u",
    "OS_PASSWORD": "otc-password",
    "OS_USER_DOMAIN_NAME": "d",
    "OS_PROJECT_ID": OWN,
    "OS_REGION_NAME": "eu-de",
}
OS_KEYS = {"OS_ACCESS_KEY": "otc-ak", "OS_SECRET_KEY": "sk"}
HW_KEYS = {
    "HW_ACCESS_KEY": "hw-ak",
    "HW_SECRET_KEY": "sk",
    "HW_REGION_NAME": "ap-southeast-1",
    "HW_PROJECT_ID": OWN,
}
HW_USER = {
    "HW_USER_NAME": "u",
    "HW_USER_PASSWORD": "hw-password",
    "HW_DOMAIN_NAME": "d",
    "HW_REGION_NAME": "ap-southeast-1",
}
STACK_USER = {
    "authUrl": f"https://{IAM_DE}/v3",
    "username": "u",
    "password": "otc-password",
    "userDomainName": "d",
    "projectId": OWN,
    "region": "eu-de",
}
STACK_KEYS = {"accessKey": "hw-ak", "secretKey": "sk", "region": "ap-southeast-1", "projectId": OWN}
AGENCY = {"OS_AGENCY_NAME": "agency", "OS_AGENCY_DOMAIN_NAME": "theirs", "OS_DELEGATED_PROJECT": "eu-de_theirs"}


def entry(auth: str, beside: str = "region_name: eu-de", name: str = "one") -> str:
    return f"clouds:\n  {name}:\n    {beside}\n    auth: {{{auth}}}\n"


ENTRY_USER = (
    f"auth_url: 'https://{IAM_DE}/v3', username: u, password: otc-password, user_domain_name: d, project_id: {OWN}"
)
ONE = entry(ENTRY_USER)
OS_ONE = {"OS_CLOUD": "one"}
OTC_PROFILE = entry(
    f"username: u, password: otc-password, user_domain_name: d, project_id: {OWN}", beside="profile: otc"
)
REGIONS = f"""
clouds:
  one:
    auth: {{username: u, password: otc-password, user_domain_name: d}}
    regions:
    - name: eu-de
      values: {{auth: {{auth_url: 'https://{IAM_DE}/v3', project_id: {OWN}}}}}
    - name: eu-nl
      values: {{auth: {{auth_url: 'https://iam.eu-nl.{OTC}/v3', project_id: {OTHER}}}}}
"""
KEYS_AUTH = f"auth_url: 'https://{IAM_DE}/v3', project_id: {OWN}"
AGENCY_AUTH = (
    f"auth_url: 'https://{IAM_DE}/v3', username: u, password: otc-password, user_domain_name: d, project_id: {OTHER}, "
    "target_agency_name: agency, target_domain_name: theirs, target_project_name: eu-de_theirs"
)


def check(row: Row, clouds: FakeClouds, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign in as a row says, and compare what was sent."""
    clouds.clear()
    clouds.catalog_url = row.catalog or clouds.catalog_url
    clouds.interfaces = row.interfaces
    clouds.home = row.home
    for name, value in {**clouds.environment, **row.env}.items():
        monkeypatch.setenv(name, value.replace("{folder}", str(folder)))
    for variable, text in (("OS_CLIENT_CONFIG_FILE", row.clouds), ("OS_CLIENT_SECURE_FILE", row.secure)):
        if text:
            file = folder / ("clouds.yaml" if text is row.clouds else "secure.yaml")
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
            monkeypatch.setenv(variable, str(file))

    if row.refused:
        with pytest.raises(CbrError) as error:
            CbrClient(load(row.config.get, cloud=row.cloud)).show_backup(BACKUP)
        said = str(error.value).replace(str(folder / "clouds.yaml"), "{clouds}")
        said = said.replace(str(folder / "secure.yaml"), "{secure}").replace(str(folder), "{folder}")
        assert said == row.refused
        assert len(row.refused) <= 250
        assert not clouds.sent_to("cbr")
    else:
        CbrClient(load(row.config.get, cloud=row.cloud)).show_backup(BACKUP)
        call = clouds.requests[-1]
        assert (call.host, call.path) == (row.cbr, f"/v3/{row.project}/backups/{BACKUP}")
        assert _method(clouds) == row.method
    assert tuple(request.host for request in clouds.requests if request.host != row.cbr) == row.identity
    assert clouds.strayed() == [], clouds.strayed()


def _method(clouds: FakeClouds) -> str:
    signed_in = [request.json["auth"]["identity"]["methods"] for request in clouds.requests if request.method == "POST"]
    if signed_in:
        return " ".join("+".join(methods) for methods in signed_in)
    return "given token" if "x-auth-token" in clouds.requests[-1].headers else "signature"
