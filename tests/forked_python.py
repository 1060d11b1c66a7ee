"""Start Python where tests start many: as forks of one process, see `fork_server`."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent / "fork_server"


#: What programs and plugins import of others: what is ours, each imports itself.
IMPORTED = (
    "asyncio",
    "grpc._channel",
    "grpc._server",
    "grpc.aio",
    "grpc.experimental",
    "keystoneauth1.identity",
    "keystoneauth1.loading",
    "keystoneauth1.session",
    "platformdirs.unix",
    "pulumi.dynamic",
    "pulumi.provider",
    "requests",
    "secrets",
    "yaml",
)


@cache
def forked_python(*modules: str) -> tuple[str, ...]:
    """Return a command that runs a module or a file as this Python, but starts sooner.

    `modules` are imported already.
    """
    is_measured = any(name in os.environ for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"))
    if is_measured or not hasattr(os, "pidfd_open"):
        return (sys.executable,)
    folder = tempfile.mkdtemp(prefix="fork-server-")
    path = f"{folder}/socket"
    # It ends when this process, which has the other end of the pipe, ends.
    server = subprocess.Popen(
        [sys.executable, str(HERE), path, *(modules or IMPORTED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout
    assert server.stdout.read(1) == b"\n"
    server.stdout.close()

    def end() -> None:
        assert server.stdin
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return sys.executable, "-I", "-S", str(HERE / "client.py"), path
