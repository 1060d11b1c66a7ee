"""`Simulator`: the service, served on loopback from a thread, with everything that a test wants to see and to turn."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pulumi_cbr.simulator.faults import Fault, Faults
from pulumi_cbr.simulator.http_server import Answer, Drop, Listener, Request
from pulumi_cbr.simulator.identity import Identity
from pulumi_cbr.simulator.models import Account, Backup, Identifiers, MemberRecord, Vault
from pulumi_cbr.simulator.state import State, Switches
from pulumi_cbr.simulator.state_file import FileLock

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["ADMIN", "Call", "Simulator"]

#: Paths that begin so steer the simulator: they meet no faults and are not among the calls.
ADMIN = "/_simulator"

_HOUR = 3600.0


@dataclass(frozen=True)
class Call:
    """One request that was made, and what became of it.

    ``path`` is without the query. ``status`` is 0 when no answer was sent. ``started`` and ``finished`` are seconds of
    `time.monotonic`, for durations and overlaps. ``fault`` is the kind of the fault it met, None for most; a connection
    that a time-out holds counts as finished when it begins to.
    """

    method: str
    path: str
    status: int
    started: float
    finished: float
    user_agent: str
    query: str = ""
    fault: str | None = None


class Simulator:
    """The simulated service. As a context manager it serves from entry to exit; else from `start` to `stop`.

    Two accounts come with it: the ``owner`` of some server backups, and a ``receiver`` that has vaults. IDs, names and
    secrets follow from ``seed`` alone. ``port`` 0 takes a free one. ``state_file`` keeps the state in a JSON file,
    which is read when it exists. ``now`` is the clock (epoch seconds) and ``latency`` the seconds before each answer.

    The other switches, each a way in which the real services differ or misbehave:

    - ``bare_add_answer``: add answers with one bare member object, the other of the two documented shapes;
    - ``visible_after_reads``: a new member is missing from the owner's first so many reads;
    - ``accept_after_reads``: receivers accept by themselves after so many of the owner's reads;
    - ``token_life``: seconds until a token expires;
    - ``backups``: how many backups the owner has;
    - ``catalogue_with_project``: the catalogue's URL ends in ``/v3/<project ID>``, else it is the plain host;
    - ``regions``: where the catalogue has the service; none leaves it out;
    - ``encrypted_allowed``, ``disk_allowed``: such backups can be shared;
    - ``receiver_sees_member``: the receiver can show the member of its own project;
    - ``page_size``: most entries on one page, at least 1.

    Raises ValueError for a page size of 0 and for a state file that is none or that another simulator uses. `start`
    raises OSError for a port that is taken, and ImportError when Flask (the extra ``simulator``) is not installed.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        port: int = 0,
        state_file: str | os.PathLike[str] | None = None,
        now: Callable[[], float] = time.time,
        bare_add_answer: bool = False,
        visible_after_reads: int = 0,
        accept_after_reads: int | None = None,
        token_life: float = 86400.0,
        latency: float = 0.0,
        backups: int = 12,
        catalogue_with_project: bool = True,
        regions: tuple[str, ...] = ("eu-de",),
        encrypted_allowed: bool = False,
        disk_allowed: bool = False,
        receiver_sees_member: bool = True,
        page_size: int = 1000,
    ) -> None:
        switches = Switches(
            bare_add_answer=bare_add_answer,
            visible_after_reads=visible_after_reads,
            accept_after_reads=accept_after_reads,
            token_life=token_life,
            backups=backups,
            catalogue_with_project=catalogue_with_project,
            regions=tuple(regions),
            encrypted_allowed=encrypted_allowed,
            disk_allowed=disk_allowed,
            receiver_sees_member=receiver_sees_member,
            page_size=page_size,
        )
        self._state_file = state_file
        self._kept: FileLock | None = None if state_file is None else FileLock(state_file)
        try:
            self.state: State = State(seed, switches, state_file=state_file, now=now)
        except BaseException:
            self._let_go()
            raise
        self.identity: Identity = Identity(self.state)
        #: What goes wrong: `Faults.add`, `Faults.scripted`, `Faults.clear`.
        self.faults: Faults = Faults(self.state.seed)
        #: Known to this simulator alone: the admin routes prove by it which simulator answers.
        self.secret: bytes = secrets.token_bytes(32)
        #: Seconds before each answer; may be changed while it runs.
        self.latency = latency
        self._port = port
        self._listener: Listener | None = None
        self._application: Flask | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._answered = 0

    # Running

    def start(self) -> Simulator:
        """Serve from now on; give itself. After a `stop` the state file is read again: others may have changed it."""
        if self._listener is not None:
            raise RuntimeError("the simulator runs already")
        try:
            if self._state_file is not None and self._kept is None:
                self._kept = FileLock(self._state_file)
                self.state.take_up()
            if self._application is None:
                from pulumi_cbr.simulator.admin import add_admin
                from pulumi_cbr.simulator.app import create_app

                self._application = create_app(self.state, self.identity, lambda: self.url)
                add_admin(self._application, self)
            self._stopping = threading.Event()
            self._listener = Listener(self._port, self._respond)
        except BaseException:
            self._let_go()
            raise
        self._port = self._listener.port
        return self

    def stop(self) -> None:
        """Serve no more; every connection ends, held ones too. Stopping twice does nothing."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._stopping.set()
            listener.stop()
        self._let_go()

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.release()

    def restart(self) -> None:
        """Stop, and start on the same port with the same state: connections are lost, shares and tokens are not."""
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
        """Where it is served; identity is at ``<url>/v3``, the members API at ``<url>/v3/<project ID>/backups``."""
        if self._port == 0:
            raise RuntimeError("the simulator has no address before it is started")
        return f"http://127.0.0.1:{self._port}"

    # Who and what there is

    @property
    def owner(self) -> Account:
        """The account whose backups these are."""
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
        """The receiver's vaults: one for servers, one for disks, one that is locked, one that is full."""
        return self.state.vaults

    def members(self, backup_id: str) -> dict[str, MemberRecord]:
        """Give the members of a backup by project ID: the truth, whatever readers are shown."""
        return self.state.members(backup_id)

    def env(self, role: str = "owner") -> dict[str, str]:
        """Give the ``OS_*`` variables that sign a role in with its password."""
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
        """Give the ``HW_*`` variables that sign a role's requests (temporary keys: a token too), and the endpoint."""
        account = self.state.account(role)
        env = {
            "HW_ACCESS_KEY": account.temporary_access_key if temporary else account.access_key,
            "HW_SECRET_KEY": account.temporary_secret_key if temporary else account.secret_key,
            "HW_REGION_NAME": self.state.region,
            "HW_PROJECT_ID": account.project_id,
            "CBR_ENDPOINT": self.url,
        }
        return {**env, "HW_SECURITY_TOKEN": account.security_token} if temporary else env

    # What was asked

    @property
    def calls(self) -> list[Call]:
        """All requests so far, in the order they ended; those that steer the simulator are left out."""
        with self._lock:
            return list(self._calls)

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        with self._lock:
            self._calls.clear()

    def count(self, method: str, path: str = "") -> int:
        """Count the calls of a method (``*``: any) in whose path the regular expression is found."""
        return sum(1 for call in self.calls if method in ("*", call.method) and re.search(path, call.path))

    # What happens at the other end

    def share(self, backup_id: str, project_id: str, status: str = "pending") -> MemberRecord:
        """Share a backup without a call, visible at once. Raises `Refused` as the API would."""
        return self.state.share(backup_id, project_id, status)

    def withdraw(self, backup_id: str, project_id: str) -> None:
        """Take a share away without a call. Raises `Refused` as the API would."""
        self.state.withdraw(backup_id, project_id)

    def accept(self, backup_id: str, project_id: str, vault_id: str | None = None) -> MemberRecord:
        """Accept for a receiver; without a vault, into its first fitting one. Raises `Refused` as the API would."""
        return self.state.accept(backup_id, project_id, vault_id)

    def reject(self, backup_id: str, project_id: str) -> MemberRecord:
        """Reject for a receiver. Raises `Refused` as the API would."""
        return self.state.reject(backup_id, project_id)

    def register_image(self, backup_id: str, project_id: str) -> str:
        """Make an image of the shared backup, so that the share cannot be taken away; give the image's ID."""
        return self.state.register_image(backup_id, project_id)

    def delete_image(self, backup_id: str, project_id: str) -> None:
        """Delete that image again."""
        self.state.delete_image(backup_id, project_id)

    def set_backup(
        self,
        backup_id: str,
        *,
        status: str | None = None,
        encrypted: bool | None = None,
        resource_type: str | None = None,
    ) -> Backup:
        """Change what a backup is. Raises `Refused` with 6200."""
        return self.state.set_backup(backup_id, status=status, encrypted=encrypted, resource_type=resource_type)

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup, and with it its shares. Raises `Refused` with 6200."""
        self.state.delete_backup(backup_id)

    def deny(self, action: str, role: str = "owner") -> None:
        """Take an IAM action, such as ``cbr:member:list``, away from a role."""
        self.state.deny(action, role)

    def allow_all(self) -> None:
        """Give every denied action back."""
        self.state.allow_all()

    def revoke_tokens(self) -> None:
        """Take all tokens back: the next call with one is answered with 401."""
        self.identity.revoke_all()

    def advance(self, seconds: float) -> None:
        """Move the service's clock forward, on top of ``now``; tokens expire by it, the Date header shows it."""
        self.state.advance(seconds)

    # One request

    def _respond(self, request: Request) -> Answer | Drop:
        started = time.monotonic()
        steering = request.path.startswith(f"{ADMIN}/") or request.path == ADMIN
        fault = None if steering else self.faults.take(request.method, request.path)
        if self.latency and not steering:
            self._stopping.wait(self.latency)
        answer = self._finish(self._apply(request) if fault is None else self._suffer(fault, request))
        if not steering:
            agent = request.header("User-Agent")
            status = answer.status if isinstance(answer, Answer) else 0
            query = request.target.partition("?")[2]
            kind = None if fault is None else fault.kind
            call = Call(request.method, request.path, status, started, time.monotonic(), agent, query, kind)
            with self._lock:
                self._calls.append(call)
        return answer

    def _suffer(self, fault: Fault, request: Request) -> Answer | Drop:
        """Answer as the fault says, changing the state first where it does."""
        kind = fault.kind
        if kind == "slow":
            self._stopping.wait(1.0 if fault.seconds is None else fault.seconds)
            return self._apply(request)
        if kind == "expire_token":
            self.identity.revoke(request.header("X-Auth-Token"))
            message = "Incorrect IAM authentication information: token expires"
            return _json(401, {"error_code": "APIGW.0301", "error_msg": message})
        committed = kind in ("reset_after", "timeout_after", "status_after", "truncated", "malformed") or (
            kind == "html" and fault.committed
        )
        answer = self._apply(request) if committed else Answer(500)
        if kind.startswith("reset"):
            return Drop(reset=True)
        if kind.startswith("timeout"):
            return Drop(reset=False, held=_HOUR if fault.seconds is None else fault.seconds)
        if kind == "truncated":
            half = len(answer.body) // 2
            return Answer(answer.status, answer.headers, answer.body[:half], missing=max(1, len(answer.body) - half))
        if kind == "malformed":
            return _written(200, '{"members": [{"status": "pend' if fault.body is None else fault.body)
        if kind == "throttle":
            retry = [] if fault.retry_after is None else [("Retry-After", str(fault.retry_after))]
            message = "The throttling threshold has been reached: policy ip over ratelimit,limit:60,time:1 minute"
            answer = _json(429, {"error_code": "APIGW.0308", "error_msg": message})
            return Answer(answer.status, [*answer.headers, *retry], answer.body)
        if kind == "proxy_407":
            page = _page(407, "Proxy Authentication Required")
            return Answer(407, [*page.headers, ("Proxy-Authenticate", 'Basic realm="proxy"')], page.body)
        if kind == "html":
            status = fault.status or 502
            return _page(status, "Bad Gateway") if fault.body is None else _written(status, fault.body, "text/html")
        retry = [] if fault.retry_after is None else [("Retry-After", str(fault.retry_after))]
        default = {"error_code": "APIGW.0202", "error_msg": "Backend unavailable"}
        answer = _written(fault.status or 503, default if fault.body is None else fault.body)
        return Answer(answer.status, [*answer.headers, *retry], answer.body)

    def _finish(self, answer: Answer | Drop) -> Answer | Drop:
        """Add what every answer has: the service's time and the request's ID."""
        if isinstance(answer, Drop):
            return answer
        with self._lock:
            self._answered += 1
            number = self._answered
        every = [
            ("Date", formatdate(self.state.now(), usegmt=True)),
            ("X-Request-Id", Identifiers(self.state.seed).hexadecimal(f"request {number}")),
        ]
        return Answer(answer.status, [*answer.headers, *every], answer.body, answer.missing)

    def _apply(self, request: Request) -> Answer:
        """Let the application answer."""
        from werkzeug.wrappers import Response

        assert self._application is not None  # noqa: S101
        response = Response.from_app(self._application, _environ(request, self._port), buffered=True)
        headers = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
        return Answer(response.status_code, headers, response.get_data())


def _environ(request: Request, port: int) -> dict[str, Any]:
    """Give the WSGI environment of a request."""
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
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


def _json(status: int, body: object) -> Answer:
    return Answer(status, [("Content-Type", "application/json")], json.dumps(body).encode())


def _written(status: int, body: object, content_type: str = "application/json") -> Answer:
    if isinstance(body, str):
        return Answer(status, [("Content-Type", content_type)], body.encode())
    return _json(status, body)


def _page(status: int, title: str) -> Answer:
    said = f"{status} {title}"
    text = f"<html><head><title>{said}</title></head><body><center><h1>{said}</h1></center></body></html>"
    return Answer(status, [("Content-Type", "text/html")], text.encode())
