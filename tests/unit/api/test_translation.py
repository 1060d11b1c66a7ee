"""Whatever requests, urllib3 and keystoneauth1 raise becomes one of our errors, with the original as its cause."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
from types import ModuleType, SimpleNamespace
from typing import Any

import keystoneauth1.exceptions
import pytest
import requests.exceptions
import urllib3.exceptions
from keystoneauth1.identity.v3 import Password
from requests.adapters import HTTPAdapter

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError, ServiceUnavailableError, UnknownOutcomeError
from pulumi_cbr.api.network_errors import RequestNotSent, ResponseLost, classify_network_error
from pulumi_cbr.api.redact import Redactor
from unit.api.kit import CALLS, FakeClock, calls, fixed_token, password


def classes(module: ModuleType) -> list[type[Exception]]:
    found = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return [value for _, value in sorted(found.items()) if issubclass(value, Exception)]


def made(kind: type[Exception]) -> Exception:
    """Make one with whatever its constructor takes."""
    receipt = {"receipt": {"methods": [], "expires_at": "2026-05-04T12:00:00Z"}, "required_auth_methods": []}
    response = requests.Response()
    response.raw = io.BytesIO(json.dumps(receipt).encode())
    option = SimpleNamespace(dest="x")
    chunk = SimpleNamespace(tell=lambda: 1, length_remaining=1)
    tries: tuple[tuple[Any, ...], ...] = (
        (),
        ("words",),
        ("words", "more"),
        (None, "words"),
        (None, None, "words"),
        (response,),
        ([option],),
        ("words", "more", 1),
        (1, 2),
        (chunk, b"x"),
        ("service", 1, 2),
        ("service", (1, 0), (2, 0)),
    )
    for arguments in tries:
        try:
            error = kind(*arguments)
            str(error)
        except Exception:
            continue
        return error
    raise AssertionError(f"no way to make a {kind}")


OF_CONNECTIONS = [
    *classes(requests.exceptions),
    *classes(urllib3.exceptions),
    OSError,
    socket.gaierror,
    ssl.SSLError,
    http.client.BadStatusLine,
    http.client.IncompleteRead,
    UnicodeError,
    ValueError,
    RuntimeError,
]


def test_there_is_something_to_enumerate() -> None:
    assert len(OF_CONNECTIONS) > 60
    assert len(classes(keystoneauth1.exceptions)) > 50


@pytest.mark.parametrize("kind", OF_CONNECTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_calls(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Exception] = []

    def send(self: HTTPAdapter, *args: Any, **kwargs: Any) -> requests.Response:
        raised.append(made(kind))
        raise raised[-1]

    monkeypatch.setattr(HTTPAdapter, "send", send)
    for name in CALLS:
        client = CbrClient(fixed_token("https://cbr.example.com"), timing=FakeClock().timing)
        with pytest.raises(CbrError) as error:
            calls(client)[name]()
        assert error.value.__cause__ is raised[-1]
        assert isinstance(error.value, (ServiceUnavailableError, UnknownOutcomeError))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", OF_CONNECTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_signing_in_over_a_connection(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: HTTPAdapter, *args: Any, **kwargs: Any) -> requests.Response:
        raise made(kind)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(CbrError, match=r"^signing in at https://iam.example.com/v3 failed: ") as error:
        CbrClient(password("https://iam.example.com/v3"), timing=FakeClock().timing).list_members(
            "0" * 8 + "-0000" * 3 + "-" + "0" * 12
        )
    assert error.value.__cause__ is not None
    assert "HTTPConnectionPool" not in str(error.value)


@pytest.mark.parametrize("kind", classes(keystoneauth1.exceptions), ids=lambda kind: kind.__name__)
def test_signing_in(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Exception] = []

    def get_auth_ref(self: Password, *args: Any, **kwargs: Any) -> Any:
        raised.append(made(kind))
        raise raised[-1]

    monkeypatch.setattr(Password, "get_auth_ref", get_auth_ref)
    client = CbrClient(password("https://iam.example.com/v3"), timing=FakeClock().timing)
    for name in CALLS:
        with pytest.raises(CbrError, match=r"^signing in at https://iam.example.com/v3 failed: ") as error:
            calls(client)[name]()
        assert error.value.__cause__ is raised[-1]
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listens(call: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for settings in (fixed_token(url), password(url)):
            clock = FakeClock()
            with pytest.raises(ServiceUnavailableError) as error:
                calls(CbrClient(settings, timing=clock.timing))[call]()
            assert (
                f"no connection to {url[7:]} (Connection refused). Check the network, the proxy and the address"
                in str(error.value)
            )
            assert len(clock.waits) == 4


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for settings, setting in (
        (fixed_token("https://cbr.example.com"), "cbr:endpoint"),
        (password("https://iam.example.com"), "cbr:authUrl"),
    ):
        with pytest.raises(ServiceUnavailableError) as error:
            CbrClient(settings, timing=FakeClock().timing).show_backup("2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f")
        assert "cannot resolve" in str(error.value)
        assert "(Name or service not known)" in str(error.value)
        assert setting in str(error.value)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (urllib3.exceptions.NewConnectionError(None, "refused"), RequestNotSent),  # type: ignore[arg-type]
        (ConnectionResetError(104, "reset"), ResponseLost),
    ],
)
def test_proxy_error_after_the_request_is_a_lost_response(cause: Exception, kind: type[Exception]) -> None:
    """Whether a byte was sent is not known for a sign-in: keystoneauth1 does not tell it."""
    error = requests.exceptions.ProxyError(urllib3.exceptions.ProxyError("Unable to connect to proxy", cause))
    found = classify_network_error(
        error, "https://iam.example.com", Redactor(()), where_to_set="OS_AUTH_URL", certificates="OS_CACERT"
    )
    assert type(found) is kind
