"""The provider of the package `cbr`: turns each request of the engine into a call of a controller.

It is asynchronous, and runs controllers in a pool of threads that is as large as `cbr:parallel` asks for.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from google.protobuf import empty_pb2

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, SettingsError
from pulumi_cbr.api.names import find_closest, to_camel
from pulumi_cbr.api.retry import CallLimits, Clock
from pulumi_cbr.api.settings import SETTINGS, check_url, parse_value
from pulumi_cbr.lifecycle.backup_share import BackupShareController
from pulumi_cbr.lifecycle.backup_share_accepter import BackupShareAccepterController
from pulumi_cbr.lifecycle.backup_share_member import BackupShareMemberController
from pulumi_cbr.lifecycle.controller import UNKNOWN, CheckedInputs, Controller, Diff, Properties
from pulumi_cbr.lifecycle.ownership import Ownership
from pulumi_cbr.lifecycle.session import SessionPool, SessionRegistry
from pulumi_cbr.native.component_process import ComponentProcesses
from pulumi_cbr.native.convert import from_wire, from_wire_camel, to_secret, to_wire
from pulumi_cbr.native.functions import FUNCTIONS
from pulumi_cbr.native.previews import preview_create, preview_update
from pulumi_cbr.native.protocol import plugin_pb2, provider_pb2
from pulumi_cbr.native.schema import check_arguments, check_component, find_undeclared_inputs, plugin_options, schema
from pulumi_cbr.native.wording import find_explicit_provider_name, to_native_terms

CONTROLLERS: dict[str, type[Controller]] = {
    "cbr:index:BackupShareMember": BackupShareMemberController,
    "cbr:index:BackupShare": BackupShareController,
    "cbr:index:BackupShareAccepter": BackupShareAccepterController,
}

_PARALLEL = 32

#: Settings that the engine itself adds.
_ENGINE_INPUTS = ("version", "pluginDownloadURL", "pluginChecksums", "parameterization", "__internal")

#: Settings that say which project or region a provider signs in to.
_SIGN_IN_SETTINGS = ("cloud", "authUrl", "region", "projectId", "projectName", "endpoint")

#: Settings that are the URL of a service.
_URLS = ("authUrl", "endpoint")

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")

T = TypeVar("T")

#: Monotonic time at which the current request must end (`customTimeouts`).
deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=math.inf)
#: The resource of the current request.
current_urn: contextvars.ContextVar[str] = contextvars.ContextVar("urn", default="")

_log = logging.getLogger("pulumi_cbr")


class CbrProvider:
    """The server of the engine's requests: each method has the name of its RPC."""

    def __init__(self) -> None:
        self.cancelled: threading.Event = threading.Event()
        self._config: dict[str, Any] = {}
        #: The name of the `Provider` that this process serves; None for a default provider.
        self.name: str | None = None
        #: The engine's address.
        self.engine: str | None = None
        #: The reference (`urn::id`) by which resources name this provider.
        self._reference: str | None = None
        #: The claims of the operation that this process serves.
        self.ownership: Ownership = Ownership(current_urn.get)
        self._reset(_PARALLEL)

    def _reset(self, parallel: int) -> None:
        self.cancelled.clear()
        timing = Clock(sleep=self.wait, time_left=_time_left)
        limits = CallLimits(parallel)
        # A process in a debugger serves several operations, each with its own sessions.
        self._sessions = SessionPool(self._get_setting, timing, limits, self.ownership, SessionRegistry())
        self._controllers = {token: controller(self._sessions) for token, controller in CONTROLLERS.items()}
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="controller")
        self._components = ComponentProcesses()

    def _get_setting(self, name: str) -> Any:
        return self._config.get(name)

    async def get_plugin_info(self, request: empty_pb2.Empty) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=plugin_options()["version"])

    async def get_schema(self, request: provider_pb2.GetSchemaRequest) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema=schema())

    async def check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        self.name = find_explicit_provider_name(request.urn)
        given, known = from_wire_camel(request.news), (*SETTINGS, "parallel")
        problems = {name: _check_setting(name, value) for name, value in given.items()}
        if self.name:
            # An empty value of an explicit provider is an error: the program probably read a value that does not exist, and the
            # provider would use another account. In the stack's configuration, empty means not set.
            empty = [name for name in _SIGN_IN_SETTINGS if given.get(name) == ""]
            problems |= {name: messages.empty_setting(name) for name in empty}
        # The engine prints the value of the property that a failure names. Do not name an unknown
        # one: its value may be a password.
        failures = [
            provider_pb2.CheckFailure(property=name if name in known else "", reason=to_native_terms(why, self.name))
            for name, why in problems.items()
            if why
        ]
        response = provider_pb2.CheckResponse(inputs=request.news, failures=failures)
        # Mark credentials as secret even if the program does not.
        for name in request.news.fields:
            if name in SETTINGS and SETTINGS[name].secret:
                response.inputs.fields[name].CopyFrom(to_secret(request.news.fields[name]))
        return response

    async def diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        self.name = find_explicit_provider_name(request.urn)
        changes = provider_pb2.DiffResponse.DIFF_SOME if request.olds != request.news else None
        olds, news = from_wire_camel(request.olds), from_wire_camel(request.news)
        sign_in_changes = [name for name in _SIGN_IN_SETTINGS if _has_other_value(olds.get(name), news.get(name))]
        if self.name and sign_in_changes:
            changed = ", ".join(_describe_change(name, olds[name], news[name]) for name in sign_in_changes)
            text = messages.provider_moves(self.name, changed)
            # In a thread: the logger waits for the engine.
            await self._run(lambda: _log.warning("%s", text))
        return provider_pb2.DiffResponse(changes=changes or provider_pb2.DiffResponse.DIFF_NONE)

    async def configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        if request.urn:
            self.name = find_explicit_provider_name(request.urn)
        if request.urn and request.id:
            self._reference = f"{request.urn}::{request.id}"
        settings = {name: value for name, value in from_wire_camel(request.args).items() if value != UNKNOWN}
        self._config = {name: _to_int(name, value) for name, value in settings.items() if name in SETTINGS}
        self._reset(_parse_parallel(settings.get("parallel") or _PARALLEL))
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptSecrets=True, acceptOutputs=True)

    async def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        token, controller = self._controller(request.urn)
        undeclared = find_undeclared_inputs(token, from_wire_camel(request.news))
        olds, news = from_wire(request.olds), from_wire(request.news)

        def declare_and_check() -> CheckedInputs:
            # In a thread: it may write the claims file.
            self.ownership.record_declared(is_new=not olds)
            return controller.check(olds, news)

        checked = await self._run(declare_and_check)
        problems = [
            (to_camel(problem.property), to_native_terms(problem.reason, self.name)) for problem in checked.problems
        ]
        failures = [
            provider_pb2.CheckFailure(property=name, reason=why) for name, why in (*undeclared.items(), *problems)
        ]
        return provider_pb2.CheckResponse(inputs=to_wire(checked.inputs), failures=failures)

    async def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        _, controller = self._controller(request.urn)
        olds, news = from_wire(request.olds), from_wire(request.news)
        diff = await self._run(lambda: controller.diff(request.id, olds, news))
        # Warns, and records which shares stay.
        await self._run(lambda: controller.after_diff(request.id, olds, news))
        changed = [to_camel(name) for name in (*diff.updates, *diff.replaces)]
        # An alias can take over the state of a dynamic resource. Report a change then: the update makes no call, and gives the
        # outputs the names of this flavor.
        is_dynamic = "__provider" in request.olds.fields
        has_changes = bool(changed or is_dynamic)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if has_changes else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=[to_camel(name) for name in diff.replaces],
            deleteBeforeReplace=diff.delete_first,
            diffs=changed,
            detailedDiff=_to_detailed_diff(diff, olds, news, controller.outputs),
            hasDetailedDiff=True,
        )

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        _, controller = self._controller(request.urn)
        inputs = from_wire(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_wire(preview_create(controller.outputs, inputs)))
        id_, outputs = await self._run(lambda: controller.create(inputs))
        return provider_pb2.CreateResponse(id=id_, properties=to_wire(outputs))

    async def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        _, controller = self._controller(request.urn)
        # An import knows nothing but the ID.
        known = {**from_wire(request.inputs), **from_wire(request.properties)}
        state = await self._run(lambda: controller.read(request.id, known))
        if state is None:
            # An empty response means that the resource is gone. With `properties`, even empty ones, the engine would import it.
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=state.id, properties=to_wire(state.outputs), inputs=to_wire(state.inputs))

    async def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        token, controller = self._controller(request.urn)
        olds, news = from_wire(request.olds), from_wire(request.news)
        if request.preview:
            outputs = preview_update(token.rpartition(":")[2], controller.outputs, olds, news)
        else:
            outputs = await self._run(lambda: controller.update(request.id, olds, news))
        return provider_pb2.UpdateResponse(properties=to_wire(outputs))

    async def delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        _, controller = self._controller(request.urn)
        outputs = from_wire(request.properties)
        await self._run(lambda: controller.delete(request.id, outputs))
        return empty_pb2.Empty()

    async def invoke(self, request: provider_pb2.InvokeRequest) -> provider_pb2.InvokeResponse:
        if request.tok not in FUNCTIONS:
            raise CbrError(messages.unknown_token("function", request.tok, find_closest(request.tok, FUNCTIONS)))
        args = from_wire(request.args)
        check_arguments(request.tok, args)
        result = await self._run(lambda: FUNCTIONS[request.tok](self._sessions, **args))
        response = provider_pb2.InvokeResponse()
        # `return` is a keyword.
        getattr(response, "return").CopyFrom(to_wire(result))
        return response

    async def construct(self, request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse:
        check_component(request.type, from_wire_camel(request.inputs))
        if self._reference and "cbr" not in request.providers:
            # Else its resources would get a default provider of their own, which may sign in elsewhere.
            request.providers["cbr"] = self._reference
        return await self._components.construct(request, self.engine or "")

    async def cancel(self, request: empty_pb2.Empty) -> empty_pb2.Empty:
        # Requests in flight finish, so the state records them. Waits and components stop now.
        self.cancelled.set()
        self._components.end()
        return empty_pb2.Empty()

    def _controller(self, urn: str) -> tuple[str, Controller]:
        # In a component, the type is `parent$type`. A resource's name may contain `::`.
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self._controllers:
            raise CbrError(messages.unknown_token("resource", token, find_closest(token, self._controllers)))
        return token, self._controllers[token]

    async def _run(self, function: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(function))

    def wait(self, seconds: float) -> None:
        """Wait, unless the engine cancels or the time of the resource ends. Raises `CbrError`."""
        left = _time_left()
        if self.cancelled.wait(min(seconds, left)):
            raise CbrError(messages.wait_cancelled())
        if left < seconds:
            raise CbrError(messages.custom_timeout_exceeded())


def _time_left() -> float:
    return deadline.get() - time.monotonic()


def _has_other_value(old: Any, new: Any) -> bool:
    return None not in (old, new) and UNKNOWN not in (old, new) and old != new


def _describe_change(name: str, old: str, new: str) -> str:
    # A URL that an earlier version let into the state may contain a password.
    return name if "@" in f"{old}{new}" else f"{name} from {old} to {new}"


def _check_setting(name: str, value: Any) -> str | None:
    """Return what is wrong with a setting of a provider, or None."""
    if name in _ENGINE_INPUTS or value in ("", UNKNOWN):
        return None
    try:
        if name == "parallel":
            _parse_parallel(value)
        elif name in SETTINGS:
            parse_value(name, _to_int(name, value), f"cbr:{name}")
            if name in _URLS:
                # A URL may contain a password: refuse it before the state stores it. The sign-in refuses plain HTTP.
                check_url(f"cbr:{name}", str(value), insecure=True)
        else:
            return messages.unknown_setting(name, find_closest(name, (*SETTINGS, "parallel")))
    except SettingsError as error:
        return str(error)
    return None


def _to_int(name: str, value: Any) -> Any:
    """Convert a whole-number setting to int; return any other value unchanged.

    SDKs send ``3``, ``3.0``, ``"3"`` or ``"3.0"``.
    """
    if name != "parallel" and SETTINGS[name].kind is not int:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parse_parallel(value: Any) -> int:
    count = _to_int("parallel", value)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 256:
        raise SettingsError(messages.invalid_parallel(value))
    return count


def _to_detailed_diff(
    diff: Diff, olds: Properties, news: Properties, outputs: tuple[str, ...]
) -> Mapping[str, provider_pb2.PropertyDiff]:
    """Return for each property how it changes, and whether by the program or by drift."""
    detailed = {}
    for name in (*diff.updates, *diff.replaces):
        operation = "ADD" if name not in olds else "UPDATE" if name in news or name in outputs else "DELETE"
        detailed[to_camel(name)] = provider_pb2.PropertyDiff(
            kind=provider_pb2.PropertyDiff.Kind.Value(f"{operation}_REPLACE" if name in diff.replaces else operation),
            inputDiff=name not in outputs,
        )
    return detailed
