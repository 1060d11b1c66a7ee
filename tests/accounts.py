"""Accounts of the simulator, as settings of a stack."""

from __future__ import annotations

from pulumi_cbr.simulator import Simulator

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
