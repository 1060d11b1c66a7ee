"""Where to sign in and how: read from a cloud's entry, the stack's configuration (`cbr:*`) and the environment."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import InvalidId, SettingsError

#: Looks a name such as ``authUrl`` up in the stack's configuration; None where it is not set.
ConfigLookup = Callable[[str], object]


@dataclass(frozen=True)
class Setting:
    """One setting: its name in the namespace ``cbr``, the environment variables that give it too, and its meaning."""

    name: str
    variables: tuple[str, ...]
    meaning: str
    kind: type = str
    secret: bool = False
    #: Sent as the value of a header, or as a part of one.
    header: bool = False

    def how_to_set(self) -> str:
        """Name every way to give the setting."""
        flag = " --secret" if self.secret else ""
        return " or ".join([f"`pulumi config set{flag} cbr:{self.name}`", *self.variables])


#: Every setting, in the order of the README's table. The variables are in order of precedence.
SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("cloud", ("OS_CLOUD",), "entry of clouds.yaml to sign in with"),
        Setting(
            "authUrl",
            ("OS_AUTH_URL", "HW_AUTH_URL"),
            "identity service, such as https://iam.eu-de.otc.t-systems.com/v3",
        ),
        Setting("region", ("OS_REGION_NAME", "HW_REGION_NAME"), "region, such as eu-de"),
        Setting("projectId", ("OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"), "own project's ID"),
        Setting("projectName", ("OS_PROJECT_NAME", "OS_TENANT_NAME", "HW_PROJECT_NAME"), "own project's name"),
        Setting("userId", ("OS_USER_ID", "HW_USER_ID"), "user's ID, in place of the name and the domain"),
        Setting("username", ("OS_USERNAME", "HW_USER_NAME"), "user's name"),
        Setting("password", ("OS_PASSWORD", "HW_USER_PASSWORD"), "user's password", secret=True),
        Setting(
            "userDomainName",
            ("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME", "HW_DOMAIN_NAME"),
            "domain (account) of the user and the project",
        ),
        Setting(
            "userDomainId",
            ("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID", "HW_DOMAIN_ID"),
            "its ID, in place of the domain's name",
        ),
        Setting(
            "token",
            ("OS_TOKEN", "OS_AUTH_TOKEN", "HW_AUTH_TOKEN"),
            "a token that exists already",
            secret=True,
            header=True,
        ),
        Setting("applicationCredentialId", ("OS_APPLICATION_CREDENTIAL_ID",), "application credential's ID"),
        Setting(
            "applicationCredentialSecret",
            ("OS_APPLICATION_CREDENTIAL_SECRET",),
            "application credential's secret",
            secret=True,
        ),
        Setting("accessKey", ("OS_ACCESS_KEY", "HW_ACCESS_KEY"), "access key (AK)", secret=True, header=True),
        Setting("secretKey", ("OS_SECRET_KEY", "HW_SECRET_KEY"), "secret key (SK)", secret=True),
        Setting(
            "securityToken",
            ("OS_SECURITY_TOKEN", "HW_SECURITY_TOKEN"),
            "security token of temporary keys",
            secret=True,
            header=True,
        ),
        Setting("endpoint", ("CBR_ENDPOINT",), "URL of the CBR service, in place of the catalogue's"),
        Setting("caCert", ("OS_CACERT",), "file of certificates to trust"),
        Setting("insecure", ("OS_INSECURE", "HW_INSECURE"), "do not check certificates, allow plain http", kind=bool),
        Setting("userProfile", (), "value of the header X-User-Profile of an added share", header=True),
        Setting("adoptExisting", (), "take over shares that exist already, for this run", kind=bool),
        Setting("preflight", (), "ask the service in previews whether new shares can be made", kind=bool),
        Setting("timeout", (), "seconds that one call may take, all tries together (120)", kind=float),
        Setting("maxRetries", (), "how often a call is tried again (4)", kind=int),
    )
}

#: What asks for a way to sign in, in order of precedence where one place gives several.
_SIGN_IN = ("cloud", "token", "applicationCredentialId", "userId", "username", "accessKey")

#: Two ways to say one thing: the first place that gives either of them decides.
_ALTERNATIVES = (("projectId", "projectName"), ("userId", "username"), ("userDomainId", "userDomainName"))

#: What a cloud's entry leaves to the stack and the environment. All else belongs to its own way to sign in.
_BESIDE_CLOUD = frozenset(
    ("region", "endpoint", "caCert", "insecure", "userProfile", "adoptExisting", "preflight", "timeout", "maxRetries")
)

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")

#: Settings as one place gives them: by name, with their right types.
_Source = Mapping[str, object]


@dataclass(frozen=True)
class Settings:
    """What a client needs to know, checked. Equal settings share one client. The repr has no credential.

    `method` says how to sign in: one of ``cloud, token, applicationCredential, password, accessKey``. Times are seconds.
    """

    method: str
    cloud: str | None = None
    auth_url: str | None = None
    region: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    user_id: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    user_domain_name: str | None = None
    user_domain_id: str | None = None
    token: str | None = field(default=None, repr=False)
    application_credential_id: str | None = None
    application_credential_secret: str | None = field(default=None, repr=False)
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    ca_cert: str | None = None
    insecure: bool = False
    user_profile: str | None = None
    adopt_existing: bool = False
    preflight: bool = False
    timeout: float = 120.0
    max_retries: int = 4
    #: What a cloud's entry keeps secret.
    cloud_secrets: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, url in (("authUrl", self.auth_url), ("endpoint", self.endpoint)):
            if url:
                check_url(name, url, insecure=self.insecure)
        if self.project_id:
            try:
                object.__setattr__(self, "project_id", ids.project_id("projectId", self.project_id))
            except InvalidId as error:
                raise SettingsError(f"{error} (set by {SETTINGS['projectId'].how_to_set()})") from None
        if self.ca_cert and not self.insecure:
            _check_certificates(self.ca_cert)

    @property
    def verify(self) -> bool | str:
        """How certificates are checked, as `requests` takes it: a file to check with, or whether to check at all."""
        return False if self.insecure else self.ca_cert or True

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("settings hold credentials and are not pickled")

    def secrets(self) -> Iterator[str]:
        """Give every credential, for a message to leave out."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not entry.repr and value:
                yield from (value,) if isinstance(value, str) else value


def nothing_configured(name: str) -> object:
    """Stand for a configuration that sets nothing."""
    return None


def load(config: ConfigLookup = nothing_configured, *, cloud: str | None = None) -> Settings:
    """Read the settings: a resource's `cloud` first, then `config`, then the environment (``OS_*`` before ``HW_*``).

    Raises `SettingsError`, which names the setting and every way to give it.
    """
    places = _sources(config)
    if cloud and cloud.strip():
        return _from_cloud(cloud.strip(), [], places)
    for place in places:
        way = next((name for name in _SIGN_IN if name in place), None)
        if way == "cloud":
            # What a stack says beside a cloud's name is over the entry; what the environment says is under it.
            return _from_cloud(str(place["cloud"]), places[:1], places[1:])
        if way:
            return _checked(way, _merge(places))
    raise SettingsError(_no_sign_in())


def option(name: str, config: ConfigLookup = nothing_configured) -> object:
    """Read one setting from the configuration or the environment, without asking how to sign in; None where it is not set.

    Raises `SettingsError` when it has the wrong type.
    """
    return _merge(_sources(config)).get(name)


def _sources(config: ConfigLookup) -> list[_Source]:
    stack = {name: value for name in SETTINGS if (value := config(name)) is not None and str(value).strip()}
    return [
        {name: typed(name, value, f"cbr:{name}") for name, value in stack.items()},
        _environment("OS_", "CBR_"),
        _environment("HW_"),
    ]


def _environment(*prefixes: str) -> _Source:
    place = {}
    for name, setting in SETTINGS.items():
        for variable in setting.variables:
            if variable.startswith(prefixes) and name not in place and (text := os.environ.get(variable, "").strip()):
                place[name] = typed(name, text, variable)
    return place


def _merge(places: Sequence[_Source]) -> dict[str, object]:
    values: dict[str, object] = {}
    for place in places:
        decided = {name for pair in _ALTERNATIVES if any(name in values for name in pair) for name in pair}
        if "accessKey" in values:
            decided.add("securityToken")  # it belongs to another key
        values.update({name: value for name, value in place.items() if name not in values and name not in decided})
    return values


def typed(name: str, value: object, where: str) -> object:
    """Give a setting's value with its right type. Raises `SettingsError`, which says `where` it was given."""
    setting = SETTINGS[name]
    text = value.strip() if isinstance(value, str) else value
    if setting.kind is str and isinstance(text, str):
        if setting.header and not (re.fullmatch("[!-~]+", text) if setting.secret else text.isprintable()):
            raise SettingsError(
                f"{where} must be one line of plain characters: it has a line break, or another that cannot be sent"
            )
        return text
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
    expected = {
        str: "a text",
        bool: "true or false",
        float: "a number of seconds above 0",
        int: "a whole number, 0 or above",
    }[setting.kind]
    given = "" if setting.secret else f", not {str(value)[:40]!r}"
    raise SettingsError(f"{where} must be {expected}{given}")


def _from_cloud(cloud: str, above: Sequence[_Source], below: Sequence[_Source]) -> Settings:
    from pulumi_cbr.api import clouds

    def beside(places: Sequence[_Source]) -> list[_Source]:
        return [{name: value for name, value in place.items() if name in _BESIDE_CLOUD} for place in places]

    return _checked("cloud", _merge([*beside(above), {**clouds.settings_of(cloud), "cloud": cloud}, *beside(below)]))


def _no_sign_in() -> str:
    how_to_set = (
        ("a cloud of clouds.yaml", ("cloud",)),
        ("a user", ("authUrl", "username", "password", "userDomainName", "projectId")),
        ("an application credential", ("authUrl", "applicationCredentialId", "applicationCredentialSecret")),
        ("a token", ("authUrl", "token", "projectId")),
        ("access keys", ("accessKey", "secretKey", "region", "projectId")),
    )
    named = "; ".join(
        f"{way}: {', '.join(f'cbr:{name} ({SETTINGS[name].variables[0]})' for name in names)}"
        for way, names in how_to_set
    )
    return (
        "nothing says how to sign in. Give one of these, with `pulumi config set [--secret] NAME VALUE` or by the variable "
        f"in brackets: {named}"
    )


#: The method of each way to sign in, and words for it.
_METHODS = {
    "cloud": ("cloud", "a cloud of clouds.yaml"),
    "token": ("token", "a token"),
    "applicationCredentialId": ("applicationCredential", "an application credential"),
    "userId": ("password", "a user's ID"),
    "username": ("password", "a user's name"),
    "accessKey": ("accessKey", "access keys"),
}


def _checked(way: str, values: Mapping[str, object]) -> Settings:
    method, words = _METHODS[way]
    needed: dict[str, tuple[tuple[str, ...], ...]] = {
        "cloud": (),
        "token": ()
        if values.get("endpoint") and values.get("projectId")
        else (("authUrl",), ("projectId", "projectName")),
        "applicationCredential": (("authUrl",), ("applicationCredentialSecret",)),
        "password": (("authUrl",), ("password",), ("projectId", "projectName")),
        "accessKey": (("secretKey",), ("projectId", "projectName", "region")),
    }
    missing = [names for names in needed[method] if not any(values.get(name) for name in names)]
    # A name of a user or a project is only one within its domain.
    by_name = way == "username" or (
        method in ("token", "password") and values.get("projectName") and not values.get("projectId")
    )
    if by_name and not (values.get("userDomainName") or values.get("userDomainId")):
        missing.append(("userDomainName", "userDomainId"))
    if method == "accessKey" and not (values.get("region") or values.get("endpoint")):
        missing.append(("region",))
    if missing:
        wanted = "; ".join(" or ".join(SETTINGS[name].how_to_set() for name in names) for names in missing)
        are = "this is" if len(missing) == 1 else "these are"
        raise SettingsError(f"to sign in with {words}, {are} missing: {wanted}")
    return Settings(method=method, **{_snake(name): value for name, value in values.items()})  # type: ignore[arg-type]


def check_url(name: str, url: str, *, insecure: bool) -> None:
    """Refuse a URL that is none, or that would show credentials on the way. Raises `SettingsError`."""
    how_to_set = SETTINGS[name].how_to_set()
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or "@" in parts.netloc or re.search(r"[?#\\\s]", url):
        raise SettingsError(
            f"{name} must be a URL such as https://host/path, without user, query or fragment: set it by {how_to_set}"
        )
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise SettingsError(plain_http(name, host))


def plain_http(name: str, host: str) -> str:
    """Say why plain http is refused."""
    return (
        f"{name} is plain http, which would show the credentials to everybody on the way to {host}: use https "
        "(or set cbr:insecure where that is meant)"
    )


def _check_certificates(path: str) -> None:
    import ssl

    folder = {"capath" if os.path.isdir(path) else "cafile": path}
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**folder)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        how_to_set = SETTINGS["caCert"].how_to_set()
        raise SettingsError(
            f"caCert must be a file of certificates, and {path} is none ({why}): set it by {how_to_set}"
        ) from error


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
