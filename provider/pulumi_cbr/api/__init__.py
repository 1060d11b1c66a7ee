"""The members API of CBR without Pulumi, for scripts: `CbrClient`, its settings, its models and its errors."""

from typing import TYPE_CHECKING, Any

from pulumi_cbr.api.errors import (
    AlreadyShared,
    CbrError,
    ImageRegistered,
    InvalidId,
    LimitReached,
    LostAnswer,
    NotAllowed,
    NotFound,
    NotShareable,
    NotSignedIn,
    ServiceError,
    ServiceUnavailableError,
    SettingsError,
    Throttled,
    UnexpectedAnswer,
    UnexpectedResponseError,
    UnknownOutcomeError,
    Unreachable,
    VaultRefused,
)
from pulumi_cbr.api.models import Backup, Member, Project, Vault
from pulumi_cbr.api.settings import Settings, load

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient

__all__ = [
    "AlreadyShared",
    "Backup",
    "CbrClient",
    "CbrError",
    "ImageRegistered",
    "InvalidId",
    "LimitReached",
    "LostAnswer",
    "Member",
    "NotAllowed",
    "NotFound",
    "NotShareable",
    "NotSignedIn",
    "Project",
    "ServiceError",
    "ServiceUnavailableError",
    "Settings",
    "SettingsError",
    "Throttled",
    "UnexpectedAnswer",
    "UnexpectedResponseError",
    "UnknownOutcomeError",
    "Unreachable",
    "Vault",
    "VaultRefused",
    "load",
]


def __getattr__(name: str) -> Any:
    # The client brings requests: programs that only declare resources do not wait for it.
    if name == "CbrClient":
        from pulumi_cbr.api.client import CbrClient

        return CbrClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
