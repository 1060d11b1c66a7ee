"""The language host that tools/engine builds: it ends with its engine, and with the host that runs programs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from waiting import wait_until

HOST = "pulumi-language-python"


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
    """Give the folder of a language host that is ours."""
    if not (engine / f"{HOST}-run").exists():
        pytest.skip("the engine on PATH is not one that tools/engine has built: its host is not ours")
    return engine


def test_heartbeat(ours: Path) -> None:
    """Each look costs both sides: without a pause between them, they take all that the machine has."""
    asked = Engine()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[asked])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with subprocess.Popen([ours / HOST, f"127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True) as host:
        try:
            assert host.stdout
            assert host.stdout.readline().strip().isdigit()
            wait_until(lambda: len(asked.asked) >= 3)
            assert asked.asked[2] - asked.asked[0] > 1
            server.stop(None).wait()
            # It gives the program that it runs ten seconds.
            assert host.wait(60) == 0
        finally:
            host.kill()
            server.stop(None).wait()


def test_ends_what_ignores_an_interrupt(ours: Path, tmp_path: Path) -> None:
    """Shells have their background jobs ignore it: the engine would wait five seconds, and then kill."""
    shutil.copy(ours / HOST, tmp_path)
    runner = tmp_path / f"{HOST}-run"
    runner.write_text("#!/bin/sh\ntrap '' INT\ntrap 'echo ended; exit' TERM\necho 1\nwhile :; do sleep 0.1; done\n")
    runner.chmod(0o755)
    with subprocess.Popen([tmp_path / HOST], stdout=subprocess.PIPE, text=True) as host:
        try:
            assert host.stdout
            assert host.stdout.readline().strip().isdigit()
            host.send_signal(signal.SIGINT)
            assert host.stdout.read() == "ended\n"
            assert host.wait(60) == 0
        finally:
            host.kill()
