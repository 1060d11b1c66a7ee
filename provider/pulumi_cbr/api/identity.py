"""The keystoneauth1 plugin for each way to sign in with a token, and the one that acts for an agency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import access
from keystoneauth1.identity import v3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from pulumi_cbr.api.settings import Settings


def plugin_for(settings: Settings) -> BaseIdentityPlugin:
    """Return the plugin that the settings ask for. Raises `SettingsError` if an entry of clouds.yaml is broken."""
    plugin = _own_plugin(settings)
    return AgencyPlugin(plugin, settings) if settings.agency_name else plugin


def _own_plugin(settings: Settings) -> BaseIdentityPlugin:
    if settings.method == "cloud":
        from pulumi_cbr.api import clouds

        return clouds.plugin_of(settings)
    url = v3_url(settings.auth_url or "")
    if settings.method == "token":
        if settings.agency_name:
            return _GivenToken(url, settings.token or "")
        return v3.Token(url, token=settings.token or "", **_scope(settings))
    if settings.method == "applicationCredential":
        return v3.ApplicationCredential(
            url,
            application_credential_id=settings.application_credential_id,
            application_credential_secret=settings.application_credential_secret or "",
        )
    user = _user(settings)
    if not settings.passcode:
        return v3.Password(url, password=settings.password or "", **user, **_scope(settings))
    methods: list[Any] = [v3.PasswordMethod(password=settings.password or "", **user)]
    methods.append(v3.TOTPMethod(passcode=settings.passcode, **user))
    return v3.Auth(url, methods, **_scope(settings))


def _user(settings: Settings) -> dict[str, Any]:
    # A user's ID needs no domain.
    if settings.user_id:
        return {"user_id": settings.user_id}
    return _given(
        {
            "username": settings.username,
            "user_domain_name": settings.user_domain_name,
            "user_domain_id": settings.user_domain_id,
        }
    )


def _scope(settings: Settings) -> dict[str, Any]:
    """Return the own project, or the own domain to act for an agency without a project."""
    project_id, name = settings.project_id, settings.project_name
    if settings.agency_name:
        project_id, name = settings.source_project_id, settings.source_project_name
        if not project_id and not name:
            return _given({"domain_name": settings.user_domain_name, "domain_id": settings.user_domain_id})
    # A project's ID needs no domain.
    if project_id:
        return {"project_id": project_id}
    has_own = settings.project_domain_name or settings.project_domain_id
    return _given(
        {
            "project_name": name,
            "project_domain_name": settings.project_domain_name if has_own else settings.user_domain_name,
            "project_domain_id": settings.project_domain_id if has_own else settings.user_domain_id,
        }
    )


def _given(values: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _GivenToken(BaseIdentityPlugin):
    """Uses a token as it is, to act for an agency."""

    def __init__(self, auth_url: str, token: str) -> None:
        super().__init__(auth_url)
        self._token = token

    def get_token(self, session: Session, **kwargs: Any) -> str | None:
        return self._token

    def get_auth_ref(self, session: Session, **kwargs: Any) -> access.AccessInfo:
        raise NotImplementedError

    def invalidate(self) -> bool:
        return False


class AgencyPlugin(BaseIdentityPlugin):
    """Signs in as oneself, and then for an agency of another account (identity method ``assume_role``)."""

    def __init__(self, own: BaseIdentityPlugin, settings: Settings) -> None:
        super().__init__(own.auth_url)
        self._own = own
        self._settings = settings

    def get_auth_ref(self, session: Session, **kwargs: Any) -> access.AccessInfo:
        """Return the token to work in the agency's project with."""
        token = self._own.get_token(session)
        url = f"{v3_url(self.auth_url or '')}/auth/tokens"
        response = session.post(
            url,
            json=self._body(),
            headers={"Accept": "application/json", "X-Auth-Token": token or ""},
            authenticated=False,
            log=False,
        )
        return access.create(resp=response, auth_token=response.headers["X-Subject-Token"])

    def invalidate(self) -> bool:
        """Forget both tokens."""
        return any([self._own.invalidate(), super().invalidate()])

    def _body(self) -> dict[str, Any]:
        settings = self._settings
        kind, domain = (
            ("id", settings.agency_domain_id) if settings.agency_domain_id else ("name", settings.agency_domain_name)
        )
        project: dict[str, Any] = {"id": settings.project_id}
        if not settings.project_id:
            project = {"name": settings.project_name, "domain": {kind: domain}}
        # The clouds' own tools send `xrole_name`, the older name of `agency_name`.
        role = {"xrole_name": settings.agency_name, f"domain_{kind}": domain}
        identity = {"methods": ["assume_role"], "assume_role": role}
        return {"auth": {"identity": identity, "scope": {"project": project}}}


def v3_url(url: str) -> str:
    """Return an identity service's URL with its version, which is often left out."""
    url = url.rstrip("/")
    return url if url.endswith("/v3") else f"{url}/v3"
