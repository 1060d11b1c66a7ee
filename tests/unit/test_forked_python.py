"""Forks do what processes of their own would: arguments, folder, environment, streams, signals, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forked_python import forked_python
from waiting import wait_until

#: Tells what it has, and ends as it is told.
PROGRAM = """
import os, signal, sys
print([sys.argv[1], os.getcwd(), os.environ.get("HAS"), "PATH" in os.environ, sys.stdin.read()], flush=True)
print("an error", file=sys.stderr)
exec(sys.argv[1])
"""
WAITS = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: exit(7))
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    ("ends", "status"), [("pass", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)]
)
def test_fork_is_as_a_process(ends: str, status: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    results = [
        subprocess.run(
            [*python, "program.py", ends], cwd=tmp_path, env={"HAS": "this"}, input="in", capture_output=True, text=True
        )
        for python in ([sys.executable], forked_python())
    ]
    expected, found = ((result.returncode, result.stdout, result.stderr) for result in results)
    assert found == expected == (status, f"{[ends, str(tmp_path), 'this', False, 'in']}\n", "an error\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 7), (signal.SIGKILL, -signal.SIGKILL)])
def test_fork_ends_with_its_client(number: signal.Signals, status: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WAITS)
    with subprocess.Popen([*forked_python(), "-u", str(program)], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout
        fork = int(client.stdout.readline())
        client.send_signal(number)
    assert client.returncode == status
    wait_until(lambda: not Path(f"/proc/{fork}").exists())


def test_module_runs_as_by_python(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("import sys\nprint(__name__, sys.argv, sys.path[0], sys.orig_argv[1:])")
    printed = [
        subprocess.run(
            [*python, "-m", "module", "x"], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True
        )
        for python in ([sys.executable], forked_python())
    ]
    assert printed[1].stdout == printed[0].stdout != ""
