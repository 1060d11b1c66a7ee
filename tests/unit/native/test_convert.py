"""Conversion of values and names between the wire and a controller: nothing is lost."""

from __future__ import annotations

import string
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_cbr.api.names import find_closest, to_camel, to_snake
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.native.convert import from_wire, from_wire_camel, to_secret, to_wire

#: The key and the values that mark special objects on the wire (`sdk/go/common/resource/plugin/rpc.go`).
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"

words = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), min_size=1, max_size=4)
names = words.map("_".join)
#: Keys that are data: IDs of projects.
project_ids = st.text("0123456789abcdef", min_size=32, max_size=32)
leaves = st.text() | st.booleans() | st.floats(allow_nan=False) | st.just(UNKNOWN)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | project_ids, inner, max_size=3),
    max_leaves=8,
)


@given(names)
def test_to_snake_reverses_to_camel(name: str) -> None:
    assert to_snake(to_camel(name)) == name


@pytest.mark.parametrize(
    ("python", "wire"), [("backup_id", "backupId"), ("dest_project_ids", "destProjectIds"), ("cloud", "cloud")]
)
def test_names(python: str, wire: str) -> None:
    assert (to_camel(python), to_snake(wire)) == (wire, python)


@pytest.mark.parametrize(
    ("name", "closest"),
    [("backupID", "backupId"), ("backup_id", "backupId"), ("clud", "cloud"), ("colour", None), ("", None)],
)
def test_find_closest(name: str, closest: str | None) -> None:
    assert find_closest(name, ["backupId", "cloud", "destProjectId"]) == closest


@settings(max_examples=40)
@given(st.dictionaries(names, values, max_size=3))
def test_from_wire_reverses_to_wire(properties: dict[str, Any]) -> None:
    assert from_wire(to_wire(properties)) == properties


def test_none_is_left_out() -> None:
    assert to_wire({"a": None, "b": 1}) == to_wire({"b": 1.0})
    assert from_wire(ParseDict({"a": None, "b": True}, Struct())) == {"b": True}


def test_from_struct_keeps_names() -> None:
    assert from_wire_camel(ParseDict({"authUrl": "x", "__internal": {"aB": 1}}, Struct())) == {
        "authUrl": "x",
        "__internal": {"a_b": 1},
    }


def marked(signature: str, **fields: Any) -> Struct:
    return ParseDict({"cloud": {SIGNATURE: signature, **fields}}, Struct())


@pytest.mark.parametrize(
    ("struct", "value"),
    [
        (marked(SECRET, value="x"), "x"),
        (marked(SECRET, value=UNKNOWN), UNKNOWN),
        (marked(OUTPUT, value="x", secret=True, dependencies=[]), "x"),
        (marked(OUTPUT, secret=True), UNKNOWN),
        *(
            (ParseDict({"cloud": unknown}, Struct()), UNKNOWN)
            for unknown in (
                # Of a boolean, a number and an array (`UnknownBoolValue` ... in the engine's plugin/rpc.go).
                "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
                "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
                "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
            )
        ),
    ],
)
def test_from_wire_secret_or_unknown_is_its_value(struct: Struct, value: str) -> None:
    assert from_wire(struct) == {"cloud": value}


def test_from_wire_asset_stays_for_a_check_to_refuse() -> None:
    assert isinstance(from_wire(marked(ASSET, text="x"))["cloud"], dict)


def test_to_secret_marks_once() -> None:
    secret = to_secret(Value(string_value="x"))
    assert secret.struct_value.fields[SIGNATURE].string_value == SECRET
    assert secret.struct_value.fields["value"].string_value == "x"
    assert to_secret(secret) == secret
