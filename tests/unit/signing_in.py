"""Being signed in, by the environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest


def sign_in(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set the variables that a simulator, or a test, gives to sign in with."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
