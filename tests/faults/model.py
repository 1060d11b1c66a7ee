"""A model of the engine's operations on a stack, in this process: which hooks it calls, in which order, with which URNs.

The orders are those of `step_generator.go` of the engine, and `tests/engine/test_operations.py` compares them with the CLI.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

import event_loops
from protocol.plugin import FLAVORS, PROVIDERS, Diff, rename_keys
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.names import to_camel
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.lifecycle.failures import IncompleteResourceError, UnverifiedCreateError
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.native.convert import from_wire, to_wire
from pulumi_cbr.native.provider import CbrProvider, current_urn

Properties = dict[str, Any]


class DynamicProcess:
    """The plugin of dynamic resources: one process an operation."""

    def __init__(self, engine: str, config: Mapping[str, str], hooks: list[str]) -> None:
        self._urn, self._hooks = "", hooks
        self.ownership = Ownership(lambda: self._urn)
        self.ownership.join(engine)
        clock = Clock(sleep=lambda seconds: None)
        sessions = SessionPool(config.get, clock, ownership=self.ownership, registry=SessionRegistry())
        self._of = {kind: provider.make_controller(sessions) for kind, provider in PROVIDERS.items()}

    def check(self, urn: str, news: Properties, olds: Properties) -> Properties:
        self._serve("check of the state" if olds else "check", urn)
        self.ownership.record_declared(is_new=not olds)
        checked = self._of[_kind(urn)].check(olds, news)
        if checked.problems:
            raise CbrError(checked.problems[0].reason)
        return checked.inputs

    def diff(self, urn: str, id_: str, olds: Properties, news: Properties) -> Diff:
        self._serve("diff", urn)
        diff = self._of[_kind(urn)].diff(id_, olds, news)
        self._of[_kind(urn)].after_diff(id_, olds, news)
        return Diff(bool(diff.updates or diff.replaces), list(diff.replaces), diff.delete_first)

    def create(self, urn: str, inputs: Properties) -> tuple[str, Properties]:
        self._serve("create", urn)
        return self._of[_kind(urn)].create(inputs)

    def read(self, urn: str, id_: str, outputs: Properties) -> Properties | None:
        self._serve("read", urn)
        state = self._of[_kind(urn)].read(id_, outputs)
        return state.outputs if state else None

    def update(self, urn: str, id_: str, olds: Properties, news: Properties) -> Properties:
        self._serve("update", urn)
        return self._of[_kind(urn)].update(id_, olds, news)

    def delete(self, urn: str, id_: str, outputs: Properties) -> None:
        self._serve("delete", urn)
        self._of[_kind(urn)].delete(id_, outputs)

    def _serve(self, hook: str, urn: str) -> None:
        self._urn = urn
        self._hooks.append(f"{urn} {hook}")


class _HurriedProvider(CbrProvider):
    """A provider that does not wait between attempts."""

    def wait(self, seconds: float) -> None:
        return


class NativeProcess:
    """The process of one first-class provider: its own requests, without gRPC."""

    def __init__(self, engine: str, config: Mapping[str, str], hooks: list[str]) -> None:
        self._provider, self._hooks = _HurriedProvider(), hooks
        self.ownership = self._provider.ownership
        self.ownership.join(engine)
        args = Struct()
        args.update(dict(config))
        event_loops.run_inline(self._provider.configure(provider_pb2.ConfigureRequest(args=args)))

    def check(self, urn: str, news: Properties, olds: Properties) -> Properties:
        request = provider_pb2.CheckRequest(urn=urn, olds=to_wire(olds), news=to_wire(news))
        response = self._call("check", request)
        if response.failures:
            raise CbrError(response.failures[0].reason)
        return from_wire(response.inputs)

    def diff(self, urn: str, id_: str, olds: Properties, news: Properties) -> Diff:
        request = provider_pb2.DiffRequest(urn=urn, id=id_, olds=to_wire(olds), news=to_wire(news))
        diff = self._call("diff", request)
        changes = diff.changes != provider_pb2.DiffResponse.DIFF_NONE
        return Diff(changes, list(diff.replaces), diff.deleteBeforeReplace)

    def create(self, urn: str, inputs: Properties) -> tuple[str, Properties]:
        created = self._call("create", provider_pb2.CreateRequest(urn=urn, properties=to_wire(inputs)))
        return created.id, from_wire(created.properties)

    def read(self, urn: str, id_: str, outputs: Properties) -> Properties | None:
        state = self._call("read", provider_pb2.ReadRequest(urn=urn, id=id_, properties=to_wire(outputs)))
        return from_wire(state.properties) if state.id else None

    def update(self, urn: str, id_: str, olds: Properties, news: Properties) -> Properties:
        request = provider_pb2.UpdateRequest(urn=urn, id=id_, olds=to_wire(olds), news=to_wire(news))
        return from_wire(self._call("update", request).properties)

    def delete(self, urn: str, id_: str, outputs: Properties) -> None:
        self._call("delete", provider_pb2.DeleteRequest(urn=urn, id=id_, properties=to_wire(outputs)))

    def _call(self, method: str, request: Any) -> Any:
        of_state = " of the state" if method == "check" and request.olds.fields else ""
        self._hooks.append(f"{request.urn} {method}{of_state}")
        current_urn.set(request.urn)
        return event_loops.run_inline(getattr(self._provider, method)(request))


Process = DynamicProcess | NativeProcess


def _to_stored(old: Entry, new: Declared, properties: Properties) -> Properties:
    """Return properties as the state has them, if they are of the other flavor."""
    if old.declared.flavor == new.flavor:
        return properties
    if old.declared.flavor == "dynamic":
        return {**properties, "__provider": "pickled"}
    renamed: Properties = rename_keys(properties, to_camel)
    return renamed


def _is_kept(declared: Declared, error: IncompleteResourceError) -> bool:
    """Return whether the state gets the outputs of a failed create or update."""
    return declared.flavor == "native" or not isinstance(error, UnverifiedCreateError)


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition(":")[2]


@dataclass(frozen=True)
class Declared:
    """A resource as the program declares it, with the options that matter."""

    name: str
    kind: str
    inputs: Mapping[str, Any]
    flavor: str
    role: str = "owner"
    #: The entry of clouds.yaml that signs in instead: `cloud=` of a dynamic resource, or a provider of this name.
    cloud: str = ""
    parent: str = ""
    delete_before_replace: bool | None = None
    replacement_trigger: str = ""
    replace_on_changes: Collection[str] = ()
    alias: str = ""
    #: The kind and the flavor of the alias, if they are others.
    alias_kind: str = ""
    alias_flavor: str = ""
    retain_on_delete: bool = False
    #: Names of resources whose replacement replaces this one.
    replace_with: Collection[str] = ()

    def urn(self, name: str = "") -> str:
        kind = f"{FLAVORS[self.flavor][0]}{self.kind}"
        return f"urn:pulumi:test::test::{self.parent}{kind}::{name or self.name}"

    def alias_urn(self) -> str:
        return replace(self, kind=self.alias_kind or self.kind, flavor=self.alias_flavor or self.flavor).urn(self.alias)

    def all_inputs(self) -> Properties:
        return {**self.inputs, "cloud": self.cloud} if self.cloud and self.flavor == "dynamic" else dict(self.inputs)


@dataclass
class Entry:
    """A resource of the state."""

    urn: str
    declared: Declared
    id: str
    inputs: Properties
    outputs: Properties
    is_tainted: bool = False
    is_pending_delete: bool = False
    #: Whether its last create or update failed and left it incomplete: the next `up` updates it.
    is_incomplete: bool = False


class Killed(Exception):
    """The engine was killed."""


@dataclass
class Stack:
    """The state of a stack, and the engine's operations on it.

    A failed hook raises `CbrError`, as does a failed check.
    """

    #: What signs in, by role.
    accounts: Mapping[str, Mapping[str, str]]
    config: dict[str, str] = field(default_factory=dict)
    state: list[Entry] = field(default_factory=list)
    #: The hooks that were called, with their URNs.
    hooks: list[str] = field(default_factory=list)

    def find(self, urn: str) -> Entry | None:
        return next((entry for entry in self.state if entry.urn == urn and not entry.is_pending_delete), None)

    def up(
        self,
        *program: Declared,
        replace: Collection[str] = (),
        refreshes: bool = False,
        is_killed: bool = False,
    ) -> None:
        """Run `pulumi up`; `replace` has names.

        A kill happens when all is created, and nothing deleted at the end.
        """
        with self._operation() as running:
            if refreshes:
                running.refresh()
            done: set[str] = set()
            replaced: set[str] = set()
            for declared in program:
                is_targeted = declared.name in replace
                if running.register(declared, replaced, is_targeted=is_targeted, program=program):
                    replaced.add(declared.name)
                done.add(declared.urn())
            if is_killed:
                raise Killed
            for entry in reversed([*self.state]):
                if entry.is_pending_delete or entry.urn not in done:
                    running.delete(entry)

    def refresh(self) -> None:
        with self._operation() as running:
            running.refresh()

    def destroy(self) -> None:
        with self._operation() as running:
            for entry in reversed([*self.state]):
                running.delete(entry)

    @contextmanager
    def _operation(self) -> Iterator[_Running]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            running = _Running(self, f"127.0.0.1:{server.getsockname()[1]}")
            try:
                yield running
            finally:
                running.end()


class _Running:
    """One operation: its address, and the processes that the engine has started for it."""

    def __init__(self, stack: Stack, engine: str) -> None:
        self._stack = stack
        self._engine = engine
        self._processes: dict[tuple[str, str, str], Process] = {}

    def end(self) -> None:
        for process in self._processes.values():
            process.ownership.leave()

    def refresh(self) -> None:
        for entry in [*self._stack.state]:
            process = self._process(entry.declared)
            outputs = process.read(entry.urn, entry.id, entry.outputs)
            if outputs is None:
                self._stack.state.remove(entry)
                continue
            entry.outputs, entry.is_incomplete = outputs, False
            process.diff(entry.urn, entry.id, entry.outputs, entry.inputs)

    def register(
        self, declared: Declared, replaced: set[str], *, is_targeted: bool, program: Iterable[Declared]
    ) -> bool:
        """Create, update, replace or keep a resource; return whether it was replaced."""
        process, urn, news = self._process(declared), declared.urn(), declared.all_inputs()
        old = self._stack.find(urn) or (self._stack.find(declared.alias_urn()) if declared.alias else None)
        if old is None:
            self._create(process, declared, process.check(urn, news, {}))
            return False
        is_targeted = is_targeted or old.is_tainted
        old_inputs, old_outputs = _to_stored(old, declared, old.inputs), _to_stored(old, declared, old.outputs)
        inputs = process.check(urn, news, {} if is_targeted else old_inputs)
        if is_targeted or self._is_replaced_anyhow(old.declared, declared, replaced):
            diff = Diff(True, ["id"], False)
        else:
            diff = process.diff(urn, old.id, old_outputs, inputs)
            if any(old.inputs.get(name) != inputs.get(name) for name in declared.replace_on_changes):
                diff = replace(diff, changes=True, replaces=["by an option"])
        if diff.replaces:
            if not is_targeted:
                inputs = process.check(urn, news, {})
            self._replace(process, old, declared, inputs, diff, program)
            return True
        if diff.changes or old.is_incomplete:
            try:
                old.outputs = process.update(urn, old.id, old_outputs, inputs)
            except IncompleteResourceError as error:
                if _is_kept(declared, error):
                    old.urn, old.declared, old.inputs = urn, declared, inputs
                    old.outputs, old.is_incomplete = dict(error.outputs), True
                raise
        # A replaced resource is deleted by its old URN.
        old.urn, old.declared, old.inputs, old.is_incomplete = urn, declared, inputs, False
        return False

    def _is_replaced_anyhow(self, old: Declared, new: Declared, replaced: set[str]) -> bool:
        """Return whether the engine replaces without asking for a diff."""
        return old.replacement_trigger != new.replacement_trigger or bool(replaced & {*new.replace_with})

    def _replace(
        self,
        process: Process,
        old: Entry,
        declared: Declared,
        inputs: Properties,
        diff: Diff,
        program: Iterable[Declared],
    ) -> None:
        delete_first = diff.delete_first if declared.delete_before_replace is None else declared.delete_before_replace
        if not delete_first:
            self._create(process, declared, inputs, replaced=old)
            return
        # Dependents are asked whether unknown values would replace them, and deleted before.
        for dependent in program:
            entry = self._stack.find(dependent.urn())
            if entry and declared.name in dependent.replace_with:
                unknown = {**entry.inputs, "backup_id": UNKNOWN}
                self._process(entry.declared).diff(entry.urn, entry.id, entry.outputs, unknown)
                self.delete(entry)
        self.delete(old)
        self._create(process, declared, inputs)

    def _create(self, process: Process, declared: Declared, inputs: Properties, replaced: Entry | None = None) -> None:
        urn = declared.urn()
        try:
            id_, outputs = process.create(urn, inputs)
            created = Entry(urn, declared, id_, inputs, outputs)
        except IncompleteResourceError as error:
            if _is_kept(declared, error):
                self._add(Entry(urn, declared, error.id, inputs, dict(error.outputs), is_incomplete=True), replaced)
            raise
        self._add(created, replaced)

    def _add(self, created: Entry, replaced: Entry | None) -> None:
        self._stack.state.append(created)
        if replaced:
            replaced.is_pending_delete = True

    def delete(self, entry: Entry) -> None:
        if not entry.declared.retain_on_delete:
            self._process(entry.declared).delete(entry.urn, entry.id, entry.outputs)
        self._stack.state.remove(entry)

    def _process(self, declared: Declared) -> Process:
        kind: type[Process] = NativeProcess if declared.flavor == "native" else DynamicProcess
        cloud = declared.cloud if declared.flavor == "native" else ""
        key = (declared.flavor, declared.role, cloud)
        if key not in self._processes:
            account = {"cloud": cloud} if cloud else self._stack.accounts[declared.role]
            self._processes[key] = kind(self._engine, {**account, **self._stack.config}, self._stack.hooks)
        return self._processes[key]
