"""One client a cloud and process, and the guard against the wrong project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pulumi_cbr.api.errors import CbrError, SettingsError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.session import SessionPool
from waiting import Lingering

OWN = "0123456789abcdef0123456789abcdef"
SETTINGS = {"token": "t", "endpoint": "https://cbr.example.com", "projectId": OWN}


@pytest.mark.parametrize("timing", [Clock(), None])
def test_equal_settings_share_one_account_in_all_threads(timing: Clock | None) -> None:
    with ThreadPoolExecutor(20) as pool:
        sessions = set(pool.map(lambda _: SessionPool(SETTINGS.get, timing).of(None), range(40)))
    assert len(sessions) == 1


def test_an_account_has_one_client_in_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Lingering(object)
    account = SessionPool(SETTINGS.get, Clock()).of(None)
    monkeypatch.setattr("pulumi_cbr.api.client.CbrClient", make)
    with ThreadPoolExecutor(4) as pool:
        clients = set(pool.map(lambda _: account.client, range(4)))
    assert len(make.made) == len(clients) == 1


def test_other_settings_are_another_account() -> None:
    timing = Clock()
    other = SessionPool({**SETTINGS, "projectId": OWN[::-1]}.get, timing).of(None)
    assert other is not SessionPool(SETTINGS.get, timing).of(None)


def test_a_missing_setting_is_told_each_time() -> None:
    sessions = SessionPool(lambda name: None)
    for _ in range(2):
        with pytest.raises(SettingsError, match="no credentials configured"):
            sessions.of(None)


@pytest.mark.parametrize(
    ("config", "cloud", "known"),
    [
        ({"projectId": OWN.upper()}, None, OWN),
        ({"projectId": f" {OWN} "}, None, OWN),
        ({"projectName": "eu-de"}, None, None),
        ({"projectId": OWN}, "otc", None),
        ({"projectId": OWN, "cloud": "otc"}, None, None),
        ({}, None, None),
    ],
)
def test_the_own_project_is_known_without_a_call(config: dict[str, str], cloud: str | None, known: str | None) -> None:
    assert SessionPool(config.get).configured_project_id(cloud) == known


@pytest.mark.parametrize("source", [None, "", OWN])
def test_the_right_project_passes(source: str | None) -> None:
    SessionPool(SETTINGS.get).of(None).require_source_project(source)


def test_the_wrong_project_is_told() -> None:
    account = SessionPool(SETTINGS.get).of(None)
    with pytest.raises(CbrError, match=f"the share is of project {OWN[::-1]}, but .* signed in to {OWN}"):
        account.require_source_project(OWN[::-1])


def test_a_write_drops_the_lists_of_every_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner and receiver see the same members."""
    owner = SessionPool(SETTINGS.get, Clock()).of(None)
    receiver = SessionPool({**SETTINGS, "projectId": OWN[::-1]}.get, Clock()).of(None)
    dropped: list[str] = []
    monkeypatch.setattr(receiver.lists, "drop", lambda backup_id, projects: dropped.append(backup_id))
    owner.changed("b")
    assert dropped == ["b"]
