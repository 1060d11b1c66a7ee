"""The schema of the package `cbr`, from which documentation and other languages' SDKs are generated.

`schema.json` is written by ``tools/schema``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.names import find_closest, to_camel, to_snake
from pulumi_cbr.lifecycle.controller import UNKNOWN

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
    "array": (list,),
}


@cache
def schema() -> str:
    """Return the schema as JSON."""
    return Path(__file__).with_name("schema.json").read_text(encoding="utf-8")


@cache
def _schema() -> Any:
    return json.loads(schema())


@cache
def plugin_options() -> dict[str, Any]:
    """Return the options by which the engine finds the plugin of this version."""
    return {"version": _schema()["version"], "plugin_download_url": _schema()["pluginDownloadURL"]}


@cache
def python_names() -> frozenset[str]:
    """Return the Python names that read differently on the wire.

    These are names of flags, of functions, and with an underscore.
    """
    properties = {
        name: entry
        for place in ("resources", "functions")
        for owner in _schema()[place].values()
        for name, entry in {**owner.get("properties", {}), **_inputs(owner)}.items()
    }
    names = {to_snake(name) for name, entry in properties.items() if entry.get("type") == "boolean"}
    names |= {to_snake(token.rpartition(":")[2]) for token in _schema()["functions"]}
    return frozenset(names | {to_snake(name) for name in properties if "_" in to_snake(name)})


def _inputs(owner: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = owner.get("inputProperties") or owner.get("inputs", {}).get("properties", {})
    return found


def find_undeclared_inputs(token: str, names: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs that a resource does not have, with the reason for each.

    Names are those of the wire.
    """
    known = _inputs(_schema()["resources"][token])
    unknown = [name for name in names if name not in known and not name.startswith("__")]
    return {name: messages.unknown_property(name, find_closest(name, known)) for name in unknown}


def check_arguments(function: str, args: Mapping[str, Any]) -> None:
    """Refuse arguments that a function's schema does not have. Raises `CbrError`."""
    inputs = _schema()["functions"][function]["inputs"]
    _check(function, inputs["properties"], inputs.get("required", ()), args)


def check_component(token: str, inputs: Mapping[str, Any]) -> None:
    """Refuse a component, or inputs of one, that the schema does not have. Raises `CbrError`."""
    components = {name: spec for name, spec in _schema()["resources"].items() if spec.get("isComponent")}
    if token not in components:
        raise CbrError(messages.unknown_token("component", token, find_closest(token, components)))
    _check(token, components[token]["inputProperties"], components[token]["requiredInputs"], inputs)


def _check(token: str, known: Mapping[str, Any], required: Iterable[str], args: Mapping[str, Any]) -> None:
    given = {to_camel(name): value for name, value in args.items()}
    name = token.rpartition(":")[2]
    for argument, value in given.items():
        if argument not in known:
            raise CbrError(messages.unknown_argument(name, argument, find_closest(argument, known)))
        kinds = [one.get("type", "string") for one in known[argument].get("oneOf", [known[argument]])]
        if value != UNKNOWN and not any(_is_of(kind, value) for kind in kinds):
            raise CbrError(messages.invalid_argument_type(name, argument, " or ".join(dict.fromkeys(kinds)), value))
    for argument in required:
        if argument not in given:
            raise CbrError(messages.missing_argument(name, argument))


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
