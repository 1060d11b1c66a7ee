"""Look-ups in a program's own process: what they ask for, how often, and what they say when it goes wrong."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pulumi
import pytest

import pulumi_cbr as cbr
from accounts import password_settings
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.queries import find_vault
from pulumi_cbr.simulator import Simulator
from unit.signing_in import sign_in


@pytest.fixture(autouse=True)
def signed_in(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, cbr_simulator.env())


@pytest.fixture(autouse=True)
def no_settings() -> Iterator[None]:
    pulumi.runtime.set_all_config({})
    yield
    pulumi.runtime.set_all_config({})
    # After mocks.
    pulumi.runtime.reset_options()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(backups=250, page_size=100) as running:
        sign_in(monkeypatch, running.env())
        yield running


def asked(simulator: Simulator) -> list[dict[str, str]]:
    """Return the queries of the lists of backups."""
    lists = [call for call in simulator.calls if call.path.endswith("/backups")]
    return [{name: values[0] for name, values in parse_qs(call.query).items()} for call in lists]


def test_get_backup(cbr_simulator: Simulator) -> None:
    there = cbr_simulator.backups[3]
    found = cbr.get_backup(there.id)
    assert (found.id, found.name, found.resource_id) == (there.id, there.name, there.resource_id)
    assert (found.status, found.resource_type, found.project_id) == (
        "available",
        "OS::Nova::Server",
        cbr_simulator.owner.project_id,
    )
    assert found.created_at.tzinfo is not None


def test_get_backup_share_members(cbr_simulator: Simulator) -> None:
    backup = cbr_simulator.backups[0].id
    assert cbr.get_backup_share_members(backup) == ()
    for project in cbr_simulator.projects[:3]:
        cbr_simulator.share(backup, project)
    members = cbr.get_backup_share_members(backup)
    assert [member.dest_project_id for member in members] == cbr_simulator.projects[:3]
    assert {member.status for member in members} == {"pending"}


@pytest.mark.parametrize("made", ["backup", "member"])
def test_results_are_frozen_and_typed(cbr_simulator: Simulator, made: str) -> None:
    backup = cbr_simulator.backups[0].id
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    result: Any = cbr.get_backup(backup) if made == "backup" else cbr.get_backup_share_members(backup)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.id = "x"
    assert hash(result) == hash(dataclasses.replace(result))
    assert typing.get_type_hints(cbr.get_backup)["return"] is cbr.Backup
    assert typing.get_type_hints(cbr.get_backups)["return"] == Iterator[cbr.Backup]


FILTERS = {
    "name": "backup-004",
    "resource_id": "server",
    "resource_name": "server-004",
    "resource_type": "OS::Nova::Server",
    "status": "available",
    "vault_id": "v",
    "image_type": "backup",
    "own_type": "all_granted",
    "member_status": "pending",
    "start_time": "2026-01-31T00:00:00Z",
    "end_time": "2026-02-28T00:00:00+02:00",
    "sort": "name:asc",
}


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_get_backups_sends_each_filter(cbr_simulator: Simulator, name: str) -> None:
    arguments: dict[str, Any] = {name: FILTERS[name]}
    list(cbr.get_backups(**arguments))
    assert asked(cbr_simulator) == [{"limit": "100", name: FILTERS[name]}]


def test_get_backups_filters_select(cbr_simulator: Simulator) -> None:
    backups = cbr_simulator.backups
    assert [found.id for found in cbr.get_backups(resource_id=backups[4].resource_id)] == [backups[4].id]
    assert [found.id for found in cbr.get_backups(name="backup-004", status="available")] == [backups[4].id]
    assert list(cbr.get_backups(name="backup-004", status="error")) == []


def test_get_backups_newest_first_stops_at_limit(cbr_simulator: Simulator) -> None:
    newest = [backup.id for backup in sorted(cbr_simulator.backups, key=lambda backup: -backup.created_at)]
    assert [found.id for found in cbr.get_backups(newest_first=True, limit=3)] == newest[:3]
    assert asked(cbr_simulator)[0]["sort"] == "created_at:desc"
    assert [found.id for found in cbr.get_backups(sort="created_at:asc", limit=1)] == newest[-1:]


def test_get_backups_fetches_pages_as_needed(small_pages: Simulator) -> None:
    backups = cbr.get_backups(newest_first=True)
    assert asked(small_pages) == []
    next(backups)
    assert len(asked(small_pages)) == 1
    assert len(list(itertools.islice(backups, 99))) == 99
    assert len(asked(small_pages)) == 1
    next(backups)
    assert len(asked(small_pages)) == 2
    assert len(list(backups)) == 149
    assert len(asked(small_pages)) == 3
    small_pages.clear_calls()
    assert len(list(cbr.get_backups(limit=100))) == 100
    assert len(asked(small_pages)) == 1
    assert list(cbr.get_backups(limit=0)) == []
    assert len(asked(small_pages)) == 1


@pytest.mark.parametrize("limit", [-1, 1.5, float("nan"), float("inf"), "3"])
def test_get_backups_wrong_limit_is_refused(limit: Any) -> None:
    with pytest.raises(pulumi.RunError, match=f"takes a limit of 0 or more, not {limit!r}"):
        cbr.get_backups(limit=limit)


def test_get_backups_sort_and_newest_first_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match="sort or newest_first, not both"):
        cbr.get_backups(sort="name:asc", newest_first=True)


LOOK_UPS: list[Callable[[str], object]] = [
    cbr.get_backup,
    cbr.get_backup_share_members,
    lambda backup_id: list(cbr.get_backups(name=backup_id)),
]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    "trouble", ["denied", "gone", "malformed", "html", "no password", "unreachable", "no such cloud"]
)
def test_errors_are_one_line_for_the_user(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, number: int, trouble: str
) -> None:
    look_up = LOOK_UPS[number]
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
    config = {"cbr:maxRetries": "0"}
    given = "00000000-0000-4000-8000-000000000000"
    if trouble == "denied":
        for action in ("cbr:backups:get", "cbr:backups:list", "cbr:member:list"):
            cbr_simulator.deny(action)
    elif trouble == "malformed":
        given = "nightly"
    elif trouble == "html":
        cbr_simulator.faults.scripted("every GET to /v3/.*: html 200 before commit")
    elif trouble == "no password":
        monkeypatch.delenv("OS_PASSWORD")
    elif trouble == "unreachable":
        config["cbr:endpoint"] = "http://127.0.0.1:1"
    elif trouble == "no such cloud":
        config["cbr:cloud"] = "nowhere"
    pulumi.runtime.set_all_config(config)
    if number == 2 and trouble in ("gone", "malformed"):
        assert look_up(given) == []
        return
    with pytest.raises(pulumi.RunError) as refused:
        look_up(given)
    text = str(refused.value)
    assert text.startswith("cbr: ")
    assert "\n" not in text
    assert isinstance(refused.value.__cause__, CbrError)
    assert cbr_simulator.owner.password not in text


def test_look_up_passes_errors_of_the_program_on(cbr_simulator: Simulator) -> None:
    def program() -> None:
        for _ in cbr.get_backups():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()
    backups = cbr.get_backups()
    next(backups)
    assert isinstance(backups, typing.Generator)
    backups.close()


def test_look_up_uses_settings_of_the_stack(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cbr_simulator.env():
        monkeypatch.delenv(name, raising=False)
    settings = password_settings(cbr_simulator, "receiver")
    pulumi.runtime.set_all_config(
        {f"cbr:{name}": value for name, value in settings.items()}, secret_keys=["cbr:password"]
    )
    backup = cbr_simulator.backups[0].id
    assert list(cbr.get_backups(own_type="shared")) == []
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    assert [found.id for found in cbr.get_backups(own_type="shared", member_status="pending")] == [backup]
    assert list(cbr.get_backups(own_type="shared", member_status="accepted")) == []


# openstacksdk's own, about a library that neither of us uses.
@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_look_up_signs_in_to_a_cloud(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import yaml

    clouds = {}
    for role in ("owner", "receiver"):
        env = cbr_simulator.env(role)
        clouds[role] = {
            "auth": {
                "auth_url": env["OS_AUTH_URL"],
                "username": env["OS_USERNAME"],
                "password": env["OS_PASSWORD"],
                "user_domain_name": env["OS_USER_DOMAIN_NAME"],
                "project_id": env["OS_PROJECT_ID"],
            },
            "region_name": env["OS_REGION_NAME"],
        }
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": clouds}))
    for name in cbr_simulator.env():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    backup = cbr_simulator.backups[0].id
    cbr_simulator.share(backup, cbr_simulator.projects[0])
    assert cbr.get_backup(backup, cloud="owner") == cbr.get_backup(backup, cloud="receiver")
    assert [member.dest_project_id for member in cbr.get_backup_share_members(backup, cloud="owner")] == [
        cbr_simulator.projects[0]
    ]
    assert next(cbr.get_backups(own_type="shared", cloud="receiver")).id == backup
    # One sign-in for each, whatever the number of look-ups.
    assert cbr_simulator.count("POST", "auth/tokens") == 2


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", {**args.inputs, "backup_id": self.backup_id}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        return {}, []

    backup_id = ""


@pytest.mark.parametrize("preview", [False, True])
def test_output_forms_take_outputs(cbr_simulator: Simulator, preview: bool) -> None:
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)
    mocks = Mocks()
    mocks.backup_id = backup
    pulumi.runtime.set_mocks(mocks, preview=preview)
    seen: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    async def program() -> None:
        share = cbr.BackupShareMember("one", backup, project)
        found = cbr.get_backup_output(share.backup_id)
        assert await found.is_known()
        assert not await found.is_secret()
        seen["name"] = await found.name.future()
        seen["members"] = await cbr.get_backup_share_members_output(share.backup_id).future()
        # Numbers among outputs are floats.
        several = cbr.get_backups_output(newest_first=True, limit=pulumi.Output.from_input(2.0))  # type: ignore[arg-type]
        seen["several"] = await several.future()
        seen["vault"] = await cbr.get_vault_output(name=pulumi.Output.from_input("nightly")).future()
        seen["vaults"] = await cbr.get_vaults_output().future()
        seen["projects"] = await cbr.get_projects_output(name=pulumi.Output.from_input("eu-de")).future()
        # A secret stays one.
        secret = cbr.get_backup_output(pulumi.Output.secret(backup))
        assert await secret.is_secret()
        assert (await secret.future()) == cbr.get_backup(backup)
        # What is not known yet is not asked for.
        cbr_simulator.clear_calls()
        unknown: pulumi.Output[str] = pulumi.Output(
            set(), _done(pulumi.output.UNKNOWN), is_known=_done(False), is_secret=_done(False)
        )
        for later in (
            cbr.get_backup_output(unknown),
            cbr.get_backups_output(name=unknown),
            cbr.get_backup_share_members_output(unknown),
            cbr.get_vault_output(unknown),
            cbr.get_vaults_output(name=unknown),
            cbr.get_projects_output(name=unknown),
        ):
            assert not await later.is_known()
        assert cbr_simulator.calls == []

    program()
    assert seen["name"] == cbr_simulator.backups[0].name
    assert [member.dest_project_id for member in seen["members"]] == [project]
    assert seen["vaults"] == (seen["vault"],)
    assert seen["vault"].id == cbr_simulator.backups[0].vault_id
    assert [entry.id for entry in seen["projects"]] == [cbr_simulator.owner.project_id]
    assert [found.id for found in seen["several"]] == [backup.id for backup in cbr_simulator.backups[:-3:-1]]


def _done(value: Any) -> Any:
    import asyncio

    future: asyncio.Future[Any] = asyncio.Future()
    future.set_result(value)
    return future


def test_get_vaults_filters_by_name_and_kind(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    there = {vault.name: vault for vault in cbr_simulator.vaults}
    assert {vault.id for vault in cbr.get_vaults()} == {vault.id for vault in there.values()}
    (disks,) = cbr.get_vaults(object_type="disk")
    assert (disks.id, disks.name, disks.object_type, disks.size) == (there["disks"].id, "disks", "disk", 1_000_000)
    assert [vault.status for vault in cbr.get_vaults(name="locked")] == ["lock"]
    assert cbr.get_vaults(name="nothing") == ()


def test_get_vault_by_id_or_name(cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, cbr_simulator.env("receiver"))
    vault = cbr_simulator.vaults[1]
    assert cbr.get_vault(vault.id) == cbr.get_vault(name=vault.name)
    assert cbr.get_vault(vault.id.upper()).project_id == cbr_simulator.receiver.project_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "cbr: get_vault needs either vault_id or name. Set exactly one"),
        ({"vault_id": "x", "name": "y"}, "cbr: get_vault needs either vault_id or name. Set exactly one"),
        ({"name": "nothing"}, "cbr: no vault of this project has the name 'nothing'. Check the name and the project"),
        ({"vault_id": "x"}, "cbr: vault_id must be a UUID"),
        ({"vault_id": "00000000-0000-4000-8000-000000000000"}, "BackupService.6105"),
    ],
)
def test_get_vault_fails_with_one_line(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(pulumi.RunError, match=message):
        cbr.get_vault(**arguments)


def test_get_vault_refuses_a_name_of_several() -> None:
    class Client:
        def list_vaults(self, **filters: str | None) -> list[cbr.Vault]:
            return [cbr.Vault("a", "nightly"), cbr.Vault("b", "nightly"), cbr.Vault("c", "nightly-old")]

    client: Any = Client()
    assert find_vault(client, None, "nightly-old").id == "c"
    with pytest.raises(CbrError, match="2 vaults have the name 'nightly': a, b"):
        find_vault(client, None, "nightly")


@pytest.mark.parametrize("by", ["password", "access key"])
def test_get_projects_asks_the_identity_service(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "access key":
        for variable in cbr_simulator.env():
            monkeypatch.delenv(variable)
        sign_in(monkeypatch, {**cbr_simulator.access_key_env(), "HW_AUTH_URL": f"{cbr_simulator.url}/v3"})
    (project,) = cbr.get_projects()
    assert (project.id, project.name) == (cbr_simulator.owner.project_id, cbr_simulator.owner.project_name)
    assert cbr_simulator.count("GET", "/v3/auth/projects$") == 1
    assert cbr.get_projects(name="other") == ()
