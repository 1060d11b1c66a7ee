"""Plugins of every flavor, and one simulated service that they share: each test has a backup of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import Any

import grpc
import pytest

from protocol.plugin import FLAVORS, Plugin
from pulumi_cbr.simulator import Fault, Simulator

#: Start a plugin with settings, or take the one that runs with them: `plugin_with(timeout="1")`.
PluginWith = Callable[..., Plugin]
#: Make a fault that only this test's backup meets: `fails("reset_after", "POST", times=2)`.
Fails = Callable[..., None]
Backups = Callable[[int], list[str]]
#: Start a plugin for one operation of an engine: `with operation() as plugin`.
Operation = Callable[..., AbstractContextManager[Plugin]]


@pytest.fixture(scope="session", params=sorted(FLAVORS))
def flavor(request: pytest.FixtureRequest) -> str:
    """Each way to run the hooks."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared_service() -> Iterator[Simulator]:
    # A backup for each test of a worker that runs them all; tokens outlive the hours that tests let go by.
    with Simulator(backups=2000, token_life=1e9) as running:
        yield running


@pytest.fixture
def service(shared_service: Simulator) -> Iterator[Simulator]:
    """The simulated service, with nothing going wrong, and no calls counted yet."""
    shared_service.clear_calls()
    yield shared_service
    shared_service.faults.clear()
    shared_service.allow_all()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def backups(service: Simulator, _numbers: Iterator[int]) -> Backups:
    """So many backups that no other test uses."""
    return lambda wanted: [service.backups[next(_numbers)].id for _ in range(wanted)]


@pytest.fixture
def backup(service: Simulator, _numbers: Iterator[int]) -> str:
    """A backup that no other test uses."""
    return service.backups[next(_numbers)].id


@pytest.fixture
def other_backup(service: Simulator, _numbers: Iterator[int]) -> str:
    return service.backups[next(_numbers)].id


@pytest.fixture
def project(service: Simulator) -> str:
    """The receiver's project."""
    return service.projects[0]


@pytest.fixture
def fails(service: Simulator, backup: str) -> Fails:
    def add(kind: str, method: str, *, member: bool | None = None, **fields: Any) -> None:
        path = rf"/backups/{backup}/members" + {None: "", True: "/", False: "$"}[member]
        service.faults.add(Fault(kind, method, path, **fields))

    return add


@pytest.fixture(scope="session")
def _plugins(shared_service: Simulator) -> Iterator[Callable[[str, str, dict[str, str]], Plugin]]:
    running: dict[tuple[object, ...], Plugin] = {}
    with ExitStack() as stack:

        def with_settings(flavor: str, role: str, config: dict[str, str]) -> Plugin:
            key = (flavor, role, *sorted(config.items()))
            if key not in running:
                running[key] = stack.enter_context(Plugin(flavor, shared_service.env(role), config))
            return running[key]

        yield with_settings


@pytest.fixture
def plugin_with(_plugins: Callable[[str, str, dict[str, str]], Plugin], flavor: str, service: Simulator) -> PluginWith:
    """Plugins by their settings; each is started once and serves all tests."""

    def make(role: str = "owner", **config: str) -> Plugin:
        return _plugins(flavor, role, config)

    return make


@pytest.fixture
def plugin(plugin_with: PluginWith) -> Plugin:
    """A plugin that is signed in as the owner."""
    return plugin_with()


@pytest.fixture
def new_plugin(flavor: str, service: Simulator) -> Iterator[Callable[..., Plugin]]:
    """Plugins that have just been started, as they are for each operation of the engine."""
    with ExitStack() as stack:

        def start(role: str = "owner", **config: str) -> Plugin:
            return stack.enter_context(Plugin(flavor, service.env(role), config))

        yield start


@pytest.fixture
def operation(flavor: str, service: Simulator) -> Operation:
    """Plugins that serve one operation each, of an engine that accepts connections."""

    @contextmanager
    def start(role: str = "owner", beside: Plugin | None = None, **config: str) -> Iterator[Plugin]:
        if beside:
            with Plugin(flavor, service.env(role), config, beside=beside, engine=beside.engine) as plugin:
                yield plugin
            return
        engine = grpc.server(ThreadPoolExecutor(1))
        address = f"127.0.0.1:{engine.add_insecure_port('127.0.0.1:0')}"
        engine.start()
        try:
            with Plugin(flavor, service.env(role), config, engine=address) as plugin:
                yield plugin
        finally:
            engine.stop(None)

    return start


@pytest.fixture
def new_service() -> Iterator[Callable[..., Simulator]]:
    """A factory of simulated services with options: `new_service(visible_after_reads=2)`."""
    with ExitStack() as stack:

        def start(**switches: Any) -> Simulator:
            return stack.enter_context(Simulator(**switches))

        yield start
