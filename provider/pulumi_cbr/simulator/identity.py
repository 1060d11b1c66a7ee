"""The identity service (Keystone v3): credentials, tokens and the service catalog.

Of HTTP, only the documents are known here. Tokens are in memory and end with the process.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pulumi_cbr.simulator.models import Account, Identifiers
from pulumi_cbr.simulator.state import State

__all__ = ["AGENCY", "Identity", "SignInRefused", "Token", "generate_passcode"]

#: The agency by which each account lets the other act for it.
AGENCY = "backup-sharing"

_PASSCODE_SECONDS = 30


class SignInRefused(Exception):
    """The credentials or the token are refused.

    ``status`` is 400 for a malformed request, 401 for wrong credentials and 403 for a missing permission.
    """

    status: int

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Token:
    """A token, with times in epoch seconds.

    A token without ``project_id`` is for the identity service only.
    """

    text: str
    account: Account
    methods: tuple[str, ...]
    project_id: str | None
    issued_at: float
    expires_at: float
    #: The account that acts for `account` through the agency, if any.
    assumed_by: Account | None = None


class Identity:
    """Issues, checks and revokes tokens."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def sign_in(self, document: object, authenticate: Callable[[], Account]) -> Token:
        """Return a token for the body of ``POST /v3/auth/tokens``.

        Methods: password and totp (user by ID, or by name and domain) or both, application_credential (by ID, or by
        name and user), token, and assume_role (agency and domain), for which ``authenticate`` returns the caller. The
        scope is a project (by ID, or by name and domain), a domain, or nothing. Raises `SignInRefused`.
        """
        auth = _read_object(document, "auth")
        identity = _read_object(auth, "identity")
        methods = _read_methods(identity)
        if methods == ("assume_role",):
            caller = authenticate()
            account = self._find_delegator(_read_object(identity, "assume_role"), caller)
            return self._issue(account, methods, self._find_scope(account, auth.get("scope")), assumed_by=caller)
        if self._state.switches.passcode_required and methods in [("password",), ("totp",)]:
            raise SignInRefused(401, "Additional authentications steps required.")
        accounts = {self._find_account(method, _read_object(identity, method)) for method in methods}
        if len(accounts) > 1:
            raise SignInRefused(401, "The methods are of different users.")
        account = accounts.pop()
        if methods == ("application_credential",):
            if "scope" in auth:
                raise SignInRefused(401, "Application credentials cannot request a scope.")
            return self._issue(account, methods, account.project_id)
        # A token does not outlive the one that it was requested with.
        until = self.check(identity["token"]["id"]).expires_at if methods == ("token",) else math.inf
        return self._issue(account, methods, self._find_scope(account, auth.get("scope")), until)

    def check(self, text: str | None) -> Token:
        """Return a token by its text.

        Raises `SignInRefused` if it is missing, unknown, revoked or expired.
        """
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
        """Revoke a token; an unknown one is no error."""
        with self._lock:
            self._tokens.pop(text, None)

    def revoke_all(self) -> None:
        """Revoke every token."""
        with self._lock:
            self._tokens.clear()

    def describe(self, token: Token, base_url: str) -> dict[str, Any]:
        """Return the document of a token: user, project, times and catalog."""
        account = token.account
        body: dict[str, Any] = {
            "methods": list(token.methods),
            "issued_at": _format_time(token.issued_at),
            "expires_at": _format_time(token.expires_at),
            "user": _describe_user(account),
            "catalog": [],
        }
        if token.assumed_by is not None:
            body["user"] |= {
                "id": _hexadecimal(self._state, account, "agency"),
                "name": f"{account.domain_name}/{AGENCY}",
            }
            body["assumed_by"] = {"user": _describe_user(token.assumed_by)}
        if token.project_id is not None:
            domain = self._project_domain(account)
            body["project"] = {"id": account.project_id, "name": account.project_name, "domain": domain}
            body["roles"] = [{"id": "0", "name": "cbr_adm"}]
            body["catalog"] = self._describe_catalog(account, base_url)
        return {"token": body}

    def projects(self, account: Account, name: str | None = None) -> list[dict[str, Any]]:
        """Return the account's projects, all or those with a name."""
        if name is not None and name != account.project_name:
            return []
        domain_id = self._project_domain(account)["id"]
        return [
            {
                "id": account.project_id,
                "name": account.project_name,
                "domain_id": domain_id,
                "parent_id": domain_id,
                "is_domain": False,
                "enabled": True,
                "description": "",
            }
        ]

    def passcode(self, account: Account) -> str:
        """Return the passcode that an account signs in with at this time."""
        return generate_passcode(_passcode_secret(self._state, account), self._state.now())

    def _describe_catalog(self, account: Account, base_url: str) -> list[dict[str, Any]]:
        switches = self._state.switches
        project = account.project_id if switches.catalog_template is None else switches.catalog_template
        suffix = f"/v3/{project}" if switches.catalogue_with_project else ""
        endpoints = [("iam", "identity", self._state.region, "/v3")]
        endpoints += [("cbr", "cbr", region, suffix) for region in switches.regions]
        catalog: dict[str, dict[str, Any]] = {}
        for name, kind, region, path in endpoints:
            number = Identifiers(self._state.seed).hexadecimal(f"endpoint {kind} {region}")
            entry = catalog.setdefault(kind, {"id": number, "type": kind, "name": name, "endpoints": []})
            for interface in switches.interfaces:
                prefix = "" if interface == "public" else f"/{interface}"
                url = f"{base_url}{prefix}{path}"
                endpoint = {"interface": interface, "region": region, "region_id": region, "url": url}
                entry["endpoints"].append({"id": number, **endpoint})
        return list(catalog.values())

    def _project_domain(self, account: Account) -> dict[str, str]:
        if not self._state.switches.project_domains:
            return {"id": account.domain_id, "name": account.domain_name}
        return {"id": _hexadecimal(self._state, account, "project domain"), "name": f"{account.role}-projects"}

    def _issue(
        self,
        account: Account,
        methods: tuple[str, ...],
        project_id: str | None,
        until: float = math.inf,
        assumed_by: Account | None = None,
    ) -> Token:
        now = self._state.now()
        with self._lock:
            self._issued += 1
            purpose = f"token {self._state.runs} {self._issued} {now}"
            text = "MII" + Identifiers(self._state.seed).hexadecimal(purpose, 128)
            expires_at = min(until, now + self._state.switches.token_life)
            token = Token(text, account, methods, project_id, now, expires_at, assumed_by)
            self._tokens[text] = token
        return token

    # Credentials

    def _find_account(self, method: str, document: dict[str, Any]) -> Account:
        """Return the account of one method's credentials. Raises `SignInRefused`."""
        if method == "token":
            text = document.get("id")
            return self.check(text if isinstance(text, str) else None).account
        if method == "application_credential":
            return self._find_by_application_credential(document)
        user = _read_object(document, "user")
        for account in self._state.accounts:
            if not _is_user(user, account):
                continue
            if method == "password" and user.get("password") == account.password:
                return account
            if method == "totp" and user.get("passcode") in self._valid_passcodes(account):
                return account
        raise SignInRefused(401, f"The username or {'password' if method == 'password' else 'passcode'} is wrong.")

    def _valid_passcodes(self, account: Account) -> list[str]:
        """Return the passcodes of this half minute and of the one before."""
        secret, now = _passcode_secret(self._state, account), self._state.now()
        return [generate_passcode(secret, now), generate_passcode(secret, now - _PASSCODE_SECONDS)]

    def _find_by_application_credential(self, document: dict[str, Any]) -> Account:
        for account in self._state.accounts:
            is_named = document.get("name") == account.role and _is_user(_read_object(document, "user"), account)
            is_it = document.get("id") == account.application_credential_id if "id" in document else is_named
            if is_it and document.get("secret") == account.application_credential_secret:
                return account
        raise SignInRefused(401, "The application credential is wrong.")

    def _find_delegator(self, document: dict[str, Any], caller: Account) -> Account:
        """Return the account for which the caller may act."""
        name = document.get("agency_name", document.get("xrole_name"))
        domain = {key: document[f"domain_{key}"] for key in ("id", "name") if f"domain_{key}" in document}
        for account in self._state.accounts:
            if name == AGENCY and account != caller and _is_domain(domain, _user_domain(account)):
                if not self._state.is_allowed("iam:agencies:assume", caller.role):
                    raise SignInRefused(403, "You are not authorized to perform the requested action.")
                return account
        raise SignInRefused(401, "The agency does not exist, or does not trust the caller.")

    def _find_scope(self, account: Account, scope: object) -> str | None:
        """Return the project of the scope, None for a domain or nothing. Raises `SignInRefused`."""
        if scope is None or scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
            return None
        if isinstance(scope, dict) and "domain" in scope:
            if not _is_domain(scope["domain"], _user_domain(account)):
                raise SignInRefused(401, "The domain is not the user's.")
            return None
        project = _read_object(scope, "project")
        is_id = project.get("id") == account.project_id
        is_name = project.get("name") == account.project_name and (
            "domain" not in project or _is_domain(project["domain"], self._project_domain(account))
        )
        if is_id or ("id" not in project and is_name):
            return account.project_id
        raise SignInRefused(401, "The project does not exist, or the user has no role in it.")


def generate_passcode(secret: bytes, now: float) -> str:
    """Return the six digits of RFC 6238 (TOTP) for a time in epoch seconds."""
    counter = int(now // _PASSCODE_SECONDS).to_bytes(8, "big")
    digest = hmac.new(secret, counter, hashlib.sha1).digest()
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def _passcode_secret(state: State, account: Account) -> bytes:
    return bytes.fromhex(_hexadecimal(state, account, "passcode secret", 40))


def _hexadecimal(state: State, account: Account, purpose: str, digits: int = 32) -> str:
    return Identifiers(state.seed).hexadecimal(f"{account.role}'s {purpose}", digits)


def _read_methods(identity: dict[str, Any]) -> tuple[str, ...]:
    methods = identity.get("methods")
    single = ("password", "totp", "application_credential", "token", "assume_role")
    allowed = [*([name] for name in single), ["password", "totp"], ["totp", "password"]]
    if not isinstance(methods, list) or methods not in allowed:
        raise SignInRefused(400, f"auth.identity.methods must be one of {', '.join(single)}, or password and totp.")
    return tuple(methods)


def _describe_user(account: Account) -> dict[str, Any]:
    return {"id": account.user_id, "name": account.username, "domain": _user_domain(account)}


def _user_domain(account: Account) -> dict[str, str]:
    return {"id": account.domain_id, "name": account.domain_name}


def _is_user(user: dict[str, Any], account: Account) -> bool:
    if "id" in user:
        return bool(user["id"] == account.user_id)
    return user.get("name") == account.username and _is_domain(user.get("domain"), _user_domain(account))


def _is_domain(wanted: object, domain: Mapping[str, str]) -> bool:
    """Return whether a request means a domain, by its ID or, without one, by its name."""
    if not isinstance(wanted, dict):
        return False
    key = "id" if "id" in wanted else "name"
    return bool(wanted.get(key) == domain[key])


def _read_object(document: object, key: str) -> dict[str, Any]:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, dict):
        raise SignInRefused(400, f"Expecting to find {key} in the request body.")
    return value


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
