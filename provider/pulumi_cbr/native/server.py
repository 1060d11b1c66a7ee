"""The console script `pulumi-resource-cbr`, which the engine finds on PATH and starts: the provider, served over gRPC."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, empty_pb2

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.names import to_snake
from pulumi_cbr.lifecycle.failures import IncompleteResourceError, is_verbose, save_bug_report
from pulumi_cbr.native.convert import has_secrets, keep_secrets, to_secret, to_wire
from pulumi_cbr.native.protocol import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2
from pulumi_cbr.native.provider import CbrProvider, current_urn, deadline
from pulumi_cbr.native.wording import to_native_terms

#: Seconds between checks whether the engine still runs.
_HEARTBEAT = 1.0

#: Seconds that requests in flight have left when the engine ends its plugins: it kills them after five.
_GRACE = 4.0

#: As in Pulumi's SDK: states are larger than gRPC's 4 MB, and requests wait longer than its 30 seconds.
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.server_max_unrequested_time_in_server", 30 * 60),
)

#: Response fields whose values may be secrets, each with the request field that says so.
_SECRETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Check": (("inputs", "news"),),
    "Create": (("properties", "properties"),),
    "Update": (("properties", "news"),),
    "Read": (("inputs", "inputs"), ("properties", "properties")),
}

_METHODS = [method.name for method in provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"].methods]


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serve each RPC by the provider's method of that name, or as not implemented."""

    def __init__(self, provider: CbrProvider, log: EngineLog | None = None) -> None:
        self._provider = provider
        self._log = log
        #: Set when the engine ends its plugins.
        self.ended: asyncio.Event = asyncio.Event()
        for method in _METHODS:
            # `_cancel` and `_attach` are served here.
            handler = getattr(self, f"_{_handler_name(method)}", None) or getattr(provider, _handler_name(method), None)
            setattr(self, method, self._serve(method, handler))

    def _serve(self, method: str, handler: Callable[[Any], Awaitable[Any]] | None) -> Callable[[Any, Any], Any]:
        async def refuse(request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"cbr: {messages.method_not_supported(method)}")

        if handler is None:
            return refuse

        async def serve(request: Any, context: Any) -> Any:
            current_urn.set(getattr(request, "urn", ""))
            if seconds := getattr(request, "timeout", 0):
                deadline.set(time.monotonic() + seconds)
            try:
                response = await handler(request)
            except Exception as error:
                await self._abort(method, request, error, context)
            _keep_secrets(method, request, response)
            return response

        return serve

    async def _abort(self, method: str, request: Any, error: Exception, context: Any) -> None:
        if isinstance(error, IncompleteResourceError):
            text = error.text_if_kept
        else:
            text = str(error) if isinstance(error, CbrError) else save_bug_report(error)
        line = f"cbr: {to_native_terms(text, self._provider.name)}"
        details = _init_failed(method, request, error, line) if isinstance(error, IncompleteResourceError) else None
        metadata = (("grpc-status-details-bin", details.SerializeToString()),) if details else ()
        await context.abort(grpc.StatusCode.UNKNOWN, line, trailing_metadata=metadata)

    async def _cancel(self, request: empty_pb2.Empty) -> empty_pb2.Empty:
        response = await self._provider.cancel(request)
        # Before this, SIGINT was the user's Ctrl-C, which `main` ignores. From now on, the engine ends the plugin by it.
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(self.ended.set))
        return response

    async def _attach(self, request: Any) -> empty_pb2.Empty:
        # An engine that did not start this process: PULUMI_DEBUG_PROVIDERS.
        if self._log:
            self._log.attach(request.address)
        self._provider.engine = request.address
        self._provider.ownership.join(request.address)
        return empty_pb2.Empty()


def _handler_name(method: str) -> str:
    return to_snake(method).lstrip("_")


def _keep_secrets(method: str, request: Any, response: Any) -> None:
    """Mark in a response what was secret in its request."""
    for in_response, in_request in _SECRETS.get(method, ()):
        keep_secrets(getattr(response, in_response), getattr(request, in_request))
    if method == "Invoke" and any(has_secrets(value) for value in request.args.fields.values()):
        for value in getattr(response, "return").fields.values():
            value.CopyFrom(to_secret(value))


def _init_failed(method: str, request: Any, error: IncompleteResourceError, line: str) -> Any:
    """Return the status that keeps a resource in the state until the next run updates it."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=to_wire(error.outputs), inputs=to_wire(error.inputs), reasons=[line]
    )
    _keep_secrets(method, request, failed)
    detail = any_pb2.Any()
    detail.Pack(failed)
    return status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=line, details=[detail])


class EngineLog(logging.StreamHandler[Any]):
    """Write log records to the engine, or to standard error without one.

    The engine shows them by severity, at the resource that they are about.
    """

    def __init__(self, provider: CbrProvider, address: str | None) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("cbr: %(message)s"))
        self._provider = provider
        self._engine: engine_pb2_grpc.EngineStub | None = None
        if address:
            self.attach(address)

    def attach(self, address: str) -> None:
        """Write to the engine at this address from now on."""
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=_CHANNEL_OPTIONS))

    def format(self, record: logging.LogRecord) -> str:
        return to_native_terms(super().format(record), self._provider.name)

    def emit(self, record: logging.LogRecord) -> None:
        if self._engine is None:
            super().emit(record)
            return
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


async def _serve(provider: CbrProvider, log: EngineLog) -> None:
    server = grpc.aio.server(options=_CHANNEL_OPTIONS)
    servicer = Servicer(provider, log)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    parent = os.getppid()
    await server.start()
    print(port, flush=True)
    # The engine ends its plugins when it is done with them, unless it was killed itself.
    while os.getppid() == parent and not servicer.ended.is_set():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(servicer.ended.wait(), _HEARTBEAT)
    if servicer.ended.is_set():
        await server.stop(_GRACE)
    provider.ownership.leave()
    # Threads that still wait for the service would keep the process.
    os._exit(0)


def main() -> None:
    """Serve the provider until the engine ends it."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-cbr",
        description="Pulumi's provider plugin for the package `cbr`: started by `pulumi` itself.",
    )
    parser.add_argument(
        "engine",
        nargs="?",
        help="the engine's address; without it, an engine attaches itself (PULUMI_DEBUG_PROVIDERS=cbr:PORT)",
    )
    parser.add_argument("--tracing", help="ignored")
    known, _ = parser.parse_known_args()
    if known.engine:
        # The engine gets Ctrl-C and then sends `Cancel`.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    provider = CbrProvider()
    log = EngineLog(provider, known.engine)
    logger = logging.getLogger("pulumi_cbr")
    logger.addHandler(log)
    # Every call is shown with the engine's own `--logflow -v=9`.
    logger.setLevel(logging.DEBUG if is_verbose(sys.argv) else logging.INFO)
    logger.propagate = False
    if known.engine:
        provider.engine = known.engine
        provider.ownership.join(known.engine)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(provider, log))


if __name__ == "__main__":
    main()
