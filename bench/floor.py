"""The engine's own floor: a dynamic resource with a share's inputs that does nothing, and one that only waits.

Both stand in an importable module, so that the engine carries as little of them as it does of ours.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

#: The seconds that each call of a `Waiting` takes.
LATENCY = "BENCH_LATENCY"


class NothingProvider(ResourceProvider):
    """Does nothing at once."""

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        self.call()
        return CreateResult(f"{props['backup_id']}/{props['dest_project_id']}", props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        self.call()
        return ReadResult(id_, props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self.call()

    def call(self) -> None:
        """Take the place of a call to the service."""


class WaitingProvider(NothingProvider):
    """Waits as long as a call to the service takes, without one."""

    def call(self) -> None:
        time.sleep(float(os.environ[LATENCY]))


class _Floor(Resource, module="bench", name="Floor"):
    provider: type[NothingProvider]

    def __init__(self, resource_name: str, backup_id: str, dest_project_id: str) -> None:
        inputs: dict[str, pulumi.Input[Any]] = {"backup_id": backup_id, "dest_project_id": dest_project_id}
        super().__init__(self.provider(), resource_name, inputs)


class Nothing(_Floor, module="bench", name="Nothing"):
    """A share that does nothing."""

    provider = NothingProvider


class Waiting(_Floor, module="bench", name="Waiting"):
    """A share that only waits."""

    provider = WaitingProvider
