"""The floor of the first-class flavor: a plugin whose resources only wait as long as a call takes.

It imports the generated messages as the package's plugin does: the SDK as a whole takes longer. `install` makes the script by
which the engine starts it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf import empty_pb2

from bench.latency import seconds
from pulumi_cbr.native.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc


def install(programs: Path) -> None:
    """Write the plugin's script into the folder of an environment's programs."""
    script = programs / "pulumi-resource-bench"
    script.write_text(f"#!/bin/sh\nexec {programs / 'python'} -m bench.native_floor\n")
    script.chmod(0o755)


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serve what the engine asks for in `up`, `refresh` and `destroy`."""

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.1")

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    async def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptSecrets=True)

    async def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Create(self, request: Any, context: Any) -> Any:
        if not request.preview:
            await asyncio.sleep(seconds())
        return provider_pb2.CreateResponse(id="waiting", properties=request.properties)

    async def Read(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(seconds())
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Delete(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(seconds())
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


async def _serve() -> None:
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    sys.exit()


if __name__ == "__main__":
    asyncio.run(_serve())
