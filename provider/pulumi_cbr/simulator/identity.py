"""The identity service: who signs in with what, and what a token is good for (Keystone v3).

Nothing here knows HTTP but the shape of the documents. Tokens live in memory: they end with the process.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pulumi_cbr.simulator.models import Account, Identifiers
from pulumi_cbr.simulator.state import State

__all__ = ["Identity", "SignInRefused", "Token"]


class SignInRefused(Exception):
    """Signing in failed. ``status`` is 400 (not a request to sign in) or 401 (not these credentials)."""

    status: int

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Token:
    """A token. Without a ``project_id`` it is good for identity alone. Times are epoch seconds."""

    text: str
    account: Account
    method: str
    project_id: str | None
    issued_at: float
    expires_at: float


class Identity:
    """Issues tokens, checks them, and takes them back."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def sign_in(self, document: object) -> Token:
        """Give a token for the body of ``POST /v3/auth/tokens``.

        Methods: password (user by ID, or by name and domain), application_credential (by ID, or by name and user) and
        token. The scope is a project (by ID, or by name and domain), a domain, or nothing. Raises `SignInRefused`.
        """
        auth = _at(document, "auth")
        identity = _at(auth, "identity")
        methods = identity.get("methods")
        if not isinstance(methods, list) or methods not in [[name] for name in _METHODS]:
            raise SignInRefused(400, f"auth.identity.methods must be one of {', '.join(_METHODS)}.")
        method: str = methods[0]
        account = _METHODS[method](self, _at(identity, method))
        if method == "application_credential":
            if "scope" in auth:
                raise SignInRefused(401, "Application credentials cannot request a scope.")
            return self._issue(account, method, account.project_id)
        # A token does not outlive the one that it was got with.
        until = self.check(identity["token"]["id"]).expires_at if method == "token" else math.inf
        return self._issue(account, method, self._scope(account, auth.get("scope")), until)

    def check(self, text: str | None) -> Token:
        """Give what a token stands for. Raises `SignInRefused` for one that is missing, unknown, revoked or expired."""
        if not text:
            raise SignInRefused(401, "x-auth-token not found")
        with self._lock:
            token = self._tokens.get(text)
        if token is None:
            raise SignInRefused(401, "decrypt token fail")
        if token.expires_at <= self._state.now():
            raise SignInRefused(401, "token expires")
        return token

    def revoke(self, text: str) -> None:
        """Take one token back; one that is not there is no error."""
        with self._lock:
            self._tokens.pop(text, None)

    def revoke_all(self) -> None:
        """Take every token back."""
        with self._lock:
            self._tokens.clear()

    def describe(self, token: Token, base_url: str) -> dict[str, Any]:
        """Give the body that goes with a token: who, which project, until when, and the catalogue."""
        account = token.account
        domain = {"id": account.domain_id, "name": account.domain_name}
        body: dict[str, Any] = {
            "methods": [token.method],
            "issued_at": _stamp(token.issued_at),
            "expires_at": _stamp(token.expires_at),
            "user": {"id": account.user_id, "name": account.username, "domain": domain},
            "catalog": [],
        }
        if token.project_id is not None:
            body["project"] = {"id": account.project_id, "name": account.project_name, "domain": domain}
            body["roles"] = [{"id": "0", "name": "cbr_adm"}]
            body["catalog"] = self._catalogue(account, base_url)
        return {"token": body}

    def projects(self, account: Account, name: str | None = None) -> list[dict[str, Any]]:
        """Give the account's projects, all or those of a name."""
        if name is not None and name != account.project_name:
            return []
        return [
            {
                "id": account.project_id,
                "name": account.project_name,
                "domain_id": account.domain_id,
                "parent_id": account.domain_id,
                "is_domain": False,
                "enabled": True,
                "description": "",
            }
        ]

    def _catalogue(self, account: Account, base_url: str) -> list[dict[str, Any]]:
        services = [("iam", "identity", self._state.region, f"{base_url}/v3")]
        suffix = f"/v3/{account.project_id}" if self._state.switches.catalogue_with_project else ""
        services += [("cbr", "cbr", region, f"{base_url}{suffix}") for region in self._state.switches.regions]
        catalogue: dict[str, dict[str, Any]] = {}
        for name, kind, region, url in services:
            number = Identifiers(self._state.seed).hexadecimal(f"endpoint {kind} {region}")
            entry = catalogue.setdefault(kind, {"id": number, "type": kind, "name": name, "endpoints": []})
            endpoint = {"id": number, "interface": "public", "region": region, "region_id": region, "url": url}
            entry["endpoints"].append(endpoint)
        return list(catalogue.values())

    def _issue(self, account: Account, method: str, project_id: str | None, until: float = math.inf) -> Token:
        now = self._state.now()
        with self._lock:
            self._issued += 1
            text = "MII" + Identifiers(self._state.seed).hexadecimal(
                f"token {self._state.runs} {self._issued} {now}", 128
            )
            until = min(until, now + self._state.switches.token_life)
            token = Token(text, account, method, project_id, now, until)
            self._tokens[text] = token
        return token

    def _by_password(self, document: dict[str, Any]) -> Account:
        user = _at(document, "user")
        for account in self._state.accounts:
            if _is_user(user, account) and user.get("password") == account.password:
                return account
        raise SignInRefused(401, "The username or password is wrong.")

    def _by_application_credential(self, document: dict[str, Any]) -> Account:
        for account in self._state.accounts:
            named = document.get("name") == account.role and _is_user(_at(document, "user"), account)
            right = document.get("id") == account.application_credential_id if "id" in document else named
            if right and document.get("secret") == account.application_credential_secret:
                return account
        raise SignInRefused(401, "The application credential is wrong.")

    def _by_token(self, document: dict[str, Any]) -> Account:
        text = document.get("id")
        return self.check(text if isinstance(text, str) else None).account

    def _scope(self, account: Account, scope: object) -> str | None:
        if scope is None or scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
            return None
        if isinstance(scope, dict) and "domain" in scope:
            if not _is_domain(scope["domain"], account):
                raise SignInRefused(401, "The domain is not the user's.")
            return None
        project = _at(scope, "project")
        by_id = project.get("id") == account.project_id
        by_name = project.get("name") == account.project_name and (
            "domain" not in project or _is_domain(project["domain"], account)
        )
        if by_id or ("id" not in project and by_name):
            return account.project_id
        raise SignInRefused(401, "The project does not exist, or the user has no role in it.")


_METHODS: dict[str, Callable[[Identity, dict[str, Any]], Account]] = {
    "password": Identity._by_password,
    "application_credential": Identity._by_application_credential,
    "token": Identity._by_token,
}


def _is_user(user: dict[str, Any], account: Account) -> bool:
    if "id" in user:
        return bool(user["id"] == account.user_id)
    return user.get("name") == account.username and _is_domain(user.get("domain"), account)


def _is_domain(domain: object, account: Account) -> bool:
    if not isinstance(domain, dict):
        return False
    if "id" in domain:
        return bool(domain["id"] == account.domain_id)
    return bool(domain.get("name") == account.domain_name)


def _at(document: object, key: str) -> dict[str, Any]:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, dict):
        raise SignInRefused(400, f"Expecting to find {key} in the request body.")
    return value


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
