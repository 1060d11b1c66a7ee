"""One response of the service, of a gateway or of the identity service: how its body is read, and which error it means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests

from pulumi_cbr import messages
from pulumi_cbr.api.errors import (
    CLASS_BY_CODE,
    SERVICE_PREFIX,
    CbrError,
    NotAllowed,
    NotFound,
    NotSignedIn,
    RejectedUrlError,
    ServiceError,
    ServiceUnavailableError,
    Throttled,
    UnexpectedResponseError,
)
from pulumi_cbr.api.models import MalformedResponse
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.retry import Outcome
from pulumi_cbr.api.text import decode, one_line

#: The keys under which the service, its gateways and the identity service tell a code and a message.
_CODE_KEYS = ("error_code", "errorCode", "code")
_MESSAGE_KEYS = ("error_msg", "errorMsg", "message", "title")

#: Characters of a response that are looked through for a message.
_MAX_SHOWN = 20_000
#: Values in the JSON of a response. A page of 100 backups has less than 50,000.
_MAX_JSON_VALUES = 400_000

#: With these statuses, the call was not carried out, whoever responded. With others, only an error code of the service says so.
_REFUSALS = frozenset({400, 401, 402, 403, 405, 406, 407, 411, 413, 414, 415, 417, 422, 428, 431, 451})


@dataclass(frozen=True)
class ApiResponse:
    """A response whose body has been read to its end.

    Header names are lower case. The repr shows neither headers nor the body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: Hides the credentials that a response may echo.
    redactor: Redactor = field(repr=False)
    #: When its request was sent, in seconds of `Clock.monotonic`.
    sent_at: float = 0.0

    @classmethod
    def of(cls, response: requests.Response, redactor: Redactor, sent_at: float = 0.0) -> ApiResponse:
        """Return a response of `requests` in this form."""
        headers = {name.lower(): text for name, text in response.headers.items()}
        return cls(response.status_code, headers, response.content, redactor, sent_at)

    @property
    def ok(self) -> bool:
        """Whether the call was carried out."""
        return 200 <= self.status < 300

    def outcome(self) -> Outcome:
        """Return what the response says of its call."""
        if self.ok:
            return Outcome.SUCCESS
        if self.status in (408, 502, 503, 504):
            return Outcome.UNAVAILABLE
        if self.status == 429:
            return Outcome.THROTTLED
        if self.status == 401 and not self.is_malformed_url():
            return Outcome.UNAUTHORIZED
        own_code = 400 <= self.status < 500 and self.has_service_code()
        return Outcome.REFUSED if own_code or self.status in _REFUSALS else Outcome.UNCLEAR

    def has_service_code(self) -> bool:
        """Return whether the body has an error code of the service's own."""
        return self._code_and_message()[0].startswith(SERVICE_PREFIX)

    @property
    def request_id(self) -> str:
        """The ID by which the service's support finds the call; empty if there is none."""
        text = self.headers.get("x-request-id") or self.headers.get("x-openstack-request-id") or ""
        return one_line(self.redactor.redact(text), 80)

    def json_object(self) -> Mapping[str, object]:
        """Return the body, which must be a JSON object. Raises `MalformedResponse`."""
        data = self._json()
        if isinstance(data, dict):
            return data
        what = "empty" if not self.body.strip() else "JSON, but no object" if data is not None else "not JSON"
        raise MalformedResponse(f"the body is {what}")

    def retry_after(self, now: datetime) -> float | None:
        """Return the seconds of the header ``Retry-After`` in either form, or None without it."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
            return float(text)
        at = _date(text)
        return (at - now).total_seconds() if at else None

    def date(self) -> datetime | None:
        """Return the service's time from the header ``Date``, or None if it is not usable."""
        at = _date(self.headers.get("date", ""))
        return at if at and 1970 <= at.year < 9000 else None

    def error(
        self, operation: str, *, sign_in_advice: str = "", where_to_set: str = "the endpoint", action: str = ""
    ) -> CbrError:
        """Translate the response into the error that it means.

        This is a `ServiceError`, or a `ServiceUnavailableError` for a proxy's response.

        `operation` says what was tried, `sign_in_advice` what to check when the credentials are refused, `where_to_set` where
        the user gives the address, `action` the permission (IAM action) that the call needs.
        """
        if self.status == 407:
            return ServiceUnavailableError(messages.failed(operation, messages.proxy_denied("this host")))
        code, said = self._code_and_message()
        number = code.removeprefix(SERVICE_PREFIX)
        kind, advice = CLASS_BY_CODE.get(number), messages.ADVICE_BY_CODE.get(number, "")
        if kind is None or (kind is NotFound and self.status != 404):
            kind, advice = self._by_status(sign_in_advice, where_to_set, action, code)
        return kind(
            operation,
            status=self.status,
            code="" if code == str(self.status) else one_line(code, 60),
            said=one_line(said, 300),
            request_id=self.request_id,
            advice=advice,
        )

    def _by_status(
        self, sign_in_advice: str, where_to_set: str, action: str, code: str
    ) -> tuple[type[ServiceError], str]:
        if self.is_malformed_url():
            return RejectedUrlError, messages.url_rejected()
        if self.status == 401:
            return NotSignedIn, sign_in_advice
        if self.status == 403 and code.upper().startswith("APIG"):
            return NotAllowed, messages.gateway_refused(code.rpartition(".")[2])
        if self.status == 403:
            return NotAllowed, messages.needs_permission(action) if action else sign_in_advice
        if self.status == 429:
            return Throttled, messages.try_later()
        if self.status == 404:
            return UnexpectedResponseError, messages.unknown_not_found(where_to_set)
        if 300 <= self.status < 400:
            return UnexpectedResponseError, messages.redirected(where_to_set)
        return UnexpectedResponseError, messages.try_later() if self.status >= 500 else ""

    def is_malformed_url(self) -> bool:
        """Return whether a gateway rejects an ID in the path. Its 401 is not about the token."""
        return self.status == 401 and "malformed request url" in self.body.decode(errors="replace").lower()

    def _json(self) -> object:
        # Many small values take far more memory than their text.
        if sum(self.body.count(mark) for mark in (b",", b"{", b"[")) > _MAX_JSON_VALUES:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def _code_and_message(self) -> tuple[str, str]:
        data = self._json()
        # A single wrapper such as {"error": {...}} or {"unauthorized": {...}}.
        if isinstance(data, dict) and len(data) == 1:
            (inner,) = data.values()
            data = inner if isinstance(inner, dict) else data
        if isinstance(data, dict):
            code, said = (
                next((str(data[key]) for key in keys if isinstance(data.get(key), (str, int)) and data[key]), "")
                for keys in (_CODE_KEYS, _MESSAGE_KEYS)
            )
            if code or said:
                return self._redact(code), self._redact(said)
        text = self._redact(decode(self.body[: 4 * _MAX_SHOWN]))
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        if title:
            return "", messages.web_page(one_line(title.group(1), 200))
        if text.lstrip().startswith("<"):
            return "", messages.web_page("")
        return "", text[:1000].strip() or "an empty body"

    def _redact(self, text: str) -> str:
        # Redact before any other cut: a secret that is cut off is found only if it ends the text.
        return self.redactor.redact(text[:_MAX_SHOWN])


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
        return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
