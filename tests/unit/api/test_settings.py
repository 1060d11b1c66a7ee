from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from pathlib import Path

import certifi
import pytest

from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.precedence import Place, Source, Value, resolve
from pulumi_cbr.api.settings import SETTINGS, Settings, load, read_option
from unit.api.kit import OTHER, OWN, configured

# openstacksdk warns of an option of its own, which nobody set.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")

USER = {
    "authUrl": "https://iam.example.com/v3",
    "username": "u",
    "userDomainName": "d",
    "password": "pass-word-1",
    "projectId": OWN,
}

CLOUDS = f"""
clouds:
  one:
    region_name: eu-de
    auth:
      auth_url: https://iam.one.example.com/v3
      username: u
      user_domain_name: d
      project_id: {OTHER}
  unverified:
    verify: false
    auth: {{auth_url: "http://iam.example.com/v3", username: u, password: p, project_name: n, domain_name: d}}
  overridden:
    cbr_endpoint_override: https://cbr.one.example.com
    auth: {{auth_url: "https://iam.example.com/v3", username: u, password: p, project_name: n, domain_name: d}}
"""

SECURE = """
clouds:
  one:
    auth: {password: pass-word-2}
"""


@pytest.fixture
def clouds_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    (tmp_path / "secure.yaml").write_text(SECURE)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(tmp_path / "secure.yaml"))
    return tmp_path


# Precedence


def test_stack_before_os_before_hw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW_REGION_NAME", "from-hw")
    assert configured(**USER).region == "from-hw"
    monkeypatch.setenv("OS_REGION_NAME", "from-os")
    assert configured(**USER).region == "from-os"
    assert configured(**USER, region="from-stack").region == "from-stack"


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if len(setting.variables) > 1])
def test_variables_in_their_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = SETTINGS[name]
    first, other = ("true", "false") if setting.kind is bool else setting.choices[:2] or ("v0", "v1")
    for number, variable in reversed(list(enumerate(setting.variables))):
        monkeypatch.setenv(variable, other if number else first)
    assert read_option(name) == (True if setting.kind is bool else first)


def test_project_name_in_the_stack_precedes_id_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PROJECT_ID", OTHER)
    settings = configured(**{**USER, "projectId": None, "projectName": "mine"})

    assert (settings.project_id, settings.project_name) == (None, "mine")


def test_domain_name_in_the_stack_precedes_id_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_USER_DOMAIN_ID", "from-os")
    settings = configured(**USER)
    assert (settings.user_domain_name, settings.user_domain_id) == ("d", None)


def test_security_token_of_another_key_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY", "HK"), ("SECRET_KEY", "HS"), ("SECURITY_TOKEN", "HT"), ("REGION_NAME", "eu-de")):
        monkeypatch.setenv(f"HW_{name}", value)
    assert load().security_token == "HT"
    monkeypatch.setenv("OS_ACCESS_KEY", "OK")
    monkeypatch.setenv("OS_SECRET_KEY", "OS")
    monkeypatch.setenv("OS_REGION_NAME", "eu-nl")
    assert (load().access_key, load().secret_key, load().security_token) == ("OK", "OS", None)
    monkeypatch.setenv("OS_SECURITY_TOKEN", "OT")
    assert load().security_token == "OT"
    # A token without keys, in an earlier place, does not hide it.
    assert configured(securityToken="ST").security_token == "OT"


def test_the_first_place_that_signs_in_decides_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW_ACCESS_KEY", "AK")
    monkeypatch.setenv("HW_SECRET_KEY", "SK")
    monkeypatch.setenv("HW_REGION_NAME", "eu-de")
    assert load().method == "accessKey"
    for variable, value in (("OS_AUTH_URL", "https://iam"), ("OS_USERNAME", "u"), ("OS_PASSWORD", "p")):
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("OS_DOMAIN_NAME", "d")
    monkeypatch.setenv("OS_PROJECT_NAME", "n")
    assert load().method == "password"
    assert configured(token="t", authUrl="https://iam", projectId=OWN).method == "token"


def test_cloud_of_the_resource_is_over_everything(clouds_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "overridden")
    monkeypatch.setenv("OS_REGION_NAME", "from-os")
    config = {**USER, "region": "from-stack", "timeout": "7"}

    settings = load(config.get, cloud="one")

    assert (settings.method, settings.cloud, settings.auth_url) == ("password", "one", "https://iam.one.example.com/v3")
    assert (settings.region, settings.project_id, settings.timeout) == ("eu-de", OTHER, 7.0)
    assert (settings.username, settings.password) == ("u", "pass-word-2")


def test_stack_beside_its_own_cloud_comes_before_the_entry(clouds_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_REGION_NAME", "from-os")
    assert configured(cloud="one").region == "eu-de"
    assert configured(cloud="one", region="from-stack").region == "from-stack"
    assert configured(cloud="unverified").region is None


def test_os_cloud(clouds_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "one")
    assert load().cloud == "one"
    assert configured(**USER).method == "password"


# clouds.yaml


def test_secure_yaml_is_merged_and_secret(clouds_file: Path) -> None:
    settings = configured(cloud="one")

    assert list(settings.secrets()) == ["pass-word-2"]
    assert "pass-word" not in repr(settings)


def test_entry_that_checks_no_certificates(clouds_file: Path) -> None:
    settings = configured(cloud="unverified")
    assert settings.insecure
    assert settings.verify is False


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("verify: true", True),
        ("insecure: false", True),
        ("verify: false", False),
        ("insecure: true", False),
        (f"cacert: '{certifi.where()}'", certifi.where()),
    ],
)
def test_certificates_of_an_entry_precede_the_environment(
    says: str, expected: object, clouds_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clouds_file / "clouds.yaml").write_text(CLOUDS.replace("region_name: eu-de", f"region_name: eu-de\n    {says}"))
    monkeypatch.setenv("OS_CACERT", str(clouds_file / "other.pem"))
    (clouds_file / "other.pem").write_bytes(Path(certifi.where()).read_bytes())
    for insecure in ("true", "false"):
        monkeypatch.setenv("OS_INSECURE", insecure)
        assert load(cloud="one").verify == expected
    assert configured(cloud="one", insecure=True).verify is False


def test_certificates_beside_a_cloud_are_the_environments(clouds_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CACERT", certifi.where())
    monkeypatch.setenv("OS_INSECURE", "true")
    for settings in (load(cloud="one"), configured(cloud="one")):
        assert settings.verify == certifi.where()
    monkeypatch.setenv("OS_CLOUD", "one")
    assert load().verify is False


def test_entry_that_names_the_endpoint(clouds_file: Path) -> None:
    assert configured(cloud="overridden").endpoint == "https://cbr.one.example.com"


def test_no_such_cloud(clouds_file: Path) -> None:
    with pytest.raises(SettingsError, match=r"clouds.yaml has no entry `other`. Use one of its entries: one,") as error:
        configured(cloud="other")
    assert "\n" not in str(error.value)


def test_broken_clouds_yaml(clouds_file: Path) -> None:
    (clouds_file / "clouds.yaml").write_text("clouds: {one: [pass-word-3")
    with pytest.raises(SettingsError, match=r"clouds.yaml, line 1, is not YAML") as error:
        configured(cloud="one")
    assert "\n" not in str(error.value)
    assert "pass-word" not in str(error.value)


def test_without_openstacksdk(clouds_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack.config", None)
    with pytest.raises(SettingsError, match=r"needs openstacksdk. Run pip install 'pulumi-cbr\[clouds\]'"):
        configured(cloud="one")


# Types and forms


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.kind is not bool])
@pytest.mark.parametrize("value", [["s3cret"], {"s3cret": 1}, True])
def test_wrong_types_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"^cbr:{name} must be ") as error:
        configured(**{**USER, name: value})
    assert ("s3cret" in str(error.value)) == (not SETTINGS[name].secret and value is not True)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("insecure", "maybe", "true or false, not 'maybe'"),
        ("insecure", 1, "true or false, not '1'"),
        ("timeout", "soon", "a number of seconds above 0, not 'soon'"),
        ("timeout", 0, "a number of seconds above 0, not '0'"),
        ("timeout", "-1", "a number of seconds above 0, not '-1'"),
        ("timeout", "nan", "a number of seconds above 0, not 'nan'"),
        ("timeout", "inf", "a number of seconds above 0, not 'inf'"),
        ("timeout", "1_0", "a number of seconds above 0, not '1_0'"),
        ("maxRetries", "1.5", "a whole number, 0 or above, not '1.5'"),
        ("maxRetries", 1.5, "a whole number, 0 or above, not '1.5'"),
        ("maxRetries", "1_0", "a whole number, 0 or above, not '1_0'"),
        ("maxRetries", "-1", "a whole number, 0 or above, not '-1'"),
        ("maxRetries", "9" * 5000, "a whole number, 0 or above"),
    ],
)
def test_wrong_values_are_refused_by_name(name: str, value: object, expected: str) -> None:
    with pytest.raises(SettingsError) as error:
        configured(**{**USER, name: value})
    assert str(error.value).startswith(f"cbr:{name} must be {expected}")
    assert len(str(error.value)) < 120


def test_wrong_value_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW_INSECURE", "maybe")
    with pytest.raises(SettingsError, match=r"^HW_INSECURE must be true or false"):
        configured(**USER)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("insecure", "TRUE", "insecure", True),
        ("insecure", "off", "insecure", False),
        ("insecure", True, "insecure", True),
        ("timeout", "2.5", "timeout", 2.5),
        ("timeout", 3, "timeout", 3.0),
        ("maxRetries", "0", "max_retries", 0),
        ("projectId", OWN.upper(), "project_id", OWN),
        ("username", "  u \n", "username", "u"),
    ],
)
def test_right_values(name: str, value: object, attribute: str, expected: object) -> None:
    assert getattr(configured(**{**USER, name: value}), attribute) == expected


@pytest.mark.parametrize("name", ["token", "accessKey", "securityToken", "userProfile"])
@pytest.mark.parametrize("value", ["ab\ncd-s3cret", "ab\x00cd-s3cret", "ab\r\nX-Evil: cd-s3cret"])
def test_what_becomes_a_header_is_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^cbr:{name} must be one line") as error:
        configured(**{**USER, name: value})
    assert "s3cret" not in str(error.value)


def test_project_id_has_its_form() -> None:
    with pytest.raises(SettingsError, match=r"^cbr:projectId must be a project ID: 32 hex "):
        configured(**{**USER, "projectId": "mine"})


@pytest.mark.parametrize("name", ["authUrl", "endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "cbr.example.com",
        "ftp://host",
        "https://",
        "https://u:p@host",
        "https://host/?q=1",
        "https://host?",
        "https://host/#f",
        "https://host#",
        "https://:pw@host",
        "https://@host",
        "https://host\\@elsewhere",
        "https://host\\x",
        "https://ho st",
        "https://host:x",
        "https://[::1",
    ],
)
def test_urls_have_their_form(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"^cbr:{name} must be a URL such as "):
        configured(**{**USER, name: url})


@pytest.mark.parametrize("name", ["authUrl", "endpoint"])
def test_plain_http_only_to_loopback_or_insecure(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^cbr:{name} is plain http, .* to example.com"):
        configured(**{**USER, name: "http://example.com/v3"})
    with pytest.raises(SettingsError, match=r"plain http"):
        configured(**{**USER, name: "http://localhost.example.com/v3"})
    for url in ("http://127.0.0.1:80", "http://127.8.8.8", "http://[::1]:8080/v3", "http://localhost/v3"):
        configured(**{**USER, name: url})
    configured(**{**USER, name: "http://example.com", "insecure": "true"})


def test_plain_http_is_refused_however_the_settings_are_made() -> None:
    with pytest.raises(SettingsError, match=r"plain http"):
        Settings(method="password", auth_url="http://example.com")
    with pytest.raises(SettingsError, match=r"plain http"):
        dataclasses.replace(configured(**USER), endpoint="http://example.com")


def test_ca_cert_is_a_file_of_certificates(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^cbr:caCert must be a file of certificates, not .*No such file"):
        configured(**USER, caCert=str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(SettingsError, match=r"^cbr:caCert must be a file of certificates, not .*Correct it"):
        configured(**USER, caCert=str(tmp_path / "empty.pem"))
    configured(**USER, caCert=str(tmp_path))


# What is missing


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_blanks_are_not_given(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_REGION_NAME", "from-os")
    monkeypatch.setenv("OS_CLOUD", blank)
    settings = load({**USER, "cloud": blank, "region": blank, "token": blank}.get)
    assert (settings.method, settings.region) == ("password", "from-os")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"userId": "i", "password": "p"}, "a user"),
        ({"token": "t"}, "a token"),
        ({"username": "u", "password": "p"}, "a user"),
    ],
)
def test_a_projects_name_needs_a_domain(given: dict[str, str], words: str) -> None:
    place = {"authUrl": "https://iam.example.com", **given}
    with pytest.raises(SettingsError) as error:
        configured(**place, projectName="n")
    assert str(error.value) == f"signing in with {words} failed: userDomainName is missing. Set cbr:userDomainName"
    settings = configured(**place, projectName="n", userDomainId="d", projectDomainId="e")
    assert (settings.user_domain_id, settings.project_domain_id) == ("d", "e")


def test_a_users_and_a_projects_id_need_no_domain() -> None:
    place = {"authUrl": "https://iam.example.com", "userId": "i", "password": "p"}
    assert configured(**place, projectId=OWN, projectName="n").user_domain_name is None


def test_no_credentials_names_the_usual_ways() -> None:
    with pytest.raises(SettingsError, match=r"^no credentials configured. Set OS_CLOUD, .* OS_ACCESS_KEY"):
        load()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"username": "s3cret"}, "password is missing. Set cbr:password"),
        ({"username": "s3cret", "password": "s3cret"}, "authUrl, projectId and userDomainName are missing. Set "),
        ({"token": "s3cret"}, "authUrl and projectId are missing. Set cbr:authUrl and cbr:projectId"),
        ({"applicationCredentialId": "s3cret"}, "applicationCredentialSecret is missing"),
        ({"accessKey": "s3cret"}, "secretKey is missing. Set cbr:secretKey"),
        ({"accessKey": "s3cret", "secretKey": "s3cret"}, "region is missing. Set cbr:region"),
    ],
)
def test_missing_settings_are_named_with_their_place(given: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError) as error:
        configured(**given)
    assert f"failed: {missing}" in str(error.value)
    assert "s3cret" not in str(error.value)


# Secrets


def test_secrets_are_those_that_are_there() -> None:
    assert list(configured(**USER).secrets()) == ["pass-word-1"]
    assert "" not in list(configured(**USER, token="", endpoint="").secrets())


def test_settings_are_not_pickled() -> None:
    for dump in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"not pickled"):
            dump(configured(**USER))


def test_os_cloud_completes_what_the_stack_begins() -> None:
    sources = {place: Source(place) for place in (Place.STACK, Place.CBR, Place.OS, Place.HW)}
    sources[Place.STACK] = Source(Place.STACK, (Value("username", "u", "cbr:username"),))
    sources[Place.OS] = Source(Place.OS, (Value("cloud", "one", "OS_CLOUD"),))
    entry = Source(Place.ENTRY, (Value("password", "p", "`password` of the entry `one`"),))
    found = resolve(sources, None, lambda name, region: entry)
    assert {name: found.origin(name) for name in ("username", "password")} == {
        "username": "cbr:username",
        "password": "`password` of the entry `one`",
    }
