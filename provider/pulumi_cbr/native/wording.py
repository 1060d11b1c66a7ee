"""Messages in the terms of this flavor: arguments by the names on the wire, settings by the provider that has them."""

from __future__ import annotations

import re

from pulumi_cbr.api.names import to_camel
from pulumi_cbr.native.schema import python_names

#: A default provider's name, which the engine makes up.
_DEFAULT = re.compile(r"default(_\d.*)?")

_CONFIG_SET = re.compile(r"`pulumi config set(?: --secret)? cbr:(\w+)(?: (\w+))?`")
_SETTING = re.compile(r"cbr:(\w+)")


def find_explicit_provider_name(urn: str) -> str | None:
    """Return the name of the provider with this URN, or None for a default provider."""
    name = urn.partition("::pulumi:providers:cbr::")[2]
    return name if name and not _DEFAULT.fullmatch(name) else None


def to_native_terms(text: str, provider: str | None = None) -> str:
    """Return a message of a controller in the terms of this flavor.

    `provider` is the name of an explicit provider.
    """
    names = "|".join(sorted(python_names(), key=len, reverse=True))
    text = re.sub(rf"\b({names})=True\b", _flag, text)
    text = re.sub(rf"\b({names})\b(?!=True)", lambda match: to_camel(match[1]), text)
    if provider is not None:
        text = _CONFIG_SET.sub(lambda match: _of_provider(match, provider), text)
        text = _SETTING.sub(lambda match: _of_provider(match, provider), text)
    return text


def _flag(match: re.Match[str]) -> str:
    name, camel = match[1], to_camel(match[1])
    return f"{camel}=true" if name == camel else f"{camel}=true (Python: {name}=True)"


def _of_provider(match: re.Match[str], provider: str) -> str:
    value = match[2] if match.re is _CONFIG_SET else None
    return f"{match[1]}{f'={value}' if value else ''} of Provider {provider!r}"
