"""Helpers of the client's tests: a server, a clock, settings."""

from __future__ import annotations

import itertools
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.retry import Clock
from pulumi_cbr.api.settings import Settings, load

OWN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
VAULT = "7d6a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
SHARE = "0b6a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"
TOKEN = "tok-" + "a" * 40

MEMBER: dict[str, Any] = {
    "id": SHARE,
    "status": "pending",
    "backup_id": BACKUP,
    "dest_project_id": OTHER,
    "created_at": "2020-02-05T10:38:34.209782",
}

#: The example of the public references, with all that a real answer has.
BACKUP_OBJECT: dict[str, Any] = {
    "id": BACKUP,
    "name": "nightly",
    "status": "available",
    "resource_type": "OS::Nova::Server",
    "resource_id": VAULT,
    "resource_name": "web",
    "vault_id": VAULT,
    "project_id": OWN,
    "image_type": "backup",
    "extend_info": {"encrypted": False},
    "created_at": "2020-02-05T10:38:34.209782",
}


@dataclass(frozen=True)
class Seen:
    """One request as it came in. Header names are lower case; `connection` counts from 0."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    thread: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A reply. `raw` is sent as it is and ends the connection, as does `None` as a reply."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[Any], None] | None = None


Respond = Callable[[Seen], Reply | None]


class Server:
    """A server on loopback, as a context manager.

    `respond` answers, `seen` are the requests so far.
    """

    def __init__(self, respond: Respond, certificate: str | None = None) -> None:
        self.respond = respond
        self.seen: list[Seen] = []
        self.connections = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                # Each connection has a thread.
                with lock:
                    self.number = outer.connections
                    outer.connections += 1

            def __getattr__(self, name: str) -> Callable[[], None]:
                if name.startswith("do_"):
                    return self.serve
                raise AttributeError(name)

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, body, self.number, threading.get_ident())
                outer.seen.append(seen)
                reply = outer.respond(seen)
                if reply is None or reply.raw:
                    self.close_connection = True
                if reply is None:
                    return
                if reply.raw:
                    reply.raw(self.wfile)
                    self.wfile.flush()
                    return
                content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response_only(reply.status)
                kind = {} if isinstance(reply.body, bytes) else {"Content-Type": "application/json"}
                for name, value in {**kind, **reply.headers}.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if reply.status != 204 else b"")
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def server_bind(self) -> None:
                TCPServer.server_bind(self)  # without asking the name service for this machine's name

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class FakeClock:
    """A clock whose time passes only by `sleep` and `advance`.

    `waits` are the sleeps so far, in seconds.
    """

    def __init__(self, random_fraction: float = 0.0) -> None:
        self.seconds = 0.0
        self.start = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
        self.waits: list[float] = []
        self.timing = Clock(
            monotonic=lambda: self.seconds, now=self.now, sleep=self.sleep, random_fraction=lambda: random_fraction
        )

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.advance(seconds)


def ticking() -> Clock:
    """Return a clock that advances one second with each reading."""
    seconds = itertools.count()
    return replace(FakeClock().timing, monotonic=lambda: float(next(seconds)))


def trickle(first: bytes, then: bytes) -> Reply:
    """Begin an answer, and go on with it as good as without end."""

    def drip(out: Any) -> None:
        out.write(first)
        for _ in range(100000):
            out.write(then)

    return Reply(raw=drip)


def in_turn(*replies: Reply | None) -> Respond:
    """Answer with these, the last one again and again."""
    left = list(replies)
    return lambda seen: left.pop(0) if len(left) > 1 else left[0]


def grant(url: str = "", *, project: str | None = OWN, token: str = TOKEN, life: float = 86400, **more: Any) -> Reply:
    """Answer a sign-in.

    `more` replaces parts of the token's body; `url` is the catalog's address of ``cbr``.
    """
    issued = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
    body: dict[str, Any] = {
        "methods": ["password"],
        "issued_at": issued.isoformat(),
        "expires_at": (issued + timedelta(seconds=life)).isoformat(),
        "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
        "catalog": catalogue({"eu-de": url}) if url else [],
        **({"project": {"id": project, "name": "p", "domain": {"id": "d", "name": "d"}}} if project else {}),
    }
    return Reply(201, {"token": {**body, **more}}, {"X-Subject-Token": token})


def catalogue(regions: Mapping[str, str], service: str = "cbr") -> list[dict[str, Any]]:
    """Return a catalog that has one service in these regions."""
    entries = [
        {"id": f"e{region}", "interface": "public", "region": region, "region_id": region, "url": url}
        for region, url in regions.items()
    ]
    return [{"type": service, "id": service, "name": service, "endpoints": entries}]


def configured(**values: object) -> Settings:
    """Read settings as a stack's configuration would give them."""
    return load(values.get)


def fixed_token(url: str, **more: object) -> Settings:
    """Return settings that need no sign-in: a token, the project and the endpoint."""
    return configured(**{"token": TOKEN, "projectId": OWN, "endpoint": url, **more})


def password(url: str, **more: object) -> Settings:
    """Return settings that sign in with a user and a password."""
    given = {"authUrl": url, "username": "u", "userDomainName": "d", "password": "pass-word-1", "projectId": OWN}
    return configured(**{**given, **more})


def calls(client: CbrClient) -> dict[str, Callable[[], object]]:
    """Return every method of a client that makes a call, ready to be called."""
    return {
        "add_members": lambda: client.add_members(BACKUP, [OTHER]),
        "list_members": lambda: client.list_members(BACKUP),
        "show_member": lambda: client.show_member(BACKUP, OTHER),
        "update_member": lambda: client.update_member(BACKUP, OTHER, "accepted", vault_id=VAULT),
        "delete_member": lambda: client.delete_member(BACKUP, OTHER),
        "show_backup": lambda: client.show_backup(BACKUP),
        "list_backups": lambda: list(client.list_backups()),
    }


CALLS = (
    "add_members",
    "list_members",
    "show_member",
    "update_member",
    "delete_member",
    "show_backup",
    "list_backups",
)
