"""The errors of calls, by what a caller can do about them.

::

    CbrError                             everything below
    ├── SettingsError                    a setting is missing or wrong: nothing was sent
    ├── InvalidId                        an ID is malformed: nothing was sent
    ├── ServiceUnavailableError          no response, or only 502, 503 or 504, until the deadline: nothing was changed
    ├── UnknownOutcomeError              the request may have been carried out: read before you send it again
    └── ServiceError                     the service, its gateway or the identity service refused
        ├── NotSignedIn                  401: the credentials are not accepted
        ├── NotAllowed                   403: the user lacks the permission
        ├── NotFound                     404 with the service's own code: the member or the backup does not exist
        ├── AlreadyShared                the project is a member already
        ├── LimitReached                 the backup has ten members already
        ├── NotShareable                 the backup's kind or status does not allow sharing
        ├── VaultRefused                 the receiver's vault is missing or does not fit
        ├── ImageRegistered              an image uses the share: it cannot be deleted now
        ├── Throttled                    429, until after the deadline
        └── UnexpectedResponseError      any other response
            ├── ContradictoryResponseError   "not found" for a backup that the service also returns
            └── RejectedUrlError             a gateway rejects an ID in the path
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_cbr import messages
from pulumi_cbr.api.text import one_line

if TYPE_CHECKING:
    from pulumi_cbr.api.models import Backup

_MAX_MESSAGE = 4000

#: The beginning of CBR's own error codes. Gateways and the identity service have others.
SERVICE_PREFIX = "BackupService."


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
    """An ID is malformed. Raised before anything is sent."""


class ServiceUnavailableError(CbrError):
    """The service or the identity service cannot be reached, or responds with 502, 503 or 504.

    Nothing was changed.
    """


class UnknownOutcomeError(CbrError):
    """The response of a call that changes something was lost.

    The call may or may not have been carried out.
    """

    #: When the first attempt was sent that may have been carried out, by the client's clock; None if that is not known.
    sent_at: float | None

    def __init__(self, message: str = "", sent_at: float | None = None) -> None:
        super().__init__(message)
        self.sent_at = sent_at


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
        text = messages.refused(operation, said, code=code, status=status, request_id=request_id)
        super().__init__(f"{text}. {advice}" if advice else text)

    @property
    def has_service_code(self) -> bool:
        """Whether the code is CBR's own, not a gateway's or the identity service's."""
        return self.code.startswith(SERVICE_PREFIX)

    @property
    def is_from_service(self) -> bool:
        """Whether CBR itself refused. It would have refused earlier attempts of the request too."""
        return self.has_service_code and self.status in (400, 404)

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

    @property
    def is_about_member(self) -> bool:
        """Whether the member does not exist (6705), rather than the backup (6200)."""
        return self.code.endswith("6705")


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

    #: An earlier attempt may have been carried out: the refusal was wrong.
    is_from_service = False
    #: The backup that it returned.
    backup: Backup | None = None


class RejectedUrlError(UnexpectedResponseError):
    """A gateway rejects an ID in the path as malformed. Some do so for a backup that is gone."""


#: Which error each of CBR's codes means. `messages.ADVICE_BY_CODE` has what to do about it.
CLASS_BY_CODE: dict[str, type[ServiceError]] = {
    "6105": VaultRefused,
    "6200": NotFound,
    "6700": NotShareable,
    "6701": LimitReached,
    "6702": NotShareable,
    "6703": AlreadyShared,
    "6704": NotShareable,
    "6705": NotFound,
    "6706": UnexpectedResponseError,
    "6707": NotShareable,
    "6708": UnexpectedResponseError,
    "6709": NotShareable,
    "6710": ImageRegistered,
    "6711": UnexpectedResponseError,
    "6712": VaultRefused,
    "6713": VaultRefused,
    "6714": AlreadyShared,
    "8600": NotAllowed,
    "9900": UnexpectedResponseError,
    "9910": UnexpectedResponseError,
    "9998": NotSignedIn,
}


# The names until 0.1, which programs may still catch.
LostAnswer = UnknownOutcomeError
Unreachable = ServiceUnavailableError
UnexpectedAnswer = UnexpectedResponseError
