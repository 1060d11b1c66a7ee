"""Values and names between the wire and a lifecycle: nothing is lost on the way."""

from __future__ import annotations

import string
from typing import Any

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.native.names import camel, snake
from pulumi_cbr.native.values import plain, wired

words = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), min_size=1, max_size=4)
names = words.map("_".join)
#: Keys that are data: IDs of projects.
project_ids = st.text("0123456789abcdef", min_size=32, max_size=32)
leaves = st.text() | st.booleans() | st.floats(allow_nan=False) | st.just(UNKNOWN)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(names | project_ids, inner), max_leaves=20
)


@given(names)
def test_names_come_back(name: str) -> None:
    assert snake(camel(name)) == name


@pytest.mark.parametrize(
    ("python", "wire"), [("backup_id", "backupId"), ("dest_project_ids", "destProjectIds"), ("cloud", "cloud")]
)
def test_names(python: str, wire: str) -> None:
    assert (camel(python), snake(wire)) == (wire, python)


# A machine that is busy is slow, which says nothing of the values.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values))
def test_values_come_back(properties: dict[str, Any]) -> None:
    assert plain(wired(properties)) == properties


def test_none_is_left_out() -> None:
    assert wired({"a": None, "b": 1}) == {"b": PropertyValue(1.0)}
    assert plain({"a": PropertyValue(None), "b": PropertyValue(True)}) == {"b": True}


def test_a_secret_is_its_value() -> None:
    assert plain({"backupId": PropertyValue("x", is_secret=True)}) == {"backup_id": "x"}


def test_what_no_property_is_stays_for_a_check_to_refuse() -> None:
    asset = pulumi.StringAsset("x")
    assert str(type(plain({"cloud": PropertyValue(asset)})["cloud"])) == str(type(asset))
