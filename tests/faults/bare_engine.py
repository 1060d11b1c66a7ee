"""The engine's part in the life of a resource, without processes: only its state counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc
from pulumi.runtime.proto import provider_pb2

import event_loops
from protocol.plugin import FLAVORS, PROVIDERS, Diff, HookFailed, Plugin, plugin_python, to_struct
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.controller import Controller
from pulumi_cbr.lifecycle.failures import IncompleteResourceError, UnverifiedCreateError
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.native.provider import CbrProvider
from pulumi_cbr.native.server import Servicer

Outputs = dict[str, Any]

_HURRIED = str(Path(__file__).with_name("hurried.py"))


class Hurried(Plugin):
    """A plugin that waits a twentieth of its time between tries."""

    def command(self) -> list[str]:
        return [*plugin_python(self.flavor), "-u", _HURRIED, FLAVORS[self.flavor][1]]


class Aborted(grpc.RpcError):
    """A request that a servicer of this process has refused."""

    def __init__(self, details: str, metadata: tuple[tuple[str, bytes], ...]) -> None:
        super().__init__(details)
        self._details, self._metadata = details, metadata

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._metadata


class _Context:
    """The context of a request to a servicer of this process."""

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: tuple[tuple[str, bytes], ...] = ()
    ) -> NoReturn:
        """Refuse the request."""
        raise Aborted(details, trailing_metadata)


class _NeverWaiting(CbrProvider):
    """The first-class provider, which never waits."""

    def wait(self, seconds: float) -> None:
        pass


def _begin_operation(ownership: Ownership) -> None:
    """Forget the claims: each `up`, refresh and destroy has a process of its own."""
    ownership.join("the next operation")
    ownership.leave()


class NativeInProcess(Plugin):
    """The servicer of the first-class plugin, in this process."""

    def __enter__(self) -> NativeInProcess:
        self.prefix, _ = FLAVORS[self.flavor]
        self._provider = _NeverWaiting()
        self._servicer: Any = Servicer(self._provider)
        self.call("Configure", provider_pb2.ConfigureRequest(args=to_struct(self.config)))
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def call(self, method: str, request: Any) -> Any:
        if method in ("Check", "Read", "Delete"):
            _begin_operation(self._provider.ownership)
        try:
            return event_loops.run_inline(getattr(self._servicer, method)(request, _Context()))
        except Aborted as error:
            raise HookFailed(error.details(), error) from None


class Hooks(Protocol):
    """The hooks of a resource: those of a plugin, or of `Run`."""

    def check(self, kind: str, news: Outputs, olds: Outputs | None = None) -> tuple[Outputs, dict[str, list[str]]]: ...
    def diff(self, kind: str, id_: str, olds: Outputs, news: Outputs, old_inputs: Outputs | None = None) -> Diff: ...
    def create(self, kind: str, inputs: Outputs) -> tuple[str, Outputs]: ...
    def read(
        self, kind: str, id_: str, outputs: Outputs, inputs: Outputs | None = None
    ) -> tuple[str, Outputs, Outputs]: ...
    def update(self, kind: str, id_: str, olds: Outputs, news: Outputs) -> Outputs: ...
    def delete(self, kind: str, id_: str, outputs: Outputs) -> None: ...


class Run:
    """Runs of the CLI in this process: dynamic resources, one of each kind, which never wait."""

    def __init__(self, config: Mapping[str, str]) -> None:
        clock = Clock(sleep=lambda seconds: None, random_fraction=lambda: 0.5)
        self._urn = ""
        self._ownership = Ownership(lambda: self._urn)
        sessions = SessionPool(config.get, clock, ownership=self._ownership, registry=SessionRegistry())
        self._controllers = {kind: provider.make_controller(sessions) for kind, provider in PROVIDERS.items()}

    def _of(self, kind: str) -> Controller:
        self._urn = f"urn:pulumi:test::test::{FLAVORS['dynamic'][0]}{kind}::r"
        return self._controllers[kind]

    def check(self, kind: str, news: Outputs, olds: Outputs | None = None) -> tuple[Outputs, dict[str, list[str]]]:
        _begin_operation(self._ownership)
        checked = self._of(kind).check(olds or {}, news)
        return checked.inputs, {problem.property: [problem.reason] for problem in checked.problems}

    def diff(self, kind: str, id_: str, olds: Outputs, news: Outputs, old_inputs: Outputs | None = None) -> Diff:
        diff = self._of(kind).diff(id_, olds, news)
        return Diff(bool(diff.updates or diff.replaces), list(diff.replaces), diff.delete_first)

    def create(self, kind: str, inputs: Outputs) -> tuple[str, Outputs]:
        with _failing():
            return self._of(kind).create(inputs)

    def read(
        self, kind: str, id_: str, outputs: Outputs, inputs: Outputs | None = None
    ) -> tuple[str, Outputs, Outputs]:
        _begin_operation(self._ownership)
        with _failing():
            reading = self._of(kind).read(id_, outputs)
        return (reading.id, reading.outputs, reading.inputs) if reading else ("", {}, {})

    def update(self, kind: str, id_: str, olds: Outputs, news: Outputs) -> Outputs:
        with _failing():
            return self._of(kind).update(id_, olds, news)

    def delete(self, kind: str, id_: str, outputs: Outputs) -> None:
        _begin_operation(self._ownership)
        with _failing():
            self._of(kind).delete(id_, outputs)


class IncompleteResource(HookFailed):
    """A failed hook whose resource the dynamic plugin keeps in the state."""

    def __init__(self, error: IncompleteResourceError) -> None:
        super().__init__(f"cbr: {error}")
        self._kept = error.id, dict(error.outputs), self.details

    @property
    def kept(self) -> tuple[str, Outputs, str]:
        return self._kept


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except UnverifiedCreateError as error:
        raise HookFailed(f"cbr: {error}") from error
    except IncompleteResourceError as error:
        raise IncompleteResource(error) from error
    except CbrError as error:
        raise HookFailed(f"cbr: {error}") from error


class Resource:
    """One resource of a program, and what the state has of it."""

    def __init__(self, kind: str, **inputs: Any) -> None:
        self.kind = kind
        #: What the program says.
        self.inputs = inputs
        #: What the state says; empty while there is none.
        self.id = ""
        self.outputs: dict[str, Any] = {}
        self._checked: dict[str, Any] = {}
        self._has_failed = False

    def up(self, plugin: Hooks) -> None:
        """Create the resource, or update it if a diff says so."""
        checked, problems = plugin.check(self.kind, self.inputs, self._checked or None)
        assert not problems, problems
        try:
            self._change(plugin, checked)
        except HookFailed as failed:
            if failed.kept:
                self.id, self.outputs, _ = failed.kept
                self._checked, self._has_failed = checked, True
            raise
        self._checked, self._has_failed = checked, False

    def _change(self, plugin: Hooks, checked: Outputs) -> None:
        if not self.id:
            self.id, self.outputs = plugin.create(self.kind, checked)
            return
        diff = plugin.diff(self.kind, self.id, self.outputs, checked, self._checked)
        assert not diff.replaces, diff
        # What failed and was kept is updated, whether anything differs or not.
        if diff.changes or self._has_failed:
            self.outputs = plugin.update(self.kind, self.id, self.outputs, checked)

    def refresh(self, plugin: Hooks) -> None:
        """Read the resource into the state."""
        self.id, self.outputs, self._checked = plugin.read(self.kind, self.id, self.outputs, self._checked)

    def destroy(self, plugin: Hooks) -> None:
        """Delete the resource if the state has it."""
        if self.id:
            plugin.delete(self.kind, self.id, self.outputs)
            self.id, self.outputs, self._checked = "", {}, {}


def assert_said_well(failed: HookFailed) -> None:
    """Check what the user is told: one line, in words, and none of a credential."""
    text = str(failed)
    assert text.startswith("cbr: "), text
    assert "\n" not in text, text
    assert "Traceback" not in text, text
    assert "this is a bug" not in text, text
