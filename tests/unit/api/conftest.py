"""The fixture of the tests of sign-in: every cloud at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fake_clouds import FakeClouds


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeClouds]:
    with FakeClouds(tmp_path_factory.mktemp("clouds")) as running:
        yield running
