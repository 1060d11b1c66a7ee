"""The command line: output, exit codes, and the simulator that it finds."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from forked_python import forked_python
from pulumi_cbr.api.definitions import SETTINGS, UNSUPPORTED_VARIABLES
from pulumi_cbr.simulator import Simulator, cli
from pulumi_cbr.simulator.actions import Action, find_actions
from pulumi_cbr.simulator.cli import main
from pulumi_cbr.simulator.faults import FORM_HELP
from pulumi_cbr.simulator.options import Options
from pulumi_cbr.simulator.output import with_readable_times
from pulumi_cbr.simulator.registry import announce
from waiting import PATIENCE, wait_until

Run = Callable[..., subprocess.CompletedProcess[str]]


def command() -> list[str]:
    """Return the command line of the simulator."""
    return [
        *forked_python("keystoneauth1", "pulumi_cbr.simulator.cli", "pulumi_cbr.simulator.server"),
        "-m",
        "pulumi_cbr.simulator",
    ]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment without running simulators."""
    return {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "http_proxy": "http://127.0.0.1:9"}


@contextmanager
def serving(env: Mapping[str, str], *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command(), "serve", *arguments], env=env, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.fixture
def run(env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process, which is faster than a new one."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(signal, "signal", lambda *_arguments: None)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return call


def kill(url: str, process: subprocess.Popen[str]) -> None:
    """Kill a simulator. It is a fork, which ends shortly after the process that asked for it."""
    process.kill()
    process.wait(PATIENCE)
    address = ("127.0.0.1", int(url.rpartition(":")[2]))

    def is_gone() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(address) != 0

    wait_until(is_gone)


def wait_for_exit(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=PATIENCE)
    return process.returncode, out, error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_on_a_signal(run: Run, env: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    with serving(env) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert run("env").stdout.startswith(f"export OS_AUTH_URL={url}/v3\n")
        process.send_signal(number)
        assert wait_for_exit(process) == (0, "", "")

    assert list((tmp_path / "pulumi-cbr" / "simulators").iterdir()) == []


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_help_of_faults_has_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("faults", capsys)

    assert "10% of *" in text
    for form, help in FORM_HELP.items():
        assert f"{form} {help}" in text


def test_help_of_serve_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("serve", capsys)

    for option in fields(Options):
        assert option.metadata["help"] in text or option.metadata["flag"] == ""


@pytest.mark.parametrize("action", find_actions(Simulator).values(), ids=lambda action: str(action.name))
def test_action_is_a_command_with_its_help(action: Action, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    everything = " ".join(capsys.readouterr().out.split())
    text = help_of(action.name.replace("_", "-"), capsys)

    assert action.help[1:].rstrip(".").replace("``", "") in everything
    labels = {"backup_id": "backup", "project_id": "project", "vault_id": "vault"}
    for parameter in action.parameters:
        assert labels.get(parameter.name, parameter.name.replace("_", "-")) in text


def test_command_runs_its_action(cbr_simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--url", cbr_simulator.url]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    before = cbr_simulator.state.now()
    changed = run("set-backup", "backup-001", "--encrypted", "true", "--status", "error")
    assert changed == with_readable_times(asdict(cbr_simulator.backups[1]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", changed["created_at"])
    assert (cbr_simulator.backups[1].encrypted, cbr_simulator.backups[1].status) == (True, "error")
    denied = {"done": "deny", "action": "cbr:member:list", "role": "receiver"}
    assert run("deny", "cbr:member:list", "--role", "receiver") == denied
    assert not cbr_simulator.state.is_allowed("cbr:member:list", "receiver")
    assert main(["deny", "cbr:member:creat", "--url", cbr_simulator.url]) == 1
    assert capsys.readouterr().err == (
        "cbr simulator: unknown IAM action cbr:member:creat (did you mean cbr:member:create?)\n"
    )
    assert main(["deny", "share", "--url", cbr_simulator.url]) == 1
    assert ". The actions are: cbr:backups:get, " in capsys.readouterr().err
    assert run("allow-all") == {"done": "allow-all"}
    assert cbr_simulator.state.is_allowed("cbr:member:list", "receiver")
    now = datetime.fromisoformat(run("advance", "3600.5")["now"]).timestamp()
    assert now == pytest.approx(before + 3600, abs=600)
    run("share", "backup-000", "--status", "accepted")
    image = run("register-image", "backup-000")
    assert image == {"image_id": cbr_simulator.members(cbr_simulator.backups[0].id)[cbr_simulator.projects[0]].image_id}
    run("delete-backup", "backup-002")
    assert len(cbr_simulator.backups) == 11
    assert run("add-backup", "server-004") == with_readable_times(asdict(cbr_simulator.backups[-1]))
    assert cbr_simulator.backups[-1].resource_id == cbr_simulator.backups[3].resource_id


def test_serve_closed_output_goes_on(env: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([*command(), "serve"], env=env, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        folder = Path(env["XDG_RUNTIME_DIR"])
        wait_until(lambda: process.poll() is not None or list(folder.rglob("*.json")))
        process.send_signal(signal.SIGTERM)
        assert wait_for_exit(process)[0::2] == (0, "")


def test_commands_refuse_to_choose_a_simulator(run: Run, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(env) as (first, _), serving(env) as (second, process):
        for command in (["env"], ["list"], ["withdraw", "backup-000"]):
            refused = run(*command)
            assert refused.returncode == 1
            assert refused.stderr == f"cbr simulator: 2 simulators run: {second}, {first}. Name one with --url\n"
        assert f"{first}/v3" in run("env", "--url", first).stdout
        monkeypatch.setenv("OS_AUTH_URL", f"{first}/v3")
        assert f"{first}/v3" in run("env").stdout
        monkeypatch.delenv("OS_AUTH_URL")
        kill(second, process)

        receiver = run("env", "--as", "receiver").stdout
        assert f"{first}/v3" in receiver
        assert "export OS_USERNAME=receiver\n" in receiver


def test_help_of_env_has_only_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["env", "--help"])

    assert ended.value.code == 0
    assert "false" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--as", "nobody"]])
def test_env_failure_ends_the_shell(run: Run, env: dict[str, str], arguments: list[str]) -> None:
    """A shell does not see the exit code of a command whose output it evaluates."""
    ended = run("env", *arguments)
    shell = subprocess.run(["sh", "-ec", f"eval {shlex.quote(ended.stdout)}; echo went on"], check=False, text=True)

    assert ended.returncode != 0
    assert shell.returncode != 0


def test_commands_change_a_running_simulator(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with serving(env, "--state", str(file), "--fault", "the 1st POST to /x: truncated") as (_url, _process):
        there = json.loads(run("list").stdout)
        backup, receiver = there["backups"][0]["id"], there["receiver"]

        assert json.loads(run("share", backup).stdout)["dest_project_id"] == receiver
        assert json.loads(run("accept", backup).stdout)["status"] == "accepted"
        assert json.loads(run("reject", backup, receiver, "--json").stdout)["status"] == "rejected"
        assert run("withdraw", backup).returncode == 0
        again = run("withdraw", backup)
        assert (again.returncode, again.stderr) == (
            1,
            "cbr simulator: The share member does not exist. (BackupService.6705)\n",
        )
        added = json.loads(run("faults", "10% of * to /v3/.*: throttle").stdout)
        assert [fault["kind"] for fault in added["faults"]] == ["truncated", "throttle"]
        assert json.loads(run("faults", "--clear").stdout) == {"faults": []}
        run("share", backup, there["projects"][3])

    with serving(env, "--state", str(file), "--seed", "9"):
        members = json.loads(run("list").stdout)["backups"][0]["members"]
        assert [member["dest_project_id"] for member in members] == [there["projects"][3]]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["env"], 1, "no simulator runs"),
        (["list", "--url", "http://127.0.0.1:9"], 1, "no simulator answers at http://127.0.0.1:9"),
        (["list", "--url", "file:///etc"], 1, "not a simulator's URL"),
        (["list", "--url", "nonsense"], 1, "not a simulator's URL"),
        (["list", "--url", "http://127.0.0.1:abc"], 1, "not a simulator's URL: http://127.0.0.1:abc"),
        (["list", "--url", "http://127.0.0.1:9/a b"], 1, "not a simulator's URL: http://127.0.0.1:9/a b"),
        (["list", "--url", "http://[::1"], 1, "not a simulator's URL: http://[::1"),
        (["serve", "--fault", "nonsense"], 1, "not understood"),
        (["serve", "--port", "70000"], 2, "a port is 0 to 65535"),
        (["serve", "--latency", "-1"], 2, "at least 0"),
        (["serve", "--page-size", "0"], 1, "page_size must be at least 1"),
        (["dance"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_command_error_is_one_line(run: Run, env: dict[str, str], arguments: list[str], code: int, says: str) -> None:
    ended = run(*arguments)

    assert (ended.returncode, ended.stdout) == (code, "false\n" if arguments == ["env"] else "")
    assert says in ended.stderr.splitlines()[-1]
    assert code == 2 or len(ended.stderr.splitlines()) == 1


def parse_serve(monkeypatch: pytest.MonkeyPatch, *flags: str) -> dict[str, Any]:
    """Return the arguments with which ``serve`` makes its simulator."""
    made: list[dict[str, Any]] = []

    def refuse(**arguments: Any) -> Simulator:
        made.append(arguments)
        raise ValueError("not made")

    monkeypatch.setattr(cli, "Simulator", refuse)
    assert main(["serve", *flags]) == 1
    monkeypatch.undo()
    return made[0]


FLAGS: list[tuple[str, str, Any]] = [
    ("--bare-add-answer", "bare_add_answer", True),
    ("--visible-after-reads=2", "visible_after_reads", 2),
    ("--accept-after-reads=1", "accept_after_reads", 1),
    ("--token-life=60", "token_life", 60.0),
    ("--backups=3", "backups", 3),
    ("--plain-catalogue", "catalogue_with_project", False),
    ("--region=eu-nl", "regions", ("eu-nl",)),
    ("--interface=internal", "interfaces", ("internal",)),
    ("--catalog-template=%(project_id)s", "catalog_template", "%(project_id)s"),
    ("--project-domains", "project_domains", True),
    ("--passcode-required", "passcode_required", True),
    ("--encrypted-allowed", "encrypted_allowed", True),
    ("--disk-allowed", "disk_allowed", True),
    ("--receiver-sees-no-member", "receiver_sees_member", False),
    ("--page-size=2", "page_size", 2),
    ("--shares=5", "shares", 5),
    ("--backups-with-members", "backups_with_members", True),
    ("--seed=-7", "seed", -7),
    ("--port=80", "port", 80),
    ("--state=x.json", "state_file", "x.json"),
    ("--latency=0.5", "latency", 0.5),
]


@pytest.mark.parametrize(("flag", "name", "value"), FLAGS)
def test_flag_sets_its_option_and_no_other(monkeypatch: pytest.MonkeyPatch, flag: str, name: str, value: Any) -> None:
    assert Options(**parse_serve(monkeypatch, flag)) == Options(**{name: value})


def test_option_has_a_flag() -> None:
    assert {name for _flag, name, _value in FLAGS} == {option.name for option in fields(Options)} - {"now"}


def test_simulator_arguments_are_the_options() -> None:
    assert list(signature(Simulator).parameters) == list(signature(Options).parameters)
    for option in fields(Options):
        assert f"``{option.name}``: {option.metadata['help']}" in (Simulator.__init__.__doc__ or "")


def test_serve_broken_state_file_fails(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")

    ended = run("serve", "--state", str(tmp_path / "x.json"))

    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)


def test_terminal_shows_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with Simulator() as simulator:
        backup = simulator.backups[0].id
        for step in (["share", backup], ["list"], ["faults", "every GET to /x: slow 1 s"], ["withdraw", backup]):
            assert main([*step, "--url", simulator.url]) == 0
    out = capsys.readouterr().out

    assert "The receiver's vaults" in out
    for id_ in (simulator.backups[0].resource_id, simulator.backups[0].vault_id):
        assert f" {id_} " in out
    assert f" {backup} " in out
    assert "from the 1., all that follow" in out
    assert f"withdraw {backup} {simulator.receiver.project_id}: done at {simulator.url}\n" in out


def test_table_shows_brackets_of_a_path(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = ["every GET to /[a-f]+[/]x: truncated", "0.4% of * to /x: malformed"]

    assert main(["faults", *lines, "--url", cbr_simulator.url]) == 0

    out = capsys.readouterr().out
    assert "/[a-f]+[/]x$" in out
    assert "0.4% from the 1." in out


@contextmanager
def serve_another_program(answer: bytes) -> Iterator[str]:
    """Yield the URL of a program that is no simulator."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


RESPONSES_OF_OTHERS = [
    b"SSH-2.0-OpenSSH_9\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 50_000,
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n{}",
]


@pytest.mark.parametrize("answer", RESPONSES_OF_OTHERS)
def test_command_url_of_another_program_fails(
    cbr_simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    answer: bytes,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with serve_another_program(answer) as url:
        for command in (["list"], ["env"], ["share", "backup-000"], ["faults"]):
            assert main([*command, "--url", url]) == 1
            printed = "false\n" if command == ["env"] else ""
            assert capsys.readouterr() == (printed, f"cbr simulator: not a simulator's URL: {url}\n")

        with announce(cbr_simulator.url, cbr_simulator.secret), announce(url, b"x" * 32):
            assert main(["env"]) == 0
        assert f"{cbr_simulator.url}/v3" in capsys.readouterr().out


def test_env_clears_settings_of_another_cloud(
    cbr_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [name for setting in SETTINGS.values() for name in setting.variables] + [*UNSUPPORTED_VARIABLES]
    for name in others:
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("HW_REGION_NAME", "")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.com")

    assert main(["env", "--url", cbr_simulator.url]) == 0

    lines = capsys.readouterr().out.splitlines()
    unset, *exported = lines
    assert set(unset.split()) == {"unset", *others} - cbr_simulator.env().keys()
    assert exported[: len(cbr_simulator.env())] == [
        f"export {name}={shlex.quote(value)}" for name, value in cbr_simulator.env().items()
    ]
    assert lines[-2:] == ["export no_proxy=example.com,127.0.0.1", "export NO_PROXY=example.com,127.0.0.1"]


@pytest.mark.parametrize(
    ("before", "after"), [("", "127.0.0.1"), ("*", "*"), ("a, 127.0.0.1", "a, 127.0.0.1"), ("a", "a,127.0.0.1")]
)
def test_env_bypasses_the_proxy(
    cbr_simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", before)

    assert main(["env", "--url", cbr_simulator.url]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"export {name}={shlex.quote(after)}" for name in ("no_proxy", "NO_PROXY")]


def test_env_plain_shell_prints_only_credentials(cbr_simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--url", cbr_simulator.url]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0] for line in lines] == [f"export {name}" for name in cbr_simulator.env()]


def test_command_accepts_names_for_ids(run: Run, env: dict[str, str]) -> None:
    with serving(env):
        there = json.loads(run("list").stdout)
        shared = json.loads(run("share", "backup-003").stdout)
        assert (shared["backup_id"], shared["dest_project_id"]) == (there["backups"][3]["id"], there["receiver"])
        accepted = json.loads(run("accept", "backup-003", "receiver", "--vault", "servers").stdout)
        assert accepted["vault_id"] == there["vaults"][0]["id"]
        assert "does not exist" in run("withdraw", "backup-nine").stderr


def test_serve_state_file_in_use_fails(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with serving(env, "--state", str(file)) as (url, process):
        refused = run("serve", "--state", str(file))
        assert (refused.returncode, refused.stderr) == (
            1,
            f"cbr simulator: another simulator keeps its state in {file}\n",
        )
        kill(url, process)
    with serving(env, "--state", str(file)) as (url, _process):
        assert url.startswith("http://")


def test_announcement_of_a_killed_simulator_is_removed(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    with serving(env) as (url, process):
        kill(url, process)
    folder = tmp_path / "pulumi-cbr" / "simulators"
    assert len(list(folder.iterdir())) == 1

    assert run("list").returncode == 1
    assert list(folder.iterdir()) == []
