"""The messages of the engine's protocol: the modules that Pulumi's SDK generates, without the rest of the SDK.

The SDK as a whole takes longer to import than all else that the plugin needs. Its generated modules import only each other, so
this package is their folder. Where the SDK is imported already, as in a program, they are its own.
"""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or "pulumi.runtime.proto" in sys.modules:
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )
else:
    _sdk = find_spec("pulumi")
    __path__ = [os.path.join(folder, "runtime", "proto") for folder in _sdk.submodule_search_locations]

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
