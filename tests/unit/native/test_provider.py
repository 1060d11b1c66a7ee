"""Waits of a hook: what ends them."""

from __future__ import annotations

import contextvars
import math
import time
from collections.abc import Callable

import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

import event_loops
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.native.provider import CbrProvider, deadline
from pulumi_cbr.native.server import Servicer


def waited(provider: CbrProvider, until: float) -> str:
    """Return why a wait of a minute ended before, with the time that the resource has."""

    def wait() -> str:
        deadline.set(until)
        with pytest.raises(CbrError) as ended:
            provider.wait(60)
        return str(ended.value)

    told: Callable[..., str] = contextvars.Context().run
    return told(wait)


def test_custom_timeouts_end_a_wait() -> None:
    over = "timed out (customTimeouts). Run again, or give the resource more time"
    assert waited(CbrProvider(), time.monotonic()) == over


def test_a_wait_ends_with_the_time_of_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = CbrProvider()
    asked: list[float] = []
    monkeypatch.setattr(provider.cancelled, "wait", asked.append)
    waited(provider, time.monotonic() + 30)
    assert 0 < asked[0] <= 30


class ReportsDeadline(CbrProvider):
    """A provider whose creates report how much time they have."""

    left: float

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        self.left = deadline.get() - time.monotonic()
        return provider_pb2.CreateResponse()


@pytest.mark.parametrize(("timeout", "shortest", "longest"), [(100, 50, 100), (0, math.inf, math.inf)])
def test_request_has_the_time_that_the_engine_gives_it(timeout: float, shortest: float, longest: float) -> None:
    provider = ReportsDeadline()
    serve = getattr(Servicer(provider), "Create")  # noqa: B009
    event_loops.run(serve(provider_pb2.CreateRequest(timeout=timeout), None))
    assert shortest <= provider.left <= longest


def test_cancel_ends_a_wait() -> None:
    provider = CbrProvider()
    event_loops.run(provider.cancel(empty_pb2.Empty()))
    assert waited(provider, math.inf) == "cancelled while waiting to try again. Run again to finish"


def test_a_wait_that_is_over_ends() -> None:
    CbrProvider().wait(0)
