"""Construct one component in a process of its own: `python -m pulumi_cbr.native.construct ENGINE`.

The SDK keeps a stack's configuration and addresses for the whole process, and each component replaces them. The
plugin serves many requests at once, so it starts this process for each component, and calls it by
`pulumi_cbr.native.component_process`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import pulumi
from pulumi.provider import ConstructResult, Provider
from pulumi.provider.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.names import to_camel
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.lifecycle.failures import save_bug_report
from pulumi_cbr.native.component_process import DONE, ENDED, FAILED
from pulumi_cbr.native.components import AcceptPendingShares, NewestBackupShares
from pulumi_cbr.native.convert import from_wire
from pulumi_cbr.native.resources import BackupShareAccepter

Inputs = Mapping[str, Any]


class _NewestBackupShares(NewestBackupShares):
    _output = "backupIds"


class _AcceptPendingShares(AcceptPendingShares):
    _output = "backupIds"

    def __init__(self, vault: pulumi.Input[str], *args: Any, **options: Any) -> None:
        # Pass on the program's input, not the plain ID: a secret vault stays secret.
        self._vault = vault
        super().__init__(*args, **options)

    def _accepter(self, name: str, backup_id: str, _: str, **rest: Any) -> BackupShareAccepter:
        return BackupShareAccepter(name, backup_id, self._vault, **rest)


class _UnknownComponent(pulumi.ComponentResource):
    """A component of a preview that does not know yet what to look up."""

    def __init__(self, kind: str, name: str, unknown: list[str], opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(kind, name, None, opts)
        nothing: Any = pulumi.output.UNKNOWN
        self.backup_ids: pulumi.Output[list[str]] = pulumi.Output.from_input(nothing)
        self.register_outputs({"backupIds": self.backup_ids})
        pulumi.log.warn(f"cbr: {messages.component_preview_unknown(kind.rpartition(':')[2], unknown)}", self)


class ComponentProvider(Provider):
    """Make the components of the package from the request that this process serves."""

    def __init__(self, request: provider_pb2.ConstructRequest) -> None:
        super().__init__(version("pulumi-cbr"))
        #: Inputs in plain text, for look-ups. `UNKNOWN` if the preview does not know them.
        self._plain = from_wire(request.inputs)
        self._is_preview = request.dryRun

    def construct(
        self, name: str, resource_type: str, inputs: Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        needed, make = _COMPONENTS[resource_type]
        unknown = [to_camel(entry) for entry in needed if _is_unknown(self._plain.get(entry))]
        try:
            if unknown and not self._is_preview:
                # A component without children would delete the existing ones.
                raise CbrError(messages.component_inputs_unknown(resource_type.rpartition(":")[2], unknown))
            component = (
                _UnknownComponent(resource_type, name, unknown, options)
                if unknown
                else make(name, self._plain, inputs, options)
            )
        except pulumi.RunError:
            raise
        except CbrError as error:
            raise pulumi.RunError(str(error)) from error
        except Exception as error:
            raise pulumi.RunError(save_bug_report(error)) from error
        return ConstructResult(component.urn, {"backupIds": component.backup_ids})


def _make_newest_backup_shares(name: str, plain: Inputs, inputs: Inputs, opts: pulumi.ResourceOptions | None) -> Any:
    count = plain.get("count")
    projects = plain["dest_project_ids"]
    whole = pulumi.Output.from_input(inputs["destProjectIds"])
    return _NewestBackupShares(
        name,
        # Pass a known list entry by entry: the component counts them, and each stays secret.
        dest_project_ids=whole if projects == UNKNOWN else [_entry(whole, index) for index in range(len(projects))],  # type: ignore[arg-type]
        servers=plain.get("servers"),
        vault_id=plain.get("vault_id"),
        # Numbers come over the wire as floats.
        count=int(count) if isinstance(count, float) and count.is_integer() else count,
        max_age=plain.get("max_age"),
        accept_into=inputs.get("acceptInto"),
        accept_cloud=inputs.get("acceptCloud"),
        adopt_existing=plain.get("adopt_existing") is True,
        cloud=plain.get("cloud"),
        opts=opts,
    )


def _entry(whole: pulumi.Output[list[str]], index: int) -> pulumi.Output[str]:
    return whole.apply(lambda entries: entries[index])


def _make_accept_pending_shares(name: str, plain: Inputs, inputs: Inputs, opts: pulumi.ResourceOptions | None) -> Any:
    return _AcceptPendingShares(
        inputs["vaultId"], name, plain["vault_id"], plain["source_project_ids"], cloud=plain.get("cloud"), opts=opts
    )


#: The inputs that each component looks up by, and how it is made.
_COMPONENTS: Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "cbr:index:NewestBackupShares": (("servers", "vault_id", "count", "max_age", "cloud"), _make_newest_backup_shares),
    "cbr:index:AcceptPendingShares": (("vault_id", "source_project_ids", "cloud"), _make_accept_pending_shares),
}


def _is_unknown(value: Any) -> bool:
    return UNKNOWN in value if isinstance(value, list) else bool(value == UNKNOWN)


def serve(request: provider_pb2.ConstructRequest, engine: str) -> bytes:
    """Return what this process writes for a request."""
    servicer = ProviderServicer(ComponentProvider(request), [], engine)
    try:
        response = asyncio.run(servicer.Construct(request, None))
    except pulumi.RunError as error:
        if str(error).startswith("Resource monitor has terminated"):
            # The engine has ended, and said why.
            return ENDED
        return FAILED + str(error).removeprefix("cbr: ").encode()
    except Exception as error:
        # The SDK adds a traceback to the engine's own line.
        return FAILED + str(error).partition(":\n")[0].encode()
    return DONE + response.SerializeToString()


def _end_with_the_plugin() -> None:
    # The plugin sends nothing after the request. The read ends when the plugin ends or closes the pipe.
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


def main() -> None:
    """Read a request from standard input, and write the response to standard output."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Keep output of libraries out of the response.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = provider_pb2.ConstructRequest.FromString(b64decode(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_the_plugin, daemon=True).start()
    with output:
        output.write(serve(request, sys.argv[1]))


if __name__ == "__main__":
    main()
