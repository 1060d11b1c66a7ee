"""The HTTP API: routes of the identity service and of CBR, as a Flask application.

`state` and `identity` decide. This module reads requests and makes their results, or refusals, HTTP responses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.identity import Identity, SignInRefused, Token
from pulumi_cbr.simulator.models import Account, Backup, MemberRecord, Vault
from pulumi_cbr.simulator.openapi import openapi_document
from pulumi_cbr.simulator.paging import filter_equal, page, sort
from pulumi_cbr.simulator.representations import (
    format_microseconds,
    format_milliseconds,
    read_backup_field,
    represent_backup,
    represent_member,
    represent_vault,
)
from pulumi_cbr.simulator.signatures import SCHEME, SignatureRefused, check_signature
from pulumi_cbr.simulator.state import State

__all__ = ["create_app", "json_body"]

_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MEMBERS = "/v3/<project_id>/backups/<backup_id>/members"
_MEMBER = f"{_MEMBERS}/<member_id>"

_MEMBER_FILTERS = ("dest_project_id", "image_id", "status", "vault_id")
_MEMBER_SORT_KEYS = ("created_at", "updated_at", "status", "id", "dest_project_id")
_BACKUP_FILTERS = (
    "name",
    "resource_id",
    "resource_type",
    "resource_name",
    "status",
    "vault_id",
    "checkpoint_id",
    "image_type",
)
_BACKUP_SORT_KEYS = ("created_at", "updated_at", "name", "status", "protected_at", "id")
#: These are fields of a vault's ``billing``.
_BILLING_FILTERS = ("cloud_type", "object_type", "protect_type", "status")
#: For vaults without backups: 2020-01-01.
_VAULTS_CREATED_AT = 1577836800.0

#: The gateway's code for credentials that it does not accept.
_NOT_SIGNED_IN = "APIGW.0301"


class _EarlyResponse(Exception):
    """The response is known before the handler ends."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.body = body
        super().__init__(status)


class _Route(Rule):
    """A route without code that builds its URL: to compile that takes longer than all else."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return lambda *_values: ("", self.rule)


def create_app(state: State, identity: Identity, base_url: Callable[[], str]) -> Flask:
    """Return the application; ``base_url`` returns its URL, for the catalog."""
    app = Flask("pulumi_cbr.simulator", static_folder=None)
    app.url_rule_class = _Route
    # The service does not redirect a path with an extra slash.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_error_handler(Refused, _respond_refused)
    app.register_error_handler(_EarlyResponse, lambda early: _respond(early.status, early.body))
    app.register_error_handler(SignInRefused, _respond_sign_in_refused)
    app.register_error_handler(HTTPException, _respond_no_route)
    _add_versions(app, base_url)
    _add_identity(app, state, identity, base_url)
    access = _Access(state, identity)
    _add_members(app, state, access)
    _add_backups(app, state, access)
    _add_vaults(app, state, access)
    app.get("/openapi.json")(lambda: _respond(200, openapi_document(base_url())))
    return app


# Identity


def _add_versions(app: Flask, base_url: Callable[[], str]) -> None:
    def version() -> dict[str, Any]:
        links = [{"rel": "self", "href": f"{base_url()}/v3/"}]
        types = [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]
        updated = "2020-04-07T00:00:00Z"
        return {"id": "v3.14", "status": "stable", "updated": updated, "links": links, "media-types": types}

    @app.get("/")
    def versions() -> Response:
        return _respond(200, {"versions": {"values": [version()]}})

    @app.get("/v3")
    def version_three() -> Response:
        return _respond(200, {"version": version()})


def _add_identity(app: Flask, state: State, identity: Identity, base_url: Callable[[], str]) -> None:
    def with_token(status: int, token: Token) -> Response:
        response = _respond(status, identity.describe(token, base_url()))
        response.headers["X-Subject-Token"] = token.text
        return response

    @app.post("/v3/auth/tokens")
    def sign_in() -> Response:
        return with_token(201, identity.sign_in(json_body(), lambda: _authenticate(state, identity)[0]))

    @app.get("/v3/auth/tokens")
    def validate() -> Response:
        identity.check(request.headers.get("X-Auth-Token"))
        try:
            return with_token(200, identity.check(request.headers.get("X-Subject-Token")))
        except SignInRefused as refused:
            raise _EarlyResponse(404, _identity_error(404, str(refused))) from None

    @app.delete("/v3/auth/tokens")
    def revoke() -> Response:
        identity.check(request.headers.get("X-Auth-Token"))
        identity.revoke(request.headers.get("X-Subject-Token", ""))
        return Response(status=204)

    @app.get("/v3/projects")
    def projects() -> Response:
        account, _project = _authenticate(state, identity)
        links = {"self": f"{base_url()}/v3/projects"}
        return _respond(200, {"projects": identity.projects(account, request.args.get("name")), "links": links})

    @app.get("/v3/auth/projects")
    def own_projects() -> Response:
        account, _project = _authenticate(state, identity)
        links = {"self": f"{base_url()}/v3/auth/projects"}
        return _respond(200, {"projects": identity.projects(account), "links": links})


# CBR


class _Access:
    """The checks before every call of the CBR API: path, credentials, project and permission."""

    def __init__(self, state: State, identity: Identity) -> None:
        self._state = state
        self._identity = identity

    def check(self, action: str, project_id: str, uuid: str | None = None, member_id: str | None = None) -> None:
        """Raise the response of the first check that fails."""
        is_well_formed = (
            _PROJECT_ID.fullmatch(project_id)
            and (uuid is None or _UUID.fullmatch(uuid))
            and (member_id is None or _PROJECT_ID.fullmatch(member_id))
        )
        if not is_well_formed:
            raise _EarlyResponse(401, {"unauthorized": {"code": "401", "message": "Malformed request url"}})
        account, own_project = _authenticate(self._state, self._identity)
        if own_project != project_id or request.headers.get("X-Project-Id", project_id) != project_id:
            raise _EarlyResponse(401, _gateway_error(_NOT_SIGNED_IN, "the project in the url is not the caller's"))
        if not self._state.is_allowed(action, account.role):
            message = f"Policy doesn't allow {action} to be performed."
            raise _EarlyResponse(403, {"error": {"code": "403", "message": message, "title": "Forbidden"}})


def _add_members(app: Flask, state: State, access: _Access) -> None:
    @app.post(_MEMBERS)
    def add(project_id: str, backup_id: str) -> Response:
        access.check("cbr:member:create", project_id, backup_id)
        wanted = _read_object("The body must be an object with members.").get("members")
        records = state.add_members(project_id, backup_id.lower(), wanted)
        added = [represent_member(record, format_microseconds) for record in records]
        return _respond(200, added[0] if state.switches.bare_add_answer else {"members": added, "count": len(added)})

    @app.get(_MEMBERS)
    def members(project_id: str, backup_id: str) -> Response:
        access.check("cbr:member:list", project_id, backup_id)
        records = state.list_members(project_id, backup_id.lower())
        found = [represent_member(record, format_milliseconds) for record in records]
        return _respond_with_page(state, "members", found, _MEMBER_FILTERS, _MEMBER_SORT_KEYS)

    @app.get(_MEMBER)
    def member(project_id: str, backup_id: str, member_id: str) -> Response:
        access.check("cbr:member:get", project_id, backup_id, member_id)
        return _respond_with_member(state.show_member(project_id, backup_id.lower(), member_id))

    @app.put(_MEMBER)
    def update(project_id: str, backup_id: str, member_id: str) -> Response:
        access.check("cbr:member:update", project_id, backup_id, member_id)
        body = _read_object("The body must be an object with status.")
        status, vault_id = body.get("status"), body.get("vault_id")
        return _respond_with_member(state.update_member(project_id, backup_id.lower(), member_id, status, vault_id))

    @app.delete(_MEMBER)
    def delete(project_id: str, backup_id: str, member_id: str) -> Response:
        access.check("cbr:member:delete", project_id, backup_id, member_id)
        state.delete_member(project_id, backup_id.lower(), member_id)
        return Response(status=204)


def _add_backups(app: Flask, state: State, access: _Access) -> None:
    @app.get("/v3/<project_id>/backups/<backup_id>")
    def backup(project_id: str, backup_id: str) -> Response:
        access.check("cbr:backups:get", project_id, backup_id)
        return _respond(200, {"backup": represent_backup(state.show_backup(project_id, backup_id.lower()))})

    @app.get("/v3/<project_id>/backups")
    def backups(project_id: str) -> Response:
        access.check("cbr:backups:list", project_id)
        own_type = request.args.get("own_type", "private")
        if own_type not in ("private", "shared", "all_granted"):
            raise Refused(9900, "own_type must be private, shared or all_granted.")
        member_status = request.args.get("member_status")
        found = [
            backup
            for backup, status in state.visible_backups(project_id)
            if own_type in ("all_granted", "private" if status is None else "shared")
            and member_status in (None, status)
        ]
        # Represented last: there can be many thousands.
        found = filter_equal(found, request.args, _BACKUP_FILTERS, read_backup_field)
        order = request.args.get("sort", "created_at:desc")
        found = sort(found, order, _BACKUP_SORT_KEYS, read_backup_field)
        shown = page(found, request.args, state.switches.page_size, read_backup_field)
        return _respond(200, {"backups": [represent(backup, project_id) for backup in shown], "count": len(found)})

    def represent(backup: Backup, project_id: str) -> dict[str, Any]:
        if not state.switches.backups_with_members:
            return represent_backup(backup)
        members = state.members(backup.id).values()
        is_own = backup.project_id == project_id
        return represent_backup(backup, [m for m in members if is_own or m.dest_project_id == project_id])


def _add_vaults(app: Flask, state: State, access: _Access) -> None:
    @app.get("/v3/<project_id>/vaults/<vault_id>")
    def vault(project_id: str, vault_id: str) -> Response:
        access.check("cbr:vaults:get", project_id, vault_id)
        for vault in state.visible_vaults(project_id):
            if vault.id == vault_id.lower():
                return _respond(200, {"vault": represent(vault)})
        raise Refused(6105)

    @app.get("/v3/<project_id>/vaults")
    def vaults(project_id: str) -> Response:
        access.check("cbr:vaults:list", project_id)
        found = [represent(vault) for vault in state.visible_vaults(project_id)]
        found = [
            entry
            for entry in found
            if all(
                request.args.get(name, entry["billing"][name]) == entry["billing"][name] for name in _BILLING_FILTERS
            )
        ]
        return _respond_with_page(state, "vaults", found, ("id", "name"), ())

    def represent(vault: Vault) -> dict[str, Any]:
        stored = state.stored_backups(vault.id)
        created_at = min((backup.created_at for backup in stored), default=_VAULTS_CREATED_AT)
        return represent_vault(vault, stored, created_at)


def _respond_with_member(record: MemberRecord) -> Response:
    return _respond(200, {"member": represent_member(record, format_milliseconds)})


def _respond_with_page(
    state: State, kind: str, found: list[dict[str, Any]], filters: tuple[str, ...], sort_keys: tuple[str, ...]
) -> Response:
    found = filter_equal(found, request.args, filters, dict.get)
    found = sort(found, request.args.get("sort"), sort_keys, dict.get)
    return _respond(200, {kind: page(found, request.args, state.switches.page_size, dict.get), "count": len(found)})


def _authenticate(state: State, identity: Identity) -> tuple[Account, str | None]:
    """Return the account that calls, by signature or token, and its project."""
    if request.headers.get("Authorization", "").startswith(SCHEME):
        headers = {
            name.lower(): value.encode("latin-1", "replace").decode("utf-8", "replace")
            for name, value in request.headers
        }
        target = request.environ["REQUEST_URI"]
        try:
            account = check_signature(state.accounts, request.method, target, headers, request.get_data(), state.now())
        except SignatureRefused as refused:
            raise _bad_credentials(refused) from None
        return account, account.project_id
    try:
        token = identity.check(request.headers.get("X-Auth-Token"))
    except SignInRefused as refused:
        raise _bad_credentials(refused) from None
    return token.account, token.project_id


def _bad_credentials(refused: Exception) -> _EarlyResponse:
    return _EarlyResponse(401, _gateway_error(_NOT_SIGNED_IN, f"Incorrect IAM authentication information: {refused}"))


# Bodies


def json_body() -> object:
    """Return the JSON body of any content type, None if it is malformed or nested too deep."""
    try:
        return request.get_json(force=True, silent=True)
    except RecursionError:
        return None


def _read_object(message: str) -> dict[str, Any]:
    """Return the JSON object in the body, or raise `Refused` with 9900 and the message."""
    body = json_body()
    if not isinstance(body, dict):
        raise Refused(9900, message)
    return body


def _respond(status: int, body: dict[str, Any]) -> Response:
    response: Response = jsonify(body)
    response.status_code = status
    return response


def _respond_refused(refused: Refused) -> Response:
    return _respond(refused.status, _gateway_error(refused.code, refused.message))


def _gateway_error(code: str, message: str) -> dict[str, Any]:
    return {"error_code": code, "error_msg": message}


def _identity_error(status: int, message: str) -> dict[str, Any]:
    title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}[status]
    return {"error": {"code": status, "message": message, "title": title}}


def _respond_sign_in_refused(refused: SignInRefused) -> Response:
    return _respond(refused.status, _identity_error(refused.status, str(refused)))


def _respond_no_route(problem: HTTPException) -> Response:
    if problem.code in (404, 405):
        message = "The API does not exist or has not been published in the environment"
        return _respond(404, _gateway_error("APIGW.0101", message))
    return _respond(problem.code or 500, _gateway_error("APIGW.0106", problem.name))
