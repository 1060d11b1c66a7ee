"""The errors of calls, by what a caller can do about them.

::

    CbrError                    everything below
    ├── SettingsError           a setting is missing or wrong: nothing was sent
    ├── InvalidId               an ID has not its form: nothing was sent
    ├── Unreachable             no answer, or 502, 503, 504, for as long as a call may take; nothing was changed
    ├── LostAnswer              the call may or may not have been carried out: look before you send it again
    └── ServiceError            the service, its gateway or the identity service refused
        ├── NotSignedIn         401: the credentials are not accepted
        ├── NotAllowed          403: the user lacks the permission
        ├── NotFound            404 with the service's own code: the member or the backup does not exist
        ├── AlreadyShared       the project is a member already
        ├── LimitReached        ten projects are members already
        ├── NotShareable        the backup is not of a kind, or not in a state, that can be shared
        ├── VaultRefused        the receiver's vault is missing or does not fit
        ├── ImageRegistered     an image was made of the share: it cannot be taken away now
        ├── Throttled           429, for longer than a call may take
        └── UnexpectedAnswer    anything else, above all what does not look like an answer of the service
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_cbr.api.redact import one_line

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Backup

_MAX_MESSAGE = 4000


class CbrError(Exception):
    """Base of every error that this package raises.

    ``str()`` is one line that can be shown as it is.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(str(message), _MAX_MESSAGE))


class SettingsError(CbrError):
    """A setting is missing, has the wrong type, or contradicts another.

    The text names the setting and where to set it.
    """


class InvalidId(CbrError, ValueError):
    """An ID has not the form that the service asks for. Raised before anything is sent."""


class ServiceUnavailableError(CbrError):
    """The service or the identity service cannot be reached, or answers 502, 503 or 504.

    Nothing was changed.
    """


class UnknownOutcomeError(CbrError):
    """The response of a call that changes something was lost.

    The call may or may not have been carried out.
    """

    #: When the first attempt was sent that may have been carried out, by the client's clock; None if that is not known.
    sent_at: float | None = None


class ServiceError(CbrError):
    """The call was refused."""

    #: HTTP status of the response.
    status: int
    #: The service's own code such as ``BackupService.6703``, or a gateway's. Empty if there is none.
    code: str
    #: What the service said, in its own words.
    said: str
    #: The response's ``X-Request-Id``, which the provider's support asks for. Empty if there is none.
    request_id: str

    def __init__(
        self, operation: str, *, status: int, code: str = "", said: str = "", request_id: str = "", advice: str = ""
    ) -> None:
        self.status = status
        self.code = code
        self.said = said
        self.request_id = request_id
        facts = ", ".join(filter(None, (code, f"HTTP {status}", f"request {request_id}" if request_id else "")))
        text = f"{operation}: {said.rstrip('.') or 'refused without a reason'} ({facts})"
        super().__init__(f"{text}. {advice}" if advice else text)

    @property
    def is_own(self) -> bool:
        """Whether the service itself refused, so that requests before this one were refused too."""
        return self.code.startswith("BackupService.") and self.status in (400, 404)

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception pickles only its text, which is no argument of the constructor.
        return Exception.__new__, (type(self), *self.args), self.__dict__


class NotSignedIn(ServiceError):
    """The credentials are not accepted, even after a new sign-in."""


class NotAllowed(ServiceError):
    """The user is known, but lacks the permission (IAM action) for the call."""


class NotFound(ServiceError):
    """The member (6705) or the backup (6200) does not exist: the service itself says so."""

    #: Whether the backup's own GET has said that the backup is gone.
    is_backup_gone: bool = False


class AlreadyShared(ServiceError):
    """The backup is shared with the project already (6703, 6714)."""


class LimitReached(ServiceError):
    """The backup is shared with as many projects as it can be (6701)."""


class NotShareable(ServiceError):
    """The backup cannot be shared, or not with this project.

    Codes 6700, 6702, 6704, 6707, 6709.
    """


class VaultRefused(ServiceError):
    """The receiver's vault does not exist, or cannot take the backup (6105, 6712, 6713)."""


class ImageRegistered(ServiceError):
    """The receiver made an image of the shared backup, which has to go first (6710)."""


class Throttled(ServiceError):
    """The service asks to wait for longer than the call may take."""


class UnexpectedResponseError(ServiceError):
    """The response is not one that the service gives.

    It is a gateway's, a wrong endpoint's, or lacks a part.
    """


class ContradictoryResponseError(UnexpectedResponseError):
    """The service says that a backup does not exist, and returns it."""

    #: The backup that it returned.
    backup: Backup | None = None


class RejectedUrlError(UnexpectedResponseError):
    """A gateway rejects an ID in the path as malformed. Some do so for a backup that is gone."""


#: Which error the service's codes mean, and what to do about them.
BY_CODE: dict[str, tuple[type[ServiceError], str]] = {
    "6105": (VaultRefused, "Check `vault_id`: it must be a vault of the receiver's own project"),
    "6200": (NotFound, "Check the backup's ID, the region, and the project that you are signed in to"),
    "6700": (NotShareable, "Only backups of cloud servers can be shared here: share a server's backup"),
    "6701": (LimitReached, "A backup can be shared with 10 projects: delete a share first"),
    "6702": (NotShareable, "Wait until the backup's status is `available`, then run again"),
    "6703": (AlreadyShared, "Keep that share, or take it away before it is made anew"),
    "6704": (
        NotShareable,
        "Check the destination project's ID: it must be a project of the same region, and not your own",
    ),
    "6705": (NotFound, "Check both IDs; the share may have been taken away, or the owner may not have made it yet"),
    "6706": (UnexpectedResponseError, "The status or the vault's ID was not accepted: check `vault_id`"),
    "6707": (NotShareable, "Sharing is not allowed for this backup or account: ask the cloud's support to enable it"),
    "6708": (
        UnexpectedResponseError,
        "Look at the share's status, and whether the vault has room for the backup, then run again",
    ),
    "6709": (
        NotShareable,
        "Backups of servers with encrypted disks cannot be shared here: share one of an unencrypted server",
    ),
    "6710": (ImageRegistered, "The receiver made an image of it: have that image deleted, then run again"),
    "6711": (
        UnexpectedResponseError,
        "The share was not taken away: run again, and ask the cloud's support if it stays",
    ),
    "6712": (VaultRefused, "Wait until the vault's status is `available`, or choose another vault"),
    "6713": (VaultRefused, "Choose a vault whose type fits the backup (a server vault for a server's backup)"),
    "6714": (AlreadyShared, "Keep that share, or take it away before it is made anew"),
    "8600": (NotAllowed, "The account lacks its real-name authentication: complete it in the cloud's console"),
    "9900": (UnexpectedResponseError, "The service did not accept a value of the request: check the IDs"),
    "9910": (UnexpectedResponseError, "Run again later, and give the request's ID to the cloud's support if it stays"),
    "9998": (NotSignedIn, "The service could not check the credentials: run again later, then check them"),
}


# The names until 0.1, which programs may still catch.
LostAnswer = UnknownOutcomeError
Unreachable = ServiceUnavailableError
UnexpectedAnswer = UnexpectedResponseError
