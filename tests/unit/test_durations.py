"""Durations as users write them."""

from __future__ import annotations

import math

import pytest

from pulumi_cbr.durations import to_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (0, 0),
        ("90", 90),
        ("1.5", 1.5),
        ("15m", 900),
        (" 1H30m ", 5400),
        ("2d", 172800),
        ("1w", 604800),
    ],
)
def test_to_seconds_reads_numbers_and_units(value: object, seconds: float) -> None:
    assert to_seconds(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "m", "15 m", "-1", "1e3", "15y", "1.5m", "٣m", -1, True, None, math.nan, math.inf, []]
)
def test_to_seconds_refuses_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        to_seconds(value)
