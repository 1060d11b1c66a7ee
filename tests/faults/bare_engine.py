"""The engine's part in the life of a resource, without processes: only its state counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from protocol.plugin import FLAVORS, PROVIDERS, Diff, HookFailed, Plugin, plugin_python
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry

Outputs = dict[str, Any]

_HURRIED = str(Path(__file__).with_name("hurried.py"))


class Hurried(Plugin):
    """A plugin that waits a twentieth of its time between tries."""

    def command(self) -> list[str]:
        return [*plugin_python(self.flavor), "-u", _HURRIED, FLAVORS[self.flavor][1]]


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
    """One run of the CLI in this process: controllers of its own, which never wait."""

    def __init__(self, config: Mapping[str, str]) -> None:
        # A process serves one operation, and its pool has the record of owners in it.
        clock = Clock(sleep=lambda seconds: None, random_fraction=lambda: 0.5)
        sessions = SessionPool(config.get, clock, registry=SessionRegistry())
        self._of = {kind: provider.make_controller(sessions) for kind, provider in PROVIDERS.items()}

    def check(self, kind: str, news: Outputs, olds: Outputs | None = None) -> tuple[Outputs, dict[str, list[str]]]:
        checked = self._of[kind].check(olds or {}, news)
        return checked.inputs, {problem.property: [problem.reason] for problem in checked.problems}

    def diff(self, kind: str, id_: str, olds: Outputs, news: Outputs, old_inputs: Outputs | None = None) -> Diff:
        diff = self._of[kind].diff(id_, olds, news)
        return Diff(bool(diff.updates or diff.replaces), list(diff.replaces), diff.delete_first)

    def create(self, kind: str, inputs: Outputs) -> tuple[str, Outputs]:
        with _failing():
            return self._of[kind].create(inputs)

    def read(
        self, kind: str, id_: str, outputs: Outputs, inputs: Outputs | None = None
    ) -> tuple[str, Outputs, Outputs]:
        with _failing():
            reading = self._of[kind].read(id_, outputs)
        return (reading.id, reading.outputs, reading.inputs) if reading else ("", {}, {})

    def update(self, kind: str, id_: str, olds: Outputs, news: Outputs) -> Outputs:
        with _failing():
            return self._of[kind].update(id_, olds, news)

    def delete(self, kind: str, id_: str, outputs: Outputs) -> None:
        with _failing():
            self._of[kind].delete(id_, outputs)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
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
