"""Signing in: what puts credentials on a request, which project is one's own, and where the service is."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import requests
from requests import PreparedRequest
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.addresses import is_elsewhere, other_region_of
from pulumi_cbr.api.endpoints import host_of, with_version
from pulumi_cbr.api.errors import (
    CbrError,
    InvalidId,
    NotAllowed,
    NotSignedIn,
    ServiceUnavailableError,
    SettingsError,
    Throttled,
    UnexpectedResponseError,
)
from pulumi_cbr.api.http import Session as HttpSession
from pulumi_cbr.api.models import MalformedResponse
from pulumi_cbr.api.network_errors import classify_network_error, is_network_error
from pulumi_cbr.api.redact import Redactor
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.retry import Backoff, Deadline
from pulumi_cbr.api.settings import PROJECT_TEMPLATE, SETTINGS, Settings, check_url
from pulumi_cbr.api.signing import AccessKeyAuth
from pulumi_cbr.api.single_flight import SingleFlight
from pulumi_cbr.api.text import one_line

if TYPE_CHECKING:
    from keystoneauth1.access.access import AccessInfo

    from pulumi_cbr.api.retry import CallLimits, Clock

#: A token is renewed this long (seconds) before its end, or a tenth of its life where that is less.
_RENEWED_BEFORE = 120.0

#: Refused credentials are not sent again for this many seconds.
_REFUSED_FOR = 60.0


class TokenAuth(AuthBase):
    """Put a token on each request, as a `requests` auth object. The repr does not show it."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return "TokenAuth(...)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("tokens are not pickled")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header ``X-Auth-Token``."""
        request.headers["X-Auth-Token"] = self.token
        return request


class Fetch(Protocol):
    """A signed GET of the identity service, with its retries."""

    def __call__(
        self, operation: str, url: str, *, params: Mapping[str, str], authenticator: Authenticator
    ) -> ApiResponse: ...


class Authenticator(Protocol):
    """A way to sign in."""

    #: What to do when the service does not accept the credentials.
    advice: str
    #: How far the identity service's clock is ahead, if a sign-in told it.
    clock_skew: timedelta | None

    def auth(self, deadline: Deadline) -> AuthBase:
        """Return what signs a request. Signs in first if that needs a call."""

    def renew(self, refused: AuthBase) -> bool:
        """Forget what was refused, and return whether another sign-in may help."""

    def project_id(self, deadline: Deadline) -> str:
        """Return the own project's ID."""

    def endpoint(self, deadline: Deadline) -> str:
        """Return the service's URL, with or without ``/v3/<project id>``."""

    def secrets(self) -> Iterable[str]:
        """Return the tokens that signing in gave. The other secrets are in `Settings.secrets`."""

    def identity_url(self) -> str:
        """Return the identity service's URL, with ``/v3``.

        Raises `SettingsError` if no setting has it.
        """


@dataclass(frozen=True)
class _Token:
    """A token and what came with it.

    `until` is in seconds of `Clock.monotonic`: the time of day may be wrong here or at the service.
    """

    token: str = field(repr=False)
    project_id: str | None
    access: AccessInfo = field(repr=False)
    until: float


class TokenAuthenticator:
    """Sign in with ``POST /v3/auth/tokens``, by a plugin of keystoneauth1.

    All threads share one token.

    Credentials that were refused, and have never been accepted before, are not sent again for a minute: after a few times,
    accounts are locked.
    """

    clock_skew: timedelta | None = None
    #: For a 401 after a new token. The credentials are right: they just gave that token.
    advice = "The identity service gave a new token, which is not accepted here: check the endpoint and the region"

    def __init__(self, settings: Settings, timing: Clock, limits: CallLimits) -> None:
        from keystoneauth1.session import Session

        from pulumi_cbr.api.identity import plugin_for

        self._settings = settings
        self._timing = timing
        self._limits = limits
        self._lock = threading.Lock()
        self._plugin = plugin_for(settings)
        self._responses: list[ApiResponse] = []
        session = HttpSession(timing, insecure=settings.insecure)
        session.hooks["response"].append(self._remember)
        # The identity service must not send the credentials on to somebody else.
        self._session = Session(session=session, verify=settings.verify, redirect=False, app_name="pulumi-cbr")
        self._tokens: set[str] = set()
        self._attempted = f"signing in at {settings.auth_url or f'the cloud `{settings.cloud}`'}"
        self._refusal: tuple[float, CbrError] | None = None
        agency = ", the agency" if settings.agency_name else ""
        self._refusal_advice = settings.with_rerun_advice(
            messages.check(f"{_CREDENTIAL_DESCRIPTIONS[settings.method]}{agency}, and the project")
        )
        self._flight = SingleFlight[_Token]()
        self._token: _Token | None = None

    def auth(self, deadline: Deadline) -> AuthBase:
        return TokenAuth(self._signed_in(deadline).token)

    def renew(self, refused: AuthBase) -> bool:
        with self._lock:
            # Another thread may have renewed it already.
            if isinstance(refused, TokenAuth) and self._token and refused.token == self._token.token:
                self._token = None
        return True

    def project_id(self, deadline: Deadline) -> str:
        token = self._signed_in(deadline)
        found, wanted = token.project_id, self._settings.project_id
        self._check_region(token.access.project_name)
        if not found:
            raise SettingsError(messages.token_for_no_project(self._settings.where_to_set("projectId")))
        if wanted and wanted != found:
            raise SettingsError(messages.other_project_id(found, wanted, self._settings.where_to_set("projectId")))
        name = self._settings.project_name
        # The name was ignored if an ID was given too, or if the credentials are of one project only.
        decided_otherwise = wanted or self._settings.method in ("applicationCredential", "cloud")
        if name and decided_otherwise and (token.access.project_name or "").casefold() != name.casefold():
            raise SettingsError(messages.other_project(found, name, self._settings.where_to_set("projectName")))
        return found

    def _check_region(self, project: str | None) -> None:
        """Raise `SettingsError` for a project of another region.

        There, all backups would seem to be deleted.
        """
        region = self._settings.region
        if other := other_region_of(project, region):
            place = self._settings.where_to_set("region")
            raise SettingsError(messages.two_regions(f"the project `{project}`", other, place, str(region)))

    def endpoint(self, deadline: Deadline) -> str:
        if self._settings.endpoint:
            return self._settings.endpoint
        try:
            endpoints_by_type = self._signed_in(deadline).access.service_catalog.get_endpoints(
                interface=self._settings.interface
            )
            urls: dict[str, set[str]] = {}
            for entry in endpoints_by_type.get("cbr", ()):
                if entry and entry.get("url"):
                    region = str(entry.get("region_id") or entry.get("region") or "")
                    urls.setdefault(region, set()).add(str(entry["url"]).rstrip("/"))
            service_types = ", ".join(sorted(endpoints_by_type)) or "nothing"
        except CbrError:
            raise
        except Exception as error:  # keystoneauth1 does not check the catalog's shape
            raise UnexpectedResponseError(
                self._attempted,
                status=201,
                said=messages.not_a_service_catalog(),
                advice=_auth_url_advice(self._settings),
            ) from error
        return _choose_address(self._settings, urls, service_types)

    def secrets(self) -> Iterable[str]:
        return list(self._tokens)

    def identity_url(self) -> str:
        return _identity_url(self._settings.auth_url or getattr(self._plugin, "auth_url", None))

    def _signed_in(self, deadline: Deadline) -> _Token:
        token = self._valid_token()
        if token:
            return token
        deadline.check(self._attempted)
        try:
            return self._flight.do("token", self._sign_in, deadline.remaining)
        except TimeoutError:
            raise ServiceUnavailableError(messages.no_response_in_time(self._attempted)) from None

    def _valid_token(self) -> _Token | None:
        with self._lock:
            token = self._token
        return token if token and self._timing.monotonic() < token.until else None

    def _sign_in(self) -> _Token:
        # Another sign-in may have ended between the caller's look at the token and this call.
        token = self._valid_token()
        if token:
            return token
        if self._refusal and self._timing.monotonic() < self._refusal[0]:
            raise self._refusal[1]
        deadline = Deadline(self._timing, self._settings.timeout)
        backoff = Backoff(
            self._timing, deadline, self._settings.max_retries, self._limits.outages, self._settings.auth_url or ""
        )
        while True:
            self._responses.clear()
            # Always fetch a new token: this class decides when. keystoneauth1 would compare the time of day.
            self._plugin.invalidate()
            self._session.timeout = deadline.attempt_timeout(repeatable=True)
            try:
                grant = self._read_token(self._plugin.get_access(self._session))
            except Exception as error:  # keystoneauth1 leaks KeyError and the like where the response is odd
                problem, again, retry_after = self._problem(error)
                throttled = isinstance(problem, Throttled)
                if not (again and backoff.wait_before_retry(str(problem), retry_after, throttled=throttled)):
                    if isinstance(problem, (NotSignedIn, NotAllowed)) and not self._tokens:
                        self._refusal = self._timing.monotonic() + _REFUSED_FOR, problem
                    raise problem from error
            else:
                with self._lock:
                    self._tokens.add(grant.token)
                    self._token = grant
                return grant

    def _read_token(self, access: AccessInfo) -> _Token:
        """Return the token that keystoneauth1 read from a response.

        Raises errors of many types if the response is not an identity service's.
        """
        if not re.fullmatch("[!-~]+", access.auth_token or ""):
            raise MalformedResponse("no token in the header X-Subject-Token")
        project_id = _parse_project_id("the token's project", access.project_id) if access.project_id else None
        try:
            life = (access.expires - access.issued).total_seconds() if access.expires and access.issued else 0.0
        except (KeyError, ValueError, TypeError, AttributeError):
            life = 0.0
        # If the lifetime is missing or not positive, use the token until it is refused.
        life = life - min(_RENEWED_BEFORE, life / 10) if life > 0 else math.inf
        return _Token(access.auth_token or "", project_id, access, self._timing.monotonic() + life)

    def _problem(self, error: Exception) -> tuple[CbrError, bool, float | None]:
        """Return the error of a failed sign-in, whether to retry, and the wait before that."""
        if isinstance(error, CbrError):
            return error, False, None
        redactor = Redactor(self._settings.secrets())
        # A sign-in may send several requests. If the last one broke, the stored responses are of earlier ones.
        if not self._responses or _is_broken(error):
            if not is_network_error(error):
                text = one_line(redactor.redact(str(error)), 200).rstrip(".")
                return SettingsError(messages.failed(self._attempted, text or type(error).__name__)), False, None
            failed = classify_network_error(
                error,
                self._settings.auth_url or "",
                redactor,
                where_to_set=self._settings.where_to_set("authUrl"),
                certificates=self._settings.where_to_set("caCert"),
            )
            return ServiceUnavailableError(messages.failed(self._attempted, str(failed))), failed.is_retryable, None
        response = self._responses[-1]
        if response.ok:
            said = str(error) if isinstance(error, MalformedResponse) else f"HTTP {response.status}, but no token"
            return (
                UnexpectedResponseError(
                    self._attempted,
                    status=response.status,
                    said=messages.not_an_identity_response(said),
                    request_id=response.request_id,
                    advice=_auth_url_advice(self._settings),
                ),
                True,
                None,
            )
        refused = response.error(
            self._attempted, sign_in_advice=self._refusal_advice, where_to_set=self._settings.where_to_set("authUrl")
        )
        wait = response.retry_after(response.date() or self._timing.now())
        if response.status >= 500:
            return ServiceUnavailableError(f"{refused}. {_auth_url_advice(self._settings)}"), True, wait
        return refused, isinstance(refused, Throttled), wait

    def _remember(self, response: requests.Response, *args: object, **kwargs: object) -> None:
        kept = ApiResponse.of(response, Redactor(self._settings.secrets()))
        self._responses.append(kept)
        if date := kept.date():
            self.clock_skew = date - self._timing.now()


def _choose_address(settings: Settings, urls: Mapping[str, set[str]], service_types: str) -> str:
    """Return the address of CBR among those of a catalog, by their region.

    Raises `SettingsError` unless exactly one is right.
    """
    place = settings.where_to_set("endpoint")
    if not urls:
        raise SettingsError(messages.catalog_without_cbr(settings.interface, service_types, place))
    region = next(iter(urls)) if settings.region is None and len(urls) == 1 else settings.region
    if region is None or region not in urls:
        offered = sorted(filter(None, urls))
        if not offered:
            raise SettingsError(messages.catalog_without_regions(place))
        raise SettingsError(messages.catalog_without_region(region, offered, settings.where_to_set("region")))
    # A catalog may list one address twice: with and without the project.
    addresses = {re.sub("/v3(/[^/]*)?$", "", url): url for url in sorted(urls[region])}
    if len(addresses) > 1:
        raise SettingsError(messages.catalog_with_several(sorted(map(host_of, addresses)), place))
    (url,) = addresses.values()
    if is_elsewhere(url, settings.auth_url, region):
        raise SettingsError(messages.catalog_elsewhere(host_of(url), place))
    return url


class FixedTokenAuthenticator:
    """Use a given token as it is: the project and the endpoint are known, so nothing is asked."""

    clock_skew: timedelta | None = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.advice: str = settings.with_rerun_advice(messages.renew_token(settings.where_to_set("token")))

    def auth(self, deadline: Deadline) -> AuthBase:
        return TokenAuth(self._settings.token or "")

    def renew(self, refused: AuthBase) -> bool:
        return False

    def project_id(self, deadline: Deadline) -> str:
        return self._settings.project_id or ""

    def endpoint(self, deadline: Deadline) -> str:
        return self._settings.endpoint or ""

    def secrets(self) -> Iterable[str]:
        return []

    def identity_url(self) -> str:
        return _identity_url(self._settings.auth_url)


class AccessKeyAuthenticator:
    """Sign every request with an access key.

    A project's name is looked up once (``GET /v3/projects``).
    """

    clock_skew: timedelta | None = None

    def __init__(self, settings: Settings, fetch: Fetch, timing: Clock) -> None:
        self._settings = settings
        self.advice: str = settings.with_rerun_advice(messages.check_access_key())
        self._fetch = fetch
        self._timing = timing
        # If no project is set, use the region's project, which has the region's name.
        self._name = settings.project_name or settings.region or ""
        self._flight = SingleFlight[str]()
        self._project_id = settings.project_id

    def auth(self, deadline: Deadline) -> AuthBase:
        return AccessKeyAuth(
            self._settings.access_key or "",
            self._settings.secret_key or "",
            project_id=self._project_id,
            security_token=self._settings.security_token,
            now=self._timing.now,
        )

    def renew(self, refused: AuthBase) -> bool:
        return False

    def project_id(self, deadline: Deadline) -> str:
        if self._project_id:
            return self._project_id
        operation = f"looking up the project `{self._name}`"
        deadline.check(operation)
        try:
            return self._flight.do("project", self._look_up_project, deadline.remaining)
        except TimeoutError:
            raise ServiceUnavailableError(messages.no_response_in_time(operation)) from None

    def endpoint(self, deadline: Deadline) -> str:
        return self._settings.endpoint or ""

    def secrets(self) -> Iterable[str]:
        return []

    def identity_url(self) -> str:
        return _identity_url(self._settings.auth_url)

    def _look_up_project(self) -> str:
        if self._project_id:
            return self._project_id
        name, identity = self._name, self._settings.auth_url
        if not identity:
            raise SettingsError(messages.unknown_identity_host(self._settings.where_to_set("projectId")))
        operation = f"looking up the project `{name}` at {identity}"
        url = f"{self.identity_url()}/projects"
        response = self._fetch(operation, url, params={"name": name}, authenticator=self)
        try:
            projects = response.json_object().get("projects")
            named = [entry for entry in projects if entry.get("name") == name] if isinstance(projects, list) else []
            found = {_parse_project_id("the project's ID", entry["id"]) for entry in named}
            if len(found) == 1:
                self._project_id = found.pop()
                return self._project_id
        except (MalformedResponse, AttributeError, KeyError) as error:
            raise UnexpectedResponseError(
                operation,
                status=response.status,
                said=messages.not_an_identity_response(str(error)),
                request_id=response.request_id,
                advice=_auth_url_advice(self._settings),
            ) from error
        problem = messages.several_projects_of_key if found else messages.no_project_of_key
        raise SettingsError(problem(name, self._settings.where_to_set("projectId")))


def _is_broken(error: Exception) -> bool:
    """Return whether an error of keystoneauth1 is a broken connection, not an odd response."""
    from keystoneauth1.exceptions import ConnectionError as Broken

    return isinstance(error, (Broken, HTTPError, OSError)) and not isinstance(error, requests.JSONDecodeError)


def _parse_project_id(name: str, value: object) -> str:
    """Check a project's ID from a response. The error does not quote it.

    Raises `MalformedResponse`.
    """
    try:
        return ids.project_id(name, value)
    except InvalidId:
        raise MalformedResponse(f"{name} must be a project ID") from None


def _auth_url_advice(settings: Settings) -> str:
    return messages.check(settings.where_to_set("authUrl"))


#: What to check first when a sign-in is refused, by its method.
_CREDENTIAL_DESCRIPTIONS = {
    "cloud": "the credentials in the entry of clouds.yaml",
    "token": "the token, which may have expired",
    "applicationCredential": "the application credential's ID and secret",
    "password": "the user, its domain and its password",
}


def _identity_url(url: object) -> str:
    if not url:
        raise SettingsError(messages.no_identity_address(SETTINGS["authUrl"].all_places()))
    return with_version(str(url))


def make_authenticator(settings: Settings, fetch: Fetch, timing: Clock, limits: CallLimits) -> Authenticator:
    """Choose the way to sign in that the settings ask for. Raises `SettingsError`."""
    if settings.method == "accessKey":
        return AccessKeyAuthenticator(settings, fetch, timing)
    if settings.method == "token" and settings.endpoint and settings.project_id and not settings.agency_name:
        return FixedTokenAuthenticator(settings)
    return TokenAuthenticator(settings, timing, limits)


def service_root(endpoint: str, project_id: str, settings: Settings) -> str:
    """Return ``…/v3/<project id>`` for an endpoint that has all, ``/v3`` or none of it.

    Raises `SettingsError`.
    """
    endpoint = PROJECT_TEMPLATE.sub(project_id, endpoint)
    origin = settings.where_to_set("endpoint") if settings.endpoint else messages.catalog_address()
    check_url(origin, endpoint, insecure=settings.insecure)
    ending = re.search(r"/v3(?:/([0-9a-fA-F]{32}))?$", endpoint.rstrip("/"))
    host, found = (endpoint[: ending.start()], ending[1]) if ending else (endpoint.rstrip("/"), None)
    if settings.endpoint and found and found.lower() != project_id:
        raise SettingsError(messages.endpoint_of_other_project(settings.where_to_set("endpoint"), found, project_id))
    return f"{host}/v3/{project_id}"
