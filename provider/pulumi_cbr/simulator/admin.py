"""The admin routes, by which other processes read and change a running simulator.

They are under ``/_simulator`` and no part of the service. They respond with JSON, and refuse what a browser sends for a
page of another site. A request with a nonce gets a response that proves which simulator answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from flask import Flask, Response, jsonify, request

from pulumi_cbr.simulator.actions import find_actions
from pulumi_cbr.simulator.app import json_body
from pulumi_cbr.simulator.faults import Fault, Faults
from pulumi_cbr.simulator.models import Call
from pulumi_cbr.simulator.registry import NONCE_HEADER, PROOF_HEADER, sign_response
from pulumi_cbr.simulator.state import State

__all__ = ["AdministeredSimulator", "add_admin"]

_ROOT = "/_simulator"
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d*)?", re.IGNORECASE)


class AdministeredSimulator(Protocol):
    """The methods of a simulator that the routes need, besides its actions."""

    state: State
    faults: Faults
    secret: bytes

    @property
    def url(self) -> str: ...

    @property
    def calls(self) -> Sequence[Call]: ...

    def clear_calls(self) -> None: ...

    def env(self, role: str = "owner") -> dict[str, str]: ...


def add_admin(app: Flask, simulator: AdministeredSimulator) -> None:
    """Add the admin routes to an application."""
    _add_guards(app, simulator.secret)
    _add_reading(app, simulator)
    _add_faults(app, simulator.faults)
    _add_actions(app, simulator)


def _add_guards(app: Flask, secret: bytes) -> None:
    @app.before_request
    def refuse_other_sites() -> Any:
        if _is_admin() and _is_from_other_site():
            return jsonify({"error": "only programs on this machine may use this route, and no web page"}), 403
        return None

    @app.after_request
    def prove(response: Response) -> Response:
        nonce = request.headers.get(NONCE_HEADER)
        if nonce is not None and _is_admin():
            target, body = request.environ["REQUEST_URI"], response.get_data()
            proof = sign_response(secret, nonce, request.method, target, response.status_code, body)
            response.headers[PROOF_HEADER] = proof
        return response


def _add_reading(app: Flask, simulator: AdministeredSimulator) -> None:
    @app.get(_ROOT)
    def status() -> Any:
        return jsonify(_describe(simulator))

    @app.get(f"{_ROOT}/env/<role>")
    def env(role: str) -> Any:
        try:
            return jsonify(simulator.env(role))
        except ValueError as error:
            return jsonify({"error": str(error)}), 404

    @app.get(f"{_ROOT}/calls")
    def calls() -> Any:
        return jsonify({"calls": [asdict(call) for call in simulator.calls]})

    @app.delete(f"{_ROOT}/calls")
    def clear_calls() -> Any:
        simulator.clear_calls()
        return "", 204


def _describe(simulator: AdministeredSimulator) -> dict[str, Any]:
    state = simulator.state
    backups = [
        {**asdict(backup), "members": [asdict(record) for record in state.members(backup.id).values()]}
        for backup in state.backups
    ]
    return {
        "seed": state.seed,
        "url": simulator.url,
        "owner": state.account("owner").project_id,
        "receiver": state.account("receiver").project_id,
        "projects": state.projects,
        "backups": backups,
        "vaults": [asdict(vault) for vault in state.vaults],
    }


def _add_faults(app: Flask, faults: Faults) -> None:
    @app.get(f"{_ROOT}/faults")
    def list_faults() -> Any:
        return jsonify({"faults": [vars(fault) for fault in faults.list()]})

    @app.delete(f"{_ROOT}/faults")
    def clear_faults() -> Any:
        faults.clear()
        return "", 204

    @app.post(f"{_ROOT}/faults")
    def add_fault() -> Any:
        try:
            wanted = _read_body()
            if "script" not in wanted:
                fault = Fault.from_dict(wanted)
                faults.add(fault)
            elif isinstance(wanted["script"], str):
                fault = faults.scripted(wanted["script"])
            else:
                raise ValueError("script must be a text")
        except ValueError as error:
            return jsonify({"error": str(error)}), 400
        return jsonify(vars(fault))


def _add_actions(app: Flask, simulator: AdministeredSimulator) -> None:
    actions = find_actions(type(simulator))

    @app.post(f"{_ROOT}/<name>")
    def act(name: str) -> Any:
        if name not in actions:
            return jsonify({"error": f"no such step: {name} (there are faults, {', '.join(actions)})"}), 404
        try:
            return jsonify(actions[name].run(simulator, _read_body()))
        except ValueError as error:
            return jsonify({"error": str(error)}), 400


def _is_admin() -> bool:
    return request.path == _ROOT or request.path.startswith(f"{_ROOT}/")


def _is_from_other_site() -> bool:
    """Return whether a browser sends the request for a page that this simulator did not serve.

    A page can send it across sites, or under a name of its own that leads to this machine (DNS rebinding).
    """
    if not _LOOPBACK.fullmatch(request.host):
        return True
    own = f"http://{request.host}"
    if request.headers.get("Origin", own) != own:
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")


def _read_body() -> dict[str, Any]:
    body = json_body() if request.get_data() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body
