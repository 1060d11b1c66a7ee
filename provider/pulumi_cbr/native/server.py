"""The console script `pulumi-resource-cbr`, which the engine finds on PATH and starts: the provider, served over gRPC."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle import ownership
from pulumi_cbr.lifecycle.failures import is_verbose, report
from pulumi_cbr.native.provider import CbrProvider, current_urn, deadline

#: Seconds between looks whether the engine is still there.
_HEARTBEAT = 1.0

#: Seconds that calls on their way have left when the engine ends its plugins: it kills them after five.
_GRACE = 4.0

T = TypeVar("T")


class Servicer(ProviderServicer):
    """The SDK's servicer, with failed calls as one line: the SDK would add a traceback."""

    def __init__(self, address: str) -> None:
        super().__init__([], version("pulumi-cbr"), CbrProvider(), engine_address=address)
        #: Set when the engine ends its plugins.
        self.ended: asyncio.Event = asyncio.Event()

    async def Cancel(self, request: Any, context: Any) -> Any:
        # Older versions of the SDK have none.
        await self._provider.cancel()
        # From now on, this signal is how the engine ends its plugins.
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self.ended.set))
        return empty_pb2.Empty()

    async def Check(self, request: Any, context: Any) -> Any:
        return await _told(super().Check, request, context)

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return await _told(super().CheckConfig, request, context)

    async def Configure(self, request: Any, context: Any) -> Any:
        return await _told(super().Configure, request, context)

    async def Create(self, request: Any, context: Any) -> Any:
        return await _told(super().Create, request, context)

    async def Delete(self, request: Any, context: Any) -> Any:
        return await _told(super().Delete, request, context)

    async def Diff(self, request: Any, context: Any) -> Any:
        return await _told(super().Diff, request, context)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        # The SDK's own answers with a field that its type has not. Nothing of the settings replaces a provider.
        changed = request.olds != request.news
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        )

    async def GetSchema(self, request: Any, context: Any) -> Any:
        return await _told(super().GetSchema, request, context)

    async def Invoke(self, request: Any, context: Any) -> Any:
        return await _told(super().Invoke, request, context)

    async def Read(self, request: Any, context: Any) -> Any:
        answer = await _told(super().Read, request, context)
        # Properties that are there, though empty, would be an import of something that is not.
        return answer if answer.id else provider_pb2.ReadResponse()

    async def Update(self, request: Any, context: Any) -> Any:
        return await _told(super().Update, request, context)


async def _told(serve: Callable[[Any, Any], Awaitable[T]], request: Any, context: Any) -> T:
    """Serve one call, in a context that knows what it is about and when it must have ended."""
    current_urn.set(getattr(request, "urn", ""))
    if seconds := getattr(request, "timeout", 0):
        deadline.set(time.monotonic() + seconds)
    try:
        return await serve(request, context)
    except Exception as error:
        # Newer versions of the SDK raise a bare Exception in place of the one that says it.
        cause = error.__context__ if type(error) is Exception and isinstance(error.__context__, Exception) else error
        line = str(cause) if isinstance(cause, CbrError) else report(cause)
        await context.abort(grpc.StatusCode.UNKNOWN, f"cbr: {line}")
        raise AssertionError("abort raises") from error


class EngineLog(logging.StreamHandler[Any]):
    """Write what we log to the engine's own log, by severity, at the resource that it is about; else to standard error."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("cbr: %(message)s"))
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS))

    def emit(self, record: logging.LogRecord) -> None:
        severities = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARNING"), (logging.INFO, "INFO"))
        severity = next((name for level, name in severities if record.levelno >= level), "DEBUG")
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity),
            message=self.format(record),
            urn=current_urn.get(),
        )
        try:
            self._engine.Log(request, timeout=5)
        except grpc.RpcError:
            super().emit(record)


async def _serve(address: str) -> None:
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    servicer = Servicer(address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    engine = os.getppid()
    await server.start()
    print(port, flush=True)
    # The engine ends its plugins when it is done with them. Where it was killed itself, nobody would.
    while os.getppid() == engine and not servicer.ended.is_set():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(servicer.ended.wait(), _HEARTBEAT)
    if servicer.ended.is_set():
        await server.stop(_GRACE)
    ownership.leave()
    # Threads that still wait for the service would keep the process.
    os._exit(0)


def main() -> None:
    """Serve the provider until the engine ends it."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-cbr",
        description="Pulumi's provider plugin for the package `cbr`: started by `pulumi` itself.",
    )
    parser.add_argument("engine", help="the engine's address")
    parser.add_argument("--tracing", help="ignored")
    known, _ = parser.parse_known_args()
    # Ctrl-C is for the engine, which then says by a call of its own that waits are to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(EngineLog(known.engine))
    # Every call is shown with the engine's own `--logflow -v=9`.
    logger.setLevel(logging.DEBUG if is_verbose(sys.argv) else logging.INFO)
    logger.propagate = False
    ownership.join(known.engine)
    asyncio.run(_serve(known.engine))


if __name__ == "__main__":
    main()
