"""Choose the place whose credentials are used, and the places that add values.

docs/reference/settings.md shows the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from pulumi_cbr import messages
from pulumi_cbr.api.definitions import ALTERNATIVES, AUTH_TYPES, SETTINGS, Group
from pulumi_cbr.api.endpoints import with_version
from pulumi_cbr.api.errors import SettingsError


class Place(Enum):
    """A place that gives values, and its name in messages."""

    ENTRY = "the entry of clouds.yaml"
    STACK = "cbr:*"
    CBR = "CBR_ENDPOINT"
    OS = "OS_*"
    HW = "HW_*"


_ALL = frozenset(Group)


class Layer(NamedTuple):
    """A place that adds values of some groups.

    With `if_no_credentials`, it applies only if the place has no credentials.
    """

    place: Place
    groups: frozenset[Group] = _ALL
    if_no_credentials: bool = False


class Rule(NamedTuple):
    """When a place's credentials are used, and the places that add values, in order."""

    #: What the run signs in with, for messages and the table. `_choose_rule` has the condition.
    label: str
    #: The place that has the credentials. An earlier layer may override them.
    credentials_from: Place
    layers: tuple[Layer, ...]


def _make_layer(place: Place, *groups: Group, if_no_credentials: bool = False) -> Layer:
    return Layer(place, frozenset(groups) or _ALL, if_no_credentials)


_CLOUD_ARGUMENT_RULE = Rule(
    "`cloud=` of a resource",
    Place.ENTRY,
    (
        _make_layer(Place.ENTRY),
        _make_layer(Place.STACK, Group.CERTIFICATES, Group.OPTION),
        _make_layer(Place.OS, Group.CERTIFICATES),
    ),
)
_STACK_CLOUD_RULE = Rule(
    "`cbr:cloud`",
    Place.ENTRY,
    (_make_layer(Place.STACK), _make_layer(Place.ENTRY), _make_layer(Place.OS, Group.CERTIFICATES)),
)
_STACK_RULE = Rule(
    "credentials of the stack",
    Place.STACK,
    (
        _make_layer(Place.STACK),
        _make_layer(Place.CBR),
        _make_layer(Place.OS, Group.SCOPE, if_no_credentials=True),
        _make_layer(Place.HW, Group.SCOPE, if_no_credentials=True),
        _make_layer(Place.OS, Group.CERTIFICATES),
    ),
)
_OS_CLOUD_RULE = Rule(
    "`OS_CLOUD`",
    Place.ENTRY,
    (_make_layer(Place.STACK), _make_layer(Place.CBR), _make_layer(Place.OS), _make_layer(Place.ENTRY)),
)
_OS_RULE = Rule(
    "credentials in `OS_*`", Place.OS, (_make_layer(Place.STACK), _make_layer(Place.CBR), _make_layer(Place.OS))
)
_HW_RULE = Rule(
    "credentials in `HW_*`",
    Place.HW,
    (
        _make_layer(Place.STACK),
        _make_layer(Place.CBR),
        _make_layer(Place.HW),
        _make_layer(Place.OS, Group.CERTIFICATES),
    ),
)

#: In the order of the table. `_choose_rule` has the conditions.
PRECEDENCE = (_CLOUD_ARGUMENT_RULE, _STACK_CLOUD_RULE, _STACK_RULE, _OS_CLOUD_RULE, _OS_RULE, _HW_RULE)


class AuthMethod(NamedTuple):
    """A method of signing in, with the credentials that it needs."""

    name: str
    description: str
    #: The setting that has the secret. A place that sets it selects this method.
    secret: str
    #: Each inner tuple has alternatives, of which one is required. Empty for a plugin, which uses all settings.
    credentials: tuple[tuple[str, ...], ...]
    #: Other settings of the identity that are used with them.
    optional: tuple[str, ...] = ()
    #: Settings of the project that this method ignores.
    unused: tuple[str, ...] = ()

    def uses(self, name: str) -> bool:
        """Return whether this method uses a setting."""
        if name in self.unused:
            return False
        identity = SETTINGS[name].group is Group.IDENTITY
        is_needed = any(name in names for names in (*self.credentials, self.optional, ("cloud", "authType")))
        return not identity or is_needed or not self.credentials


#: In order of precedence, if one place gives several.
AUTH_METHODS = (
    AuthMethod("token", "a token", "token", (("token",),), ("userDomainName", "userDomainId")),
    AuthMethod(
        "applicationCredential",
        "an application credential",
        "applicationCredentialSecret",
        (("applicationCredentialId",), ("applicationCredentialSecret",)),
    ),
    AuthMethod(
        "password",
        "a user",
        "password",
        (("userId", "username"), ("password",)),
        ("passcode", "userDomainName", "userDomainId"),
    ),
    AuthMethod(
        "accessKey",
        "access keys",
        "secretKey",
        (("accessKey",), ("secretKey",)),
        ("securityToken",),
        # Access keys belong to one domain, which has the project.
        ("projectDomainName", "projectDomainId"),
    ),
)
_PLUGIN_METHOD = AuthMethod("cloud", "an entry of clouds.yaml", "", ())

_CREDENTIALS = {name for method in AUTH_METHODS for names in method.credentials for name in names}


@dataclass(frozen=True)
class Value:
    """A value; `origin` names the variable, setting or key that it comes from."""

    name: str
    value: object = field(repr=False)
    origin: str


@dataclass(frozen=True)
class Source:
    """The values that one place gives.

    All values of a setting that is used must be equal.
    """

    place: Place
    found: tuple[Value, ...] = ()
    #: Whether the `auth_type` of the entry needs a plugin of keystoneauth1.
    needs_plugin: bool = False
    #: The secrets of such an entry.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    #: The names of values that are not supported.
    unsupported: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Value]:
        """The first value of each setting, by its name."""
        return {value.name: value for value in reversed(self.found)}

    @property
    def has_credentials(self) -> bool:
        """Whether it names a user, a key, a token or a cloud."""
        return any(value.name in _CREDENTIALS or value.name == "cloud" for value in self.found)


class Usage(NamedTuple):
    """A value that was found, and whether it is used."""

    value: Value
    place: Place
    is_used: bool
    #: Why it is not used.
    reason: str = ""


@dataclass(frozen=True)
class Resolution:
    """The values to sign in with, and the usage of all values that were found."""

    rule: Rule
    method: AuthMethod
    values: Mapping[str, Value]
    places: Mapping[str, Place]
    usages: tuple[Usage, ...]
    #: Other places with complete credentials.
    also_complete: tuple[Place, ...] = ()
    #: Secrets that are in no field of `Settings`: of unused values, and of an entry that needs a plugin.
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def origin(self, name: str) -> str:
        """Return the variable, setting or key that a value comes from."""
        return self.values[name].origin


Sources = Mapping[Place, Source]
#: Reads the entry of this name in clouds.yaml, for a region. It always has a value `cloud`, whose origin names the entry in messages.
ReadEntry = Callable[[str, "str | None"], Source]


def resolve(sources: Sources, cloud: str | None, read_entry: ReadEntry) -> Resolution:
    """Return the values to sign in with.

    Raises `SettingsError` if there are no credentials, or if two places contradict each other.
    """
    rule, also_complete = _choose_rule(sources, cloud)
    if rule.credentials_from is Place.ENTRY:
        name = cloud or _cloud_name(sources)
        region = _region_before_entry(rule, sources)
        sources = {**sources, Place.ENTRY: read_entry(name, region)}
    layers = [layer for layer in rule.layers if _applies(layer, sources)]
    method = _choose_method(layers, sources)
    values, places = _merge(layers, sources)
    if method is None:
        raise SettingsError(_missing_credentials(rule, layers, sources))
    _check_unsupported(layers, sources, method, values)
    if "accessKey" in values and "securityToken" in values:
        _use_token_of_keys(values, places, sources)
    values = {name: value for name, value in values.items() if method.uses(name)}
    if _is_insecure(values):
        values.pop("caCert", None)
    usages = _list_usages(rule, method, layers, sources, values)
    secrets = sources[Place.ENTRY].secrets if Place.ENTRY in sources else ()
    secrets += tuple(
        str(usage.value.value) for usage in usages if not usage.is_used and SETTINGS[usage.value.name].secret
    )
    resolution = Resolution(rule, method, values, places, usages, also_complete, secrets)
    _check_agency_used(resolution, sources)
    _check_stack_used(resolution, sources)
    _check_stack_and_variables(resolution, sources)
    _check_entry_not_overridden(resolution, sources)
    _check_repeated_values(resolution, sources)
    return resolution


def place_to_set(rule: Rule, name: str) -> str:
    """Return where to set a setting so that a rule uses it, such as `OS_REGION_NAME`."""
    if rule is _CLOUD_ARGUMENT_RULE:
        return f"`{entry_key(name)}` of the entry in clouds.yaml"
    setting = SETTINGS[name]
    if rule is _OS_CLOUD_RULE:
        rule = _OS_RULE
    prefixes = {Place.OS: ("CBR_", "OS_"), Place.HW: ("CBR_", "HW_")}.get(rule.credentials_from, ())
    variables = [variable for variable in setting.variables if variable.startswith(prefixes)]
    return variables[0] if variables else f"cbr:{name}"


def entry_key(name: str) -> str:
    """Return the key of a setting in an entry of clouds.yaml."""
    other = {"region": "region_name", "endpoint": "cbr_endpoint_override", "caCert": "cacert"}
    return other.get(name) or SETTINGS[name].attribute


def precedence_table() -> str:
    """Return the table of docs/reference/settings.md: what signs in, and what is used with it."""
    rows = ["| what signs in | what is used, in this order |", "| --- | --- |"]
    rows += [f"| {rule.label} | {'; '.join(_describe(layer) for layer in rule.layers)} |" for rule in PRECEDENCE]
    return "\n".join(rows)


def _describe(layer: Layer) -> str:
    name = layer.place.value if layer.place is Place.ENTRY else f"`{layer.place.value}`"
    groups = "" if layer.groups == _ALL else f" ({', '.join(_group_names(layer.groups))})"
    return f"{name}{groups}{', if it has no credentials' if layer.if_no_credentials else ''}"


def _group_names(groups: frozenset[Group]) -> list[str]:
    return [group.value for group in Group if group in groups]


def _choose_rule(sources: Sources, cloud: str | None) -> tuple[Rule, tuple[Place, ...]]:
    """Return the rule to use, and the other places that have complete credentials too.

    1. A resource's `cloud`.
    2. `cbr:cloud`.
    3. Complete credentials of the stack.
    4. The stack has no credential: OS_* if it is complete, else HW_* if it is complete.
    5. The stack has some credentials: OS_* if it completes them or has OS_CLOUD, else HW_* if it completes them.
    6. Otherwise, the first place with any credential. The error names what it lacks.
    """
    stack, os, hw = (sources[place] for place in (Place.STACK, Place.OS, Place.HW))
    if cloud:
        return _CLOUD_ARGUMENT_RULE, ()
    if "cloud" in stack.values:
        return _STACK_CLOUD_RULE, ()
    if _find_complete([stack]):
        return _STACK_RULE, ()
    rules = {
        Place.STACK: _STACK_RULE,
        Place.OS: _OS_CLOUD_RULE if "cloud" in os.values else _OS_RULE,
        Place.HW: _HW_RULE,
    }
    complete = tuple(source.place for source in (os, hw) if "cloud" in source.values or _find_complete([source]))
    if complete and not stack.has_credentials:
        return rules[complete[0]], complete[1:]
    for source in (os, hw):
        if _completes_stack(stack, source):
            return rules[source.place], ()
    return rules[_first_with_credentials((stack, os, hw))], ()


def _first_with_credentials(sources: Iterable[Source]) -> Place:
    """Return the first place with any credential, for an error that names what is missing.

    Raises `SettingsError` if no place has any.
    """
    place = next((source.place for source in sources if source.has_credentials), None)
    if place is None:
        raise SettingsError(messages.no_credentials())
    return place


def _completes_stack(stack: Source, variables: Source) -> bool:
    """Return whether variables complete the credentials of the stack."""
    if "cloud" in variables.values:
        return True
    methods = (
        method for method in AUTH_METHODS if any(name in stack.values for names in method.credentials for name in names)
    )
    return any(_is_complete(method, [stack, variables]) for method in methods)


def _is_complete(method: AuthMethod, sources: Iterable[Source]) -> bool:
    given = {name for source in sources for name in source.values}
    return all(given.intersection(names) for names in method.credentials)


def _find_complete(sources: Sequence[Source]) -> AuthMethod | None:
    return next((method for method in AUTH_METHODS if _is_complete(method, sources)), None)


def _cloud_name(sources: Sources) -> str:
    return str(
        next(
            sources[place].values["cloud"].value
            for place in (Place.STACK, Place.OS)
            if "cloud" in sources[place].values
        )
    )


def _region_before_entry(rule: Rule, sources: Sources) -> str | None:
    """Return the region of a place that comes before the entry of clouds.yaml, if any."""
    for layer in rule.layers:
        if layer.place is Place.ENTRY:
            break
        if "region" in sources[layer.place].values:
            return str(sources[layer.place].values["region"].value)
    return None


def _use_token_of_keys(values: dict[str, Value], places: dict[str, Place], sources: Sources) -> None:
    """Use the security token of the access key's place: another one belongs to other keys."""
    place = places["accessKey"]
    del values["securityToken"], places["securityToken"]
    if token := sources[place].values.get("securityToken"):
        values["securityToken"], places["securityToken"] = token, place


def _applies(layer: Layer, sources: Sources) -> bool:
    source = sources.get(layer.place)
    if source is None or (layer.if_no_credentials and source.has_credentials):
        return False
    # Only one of OS_* and HW_* may add values of these groups, such as the project and the region.
    return not (layer.if_no_credentials and layer.place is Place.HW and _adds_values(sources[Place.OS], layer.groups))


def _adds_values(source: Source, groups: frozenset[Group]) -> bool:
    return not source.has_credentials and any(SETTINGS[value.name].group in groups for value in source.found)


def _choose_method(layers: Sequence[Layer], sources: Sources) -> AuthMethod | None:
    """Return the complete method whose secret comes first, or None.

    Its other credentials may be in any layer. With an `authType`, only the method that it names counts.
    """
    identity_sources = [sources[layer.place] for layer in layers if Group.IDENTITY in layer.groups]
    with_type = next((source for source in identity_sources if "authType" in source.values), None)
    wanted = _wanted_method(with_type, sources) if with_type else None
    if wanted is None and any(source.needs_plugin for source in identity_sources):
        return _PLUGIN_METHOD
    for source in identity_sources:
        for method in AUTH_METHODS:
            if (
                method.secret in source.values
                and wanted in (None, method.name)
                and _is_complete(method, identity_sources)
            ):
                return method
    return None


def _wanted_method(source: Source, sources: Sources) -> str | None:
    """Return the method that a place asks for, or None for a plugin.

    Raises `SettingsError`.
    """
    value, entry = source.values["authType"], sources.get(Place.ENTRY)
    plugins = [other.values.get("authType") for other in (source, entry) if other and other.needs_plugin]
    if any(plugin and plugin.value == value.value for plugin in plugins):
        return None
    if value.value not in AUTH_TYPES:
        name = entry.values["cloud"].origin if entry else None
        raise SettingsError(messages.unknown_auth_type(value.origin, str(value.value), name, AUTH_TYPES))
    return AUTH_TYPES[str(value.value)]


def _merge(layers: Sequence[Layer], sources: Sources) -> tuple[dict[str, Value], dict[str, Place]]:
    values: dict[str, Value] = {}
    places: dict[str, Place] = {}
    for layer in layers:
        overridden = {name for pair in ALTERNATIVES if any(name in values for name in pair) for name in pair}
        for name, value in sources[layer.place].values.items():
            if SETTINGS[name].group in layer.groups and name not in values and name not in overridden:
                values[name] = value
                places[name] = layer.place
    for by_id, by_name in ALTERNATIVES:
        # Keep a project's name beside its ID: the sign-in checks that they match.
        if by_id in values and by_id != "projectId":
            # OS_DOMAIN_ID is a scope for openstackclient. It names the user's domain only if nothing else does.
            is_scope = values[by_id].origin == "OS_DOMAIN_ID" and by_name in values
            unused = by_id if is_scope else by_name
            values.pop(unused, None)
            places.pop(unused, None)
    return values, places


def _missing_credentials(rule: Rule, layers: Sequence[Layer], sources: Sources) -> str:
    """Return the message about the first incomplete method."""
    identity_sources = [sources[layer.place] for layer in layers if Group.IDENTITY in layer.groups]
    given = {name for source in identity_sources for name in source.values}
    typed = (source for source in identity_sources if "authType" in source.values)
    wanted = next((_wanted_method(source, sources) for source in typed), None)
    for method in AUTH_METHODS:
        missing = [names for names in method.credentials if not given.intersection(names)]
        is_begun = 0 < len(missing) < len(method.credentials)
        if method.name == wanted or (wanted is None and is_begun):
            names = [names[-1] for names in missing]
            return messages.missing_settings(method.description, names, [place_to_set(rule, name) for name in names])
    return messages.no_credentials()


def _is_insecure(values: Mapping[str, Value]) -> bool:
    return "insecure" in values and bool(values["insecure"].value)


def _list_usages(
    rule: Rule, method: AuthMethod, layers: Sequence[Layer], sources: Sources, values: Mapping[str, Value]
) -> tuple[Usage, ...]:
    """Return every value that was found, and why it is used or not."""

    def reason(place: Place, value: Value) -> str:
        group = SETTINGS[value.name].group
        if not any(layer.place is place and group in layer.groups for layer in layers):
            return messages.place_not_used(rule.label)
        if not method.uses(value.name):
            return messages.method_needs_no(method.description)
        if value.name == "caCert" and _is_insecure(values):
            return messages.not_checked(values["insecure"].origin)
        names = next((pair for pair in ALTERNATIVES if value.name in pair), (value.name,))
        before = next((values[name] for name in names if name in values), None)
        return messages.comes_before(before.origin) if before else messages.belongs_to_other_key()

    return tuple(
        Usage(value, source.place, True)
        if values.get(value.name) is value
        else Usage(value, source.place, False, reason(source.place, value))
        for source in sources.values()
        for value in source.found
    )


def _check_unsupported(
    layers: Sequence[Layer], sources: Sources, method: AuthMethod, values: Mapping[str, Value]
) -> None:
    """Raise `SettingsError` for a value that cannot be honored.

    It is an unsupported variable or key, or an entry that needs a plugin while the chosen method needs none.
    """
    for layer in layers:
        source = sources[layer.place]
        if layer.groups == _ALL and source.unsupported:
            raise SettingsError(messages.not_supported(source.unsupported[0]))
        if source.needs_plugin and method is not _PLUGIN_METHOD:
            raise SettingsError(
                messages.two_values(values["authType"].origin, source.values["cloud"].origin, "authType")
            )


def _check_agency_used(resolution: Resolution, sources: Sources) -> None:
    """Raise `SettingsError` if a place without credentials has an agency that is not used.

    An agency beside credentials that are not used is left out with them. With a `cloud`, the entry has its own agency.
    """
    rule = resolution.rule
    if "agencyName" in resolution.values or rule in (_CLOUD_ARGUMENT_RULE, _STACK_CLOUD_RULE):
        return
    for usage in resolution.usages:
        if usage.value.name == "agencyName" and not sources[usage.place].has_credentials:
            raise SettingsError(
                messages.agency_not_used(usage.value.origin, rule.label, place_to_set(rule, "agencyName"))
            )


def _check_entry_not_overridden(resolution: Resolution, sources: Sources) -> None:
    """Raise `SettingsError` if keys or an application credential replace others of an entry.

    They may belong to another account. A user or a token may replace the entry's.
    """
    place = resolution.places.get(resolution.method.secret)
    if (
        resolution.method.name not in ("accessKey", "applicationCredential")
        or place is Place.ENTRY
        or Place.ENTRY not in sources
    ):
        return
    entry = sources[Place.ENTRY]
    own = _find_complete([entry])
    if "authType" not in resolution.values and own and own is not resolution.method:
        raise SettingsError(
            messages.two_identities(resolution.origin(resolution.method.secret), entry.values["cloud"].origin)
        )


def _check_stack_used(resolution: Resolution, sources: Sources) -> None:
    """Raise `SettingsError` for a credential of the stack that is not used.

    A resource's `cloud` may leave them unused: it is another account.
    """
    place = resolution.rule.credentials_from
    if resolution.rule is _CLOUD_ARGUMENT_RULE or place is Place.STACK:
        return
    stack = sources[Place.STACK].values
    unused = next((name for name in stack if name in _CREDENTIALS and not resolution.method.uses(name)), None)
    if unused:
        used = "cloud" if place is Place.ENTRY else resolution.method.secret
        raise SettingsError(messages.two_identities(stack[unused].origin, resolution.origin(used)))


def _check_stack_and_variables(resolution: Resolution, sources: Sources) -> None:
    """Raise `SettingsError` if the stack and the variables name two users or keys."""
    place = resolution.rule.credentials_from
    if place not in (Place.OS, Place.HW):
        return
    stack, variables = sources[Place.STACK].values, sources[place].values
    identifiers = [names for names in resolution.method.credentials if names != (resolution.method.secret,)]
    for names in (*identifiers, ("userDomainId", "userDomainName")):
        in_stack, in_variables = [{name for name in names if name in values} for values in (stack, variables)]
        shared = in_stack & in_variables
        is_same = shared and all(stack[name].value == variables[name].value for name in shared)
        if in_stack and in_variables and not is_same:
            first, second = stack[min(in_stack)], variables[min(in_variables)]
            raise SettingsError(messages.two_identities(first.origin, second.origin))


def _check_repeated_values(resolution: Resolution, sources: Sources) -> None:
    """Raise `SettingsError` for two values of one setting in one place."""
    for name, value in resolution.values.items():
        for other in sources[resolution.places[name]].found:
            if other.name == name and other.value != value.value:
                raise SettingsError(messages.two_values(value.origin, other.origin, name))


def find_contradictions(usages: Iterable[Usage]) -> Iterator[tuple[str, Value, Value]]:
    """Yield each setting of cloud, region, project and user with two different values."""
    projects = ("region", "projectId", "projectName", "projectDomainId", "projectDomainName", "agencyName")
    users = ("userId", "username", "userDomainId", "userDomainName", "accessKey", "applicationCredentialId")
    for name in ("cloud", *projects, *users, "authUrl", "cloudDomain"):
        found = [usage.value for usage in usages if usage.value.name == name]
        other = next((value for value in found[1:] if _comparable(value) != _comparable(found[0])), None)
        if other:
            yield name, found[0], other


def _comparable(value: Value) -> str:
    """Return a value so that two forms of one address or ID are equal."""
    text = str(value.value)
    if value.name == "authUrl":
        return with_version(text).lower()
    return text.lower() if value.name == "projectId" else text
