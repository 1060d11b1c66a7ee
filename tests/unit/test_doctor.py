"""`python -m pulumi_cbr doctor`: what it finds, what it says to do, and that it changes nothing and tells no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_cbr import __main__ as command
from pulumi_cbr.simulator import Simulator


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, alone on PATH, with stand-ins for the engine; its stack's configuration is in `config.json`."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    pulumi = f'#!/bin/sh\n[ "$1" = version ] && echo v3.259.0 || /bin/cat {folder}/config.json\n'
    for name in ("pulumi", "pulumi-language-python", "pulumi-resource-pulumi-python", "pulumi-resource-cbr"):
        (folder / name).write_text(pulumi)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["pulumi_cbr", "doctor", *arguments])
    code = command.main()
    return code, capsys.readouterr().out


def sign_in(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_all_is_well(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    assert told.endswith("All is well.\n")
    assert "password = (not shown), from OS_PASSWORD" in told
    assert f"to project {sim.owner.project_id}" in told
    assert f"{sim.url}/v3/{sim.owner.project_id}" in told
    assert told.count("ok     permission") == 7
    assert sim.owner.password not in told
    # It looked, and changed nothing.
    assert [call for call in sim.calls if call.method in ("POST", "PUT", "DELETE") and call.status < 300] == [
        call for call in sim.calls if call.path == "/v3/auth/tokens"
    ]


def test_a_denied_call_is_a_note_with_its_permission(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    sim.deny("cbr:member:create")
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    assert "note   permission    may not share: " in told
    assert "ask for the IAM action cbr:member:create" in " ".join(told.split())


def test_the_stack_comes_before_the_environment(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), "OS_PASSWORD": "wrong"})
    secret = {"cbr:password": {"value": sim.owner.password, "secret": True}, "other:thing": {"value": "x"}}
    (engine / "config.json").write_text(json.dumps(secret))
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    assert "its configuration has 1 settings cbr:*" in told
    assert "password = (not shown), from cbr:password (before OS_PASSWORD)" in told
    assert sim.owner.password not in told


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"OS_PASSWORD": "wrong"}, "Check the user"),
        ({"OS_AUTH_URL": "http://127.0.0.1:9/v3"}, "Connection refused"),
        ({"OS_REGION_NAME": "nowhere"}, "the catalogue has it in: eu-de"),
        ({"OS_AUTH_URL": "http://iam.example.com/v3"}, "plain http"),
        ({"OS_AUTH_URL": ""}, "OS_AUTH_URL"),
    ],
    ids=["password", "address", "region", "http", "missing"],
)
def test_a_failed_sign_in_says_what_to_do(
    change: dict[str, str],
    advice: str,
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), **change})
    (engine / "config.json").write_text(json.dumps({"cbr:maxRetries": {"value": "0"}}))
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert re.search(r"^FAILED sign-in ", told, re.MULTILINE)
    assert advice in " ".join(told.split())
    assert told.endswith("1 failed: see above\n")


def test_without_an_engine(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), "PATH": str(tmp_path)})
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert "FAILED engine        `pulumi` is not on PATH" in told
    assert "pulumi-resource-pulumi-python, which runs the dynamic resources, is not on PATH" in told
    assert "note   engine        pulumi-resource-cbr" in told
    assert "note   stack         its configuration was not read" in told


def test_for_scripts(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys, "--json")
    answer = json.loads(told)
    assert code == 0
    assert answer["ok"] is True
    assert {finding["state"] for finding in answer["findings"]} == {"ok"}
    sim.stop()
    code, told = doctor(monkeypatch, capsys, "--json")
    assert code == 1
    assert json.loads(told)["ok"] is False
