"""Calls to a simulator of this process without a connection, for tests in which none breaks."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from pulumi_cbr.simulator import http_server, server

_Respond = Callable[[http_server.HttpRequest], "http_server.HttpResponse | http_server.Disconnect"]


def call_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer this process's calls to simulators that start from now on without a connection."""
    servers: dict[int | None, _Respond] = {}

    def serve(port: int, respond: _Respond) -> http_server.HttpServer:
        serving = http_server.HttpServer(port, respond)
        servers[serving.port] = respond
        return serving

    def send(self: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        body = request.body or b""
        response = servers[urlsplit(request.url or "").port](
            http_server.HttpRequest(
                request.method or "",
                request.path_url,
                [*request.headers.items()],
                body.encode() if isinstance(body, str) else body,
            )
        )
        assert isinstance(response, http_server.HttpResponse), "a fault that needs a connection"
        raw = HTTPResponse(
            io.BytesIO(response.body), HTTPHeaderDict(response.headers), response.status, preload_content=False
        )
        return self.build_response(request, raw)

    monkeypatch.setattr(server, "HttpServer", serve)
    monkeypatch.setattr(HTTPAdapter, "send", send)
