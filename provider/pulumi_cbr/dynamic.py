"""The base of the dynamic providers: a controller's methods as hooks of Pulumi's plugin.

One plugin process serves one operation, with up to 32 calls at a time on one provider object. The plugin reports an error
of a hook as a traceback. The engine shows the plugin's standard error among the stack's messages.

A program imports this module too, for its resources and to pickle the provider's class. It needs no controller: only the plugin
calls `configure`, which imports them.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import logging
import sys
import traceback
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pulumi import CustomResource, Input, ResourceOptions
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.output import Unknown

from pulumi_cbr import messages, stack_trace
from pulumi_cbr.api.errors import CbrError
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.lifecycle.failures import (
    HookError,
    IncompleteResourceError,
    UnverifiedCreateError,
    is_verbose,
    save_bug_report,
)

if TYPE_CHECKING:
    from pulumi_cbr.lifecycle.controller import CheckedInputs, Controller, ResourceState
    from pulumi_cbr.lifecycle.ownership import Ownership
    from pulumi_cbr.lifecycle.session import SessionPool

T = TypeVar("T")


def omit_false(flag: Input[bool]) -> Input[bool] | None:
    """Return None for False, which the engine would store for each resource."""
    return None if flag is False else flag


class DynamicResource(Resource):
    """Base of the resources: records where the user's program declares them.

    Pulumi takes the frame above three nested `__init__` calls as the user's line. `pulumi.dynamic.Resource` adds a fourth, so it
    would take a line of this package. `_register` makes the same call without it.
    """

    def _register(
        self, provider: DynamicProvider, name: str, props: dict[str, Any], opts: ResourceOptions | None
    ) -> None:
        props["__provider"] = _serialize(type(provider))  # type: ignore[arg-type]  # a class is hashable
        with stack_trace.shorten():
            CustomResource.__init__(self, f"pulumi-python:{self._resource_type_name}", name, props, opts)


@functools.cache
def _serialize(provider: type[DynamicProvider]) -> str:
    # Pulumi's own function nests one level deeper with each call: about the 950th fails with a RecursionError.
    text: str = serialize_provider(provider())
    return text


#: The resource that the request is about; empty if the plugin does not show it.
_urn: contextvars.ContextVar[str] = contextvars.ContextVar("dynamic_urn", default="")


class DynamicProvider(ResourceProvider):
    """The base of the providers: each hook calls the controller, and each error is one line.

    A provider is pickled by its class's name. So its class never moves, takes no arguments, and holds nothing but what
    `configure` gives it in the plugin's process.
    """

    # Nothing secret is pickled: encrypting the text for each resource would only cost time.
    serialize_as_secret_always = False

    controller: Controller

    @staticmethod
    def make_controller(sessions: SessionPool) -> Controller:
        """Import and return the controller of the resource: each provider has its own."""
        raise NotImplementedError

    def configure(self, req: ConfigureRequest) -> None:
        _configure_logging()
        _shorten_errors()
        self.controller = _translate_errors(lambda: self.make_controller(_open_sessions(req.config)))
        _freeze_modules()
        _serve_more_at_once()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        _urn.set(_caller_urn())
        olds, inputs = _strip_engine_properties(_olds), _strip_engine_properties(news)

        def record_and_check() -> CheckedInputs:
            self.controller.sessions.ownership.record_declared(is_new=not _olds)
            return self.controller.check(olds, inputs)

        checked = _translate_errors(record_and_check)
        failures = [CheckFailure(problem.property, problem.reason) for problem in checked.problems]
        return CheckResult(checked.inputs, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        _urn.set(_caller_urn())
        olds, news = _strip_engine_properties(_olds), _strip_engine_properties(_news)
        diff = _translate_errors(lambda: self.controller.diff(_id, olds, news))
        _translate_errors(lambda: self.controller.after_diff(_id, olds, news))
        # If only inputs differ, return None: the engine then compares them itself. Otherwise it would ignore
        # `replace_on_changes`.
        only_inputs_differ = diff.updates and not diff.replaces and not set(diff.updates) & set(self.controller.outputs)
        return DiffResult(
            changes=None if only_inputs_differ else bool(diff.updates or diff.replaces),
            replaces=list(diff.replaces),
            delete_before_replace=diff.delete_first,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        _urn.set(_caller_urn())
        id_, outputs = _translate_errors(lambda: self.controller.create(_strip_engine_properties(props)))
        return CreateResult(id_, outputs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        _urn.set(_caller_urn())
        state = _translate_errors(lambda: self._read(id_, _strip_engine_properties(props)))
        # An empty ID means that the resource is gone. The plugin writes into the outputs, so they must be a dict.
        return ReadResult(state.id, state.outputs, state.inputs) if state else ReadResult("", {})

    def _read(self, id_: str, properties: dict[str, Any]) -> ResourceState | None:
        state = self.controller.read(id_, properties)
        if state is None and not properties.keys() & set(self.controller.outputs):
            # Without outputs this is a `get`. A missing resource is an error then: only a refresh may return an empty ID.
            raise CbrError(messages.resource_missing(id_))
        return state

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _urn.set(_caller_urn())
        return UpdateResult(
            _translate_errors(
                lambda: self.controller.update(_id, _strip_engine_properties(_olds), _strip_engine_properties(_news))
            )
        )

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        _urn.set(_caller_urn())
        _translate_errors(lambda: self.controller.delete(_id, _strip_engine_properties(_props)))


def _open_sessions(config: Any) -> SessionPool:
    """Return the sessions of a stack.

    Raises `SettingsError` for an unknown name in its configuration.
    """
    from pulumi_cbr.api.settings import check_names
    from pulumi_cbr.lifecycle.session import SessionPool

    check_names(_setting_names(config))
    engine = _engine_address()
    return SessionPool(
        lambda name: config.get(f"cbr:{name}"), ownership=_process_ownership(engine) if engine else _new_ownership()
    )


@cache
def _process_ownership(engine: str) -> Ownership:
    """Return the claims of the plugin's process, which its providers share."""
    ownership = _new_ownership()
    ownership.join(engine)
    return ownership


def _new_ownership() -> Ownership:
    from pulumi_cbr.lifecycle.ownership import Ownership

    return Ownership(_urn.get)


def _setting_names(config: Any) -> list[str]:
    """Return the names that the stack sets in the namespace ``cbr``."""
    # Pulumi's public methods look up one key each, and do not list them.
    return [name.removeprefix("cbr:") for name in getattr(config, "_props", {}) if name.startswith("cbr:")]


def _strip_engine_properties(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties without the engine's own, and with `UNKNOWN` for unknown values."""
    return {name: _replace_unknowns(value) for name, value in properties.items() if name != "__provider"}


def _replace_unknowns(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {name: _replace_unknowns(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_replace_unknowns(entry) for entry in value]
    return value


def _translate_errors(hook: Callable[[], T]) -> T:
    try:
        return hook()
    except CbrError as error:
        raise HookError(str(error), error) from None
    except Exception as error:
        raise HookError(save_bug_report(error)) from None


def _configure_logging() -> None:
    """Show warnings, adoptions and waits for acceptances on standard error, a line each.

    With the engine's own ``--logflow -v=9``, every call is shown too.
    """
    logger = logging.getLogger("pulumi_cbr")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("cbr: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.DEBUG if is_verbose(sys.argv) else logging.INFO)


def _is_plugin() -> bool:
    return getattr(sys.modules["__main__"].__spec__, "name", None) == "pulumi.dynamic.__main__"


def _engine_address() -> str | None:
    """Return the engine's address if this process is the plugin's, else None."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    return addresses[0] if _is_plugin() and addresses else None


def _caller_urn() -> str:
    """Return the URN of the request that a hook serves, or an empty text.

    Hooks get no URN, but the plugin's method that calls them has the request in a local variable. Without a URN,
    `Ownership` tells resources apart only by share ID and inputs.
    """
    request = sys._getframe(2).f_locals.get("request")
    urn = getattr(request, "urn", "")
    return urn if isinstance(urn, str) else ""


def _freeze_modules() -> None:
    """Keep the modules of the plugin's process out of garbage collection."""
    # The imports of the first call would start a full collection, which takes 20 ms. Garbage that is made
    # after this call is collected as usual.
    if _is_plugin() and not gc.get_freeze_count():
        gc.freeze()


def _serve_more_at_once() -> None:
    """Make the plugin serve as many requests at a time as calls may be in flight.

    Pulumi's plugin has four threads, and each waits for a response of the service. The engine's `--parallel` still says how many
    requests it sends at a time.
    """
    from pulumi_cbr.api.retry import MAX_IN_FLIGHT

    servicer = getattr(sys.modules["__main__"], "DynamicResourceProviderServicer", None)
    # Only the first provider of the process does this.
    if not _is_plugin() or servicer is None or hasattr(servicer.Create, "experimental_thread_pool"):
        return
    pool = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="hook")
    for name in ("Check", "Diff", "Create", "Read", "Update", "Delete"):
        # gRPC runs a method that has this attribute in its pool.
        getattr(servicer, name).experimental_thread_pool = pool


def _shorten_errors() -> None:
    """Make the plugin report the errors of failed hooks as one line."""
    plugin = sys.modules["__main__"]
    # Only the first provider of the process does this.
    if _is_plugin() and getattr(plugin, "traceback", None) is traceback:
        # The plugin sends `traceback.format_exc()` to the engine. Only errors of this package are shortened: other providers
        # in the process keep their tracebacks.
        shortened = types.ModuleType("traceback")
        vars(shortened).update(vars(traceback), format_exc=_format_exception)
        vars(plugin)["traceback"] = shortened


def _format_exception(limit: int | None = None, chain: bool = True) -> str:
    error = sys.exc_info()[1]
    if not isinstance(error, HookError):
        return traceback.format_exc(limit, chain)
    text = f"cbr: {error}"
    cause = error.cause
    # An unverified create is not kept in the state. Its message says what to do.
    if isinstance(cause, UnverifiedCreateError) or not isinstance(cause, IncompleteResourceError):
        return text
    text_if_kept = f"cbr: {cause.text_if_kept}"
    return text_if_kept if _keep_in_state(cause, text_if_kept) else f"{text}. {messages.not_in_the_state()}"


def _keep_in_state(error: IncompleteResourceError, text: str) -> bool:
    """Keep a resource in the state although its change failed; return whether that works.

    Providers in Python cannot report this. So the plugin's response gets the detail that other providers send
    (https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto, ErrorResourceInitFailed).
    """
    import grpc
    from google.protobuf import any_pb2
    from google.protobuf.json_format import ParseDict
    from google.protobuf.struct_pb2 import Struct
    from pulumi.runtime.proto import provider_pb2, status_pb2

    frame = sys._getframe(2)
    context: Any = frame.f_locals.get("context")
    request: Any = frame.f_locals.get("request")
    sent = getattr(request, "news", None) or getattr(request, "properties", None)
    if sent is None or not hasattr(context, "set_trailing_metadata"):
        return False
    properties = ParseDict(dict(error.outputs), Struct())
    properties.fields["__provider"].CopyFrom(sent.fields["__provider"])
    failed = provider_pb2.ErrorResourceInitFailed(id=error.id, properties=properties, inputs=sent, reasons=[text])
    detail = any_pb2.Any()
    detail.Pack(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    return True
