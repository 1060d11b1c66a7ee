"""The interface between the engine's requests and a resource, in plain values.

A controller has no pickles, threads or gRPC. `pulumi_cbr.dynamic` turns it into a dynamic provider, and
`pulumi_cbr.native` into a first-class one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import InvalidId

if TYPE_CHECKING:
    from pulumi_cbr.lifecycle.session import SessionPool

#: The placeholder for a value that a preview does not know yet, in both flavors.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

#: Inputs or outputs of a resource, by their Python names.
Properties = Mapping[str, Any]


class InputProblem(NamedTuple):
    """A problem of one input, as a message for the user."""

    property: str
    reason: str


class CheckedInputs(NamedTuple):
    """Normalized inputs, and all problems that were found."""

    inputs: dict[str, Any]
    problems: list[InputProblem]


class Diff(NamedTuple):
    """The changes that new inputs need: properties to update in place, or to replace for.

    `delete_first` says whether a replacement deletes the old resource before it creates the new one.
    """

    updates: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_first: bool = False


class ResourceState(NamedTuple):
    """The state of a resource: its ID, its outputs, and the inputs that produce it."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any]


def split_share_id(id_: str, project_property: str) -> tuple[str, str]:
    """Split an ID of the form ``<backup_id>/<project>``.

    `project_property` is the name of the second part in the message.

    Raises `InvalidId`.
    """
    first, _, second = id_.partition("/")
    try:
        return ids.uuid("the part before the slash", first), ids.project_id("the part after the slash", second)
    except InvalidId as error:
        raise InvalidId(messages.wrong_share_id(project_property, id_, str(error))) from None


class Controller(ABC):
    """The hooks of one kind of resource.

    They raise errors of `pulumi_cbr.api.errors`, whose text is for the user.
    """

    #: The outputs that are not inputs.
    outputs: ClassVar[tuple[str, ...]]

    def __init__(self, sessions: SessionPool) -> None:
        self.sessions = sessions
        # A refresh shows only the changes that a diff reports. An entry is a share's ID and its new status.
        self._drifted: set[tuple[str, str]] = set()

    def record_drift(self, share: Properties) -> None:
        """Make every diff of this operation report a share's change, so a refresh shows it."""
        self._drifted.add((str(share.get("share_id")), str(share.get("status"))))

    def has_recorded_drift(self, shares: Iterable[Properties]) -> bool:
        """Return whether `record_drift` has recorded one of these shares, with this status."""
        return any((str(share.get("share_id")), str(share.get("status"))) in self._drifted for share in shares)

    def adopts(self, inputs: Properties) -> bool:
        """Return whether the inputs or the stack's settings ask to adopt shares that exist."""
        return inputs.get("adopt_existing") is True or self.sessions.flag("adoptExisting")

    @abstractmethod
    def check(self, olds: Properties, news: Properties) -> CheckedInputs:
        """Validate and normalize inputs; `UNKNOWN` passes.

        `olds` are the inputs before, empty for a new resource.
        """

    def with_outputs(self, state: Properties, inputs: Properties) -> dict[str, Any]:
        """Return inputs with the outputs that a state has."""
        return {**{name: state[name] for name in self.outputs if name in state}, **inputs}

    @abstractmethod
    def diff(self, id_: str, olds: Properties, news: Properties) -> Diff:
        """Compare the outputs `olds` with the checked inputs `news`.

        Records for preflight which shares are managed. Makes no call.
        """

    def after_diff(self, id_: str, olds: Properties, news: Properties) -> None:
        """Warn of effects that a diff does not show, and record the shares that stay.

        Called once for each diff that the engine asks for. Makes no call.
        """
        return

    @abstractmethod
    def create(self, inputs: Properties) -> tuple[str, dict[str, Any]]:
        """Create the resource, and return its ID and outputs.

        If it fails, nothing remains at the service, or the error names what may remain.
        """

    @abstractmethod
    def read(self, id_: str, properties: Properties) -> ResourceState | None:
        """Read the resource, or return None if the service says that it is gone.

        `properties` are outputs or inputs.
        """

    @abstractmethod
    def update(self, id_: str, olds: Properties, news: Properties) -> dict[str, Any]:
        """Make the resource agree with the inputs, and return all its outputs.

        Looks the session up even if no call is needed, and signs in to a changed `cloud`: one that does not work, or that is of
        another project, fails now, not at destroy.
        """

    @abstractmethod
    def delete(self, id_: str, outputs: Properties) -> None:
        """Delete the resource. One that is gone already is a success."""
