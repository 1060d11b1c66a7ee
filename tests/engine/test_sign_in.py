"""Each way to sign in on the real engine: by variables, by entries of clouds.yaml, and by explicit providers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pytest
import requests
import yaml

import pulumi_cbr.native as cbr
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.simulator import Simulator
from waiting import PATIENCE

from .conftest import Cli, InitStack, NewStack
from .written import WrittenStack

#: How many tokens each way fetches for one client.
TOKENS = {"password": 1, "token": 1, "application_credential": 1, "access_keys": 0, "delegated": 2}

Settings = Mapping[str, str]


@pytest.fixture
def ways(simulator: Simulator) -> dict[str, Settings]:
    """Settings of each way for the owner's project; delegated, the receiver acts for it."""
    owner, receiver = simulator.owner, simulator.receiver
    region = simulator.env()["OS_REGION_NAME"]
    identity = {"authUrl": f"{simulator.url}/v3", "region": region}
    user = {"username": owner.username, "password": owner.password, "userDomainName": owner.domain_name}
    acting = {
        "username": receiver.username,
        "password": receiver.password,
        "userDomainName": receiver.domain_name,
        "agencyName": simulator.agency,
        "agencyDomainName": owner.domain_name,
        "delegatedProject": owner.project_name,
    }
    project = {"projectId": owner.project_id}
    application_credential = {
        "applicationCredentialId": owner.application_credential_id,
        "applicationCredentialSecret": owner.application_credential_secret,
    }
    keys = {"accessKey": owner.access_key, "secretKey": owner.secret_key}
    return {
        "password": {**identity, **user, **project},
        "token": {**identity, **project, "token": fetch_token(simulator)},
        "application_credential": {**identity, **application_credential},
        "access_keys": {**keys, **project, "region": region, "endpoint": simulator.url},
        "delegated": {**identity, **acting},
    }


def fetch_token(simulator: Simulator) -> str:
    owner = simulator.owner
    user = {"id": owner.user_id, "password": owner.password}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": owner.project_id}}}}
    response = requests.post(f"{simulator.url}/v3/auth/tokens", json=body, timeout=PATIENCE)
    simulator.clear_calls()
    return response.headers["X-Subject-Token"]


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def clouds_file(ways: Mapping[str, Settings]) -> str:
    beside = {"region": "region_name", "endpoint": "cbr_endpoint_override"}
    entries = {
        way: {
            "auth": {snake(name): value for name, value in settings.items() if name not in beside},
            **{key: settings[name] for name, key in beside.items() if name in settings},
        }
        for way, settings in ways.items()
    }
    return yaml.safe_dump({"clouds": entries})


def test_dynamic_by_variables_and_by_entries(
    ways: Mapping[str, Settings], cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path
) -> None:
    receiver = simulator.receiver.project_id
    env: dict[str, str] = {}

    def set_variables(settings: Settings) -> None:
        env.clear()
        env.update({SETTINGS[name].variables[0]: value for name, value in settings.items()})

    stack = WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, env)
    stack.program(f"cbr.BackupShareMember('one', {simulator.backups[0].id!r}, {receiver!r})")
    for way, run in ("delegated", stack.up), ("access_keys", stack.refresh):
        set_variables(ways[way])
        simulator.clear_calls()
        run()
        assert (way, simulator.count("POST", "auth/tokens")) == (way, TOKENS[way])
        assert list(stack.state()) == ["one"]

    # `cloud=` needs no variables. They sign in to delete the first share.
    set_variables(ways["access_keys"])
    (tmp_path / "clouds.yaml").write_text(clouds_file(ways))
    env["OS_CLIENT_CONFIG_FILE"] = str(tmp_path / "clouds.yaml")
    backups = [backup.id for backup in simulator.backups[1 : len(ways) + 1]]
    stack.program(
        "".join(
            f"cbr.BackupShareMember({way!r}, {backup!r}, {receiver!r}, cloud={way!r})\n"
            for way, backup in zip(ways, backups, strict=True)
        )
    )
    simulator.clear_calls()
    stack.up()
    assert simulator.count("POST", "auth/tokens") == sum(TOKENS.values())
    assert all(list(simulator.members(backup)) == [receiver] for backup in backups)
    assert not simulator.members(simulator.backups[0].id)


def test_native_by_explicit_providers(
    ways: Mapping[str, Settings], new_stack: NewStack, simulator: Simulator, tmp_path: Path
) -> None:
    receiver = simulator.receiver.project_id
    backups = [backup.id for backup in simulator.backups[: len(ways) + 1]]
    (tmp_path / "clouds.yaml").write_text(clouds_file(ways))

    def program() -> None:
        providers = {way: {snake(name): value for name, value in settings.items()} for way, settings in ways.items()}
        providers["entry"] = {"cloud": "access_keys"}
        for backup, (way, arguments) in zip(backups, providers.items(), strict=True):
            options = pulumi.ResourceOptions(provider=cbr.Provider(way, **arguments))  # type: ignore[arg-type]
            cbr.BackupShareMember(way, backup, receiver, opts=options)

    stack = new_stack(program, {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")})
    stack.up()
    assert simulator.count("POST", "auth/tokens") == sum(TOKENS.values())
    assert all(list(simulator.members(backup)) == [receiver] for backup in backups)
