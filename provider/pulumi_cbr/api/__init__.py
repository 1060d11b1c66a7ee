"""The members API of CBR without Pulumi, for scripts: `CbrClient`, its settings, its models and its errors."""

from typing import TYPE_CHECKING

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
from pulumi_cbr.lazy import import_on_use

if TYPE_CHECKING:
    from pulumi_cbr.api.client import CbrClient
    from pulumi_cbr.api.models import Backup, Member, Project, Vault
    from pulumi_cbr.api.settings import Settings, load

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

#: The modules that are imported when a program first uses one of these names.
_MODULES = {
    "pulumi_cbr.api.client": ("CbrClient",),
    "pulumi_cbr.api.models": ("Backup", "Member", "Project", "Vault"),
    "pulumi_cbr.api.settings": ("Settings", "load"),
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = import_on_use(__name__, _MODULES)
