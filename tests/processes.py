"""Processes that the engine starts: its plugins are in groups of their own, and all are in its session."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def session(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # After the name, which may have any characters: state, parent, group, session.
                state, _, _, number, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(number) == leader and state != "Z":
                    found.append(int(entry.name))
    return found


def started(folder: Path, *arguments: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the CLI in a folder, as the head of a session."""
    return subprocess.Popen(
        ["pulumi", *arguments, "--non-interactive", "--color", "never"],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_session(leader: subprocess.Popen[str]) -> None:
    """Kill a process that began a session, and all that it has started."""
    leader.kill()
    # Until none is left: each may start another before it is killed.
    while others := session(leader.pid):
        for other in others:
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
    leader.communicate()
