"""Waits of a hook: what ends them."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from pulumi.runtime.proto import provider_pb2

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.native.provider import CbrProvider, deadline
from pulumi_cbr.native.server import _told


def waited(provider: CbrProvider, until: float) -> str:
    """Give why a wait of a minute ended before, with the time that the resource has."""

    def wait() -> str:
        deadline.set(until)
        with pytest.raises(CbrError) as ended:
            provider._wait(60)
        return str(ended.value)

    told: Callable[..., str] = contextvars.Context().run
    return told(wait)


def test_custom_timeouts_end_a_wait() -> None:
    over = "the resource's customTimeouts are over: run again, or give it more time"
    assert waited(CbrProvider(), time.monotonic()) == over


def test_a_wait_ends_with_the_time_of_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = CbrProvider()
    asked: list[float] = []
    monkeypatch.setattr(provider._cancelled, "wait", asked.append)
    waited(provider, time.monotonic() + 30)
    assert 0 < asked[0] <= 30


def test_a_call_has_the_time_that_the_engine_gives_it() -> None:
    async def time_left(request: object, context: object) -> float:
        return deadline.get() - time.monotonic()

    async def serve(seconds: float) -> float:
        return await _told(time_left, provider_pb2.CreateRequest(timeout=seconds), None)

    with closing(asyncio.new_event_loop()) as loop:
        assert 50 < loop.run_until_complete(loop.create_task(serve(100))) <= 100
        assert loop.run_until_complete(loop.create_task(serve(0))) == math.inf


def test_cancel_ends_a_wait() -> None:
    provider = CbrProvider()
    # `asyncio.run` would leave this thread without the loop that Pulumi's mocks run on.
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(provider.cancel())
    assert waited(provider, math.inf) == "cancelled while waiting to try again: run again to finish"


def test_a_wait_that_is_over_ends() -> None:
    CbrProvider()._wait(0)
