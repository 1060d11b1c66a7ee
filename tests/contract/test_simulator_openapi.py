"""The simulator against its OpenAPI description: each response is as described.

schemathesis makes up the requests, right ones and wrong ones, as the owner and as the receiver.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulumi_cbr.simulator import Account, Simulator
from pulumi_cbr.simulator.openapi import openapi_document
from waiting import PATIENCE

#: Requests of each operation, right and wrong: to make one up takes 40 ms.
EXAMPLES = 50 if "SOAK" in os.environ else 8

_OPERATIONS = [
    (path, method)
    for path, item in openapi_document("")["paths"].items()
    for method in item
    if method in ("get", "post", "put", "delete")
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=7) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def schema(simulator: Simulator) -> Any:
    """Return the served description; some of the IDs to try exist."""
    # Here, as every worker imports every file of tests, and this takes a second.
    import schemathesis

    document = requests.get(f"{simulator.url}/openapi.json", timeout=PATIENCE).json()
    known = {
        "project_id": [simulator.owner.project_id, simulator.receiver.project_id],
        "backup_id": [backup.id for backup in simulator.backups[:2]],
        "member_id": simulator.projects[:2],
        "vault_id": [vault.id for vault in simulator.vaults[:2]],
    }
    for name, values in known.items():
        parameter = document["components"]["parameters"][name]
        parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
    return schemathesis.openapi.from_dict(document)


def _token(simulator: Simulator, account: Account) -> str:
    user = {"name": account.username, "password": account.password, "domain": {"name": account.domain_name}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": account.project_id}}}}
    answer = requests.post(f"{simulator.url}/v3/auth/tokens", json=body, timeout=PATIENCE)
    return answer.headers["X-Subject-Token"]


@pytest.fixture(scope="module")
def tokens(simulator: Simulator) -> dict[str, str]:
    return {account.project_id: _token(simulator, account) for account in (simulator.owner, simulator.receiver)}


@pytest.mark.parametrize(("path", "method"), _OPERATIONS)
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_openapi_every_response_is_as_described(
    simulator: Simulator, schema: Any, tokens: dict[str, str], path: str, method: str, mode: str
) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode(mode)), other=st.booleans())
    def try_one(case: Any, other: bool) -> None:
        project = str(case.path_parameters.get("project_id"))
        whose = simulator.receiver.project_id if other else simulator.owner.project_id
        answer = case.call(
            base_url=simulator.url, headers={"X-Auth-Token": tokens.get(project, tokens[whose])}, timeout=PATIENCE
        )
        case.validate_response(
            answer, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    try_one()
