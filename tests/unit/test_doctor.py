"""`python -m pulumi_cbr doctor`: what it finds, what it says to do, and that it changes nothing and tells no secret."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr import __main__ as command
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.simulator import Fault, Simulator
from unit.signing_in import sign_in


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, alone on PATH, with stand-ins for the engine that read `config.json`."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    pulumi = f'#!/bin/sh\n[ "$1" = version ] && echo v3.259.0 && exit\necho "$@" >{folder}/asked\n/bin/cat {folder}/config.json\n'
    for name in ("pulumi", "pulumi-language-python", "pulumi-resource-pulumi-python", "pulumi-resource-cbr"):
        (folder / name).write_text(pulumi)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["pulumi_cbr", "doctor", *arguments])
    code = command.main()
    return code, capsys.readouterr().out


def test_doctor_finds_no_failure(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    assert told.endswith("All checks passed.\n")
    assert "password = ***, from OS_PASSWORD" in told
    assert f"to project {sim.owner.project_id}" in told
    assert f"{sim.url}/v3/{sim.owner.project_id}" in told
    assert told.count("ok     permission") == 7
    assert sim.owner.password not in told
    # It looked, and changed nothing.
    assert [call for call in sim.calls if call.method in ("POST", "PUT", "DELETE") and call.status < 300] == [
        call for call in sim.calls if call.path == "/v3/auth/tokens"
    ]


def test_doctor_denied_call_is_a_note_with_its_permission(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    sim.deny("cbr:member:create")
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    (finding,) = re.findall(r"^note   permission .*(?:\n {21}.*)*", told, re.MULTILINE)
    assert re.fullmatch(
        r"note   permission    may not share: HTTP 403, request [\w-]+\n"
        r" {21}Ask for the IAM action cbr:member:create\. It is needed for the owner's `pulumi\n {21}up`\.",
        finding,
    )
    assert told.endswith("\n\nNothing failed; 1 permission is missing: see the notes.\n")
    sim.deny("cbr:member:delete")
    assert doctor(monkeypatch, capsys)[1].endswith("\n\nNothing failed; 2 permissions are missing: see the notes.\n")
    # A gateway's refusal is not of a permission: its own advice stays.
    sim.faults.scripted("every POST to /members: status 403 before commit")
    told = " ".join(doctor(monkeypatch, capsys)[1].split())
    assert "The API gateway refused the call" in told
    assert "cbr:member:create" not in told


def test_doctor_stack_comes_before_the_environment(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), "OS_PASSWORD": "wrong"})
    secret = {"cbr:password": {"value": sim.owner.password, "secret": True}, "other:thing": {"value": "x"}}
    (engine / "config.json").write_text(json.dumps(secret))
    code, told = doctor(monkeypatch, capsys)
    assert code == 0
    assert "its configuration has 1 setting cbr:*" in told
    assert "password = ***, from cbr:password" in told
    assert "password = ***, from OS_PASSWORD, is not used: cbr:password has precedence" in told
    assert sim.owner.password not in told


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"OS_PASSWORD": "wrong"}, "Check the user"),
        ({"OS_AUTH_URL": "http://127.0.0.1:9/v3"}, "Connection refused"),
        ({"OS_REGION_NAME": "nowhere"}, "Set OS_REGION_NAME to one of eu-de"),
        ({"OS_AUTH_URL": "http://iam.example.com/v3"}, "plain http"),
        ({"OS_AUTH_URL": ""}, "OS_AUTH_URL"),
    ],
    ids=["password", "address", "region", "http", "missing"],
)
def test_doctor_failed_sign_in_says_what_to_do(
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
    assert told.endswith("1 check failed: see above\n")


def test_doctor_without_an_engine_fails(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), "PATH": str(tmp_path)})
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert "FAILED engine        `pulumi` is not on PATH" in told
    assert "pulumi-resource-pulumi-python, which runs the dynamic resources, is not on PATH" in told
    assert "note   engine        pulumi-resource-cbr" in told
    assert "note   stack         its configuration was not read" in told


def test_doctor_finds_plugins_beside_a_linked_cli(
    sim: Simulator, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(engine / "pulumi")
    sign_in(monkeypatch, {**sim.env("owner"), "PATH": str(tmp_path / "bin")})
    code, told = doctor(monkeypatch, capsys, "--json")
    assert code == 0
    found = [entry["what"] for entry in json.loads(told)["findings"] if entry["topic"] == "engine"]
    assert f"pulumi-language-python at {engine}/pulumi-language-python" in found
    # The engine itself looks for this one on PATH alone.
    assert "pulumi-resource-cbr, which is the first-class provider of pulumi_cbr.native, is not on PATH" in found


def test_doctor_cli_that_does_not_run_fails(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "pulumi").write_text("#!/nowhere/sh\n")
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert re.search(r"FAILED engine \S+/pulumi does not run: ", " ".join(told.split()))
    assert "its configuration was not read" in told


def test_doctor_reads_settings_of_the_stack(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it keeps secret stays so, by whatever name, in every line."""
    entries = {
        "cbr:passwrd": {"value": "hush-hush", "secret": True},
        "cbr:region": {"value": "secret-region", "secret": True},
        "cbr:projectName": {"value": "theirs"},
        "cbr:parallel": {"value": "4"},
        "cbr:version": {"value": "0.1.0"},
    }
    (engine / "config.json").write_text(json.dumps(entries))
    sign_in(monkeypatch, {**sim.env("owner"), "OS_PROJECT_ID": "", "OS_PROJECT_NAME": "ours", "HW_PROJECT_NAME": "x"})
    _, told = doctor(monkeypatch, capsys)
    assert "its configuration has 5 settings cbr:*" in told
    assert re.findall(r".*unknown setting.*", told) == [
        "FAILED stack         unknown setting cbr:passwrd (did you mean cbr:password?). Remove or rename it"
    ]
    words = " ".join(told.split())
    assert "region = ***, from cbr:region" in told
    assert "projectName = theirs, from cbr:projectName" in told
    assert "projectName = ours, from OS_PROJECT_NAME, is not used: cbr:projectName has precedence" in words
    assert "projectName = x, from HW_PROJECT_NAME, is not used: it has no effect with credentials in `OS_*`" in words
    assert "cbr:region and OS_REGION_NAME contradict each other on region" in told
    assert "secret-region" not in told
    assert "hush-hush" not in told
    assert (engine / "asked").read_text() == "config --json --show-secrets --non-interactive\n"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("maxRetries", "0", ""),
        ("timeout", "hush" * 20, "cbr:timeout must be a number of seconds above 0, not '***'"),
        ("region", "hush" * 20, "***"),
    ],
)
def test_doctor_hides_secrets_of_the_stack_in_errors(
    name: str,
    value: str,
    error: str,
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither as it is, nor as a message shortens it."""
    (engine / "config.json").write_text(json.dumps({f"cbr:{name}": {"value": value, "secret": True}}))
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys, "--json")
    assert code == bool(error)
    whats = {entry["topic"]: entry["what"] for entry in json.loads(told)["findings"]}
    assert f"{name} = ***, from cbr:{name}" in told
    assert error in whats["sign-in"]
    assert "hush" not in told


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.secret])
@pytest.mark.parametrize("place", ["stack", "environment"])
def test_doctor_hides_credentials(
    name: str,
    place: str,
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    if place == "stack":
        (engine / "config.json").write_text(json.dumps({f"cbr:{name}": {"value": "hush-hush"}}))
    else:
        monkeypatch.setenv(SETTINGS[name].variables[0], "hush-hush")
    _, told = doctor(monkeypatch, capsys)
    assert f"{name} = ***, from " in told
    assert "hush-hush" not in told


@pytest.mark.parametrize("variable", ["OS_AUTH_URL", "CBR_ENDPOINT"])
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hush@iam.example.com/v3", "https://***@iam.example.com/v3, from"),
        ("https://me:hu/s@h@iam.example.com/v3", "https://***@iam.example.com/v3, from"),
        ("https://iam.example.com/v3?key=hush,h", "https://iam.example.com/v3?***, from"),
        ("me:hush@iam.example.com/v3", "//***@iam.example.com/v3, from"),
    ],
)
def test_doctor_hides_credentials_of_urls(
    variable: str,
    url: str,
    shown: str,
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), variable: url})
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert shown in told
    assert not re.search("hush|hu/s|me:", told)


@pytest.mark.parametrize(("arguments", "state"), [([], "note"), (["--stack", "prod"], "failed")])
def test_doctor_unreadable_stack_is_reported(
    arguments: list[str],
    state: str,
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend = "postgres://me:hush@db.example.com/states?sslkey=hush"
    (engine / "config.json").write_text("")
    with (engine / "pulumi").open("a") as script:
        script.write(f"echo \"error: open '{backend}': no route\" >&2\nexit 1\n")
    sign_in(monkeypatch, sim.env("owner"))
    code, told = doctor(monkeypatch, capsys, *arguments, "--json")
    assert code == (state == "failed")
    (found,) = (entry for entry in json.loads(told)["findings"] if entry["topic"] == "stack")
    line = "no configuration of a stack was read: open 'postgres://***@db.example.com/states?***': no route"
    assert (found["state"], found["what"]) == (state, line)
    asked = ["config", "--json", "--show-secrets", "--non-interactive", *arguments]
    assert (engine / "asked").read_text().split() == asked


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_doctor_cloud_uses_its_entry_alone(
    sim: Simulator, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = sim.env("receiver")
    keys = ("auth_url", "username", "password", "user_domain_name", "project_id")
    auth = {key: env[f"OS_{key.upper()}"] for key in keys}
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(json.dumps({"clouds": {"theirs": {"auth": auth, "region_name": env["OS_REGION_NAME"]}}}))
    sign_in(monkeypatch, {**sim.env("owner"), "OS_CLIENT_CONFIG_FILE": str(clouds)})
    code, told = doctor(monkeypatch, capsys, "--cloud", "theirs")
    assert code == 0
    assert "cloud = theirs, from --cloud" in told
    assert f"with the entry of clouds.yaml, to project {sim.receiver.project_id}" in told
    assert "All checks passed" not in told


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status_before", "status": 503},
        {"kind": "html"},
        {"kind": "status_before", "status": 404, "body": {"error_msg": "no such API"}},
    ],
    ids=["dead", "a web page", "wrong"],
)
def test_doctor_wrong_endpoint_fails_once(
    fault: dict[str, Any],
    sim: Simulator,
    engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    (engine / "config.json").write_text(json.dumps({"cbr:maxRetries": {"value": "0"}}))
    sim.faults.add(Fault(method="*", path="/backups", times=None, **fault))
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert f"FAILED endpoint      {sim.url}/v3/{sim.owner.project_id}: " in told
    assert "permission  " not in told
    assert told.endswith("\n1 check failed: see above\n")


@pytest.mark.parametrize("code", ["9910", "9998"])
def test_doctor_failing_service_says_nothing_of_permissions(
    code: str, sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    (engine / "config.json").write_text(json.dumps({"cbr:maxRetries": {"value": "0"}}))
    body = {"error_code": f"BackupService.{code}", "error_msg": "x"}
    sim.faults.add(Fault("status_before", "GET", "/backups$", times=None, status=500, body=body))
    exit_code, told = doctor(monkeypatch, capsys)
    assert exit_code == 1
    assert "FAILED permission    list backups: " in told
    assert told.count("ok     permission") == 6


def test_doctor_lines_are_not_wide(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, sim.env("owner"))
    sim.deny("cbr:member:create")
    _, told = doctor(monkeypatch, capsys)
    assert [line for line in told.splitlines() if len(line) > 100 and len(line.split()) > 4] == []


def test_doctor_json_is_for_scripts(
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


@pytest.mark.parametrize(
    ("reason", "advised"),
    [
        ("no Pulumi.yaml project file found (searching upwards from /)", True),
        ("passphrase must be set with PULUMI_CONFIG_PASSPHRASE", False),
        ("no stack named 'nope' found", False),
    ],
)
def test_doctor_says_why_the_stack_is_not_read(
    reason: str, advised: bool, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "pulumi").write_text(f'#!/bin/sh\necho "error: {reason}" >&2\nexit 1\n')
    told = " ".join(doctor(monkeypatch, capsys)[1].split())
    assert f"no configuration of a stack was read: {reason}" in told
    assert ("Run this in the folder of a Pulumi project" in told) is advised


@pytest.mark.parametrize("printed", [b"not JSON", b"[]", "{}".encode("utf-16")])
def test_doctor_odd_configuration_is_no_traceback(
    printed: bytes, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "config.json").write_bytes(printed)
    assert "FAILED stack no configuration of a stack was read: pulumi printed no JSON object" in " ".join(
        doctor(monkeypatch, capsys, "--stack", "prod")[1].split()
    )


def test_doctor_without_the_cli_reads_no_stack(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "pulumi").unlink()
    assert "its configuration was not read: `pulumi` is not on PATH" in doctor(monkeypatch, capsys)[1]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_doctor_closed_output_ends_quietly(engine: Path, form: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # What is written at once cannot fail at the end.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    command = [sys.executable, "-m", "pulumi_cbr", "doctor", *form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


def test_contradicting_regions_fail(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in(monkeypatch, {**sim.env("owner"), "HW_REGION_NAME": "ap-southeast-1"})
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    assert "OS_REGION_NAME and HW_REGION_NAME contradict each other on region" in " ".join(told.split())
    assert "All checks passed" not in told


def test_key_with_the_name_of_another_project_fails(
    sim: Simulator, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = sim.access_key_env("owner")
    sign_in(monkeypatch, {**keys, "HW_AUTH_URL": f"{sim.url}/v3", "HW_PROJECT_NAME": "another"})
    code, told = doctor(monkeypatch, capsys)
    assert code == 1
    said = " ".join(told.split())
    assert f"project {keys['HW_PROJECT_ID']} is `" in said
    assert "not `another` Correct or remove HW_PROJECT_NAME." in said
