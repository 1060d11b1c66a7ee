"""Durations as users write them: a number of seconds, or a text such as ``15m``."""

from __future__ import annotations

import math
import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def to_seconds(value: object) -> float:
    """Return the seconds of a number, or of a text such as ``90``, ``15m`` or ``1h30m``.

    Raises ValueError for what is none, is not finite, or is below 0.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text):
            return float(text)
        if not re.fullmatch(r"([0-9]{1,9}[smhdw])+", text):
            raise ValueError(f"not a duration: {value!r:.40}")
        return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", text)))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"not a duration: {value!r:.40}")
    return float(value)
