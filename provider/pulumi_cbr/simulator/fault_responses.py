"""The responses to requests that meet a fault, one function for each kind of fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pulumi_cbr.simulator.errors import Refused
from pulumi_cbr.simulator.faults import Fault
from pulumi_cbr.simulator.http_server import Disconnect, HttpResponse

__all__ = ["Exchange", "respond"]

_HOUR = 3600.0
_SINGLE = ("member", "backup")
_LISTS = ("members", "backups")
_HEX_ID = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})", re.IGNORECASE)


@dataclass(frozen=True)
class Exchange:
    """A request that meets a fault, by what can be done with it."""

    #: Carry the request out and return the right response.
    apply: Callable[[], HttpResponse]
    #: Wait so many seconds, or until the simulator stops.
    wait: Callable[[float], object]
    #: Revoke the token that came with the request.
    revoke_token: Callable[[], None]


def respond(fault: Fault, exchange: Exchange) -> HttpResponse | Disconnect:
    """Return what the fault makes of a request, which it carries out if its kind says so."""
    return _RESPONSES[fault.kind](fault, exchange)


def _reset_before(_fault: Fault, _exchange: Exchange) -> Disconnect:
    return Disconnect(reset=True)


def _reset_after(_fault: Fault, exchange: Exchange) -> Disconnect:
    exchange.apply()
    return Disconnect(reset=True)


def _timeout_before(fault: Fault, _exchange: Exchange) -> Disconnect:
    return Disconnect(reset=False, after=_HOUR if fault.seconds is None else fault.seconds)


def _timeout_after(fault: Fault, exchange: Exchange) -> Disconnect:
    exchange.apply()
    return _timeout_before(fault, exchange)


def _status_before(fault: Fault, _exchange: Exchange) -> HttpResponse:
    default = {"error_code": "APIGW.0202", "error_msg": "Backend unavailable"}
    response = _encode(fault.status or 503, default if fault.body is None else fault.body)
    return _add_retry_after(response, fault)


def _status_after(fault: Fault, exchange: Exchange) -> HttpResponse:
    exchange.apply()
    return _status_before(fault, exchange)


def _empty_before(fault: Fault, _exchange: Exchange) -> HttpResponse:
    return HttpResponse(fault.status or 200)


def _empty_after(fault: Fault, exchange: Exchange) -> HttpResponse:
    exchange.apply()
    return _empty_before(fault, exchange)


def _refuse(fault: Fault, _exchange: Exchange) -> HttpResponse:
    refused = Refused(fault.code or 0)
    return _encode(fault.status or refused.status, {"error_code": refused.code, "error_msg": refused.message})


def _malformed_url(_fault: Fault, _exchange: Exchange) -> HttpResponse:
    return _encode(401, {"unauthorized": {"code": "401", "message": "Malformed request url"}})


def _html(fault: Fault, exchange: Exchange) -> HttpResponse:
    if fault.committed:
        exchange.apply()
    status = fault.status or 502
    return _page(status, "Bad Gateway") if fault.body is None else _encode(status, fault.body, "text/html")


def _throttle(fault: Fault, _exchange: Exchange) -> HttpResponse:
    message = "The throttling threshold has been reached: policy ip over ratelimit,limit:60,time:1 minute"
    return _add_retry_after(_encode(429, {"error_code": "APIGW.0308", "error_msg": message}), fault)


def _slow(fault: Fault, exchange: Exchange) -> HttpResponse:
    exchange.wait(1.0 if fault.seconds is None else fault.seconds)
    return exchange.apply()


def _truncated(_fault: Fault, exchange: Exchange) -> HttpResponse:
    response = exchange.apply()
    half = len(response.body) // 2
    return replace(response, body=response.body[:half], missing=max(1, len(response.body) - half))


def _malformed(fault: Fault, exchange: Exchange) -> HttpResponse:
    exchange.apply()
    return _encode(200, '{"members": [{"status": "pend' if fault.body is None else fault.body)


def _interim(fault: Fault, exchange: Exchange) -> HttpResponse:
    return replace(exchange.apply(), interim=(fault.status or 103,))


def _short_list(fault: Fault, exchange: Exchange) -> HttpResponse:
    def shorten(document: dict[str, Any]) -> None:
        for name in _LISTS:
            if isinstance(document.get(name), list):
                document[name] = document[name][: fault.left or 0]

    return _edit(exchange.apply(), shorten)


def _empty_list(_fault: Fault, exchange: Exchange) -> HttpResponse:
    def empty(document: dict[str, Any]) -> None:
        for name in _LISTS:
            if isinstance(document.get(name), list):
                document |= {name: [], "count": 0}

    return _edit(exchange.apply(), empty)


def _field_value(fault: Fault, exchange: Exchange) -> HttpResponse:
    return _edit_entries(exchange, lambda entry, name: entry.update({name: fault.body}), fault)


def _field_missing(fault: Fault, exchange: Exchange) -> HttpResponse:
    return _edit_entries(exchange, lambda entry, name: entry.pop(name, None), fault)


def _field_upper(fault: Fault, exchange: Exchange) -> HttpResponse:
    return _edit_entries(exchange, lambda entry, name: entry.update({name: str(entry[name]).upper()}), fault)


def _field_dashed(fault: Fault, exchange: Exchange) -> HttpResponse:
    return _edit_entries(
        exchange, lambda entry, name: entry.update({name: _HEX_ID.sub(r"\1-\2-\3-\4-\5", str(entry[name]))}), fault
    )


def _proxy_407(_fault: Fault, _exchange: Exchange) -> HttpResponse:
    page = _page(407, "Proxy Authentication Required")
    return replace(page, headers=[*page.headers, ("Proxy-Authenticate", 'Basic realm="proxy"')])


def _expire_token(_fault: Fault, exchange: Exchange) -> HttpResponse:
    exchange.revoke_token()
    message = "Incorrect IAM authentication information: token expires"
    return _encode(401, {"error_code": "APIGW.0301", "error_msg": message})


_RESPONSES: dict[str, Callable[[Fault, Exchange], HttpResponse | Disconnect]] = {
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "timeout_before": _timeout_before,
    "timeout_after": _timeout_after,
    "status_before": _status_before,
    "status_after": _status_after,
    "empty_before": _empty_before,
    "empty_after": _empty_after,
    "refuse": _refuse,
    "malformed_url": _malformed_url,
    "html": _html,
    "throttle": _throttle,
    "slow": _slow,
    "truncated": _truncated,
    "malformed": _malformed,
    "interim": _interim,
    "short_list": _short_list,
    "empty_list": _empty_list,
    "field_value": _field_value,
    "field_missing": _field_missing,
    "field_upper": _field_upper,
    "field_dashed": _field_dashed,
    "proxy_407": _proxy_407,
    "expire_token": _expire_token,
}


def _edit_entries(exchange: Exchange, change: Callable[[dict[str, Any], str], object], fault: Fault) -> HttpResponse:
    """Return the right response with a change of each backup or member.

    An entry without the field stays as it is, unless the field gets a value.
    """
    name = fault.field or ""

    def edit(document: dict[str, Any]) -> None:
        for entry in _entries(document):
            if name in entry or fault.kind == "field_value":
                change(entry, name)

    return _edit(exchange.apply(), edit)


def _entries(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the backups or members of a response, in whichever of the documented shapes it is."""
    if "dest_project_id" in document:
        yield document
    for name in _SINGLE:
        if isinstance(document.get(name), dict):
            yield document[name]
    for name in _LISTS:
        yield from document.get(name, [])


def _edit(response: HttpResponse, change: Callable[[dict[str, Any]], None]) -> HttpResponse:
    """Return the response with a change of its JSON document, or as it is if it has none."""
    if not response.body:
        return response
    document = json.loads(response.body)
    change(document)
    return replace(response, body=json.dumps(document).encode())


def _encode(status: int, body: object, content_type: str = "application/json") -> HttpResponse:
    if not isinstance(body, str):
        body, content_type = json.dumps(body), "application/json"
    return HttpResponse(status, [("Content-Type", content_type)], body.encode())


def _add_retry_after(response: HttpResponse, fault: Fault) -> HttpResponse:
    if fault.retry_after is None:
        return response
    return replace(response, headers=[*response.headers, ("Retry-After", str(fault.retry_after))])


def _page(status: int, title: str) -> HttpResponse:
    line = f"{status} {title}"
    text = f"<html><head><title>{line}</title></head><body><center><h1>{line}</h1></center></body></html>"
    return HttpResponse(status, [("Content-Type", "text/html")], text.encode())
