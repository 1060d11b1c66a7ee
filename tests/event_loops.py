"""Coroutines in tests, without a change of the thread's current event loop."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import closing
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


class _InlineLoop(asyncio.SelectorEventLoop):
    """A loop that runs in its own thread what an executor is to run."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


@cache
def _inline_loop() -> asyncio.AbstractEventLoop:
    loop = _InlineLoop()
    atexit.register(loop.close)
    return loop


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing but its own work, without threads."""
    return _inline_loop().run_until_complete(coroutine)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own.

    `asyncio.run` removes the loop that Pulumi's mocks need.
    """
    with closing(asyncio.new_event_loop()) as loop:
        return loop.run_until_complete(coroutine)
