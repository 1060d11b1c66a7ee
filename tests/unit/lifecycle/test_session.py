"""One client a cloud and process, and the guard against the wrong project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pulumi_cbr.api.errors import CbrError, SettingsError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from waiting import Lingering

OWN = "0123456789abcdef0123456789abcdef"
SETTINGS = {"token": "t", "endpoint": "https://cbr.example.com", "projectId": OWN}


@pytest.mark.parametrize("timing", [Clock(), None])
def test_pool_equal_settings_share_one_session(timing: Clock | None) -> None:
    with ThreadPoolExecutor(20) as pool:
        sessions = set(pool.map(lambda _: SessionPool(SETTINGS.get, timing).get(None), range(40)))
    assert len(sessions) == 1


def test_session_has_one_client_in_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Lingering(object)
    account = SessionPool(SETTINGS.get, Clock()).get(None)
    monkeypatch.setattr("pulumi_cbr.api.client.CbrClient", make)
    with ThreadPoolExecutor(4) as pool:
        clients = set(pool.map(lambda _: account.client, range(4)))
    assert len(make.made) == len(clients) == 1


def test_pool_other_settings_are_another_session() -> None:
    timing = Clock()
    other = SessionPool({**SETTINGS, "projectId": OWN[::-1]}.get, timing).get(None)
    assert other is not SessionPool(SETTINGS.get, timing).get(None)


def test_pool_of_another_registry_has_other_sessions() -> None:
    timing, registry = Clock(), SessionRegistry()
    session = SessionPool(SETTINGS.get, timing, registry=registry).get(None)
    assert registry.sessions() == [session]
    assert SessionPool(SETTINGS.get, timing).get(None) is not session


def test_pool_missing_setting_is_refused_each_time() -> None:
    sessions = SessionPool(lambda name: None)
    for _ in range(2):
        with pytest.raises(SettingsError, match="no credentials configured"):
            sessions.get(None)


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
def test_configured_project_id_needs_no_call(config: dict[str, str], cloud: str | None, known: str | None) -> None:
    assert SessionPool(config.get).configured_project_id(cloud) == known


@pytest.mark.parametrize("source", [None, "", OWN])
def test_require_source_same_passes(source: str | None) -> None:
    SessionPool(SETTINGS.get).get(None).check_same_source("b", {"source_project_id": source})


def test_require_source_other_is_refused() -> None:
    account = SessionPool(SETTINGS.get).get(None)
    with pytest.raises(CbrError, match=f"the share belongs to project {OWN[::-1]}, but .* signed in to {OWN}"):
        account.check_same_source("b", {"source_project_id": OWN[::-1]})


def test_invalidate_reaches_every_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner and receiver see the same members."""
    owner = SessionPool(SETTINGS.get, Clock()).get(None)
    receiver = SessionPool({**SETTINGS, "projectId": OWN[::-1]}.get, Clock()).get(None)
    dropped: list[str] = []
    monkeypatch.setattr(receiver.member_cache, "invalidate", lambda backup_id, projects: dropped.append(backup_id))
    owner.invalidate("b")
    assert dropped == ["b"]
