"""The class `Simulator`: the simulated service on loopback, for tests to read and change."""

from __future__ import annotations

import io
import re
import secrets
import threading
import time
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pulumi_cbr.simulator.actions import action
from pulumi_cbr.simulator.fault_responses import Exchange, respond
from pulumi_cbr.simulator.faults import Faults
from pulumi_cbr.simulator.http_server import Disconnect, HttpRequest, HttpResponse, HttpServer
from pulumi_cbr.simulator.identity import AGENCY, Identity
from pulumi_cbr.simulator.models import Account, Backup, Call, Identifiers, MemberRecord, Vault
from pulumi_cbr.simulator.options import INTERFACES, Options, with_arguments_of
from pulumi_cbr.simulator.state import State
from pulumi_cbr.simulator.state_file import FileLock

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["Simulator"]

_ADMIN = "/_simulator"


class Simulator:
    """The simulated service. It serves within its context, or from `start` to `stop`.

    There are two accounts: the ``owner`` of some server backups, and a ``receiver`` with vaults. IDs, names and secrets
    follow from ``seed`` alone. The arguments are the `Options`.

    Raises ValueError for options that do not fit and for a state file that is broken or in use. `start` raises OSError
    if the port is taken, and ImportError if Flask (the extra ``simulator``) is not installed.
    """

    @with_arguments_of(Options)
    def __init__(self, *arguments: Any, **named: Any) -> None:
        options = Options(*arguments, **named)
        self._state_file = options.state_file
        self._file_lock: FileLock | None = None if options.state_file is None else FileLock(options.state_file)
        try:
            self.state: State = State(options.seed, options, state_file=options.state_file, now=options.now)
        except BaseException:
            self._release_file()
            raise
        self.identity: Identity = Identity(self.state)
        #: The active faults: `Faults.add`, `Faults.scripted`, `Faults.clear`.
        self.faults: Faults = Faults(self.state.seed)
        #: Proves to the command line that an address is this simulator.
        self.secret: bytes = secrets.token_bytes(32)
        #: Seconds before each response; may be changed at any time.
        self.latency: float = options.latency
        self._port = options.port
        self._server: HttpServer | None = None
        self._application: Flask | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._responses = 0

    # Running

    def start(self) -> Simulator:
        """Start serving, and return the simulator.

        After a `stop` the state file is read again, because another simulator may have changed it.
        """
        if self._server is not None:
            raise RuntimeError("the simulator runs already")
        try:
            if self._state_file is not None and self._file_lock is None:
                self._file_lock = FileLock(self._state_file)
                self.state.load()
            if self._application is None:
                from pulumi_cbr.simulator.admin import add_admin
                from pulumi_cbr.simulator.app import create_app

                self._application = create_app(self.state, self.identity, lambda: self.url)
                add_admin(self._application, self)
            self._stopping = threading.Event()
            self._server = HttpServer(self._port, self._respond)
        except BaseException:
            self._release_file()
            raise
        self._port = self._server.port
        return self

    def stop(self) -> None:
        """Stop serving, and close every connection. Stopping twice does nothing."""
        server, self._server = self._server, None
        if server is not None:
            self._stopping.set()
            server.stop()
        self._release_file()

    def _release_file(self) -> None:
        lock, self._file_lock = self._file_lock, None
        if lock is not None:
            lock.release()

    def restart(self) -> None:
        """Stop and start on the same port with the same state.

        Connections are lost; shares and tokens are not.
        """
        self.stop()
        self.start()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL; identity is at ``<url>/v3`` and CBR at ``<url>/v3/<project ID>``."""
        if self._port == 0:
            raise RuntimeError("the simulator has no address before it is started")
        return f"http://127.0.0.1:{self._port}"

    # Accounts and resources

    @property
    def owner(self) -> Account:
        """The account that owns the backups."""
        return self.state.account("owner")

    @property
    def receiver(self) -> Account:
        """The account that backups can be shared with and that has vaults."""
        return self.state.account("receiver")

    @property
    def projects(self) -> list[str]:
        """IDs of 16 projects that a backup can be shared with; the receiver's is the first."""
        return self.state.projects

    @property
    def backups(self) -> list[Backup]:
        """The owner's backups, as they are now."""
        return self.state.backups

    @property
    def vaults(self) -> list[Vault]:
        """The receiver's vaults: one for servers, one for disks, a locked one and a full one."""
        return self.state.vaults

    def members(self, backup_id: str) -> dict[str, MemberRecord]:
        """Return the members of a backup by project ID, also those not yet visible to readers."""
        return self.state.members(backup_id)

    def env(self, role: str = "owner") -> dict[str, str]:
        """Return the ``OS_*`` variables that sign a role in with its password."""
        account = self.state.account(role)
        return {
            "OS_AUTH_URL": f"{self.url}/v3",
            "OS_USERNAME": account.username,
            "OS_PASSWORD": account.password,
            "OS_USER_DOMAIN_NAME": account.domain_name,
            "OS_PROJECT_ID": account.project_id,
            "OS_REGION_NAME": self.state.region,
            "OS_IDENTITY_API_VERSION": "3",
        }

    def access_key_env(self, role: str = "owner", *, temporary: bool = False) -> dict[str, str]:
        """Return the variables that sign a role's requests with an access key.

        Those are ``HW_*`` and the endpoint; temporary keys have a security token too.
        """
        account = self.state.account(role)
        env = {
            "HW_ACCESS_KEY": account.temporary_access_key if temporary else account.access_key,
            "HW_SECRET_KEY": account.temporary_secret_key if temporary else account.secret_key,
            "HW_REGION_NAME": self.state.region,
            "HW_PROJECT_ID": account.project_id,
            "CBR_ENDPOINT": self.url,
        }
        return {**env, "HW_SECURITY_TOKEN": account.security_token} if temporary else env

    @property
    def agency(self) -> str:
        """Name of the agency by which each account lets the other act for it."""
        return AGENCY

    # Calls

    @property
    def calls(self) -> list[Call]:
        """All requests so far, in the order they ended, without those to the admin routes."""
        with self._lock:
            return list(self._calls)

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self._calls.clear()

    def count(self, method: str, path: str = "") -> int:
        """Count the calls of a method (``*``: any) whose path matches a regular expression."""
        return sum(1 for call in self.calls if method in ("*", call.method) and re.search(path, call.path))

    # Actions

    @action()
    def share(self, backup_id: str, project_id: str, status: str = "pending") -> MemberRecord:
        """Share a backup without a call to the API.

        The share is visible at once. Raises `Refused` as the API would.
        """
        return self.state.share(backup_id, project_id, status)

    @action()
    def withdraw(self, backup_id: str, project_id: str) -> None:
        """Delete a share without a call to the API.

        Raises `Refused` as the API would.
        """
        self.state.withdraw(backup_id, project_id)

    @action()
    def accept(self, backup_id: str, project_id: str, vault_id: str | None = None) -> MemberRecord:
        """Accept a share as its receiver.

        Without a vault, the first one that fits is used. Raises `Refused` as the API would.
        """
        return self.state.accept(backup_id, project_id, vault_id)

    @action()
    def reject(self, backup_id: str, project_id: str) -> MemberRecord:
        """Reject a share as its receiver.

        Raises `Refused` as the API would.
        """
        return self.state.reject(backup_id, project_id)

    @action(result="image_id")
    def register_image(self, backup_id: str, project_id: str) -> str:
        """Make an image of a shared backup.

        The share cannot be deleted until the image is. Returns the ID of the image.
        """
        return self.state.register_image(backup_id, project_id)

    @action()
    def delete_image(self, backup_id: str, project_id: str) -> None:
        """Delete the image of a shared backup."""
        self.state.delete_image(backup_id, project_id)

    @action()
    def set_backup(
        self,
        backup_id: str,
        *,
        status: str | None = None,
        encrypted: bool | None = None,
        resource_type: str | None = None,
    ) -> Backup:
        """Change the status, encryption or type of a backup.

        Raises `Refused` with 6200 if there is no such backup.
        """
        return self.state.set_backup(backup_id, status=status, encrypted=encrypted, resource_type=resource_type)

    @action()
    def add_backup(self, server: str) -> Backup:
        """Make a backup of a server.

        ``server`` is the UUID or name of one that has backups. Another text is the name of a new server.
        """
        return self.state.add_backup(server)

    @action()
    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup with its shares.

        Raises `Refused` with 6200 if there is no such backup.
        """
        self.state.delete_backup(backup_id)

    @action()
    def deny(self, action: str, role: str = "owner") -> None:
        """Deny an IAM action, such as ``cbr:member:list``, to a role.

        Raises ValueError for an action that the simulator does not know.
        """
        self.state.deny(action, role)

    @action()
    def allow_all(self) -> None:
        """Allow every denied IAM action again."""
        self.state.allow_all()

    @action()
    def revoke_tokens(self) -> None:
        """Revoke all tokens.

        The next call with one of them gets status 401.
        """
        self.identity.revoke_all()

    @action(result="passcode")
    def passcode(self, role: str = "owner") -> str:
        """Return the passcode (TOTP) that a role signs in with now."""
        return self.identity.passcode(self.state.account(role))

    @action(result="now")
    def advance(self, seconds: float) -> float:
        """Move the service's clock forward.

        Tokens expire by it and the Date header shows it. Returns its time in epoch seconds.
        """
        self.state.advance(seconds)
        return self.state.now()

    # One request

    def _respond(self, request: HttpRequest) -> HttpResponse | Disconnect:
        """Respond to a request, with a fault if one is due, and record the call."""
        if request.path.startswith(f"{_ADMIN}/") or request.path == _ADMIN:
            return self._finish(self._apply(request))
        started = time.monotonic()
        fault = self.faults.take(request.method, request.path)
        if self.latency:
            self._stopping.wait(self.latency)
        if fault is None:
            response: HttpResponse | Disconnect = self._apply(request)
        else:
            token = request.header("X-Auth-Token")
            exchange = Exchange(lambda: self._apply(request), self._stopping.wait, lambda: self.identity.revoke(token))
            response = respond(fault, exchange)
        call = Call(
            request.method,
            request.path,
            response.status if isinstance(response, HttpResponse) else 0,
            started,
            time.monotonic(),
            request.header("User-Agent"),
            request.target.partition("?")[2],
            None if fault is None else fault.kind,
        )
        with self._lock:
            self._calls.append(call)
        return response if isinstance(response, Disconnect) else self._finish(response)

    def _finish(self, response: HttpResponse) -> HttpResponse:
        """Add the headers that every response has: the service's time and the request's ID."""
        with self._lock:
            self._responses += 1
            number = self._responses
        response.headers.append(("Date", formatdate(self.state.now(), usegmt=True)))
        response.headers.append(("X-Request-Id", Identifiers(self.state.seed).hexadecimal(f"request {number}")))
        return response

    def _apply(self, request: HttpRequest) -> HttpResponse:
        """Let the application carry out a request."""
        from werkzeug.wrappers import Response

        assert self._application is not None  # noqa: S101
        response = Response.from_app(self._application, _environ(request, self._port), buffered=True)
        headers = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
        return HttpResponse(response.status_code, headers, response.get_data())


def _environ(request: HttpRequest, port: int) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    path, _, query = request.target.partition("?")
    prefix = next((f"/{name}" for name in INTERFACES[1:] if path.startswith(f"/{name}/")), "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": prefix,
        "PATH_INFO": unquote_to_bytes(path[len(prefix) :].encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": request.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif "_" not in name and key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = f"{environ[f'HTTP_{key}']},{value}" if f"HTTP_{key}" in environ else value
    return environ
