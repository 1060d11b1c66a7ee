"""The keystoneauth1 plugin for each way to sign in with a token, and the one that acts for an agency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import access, token_endpoint
from keystoneauth1.identity import v3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session

from pulumi_cbr.api.endpoints import with_version
from pulumi_cbr.api.settings import Settings


def plugin_for(settings: Settings) -> BaseIdentityPlugin:
    """Return the plugin that the settings ask for.

    Raises `SettingsError` if an entry of clouds.yaml is broken.
    """
    url = with_version(settings.auth_url or "")
    if settings.method == "token" and settings.agency_name:
        # The token is used as it is: the agency's project is the only scope.
        return AgencyPlugin(token_endpoint.Token(url, settings.token), url, settings)
    plugin = _own_plugin(settings, url)
    return AgencyPlugin(plugin, plugin.auth_url or "", settings) if settings.agency_name else plugin


def _own_plugin(settings: Settings, url: str) -> BaseIdentityPlugin:
    if settings.method == "cloud":
        from pulumi_cbr.api import clouds

        return clouds.plugin_of(settings.cloud or "", settings.region, settings.cloud_overrides)
    if settings.method == "token":
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


class AgencyPlugin(BaseIdentityPlugin):
    """Sign in as oneself, and then for an agency (identity method ``assume_role``)."""

    def __init__(self, own: BaseAuthPlugin, auth_url: str, settings: Settings) -> None:
        super().__init__(auth_url)
        self._own = own
        self._settings = settings

    def get_auth_ref(self, session: Session, **kwargs: Any) -> access.AccessInfo:
        """Return the token to work in the agency's project with."""
        token = self._own.get_token(session)
        url = f"{with_version(self.auth_url or '')}/auth/tokens"
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
        # `xrole_name`, as OTC's API reference, otcextensions and gophertelekomcloud have it. Huawei Cloud's newer
        # `agency_name` is of another call: `POST /v3.0/OS-CREDENTIAL/securitytokens`.
        role = {"xrole_name": settings.agency_name, f"domain_{kind}": domain}
        identity = {"methods": ["assume_role"], "assume_role": role}
        return {"auth": {"identity": identity, "scope": {"project": project}}}
