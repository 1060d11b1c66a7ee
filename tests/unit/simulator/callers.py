"""Callers of a simulator over HTTP, for its tests."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import requests

from pulumi_cbr.simulator import Account, Simulator
from waiting import PATIENCE

NOW = 1_580_897_914.209782


#: Sends a request to the members of the first backup, by method and path.
Ask = Callable[..., requests.Response]


class Caller:
    """An account with a token that calls the API for its own project."""

    def __init__(self, simulator: Simulator, account: Account, session: requests.Session) -> None:
        self.base = f"{simulator.url}/v3/{account.project_id}"
        self.session = session
        scope = {"project": {"id": account.project_id}}
        answer = sign_in(simulator, session, password(account), scope)
        self.token = answer.headers["X-Subject-Token"]

    def __call__(self, method: str, path: str, *, timeout: float = PATIENCE, **more: Any) -> requests.Response:
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        return self.session.request(method, self.base + path, headers=headers, timeout=timeout, **more)


def password(account: Account, **changed: Any) -> dict[str, Any]:
    user = {"name": account.username, "domain": {"name": account.domain_name}, "password": account.password}
    return {"methods": ["password"], "password": {"user": user | changed}}


def sign_in(
    simulator: Simulator, session: requests.Session, identity: object, scope: object = None
) -> requests.Response:
    auth: dict[str, Any] = {"identity": identity}
    if scope is not None:
        auth["scope"] = scope
    return session.post(f"{simulator.url}/v3/auth/tokens", json={"auth": auth}, timeout=PATIENCE)


def connect(simulator: Simulator) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(simulator.url.rpartition(":")[2])), timeout=PATIENCE)
