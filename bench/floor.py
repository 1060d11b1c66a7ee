"""The engine's own floors: dynamic resources that do nothing, or only wait, or only load what a call needs.

They stand in an importable module, so that the engine carries as little of them as it does of ours.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from bench.latency import seconds


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

    def configure(self, _req: ConfigureRequest) -> None:
        """Serve 32 resources at a time, as the package does. Pulumi's plugin has four threads."""
        servicer = sys.modules["__main__"].DynamicResourceProviderServicer
        pool = ThreadPoolExecutor(32)
        for name in ("Check", "Diff", "Create", "Read", "Update", "Delete"):
            getattr(servicer, name).experimental_thread_pool = pool

    def call(self) -> None:
        time.sleep(seconds())


class LoadedProvider(NothingProvider):
    """Loads what a call needs, without one."""

    def call(self) -> None:
        import keystoneauth1.identity.v3
        import keystoneauth1.session  # noqa: F401
        import requests  # noqa: F401


class AlikeProvider(NothingProvider):
    """Gives the outputs of a new share, made up."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        made = super().create(props)
        ids = {"share_id": props["backup_id"], "source_project_id": props["dest_project_id"]}
        return CreateResult(made.id, {**props, **ids, "status": "pending", "created_at": "2026-01-01T00:00:00+00:00"})


class _Floor(Resource, module="bench", name="Floor"):
    provider: type[NothingProvider]
    #: What it declares beside a share's two inputs.
    declares: tuple[str, ...] = ()

    def __init__(self, resource_name: str, backup_id: str, dest_project_id: str) -> None:
        inputs: dict[str, pulumi.Input[Any]] = {"backup_id": backup_id, "dest_project_id": dest_project_id}
        super().__init__(self.provider(), resource_name, {**inputs, **dict.fromkeys(self.declares)})


class Nothing(_Floor, module="bench", name="Nothing"):
    """A share that does nothing."""

    provider = NothingProvider


class Waiting(_Floor, module="bench", name="Waiting"):
    """A share that only waits."""

    provider = WaitingProvider


class Loaded(_Floor, module="bench", name="Loaded"):
    """A share that only loads what a call needs."""

    provider = LoadedProvider


class Alike(_Floor, module="bench", name="Alike"):
    """A resource that does nothing, with the inputs and outputs of a share."""

    provider = AlikeProvider
    declares = (
        *("cloud", "adopt_existing", "reshare_if_rejected"),
        *("share_id", "status", "created_at", "updated_at", "vault_id", "image_id", "source_project_id"),
    )
