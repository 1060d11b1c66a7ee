"""Components over Construct: the plugin and its processes, driven as the engine drives them."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import (
    alias_pb2,
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from protocol.plugin import HookFailed, Plugin
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Simulator
from waiting import PATIENCE, wait_until

WINDOW, INBOX = "cbr:index:NewestBackupShares", "cbr:index:AcceptPendingShares"
PARENT = "urn:pulumi:test::test::my:index:Site::site"
OWN = "urn:pulumi:test::test::pulumi:providers:cbr::default_0_1_0::own-id"
OTHER = "urn:pulumi:test::test::pulumi:providers:cbr::other::other-id"
SECRET = "4dabf18193072939515e22adb298388d"


class Monitor(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """The part of an engine that components use. A plugin answers its look-ups."""

    def __init__(self) -> None:
        self.address = ""
        self.plugin: Plugin | None = None
        self.registered: list[Any] = []
        self.outputs: dict[str, Any] = {}
        self.invoked: list[str] = []
        self.warnings: Queue[tuple[str, str]] = Queue()
        #: Called for each component before it is registered.
        self.before: Callable[[], Any] = lambda: None

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        if not request.custom:
            self.before()
        self.registered.append(request)
        parent = f"{request.parent.split('::')[2]}$" if request.parent else ""
        urn = f"urn:pulumi:test::test::{parent}{request.type}::{request.name}"
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id="an-id" if request.custom else "", object=request.object
        )

    def RegisterResourceOutputs(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.outputs[request.urn] = MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        assert self.plugin
        self.invoked.append(request.provider)
        try:
            found = self.plugin.call("Invoke", provider_pb2.InvokeRequest(tok=request.tok, args=request.args))
        except HookFailed as failed:
            line = f"invocation of {request.tok} returned an error: {failed.details}"
            context.abort(grpc.StatusCode.UNKNOWN, line)
        return resource_pb2.ResourceInvokeResponse(**{"return": getattr(found, "return")})

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        if request.severity == engine_pb2.WARNING:
            self.warnings.put((request.urn, request.message))
        return empty_pb2.Empty()

    def of_kind(self, kind: str) -> list[Any]:
        """Return the resources of a kind that were registered."""
        return [request for request in self.registered if request.type.endswith(f":{kind}")]


@pytest.fixture(scope="session")
def flavor() -> str:
    return "native"


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    monitor = Monitor()
    server = grpc.server(ThreadPoolExecutor(16))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(monitor, server)
    monitor.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield monitor
    server.stop(None)


@pytest.fixture
def attach(monitor: Monitor) -> Callable[[Plugin], Plugin]:
    """Make a plugin the default provider of the monitor's engine."""

    def attach(plugin: Plugin) -> Plugin:
        monitor.plugin = plugin
        plugin.call("Attach", plugin_pb2.PluginAttach(address=monitor.address))
        urn, _, id_ = OWN.rpartition("::")
        plugin.call("Configure", provider_pb2.ConfigureRequest(urn=urn, id=id_))
        return plugin

    return attach


@pytest.fixture
def plugin_of(attach: Callable[[Plugin], Plugin], plugin_with: Callable[..., Plugin]) -> Callable[[str], Plugin]:
    """The plugin of a role. It serves these tests alone, as it belongs to their engine."""
    return lambda role: attach(plugin_with(role, timeout="90"))


@pytest.fixture
def owner(plugin_of: Callable[[str], Plugin]) -> Plugin:
    return plugin_of("owner")


def request_of(monitor: Monitor, kind: str, inputs: dict[str, Any], **options: Any) -> provider_pb2.ConstructRequest:
    return provider_pb2.ConstructRequest(
        **{
            "project": "test",
            "stack": "test",
            "monitorEndpoint": monitor.address,
            "type": kind,
            "name": "nightly",
            "inputs": ParseDict(inputs, Struct()),
            **options,
        }
    )


def secret(value: Any) -> dict[str, Any]:
    return {SECRET: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def test_construct_registers_a_window_with_its_options(owner: Plugin, monitor: Monitor, service: Simulator) -> None:
    newest = [backup.id for backup in reversed(service.backups[-2:])]
    inputs = {
        "vaultId": service.backups[-1].vault_id,
        "count": 2,
        "destProjectIds": secret(service.projects[:1]),
        "acceptInto": service.vaults[0].id,
        "acceptCloud": "receiver",
    }
    options = {
        "parent": PARENT,
        "protect": True,
        "aliases": [alias_pb2.Alias(spec=alias_pb2.Alias.Spec(name="old"))],
        "dependencies": [PARENT],
    }
    answer = owner.call("Construct", request_of(monitor, WINDOW, inputs, **options))

    (component,) = monitor.of_kind("NewestBackupShares")
    assert answer.urn == f"urn:pulumi:test::test::my:index:Site${WINDOW}::nightly"
    assert MessageToDict(answer.state) == {"backupIds": newest} == monitor.outputs[answer.urn]
    assert (component.parent, component.protect, component.aliases[0].spec.name) == (PARENT, True, "old")
    assert list(component.dependencies) == [PARENT]
    # They are registered side by side.
    shares, accepters = (
        sorted(monitor.of_kind(kind), key=lambda made: made.name) for kind in ("BackupShare", "BackupShareAccepter")
    )
    assert [share.name for share in shares] == sorted(f"nightly-{backup}" for backup in newest)
    for share, accepter in zip(shares, accepters, strict=True):
        assert {share.parent, accepter.parent} == {answer.urn}
        assert {share.provider, accepter.provider, *monitor.invoked} == {OWN}
        given = MessageToDict(share.object)
        assert SECRET in str(given["destProjectIds"])
        assert service.projects[0] in str(given["destProjectIds"])
        assert MessageToDict(accepter.object)["cloud"] == "receiver"
        assert any(urn.endswith(f"BackupShare::{accepter.name}") for urn in accepter.dependencies)


def test_construct_uses_the_providers_of_the_program(
    monitor: Monitor, plugin_of: Callable[[str], Plugin], service: Simulator, backup: str
) -> None:
    """And a secret vault stays one."""
    receiver = plugin_of("receiver")
    service.share(backup, service.receiver.project_id)
    inputs = {"vaultId": secret(service.vaults[0].id), "sourceProjectIds": [service.owner.project_id]}
    answer = receiver.call("Construct", request_of(monitor, INBOX, inputs, providers={"cbr": OTHER}))
    assert backup in MessageToDict(answer.state)["backupIds"]
    accepters = monitor.of_kind("BackupShareAccepter")
    assert {*monitor.invoked, *(accepter.provider for accepter in accepters)} == {OTHER}
    assert {MessageToDict(accepter.object)["vaultId"]["value"] for accepter in accepters} == {service.vaults[0].id}


def test_construct_of_unknown_receivers_registers_all_shares(
    owner: Plugin, monitor: Monitor, service: Simulator
) -> None:
    """A preview knows what is shared, though not yet with whom, nor into which vault."""
    newest = [backup.id for backup in reversed(service.backups[-2:])]
    inputs = {"vaultId": service.backups[-1].vault_id, "count": 2, "destProjectIds": [UNKNOWN], "acceptInto": UNKNOWN}
    answer = owner.call("Construct", request_of(monitor, WINDOW, inputs, dryRun=True))

    assert MessageToDict(answer.state) == {"backupIds": newest}
    for kind, given in ("BackupShare", {"destProjectIds": [UNKNOWN]}), ("BackupShareAccepter", {"vaultId": UNKNOWN}):
        registered = {request.name: MessageToDict(request.object) for request in monitor.of_kind(kind)}
        assert registered == {f"nightly-{backup}": {"backupId": backup, **given} for backup in newest}
    assert monitor.warnings.empty()


SERVERS = ["5f7b0d2c-6d0e-4f43-9a59-6a3f5d7a1c11", UNKNOWN]


@pytest.mark.parametrize(
    ("kind", "inputs", "unknown"),
    [
        (WINDOW, {"servers": SERVERS, "maxAge": UNKNOWN, "count": 1, "destProjectIds": UNKNOWN}, "servers and maxAge"),
        (INBOX, {"vaultId": UNKNOWN, "sourceProjectIds": ["a" * 32, UNKNOWN]}, "vaultId and sourceProjectIds"),
    ],
)
def test_construct_of_unknown_look_up_warns(
    owner: Plugin, monitor: Monitor, kind: str, inputs: dict[str, Any], unknown: str
) -> None:
    answer = owner.call("Construct", request_of(monitor, kind, inputs, dryRun=True))
    assert MessageToDict(answer.state) == {"backupIds": UNKNOWN}
    assert [request.type for request in monitor.registered] == [kind]
    urn, warning = monitor.warnings.get(timeout=PATIENCE)
    assert urn == answer.urn
    assert warning.startswith(f"cbr: {kind.rpartition(':')[2]}: this preview does not know {unknown} yet.")


def test_construct_of_unknown_servers_in_an_update_fails(owner: Plugin, monitor: Monitor) -> None:
    """A component without its children would have the engine delete them."""
    inputs = {"servers": UNKNOWN, "count": 1, "destProjectIds": ["x"]}
    with pytest.raises(HookFailed, match="NewestBackupShares failed: servers is not known"):
        owner.call("Construct", request_of(monitor, WINDOW, inputs))
    assert monitor.registered == []


@pytest.mark.parametrize(
    ("kind", "inputs", "line"),
    [
        ("cbr:index:NewestShares", {}, r"unknown component cbr:index:NewestShares .*"),
        ("cbr:index:BackupShare", {}, r"unknown component cbr:index:BackupShare.*"),
        (WINDOW, {"colour": "red"}, "NewestBackupShares failed: unknown argument colour"),
        (WINDOW, {"vaultId": "x"}, "NewestBackupShares failed: destProjectIds is missing. Set it"),
        (
            WINDOW,
            {"destProjectIds": ["x"], "maxAge": True},
            "NewestBackupShares failed: maxAge must be of type string or number, not True",
        ),
        (
            WINDOW,
            {"destProjectIds": ["x"], "vaultId": "v", "count": 2.5},
            "NewestBackupShares: count must be a whole number from 1 on, not 2.5",
        ),
        (
            WINDOW,
            {"destProjectIds": ["x"], "servers": ["5f7b0d2c-6d0e-4f43-9a59-6a3f5d7a1c11"], "count": 1},
            ".*5f7b0d2c-6d0e-4f43-9a59-6a3f5d7a1c11.* servers and vaultId.*",
        ),
    ],
)
def test_construct_refusal_is_one_line(
    owner: Plugin, monitor: Monitor, kind: str, inputs: dict[str, Any], line: str
) -> None:
    with pytest.raises(HookFailed) as failed:
        owner.call("Construct", request_of(monitor, kind, inputs))
    assert re.fullmatch(f"cbr: {line}", failed.value.details), failed.value.details


def test_two_components_are_constructed_at_once(owner: Plugin, monitor: Monitor, service: Simulator) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    monitor.before = both.wait
    inputs = {"vaultId": service.backups[-1].vault_id, "count": 1, "destProjectIds": service.projects[:1]}
    with ThreadPoolExecutor(2) as pool:
        names = "one", "two"
        requests = [request_of(monitor, WINDOW, inputs, name=name) for name in names]
        answers = list(pool.map(lambda request: owner.call("Construct", request), requests))
    assert [answer.urn.rpartition("::")[2] for answer in answers] == list(names)


def processes_of(monitor: Monitor) -> list[str]:
    """Return the command lines of the processes that construct components for an engine."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.endswith(f".native.construct {monitor.address}")]


@pytest.mark.parametrize("by", ["call", "engine", "kill"])
def test_cancelled_construct_ends_its_process(
    attach: Callable[[Plugin], Plugin], new_plugin: Callable[..., Plugin], monitor: Monitor, service: Simulator, by: str
) -> None:
    plugin = attach(new_plugin())
    there, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        there.set()
        go_on.wait(PATIENCE)

    monitor.before = hold
    inputs = {"vaultId": service.backups[-1].vault_id, "count": 1, "destProjectIds": service.projects[:1]}
    config = {"cbr:password": "the-password"}
    request = request_of(monitor, WINDOW, inputs, config=config, configSecretKeys=list(config))
    constructing = plugin.stub.Construct.future(request, timeout=PATIENCE)
    try:
        assert there.wait(PATIENCE)
        # The request is not on the command line.
        (command,) = processes_of(monitor)
        assert command.endswith(f"-m pulumi_cbr.native.construct {monitor.address}")
        if by == "call":
            constructing.cancel()
        elif by == "kill":
            plugin.process.kill()
        else:
            plugin.call("Cancel", empty_pb2.Empty())
            assert constructing.details() == (
                "cbr: NewestBackupShares 'nightly' failed: the operation ended before it was complete. "
                "See the other errors, then run again"
            )
        wait_until(lambda: not processes_of(monitor))
    finally:
        go_on.set()
