"""The provider process `pulumi-resource-cbr`: the same controllers as the dynamic providers', for every language.

It is asynchronous, and runs hooks in a pool of threads that is as large as the engine's own parallelism asks for.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from pulumi.provider.experimental import provider as engine

from pulumi_cbr.api.errors import CbrError, SettingsError
from pulumi_cbr.api.retry import CallLimits, Clock
from pulumi_cbr.api.settings import SETTINGS, typed
from pulumi_cbr.backup_share import BackupShareController
from pulumi_cbr.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.controller import UNKNOWN, Controller, Diff, Properties
from pulumi_cbr.lifecycle.session import SessionPool
from pulumi_cbr.lookups import check_order
from pulumi_cbr.native.names import camel
from pulumi_cbr.native.schema import check_arguments, schema
from pulumi_cbr.native.values import plain, wired

CONTROLLERS: dict[str, type[Controller]] = {
    "cbr:index:BackupShareMember": BackupShareMemberController,
    "cbr:index:BackupShare": BackupShareController,
    "cbr:index:BackupShareAccepter": BackupShareAccepterController,
}

_PARALLEL = 32

#: What the engine keeps among a provider's settings.
_ENGINES_OWN = ("version", "pluginDownloadURL", "__internal")

#: Updates of these make no call: outputs stay as they are.
_QUIET = ("cloud", "adopt_existing", "reshare_if_rejected")

T = TypeVar("T")

#: When the call of the engine that is served here must have ended (`customTimeouts`), by the clock that only grows.
deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)
#: The resource that the call of the engine that is served here is about.
current_urn: contextvars.ContextVar[str] = contextvars.ContextVar("urn", default="")


class CbrProvider(engine.Provider):
    """What the engine calls: turns each of its requests into a call of a controller."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._config: dict[str, Any] = {}
        self._start(_PARALLEL)

    def _start(self, parallel: int) -> None:
        timing = Clock(sleep=self._wait, time_left=_time_left)
        sessions = SessionPool(lambda name: self._config.get(name), timing, CallLimits(parallel))
        self._accounts = sessions
        self._controllers = {token: controller(sessions) for token, controller in CONTROLLERS.items()}
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="hook")

    async def get_schema(self, request: engine.GetSchemaRequest) -> engine.GetSchemaResponse:
        return engine.GetSchemaResponse(schema())

    async def check_config(self, request: engine.CheckRequest) -> engine.CheckResponse:
        failures = []
        for name, value in request.new_inputs.items():
            given = value.value
            if name in _ENGINES_OWN or given in (None, "", UNKNOWN):
                continue
            try:
                if name == "parallel":
                    _parallel(given)
                elif name in SETTINGS:
                    typed(name, given, f"cbr:{name}")
                else:
                    known = ", ".join([*SETTINGS, "parallel"])
                    raise SettingsError(f"there is no setting cbr:{name}; the settings are: {known}")
            except SettingsError as error:
                failures.append(engine.CheckFailure(name, str(error)))
        # Whatever a program says: no credential is in the state in plain.
        inputs = {
            name: value.with_secret(True) if name in SETTINGS and SETTINGS[name].secret else value
            for name, value in request.new_inputs.items()
        }
        return engine.CheckResponse(inputs, failures)

    async def configure(self, request: engine.ConfigureRequest) -> engine.ConfigureResponse:
        given = {name: value.value for name, value in request.args.items() if value.value != UNKNOWN}
        self._config = {name: value for name, value in given.items() if name in SETTINGS}
        self._start(_parallel(given.get("parallel") or _PARALLEL))
        # Secrets are the engine's to keep: it marks again in outputs what was secret among the inputs.
        return engine.ConfigureResponse(accept_secrets=False, supports_preview=True, accept_resources=False)

    async def check(self, request: engine.CheckRequest) -> engine.CheckResponse:
        hooks = self._hooks(request.urn)
        olds, news = plain(request.old_inputs), plain(request.new_inputs)
        checked = await self._run(lambda: hooks.check(olds, news))
        failures = [engine.CheckFailure(camel(problem.property), problem.reason) for problem in checked.problems]
        return engine.CheckResponse(wired(checked.inputs), failures)

    async def diff(self, request: engine.DiffRequest) -> engine.DiffResponse:
        hooks = self._hooks(request.urn)
        olds, news = plain(request.old_state), plain(request.new_inputs)
        diff = await self._run(lambda: hooks.diff(request.resource_id, olds, news))
        await self._run(lambda: hooks.warn_before_change(olds, news))
        changed = [camel(name) for name in (*diff.updates, *diff.replaces)]
        return engine.DiffResponse(
            changes=bool(changed),
            replaces=[camel(name) for name in diff.replaces],
            delete_before_replace=diff.delete_first,
            diffs=changed,
            detailed_diff=_detailed(diff, olds, news, hooks.outputs),
        )

    async def create(self, request: engine.CreateRequest) -> engine.CreateResponse:
        hooks = self._hooks(request.urn)
        inputs = plain(request.properties)
        if request.preview:
            # An ID and outputs of the service are not known before they are made.
            return engine.CreateResponse("", wired({**dict.fromkeys(hooks.outputs, UNKNOWN), **inputs}))
        id_, outputs = await self._run(lambda: hooks.create(inputs))
        return engine.CreateResponse(id_, wired(outputs))

    async def read(self, request: engine.ReadRequest) -> engine.ReadResponse:
        hooks = self._hooks(request.urn)
        # An import knows nothing but the ID.
        known = {**plain(request.inputs), **plain(request.properties)}
        reading = await self._run(lambda: hooks.read(request.resource_id, known))
        if reading is None:
            return engine.ReadResponse("")
        return engine.ReadResponse(reading.id, wired(reading.outputs), wired(reading.inputs))

    async def update(self, request: engine.UpdateRequest) -> engine.UpdateResponse:
        hooks = self._hooks(request.urn)
        olds, news = plain(request.olds), plain(request.news)
        if request.preview:
            diff = hooks.diff(request.resource_id, olds, news)
            quiet = set(diff.updates) <= set(_QUIET)
            kept = {name: olds[name] if quiet else UNKNOWN for name in hooks.outputs if name in olds}
            return engine.UpdateResponse(wired({**kept, **news}))
        outputs = await self._run(lambda: hooks.update(request.resource_id, olds, news))
        return engine.UpdateResponse(wired(outputs))

    async def delete(self, request: engine.DeleteRequest) -> None:
        hooks = self._hooks(request.urn)
        outputs = plain(request.properties)
        await self._run(lambda: hooks.delete(request.resource_id, outputs))

    async def invoke(self, request: engine.InvokeRequest) -> engine.InvokeResponse:
        look_ups: dict[str, Callable[..., dict[str, Any]]] = {
            "cbr:index:getBackup": self._get_backup,
            "cbr:index:getBackups": self._get_backups,
            "cbr:index:getBackupShareMembers": self._get_backup_share_members,
        }
        if request.tok not in look_ups:
            raise CbrError(f"there is no function {request.tok}; there are: {', '.join(look_ups)}")
        args = plain(request.args)
        check_arguments(request.tok, args)
        return engine.InvokeResponse(wired(await self._run(lambda: look_ups[request.tok](**args))))

    async def cancel(self) -> None:
        # Calls that are on their way end and are recorded; waits end at once.
        self._cancelled.set()

    def _get_backup(self, backup_id: str, cloud: str | None = None) -> dict[str, Any]:
        return _result(self._accounts.of(cloud).client.show_backup(backup_id))

    def _get_backups(
        self, cloud: str | None = None, limit: float | None = None, newest_first: bool = False, **filters: str
    ) -> dict[str, Any]:
        check_order(filters.get("sort"), newest_first, limit)
        if newest_first:
            filters["sort"] = "created_at:desc"
        backups = self._accounts.of(cloud).client.list_backups(**filters)
        return {"backups": [_result(backup) for backup in islice(backups, None if limit is None else int(limit))]}

    def _get_backup_share_members(self, backup_id: str, cloud: str | None = None) -> dict[str, Any]:
        return {"members": [_result(member) for member in self._accounts.of(cloud).client.list_members(backup_id)]}

    def _hooks(self, urn: str) -> Controller:
        # The SDK's own `request.type` has the types of a component around it too, and is wrong for names with `::`.
        kind = urn.split("::")[2].rpartition("$")[2]
        if kind not in self._controllers:
            raise CbrError(f"there is no resource {kind}; there are: {', '.join(self._controllers)}")
        return self._controllers[kind]

    async def _run(self, hook: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(hook))

    def _wait(self, seconds: float) -> None:
        left = _time_left()
        if self._cancelled.wait(min(seconds, left)):
            raise CbrError("cancelled while waiting to try again: run again to finish")
        if left < seconds:
            raise CbrError("the resource's customTimeouts are over: run again, or give it more time")


def _time_left() -> float:
    return deadline.get() - time.monotonic()


def _parallel(given: Any) -> int:
    try:
        count = float(given)
    except (TypeError, ValueError):
        count = 0
    if isinstance(given, bool) or count not in range(1, 257):
        raise SettingsError(f"cbr:parallel must be a whole number from 1 to 256, not {given!r}")
    return int(count)


def _result(record: Any) -> dict[str, Any]:
    return {name: _told(value) for name, value in asdict(record).items()}


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_told(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _told(entry) for name, entry in value.items()}
    return value


def _detailed(
    diff: Diff, olds: Properties, news: Properties, outputs: tuple[str, ...]
) -> dict[str, engine.PropertyDiff]:
    """Tell the engine of each property what happens to it, and whether that is the program's doing or drift."""
    kinds = engine.PropertyDiffKind
    detailed = {}
    for name in (*diff.updates, *diff.replaces):
        kind = "ADD" if name not in olds else "UPDATE" if name in news or name in outputs else "DELETE"
        detailed[camel(name)] = engine.PropertyDiff(
            kinds[f"{kind}_REPLACE" if name in diff.replaces else kind], input_diff=name not in outputs
        )
    return detailed
