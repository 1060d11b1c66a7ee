"""The fixtures of all tests: an environment of their own, and an order for several workers."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

#: The folders whose tests take longest come first.
FOLDERS = ["faults", "protocol", "packaging", "engine", "browser", "contract", "unit"]

#: The engine's programs live for seconds and need little memory: collecting garbage takes a quarter of their time.
os.environ |= {"GOGC": "off", "GOMEMLIMIT": "500MiB"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by folder: several workers take a file at a time."""
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(Path(__file__).parent).parts[0]))


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the caller's own sign-in and proxy from every test."""
    for name in os.environ:
        if re.fullmatch(r"(OS|HW|CBR|PULUMI|SSL_CERT)_.*|(REQUESTS|CURL)_CA_BUNDLE|.*_proxy", name, re.IGNORECASE):
            monkeypatch.delenv(name)
