"""Calls to the service: sign-in, attempts, retries, and what their outcomes mean."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.auth import AuthBase

from pulumi_cbr import messages
from pulumi_cbr.api.auth import Authenticator, make_authenticator, service_root
from pulumi_cbr.api.errors import CbrError, ServiceError, ServiceUnavailableError, UnknownOutcomeError
from pulumi_cbr.api.http import Session
from pulumi_cbr.api.network_errors import RequestNotSent, ResponseLost, classify_network_error
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.retry import (
    Backoff,
    CallLimits,
    Clock,
    Deadline,
    Outcome,
    is_repeatable,
    is_retryable,
    is_unknown,
)
from pulumi_cbr.api.settings import Settings


@dataclass(frozen=True)
class Request:
    """One call: its HTTP parts, and the words of its messages.

    `url` is a whole URL, or for `Transport.call` a path that it appends to ``.../v3/<own project id>``. `operation` starts every
    message. `action` is the permission (IAM action) that the call needs, `address_setting` the setting that gives its address.
    """

    operation: str
    method: str
    url: str
    action: str = ""
    address_setting: str = "endpoint"
    params: Mapping[str, str] | None = None
    body: object = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class _Failure:
    """An attempt that is no success."""

    outcome: Outcome
    error: CbrError
    #: When it was sent, in seconds of `Clock.monotonic`.
    sent_at: float
    #: The seconds that the service asks to wait.
    retry_after: float | None = None

    @property
    def is_from_service(self) -> bool:
        """Whether CBR itself refused: see `ServiceError.is_from_service`."""
        return isinstance(self.error, ServiceError) and self.error.is_from_service


class Transport:
    """Send calls of one project to the service.

    Thread-safe: attempts in flight at the same time do not share a connection.
    """

    def __init__(self, settings: Settings, timing: Clock | None = None, limits: CallLimits | None = None) -> None:
        self._settings = settings
        self._timing = timing or Clock()
        self._limits = limits or CallLimits()
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._redactor: tuple[tuple[str, ...], Redactor] | None = None
        self._authenticator: Authenticator | None = None
        self._location: tuple[str, str] | None = None
        self._clock_skew: timedelta | None = None

    @property
    def settings(self) -> Settings:
        """The settings that it was made with."""
        return self._settings

    @property
    def timing(self) -> Clock:
        """Its time and randomness."""
        return self._timing

    def project_id(self) -> str:
        """Return the own project's ID; signs in first if only its name is known."""
        return self._settings.project_id or self._get_authenticator().project_id(self.new_deadline())

    def endpoint(self) -> str:
        """Return the URL ``.../v3/<own project id>``.

        Signs in first if it needs the service catalog or the project's ID.
        """
        return self._locate(self._get_authenticator(), self.new_deadline())[0]

    def service_now(self) -> datetime:
        """Return the time of the service's last response, or of the identity service's."""
        return self._timing.now() + (self._known_skew() or timedelta())

    def knows_service_time(self) -> bool:
        """Return whether a response of the service or of the identity service had the time."""
        return self._known_skew() is not None

    def _known_skew(self) -> timedelta | None:
        sign_in_skew = self._authenticator.clock_skew if self._authenticator else None
        return sign_in_skew if self._clock_skew is None else self._clock_skew

    def new_deadline(self) -> Deadline:
        """Return the deadline of a call that starts now.

        Makes the authenticator before the deadline starts: the first time, this imports modules, and takes long.
        """
        self._get_authenticator()
        return Deadline(self._timing, self._settings.timeout)

    def new_backoff(self, deadline: Deadline, url: str) -> Backoff:
        """Return the waits of a call to `url` that starts now."""
        host = urlsplit(url).netloc
        return Backoff(self._timing, deadline, self._settings.max_retries, self._limits.outages, host)

    def call(self, request: Request, deadline: Deadline | None = None) -> ApiResponse:
        """Send a call below ``/v3/<own project id>``, and return its successful response.

        Raises `UnknownOutcomeError` if something may have been changed, and another `CbrError` if nothing was. For a DELETE that
        was sent again, `NotFound` can also mean that an earlier attempt deleted it. See `pulumi_cbr.api.retry` for what is
        sent again.
        """
        authenticator = self._get_authenticator()
        deadline = deadline or self.new_deadline()
        root, own = self._locate(authenticator, deadline)
        operation = f"{request.operation} (own project {own})"
        return self._send(replace(request, operation=operation, url=root + request.url), authenticator, deadline)

    def call_identity(self, operation: str, path: str) -> ApiResponse:
        """Send a GET to the identity service, and return its successful response.

        Raises `CbrError`.
        """
        authenticator = self._get_authenticator()
        url = f"{authenticator.identity_url()}{path}"
        return self._send(Request(operation, "GET", url, address_setting="authUrl"), authenticator, self.new_deadline())

    def _locate(self, authenticator: Authenticator, deadline: Deadline) -> tuple[str, str]:
        """Return the URL ``.../v3/<own project id>``, and the ID."""
        if self._location is None:
            own = authenticator.project_id(deadline)
            self._location = service_root(authenticator.endpoint(deadline), own, self._settings), own
        return self._location

    def _get_authenticator(self) -> Authenticator:
        with self._lock:
            if self._authenticator is None:
                self._authenticator = make_authenticator(self._settings, self._fetch, self._timing, self._limits)
            return self._authenticator

    def _fetch(
        self, operation: str, url: str, *, params: Mapping[str, str], authenticator: Authenticator
    ) -> ApiResponse:
        request = Request(operation, "GET", url, address_setting="authUrl", params=params)
        return self._send(request, authenticator, self.new_deadline())

    def _send(self, request: Request, authenticator: Authenticator, deadline: Deadline) -> ApiResponse:
        """Return a call's response, after as many attempts as it takes."""
        backoff = self.new_backoff(deadline, request.url)
        renewed = False
        # After one unknown attempt, the call's outcome is unknown, unless a later one succeeds or CBR itself refuses it.
        unknown = False
        sent_at = 0.0
        while True:
            try:
                auth = authenticator.auth(deadline)
                deadline.check(request.operation)
                result = self._attempt(request, auth, authenticator, deadline)
                if isinstance(result, ApiResponse):
                    return result
                if result.outcome is Outcome.UNAUTHORIZED and not renewed and authenticator.renew(auth):
                    renewed = True
                    continue
                if not unknown and is_unknown(request.method, result.outcome):
                    unknown, sent_at = True, result.sent_at
                throttled = result.outcome is Outcome.THROTTLED
                if is_retryable(request.method, result.outcome) and backoff.wait_before_retry(
                    str(result.error), result.retry_after, throttled=throttled
                ):
                    continue
            except CbrError as error:
                if unknown:
                    text = messages.unknown_after_error(request.operation, str(error))
                    raise UnknownOutcomeError(text, sent_at) from error
                raise
            if unknown and not result.is_from_service:
                raise UnknownOutcomeError(str(result.error), sent_at) from result.error.__cause__ or result.error
            raise result.error

    def _attempt(
        self, request: Request, auth: AuthBase, authenticator: Authenticator, deadline: Deadline
    ) -> ApiResponse | _Failure:
        """Send a call once. Raises `ServiceUnavailableError` if there is no free slot in time."""
        where_to_set = self._settings.where_to_set(request.address_setting)
        redactor = self._redactor_of((*self._settings.secrets(), *authenticator.secrets()))
        error: CbrError
        with self._session(request.operation, deadline) as session:
            sent_at = self._timing.monotonic()
            seconds = deadline.attempt_timeout(repeatable=is_repeatable(request.method))
            try:
                response = ApiResponse.of(self._exchange(session, request, auth, seconds), redactor, sent_at)
            except CbrError:
                raise
            except Exception as cause:  # urllib3's, ssl's and http.client's own errors pass through requests
                problem = classify_network_error(
                    cause,
                    request.url,
                    redactor,
                    where_to_set=where_to_set,
                    certificates=self._settings.where_to_set("caCert"),
                    was_sent=session.was_sent,
                )
                error = ServiceUnavailableError(messages.failed(request.operation, str(problem)))
                error.__cause__ = cause
                return _Failure(_outcome_without_response(problem), error, sent_at)
        if date := response.date():
            self._clock_skew = date - self._timing.now()
        outcome = response.outcome()
        if outcome is Outcome.SUCCESS:
            return response
        error = response.error(
            request.operation, sign_in_advice=authenticator.advice, where_to_set=where_to_set, action=request.action
        )
        if outcome is Outcome.UNAVAILABLE:
            refusal, error = error, ServiceUnavailableError(str(error))
            error.__cause__ = refusal
        return _Failure(outcome, error, sent_at, response.retry_after(self.service_now()))

    def _redactor_of(self, secrets: tuple[str, ...]) -> Redactor:
        # Preparing the encoded forms of each secret takes time, and only a new token changes them.
        with self._lock:
            if self._redactor is None or self._redactor[0] != secrets:
                self._redactor = secrets, Redactor(secrets)
            return self._redactor[1]

    def _exchange(self, session: Session, request: Request, auth: AuthBase, seconds: float) -> requests.Response:
        data = None if request.body is None else json.dumps(request.body).encode()
        content_type = {} if data is None else {"Content-Type": "application/json"}
        # requests encodes a space as `+`, which some gateways do not decode.
        query = f"?{urlencode(request.params, quote_via=quote)}" if request.params else ""
        return session.request(
            request.method,
            request.url + query,
            data=data,
            # As bytes: http.client encodes text as Latin-1, but signatures use UTF-8.
            headers={
                "Accept": "application/json",
                **content_type,
                **{name: text.encode() for name, text in (request.headers or {}).items()},
            },
            auth=auth,
            timeout=seconds,
            allow_redirects=False,
            # Set with each request, because REQUESTS_CA_BUNDLE overrides the session's.
            verify=self._settings.verify,
        )

    @contextmanager
    def _session(self, operation: str, deadline: Deadline) -> Iterator[Session]:
        """Reserve a session, and one of the slots for calls in flight.

        Raises `ServiceUnavailableError`.
        """
        if not self._limits.slots.acquire(timeout=deadline.remaining):
            raise ServiceUnavailableError(messages.not_sent_in_time(operation))
        try:
            with self._lock:
                # The last one used: its connection is the least likely to be closed by the service.
                session = self._idle.pop() if self._idle else None
            session = session or Session(self._timing, insecure=self._settings.insecure)
            yield session
            with self._lock:
                self._idle.append(session)
        finally:
            self._limits.slots.release()


def _outcome_without_response(problem: RequestNotSent | ResponseLost) -> Outcome:
    if isinstance(problem, ResponseLost):
        return Outcome.LOST
    return Outcome.NOT_SENT if problem.is_retryable else Outcome.NOT_SENDABLE
