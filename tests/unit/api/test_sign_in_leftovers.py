"""Settings that were left over from another account, project or region: they are refused, and never dropped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from openstack.config import loader

from fake_clouds import BACKUP, OTHER, OWN, FakeClouds, project_id
from pulumi_cbr.api import CbrClient, SettingsError, load
from pulumi_cbr.api.precedence import find_contradictions
from pulumi_cbr.api.settings import resolve_settings
from unit.api.sign_in_rows import (
    AGENCY,
    AGENCY_AUTH,
    CBR_AP,
    CBR_NL,
    ENTRY_USER,
    HW_KEYS,
    HW_USER,
    IAM_AP,
    IAM_DE,
    KEYS_AUTH,
    ONE,
    OS_KEYS,
    OS_ONE,
    OTC,
    USER,
    Row,
    check,
    entry,
    shell,
)

pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

#: An entry of which only the region tells the cloud.
SHORT = entry("username: u, password: otc-password, user_domain_name: d")
NO_PASSWORD = ENTRY_USER.replace("password: otc-password, ", "")
MULTIFACTOR = "auth_type: v3multifactor\n    region_name: eu-de"
OS_KEYS_DE = shell(OS_KEYS, OS_REGION_NAME="eu-de")

ROWS = [
    # An agency
    Row(
        "agency in OS_* beside a user in HW_*",
        shell(HW_USER, AGENCY),
        refused=(
            "OS_AGENCY_NAME has no effect beside credentials in `HW_*`. Unset it, or set HW_ASSUME_ROLE_AGENCY_NAME"
        ),
    ),
    Row(
        "agency without its project, beside the user's own project",
        shell(USER, AGENCY, without="OS_REGION_NAME OS_PROJECT_ID OS_DELEGATED_PROJECT", OS_PROJECT_NAME="ours"),
        refused="signing in with a user failed: delegatedProject is missing. Set OS_DELEGATED_PROJECT",
    ),
    Row(
        "agency in HW_* with its project, without a region",
        shell(
            HW_USER,
            without="HW_REGION_NAME",
            HW_AUTH_URL=f"https://{IAM_AP}/v3",
            HW_PROJECT_NAME="ap-southeast-1_b",
            HW_ASSUME_ROLE_AGENCY_NAME="agency",
            HW_ASSUME_ROLE_DOMAIN_NAME="theirs",
            CBR_ENDPOINT=f"https://{CBR_AP}",
        ),
        identity=(IAM_AP, IAM_AP),
        cbr=CBR_AP,
        project=project_id("hw", "ap-southeast-1_b"),
        method="password assume_role",
    ),
    Row(
        "agency in HW_* beside a user of the stack and a region in OS_*",
        {"OS_REGION_NAME": "eu-de", "HW_ASSUME_ROLE_AGENCY_NAME": "a", "HW_ASSUME_ROLE_DOMAIN_NAME": "d"},
        {"username": "u", "password": "otc-password", "userDomainName": "d"},
        refused=(
            "HW_ASSUME_ROLE_AGENCY_NAME has no effect beside credentials of the stack. Unset it, or set cbr:agencyName"
        ),
    ),
    Row(
        "auth_type agency without an agency",
        OS_ONE,
        clouds=entry(ENTRY_USER, beside="auth_type: agency\n    region_name: eu-de"),
        refused=("`auth_type` of the entry `one` ({clouds}, line 3) needs the name of an agency. Set OS_AGENCY_NAME"),
    ),
    Row(
        "project of a region that is no ID, beside the entry's own",
        shell(OS_ONE, OS_REGION_NAME="eu-de"),
        clouds=entry(ENTRY_USER, beside="regions: [{name: eu-de, values: {\n      project_id: nonsense}}]"),
        refused=(
            "`project_id` of the entry `one` ({clouds}, line 4) must be a project ID: 32 hex digits without dashes; not "
            "'nonsense'"
        ),
    ),
    # Another account
    Row(
        "access keys of another account beside an entry with a user",
        shell(OS_ONE, OS_KEYS),
        clouds=ONE,
        refused=(
            "OS_SECRET_KEY and the entry `one` ({clouds}, line 2) name two users or keys. Set all credentials in one place"
        ),
    ),
    Row(
        "OS_AUTH_TYPE beside an entry that needs a plugin",
        shell(OS_ONE, OS_AUTH_TYPE="password"),
        clouds=entry(f"{ENTRY_USER}, trust_id: t", beside="region_name: eu-de"),
        refused="OS_AUTH_TYPE and the entry `one` ({clouds}, line 2) contradict each other on authType. Remove one of them",
    ),
    *[
        Row(
            f"{name}, which nothing here honors",
            shell(variables, **{name: "x"}),
            refused=f"{name} is not supported. Remove it",
        )
        for name, variables in (
            ("OS_APPLICATION_CREDENTIAL_NAME", USER),
            ("HW_SHARED_CONFIG_FILE", HW_KEYS),
            ("HW_ASSUME_ROLE_ID_TOKEN_FILE", HW_USER),
        )
    ],
    Row(
        "application credential of another account beside an entry with a user",
        shell(OS_ONE, OS_APPLICATION_CREDENTIAL_ID="a", OS_APPLICATION_CREDENTIAL_SECRET="otc-secret"),
        clouds=ONE,
        refused=(
            "OS_APPLICATION_CREDENTIAL_SECRET and the entry `one` ({clouds}, line 2) name two users or keys. "
            "Set all credentials in one place"
        ),
    ),
    *[
        Row(
            f"{', '.join(config)} of the stack beside an entry with a user in {place}",
            shell(variables, HW_SECRET_KEY="sk"),
            config,
            clouds=ONE,
            refused=f"cbr:{name} and {used} name two users or keys. Set all credentials in one place",
        )
        for name, given in (
            ("applicationCredentialId", {"applicationCredentialId": "a"}),
            ("applicationCredentialSecret", {"applicationCredentialSecret": "otc-secret"}),
            ("accessKey", {"accessKey": "otc-ak"}),
        )
        for place, used, variables, config in (
            ("OS_CLOUD", "OS_CLOUD", OS_ONE, given),
            ("cbr:cloud", "cbr:cloud", {}, {**given, "cloud": "one"}),
        )
    ],
    Row(
        "token of the shell beside a user of the stack",
        shell(USER, OS_TOKEN="otc-token"),
        {"username": "other"},
        refused="cbr:username and OS_TOKEN name two users or keys. Set all credentials in one place",
    ),
    Row(
        "user of the stack by ID and by name, with the shell's password",
        shell(USER, without="OS_USERNAME"),
        {"userId": "u", "username": "u"},
        identity=(IAM_DE,),
        cbr=f"cbr.eu-de.{OTC}",
    ),
    # Another cloud
    *[
        Row(
            f"{name} of another cloud beside an entry with only a region",
            shell(OS_ONE, env),
            config,
            clouds=SHORT,
            refused=(
                f"{name} is at {shown}, but `region_name` of the entry `one` ({{clouds}}, line 3) is at otc.t-systems.com. "
                "Nothing was sent. Set both for one cloud"
            ),
        )
        for name, shown, env, config in (
            ("OS_AUTH_URL", "keystone.corp.example:5000", {"OS_AUTH_URL": "https://keystone.corp.example:5000/v3"}, {}),
            ("OS_AUTH_URL", "evil.example", {"OS_AUTH_URL": "https://iam.evil.example/v3"}, {}),
            ("cbr:authUrl", "evil.example", {}, {"authUrl": "https://iam.evil.example/v3"}),
            ("cbr:cloudDomain", "evil.example", {}, {"cloudDomain": "evil.example"}),
        )
    ],
    *[
        Row(
            f"CBR address of another region: {host}",
            shell(HW_KEYS, CBR_ENDPOINT=f"https://{host}"),
            refused=(
                "CBR_ENDPOINT is in the region ap-southeast-2, but HW_REGION_NAME is ap-southeast-1. "
                "Set both for one region"
            ),
        )
        for host in ("csbs.ap-southeast-2.myhuaweicloud.com", "cbr.ap-southeast-2.internal.myhuaweicloud.com")
    ],
    Row(
        "CBR address inside of the cloud",
        shell(HW_KEYS, CBR_ENDPOINT="https://cbr.ap-southeast-1.internal.myhuaweicloud.com"),
        cbr="cbr.ap-southeast-1.internal.myhuaweicloud.com",
        method="signature",
    ),
    Row(
        "project with a name like a region, in a private cloud",
        shell(
            USER,
            OS_AUTH_URL="https://keystone.private.example.org/v3",
            OS_PASSWORD="private-password",
            OS_REGION_NAME="r1",
            OS_PROJECT_NAME="eu-de_dr",
            without="OS_PROJECT_ID",
        ),
        identity=("keystone.private.example.org",),
        cbr="cbr.r1.private.example.org",
        project=project_id("private", "eu-de_dr"),
    ),
    Row(
        "the shell of another cloud beside an entry without a region",
        shell(
            USER,
            OS_ONE,
            OS_AUTH_URL="https://iam.ap-southeast-1.myhuaweicloud.com/v3",
            OS_REGION_NAME="ap-southeast-1",
            OS_PASSWORD="hw-password",
        ),
        clouds=entry(ENTRY_USER, beside="verify: true"),
        refused=(
            "OS_AUTH_URL is at myhuaweicloud.com, but `auth_url` of the entry `one` ({clouds}, line 4) is at "
            "otc.t-systems.com. Nothing was sent. Set both for one cloud"
        ),
    ),
    # Another region
    Row(
        "project of another region by the token",
        shell(USER, OS_REGION_NAME="eu-nl"),
        identity=(IAM_DE,),
        refused="the project `eu-de_own` is in the region eu-de, but OS_REGION_NAME is eu-nl. Set both for one region",
    ),
    *[
        Row(
            f"project of another region by its name, {kind}",
            shell(variables, OS_PROJECT_NAME="eu-nl_x", without="OS_PROJECT_ID"),
            refused="OS_PROJECT_NAME is in the region eu-nl, but OS_REGION_NAME is eu-de. Set both for one region",
        )
        for kind, variables in (("with a user", USER), ("with access keys", OS_KEYS_DE))
    ],
    Row(
        "project by ID beside a name of another region",
        shell(OS_KEYS_DE, OS_PROJECT_ID=OWN, OS_PROJECT_NAME="eu-nl_x"),
        refused="OS_PROJECT_NAME is in the region eu-nl, but OS_REGION_NAME is eu-de. Set both for one region",
    ),
    Row(
        "agency beside an entry that needs a plugin",
        shell(OS_ONE, AGENCY),
        clouds=entry(f"{ENTRY_USER}, passcode: otc-1, auth_methods: [v3password, v3totp]", beside=MULTIFACTOR),
        identity=(IAM_DE, IAM_DE),
        cbr=f"cbr.eu-de.{OTC}",
        project=project_id("otc", "eu-de_theirs"),
        method="password+totp assume_role",
    ),
    Row(
        "agency of an entry that needs a plugin",
        OS_ONE,
        clouds=entry(f"{AGENCY_AUTH}, passcode: otc-1, auth_methods: [v3password, v3totp]", beside=MULTIFACTOR),
        identity=(IAM_DE, IAM_DE),
        cbr=f"cbr.eu-de.{OTC}",
        project=project_id("otc", "eu-de_theirs"),
        method="password+totp assume_role",
    ),
    Row(
        "CBR address of a partner in another region",
        shell(
            USER,
            OS_AUTH_URL="https://iam.eu-west-0.prod-cloud-ocb.orange-business.com/v3",
            OS_REGION_NAME="eu-west-0",
            CBR_ENDPOINT="https://cbr.eu-west-1.prod-cloud-ocb.orange-business.com",
        ),
        refused="CBR_ENDPOINT is in the region eu-west-1, but OS_REGION_NAME is eu-west-0. Set both for one region",
    ),
    Row(
        "OS_CBR_REGION_NAME, as openstacksdk has it",
        shell(USER, OS_CBR_REGION_NAME="eu-nl", without="OS_REGION_NAME"),
        identity=(IAM_DE,),
        home="eu-nl",
        cbr=CBR_NL,
    ),
    *[
        Row(
            f"region {name!r}",
            shell(USER, OS_REGION_NAME=name),
            refused=f"OS_REGION_NAME must be the name of a region such as eu-de, not {name!r}",
        )
        for name in ("..", "eu-dé", ".eu-de")
    ],
    # What YAML changes or drops
    *[
        Row(
            f"{key} that YAML takes for a number",
            OS_ONE,
            clouds=entry(ENTRY_USER.replace(old, f"{key}: {written}"), beside="region_name: eu-de"),
            refused=f"`{key}` of the entry `one` ({{clouds}}, line 4) must be in quotes: YAML changes it. Correct the key",
        )
        for key, old, written in (
            ("password", "password: otc-password", "0123456"),
            ("password", "password: otc-password", "12:30"),
            ("password", "password: otc-password", "1.10"),
            ("password", "password: otc-password", "no"),
            ("password", "password: otc-password", "000"),
            ("user_domain_name", "user_domain_name: d", "no"),
        )
    ],
    *[
        Row(
            f"password that YAML takes for a number, {where}",
            OS_ONE,
            clouds=text,
            refused=f"`password` of the entry `one` ({{clouds}}, line {line}) must be in quotes: YAML changes it. Correct the key",
        )
        for where, line, text in (
            (
                "by an anchor",
                3,
                f"x: &x {{password: 0123}}\nclouds:\n  one:\n    region_name: eu-de\n    auth: {{<<: *x, {NO_PASSWORD}}}\n",
            ),
            (
                "of a region",
                3,
                entry(NO_PASSWORD, beside="regions: [{name: eu-de, values: {auth: {password: 0123}}}]"),
            ),
        )
    ],
    Row(
        "number that the region replaces",
        OS_ONE,
        clouds=entry(
            f"password: 0123, {NO_PASSWORD}",
            beside="regions: [{name: eu-de, values: {auth: {password: otc-password}}}]",
        ),
        identity=(IAM_DE,),
        cbr=f"cbr.eu-de.{OTC}",
    ),
    Row(
        "misspelt key by an anchor",
        OS_ONE,
        clouds=f"x: &x {{interfacex: internal}}\nclouds:\n  one:\n    <<: *x\n    region_name: eu-de\n    auth: {{{ENTRY_USER}}}\n",
        refused=(
            "`interfacex` of the entry `one` ({clouds}, line 3) is unknown (did you mean interface?). Correct the key"
        ),
    ),
    Row(
        "values of a region that are no keys",
        OS_ONE,
        clouds=entry(ENTRY_USER, beside="regions: [eu-de, {name: eu-nl, values: 5}]"),
        refused="`regions` of the entry `one` ({clouds}, line 3) must be a list of regions. Correct the key",
    ),
    Row(
        "brackets in brackets",
        OS_ONE,
        clouds="[" * 5000,
        refused="{clouds} cannot be read (it is nested too deeply). Correct the file",
    ),
    *[
        Row(
            f"`{key}: {value}` of an entry",
            OS_ONE,
            clouds=entry(ENTRY_USER, beside=f"region_name: eu-de\n    {key}: {value}"),
            refused=f"`{key}` of the entry `one` ({{clouds}}, line 4) is not supported. Remove it",
        )
        for key, value in (("cbr_service_type", "backup"), ("cbr_service_name", "x"), ("cbr_api_version", "2"))
    ],
    Row(
        "usual type and version of the service in an entry",
        OS_ONE,
        clouds=entry(ENTRY_USER, beside="region_name: eu-de\n    cbr_service_type: cbr\n    cbr_api_version: 3"),
        identity=(IAM_DE,),
        cbr=f"cbr.eu-de.{OTC}",
    ),
    *[
        Row(
            f"key that is {key}",
            OS_ONE,
            clouds=entry(ENTRY_USER, beside=f"region_name: eu-de\n    {key}: x"),
            refused="{clouds}, line 4, has a key that YAML does not read as text. Correct the key",
        )
        for key in ("5", "~", "yes", "? [a]\n    ")
    ],
    Row(
        "region without values",
        OS_ONE,
        clouds=entry(ENTRY_USER, beside="regions: [{name: eu-de, values: }]"),
        identity=(IAM_DE,),
        cbr=f"cbr.eu-de.{OTC}",
    ),
    Row(
        "profile that is a list",
        OS_ONE,
        clouds=entry(ENTRY_USER, beside="profile: [otc]"),
        refused="`profile` of the entry `one` ({clouds}, line 3) must be a text. Correct the key",
    ),
    Row(
        "OS_AUTH_TYPE of a plugin beside an entry",
        shell(OS_ONE, OS_AUTH_TYPE="v3oidcpassword"),
        clouds=ONE,
        refused=(
            "OS_AUTH_TYPE is `v3oidcpassword`, which only an entry of clouds.yaml can have. Use one of password, v3password, "
            "token, v3token, v3applicationcredential, agency, aksk, v3aksk, or put `auth_type` into the entry `one` ({clouds}, "
            "line 2)"
        ),
    ),
    Row(
        "OS_AUTH_TYPE of the plugin that the entry names",
        shell(OS_ONE, OS_AUTH_TYPE="v3multifactor"),
        clouds=entry(
            f"{ENTRY_USER}, passcode: otc-1, auth_methods: [v3password, v3totp]",
            beside="auth_type: v3multifactor\n    region_name: eu-de",
        ),
        identity=(IAM_DE,),
        cbr=f"cbr.eu-de.{OTC}",
        method="password+totp",
    ),
    *[
        Row(
            f"project of the stack beside {key} of an entry with a plugin",
            OS_ONE,
            {"projectId": OWN},
            clouds=entry(
                f"{ENTRY_USER.replace(f', project_id: {OWN}', '')}, {key}: {OTHER}, passcode: otc-1, auth_methods: [v3password, v3totp]",
                beside="auth_type: v3multifactor\n    region_name: eu-de",
            ),
            identity=(IAM_DE,),
            cbr=f"cbr.eu-de.{OTC}",
            method="password+totp",
        )
        for key in ("project_id", "project-id", "tenant_id", "tenant-id")
    ],
    # The catalog
    *[
        Row(
            f"catalog with {url}",
            USER,
            identity=(IAM_DE,),
            catalog=url,
            refused=f"the service catalog has {host} for `cbr`, which is another cloud or region. "
            "Nothing was sent to it. Set CBR_ENDPOINT",
        )
        for url, host in (
            ("https://cbr.ap-southeast-1.myhuaweicloud.com/v3/{project}", "cbr.ap-southeast-1.myhuaweicloud.com"),
            (f"https://{CBR_NL}", CBR_NL),
        )
    ],
    Row(
        "catalog with plain http",
        USER,
        identity=(IAM_DE,),
        catalog="http://cbr.{region}.{domain}/v3/{project}",
        refused=(
            "the service catalog's address of CBR is plain http, which shows the credentials on the way to "
            f"cbr.eu-de.{OTC}. Use https, or set cbr:insecure"
        ),
    ),
    # Hosts that begin like a cloud's
    *[
        Row(
            f"{name} with a cloud's domain in its middle",
            shell(variables, **{name: value}),
            refused=(
                f"{name} has {domain} in the middle of its host, not at the end. Nothing was sent. Correct the host"
            ),
        )
        for name, value, domain, variables in (
            ("OS_AUTH_URL", f"https://{IAM_DE}.evil.example/v3", OTC, USER),
            ("CBR_ENDPOINT", f"https://cbr.eu-de.{OTC}.evil.example", OTC, USER),
            ("HW_CLOUD", "myhuaweicloud.com.evil.example", "myhuaweicloud.com", HW_KEYS),
        )
    ],
    Row(
        "region of no cloud and another cloud's address beside an entry with only a region",
        shell(OS_ONE, OS_REGION_NAME="zz-north-7", OS_AUTH_URL="https://iam.myhuaweicloud.com/v3"),
        clouds=SHORT,
        refused="the entry `one` ({clouds}, line 2) has no region `zz-north-7`. Use one of eu-de",
    ),
    Row(
        "cloud_domain of an entry",
        OS_ONE,
        clouds=entry(
            "ak: partner-ak, sk: s, " + f"project_id: {OWN}",
            beside="region_name: xx-west-1\n    cloud_domain: partner.example.com",
        ),
        cbr="cbr.xx-west-1.partner.example.com",
        method="signature",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_left_over(row: Row, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(row, clouds, tmp_path, monkeypatch)


def given(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_password_keeps_its_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    given(shell(USER, OS_PASSWORD=" a b \r"), monkeypatch)
    assert load().password == " a b "


def test_scope_of_a_domain_does_not_replace_the_users_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    given(shell(USER, OS_DOMAIN_ID="x"), monkeypatch)
    assert (load().user_domain_name, load().user_domain_id) == ("d", None)


def test_names_of_the_own_project_do_not_follow_into_the_agencys(monkeypatch: pytest.MonkeyPatch) -> None:
    agency = {"HW_ASSUME_ROLE_AGENCY_NAME": "a", "HW_ASSUME_ROLE_DOMAIN_NAME": "d"}
    given(shell(HW_USER, agency, HW_PROJECT_ID=OWN, HW_PROJECT_NAME="theirs"), monkeypatch)
    found = load()
    assert (found.project_id, found.source_project_id, found.source_project_name) == (OWN, None, None)


def test_a_projects_domain_is_not_used_by_access_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    given(shell(OS_KEYS_DE, OS_PROJECT_DOMAIN_NAME="x"), monkeypatch)
    (usage,) = [usage for usage in resolve_settings().usages if usage.value.name == "projectDomainName"]
    assert (usage.is_used, usage.reason) == (False, "it has no effect with access keys")


@pytest.mark.parametrize(
    ("stack", "variables", "names"),
    [
        ({"authUrl": f"https://{IAM_DE}/v3/"}, USER, []),
        ({"projectId": OWN.upper()}, USER, []),
        ({"projectId": OTHER}, USER, ["projectId"]),
        ({"accessKey": "x", "secretKey": "s", "region": "eu-de"}, OS_KEYS_DE, ["accessKey"]),
        ({"agencyName": "x", "agencyDomainName": "theirs"}, shell(USER, AGENCY), ["agencyName"]),
    ],
)
def test_contradictions(
    stack: dict[str, str], variables: dict[str, str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(variables, monkeypatch)
    found = find_contradictions(resolve_settings(stack.get).usages)
    assert [name for name, _, _ in found] == names


def test_two_projects_of_one_name_are_refused(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    clouds.clear()
    clouds.twins = True
    given({**clouds.environment, **OS_KEYS_DE, "OS_PROJECT_NAME": "eu-de_x"}, monkeypatch)
    with pytest.raises(SettingsError, match=r"several projects `eu-de_x`. Set OS_PROJECT_ID$"):
        CbrClient(load()).project_id()


def test_catalog_without_one_address_is_refused(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    given({**clouds.environment, **USER}, monkeypatch)
    for changes, said in (
        ({"region": None, "region_id": None}, "the service catalog has `cbr` in no named region. Set CBR_ENDPOINT"),
        (
            {"region": "eu-de", "region_id": "eu-de"},
            f"several addresses of `cbr` for one region: cbr.eu-de.{OTC}, {CBR_NL}. Set CBR_ENDPOINT to yours",
        ),
    ):
        clouds.clear()
        clouds.catalog_changes = changes
        with pytest.raises(SettingsError, match=re.escape(said)):
            CbrClient(load()).show_backup(BACKUP)
        assert not clouds.sent_to("cbr")


def test_certificates_beside_verify_false_are_reported_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").write_text(entry(ENTRY_USER, beside="region_name: eu-de\n    verify: false"))
    given({**OS_ONE, "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"), "OS_CACERT": "/ca.pem"}, monkeypatch)
    found = resolve_settings()
    (usage,) = [usage for usage in found.usages if usage.value.origin == "OS_CACERT"]
    assert not usage.is_used
    assert usage.reason.endswith("turns off the check of certificates")
    assert load().verify is False


@pytest.mark.parametrize("name", ["", " "])
def test_cloud_without_a_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(USER, monkeypatch)
    with pytest.raises(SettingsError, match=r"^`cloud` is an empty text\. Name an entry"):
        load(cloud=name)


def test_broken_vendor_file_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = tmp_path / "clouds-public.yaml"
    (tmp_path / "clouds.yaml").write_text(entry(ENTRY_USER, beside="profile: v"))
    monkeypatch.setattr(loader, "VENDOR_FILES", [str(vendor)])
    given({**OS_ONE, "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}, monkeypatch)
    vendor.write_text("public-clouds:\n  v: [")
    with pytest.raises(SettingsError, match=re.escape(f"{vendor}, line 2, is not YAML. Correct the line")):
        load()


@pytest.mark.parametrize("own_entry", [entry(KEYS_AUTH), entry(KEYS_AUTH, name="two"), entry(NO_PASSWORD)])
def test_secrets_of_another_clouds_yaml_are_refused(
    own_entry: str, clouds: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's clouds.yaml may name another cloud as the user's own does.

    The secrets of a copied entry are used.
    """
    clouds.clear()
    for folder in ("here", "home"):
        (tmp_path / folder).mkdir()
    (tmp_path / "here" / "clouds.yaml").write_text(entry(NO_PASSWORD))
    (tmp_path / "home" / "secure.yaml").write_text("clouds: {one: {auth: {password: otc-password}}}\n")
    (tmp_path / "home" / "clouds.yaml").write_text(own_entry)
    monkeypatch.setattr(loader, "CONFIG_FILES", [str(tmp_path / "here" / "clouds.yaml")])
    monkeypatch.setattr(loader, "SECURE_FILES", [str(tmp_path / "home" / "secure.yaml")])
    given({**clouds.environment, **OS_ONE}, monkeypatch)
    if own_entry == entry(KEYS_AUTH):
        with pytest.raises(SettingsError, match=r"secure\.yaml belongs to another entry `one` than that of .*here"):
            load()
    else:
        CbrClient(load()).show_backup(BACKUP)
