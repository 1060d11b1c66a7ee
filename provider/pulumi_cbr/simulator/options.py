"""The options of a simulator, each declared once.

A field here is an argument of `Simulator`, an option of ``serve`` and an entry in the documentation of both.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Concatenate, ParamSpec

__all__ = ["INTERFACES", "Options", "Switches", "with_arguments_of"]

P = ParamSpec("P")

#: The interfaces of endpoints. Those that are not public have the name as the first part of their path.
INTERFACES = ("public", "internal", "admin")


def describe(help: str, *, flag: str | None = None, metavar: str | None = None) -> dict[str, str | None]:
    """Return the metadata of an option.

    Without ``flag`` the flag follows from the name of the field; an option with an empty one has no flag.
    """
    return {"help": help, "flag": flag, "metavar": metavar}


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The ways in which the simulated service can differ, as the clouds do."""

    bare_add_answer: bool = field(
        default=False, metadata=describe("answer an add with one bare member object, the other documented shape")
    )
    visible_after_reads: int = field(default=0, metadata=describe("hide a new member from the owner's first N reads"))
    accept_after_reads: int | None = field(
        default=None, metadata=describe("receivers accept by themselves after N reads of the owner")
    )
    token_life: float = field(default=86400.0, metadata=describe("seconds until a token expires"))
    backups: int = field(default=12, metadata=describe("how many server backups the owner has"))
    catalogue_with_project: bool = field(
        default=True,
        metadata=describe(
            "catalog URLs end in /v3/<project ID>; else they are the plain host", flag="--plain-catalogue"
        ),
    )
    regions: tuple[str, ...] = field(
        default=("eu-de",),
        metadata=describe(
            "region in which the catalog has the service; may be given again", flag="--region", metavar="REGION"
        ),
    )
    interfaces: tuple[str, ...] = field(
        default=("public",),
        metadata=describe(
            "interface in the catalog, public, internal or admin; may be given again",
            flag="--interface",
            metavar="INTERFACE",
        ),
    )
    catalog_template: str | None = field(
        default=None,
        metadata=describe("text in place of the project ID in the catalog, such as %(project_id)s", metavar="TEXT"),
    )
    project_domains: bool = field(
        default=False, metadata=describe("projects are in another domain (<role>-projects) than users")
    )
    passcode_required: bool = field(default=False, metadata=describe("a password needs a passcode (totp) beside it"))
    encrypted_allowed: bool = field(default=False, metadata=describe("encrypted backups can be shared"))
    disk_allowed: bool = field(default=False, metadata=describe("disk backups can be shared"))
    receiver_sees_member: bool = field(
        default=True,
        metadata=describe("the receiver can show the member of its own project", flag="--receiver-sees-no-member"),
    )
    page_size: int = field(
        default=1000, metadata=describe("most entries on one page, and how many there are without a limit")
    )
    shares: int = field(default=0, metadata=describe("how many shares there are at the start, in all statuses"))
    backups_with_members: bool = field(
        default=False, metadata=describe("the list of backups has the members of each backup")
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", tuple(self.regions))
        object.__setattr__(self, "interfaces", tuple(self.interfaces))
        unknown = set(self.interfaces) - set(INTERFACES)
        if unknown:
            raise ValueError(f"no such interface: {', '.join(sorted(unknown))} (there are {', '.join(INTERFACES)})")
        if self.page_size < 1:
            raise ValueError("page_size must be at least 1")


@dataclass(frozen=True)
class Options(Switches):
    """Everything that a simulator is made with."""

    seed: int = field(default=1, metadata=describe("where all IDs, names and secrets come from"))
    _: KW_ONLY
    port: int = field(default=0, metadata=describe("port on 127.0.0.1; 0 takes a free one"))
    state_file: str | os.PathLike[str] | None = field(
        default=None,
        metadata=describe(
            "keep the state in this file, and continue from it if it exists", flag="--state", metavar="FILE"
        ),
    )
    now: Callable[[], float] = field(default=time.time, metadata=describe("the clock, in epoch seconds", flag=""))
    latency: float = field(default=0.0, metadata=describe("seconds before each response"))


def with_arguments_of(
    options: Callable[P, Options],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Set the signature of an initializer to the options, and list them in its docstring."""

    def decorate(initializer: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(options).parameters.values()
        # The documentation tool and `help` read this attribute.
        initializer.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
        lines = (f"- ``{option.name}``: {option.metadata['help']}." for option in fields(Options))
        initializer.__doc__ = "\n".join(["Make a simulator; `start` serves it.", "", *lines])
        return initializer

    return decorate
