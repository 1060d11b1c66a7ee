"""tools/engine finds or obtains an engine: with stand-ins for `pulumi` and `go`, offline."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from waiting import PATIENCE, wait_until

from .conftest import ROOT

TOOL = ROOT / "tools" / "engine" / "engine.py"

#: Does of `go -C <module> build ... -o <file> <package>` and `go ... list` what the tool needs.
FAKE_GO = """#!/bin/sh
echo "$@ GOWORK=$GOWORK" >> "{log}"
case " $* " in
*" list "*) echo "{sdk}" ;;
*)
    while [ "$1" != "-o" ]; do shift; done
    sleep {seconds}
    printf '#!/bin/sh\\n' > "$2" && chmod +x "$2" ;;
esac
"""


class Machine:
    """A machine with a PATH of its own, an empty cache folder and no internet."""

    def __init__(self, folder: Path, proxy: str) -> None:
        self.bin = folder / "bin"
        self.cache = folder / "cache"
        self.log = folder / "go.log"
        self.tool = TOOL
        self.bin.mkdir()
        self.folder = folder
        self.env = {
            "PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(self.cache),
            "https_proxy": proxy,
        }

    def put(self, name: str, text: str = "#!/bin/sh\n") -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def put_go(self, seconds: float = 0) -> None:
        sdk = self.folder / "sdk"
        for script in "cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python":
            (sdk / "python" / script).parent.mkdir(parents=True)
            (sdk / "python" / script).write_text("#!/bin/sh\n")
        self.put("go", FAKE_GO.format(log=self.log, sdk=sdk, seconds=seconds))

    def start(self, *by: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [*by, sys.executable, str(self.tool), *options]
        return subprocess.Popen(command, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def run(self, *options: str) -> tuple[int, str, str]:
        process = self.start(options=options)
        output, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, output, errors


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    # Nobody listens there: refused at once.
    return Machine(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def silent_proxy() -> Iterator[str]:
    """Takes connections and never says a word, as a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_found_on_path(machine: Machine) -> None:
    machine.put("pulumi")
    machine.put("pulumi-language-python")
    assert machine.run() == (0, f"{machine.bin}\n", "")
    assert not machine.cache.exists()


def test_find_alone_obtains_nothing(machine: Machine) -> None:
    machine.put_go()
    assert machine.run("--find") == (1, "", "")
    assert not machine.log.exists()
    machine.put("pulumi")
    machine.put("pulumi-language-python")
    assert machine.run("--find") == (0, f"{machine.bin}\n", "")


def test_found_behind_a_link(machine: Machine, tmp_path: Path) -> None:
    real = tmp_path / "real"
    machine.put("pulumi")
    machine.put("pulumi-language-python")
    machine.bin.rename(real)
    machine.bin.mkdir()
    (machine.bin / "pulumi").symlink_to(real / "pulumi")
    assert machine.run() == (0, f"{real}\n", "")


def test_cli_without_language_host_is_not_used(machine: Machine) -> None:
    machine.put("pulumi")
    machine.put_go()
    code, output, errors = machine.run()
    assert code == 0
    assert Path(output.strip()).parent == machine.cache / "pulumi-cbr"
    assert "has no pulumi-language-python beside it" in errors


def test_no_internet_builds_once(machine: Machine) -> None:
    machine.put_go()
    code, output, errors = machine.run()
    assert code == 0, errors
    folder = Path(output.strip())
    assert sorted(path.name for path in folder.iterdir()) == [
        "pulumi",
        "pulumi-language-go",
        "pulumi-language-nodejs",
        "pulumi-language-nodejs-run",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-language-python-run",
        "pulumi-language-yaml",
        "pulumi-resource-pulumi-python",
    ]
    assert all(os.access(path, os.X_OK) for path in folder.iterdir())
    assert "The installer does not work here" in errors
    assert "Built in" in errors

    calls = machine.log.read_text()
    assert machine.run() == (0, output, "")
    assert machine.log.read_text() == calls


def test_internet_that_never_answers_is_given_up_within_seconds(machine: Machine, silent_proxy: str) -> None:
    machine.env["https_proxy"] = silent_proxy
    machine.put_go()
    code, _, errors = machine.run()
    assert code == 0, errors
    assert re.search(r"The installer does not work here \(.*(timed out|nothing arrived for 10 s)", errors)


def test_no_go(machine: Machine) -> None:
    machine.env["PATH"] = str(machine.bin)
    code, output, errors = machine.run()
    assert (code, output) == (1, "")
    assert errors.splitlines()[-1] == (
        "error: no pulumi on PATH and no go to build it with: install the Pulumi CLI, or Go 1.25.11 or newer"
    )


def test_failing_build_leaves_nothing(machine: Machine) -> None:
    machine.put("go", "#!/bin/sh\necho 'go: no such module' >&2\nexit 1\n")
    code, output, errors = machine.run()
    assert (code, output) == (1, "")
    assert errors.splitlines()[-1] == "error: building pulumi failed: go: no such module"
    assert [path.name for path in (machine.cache / "pulumi-cbr").iterdir()] == ["lock"]


def test_two_at_once_build_once(machine: Machine) -> None:
    machine.put_go(seconds=0.5)
    both = [machine.start(), machine.start()]
    results = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert results[0][0] == results[1][0]
    assert machine.log.read_text().count(" build ") == 5  # the CLI and the language hosts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_a_build(machine: Machine, number: signal.Signals) -> None:
    machine.put_go(seconds=600)
    # As a shell starts what is to run in the background: deaf to SIGINT.
    process = machine.start("/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"')
    wait_until(machine.log.exists)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert [path.name for path in (machine.cache / "pulumi-cbr").iterdir()] == ["lock"]


def test_what_killed_runs_left_is_taken_away(machine: Machine) -> None:
    machine.put_go()
    left = machine.cache / "pulumi-cbr" / "unfinished-x" / "downloads"
    left.mkdir(parents=True)
    code, output, _ = machine.run()
    assert code == 0
    assert {path.name for path in left.parents[1].iterdir()} == {"lock", Path(output.strip()).name}


def test_a_workspace_of_the_user_has_no_say(machine: Machine) -> None:
    machine.put_go()
    machine.env["GOWORK"] = "/home/user/go.work"
    code, _, errors = machine.run()
    assert code == 0, errors
    assert set(re.findall("GOWORK=(.*)", machine.log.read_text())) == {"off"}


def test_built_again_when_a_pin_changes(machine: Machine, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    shutil.copytree(TOOL.parent, tools)
    machine.tool = tools / TOOL.name
    machine.put_go()
    _, first, _ = machine.run()
    with (tools / "nodejs" / "go.sum").open("a") as pins:
        pins.write("example.com/module v1.0.0 h1:=\n")
    _, second, _ = machine.run()
    versions = [Path(output.strip()).name.split("-")[1] for output in (first, second)]
    assert f"github.com/pulumi/pulumi/pkg/v3 v{versions[0]}\n" in (TOOL.parent / "cli" / "go.mod").read_text()
    assert versions[0] == versions[1]
    assert first != second
    assert shutil.which("pulumi", path=second.strip())
