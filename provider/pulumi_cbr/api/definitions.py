"""Every setting: its names, its meaning, its type, and the group that decides where its value may come from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from pulumi_cbr import messages
from pulumi_cbr.api.errors import SettingsError
from pulumi_cbr.api.names import to_snake

#: Looks a name such as ``authUrl`` up in the stack's configuration; None if it is not set.
ConfigLookup = Callable[[str], object]


class Group(Enum):
    """Kinds of settings. `precedence` has which places give which kinds."""

    IDENTITY = "credentials"
    ADDRESS = "addresses"
    SCOPE = "project and region"
    CERTIFICATES = "certificates"
    OPTION = "options"


class Setting(NamedTuple):
    """One setting: its name in the namespace ``cbr``, its variables, and its meaning."""

    name: str
    variables: tuple[str, ...]
    meaning: str
    group: Group
    kind: type = str
    secret: bool = False
    #: Sent as the value of a header, or as a part of one.
    header: bool = False
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The name of the field of `Settings`."""
        return to_snake(self.name)

    def all_places(self) -> str:
        """Return every place to set the setting."""
        flag = " --secret" if self.secret else ""
        return " or ".join([f"`pulumi config set{flag} cbr:{self.name}`", *self.variables])


_INTERFACES = ("public", "internal", "admin")

#: The kinds of `auth_type` that need no plugin, and the way to sign in that each asks for.
AUTH_TYPES: Mapping[str, str] = {
    "password": "password",
    "v3password": "password",
    "token": "token",
    "v3token": "token",
    "v3applicationcredential": "applicationCredential",
    "agency": "password",
    "aksk": "accessKey",
    "v3aksk": "accessKey",
}

#: Every setting, in the order of the table in docs/reference/settings.md. The variables are in order of precedence.
SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("cloud", ("OS_CLOUD",), "entry of clouds.yaml to sign in with", Group.IDENTITY),
        Setting(
            "authUrl",
            ("OS_AUTH_URL", "HW_AUTH_URL"),
            "identity service, such as https://iam.eu-de.otc.t-systems.com/v3",
            Group.ADDRESS,
        ),
        Setting("cloudDomain", ("HW_CLOUD",), "the cloud's domain, such as myhuaweicloud.com", Group.ADDRESS),
        Setting(
            "region",
            ("OS_REGION_NAME", "OS_REGION", "OS_CBR_REGION_NAME", "HW_REGION_NAME"),
            "region, such as eu-de",
            Group.SCOPE,
        ),
        Setting("projectId", ("OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"), "own project's ID", Group.SCOPE),
        Setting(
            "projectName",
            ("OS_PROJECT_NAME", "OS_TENANT_NAME", "HW_PROJECT_NAME"),
            "own project's name",
            Group.SCOPE,
        ),
        Setting(
            "projectDomainName",
            ("OS_PROJECT_DOMAIN_NAME",),
            "domain of the project, if it is not the user's",
            Group.SCOPE,
        ),
        Setting("projectDomainId", ("OS_PROJECT_DOMAIN_ID",), "its ID, in place of the domain's name", Group.SCOPE),
        Setting(
            "authType",
            ("OS_AUTH_TYPE",),
            "way to sign in, if several are configured: password, token, v3applicationcredential or aksk",
            Group.IDENTITY,
        ),
        Setting(
            "userId", ("OS_USER_ID", "HW_USER_ID"), "user's ID, in place of the name and the domain", Group.IDENTITY
        ),
        Setting("username", ("OS_USERNAME", "HW_USER_NAME"), "user's name", Group.IDENTITY),
        Setting("password", ("OS_PASSWORD", "HW_USER_PASSWORD"), "user's password", Group.IDENTITY, secret=True),
        Setting("passcode", ("OS_PASSCODE",), "one-time passcode of a user with MFA", Group.IDENTITY, secret=True),
        Setting(
            "userDomainName",
            ("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME", "HW_DOMAIN_NAME"),
            "domain (account) of the user",
            Group.IDENTITY,
        ),
        Setting(
            "userDomainId",
            ("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID", "HW_DOMAIN_ID"),
            "its ID, in place of the domain's name",
            Group.IDENTITY,
        ),
        Setting(
            "token",
            ("OS_TOKEN", "OS_AUTH_TOKEN", "HW_AUTH_TOKEN"),
            "a token that exists already",
            Group.IDENTITY,
            secret=True,
            header=True,
        ),
        Setting(
            "applicationCredentialId",
            ("OS_APPLICATION_CREDENTIAL_ID",),
            "application credential's ID",
            Group.IDENTITY,
        ),
        Setting(
            "applicationCredentialSecret",
            ("OS_APPLICATION_CREDENTIAL_SECRET",),
            "application credential's secret",
            Group.IDENTITY,
            secret=True,
        ),
        Setting(
            "accessKey",
            ("OS_ACCESS_KEY", "HW_ACCESS_KEY"),
            "access key (AK)",
            Group.IDENTITY,
            secret=True,
            header=True,
        ),
        Setting("secretKey", ("OS_SECRET_KEY", "HW_SECRET_KEY"), "secret key (SK)", Group.IDENTITY, secret=True),
        Setting(
            "securityToken",
            ("OS_SECURITY_TOKEN", "HW_SECURITY_TOKEN"),
            "security token of temporary keys",
            Group.IDENTITY,
            secret=True,
            header=True,
        ),
        Setting(
            "agencyName",
            ("OS_AGENCY_NAME", "HW_ASSUME_ROLE_AGENCY_NAME"),
            "agency to act for, in another account",
            Group.SCOPE,
        ),
        Setting(
            "agencyDomainName",
            ("OS_AGENCY_DOMAIN_NAME", "HW_ASSUME_ROLE_DOMAIN_NAME"),
            "domain (account) of the agency",
            Group.SCOPE,
        ),
        Setting("agencyDomainId", ("HW_ASSUME_ROLE_DOMAIN_ID",), "its ID, in place of the domain's name", Group.SCOPE),
        Setting(
            "delegatedProject",
            ("OS_DELEGATED_PROJECT",),
            "name of the agency's project that backups are in; without it the region's own",
            Group.SCOPE,
        ),
        Setting(
            "endpoint",
            ("CBR_ENDPOINT", "OS_CBR_ENDPOINT_OVERRIDE"),
            "URL of the CBR service, in place of the catalog's",
            Group.ADDRESS,
        ),
        Setting(
            "interface",
            ("OS_INTERFACE", "OS_ENDPOINT_TYPE", "OS_CBR_INTERFACE", "OS_CBR_ENDPOINT_TYPE"),
            "which of the catalog's URLs to use: public, internal or admin",
            Group.SCOPE,
            choices=_INTERFACES,
        ),
        Setting("caCert", ("OS_CACERT",), "file of certificates to trust, or their PEM text", Group.CERTIFICATES),
        Setting(
            "insecure",
            ("OS_INSECURE", "HW_INSECURE"),
            "do not check certificates, allow plain http",
            Group.ADDRESS,
            kind=bool,
        ),
        Setting("userProfile", (), "value of the header X-User-Profile of an added share", Group.OPTION, header=True),
        Setting("adoptExisting", (), "adopt shares that exist already, for this run", Group.OPTION, kind=bool),
        Setting(
            "preflight",
            (),
            "ask the service in previews whether new shares can be made",
            Group.OPTION,
            kind=bool,
        ),
        Setting("timeout", (), "seconds that one call may take, all tries together (120)", Group.OPTION, kind=float),
        Setting("maxRetries", (), "how often a call is tried again (4)", Group.OPTION, kind=int),
    )
}

#: Settings of the first-class provider alone, and the engine's own of every provider.
NATIVE_SETTINGS = ("parallel", "version", "pluginDownloadURL")

#: Variables of openstackclient and of Terraform that change who signs in or for what, and that nothing here can honor.
UNSUPPORTED_VARIABLES = (
    "OS_TRUST_ID",
    "OS_SYSTEM_SCOPE",
    "OS_CERT",
    "OS_KEY",
    "OS_APPLICATION_CREDENTIAL_NAME",
    "OS_CBR_SERVICE_TYPE",
    "OS_CBR_SERVICE_NAME",
    "HW_PROFILE",
    "HW_SHARED_CONFIG_FILE",
    "HW_ASSUME_ROLE_ID_TOKEN",
    "HW_ASSUME_ROLE_ID_TOKEN_FILE",
    "HW_ASSUME_ROLE_IDP_ID",
)

#: Values of them that change nothing.
USUAL_VALUES = {"OS_CBR_SERVICE_TYPE": "cbr"}

#: Two names for one thing: the first place that gives either of them decides.
ALTERNATIVES = (
    ("projectId", "projectName"),
    ("projectDomainId", "projectDomainName"),
    ("userId", "username"),
    ("userDomainId", "userDomainName"),
    ("agencyDomainId", "agencyDomainName"),
)

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


def parse_value(name: str, value: object, where: str) -> object:
    """Return the value of a setting in its type.

    Raises `SettingsError`, which names the place `where` it was given.
    """
    setting = SETTINGS[name]
    text = _strip(name, value) if isinstance(value, str) else value
    if setting.kind is str and isinstance(text, str):
        return _parse_text(setting, text, where)
    if setting.kind is bool:
        if isinstance(text, bool):
            return text
        if isinstance(text, str) and text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
    elif setting.kind in (int, float) and isinstance(text, (str, int, float)) and not isinstance(text, bool):
        try:
            number = setting.kind(text)
            plain = "_" not in text if isinstance(text, str) else number == text
            if plain and math.isfinite(number) and (number > 0 or (number == 0 and setting.kind is int)):
                return number
        except (ValueError, OverflowError):
            pass
    raise SettingsError(messages.wrong_value(where, setting.kind, None if setting.secret else value))


def _strip(name: str, text: str) -> str:
    # A password may begin or end with a space.
    return text.strip("\r\n") if name == "password" else text.strip()


def _parse_text(setting: Setting, text: str, where: str) -> str:
    if setting.header and not (re.fullmatch("[!-~]+", text) if setting.secret else text.isprintable()):
        raise SettingsError(messages.not_one_line(where))
    if setting.choices:
        choice = text.lower().removesuffix("url")
        if choice not in setting.choices:
            raise SettingsError(messages.not_among(where, text[:40], setting.choices))
        return choice
    return text
