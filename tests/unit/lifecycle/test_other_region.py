"""A sign-in to another region or address than the one a share was made at: there, a missing backup is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fake_clouds import BACKUP, OTHER, OWN, FakeClouds
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.controller import Controller
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry

DE = "https://cbr.eu-de.otc.t-systems.com"
NL = "https://cbr.eu-nl.otc.t-systems.com"
#: Of a private cloud, whose hosts tell no region.
R1 = "https://cbr.r1.private.example.org"
R2 = "https://cbr.r2.private.example.org"

KINDS: dict[str, tuple[type[Controller], str, dict[str, Any]]] = {
    "member": (BackupShareMemberController, f"{BACKUP}/{OTHER}", {}),
    "set": (BackupShareController, BACKUP, {}),
    "accepter": (BackupShareAccepterController, f"{BACKUP}/{OWN}", {"vault_id": BACKUP}),
}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeClouds]:
    with FakeClouds(tmp_path_factory.mktemp("clouds")) as running:
        yield running


Connect = Callable[[str, str], Controller]


@pytest.fixture
def connect(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a controller of a kind that signs in with access keys at a CBR address."""
    clouds.clear()
    keys = {"OS_ACCESS_KEY": "otc-ak", "OS_SECRET_KEY": "s", "OS_PROJECT_ID": OWN}
    for name, value in {**clouds.environment, **keys}.items():
        monkeypatch.setenv(name, value)

    def connect(kind: str, endpoint: str) -> Controller:
        clouds.backup_at = clouds.backup_at or endpoint.removeprefix("https://")
        monkeypatch.setenv("CBR_ENDPOINT", endpoint)
        sessions = SessionPool({"region": None}.get, Clock(sleep=lambda seconds: None), registry=SessionRegistry())
        return KINDS[kind][0](sessions)

    return connect


def read(controller: Controller, kind: str, known: dict[str, Any]) -> dict[str, Any] | None:
    _, id_, given = KINDS[kind]
    state = controller.read(id_, {**given, **known})
    return state and state.outputs


def delete(controller: Controller, kind: str, known: dict[str, Any]) -> None:
    controller.delete(KINDS[kind][1], known)


def update(controller: Controller, kind: str, known: dict[str, Any]) -> None:
    """Change what needs a call: a set, a status, or a share that was never confirmed."""
    olds = {name: value for name, value in known.items() if (kind, name) != ("member", "share_id")}
    controller.update(KINDS[kind][1], {**olds, "status": "pending"}, {**known, "dest_project_ids": ["a" * 32]})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("made_at", "here"), [(DE, NL), (R1, R2)])
def test_missing_backup_in_another_region_is_refused(
    kind: str, made_at: str, here: str, clouds: FakeClouds, connect: Connect
) -> None:
    state = read(connect(kind, made_at), kind, {})
    assert state
    assert state["endpoint"] == made_at
    elsewhere = connect(kind, here)
    for operation in (read, delete, update):
        with pytest.raises(
            CbrError, match=f"was shared at {made_at}, and {here} does not have it. Nothing was changed"
        ):
            operation(elsewhere, kind, state)
    assert {request.method for request in clouds.requests} == {"GET"}


@pytest.mark.parametrize("kind", KINDS)
def test_backup_that_another_address_has_is_read_there(kind: str, clouds: FakeClouds, connect: Connect) -> None:
    state = read(connect(kind, R1), kind, {})
    assert state
    clouds.backup_at = R2.removeprefix("https://")
    moved = connect(kind, R2)
    assert read(moved, kind, state) == {**state, "endpoint": R2}
    delete(moved, kind, state)
    assert clouds.requests[-1].host == R2.removeprefix("https://")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("made_at", "here"),
    [
        (DE, DE),
        (DE, "https://cbr.eu-de.internal.otc.t-systems.com"),
        (R1, R1),
        (R1, f"{R1}:443".replace("cbr", "CBR")),
        (None, DE),
    ],
    ids=[
        "same",
        "inside of the cloud",
        "same of a private cloud",
        "same in another form",
        "state of an earlier version",
    ],
)
def test_missing_backup_in_the_same_region_is_gone(
    kind: str, made_at: str | None, here: str, clouds: FakeClouds, connect: Connect
) -> None:
    state = read(connect(kind, made_at or here), kind, {})
    assert state
    clouds.backup_at = "nowhere"
    if made_at is None:
        del state["endpoint"]
    same = connect(kind, here)
    assert read(same, kind, state) is None
    delete(same, kind, state)


def test_create_stores_the_address(connect: Connect) -> None:
    for kind, inputs in (("member", {"dest_project_id": OTHER}), ("set", {"dest_project_ids": [OTHER]})):
        _, outputs = connect(kind, DE).create({"backup_id": BACKUP, **inputs})
        assert outputs["endpoint"] == DE
