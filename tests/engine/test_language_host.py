"""The language host that tools/engine builds: it ends with its engine, and with the host that runs programs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

import grpc
import pytest

from waiting import PATIENCE, wait_until

HOST = "pulumi-language-python"


#: A host that runs a program; both say so when they are ended, and end by themselves a while later.
RUNNER = """#!/bin/sh
trap '' INT
run() {
    trap "echo $1 >&2; exit" TERM
    eval "$2"
    for _ in $(seq 300); do sleep 0.1; done
}
run program 'touch "$0.program"' &
run host 'until [ -e "$0.program" ]; do sleep 0.1; done; echo 1'
"""


class Engine(grpc.GenericRpcHandler):
    """An engine that answers whatever it is asked, and knows when that was."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.asked.append(time.monotonic())
        return b""


@pytest.fixture
def ours(engine: Path) -> Path:
    """Return the folder of a language host that is ours."""
    if not (engine / f"{HOST}-run").exists():
        pytest.skip("the engine on PATH is not one that tools/engine has built: its host is not ours")
    return engine


def test_heartbeat(ours: Path) -> None:
    """Each look costs both sides: without a pause between them, they take all that the machine has."""
    asked = Engine()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[asked])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with subprocess.Popen([ours / HOST, f"127.0.0.1:{port}"], stdout=PIPE, text=True) as host:
        try:
            assert host.stdout
            assert host.stdout.readline().strip().isdigit()
            wait_until(lambda: len(asked.asked) >= 3)
            assert asked.asked[2] - asked.asked[0] > 1
            server.stop(None).wait()
            assert host.wait(PATIENCE) == 0
        finally:
            host.kill()
            server.stop(None).wait()


def test_ends_what_ignores_an_interrupt(ours: Path, tmp_path: Path) -> None:
    """Shells have their background jobs ignore it, and the engine waits five seconds for all that has its pipes."""
    shutil.copy(ours / HOST, tmp_path)
    runner = tmp_path / f"{HOST}-run"
    runner.write_text(RUNNER)
    runner.chmod(0o755)
    with subprocess.Popen([tmp_path / HOST], stdout=PIPE, stderr=PIPE, text=True) as host:
        try:
            assert host.stdout
            assert host.stderr
            assert host.stdout.readline().strip().isdigit()
            host.send_signal(signal.SIGINT)
            assert {"host", "program"} <= set(host.stderr.read().split())
            assert host.wait(PATIENCE) == 0
        finally:
            host.kill()
