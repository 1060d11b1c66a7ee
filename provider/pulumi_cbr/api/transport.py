"""The only place that talks HTTP: sessions, sign-in, timeouts, retries, error translation, and a log without credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import requests
from requests.auth import AuthBase

from pulumi_cbr.api.auth import Authenticator, service_root, sign_in
from pulumi_cbr.api.errors import CbrError, NotSignedIn, ServiceError, ServiceUnavailableError, UnknownOutcomeError
from pulumi_cbr.api.http import RequestNotSent, ResponseLost, failure, new_session
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.retry import Clock, Patience
from pulumi_cbr.api.settings import Settings


class Transport:
    """Send calls of one project to the service. Four threads and more may share it: each has its own connections."""

    def __init__(self, settings: Settings, timing: Clock | None = None) -> None:
        self._settings = settings
        self._timing = timing or Clock()
        self._threads = threading.local()
        self._sign_in_lock = threading.Lock()
        self._sign_in: Authenticator | None = None
        self._place: tuple[str, str] | None = None
        self._ahead = timedelta()

    @property
    def settings(self) -> Settings:
        """The settings that it was made with."""
        return self._settings

    @property
    def timing(self) -> Clock:
        """Its time and chance."""
        return self._timing

    def project_id(self) -> str:
        """Give the own project's ID; signs in first where it is known by its name only."""
        return self._settings.project_id or self._signing_in().project_id(self._patience())

    def endpoint(self) -> str:
        """Give the URL that all paths are below; signs in first where only the catalogue knows it."""
        return self._located(self._signing_in(), self._patience())[0]

    def service_now(self) -> datetime:
        """Give the time by the service's own clock, as its last answer told it."""
        return self._timing.now() + self._ahead

    def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        action: str,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """Send one call to ``/v3/<own project id>`` + `path`, and give its answer, which is a success.

        `operation` begins every message, `action` is the permission that the call needs. Raises `UnknownOutcomeError` where
        something may have been changed, and another `CbrError` where nothing was. See `pulumi_cbr.api.retry` for what
        is tried again.
        """
        signing_in = self._signing_in()
        patience = self._patience()
        root, own = self._located(signing_in, patience)
        return self._tried(
            f"{operation} (own project {own})",
            method,
            root + path,
            patience=patience,
            signing_in=signing_in,
            action=action,
            params=params,
            body=body,
            headers=headers,
        )

    def _located(self, signing_in: Authenticator, patience: Patience) -> tuple[str, str]:
        if self._place is None:
            own = signing_in.project_id(patience)
            self._place = service_root(signing_in.endpoint(patience), own, self._settings), own
        return self._place

    def _signing_in(self) -> Authenticator:
        with self._sign_in_lock:
            if self._sign_in is None:
                self._sign_in = sign_in(self._settings, self._fetch, self._timing)
            return self._sign_in

    def _fetch(
        self, operation: str, url: str, *, params: Mapping[str, str], signing_in: Authenticator, patience: Patience
    ) -> ApiResponse:
        return self._tried(
            operation, "GET", url, patience=patience, signing_in=signing_in, params=params, setting="authUrl"
        )

    def _patience(self) -> Patience:
        return Patience(self._timing, self._settings.timeout, self._settings.max_retries)

    def _tried(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        patience: Patience,
        signing_in: Authenticator,
        setting: str = "endpoint",
        action: str = "",
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        repeatable = method in ("GET", "DELETE")
        changes = method != "GET"
        renewed = False
        # Once an answer was lost, the call may have been carried out, whatever becomes of the tries after it.
        lost = False
        while True:
            try:
                auth = signing_in.auth(patience)
                patience.begin(operation)
            except CbrError as error:
                if lost:
                    raise UnknownOutcomeError(f"{operation}: no answer, and then {error}") from error
                raise
            seconds = patience.for_one_try(repeatable=repeatable)
            problem: CbrError
            retry_after = None
            secrets = [*self._settings.secrets(), *signing_in.secrets()]
            try:
                answer = self._send(
                    method, url, auth, seconds, setting, secrets, params=params, body=body, headers=headers
                )
            except (RequestNotSent, ResponseLost) as error:
                lost = lost or (changes and isinstance(error, ResponseLost))
                again = error.again and (repeatable or not lost)
                problem = ServiceUnavailableError(f"{operation}: {error}")
                cause = error.__cause__
            else:
                if answer.ok:
                    return answer
                problem = answer.error(
                    operation,
                    sign_in=signing_in.advice,
                    setting=setting,
                    action=action,
                )
                refused = answer.status == 401 and isinstance(problem, NotSignedIn)
                if refused and not renewed and signing_in.renew(auth):
                    renewed = True
                    continue
                cause = None
                again = answer.status == 429 or (repeatable and answer.status in (502, 503, 504))
                retry_after = answer.retry_after(self.service_now())
                lost = (
                    lost or (changes and answer.status in (502, 503, 504)) or (answer.status >= 500 and not repeatable)
                )
                if answer.status in (502, 503, 504):
                    problem, cause = ServiceUnavailableError(str(problem)), problem
            if again and patience.again(str(problem), retry_after):
                continue
            if lost and not _tells_the_outcome(problem):
                raise UnknownOutcomeError(str(problem)) from cause or problem
            raise problem from cause

    def _send(
        self,
        method: str,
        url: str,
        auth: AuthBase,
        seconds: float,
        setting: str,
        secrets: list[str],
        *,
        params: Mapping[str, str] | None,
        body: object,
        headers: Mapping[str, str] | None,
    ) -> ApiResponse:
        """Give the answer to one try, whatever its status. Raises `RequestNotSent` or `Lost`."""
        data = None if body is None else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        try:
            # A gateway may take the `+` that requests writes for a space for what it is.
            query = f"?{urlencode(params, quote_via=quote)}" if params else ""
            response = self._session().request(
                method,
                url + query,
                data=data,
                # As bytes: a text that is not Latin-1 would be refused, and one that is would be signed as UTF-8.
                headers={
                    "Accept": "application/json",
                    **kind,
                    **{name: v.encode() for name, v in (headers or {}).items()},
                },
                auth=auth,
                timeout=seconds,
                allow_redirects=False,
                # Given with each request, or the environment's REQUESTS_CA_BUNDLE would come before the setting.
                verify=self._settings.verify,
            )
        except Exception as error:  # urllib3's, ssl's and http.client's own errors pass through requests
            raise failure(error, url, setting, secrets) from error
        answer = ApiResponse.of(response, secrets)
        if date := answer.date():
            self._ahead = date - self._timing.now()
        return answer

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = new_session(self._timing, insecure=self._settings.insecure)
        return session


def _tells_the_outcome(problem: CbrError) -> bool:
    """Tell whether the service itself refused: then all is known, also after a DELETE whose first answer was lost."""
    return (
        isinstance(problem, ServiceError) and problem.status in (400, 404) and problem.code.startswith("BackupService.")
    )
