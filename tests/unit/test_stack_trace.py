"""The stack trace of a resource, which the engine keeps in the state."""

from __future__ import annotations

import importlib
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from pulumi_cbr import stack_trace
from waiting import PATIENCE, wait_until

BACKUP = "0b6c5d3e-0a4e-4d8e-9a35-1f2e6f2c9b11"
PROJECT = "0123456789abcdef0123456789abcdef"


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return args.name, args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        return {}, []


class Monitor(mocks.MockMonitor):
    """Keeps what the SDK sends for each resource."""

    def __init__(self) -> None:
        super().__init__(Mocks())
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        self.requests[request.name] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    monitor = Monitor()
    pulumi.runtime.set_mocks(Mocks(), monitor=monitor)
    yield monitor
    pulumi.runtime.reset_options()


def _declare(package: Any, depth: int) -> None:
    if depth:
        _declare(package, depth - 1)
    else:
        package.BackupShareMember("member", BACKUP, PROJECT)
        package.BackupShare("set", BACKUP, [PROJECT])
        package.BackupShareAccepter("accepter", BACKUP, BACKUP)


@pytest.mark.parametrize("name", ["pulumi_cbr", "pulumi_cbr.native"])
def test_trace_begins_at_the_users_line_and_is_short(name: str, monitor: Monitor) -> None:
    package = importlib.import_module(name)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        _declare(package, 30)

    program()
    first = _declare.__code__.co_firstlineno
    for line, resource in enumerate(("member", "set", "accepter"), first + 4):
        request = monitor.requests[resource]
        assert request.sourcePosition.uri.endswith("/test_stack_trace.py")
        assert request.sourcePosition.line == line
        assert request.stackTrace.frames[0].pc == request.sourcePosition
        assert len(request.stackTrace.frames) < 5
    assert not hasattr(sys, "tracebacklimit")


@pytest.mark.parametrize("own", [None, 1000])
def test_limit_of_the_process_is_restored(own: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if own is not None:
        monkeypatch.setattr(sys, "tracebacklimit", own, raising=False)
    with stack_trace.shorten(), stack_trace.shorten():
        assert len(traceback.extract_stack()) == 8
    assert getattr(sys, "tracebacklimit", None) == own
    with suppress(ZeroDivisionError), stack_trace.shorten():
        raise ZeroDivisionError
    assert getattr(sys, "tracebacklimit", None) == own


def test_a_second_thread_waits() -> None:
    """It would take the limit of the first for the process's own, and keep it."""
    entered, may_leave = threading.Event(), threading.Event()

    def enter() -> None:
        with stack_trace.shorten():
            entered.set()
            may_leave.wait(PATIENCE)

    thread = threading.Thread(target=enter)
    with stack_trace.shorten():
        thread.start()
        wait_until(lambda: entered.is_set() or is_in(thread, "shorten"))
    wait_until(entered.is_set)
    may_leave.set()
    thread.join()
    assert not hasattr(sys, "tracebacklimit")


def is_in(thread: threading.Thread, function: str) -> bool:
    """Return whether a thread runs a function, or what it calls."""
    frame = sys._current_frames().get(thread.ident or 0)
    return any(each.f_code.co_name == function for each, _ in traceback.walk_stack(frame))
