"""Accounts of the simulator, as settings of a stack."""

from __future__ import annotations

from functools import cache

import requests

from pulumi_cbr.simulator import Simulator
from unit.simulator.callers import Caller

_VARIABLES = {
    "authUrl": "OS_AUTH_URL",
    "username": "OS_USERNAME",
    "password": "OS_PASSWORD",
    "userDomainName": "OS_USER_DOMAIN_NAME",
    "projectId": "OS_PROJECT_ID",
    "region": "OS_REGION_NAME",
}


def password_settings(simulator: Simulator, role: str) -> dict[str, str]:
    """Return the settings that sign in by password.

    Where a test lets time go by, the service's clock is ahead, so signed calls would be refused.
    """
    environment = simulator.env(role)
    return {setting: environment[variable] for setting, variable in _VARIABLES.items()}


@cache
def _token(simulator: Simulator, role: str) -> str:
    with requests.Session() as session:
        return Caller(simulator, simulator.state.account(role), session).token


def token_settings(simulator: Simulator, role: str) -> dict[str, str]:
    """Return the settings of a token: a process that has it does not sign in.

    It is the same token in each call, so `token_life` of the simulator must outlast the test.
    """
    account = simulator.state.account(role)
    return {"token": _token(simulator, role), "projectId": account.project_id, "endpoint": simulator.url}
