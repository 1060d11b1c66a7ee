"""The processes that construct components: each serves one request of the engine, and ends with it."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.text import clean
from pulumi_cbr.native.protocol import provider_pb2

#: Each process takes some 60 MB, and half a second to start.
_AT_ONCE = 4

#: Where `-m` finds this package first; the engine starts plugins in the program's folder.
_PACKAGES = Path(__file__).parents[2]

#: The first byte that a process writes: a response follows, the text of an error, or nothing because the engine has ended.
DONE, FAILED, ENDED = b"+", b"-", b"."

_log = logging.getLogger("pulumi_cbr")


class ComponentProcesses:
    """Starts a process for each component, and ends all of them on request.

    `command` starts a process; the engine's address follows.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "pulumi_cbr.native.construct")) -> None:
        self._command = command
        self._running: set[Process] = set()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._ended = False

    async def construct(self, request: provider_pb2.ConstructRequest, engine: str) -> provider_pb2.ConstructResponse:
        """Return the response of a process to a request. Raises `CbrError`."""
        async with self._free:
            if self._ended:
                raise CbrError(_not_finished(request))
            process = await asyncio.create_subprocess_exec(
                *(*self._command, engine),
                cwd=_PACKAGES,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
            )
            self._running.add(process)
            if self._ended:
                # The request was cancelled while the process was started.
                process.kill()
            try:
                response, printed = await _ask(process, request)
            finally:
                self._running.discard(process)
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for line in printed.decode(errors="replace").splitlines():
            _log.debug("%s", clean(line))
        if self._ended:
            raise CbrError(_not_finished(request))
        return _read(response, printed, request)

    def end(self) -> None:
        """End all processes: their requests fail, and those that wait for a process too."""
        self._ended = True
        for process in self._running:
            with suppress(ProcessLookupError):
                process.kill()


async def _ask(process: Process, request: provider_pb2.ConstructRequest) -> tuple[bytes, bytes]:
    # The process was started with all three.
    streams: Any = process
    # It has the stack's secrets, and so goes neither by the command line nor by the environment. Standard input stays
    # open: its end tells the process that this one has ended.
    with suppress(ConnectionError):
        streams.stdin.write(b64encode(request.SerializeToString()) + b"\n")
        await streams.stdin.drain()
    response, printed = await asyncio.gather(streams.stdout.read(), streams.stderr.read())
    return response, printed


def _read(response: bytes, printed: bytes, request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse:
    kind, rest = response[:1], response[1:]
    if kind == DONE:
        return provider_pb2.ConstructResponse.FromString(rest)
    if kind == FAILED:
        raise CbrError(clean(rest.decode(errors="replace")))
    # Only a traceback of a process that did not report ENDED is a bug.
    if kind != ENDED and b"Traceback" in printed:
        raise RuntimeError(printed.decode(errors="replace"))
    raise CbrError(_not_finished(request))


def _not_finished(request: provider_pb2.ConstructRequest) -> str:
    return messages.component_not_finished(request.type.rpartition(":")[2], request.name)
