"""Between the engine's property values and the plain values of a controller.

A value that is not known yet is the same text in both: the SDK hands it on as it comes from the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_cbr.native.names import camel, snake


def plain(properties: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """Give plain values by their Python names."""
    return {snake(name): _plain(value) for name, value in properties.items() if value.value is not None}


def _plain(value: PropertyValue) -> Any:
    inner = value.value
    if isinstance(inner, Mapping):
        return plain(inner)
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        return [_plain(entry) for entry in inner]
    return inner


def wired(values: Mapping[str, Any]) -> dict[str, PropertyValue]:
    """Give property values by their names on the wire."""
    return {camel(name): _wired(value) for name, value in values.items() if value is not None}


def _wired(value: Any) -> PropertyValue:
    if isinstance(value, Mapping):
        return PropertyValue(wired(value))
    if isinstance(value, (list, tuple)):
        return PropertyValue([_wired(entry) for entry in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)
