"""The places that give settings: the stack's configuration and the environment."""

from __future__ import annotations

import os

from pulumi_cbr.api.definitions import SETTINGS, UNSUPPORTED_VARIABLES, USUAL_VALUES, ConfigLookup, parse_value
from pulumi_cbr.api.precedence import Place, Source, Value

_PREFIXES = {Place.OS: "OS_", Place.CBR: "CBR_", Place.HW: "HW_"}


def read_sources(config: ConfigLookup) -> dict[Place, Source]:
    """Return what the stack and the environment give.

    Raises `SettingsError` if a value has the wrong type.
    """
    return {Place.STACK: _read_stack(config), **{place: _read_environment(place) for place in _PREFIXES}}


def _read_stack(config: ConfigLookup) -> Source:
    given = {name: value for name in SETTINGS if (value := config(name)) is not None and str(value).strip()}
    found = (Value(name, parse_value(name, value, f"cbr:{name}"), f"cbr:{name}") for name, value in given.items())
    return Source(Place.STACK, tuple(found))


def _read_environment(place: Place) -> Source:
    found = [
        Value(name, parse_value(name, text, variable), variable)
        for name, setting in SETTINGS.items()
        for variable in setting.variables
        if variable.startswith(_PREFIXES[place]) and (text := os.environ.get(variable, "")).strip()
    ]
    unsupported = (
        name
        for name in UNSUPPORTED_VARIABLES
        if name.startswith(_PREFIXES[place])
        and os.environ.get(name, "").strip() not in ("", USUAL_VALUES.get(name, ""))
    )
    return Source(place, tuple(found), unsupported=tuple(unsupported))
