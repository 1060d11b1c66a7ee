"""The wire: routes, headers and bodies of the identity service and the members API, as a Flask application.

What is asked is handed to `state` and `identity`; what they give, or refuse with, becomes an answer in the service's
words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.identity import Identity, SignInRefused, Token
from pulumi_cbr.simulator.models import Account, Backup, MemberRecord
from pulumi_cbr.simulator.openapi import openapi_document
from pulumi_cbr.simulator.paging import page, sort
from pulumi_cbr.simulator.signatures import SCHEME, SignatureRefused, check_signature
from pulumi_cbr.simulator.state import State

__all__ = ["create_app", "json_body"]

_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MEMBERS = "/v3/<project_id>/backups/<backup_id>/members"
_MEMBER = f"{_MEMBERS}/<member_id>"

#: The gateway's code for a caller whom it does not believe.
_NOT_SIGNED_IN = "APIGW.0301"


class _Answered(Exception):
    """The answer is known; the rest of the handler is not needed."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.body = body
        super().__init__(status)


def create_app(state: State, identity: Identity, base_url: Callable[[], str]) -> Flask:
    """Give the application. ``base_url`` says where it is served, for the catalogue."""
    app = Flask("pulumi_cbr.simulator")
    # A path is taken as it is sent: no redirects that tidy it up.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_error_handler(Refused, lambda no: _answer(no.status, {"error_code": no.code, "error_msg": no.message}))
    app.register_error_handler(_Answered, lambda known: _answer(known.status, known.body))
    app.register_error_handler(SignInRefused, _sign_in_refused)
    app.register_error_handler(HTTPException, _no_such_route)
    _add_identity(app, state, identity, base_url)
    _add_backups(app, state, identity)
    app.get("/openapi.json")(lambda: _answer(200, openapi_document(base_url())))
    return app


# Identity


def _add_identity(app: Flask, state: State, identity: Identity, base_url: Callable[[], str]) -> None:
    def version() -> dict[str, Any]:
        links = [{"rel": "self", "href": f"{base_url()}/v3/"}]
        types = [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]
        stamp = "2020-04-07T00:00:00Z"
        return {"id": "v3.14", "status": "stable", "updated": stamp, "links": links, "media-types": types}

    def with_token(status: int, token: Token) -> Response:
        answer = _answer(status, identity.describe(token, base_url()))
        answer.headers["X-Subject-Token"] = token.text
        return answer

    @app.get("/")
    def versions() -> Response:
        return _answer(200, {"versions": {"values": [version()]}})

    @app.get("/v3")
    def version_three() -> Response:
        return _answer(200, {"version": version()})

    @app.post("/v3/auth/tokens")
    def sign_in() -> Response:
        return with_token(201, identity.sign_in(json_body()))

    @app.get("/v3/auth/tokens")
    def validate() -> Response:
        identity.check(request.headers.get("X-Auth-Token"))
        try:
            return with_token(200, identity.check(request.headers.get("X-Subject-Token")))
        except SignInRefused as no:
            raise _Answered(404, _identity_error(404, str(no))) from None

    @app.delete("/v3/auth/tokens")
    def revoke() -> Response:
        identity.check(request.headers.get("X-Auth-Token"))
        identity.revoke(request.headers.get("X-Subject-Token", ""))
        return Response(status=204)

    @app.get("/v3/projects")
    def projects() -> Response:
        account, _project = _caller(state, identity)
        links = {"self": f"{base_url()}/v3/projects"}
        return _answer(200, {"projects": identity.projects(account, request.args.get("name")), "links": links})

    @app.get("/v3/auth/projects")
    def own_projects() -> Response:
        account, _project = _caller(state, identity)
        return _answer(
            200, {"projects": identity.projects(account), "links": {"self": f"{base_url()}/v3/auth/projects"}}
        )


# Members and backups


def _add_backups(app: Flask, state: State, identity: Identity) -> None:
    def enter(action: str, project_id: str, backup_id: str | None = None, member_id: str | None = None) -> None:
        """Let the caller in, or answer: malformed path, not signed in, another's project, no permission."""
        well_formed = (
            _PROJECT_ID.fullmatch(project_id)
            and (backup_id is None or _UUID.fullmatch(backup_id))
            and (member_id is None or _PROJECT_ID.fullmatch(member_id))
        )
        if not well_formed:
            raise _Answered(401, {"unauthorized": {"code": "401", "message": "Malformed request url"}})
        account, own_project = _caller(state, identity)
        if own_project != project_id or request.headers.get("X-Project-Id", project_id) != project_id:
            raise _Answered(401, _gateway_error(_NOT_SIGNED_IN, "the project in the url is not the caller's"))
        if not state.allowed(action, account.role):
            message = f"Policy doesn't allow {action} to be performed."
            raise _Answered(403, {"error": {"code": "403", "message": message, "title": "Forbidden"}})

    @app.post(_MEMBERS)
    def add(project_id: str, backup_id: str) -> Response:
        enter("cbr:member:create", project_id, backup_id)
        body = json_body()
        if not isinstance(body, dict):
            raise Refused(9900, "The body must be an object with members.")
        added = [
            _member(record, _microseconds)
            for record in state.add_members(project_id, backup_id.lower(), body.get("members"))
        ]
        return _answer(200, added[0] if state.switches.bare_add_answer else {"members": added, "count": len(added)})

    @app.get(_MEMBERS)
    def members(project_id: str, backup_id: str) -> Response:
        enter("cbr:member:list", project_id, backup_id)
        found = [_member(record) for record in state.list_members(project_id, backup_id.lower())]
        found = _filtered(found, ("dest_project_id", "image_id", "status", "vault_id"))
        found = sort(found, request.args.get("sort"), ("created_at", "updated_at", "status", "id", "dest_project_id"))
        return _answer(200, {"members": page(found, request.args, state.switches.page_size), "count": len(found)})

    @app.get(_MEMBER)
    def member(project_id: str, backup_id: str, member_id: str) -> Response:
        enter("cbr:member:get", project_id, backup_id, member_id)
        return _answer(200, {"member": _member(state.show_member(project_id, backup_id.lower(), member_id))})

    @app.put(_MEMBER)
    def update(project_id: str, backup_id: str, member_id: str) -> Response:
        enter("cbr:member:update", project_id, backup_id, member_id)
        body = json_body()
        if not isinstance(body, dict):
            raise Refused(9900, "The body must be an object with status.")
        record = state.update_member(project_id, backup_id.lower(), member_id, body.get("status"), body.get("vault_id"))
        return _answer(200, {"member": _member(record)})

    @app.delete(_MEMBER)
    def delete(project_id: str, backup_id: str, member_id: str) -> Response:
        enter("cbr:member:delete", project_id, backup_id, member_id)
        state.delete_member(project_id, backup_id.lower(), member_id)
        return Response(status=204)

    @app.get("/v3/<project_id>/backups/<backup_id>")
    def backup(project_id: str, backup_id: str) -> Response:
        enter("cbr:backups:get", project_id, backup_id)
        return _answer(200, {"backup": _backup(state.show_backup(project_id, backup_id.lower()))})

    @app.get("/v3/<project_id>/backups")
    def backups(project_id: str) -> Response:
        enter("cbr:backups:list", project_id)
        own_type = request.args.get("own_type", "private")
        if own_type not in ("private", "shared", "all_granted"):
            raise Refused(9900, "own_type must be private, shared or all_granted.")
        member_status = request.args.get("member_status")
        seen = [
            backup
            for backup, status in state.visible_backups(project_id)
            if own_type in ("all_granted", "private" if status is None else "shared")
            and member_status in (None, status)
        ]
        equal = (
            "name",
            "resource_id",
            "resource_type",
            "resource_name",
            "status",
            "vault_id",
            "checkpoint_id",
            "image_type",
        )
        found = _filtered([_backup(backup) for backup in seen], equal)
        keys = ("created_at", "updated_at", "name", "status", "protected_at", "id")
        found = sort(found, request.args.get("sort", "created_at:desc"), keys)
        shown = page(found, request.args, state.switches.page_size)
        return _answer(200, {"backups": shown, "count": len(found)})


def _caller(state: State, identity: Identity) -> tuple[Account, str | None]:
    """Give who calls, by signature or by token, and for which project."""
    if request.headers.get("Authorization", "").startswith(SCHEME):
        headers = {
            name.lower(): value.encode("latin-1", "replace").decode("utf-8", "replace")
            for name, value in request.headers
        }
        target = request.environ["REQUEST_URI"]
        try:
            account = check_signature(state.accounts, request.method, target, headers, request.get_data(), state.now())
        except SignatureRefused as no:
            raise _Answered(
                401, _gateway_error(_NOT_SIGNED_IN, f"Incorrect IAM authentication information: {no}")
            ) from None
        return account, account.project_id
    try:
        token = identity.check(request.headers.get("X-Auth-Token"))
    except SignInRefused as no:
        raise _Answered(
            401, _gateway_error(_NOT_SIGNED_IN, f"Incorrect IAM authentication information: {no}")
        ) from None
    return token.account, token.project_id


# Bodies


def _member(record: MemberRecord, stamp: Callable[[float], str] | None = None) -> dict[str, Any]:
    """Give a member as the service writes it: what has no value yet is not there."""
    stamp = stamp or _milliseconds
    fields = {
        "status": record.status,
        "created_at": stamp(record.created_at),
        "updated_at": None if record.updated_at is None else stamp(record.updated_at),
        "backup_id": record.backup_id,
        "image_id": record.image_id,
        "dest_project_id": record.dest_project_id,
        "vault_id": record.vault_id,
        "id": record.id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _backup(backup: Backup) -> dict[str, Any]:
    stamp = _microseconds(backup.created_at)
    return {
        "id": backup.id,
        "name": backup.name,
        "description": "",
        "status": backup.status,
        "resource_type": backup.resource_type,
        "resource_id": backup.resource_id,
        "resource_name": backup.resource_name,
        "resource_size": backup.resource_size,
        "resource_az": "",
        "vault_id": backup.vault_id,
        "checkpoint_id": backup.id,
        "project_id": backup.project_id,
        "provider_id": "0daac4c5-6707-4851-97ba-169e36266b66",
        "image_type": "backup",
        "created_at": stamp,
        "updated_at": stamp,
        "protected_at": stamp,
        "expired_at": None,
        "parent_id": None,
        "children": [],
        "replication_records": [],
        "extend_info": {
            "auto_trigger": False,
            "bootable": True,
            "contain_system_disk": True,
            "encrypted": backup.encrypted,
            "support_lld": True,
            "supported_restore_mode": "backup",
            "system_disk": True,
        },
    }


def _microseconds(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _milliseconds(seconds: float) -> str:
    return f"{_microseconds(seconds)[:-3]}+00:00"


def _filtered(entries: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    wanted = {name: request.args[name] for name in names if name in request.args}
    return [entry for entry in entries if all(entry.get(name) == value for name, value in wanted.items())]


def json_body() -> object:
    """Give the JSON body whatever its declared type, None for one that is none or is nested too deep."""
    try:
        return request.get_json(force=True, silent=True)
    except RecursionError:
        return None


def _answer(status: int, body: dict[str, Any]) -> Response:
    answer: Response = jsonify(body)
    answer.status_code = status
    return answer


def _gateway_error(code: str, message: str) -> dict[str, Any]:
    return {"error_code": code, "error_msg": message}


def _identity_error(status: int, message: str) -> dict[str, Any]:
    title = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}[status]
    return {"error": {"code": status, "message": message, "title": title}}


def _sign_in_refused(no: SignInRefused) -> Response:
    return _answer(no.status, _identity_error(no.status, str(no)))


def _no_such_route(problem: HTTPException) -> Response:
    if problem.code in (404, 405):
        message = "The API does not exist or has not been published in the environment"
        return _answer(404, _gateway_error("APIGW.0101", message))
    return _answer(problem.code or 500, _gateway_error("APIGW.0106", problem.name))
