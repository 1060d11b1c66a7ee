"""Shells and files with mistakes: each value is used, or refused by its place in one line. None is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_clouds import OTHER, OWN, FakeClouds, project_id
from unit.api.sign_in_rows import (
    CBR_DE,
    CBR_NL,
    ENTRY_USER,
    HW_KEYS,
    IAM_DE,
    KEYS_AUTH,
    ONE,
    OS_KEYS,
    OS_ONE,
    OTC,
    REGIONS,
    USER,
    Row,
    check,
    entry,
    shell,
)

# openstacksdk warns of an option of its own, which nobody set.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB", "ignore:.*keyword 'cloud' to reference")

KEYS_DE = shell(OS_KEYS, OS_REGION_NAME="eu-de", OS_PROJECT_ID=OWN)
ONE_AT = "the entry `one` ({clouds}, line 2)"


def beside(keys: str, auth: str = ENTRY_USER) -> str:
    """Write an entry with keys beside `auth`."""
    return entry(auth, beside=f"region_name: eu-de\n    {keys}")


def regions(keys: str) -> str:
    """Write an entry with its own keys for regions."""
    return entry(ENTRY_USER, beside=keys)


def user_is(name: str, **values: object) -> Row:
    """Return a row in which the user of OTC signs in and CBR in eu-de is called."""
    return Row(name, **{"identity": (IAM_DE,), "cbr": CBR_DE, **values})  # type: ignore[arg-type]


VARIABLES = [
    Row(
        "v2 and v3 variables name two projects",
        shell(USER, OS_TENANT_ID=OTHER),
        refused="OS_PROJECT_ID and OS_TENANT_ID contradict each other on projectId. Remove one of them",
    ),
    user_is("v2 and v3 variables name one project", env=shell(USER, OS_TENANT_ID=OWN, OS_TENANT_NAME="eu-de_own")),
    Row(
        "OS_REGION and OS_REGION_NAME name two regions",
        shell(USER, OS_REGION="eu-nl"),
        refused="OS_REGION_NAME and OS_REGION contradict each other on region. Remove one of them",
    ),
    Row(
        "OS_DOMAIN_NAME and OS_USER_DOMAIN_NAME name two domains",
        shell(USER, OS_DOMAIN_NAME="other"),
        refused="OS_USER_DOMAIN_NAME and OS_DOMAIN_NAME contradict each other on userDomainName. Remove one of them",
    ),
    Row(
        "left-over name beside the ID of another project",
        shell(USER, OS_PROJECT_NAME="eu-de_other"),
        identity=(IAM_DE,),
        refused=f"the credentials are for project {OWN}, not for `eu-de_other`. Correct or remove OS_PROJECT_NAME",
    ),
    user_is("project by ID and by its name", env=shell(USER, OS_PROJECT_NAME="EU-DE_own")),
    user_is("project ID in upper case", env=shell(USER, OS_PROJECT_ID=OWN.upper())),
    Row(
        "project ID with dashes",
        shell(USER, OS_PROJECT_ID="01234567-89ab-cdef-0123-456789abcdef"),
        refused=(
            "OS_PROJECT_ID must be a project ID: 32 hex digits without dashes; not '01234567-89ab-cdef-0123-456789abcdef'"
        ),
    ),
    *[
        user_is(f"identity address that ends in {end!r}", env=shell(USER, OS_AUTH_URL=f"https://{IAM_DE}{end}"))
        for end in ("/v3/", "/v3//", ":443/v3", "/v2.0", "/v2.0/", "/v3\r", "")
    ],
    *[
        Row(
            f"identity address with keys: {host}",
            shell(OS_KEYS, OS_AUTH_URL=f"https://{host}/v3", OS_PROJECT_ID=OWN),
            cbr=CBR_DE,
            method="signature",
        )
        for host in (IAM_DE.upper(), f"{IAM_DE}.", f"{IAM_DE}:443")
    ],
    Row(
        "quotes as a part of the region",
        shell(USER, OS_REGION_NAME='"eu-de"'),
        refused="OS_REGION_NAME must be the name of a region such as eu-de, not '\"eu-de\"'",
    ),
    Row(
        "region that would be another host",
        shell(HW_KEYS, HW_REGION_NAME="x@evil.example/", HW_CLOUD="myhuaweicloud.com"),
        refused="HW_REGION_NAME must be the name of a region such as eu-de, not 'x@evil.example/'",
    ),
    Row(
        "quotes as a part of the address",
        shell(USER, OS_AUTH_URL=f'"https://{IAM_DE}/v3"'),
        refused="OS_AUTH_URL must be a URL such as https://host/path. Leave out the user, the query and the fragment",
    ),
    user_is("blank OS_CLOUD", env=shell(USER, OS_CLOUD="  ")),
    Row(
        "OS_CLIENT_CONFIG_FILE of no file, beside a user",
        shell(USER, OS_ONE, OS_CLIENT_CONFIG_FILE="/nowhere/clouds.yaml"),
        refused="OS_CLIENT_CONFIG_FILE names /nowhere/clouds.yaml, which does not exist. Correct or unset it",
    ),
    Row(
        "half of the keys",
        shell(HW_KEYS, without="HW_SECRET_KEY"),
        refused="signing in with access keys failed: secretKey is missing. Set HW_SECRET_KEY",
    ),
    Row(
        "user without a domain",
        shell(USER, without="OS_USER_DOMAIN_NAME"),
        refused="signing in with a user failed: userDomainName is missing. Set OS_USER_DOMAIN_NAME",
    ),
    user_is("token beside a user", env=shell(USER, OS_TOKEN="otc-given"), method="token"),
    Row(
        "OS_AUTH_TYPE=token without a token",
        shell(USER, OS_AUTH_TYPE="token"),
        refused="signing in with a token failed: token is missing. Set OS_TOKEN",
    ),
    user_is("OS_AUTH_TYPE=password beside keys", env=shell(USER, OS_KEYS, OS_AUTH_TYPE="password")),
    Row(
        "OS_AUTH_TYPE=aksk beside a user",
        shell(USER, OS_KEYS, OS_AUTH_TYPE="aksk"),
        cbr=CBR_DE,
        method="signature",
    ),
    Row(
        "keys in two places that are of two clouds",
        {"HW_ACCESS_KEY": "hw-ak", "HW_REGION_NAME": "ap-southeast-1"},
        {"secretKey": "sk", "region": "eu-de", "projectId": OWN},
        refused=(
            "cbr:region is at otc.t-systems.com, but HW_REGION_NAME is at myhuaweicloud.com. "
            "Nothing was sent. Set both for one cloud"
        ),
    ),
    Row(
        "left-over CBR address of another cloud, by another name",
        shell(OS_ONE, CBR_ENDPOINT="https://csbs.ap-southeast-1.myhuaweicloud.com"),
        clouds=ONE,
        refused=(
            "`auth_url` of the entry `one` ({clouds}, line 4) is at otc.t-systems.com, but CBR_ENDPOINT is at "
            "myhuaweicloud.com. Nothing was sent. Set both for one cloud"
        ),
    ),
    Row(
        "identity address of another cloud, by another name",
        shell(USER, without="OS_AUTH_URL"),
        {"authUrl": "https://auth.ap-southeast-1.myhuaweicloud.com/v3"},
        refused=(
            "cbr:authUrl is at myhuaweicloud.com, but OS_REGION_NAME is at otc.t-systems.com. "
            "Nothing was sent. Set both for one cloud"
        ),
    ),
    Row(
        "OS_AUTH_TYPE of a plugin",
        shell(USER, OS_AUTH_TYPE="v3oidcpassword"),
        refused=(
            "OS_AUTH_TYPE is `v3oidcpassword`, which only an entry of clouds.yaml can have. Use one of password, v3password, "
            "token, v3token, v3applicationcredential, agency, aksk, v3aksk, or set OS_CLOUD or cbr:cloud"
        ),
    ),
    *[
        Row(
            f"{name}, which is not supported",
            shell(USER, **{name: "x"}),
            refused=f"{name} is not supported. Remove it",
        )
        for name in ("OS_TRUST_ID", "OS_SYSTEM_SCOPE", "OS_CERT", "OS_KEY")
    ],
    Row(
        "OS_CERT beside other credentials",
        shell(HW_KEYS, OS_CERT="x"),
        cbr="cbr.ap-southeast-1.myhuaweicloud.com",
        method="signature",
    ),
    user_is(
        "OS_CBR_ENDPOINT_OVERRIDE, as openstacksdk has it",
        env=shell(USER, OS_CBR_ENDPOINT_OVERRIDE=f"https://{CBR_NL}", OS_REGION_NAME="eu-nl"),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    Row(
        "region that the catalog has not",
        shell(USER, OS_REGION_NAME="eu-nll"),
        identity=(IAM_DE,),
        refused=(
            "the service catalog has no `cbr` in the region `eu-nll` (did you mean eu-nl?). "
            "Set OS_REGION_NAME to one of eu-de, eu-nl"
        ),
    ),
    Row(
        "OS_CACERT of no file",
        shell(USER, OS_CACERT="{folder}/none.pem"),
        refused="OS_CACERT must be a file of certificates, not {folder}/none.pem (No such file or directory). Correct it",
    ),
    Row(
        "HW_CLOUD of one public cloud and a region of another",
        shell(HW_KEYS, HW_CLOUD=OTC),
        refused=(
            "HW_CLOUD is at otc.t-systems.com, but HW_REGION_NAME is at myhuaweicloud.com. "
            "Nothing was sent. Set both for one cloud"
        ),
    ),
    Row(
        "CBR address of another region",
        shell(USER, CBR_ENDPOINT=f"https://{CBR_NL}"),
        refused="CBR_ENDPOINT is in the region eu-nl, but OS_REGION_NAME is eu-de. Set both for one region",
    ),
    Row(
        "CBR address of another project",
        shell(USER, CBR_ENDPOINT=f"https://{CBR_DE}/v3/{OTHER}/"),
        identity=(IAM_DE,),
        refused=(f"CBR_ENDPOINT is for project {OTHER}, but you are signed in to project {OWN}. Remove the ID from it"),
    ),
    user_is("CBR address of the own project", env=shell(USER, CBR_ENDPOINT=f"https://{CBR_DE}/v3/{OWN}/")),
    *[
        Row(
            f"{name} without an agency",
            shell(USER, **{name: "x"}),
            refused=f"{name} needs the name of an agency. Set OS_AGENCY_NAME",
        )
        for name in ("OS_DELEGATED_PROJECT", "OS_AGENCY_DOMAIN_NAME")
    ],
    Row(
        "HW_ASSUME_ROLE_DOMAIN_ID without an agency",
        shell(HW_KEYS, HW_ASSUME_ROLE_DOMAIN_ID="x"),
        refused="HW_ASSUME_ROLE_DOMAIN_ID needs the name of an agency. Set HW_ASSUME_ROLE_AGENCY_NAME",
    ),
]

FILES = [
    user_is("Windows line ends", env=OS_ONE, clouds=ONE.replace("\n", "\r\n").encode()),
    user_is("byte order mark", env=OS_ONE, clouds=b"\xef\xbb\xbf" + ONE.encode()),
    Row(
        "Latin-1",
        OS_ONE,
        clouds="# M\xfcller\n".encode("latin1") + ONE.encode(),
        refused="{clouds} cannot be read (it is not UTF-8). Correct the file",
    ),
    Row(
        "entry that stands twice",
        OS_ONE,
        clouds=ONE + ONE.replace("clouds:\n", "").replace(OWN, OTHER),
        refused="{clouds}, line 5, gives `one` a second time. Remove one of the two",
    ),
    Row(
        "project that stands twice",
        OS_ONE,
        clouds=entry(f"{ENTRY_USER}, project_id: {OTHER}"),
        refused="{clouds}, line 4, gives `project_id` a second time. Remove one of the two",
    ),
    *(
        Row(
            f"{key} that is {value}",
            OS_ONE,
            clouds=beside(f"{key}: {value}"),
            refused=f"`{key}` of the entry `one` ({{clouds}}, line 4) must be {form}. Correct the key",
        )
        for key, value, form in (
            ("regions", "5", "a list of regions"),
            ("regions", "true", "a list of regions"),
            ("cacert", "true", "a path"),
            ("cacert", "[a]", "a path"),
        )
    ),
    Row(
        "project_id and tenant_id",
        OS_ONE,
        clouds=entry(f"{ENTRY_USER}, tenant_id: {OTHER}"),
        refused="{clouds}, line 4, gives `tenant_id` a second time. Remove one of the two",
    ),
    Row(
        "project below auth and beside it",
        OS_ONE,
        clouds=beside(f"project_id: {OTHER}"),
        refused="{clouds}, line 4, gives `project_id` a second time. Remove one of the two",
    ),
    user_is("the same project below auth and beside it", env=OS_ONE, clouds=beside(f"project_id: {OWN}")),
    Row(
        "project's ID below auth and another's name beside it",
        OS_ONE,
        clouds=beside("project_name: eu-de_other"),
        identity=(IAM_DE,),
        refused=(
            f"the credentials are for project {OWN}, not for `eu-de_other`. Correct or remove "
            "`project_name` of the entry `one` ({clouds}, line 4)"
        ),
    ),
    user_is(
        "anchor and merge",
        env={"OS_CLOUD": "two"},
        clouds=f"clouds:\n  one: &o\n    region_name: eu-de\n    auth: {{{ENTRY_USER}}}\n  two:\n    <<: *o\n    region_name: eu-nl\n",
        home="eu-nl",
        cbr=CBR_NL,
    ),
    user_is(
        "entry that is an alias",
        env={"OS_CLOUD": "two"},
        clouds=f"clouds:\n  one: &o\n    region_name: eu-de\n    auth: {{{ENTRY_USER}}}\n  two: *o\n",
    ),
    user_is(
        "password in secure.yaml",
        env=OS_ONE,
        clouds=ONE.replace("password: otc-password, ", ""),
        secure="clouds: {one: {auth: {password: otc-password}}}\n",
    ),
    user_is(
        "another project in secure.yaml",
        env=OS_ONE,
        clouds=ONE,
        secure=f"clouds: {{one: {{auth: {{project_id: {OTHER}}}}}}}\n",
        project=OTHER,
    ),
    Row(
        "keys in secure.yaml",
        OS_ONE,
        clouds=entry(KEYS_AUTH),
        secure="clouds: {one: {ak: otc-ak, sk: s}}\n",
        cbr=CBR_DE,
        method="signature",
    ),
    Row(
        "`cloud:` for `clouds:` in secure.yaml",
        OS_ONE,
        clouds=ONE,
        secure="cloud: {one: {auth: {project_id: x}}}\n",
        refused="{secure} has `cloud` for `clouds`. Put the entries below `clouds:`",
    ),
    Row(
        "misspelt key in secure.yaml",
        OS_ONE,
        clouds=ONE,
        secure="clouds:\n  one:\n    auth:\n      passwd: x\n",
        refused="`passwd` of the entry `one` ({secure}, line 4) is unknown (did you mean password?). Correct the key",
    ),
    user_is(
        "region_name chooses among regions",
        env=OS_ONE,
        clouds=regions("regions: [eu-de, eu-nl]\n    region_name: eu-nl"),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    Row(
        "region_name that is not among regions",
        OS_ONE,
        clouds=regions("regions: [eu-de, eu-nl]\n    region_name: eu-xx"),
        refused=f"{ONE_AT} has no region `eu-xx` (did you mean eu-nl?). Use one of eu-de, eu-nl",
    ),
    user_is(
        "several regions in region_name",
        env=shell(OS_ONE, OS_REGION_NAME="eu-nl"),
        clouds=regions("region_name: eu-de,eu-nl"),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    user_is(
        "list in region_name",
        env=shell(OS_ONE, OS_REGION_NAME="eu-nl"),
        clouds=regions("region_name: [eu-de, eu-nl]"),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    user_is(
        "cbr_region_name before region_name",
        env=OS_ONE,
        clouds=beside("cbr_region_name: eu-nl"),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    user_is(
        "cbr_interface before interface",
        env=OS_ONE,
        clouds=beside("interface: public\n    cbr_interface: internal"),
        interfaces=("public", "internal"),
        cbr=f"cbr.eu-de-internal.{OTC}",
    ),
    *[
        Row(
            f"`{wrong}` in an entry",
            OS_ONE,
            clouds=regions(wrong),
            refused=f"`{key}` of the entry `one` ({{clouds}}, line 3) {why}. Correct the key",
        )
        for wrong, key, why in (
            ("region: eu-nl", "region", "is unknown (did you mean region_name?)"),
            ("regin_name: eu-nl", "regin_name", "is unknown (did you mean region_name?)"),
            ("project: eu-de_b", "project", "is unknown (did you mean project_name?)"),
            ("regions: eu-de", "regions", "must be a list of regions"),
            ("region_name: 5", "region_name", "must be a text"),
            ("profile: nope", "profile", "is `nope`, which neither openstacksdk nor clouds-public.yaml has"),
        )
    ],
    *[
        Row(
            f"`{wrong}` in the values of a region",
            {**OS_ONE, "OS_REGION_NAME": "eu-nl"},
            clouds=REGIONS.replace(f"values: {{auth: {{auth_url: 'https://iam.eu-nl.{OTC}/v3', ", f"values: {{{wrong}"),
            refused=f"`{key}` of the entry `one` ({{clouds}}, line 9) is unknown (did you mean {meant}?). Correct the key",
        )
        for wrong, key, meant in (
            ("intrfce: internal, auth: {", "intrfce", "interface"),
            ("auth: {projct_id: x, ", "projct_id", "project_id"),
        )
    ],
    Row(
        "auth that is a list",
        OS_ONE,
        clouds="clouds:\n  one:\n    auth: [a]\n",
        refused="`auth` of the entry `one` ({clouds}, line 3) must be keys with values. Correct the key",
    ),
    Row(
        "domain without a value",
        OS_ONE,
        clouds=entry(ENTRY_USER.replace("user_domain_name: d", "user_domain_name: ")),
        refused="signing in with a user failed: userDomainName is missing. Set OS_USER_DOMAIN_NAME",
    ),
    user_is(
        "auth without a value", env=shell(USER, OS_ONE), clouds="clouds:\n  one:\n    auth:\n    region_name: eu-de\n"
    ),
    Row(
        "client certificate in an entry",
        OS_ONE,
        clouds=beside("cert: /x.pem"),
        refused="`cert` of the entry `one` ({clouds}, line 4) is not supported. Remove it",
    ),
    Row(
        "file of certificates in an entry that is none",
        OS_ONE,
        clouds=beside("cacert: /none.pem"),
        refused=(
            "`cacert` of the entry `one` ({clouds}, line 4) must be a file of certificates, not /none.pem "
            "(No such file or directory). Correct it"
        ),
    ),
    user_is(
        "keys of other services",
        env=OS_ONE,
        clouds=beside("ecs_endpoint_override: https://x\n    dns_region_name: eu-nl"),
    ),
    user_is(
        "credentials beside auth",
        env=OS_ONE,
        clouds=f"clouds:\n  one:\n    auth_url: https://{IAM_DE}/v3\n    username: u\n    password: otc-password\n"
        f"    user_domain_name: d\n    project_id: {OWN}\n    region_name: eu-de\n",
    ),
    *[
        Row(
            f"entry with the name {name}",
            {"OS_CLOUD": name},
            clouds=entry(ENTRY_USER, name=name),
            refused=(
                f"YAML does not read the name of the entry `{name}` ({{clouds}}, line 2) as text. Put the name in quotes"
            ),
        )
        for name in ("1", "yes")
    ],
    user_is("old word for a vendor profile", env=OS_ONE, clouds=beside("cloud: otc")),
    user_is(
        "left-over user beside an entry's auth_type",
        env=shell(OS_ONE, OS_USERNAME="u", OS_PASSWORD="otc-password"),
        clouds=entry(
            f"auth_url: 'https://{IAM_DE}/v3', application_credential_id: a, application_credential_secret: otc-secret, "
            "user_domain_name: d",
            beside="auth_type: v3applicationcredential\n    region_name: eu-de",
        ),
        project=project_id("otc", "application"),
        method="application_credential",
    ),
    Row(
        "application credential and another project",
        OS_ONE,
        clouds=entry(
            f"auth_url: 'https://{IAM_DE}/v3', application_credential_id: a, application_credential_secret: otc-secret, "
            f"project_id: {OWN}"
        ),
        identity=(IAM_DE,),
        refused=(
            f"the credentials are for project {project_id('otc', 'application')}, but projectId is {OWN}. "
            "Correct or remove `project_id` of the entry `one` ({clouds}, line 4)"
        ),
    ),
]

ROWS = VARIABLES + FILES


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_odd_shell(row: Row, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(row, clouds, tmp_path, monkeypatch)


# Certificates


@pytest.mark.parametrize("form", ["text", "home", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("env", [USER, KEYS_DE], ids=["user", "keys"])
def test_certificates_are_trusted(
    env: dict[str, str], form: str, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = clouds.certificates.read_text()
    (tmp_path / "ca.pem").write_text(pem)
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"text": {"OS_CACERT": pem}, "home": {"OS_CACERT": "~/ca.pem"}}.get(form, {form: str(tmp_path / "ca.pem")})
    if form == "SSL_CERT_DIR":
        (tmp_path / "hashed").mkdir()
        (tmp_path / "hashed" / f"{clouds.subject_hash}.0").write_text(pem)
        given = {form: str(tmp_path / "hashed")}
    row = Row("", shell(env, REQUESTS_CA_BUNDLE="", **given), cbr=CBR_DE, identity=(IAM_DE,) if env is USER else ())
    method = "password" if env is USER else "signature"
    check(Row(**{**vars(row), "method": method}), clouds, tmp_path, monkeypatch)
