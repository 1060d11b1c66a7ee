"""Coroutines in tests, without a change of the thread's current event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own.

    `asyncio.run` removes the loop that Pulumi's mocks need.
    """
    with closing(asyncio.new_event_loop()) as loop:
        return loop.run_until_complete(coroutine)
