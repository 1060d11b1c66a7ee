from __future__ import annotations

import os
import re

import pytest


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be signed in to a cloud, or sit behind a proxy: no test may see it."""
    for name in os.environ:
        if re.fullmatch(r"(OS|HW|CBR|PULUMI|SSL_CERT)_.*|(REQUESTS|CURL)_CA_BUNDLE|.*_proxy", name, re.IGNORECASE):
            monkeypatch.delenv(name)
