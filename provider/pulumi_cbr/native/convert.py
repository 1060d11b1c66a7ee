"""Conversion between the engine's values (`Struct`) and the plain values of a controller.

Names become `snake_case` on the way in and `camelCase` on the way out, also those within objects: keys that are data, such
as IDs of projects, have no letters in upper case. A value that is not known yet is `UNKNOWN` in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from pulumi_cbr.api.names import to_camel, to_snake
from pulumi_cbr.lifecycle.controller import UNKNOWN

#: The key and the values that mark special objects on the wire (`sdk/go/common/resource/plugin/rpc.go`).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

#: What the engine sends for an unknown value, by the type that the value will have.
_UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


def from_wire(struct: Struct) -> dict[str, Any]:
    """Return plain values by their Python names; what is null is left out."""
    return {to_snake(name): value for name, value in from_wire_camel(struct).items()}


def from_wire_camel(struct: Struct) -> dict[str, Any]:
    """Return plain values by their names on the wire; what is null is left out.

    Names within objects become Python names.
    """
    values = {name: _from_value(value) for name, value in struct.fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _from_object(value.struct_value)
    if kind == "list_value":
        return [_from_value(entry) for entry in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        return value.number_value
    return value.bool_value if kind == "bool_value" else None


def _from_object(struct: Struct) -> Any:
    signature = struct.fields[_SIGNATURE].string_value if _SIGNATURE in struct.fields else ""
    if signature in (_SECRET, _OUTPUT):
        return _from_value(struct.fields["value"]) if "value" in struct.fields else UNKNOWN
    return from_wire(struct)


def to_wire(values: Mapping[str, Any]) -> Struct:
    """Return values by their names on the wire; what is None is left out."""
    return Struct(fields={to_camel(name): _to_value(value) for name, value in values.items() if value is not None})


def _to_value(value: Any) -> Value:
    if isinstance(value, Mapping):
        return Value(struct_value=to_wire(value))
    if isinstance(value, (list, tuple)):
        return Value(list_value=ListValue(values=[_to_value(entry) for entry in value]))
    if isinstance(value, bool):
        return Value(bool_value=value)
    return Value(number_value=value) if isinstance(value, (int, float)) else Value(string_value=value)


def has_secrets(value: Value) -> bool:
    """Return whether a value of the wire is a secret, or has one within."""
    if value.WhichOneof("kind") == "list_value":
        return any(has_secrets(entry) for entry in value.list_value.values)
    fields = value.struct_value.fields
    signature = _signature(value)
    if signature == _SECRET or (signature == _OUTPUT and "secret" in fields and fields["secret"].bool_value):
        return True
    return any(has_secrets(entry) for entry in fields.values())


def keep_secrets(outputs: Struct, inputs: Struct) -> None:
    """Mark as secrets the outputs that have the names of secret inputs.

    The engine does it only for plugins that do not accept secrets. This one must accept them to construct components.
    """
    for name in set(outputs.fields).intersection(inputs.fields):
        made, given = outputs.fields[name], inputs.fields[name]
        if _is_object(made) and _is_object(given):
            keep_secrets(made.struct_value, given.struct_value)
        elif has_secrets(given):
            made.CopyFrom(to_secret(made))


def _signature(value: Value) -> str:
    fields = value.struct_value.fields
    return str(fields[_SIGNATURE].string_value) if _SIGNATURE in fields else ""


def _is_object(value: Value) -> bool:
    return value.WhichOneof("kind") == "struct_value" and not _signature(value)


def to_secret(value: Value) -> Value:
    """Return a value of the wire marked as a secret."""
    if _signature(value) == _SECRET:
        return value
    marked = {_SIGNATURE: Value(string_value=_SECRET), "value": value}
    return Value(struct_value=Struct(fields=marked))
