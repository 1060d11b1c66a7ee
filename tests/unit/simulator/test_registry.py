"""Announcements of simulators, and programs that pretend to be one."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.request import Request, urlopen

import pytest

from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.admin_client import AdminClient, AdminError, find_simulator
from pulumi_cbr.simulator.cli import main
from pulumi_cbr.simulator.registry import (
    NONCE_HEADER,
    PROOF_HEADER,
    announce,
    read_announcements,
)
from waiting import PATIENCE

SECRET = b"s" * 32
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the announcements, in a runtime folder for this test."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "pulumi-cbr" / "simulators"


def end_a_process() -> int:
    """Return the ID of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(folder: Path, name: str, **entry: object) -> None:
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    (folder / name).touch(0o600)
    (folder / name).write_text(json.dumps(entry))


def test_announce_lasts_as_long_as_its_context(folder: Path) -> None:
    with announce("http://127.0.0.1:1", SECRET):
        (found,) = read_announcements()
        assert (found.url, found.secret, found.pid) == ("http://127.0.0.1:1", SECRET, os.getpid())
        (file,) = folder.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700

    assert read_announcements() == []
    assert list(folder.iterdir()) == []


def test_read_announcements_returns_the_latest_first(folder: Path) -> None:
    for started in (1, 3, 2):
        name = f"{os.getpid()}-{started}.json"
        write(folder, name, url=f"http://{started}", secret="00", pid=os.getpid(), started=started)

    assert [found.url for found in read_announcements()] == ["http://3", "http://2", "http://1"]


@pytest.mark.parametrize("read", [read_announcements, lambda: announce("http://127.0.0.1:1", SECRET).__enter__()])
def test_read_announcements_removes_those_of_dead_processes(folder: Path, read: Callable[[], object]) -> None:
    pid = end_a_process()
    write(folder, f"{pid}-9.json", url="http://127.0.0.1:9", secret="00", pid=pid, started=1)

    held = read()

    assert [path.name for path in folder.iterdir() if path.name.startswith(str(pid))] == []
    del held


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"url": "x", "secret": "", "pid": 1, "started": 1}'])
def test_read_announcements_ignores_other_files(folder: Path, text: str) -> None:
    write(folder, f"{os.getpid()}-1.json")
    (folder / f"{os.getpid()}-1.json").write_text(text)
    write(folder, "x.json")
    os.mkfifo(folder / f"{os.getpid()}-2.json", 0o600)

    assert read_announcements() == []


def test_env_unsafe_folder_fails(folder: Path, capsys: Capture) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    pid = os.getpid()
    write(folder, f"{pid}-9.json", url="http://127.0.0.1:9", secret="00", pid=pid, started=1)

    assert main(["env"]) == 1
    assert capsys.readouterr().err.startswith("cbr simulator: cannot look for simulators: ")


def test_serve_unsafe_folder_is_not_announced(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    command = [sys.executable, "-m", "pulumi_cbr.simulator", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert AdminClient(url).read_status()["url"] == url
        process.terminate()
        assert "not announced: " in process.communicate(timeout=PATIENCE)[1]
    assert list(folder.iterdir()) == []


def test_find_simulator_accepts_a_proof(cbr_simulator: Simulator) -> None:
    with announce(cbr_simulator.url, cbr_simulator.secret):
        assert find_simulator().read_status()["url"] == cbr_simulator.url
        assert find_simulator(cbr_simulator.url).read_status()["url"] == cbr_simulator.url


def test_find_simulator_prefers_the_one_of_the_shell(cbr_simulator: Simulator) -> None:
    with Simulator() as latest, announce(cbr_simulator.url, cbr_simulator.secret), announce(latest.url, latest.secret):
        assert find_simulator(auth_url=f"{cbr_simulator.url}/v3").url == cbr_simulator.url
        for url in ("", "https://iam.example.com/v3"):
            with pytest.raises(AdminError, match="2 simulators run"):
                find_simulator(auth_url=url)


def test_proof_does_not_contain_the_secret(cbr_simulator: Simulator) -> None:
    request = Request(f"{cbr_simulator.url}/_simulator", headers={NONCE_HEADER: "0"})
    with urlopen(request, timeout=PATIENCE) as response:
        sent = str(response.headers).encode() + response.read()
        assert len(response.headers[PROOF_HEADER]) == 64

    assert cbr_simulator.secret not in sent
    assert cbr_simulator.secret.hex().encode() not in sent


def test_proof_covers_errors(cbr_simulator: Simulator) -> None:
    client = AdminClient(cbr_simulator.url, cbr_simulator.secret)

    with pytest.raises(AdminError, match="no such step: explode"):
        client.send("POST", "/explode")


# The port of a killed simulator, taken by another program

INJECTED = "X=$(touch PWNED); OS_REGION_NAME"


class Impostor(BaseHTTPRequestHandler):
    """A server that copies a simulator, with more variables and the proof of an old response."""

    proof = ""
    changed: ClassVar[dict[str, object]] = {}

    def do_GET(self) -> None:
        quoted = "'; touch PWNED; '"
        variables = dict.fromkeys(["OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_NAME", "OS_PROJECT_ID"], quoted)
        variables |= {"OS_AUTH_URL": "http://x", "OS_REGION_NAME": "$(touch PWNED)", "OS_IDENTITY_API_VERSION": "3"}
        status: dict[str, object] = {"owner": "", "receiver": "", "projects": [], "backups": [], "vaults": []}
        status["url"] = f"http://{self.headers['Host']}"
        body = json.dumps({**status, **variables, INJECTED: "x", "PATH": "/tmp", **self.changed}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(PROOF_HEADER, type(self).proof)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:
        pass


@contextmanager
def impostor(port: int = 0) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", port), Impostor) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def evaluate(printed: str, folder: Path) -> None:
    """Run the output of `env` in a shell, as the documentation tells users to do."""
    subprocess.run(["sh", "-c", f"eval {shlex.quote(printed)}"], cwd=folder, check=False, capture_output=True)


@pytest.mark.parametrize("by", ["search", "url"])
def test_env_impostor_on_a_killed_simulators_port_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, by: str
) -> None:
    with Simulator() as simulator:
        request = Request(f"{simulator.url}/_simulator", headers={NONCE_HEADER: "0"})
        with urlopen(request, timeout=PATIENCE) as response:
            monkeypatch.setattr(Impostor, "proof", response.headers[PROOF_HEADER])
        url, secret = simulator.url, simulator.secret
    # As after SIGKILL, if another process has the process ID: the announcement looks alive.
    write(folder, f"{os.getpid()}-1.json", url=url, secret=secret.hex(), pid=os.getpid(), started=1)

    with impostor(int(url.rpartition(":")[2])):
        assert main(["env", *(["--url", url] if by == "url" else [])]) == 1
    printed = capsys.readouterr()

    assert printed.out == "false\n"
    evaluate(printed.out, tmp_path)
    assert not (tmp_path / "PWNED").exists()


def test_env_after_sigkill_does_not_ask_the_port(folder: Path, capsys: Capture) -> None:
    with impostor() as url:
        pid = end_a_process()
        write(folder, f"{pid}-1.json", url=url, secret="00", pid=pid, started=1)

        assert main(["env"]) == 1
    assert "no simulator runs" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_env_url_of_an_impostor_prints_known_names_quoted(tmp_path: Path, capsys: Capture) -> None:
    with impostor() as url:
        assert main(["env", "--url", url]) == 0
    printed = capsys.readouterr().out

    names = {line.removeprefix("export ").partition("=")[0] for line in printed.splitlines()}
    assert names <= set(Simulator(port=1).env())
    evaluate(printed, tmp_path)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("value", [None, 1, "", "a\nb", "\x1b[2J"])
def test_env_url_of_an_impostor_with_odd_values_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, value: object
) -> None:
    monkeypatch.setattr(Impostor, "changed", {"OS_REGION_NAME": value})
    with impostor() as url:
        assert main(["env", "--url", url]) == (0 if value == "" else 1)
    assert (capsys.readouterr().out == "false\n") is (value != "")


def test_env_prints_every_variable_of_a_simulator(cbr_simulator: Simulator, capsys: Capture) -> None:
    assert main(["env", "--url", cbr_simulator.url]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"export {name}={shlex.quote(value)}" for name, value in cbr_simulator.env().items()]


def test_command_error_shows_no_control_characters(capsys: Capture) -> None:
    body = json.dumps({"error": "\x1b[2J\nforged"}).encode()
    answer = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        assert main(["list", "--url", f"http://127.0.0.1:{listening.getsockname()[1]}"]) == 1
        thread.join()

    assert capsys.readouterr().err == "cbr simulator: \\x1b[2J\\nforged\n"
