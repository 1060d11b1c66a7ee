"""The routes under ``/_simulator``, by which a simulator that runs is looked at and steered from outside.

They are the simulator's own, no part of the service. They answer with JSON, and refuse what a browser sends for a page
of another site. A request with a nonce gets a response that proves which simulator answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request

from pulumi_cbr.simulator.app import json_body
from pulumi_cbr.simulator.faults import Fault
from pulumi_cbr.simulator.registry import NONCE_HEADER, PROOF_HEADER, sign_response

if TYPE_CHECKING:
    from pulumi_cbr.simulator.server import Simulator

__all__ = ["add_admin"]

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d*)?", re.IGNORECASE)


def add_admin(app: Flask, simulator: Simulator) -> None:
    """Add the routes to an application."""

    def add_fault(wanted: dict[str, Any]) -> dict[str, Any]:
        if "script" in wanted:
            return vars(simulator.faults.scripted(_text(wanted, "script")))
        fault = Fault.from_dict(wanted)
        simulator.faults.add(fault)
        return vars(fault)

    def pair(wanted: dict[str, Any]) -> tuple[str, str]:
        return _text(wanted, "backup_id"), _text(wanted, "project_id")

    def share(wanted: dict[str, Any]) -> dict[str, Any]:
        return asdict(simulator.share(*pair(wanted), _text(wanted, "status", "pending")))

    def withdraw(wanted: dict[str, Any]) -> dict[str, Any]:
        simulator.withdraw(*pair(wanted))
        return {}

    def accept(wanted: dict[str, Any]) -> dict[str, Any]:
        vault_id = _text(wanted, "vault_id") if wanted.get("vault_id") else None
        return asdict(simulator.accept(*pair(wanted), vault_id))

    def reject(wanted: dict[str, Any]) -> dict[str, Any]:
        return asdict(simulator.reject(*pair(wanted)))

    def register_image(wanted: dict[str, Any]) -> dict[str, Any]:
        return {"image_id": simulator.register_image(*pair(wanted))}

    def deny(wanted: dict[str, Any]) -> dict[str, Any]:
        simulator.deny(_text(wanted, "action"), _text(wanted, "role", "owner"))
        return {}

    def allow_all(_wanted: dict[str, Any]) -> dict[str, Any]:
        simulator.allow_all()
        return {}

    def advance(wanted: dict[str, Any]) -> dict[str, Any]:
        simulator.advance(_seconds(wanted))
        return {"now": simulator.state.now()}

    def revoke_tokens(_wanted: dict[str, Any]) -> dict[str, Any]:
        simulator.revoke_tokens()
        return {}

    steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "faults": add_fault,
        "share": share,
        "withdraw": withdraw,
        "accept": accept,
        "reject": reject,
        "register_image": register_image,
        "deny": deny,
        "allow_all": allow_all,
        "advance": advance,
        "revoke_tokens": revoke_tokens,
    }

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
            response.headers[PROOF_HEADER] = sign_response(
                simulator.secret, nonce, request.method, target, response.status_code, body
            )
        return response

    @app.get("/_simulator")
    def status() -> Any:
        state = simulator.state
        return jsonify(
            {
                "seed": state.seed,
                "url": simulator.url,
                "owner": state.account("owner").project_id,
                "receiver": state.account("receiver").project_id,
                "projects": state.projects,
                "backups": [
                    {**asdict(backup), "members": [asdict(record) for record in state.members(backup.id).values()]}
                    for backup in state.backups
                ],
                "vaults": [asdict(vault) for vault in state.vaults],
            }
        )

    @app.get("/_simulator/env/<role>")
    def env(role: str) -> Any:
        try:
            return jsonify(simulator.env(role))
        except ValueError as no:
            return jsonify({"error": str(no)}), 404

    @app.get("/_simulator/calls")
    def calls() -> Any:
        return jsonify({"calls": [asdict(call) for call in simulator.calls]})

    @app.delete("/_simulator/calls")
    def clear_calls() -> Any:
        simulator.clear_calls()
        return "", 204

    @app.get("/_simulator/faults")
    def faults() -> Any:
        return jsonify({"faults": [vars(fault) for fault in simulator.faults.list()]})

    @app.delete("/_simulator/faults")
    def clear_faults() -> Any:
        simulator.faults.clear()
        return "", 204

    @app.post("/_simulator/<step>")
    def act(step: str) -> Any:
        if step not in steps:
            return jsonify({"error": f"no such step: {step} (there are {', '.join(steps)})"}), 404
        wanted = json_body() if request.get_data() else {}
        if not isinstance(wanted, dict):
            return jsonify({"error": "the body must be a JSON object"}), 400
        try:
            return jsonify(steps[step](wanted))
        except ValueError as no:
            return jsonify({"error": str(no)}), 400


def _is_admin() -> bool:
    return request.path == "/_simulator" or request.path.startswith("/_simulator/")


def _is_from_other_site() -> bool:
    """Return whether a browser sends the request for a page that this simulator did not serve.

    A page can send it across sites, or under a name of its own that leads to this machine (DNS rebinding).
    """
    if not _LOOPBACK.fullmatch(request.host):
        return True
    if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")


def _text(wanted: dict[str, Any], name: str, default: str | None = None) -> str:
    value = wanted.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _seconds(wanted: dict[str, Any]) -> float:
    value = wanted.get("seconds")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ValueError("seconds must be a number, at least 0")
    return float(value)
