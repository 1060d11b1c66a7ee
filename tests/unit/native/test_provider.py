"""Waits of a hook: what ends them."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.native.provider import CbrProvider, deadline


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


def test_cancel_ends_a_wait() -> None:
    provider = CbrProvider()
    # `asyncio.run` would leave this thread without the loop that Pulumi's mocks run on.
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(provider.cancel())
    assert waited(provider, math.inf) == "cancelled while waiting to try again: run again to finish"


def test_a_wait_that_is_over_ends() -> None:
    CbrProvider()._wait(0)
