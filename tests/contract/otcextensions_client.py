"""Make shares with otcextensions: a JSON list of calls on standard input, each with the variables that sign it in.

Run in a process of its own, with the folder of otcextensions on PYTHONPATH: the package changes openstacksdk.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openstack
from otcextensions import sdk


def connect(env: dict[str, str]) -> Any:
    """Return a connection that has the service CBR."""
    names = ("auth_url", "username", "password", "user_domain_name", "project_id")
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        region_name=env["OS_REGION_NAME"],
        auth={name: env[f"OS_{name.upper()}"] for name in names},
    )
    sdk.register_single_service(connection, "cbr", env["OS_PROJECT_ID"])
    return connection


connections: dict[str, Any] = {}
for variables, method, *arguments in json.load(sys.stdin):
    role = variables["OS_USERNAME"]
    connections[role] = connections.get(role) or connect(variables)
    getattr(connections[role].cbr, method)(*arguments)
