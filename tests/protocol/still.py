"""Start a plugin whose lists of members do not get older, however busy the machine is: only a write ends their use.

python still.py pulumi.dynamic <the engine's address>
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import replace

from pulumi_cbr.api.models import Member
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.lifecycle.member_cache import MemberCache

_as_it_is = MemberCache.__init__


def _cache(self: MemberCache, fetch: Callable[[str], tuple[Member, ...]], *, timing: Clock, timeout: float) -> None:
    _as_it_is(self, fetch, timing=replace(timing, monotonic=lambda: 0.0), timeout=timeout)


if __name__ == "__main__":
    MemberCache.__init__ = _cache  # type: ignore[method-assign]
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
