"""The fixtures of all tests: an environment of their own, and an order for several workers."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pulumi_cbr.lifecycle import session

#: The oldest versions are tested without it.
HAS_OPENSTACKSDK = find_spec("openstack") is not None

#: The folders whose tests take longest come first.
FOLDERS = ["faults", "protocol", "packaging", "engine", "browser", "contract", "unit"]

#: Variables that the caller may have set.
OF_THE_CALLER = re.compile(r"(OS|HW|CBR|PULUMI|SSL_CERT)_.*|(REQUESTS|CURL)_CA_BUNDLE|.*_proxy", re.IGNORECASE)

#: The engine's programs live for seconds and need little memory: collecting garbage takes a quarter of their time.
os.environ |= {"GOGC": "off", "GOMEMLIMIT": "500MiB"}
#: Nor do those of Python: to go through what the tests have imported takes a tenth.
gc.set_threshold(50_000, 20, 100)


def pytest_configure(config: pytest.Config) -> None:
    """Set an event loop, and make the cases of Hypothesis the same in each run."""
    # For the futures of Pulumi's mocks and outputs: Python 3.14 makes no loop for them, and 3.12 and 3.13 warn.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    config.add_cleanup(loop.close)
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import HealthCheck, settings

        settings.register_profile(
            "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("tests")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let each worker start the collection at another file.

    In a fresh clone each file has to be compiled: the workers that come to it later find it done.
    """
    config = session.config
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and config.args_source is config.ArgsSource.TESTPATHS:
        first, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        files = sorted(Path(__file__).parent.rglob("test_*.py"), key=lambda file: file.stat().st_size)
        config.args = [str(file) for n in range(count) for file in files[(first + n) % count :: count]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by folder: several workers take a file at a time."""
    items.sort(key=lambda item: (FOLDERS.index(item.path.relative_to(Path(__file__).parent).parts[0]), item.path))


@pytest.fixture(autouse=True)
def new_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without sessions.

    Its simulator has the IDs of earlier ones, and may have the port of one.
    """
    monkeypatch.setattr(session, "PROCESS", session.SessionRegistry())


@pytest.fixture(autouse=True)
def same_logger() -> Iterator[None]:
    """Restore the package's logger, which `configure` of a plugin changes."""
    logger = logging.getLogger("pulumi_cbr")
    handlers, propagates, level = [*logger.handlers], logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = handlers, propagates
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the caller's own sign-in, clouds.yaml and proxy from every test."""
    if HAS_OPENSTACKSDK:
        from openstack.config import loader

        for name in ("CONFIG_FILES", "SECURE_FILES", "VENDOR_FILES"):
            # New lists: openstacksdk adds the files of a test to them.
            monkeypatch.setattr(loader, name, [])
    for name in filter(OF_THE_CALLER.fullmatch, os.environ):
        monkeypatch.delenv(name)
