"""Actions: methods of `Simulator` that are also admin routes and commands.

The route is ``POST /_simulator/<name>``. The method is the declaration: its parameters and the first line of its
docstring are those of the route and the command.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

__all__ = ["Action", "Parameter", "action", "find_actions"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__simulator_action__"
_TYPE_NAMES = {str: "a text", float: "a number, at least 0", bool: "true or false"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of an action; its type is str, float (not negative) or bool."""

    name: str
    type: type
    is_required: bool
    default: Any = None

    def check(self, value: object) -> Any:
        """Return a value of the right type. Raises ValueError."""
        if value in (None, "") and not self.is_required:
            return self.default
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.type) or (isinstance(value, float) and not 0 <= value < 1e9):
            raise ValueError(f"{self.name} must be {_TYPE_NAMES[self.type]}")
        return value


@dataclass(frozen=True)
class Action:
    """Something that happens at the service without a call to its API."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    #: Name of the result in the response, if it is no record.
    result: str | None

    def run(self, simulator: object, wanted: dict[str, Any]) -> dict[str, Any]:
        """Run the action with the values of a JSON object and return its result as one.

        Raises ValueError for a value of the wrong type.
        """
        values = {parameter.name: parameter.check(wanted.get(parameter.name)) for parameter in self.parameters}
        result = getattr(simulator, self.name)(**values)
        if is_dataclass(result) and not isinstance(result, type):
            return asdict(result)
        return {} if self.result is None else {self.result: result}


def action(result: str | None = None) -> Callable[[F], F]:
    """Mark a method as an action; `result` names what it returns if that is no record."""

    def mark(method: F) -> F:
        setattr(method, _MARK, result)
        return method

    return mark


def find_actions(kind: type) -> dict[str, Action]:
    """Return the actions of a class by name, in the order in which it declares them."""
    found = {}
    for name, method in vars(kind).items():
        if hasattr(method, _MARK):
            help = (inspect.getdoc(method) or "").partition("\n")[0]
            found[name] = Action(name, help, _parameters(method), getattr(method, _MARK))
    return found


def _parameters(method: Callable[..., Any]) -> tuple[Parameter, ...]:
    hints = get_type_hints(method)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    found = []
    for parameter in parameters:
        hint = hints[parameter.name]
        # `str | None` is a str that may be left out.
        kind = next((part for part in get_args(hint) if part is not type(None)), hint)
        is_required = parameter.default is inspect.Parameter.empty
        found.append(Parameter(parameter.name, kind, is_required, None if is_required else parameter.default))
    return tuple(found)
