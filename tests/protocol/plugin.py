"""A provider's plugin process, driven over gRPC as the engine drives it: one driver for every flavor."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from forked_python import IMPORTED, forked_python
from pulumi_cbr.api.names import to_camel, to_snake
from pulumi_cbr.backup_share import BackupShareProvider
from pulumi_cbr.backup_share_accepter import BackupShareAccepterProvider
from pulumi_cbr.backup_share_member import BackupShareMemberProvider
from pulumi_cbr.native.schema import python_names
from waiting import PATIENCE

PROVIDERS = {
    "BackupShareMember": BackupShareMemberProvider,
    "BackupShare": BackupShareProvider,
    "BackupShareAccepter": BackupShareAccepterProvider,
}

#: Every way to run the same hooks: the prefix of types, and the plugin's module. Tables of behavior are run over all of them.
FLAVORS = {
    "dynamic": ("pulumi-python:dynamic/cbr:", "pulumi.dynamic"),
    "native": ("cbr:index:", "pulumi_cbr.native.server"),
}

#: What plugins import until their first call has ended. The first-class one does without the SDK.
_CALLS = ("pulumi_cbr.api.client", "pulumi_cbr.api.identity", "pulumi_cbr.lifecycle.session")
_IMPORTED = {
    "dynamic": (
        *IMPORTED,
        *(provider.__module__ for provider in PROVIDERS.values()),
        *(provider.__module__.replace(".", ".lifecycle.") for provider in PROVIDERS.values()),
        *_CALLS,
    ),
    "native": (
        *("grpc._server", "keystoneauth1.loading", "platformdirs.unix", "secrets"),
        *("pulumi_cbr.native.provider", *_CALLS),
    ),
}

#: What each flavor advises when nobody knows what a request did.
UNKNOWN_OUTCOME_ADVICE = {
    "dynamic": "`pulumi config set cbr:adoptExisting true` first",
    "native": "Run `pulumi up` again: it finds out",
}

Properties = dict[str, Any]


def plugin_python(flavor: str) -> tuple[str, ...]:
    """Return the command of a Python that has imported what a plugin imports."""
    return forked_python(*_IMPORTED[flavor])


class HookFailed(Exception):
    """A failed hook. The text is what the user sees, with arguments by their Python names."""

    def __init__(self, details: str, error: grpc.RpcError | None = None) -> None:
        super().__init__(to_python_terms(details))
        #: What the engine shows.
        self.details = details
        self.error = error

    @property
    def kept(self) -> tuple[str, Properties, str] | None:
        """ID, outputs and reason of a resource that the engine keeps although its change failed."""
        metadata: dict[str, bytes] = dict(self.error.trailing_metadata() or ()) if self.error else {}  # type: ignore[arg-type]
        status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
        detail = provider_pb2.ErrorResourceInitFailed()
        if not any(entry.Unpack(detail) for entry in status.details):
            return None
        (reason,) = detail.reasons
        return detail.id, rename_keys(MessageToDict(detail.properties), to_snake), reason


def to_python_terms(text: str) -> str:
    """Return a message of the first-class provider with the Python names of arguments."""
    text = re.sub(r"\b\w+=true \(Python: (\w+=True)\)", r"\1", text)
    names = {to_camel(name): name for name in python_names()}
    text = re.sub(rf"(?<!cbr:)\b({'|'.join(names)})=true\b", lambda match: f"{names[match[1]]}=True", text)
    return re.sub(rf"(?<!cbr:)\b({'|'.join(names)})\b", lambda match: names[match[1]], text)


@dataclass
class Diff:
    """A diff: if anything changes, what asks for a replacement, and what goes first then."""

    changes: bool
    replaces: list[str]
    delete_first: bool


@dataclass
class Plugin:
    """A running plugin. Properties are plain dictionaries, without the engine's entries."""

    flavor: str
    environment: Mapping[str, str]
    config: Mapping[str, str] = field(default_factory=dict)
    #: Another plugin of the same operation of the engine.
    beside: Plugin | None = None
    #: The resource that calls are about.
    resource: str = "r"
    #: The address of the engine. Nothing accepts connections at this one.
    engine: str = "127.0.0.1:1"

    def __enter__(self) -> Plugin:
        self.prefix, _ = FLAVORS[self.flavor]
        self._temporary = tempfile.TemporaryDirectory()
        # Not a pipe, from which a thread would read: what a call has written is in the file when the call ends.
        self._errors = tempfile.TemporaryFile()
        self.temporary: str = self.beside.temporary if self.beside else self._temporary.name
        self.process = subprocess.Popen(
            [*self.command(), self.engine],
            env={**os.environ, **self.environment, "TMPDIR": self.temporary, "XDG_RUNTIME_DIR": self.temporary},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        # Its own connection: gRPC would share one that has failed, to a plugin that was killed and had the same port.
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        prefixed = {f"cbr:{name}": value for name, value in self.config.items()}
        args = prefixed if self.flavor == "dynamic" else dict(self.config)
        self.call(
            "Configure",
            provider_pb2.ConfigureRequest(
                args=to_struct(args), variables=prefixed, acceptSecrets=True, acceptResources=True
            ),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        # Not killed: where coverage is measured, it is written at the end.
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        self._ended = self.said()
        self._errors.close()
        self._temporary.cleanup()

    def command(self) -> list[str]:
        """Return the command that starts the plugin, without the engine's address."""
        return [*plugin_python(self.flavor), "-u", "-m", FLAVORS[self.flavor][1]]

    def said(self) -> str:
        """Return what was written to standard error until now."""
        if self._errors.closed:
            return self._ended
        size = os.fstat(self._errors.fileno()).st_size
        return to_python_terms(os.pread(self._errors.fileno(), size, 0).decode())

    def check(
        self, kind: str, news: Properties, olds: Properties | None = None
    ) -> tuple[Properties, dict[str, list[str]]]:
        """Return the checked inputs, and the reasons of failures by property."""
        request = provider_pb2.CheckRequest(
            urn=self.urn(kind), olds=self.to_wire(kind, olds) if olds else None, news=self.to_wire(kind, news)
        )
        answer = self.call("Check", request)
        failures: dict[str, list[str]] = {}
        for failure in answer.failures:
            failures.setdefault(to_snake(failure.property), []).append(to_python_terms(failure.reason))
        return self.from_wire(answer.inputs), failures

    def diff(
        self, kind: str, id_: str, olds: Properties, news: Properties, old_inputs: Properties | None = None
    ) -> Diff:
        """Compare outputs with new inputs."""
        request = provider_pb2.DiffRequest(
            id=id_,
            urn=self.urn(kind),
            olds=self.to_wire(kind, olds),
            news=self.to_wire(kind, news),
            old_inputs=self.to_wire(kind, old_inputs or news),
        )
        answer = self.call("Diff", request)
        return Diff(
            # The unknown: inputs differ, and the engine is left to find out in which.
            answer.changes != provider_pb2.DiffResponse.DIFF_NONE,
            [to_snake(name) for name in answer.replaces],
            answer.deleteBeforeReplace,
        )

    def create(self, kind: str, inputs: Properties) -> tuple[str, Properties]:
        """Return the ID and the outputs."""
        answer = self.call(
            "Create", provider_pb2.CreateRequest(urn=self.urn(kind), properties=self.to_wire(kind, inputs))
        )
        return answer.id, self.from_wire(answer.properties)

    def read(
        self, kind: str, id_: str, outputs: Properties, inputs: Properties | None = None
    ) -> tuple[str, Properties, Properties]:
        """Return the ID (empty: gone), the outputs and the inputs."""
        request = provider_pb2.ReadRequest(
            id=id_,
            urn=self.urn(kind),
            properties=self.to_wire(kind, outputs),
            inputs=self.to_wire(kind, inputs if inputs is not None else outputs),
        )
        answer = self.call("Read", request)
        return answer.id, self.from_wire(answer.properties), self.from_wire(answer.inputs)

    def update(self, kind: str, id_: str, olds: Properties, news: Properties) -> Properties:
        """Return the outputs."""
        request = provider_pb2.UpdateRequest(
            id=id_, urn=self.urn(kind), olds=self.to_wire(kind, olds), news=self.to_wire(kind, news)
        )
        return self.from_wire(self.call("Update", request).properties)

    def delete(self, kind: str, id_: str, outputs: Properties) -> None:
        """Take it away."""
        self.call(
            "Delete", provider_pb2.DeleteRequest(id=id_, urn=self.urn(kind), properties=self.to_wire(kind, outputs))
        )

    def call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=PATIENCE)
        except grpc.RpcError as error:
            raise HookFailed(error.details() or "", error) from None

    def urn(self, kind: str) -> str:
        return f"urn:pulumi:test::test::{self.prefix}{kind}::{self.resource}"

    def to_wire(self, kind: str, properties: Properties) -> Struct:
        if self.flavor == "native":
            return to_struct(rename_keys(properties, to_camel))
        return to_struct({**properties, "__provider": _serialized(kind)})

    def from_wire(self, properties: Struct) -> Properties:
        found = MessageToDict(properties)
        found.pop("__provider", None)
        return rename_keys(found, to_snake) if self.flavor == "native" else found


class FreshPlugin(Plugin):
    """A plugin that is no fork: it imports all that it needs."""

    def command(self) -> list[str]:
        return [sys.executable, "-u", "-m", FLAVORS[self.flavor][1]]


class Still(Plugin):
    """A plugin whose lists of members are used until a write, and not for three seconds."""

    def command(self) -> list[str]:
        return [*plugin_python(self.flavor), "-u", str(Path(__file__).with_name("still.py")), FLAVORS[self.flavor][1]]


@cache
def _serialized(kind: str) -> str:
    # Once: each call of the SDK's leaves the pickler one level deeper.
    return str(serialize_provider(PROVIDERS[kind]()))


def rename_keys(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(name): rename_keys(inner, rename) for name, inner in value.items()}
    return [rename_keys(inner, rename) for inner in value] if isinstance(value, list) else value


def to_struct(values: Mapping[str, Any]) -> Struct:
    """Return values as the wire has them."""
    return ParseDict(dict(values), Struct())
