"""Fixtures: a simulator at a fixed time, and callers with a token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from unit.simulator.callers import NOW, Ask, Caller
from waiting import PATIENCE


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(now=lambda: NOW) as simulator:
        yield simulator


@pytest.fixture
def session(cbr_simulator: Simulator) -> Iterator[requests.Session]:
    # cbr_simulator removes the proxies from the environment.
    with requests.Session() as session:
        yield session


@pytest.fixture
def owner(simulator: Simulator, session: requests.Session) -> Caller:
    return Caller(simulator, simulator.owner, session)


@pytest.fixture
def receiver(simulator: Simulator, session: requests.Session) -> Caller:
    return Caller(simulator, simulator.receiver, session)


@pytest.fixture
def ask(cbr_simulator: Simulator) -> Iterator[Ask]:
    """Return a function that calls the members API as the owner, about the first backup."""
    with requests.Session() as session:
        owner = Caller(cbr_simulator, cbr_simulator.owner, session)
        members = f"/backups/{cbr_simulator.backups[0].id}/members"

        def make(method: str = "POST", path: str = "", timeout: float = PATIENCE, **more: Any) -> requests.Response:
            body = {"json": {"members": cbr_simulator.projects[:1]}} if method == "POST" else {}
            return owner(method, members + path, timeout=timeout, **{**body, **more})

        yield make
