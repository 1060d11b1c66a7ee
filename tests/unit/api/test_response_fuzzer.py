"""Whatever bytes answer a request: the result is right, or the error says that the outcome is unknown.

Generated responses for each method, in this process: a socket whose other end is a script, and a clock that only the
script moves. A response takes 2 ms, so 800 for each of four methods take 6 s of CPU; `make soak` generates 3,000 for
each. `RESPONSE_FUZZER_SEED` in the environment repeats or varies a run, `RESPONSE_FUZZER_CASES` sets its length.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import select
import socket
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import CbrError, NotFound, UnknownOutcomeError
from pulumi_cbr.api.models import Member
from unit.api.kit import BACKUP, MEMBER, OWN, VAULT, FakeClock, fixed_token

CASES = int(os.environ.get("RESPONSE_FUZZER_CASES", "800"))
SEED = int(os.environ.get("RESPONSE_FUZZER_SEED", "20260504"))
TIMEOUT = 20.0
MIB = 2**20

#: Statuses that say that nothing was changed, whoever gives them.
REFUSALS = (400, 401, 403, 405, 413, 415, 422, 431)

Event = bytes | float | str
"""Bytes to send, seconds to wait, or what becomes of the connection: "close" or "reset"."""


@dataclass
class Plan:
    """The plan for one request: whether the service carries it out, and what it sends."""

    commits: bool
    events: list[Event]
    #: Sent as soon as somebody connects.
    early: bytes = b""
    #: Sent when the response has been read, before the next request.
    late: bytes = b""
    is_documented: bool = False


@dataclass
class Service:
    """The truth, and the plan for the next request, without which it does as documented."""

    clock: FakeClock
    shares: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: Plan | None = None
    late: list[tuple[ScriptedSocket, bytes]] = field(default_factory=list)
    connections: list[ScriptedSocket] = field(default_factory=list)

    def connect(self, *args: Any, **kwargs: Any) -> ScriptedSocket:
        near, far = socket.socketpair()
        connection = ScriptedSocket(self, near, far)
        self.connections.append(connection)
        if self.plan and self.plan.early:
            far.sendall(self.plan.early)
            self.plan.early = b""
        return connection

    def respond(self, connection: ScriptedSocket, method: str, path: str, body: bytes) -> list[Event]:
        plan, self.plan = self.plan, None
        if plan is None:
            return [documented(self.carry_out(method, path, body))]
        if plan.commits:
            self.carry_out(method, path, body)
        if plan.late:
            self.late.append((connection, plan.late))
        return plan.events

    def carry_out(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Send a request, and return its documented status and body."""
        tail = path.partition("?")[0].rpartition("/")[2]
        if method == "POST":
            project = json.loads(body)["members"][0]
            self.shares[project] = share(project)
            return 200, {"members": [self.shares[project]], "count": 1}
        if tail == BACKUP:
            return 200, {"backup": {"id": BACKUP}}
        if tail not in self.shares:
            return 404, {"error_code": "BackupService.6705", "error_msg": "gone"}
        if method == "DELETE":
            del self.shares[tail]
            return 204, None
        if method == "PUT":
            self.shares[tail]["status"] = json.loads(body)["status"]
        return 200, {"member": self.shares[tail]}

    def finish(self) -> None:
        """Let happen what is left of the plans of all requests so far, before there is another."""
        for connection, data in self.late:
            connection.send_from_service(data)
        self.late.clear()
        for connection in self.connections:
            connection.finish()
        self.connections = [connection for connection in self.connections if connection.fileno() >= 0]
        for connection, data in self.late:
            connection.send_from_service(data)
        self.late.clear()


def share(project: str) -> dict[str, Any]:
    return {**MEMBER, "dest_project_id": project, "id": f"{project[:8]}-0000-0000-0000-{project[:12]}"}


class ScriptedSocket(socket.socket):
    """A client's end whose other end does what the service says when the client waits."""

    def __init__(self, service: Service, near: socket.socket, far: socket.socket) -> None:
        super().__init__(near.family, near.type, fileno=near.detach())
        self._service = service
        self._far = far
        self._request = b""
        self._events: deque[Event] = deque()

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._request += bytes(data)
        head, end, body = self._request.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if end and len(body) >= (int(lengths[0].split(b":")[1]) if lengths else 0):
            method, path, _ = head.split(b" ", 2)
            self._request = b""
            self._events.extend(self._service.respond(self, method.decode(), path.decode(), body))

    def send_from_service(self, data: bytes) -> None:
        # The client may have closed it, as it should.
        with suppress(OSError):
            self._far.sendall(data)

    def finish(self) -> None:
        for event in self._events:
            if isinstance(event, bytes):
                self.send_from_service(event)
            elif isinstance(event, str):
                self._far.close()
        self._events.clear()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        while not select.select([self], [], [], 0)[0]:
            self._happen(self._events.popleft() if self._events else 1e9)
        return super().recv_into(buffer, nbytes, flags)

    def _happen(self, event: Event) -> None:
        clock = self._service.clock
        if isinstance(event, bytes):
            # In pieces that the pair of sockets can hold.
            self._far.sendall(event[:65536])
            if event[65536:]:
                self._events.appendleft(event[65536:])
        elif isinstance(event, float):
            given = self.gettimeout() or 0.0
            clock.advance(min(event, given))
            if event >= given:
                raise TimeoutError
        elif event == "close":
            self._far.close()
        else:
            raise ConnectionResetError(104, "Connection reset by peer")

    def close(self) -> None:
        self._far.close()
        super().close()


def documented(answer: tuple[int, Any]) -> bytes:
    status, body = answer
    if status == 204:
        return b"HTTP/1.1 204 No Content\r\nX-Request-Id: r\r\n\r\n"
    return response(status, json.dumps(body).encode())


def response(status: int, body: bytes, *headers: bytes, length: bool = True) -> bytes:
    fields = [b"Content-Type: application/json", *headers]
    if length:
        fields.append(b"Content-Length: %d" % len(body))
    return b"HTTP/1.1 %d Reason\r\n%s\r\n\r\n%s" % (status, b"\r\n".join(fields), body)


def chunked(body: bytes, size: int, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


class Generator:
    """Makes plans for one method, for a call about `project`.

    `answer` is the documented response to it.
    """

    def __init__(self, rng: random.Random, method: str, project: str, answer: tuple[int, Any]) -> None:
        self.rng = rng
        self.method = method
        self.project = project
        self.answer = answer
        self.body = b"" if answer[1] is None else json.dumps(answer[1]).encode()
        well_formed = (self.clean, self.refused, self.interim, self.encoding)
        self.kinds: tuple[Callable[[], Plan], ...] = (
            *(*well_formed, self.status, self.header, self.framing),
            *(self.content, self.extra, self.timing, self.broken, self.bits),
        )

    def plan(self) -> Plan:
        return self.rng.choice(self.kinds)()

    def either(self) -> bool:
        return self.rng.random() < 0.5

    def clean(self) -> Plan:
        return Plan(True, [documented(self.answer)], is_documented=True)

    def refused(self) -> Plan:
        body = self.rng.choice([b"", b"no", b"<html>", b'{"error_code": "BackupService.6711", "error_msg": "no"}'])
        return Plan(False, [response(self.rng.choice(REFUSALS), body)])

    def interim(self) -> Plan:
        """Send interim responses first. They belong to the request, and are not its response."""
        statuses = [self.rng.choice((100, 102, 103, 110, 199)) for _ in range(self.rng.randint(1, 4))]
        head = b"".join(b"HTTP/1.1 %d Wait\r\nLink: <x>; rel=preload\r\n\r\n" % status for status in statuses)
        plan = self.rng.choice((self.clean, self.refused))()
        cut = self.rng.randint(0, len(head))
        return replace(plan, events=[head[:cut], head[cut:], *plan.events])

    def status(self) -> Plan:
        status = self.rng.choice((101, 203, 206, 300, 302, 307, 404, 408, 409, 410, 423, 425, 500, 502, 503, 504, 599))
        if self.rng.random() < 0.2:
            lines = (
                b"HTTP/1.1 2x0 OK",
                b"HTTP/2.0 204",
                b"ICY 200 OK",
                b"HTTP/1.1",
                b"",
                b"HTTP/1.1 99 A",
                b"\xff\xfe",
            )
            return Plan(self.either(), [self.rng.choice(lines) + b"\r\nContent-Length: 0\r\n\r\n", "close"])
        commits = self.method != "DELETE" and 200 <= status < 300
        return Plan(commits or self.either(), [response(status, self.body)])

    def header(self) -> Plan:
        bad = self.rng.choice(
            (
                b"Content-Length: 7\r\nContent-Length: %d" % len(self.body),
                b"Content-Length: -1",
                b"Content-Length: +%d" % len(self.body),
                b"Content-Length: 1_0",
                b"Content-Length: 5, 5",
                b"Content-Length: ",
                b"Content-Length: 99999999999999999999",
                b"no colon here\r\nContent-Length: %d" % len(self.body),
                b" folded first\r\nContent-Length: %d" % len(self.body),
                b"\r\n".join(b"X-%d: y" % number for number in range(150)),
                b"X-Long: " + b"y" * 70000,
                b"Transfer-Encoding: chunked\r\nContent-Length: %d" % len(self.body),
                b"Transfer-Encoding: identity, chunked",
                b"Transfer-Encoding: gzip",
            )
        )
        status = self.answer[0] if self.method != "DELETE" or self.either() else 200
        return Plan(
            self.either() if b"Length: 7" in bad else True, [response(status, self.body, bad, length=False), "close"]
        )

    def framing(self) -> Plan:
        """Let the body end early, late, or in malformed chunks."""
        if self.either():
            size = self.rng.randint(1, max(1, len(self.body)))
            end = self.rng.choice((b"0\r\n\r\n", b"0\r\nX-Trailer: y\r\n\r\n", b"0;x=y\r\n\r\n"))
            head = response(200, b"", b"Transfer-Encoding: chunked", length=False)
            return Plan(True, [head + chunked(self.body or b" ", size, end)])
        ends = (
            b"-5\r\n",
            b"+5\r\nabcde\r\n",
            b"xyz\r\n",
            b"",
            b"fffffffff\r\nabc",
            b"0\r\n",
            b"5\r\nabcdefgh\r\n0\r\n\r\n",
        )
        broken = b"Transfer-Encoding: chunked"
        body = chunked(self.body[:10], 5, self.rng.choice(ends))
        return Plan(self.either(), [response(200, b"", broken, length=False) + body, "close"])

    def encoding(self) -> Plan:
        good, bad = gzip.compress(self.body), gzip.compress(self.body)[:-9]
        header, body, is_good = self.rng.choice(
            (
                (b"gzip", good, True),
                (b"x-gzip", good, True),
                (b"deflate", zlib.compress(self.body), True),
                (b"deflate", zlib.compress(self.body)[2:-4], True),
                (b"identity", self.body, True),
                (b"gzip", bad, False),
                (b"gzip", good + b"more", False),
                (b"gzip", self.body, False),
                (b"br", self.body, False),
                (b"gzip, gzip", good, False),
            )
        )
        return Plan(is_good or self.either(), [response(200, body, b"Content-Encoding: " + header)])

    def content(self) -> Plan:
        other = f"{self.rng.getrandbits(128):032x}"
        body: Any = self.rng.choice(
            (
                {"error_code": "BackupService.6711", "error_msg": "no"},
                {"members": [], "count": 0},
                {"member": {}, "members": [{}]},
                {"member": share(other), "members": [share(other)]},
                {"member": {**share(self.project), "backup_id": VAULT}, "members": []},
                share(other),
                {},
                [],
                None,
                "\ud800",
                {"member": {**share(self.project), "id": "\x1b[31m"}},
            )
        )
        text = (
            json.dumps(body).encode()
            if self.either()
            else self.rng.choice((b"", b"<html>", b"[" * 5000, b'{"a"', b"\xff"))
        )
        return Plan(self.either(), [response(self.rng.choice((200, 201, 202)), text)])

    def extra(self) -> Plan:
        """Send more after the response: another response, or a part of one."""
        other = share(f"{self.rng.getrandbits(128):032x}")
        more = self.rng.choice(
            (
                b"HTTP/1.1 204 No Content\r\n\r\n",
                response(200, json.dumps({"member": other, "members": [other]}).encode()),
                response(400, b"{}"),
                b"HTTP/1.1 20",
                b"\r\n",
                b"x" * self.rng.randint(1, 100),
            )
        )
        place = self.rng.randint(0, 2)
        if place == 0:
            return Plan(self.either(), [documented(self.answer) + more])
        if place == 1:
            return Plan(True, [documented(self.answer)], late=more)
        return Plan(True, [documented(self.answer)], early=more)

    def timing(self) -> Plan:
        data = documented(self.answer)
        cuts = sorted(self.rng.randint(0, len(data)) for _ in range(self.rng.randint(1, 5)))
        slow = self.either()
        events: list[Event] = []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            events += [data[start:end], self.rng.uniform(0.0, 0.2) if not slow else self.rng.choice((3.0, 8.0, 30.0))]
        return Plan(True, [event for event in events if event != b""])

    def broken(self) -> Plan:
        data = documented(self.answer)
        end = self.rng.choice(("close", "reset", 1e9))
        return Plan(self.either(), [data[: self.rng.randint(0, len(data) - 1)], end])

    def bits(self) -> Plan:
        """Change some bytes of the head, but not of the status."""
        data = bytearray(documented(self.answer))
        head = data.index(b"\r\n\r\n")
        for _ in range(self.rng.randint(1, 3)):
            # Not in the status: any would be a documented answer.
            data[self.rng.randint(16, head + 3)] = self.rng.randrange(256)
        return Plan(True, [bytes(data), self.rng.choice(("close", 0.1))])


def truth_after(service: Service, method: str, project: str) -> bool:
    """Return whether the service has carried out the call."""
    found = service.shares.get(project)
    if method == "DELETE":
        return found is None
    return found is not None and (method != "PUT" or found["status"] == "rejected")


def call(client: CbrClient, method: str, project: str) -> object:
    if method == "POST":
        return client.add_members(BACKUP, [project])
    if method == "PUT":
        return client.update_member(BACKUP, project, "rejected")
    if method == "GET":
        return client.show_member(BACKUP, project)
    client.delete_member(BACKUP, project)
    return None


def assert_right(service: Service, method: str, project: str, result: object) -> None:
    """Check a result against the truth."""
    if method == "DELETE":
        assert result is None
        assert truth_after(service, method, project)
        return
    members = result if isinstance(result, tuple) else (result,)
    for member in members:
        assert isinstance(member, Member)
        assert (member.dest_project_id, member.backup_id) == (project, BACKUP)
        assert truth_after(service, method, project)
        assert (member.id, member.status) == (service.shares[project]["id"], service.shares[project]["status"])


def assert_honest(service: Service, method: str, project: str, error: CbrError) -> None:
    """Check an error: it says that the outcome is unknown, unless it is certain."""
    assert str(error).isprintable()
    if method == "GET":
        assert not isinstance(error, (NotFound, UnknownOutcomeError))
    elif isinstance(error, NotFound):
        assert method == "DELETE"
        assert truth_after(service, method, project)
    elif not isinstance(error, UnknownOutcomeError):
        assert not truth_after(service, method, project)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service(FakeClock())
    monkeypatch.setattr("urllib3.util.connection.create_connection", made.connect)
    # Much of the time of a request goes into the search for proxies, and into cookies, which are not kept.
    monkeypatch.setattr(
        requests.Session, "merge_environment_settings", lambda self, *args: {"proxies": {}, "verify": True}
    )
    monkeypatch.setattr(requests.PreparedRequest, "prepare_cookies", lambda *args: None)
    for module in ("sessions", "adapters"):
        monkeypatch.setattr(f"requests.{module}.extract_cookies_to_jar", lambda *args: None)
    return iter([made])


def new_client(service: Service, retries: int = 0) -> CbrClient:
    settings = fixed_token("http://127.0.0.1:9", timeout=TIMEOUT, maxRetries=retries)
    return CbrClient(settings, timing=service.clock.timing)


def answer_to(service: Service, method: str, project: str) -> tuple[int, Any]:
    """Return the documented response, without a change of the truth."""
    if method == "POST":
        return 200, {"members": [share(project)], "count": 1}
    if method == "DELETE":
        return 204, None
    member = dict(service.shares[project])
    return 200, {"member": {**member, "status": "rejected"} if method == "PUT" else member}


def run_case(service: Service, client: CbrClient, rng: random.Random, method: str) -> None:
    project = f"{rng.getrandbits(128):032x}"
    if method != "POST":
        service.shares[project] = share(project)
    generated = Generator(rng, method, project, answer_to(service, method, project)).plan()
    service.plan = generated
    started = service.clock.seconds
    try:
        result = call(client, method, project)
    except CbrError as error:
        assert_honest(service, method, project, error)
        is_understood = False
    else:
        assert_right(service, method, project, result)
        is_understood = True
    # What is documented, and comes in time, is understood.
    assert is_understood or not generated.is_documented
    assert service.clock.seconds - started <= TIMEOUT + 0.1
    service.plan = None
    service.finish()
    if rng.random() < 0.2:
        following = f"{rng.getrandbits(128):032x}"
        service.shares[following] = share(following)
        assert client.show_member(BACKUP, following).dest_project_id == following


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_fuzzed_response_gives_the_truth_or_an_unknown_outcome(method: str, service: Iterator[Service]) -> None:
    (truth,) = service
    rng = random.Random(f"{SEED}{method}")
    clients = [new_client(truth), new_client(truth), new_client(truth, retries=1)]
    for number in range(CASES):
        try:
            run_case(truth, rng.choice(clients), rng, method)
        except BaseException:
            print(f"RESPONSE_FUZZER_SEED={SEED}, case {number} of {method}")
            raise


def oversized() -> dict[str, Callable[[], list[Event]]]:
    pour = b"x" * MIB
    return {
        "body": lambda: [response(200, b"", length=False), *[pour] * 40],
        "chunk size": lambda: [response(200, b"", b"Transfer-Encoding: chunked", length=False), b"1;", *[pour] * 40],
        "trailers": lambda: [
            response(200, b"", b"Transfer-Encoding: chunked", length=False),
            b"0\r\n",
            *[b"a: " + b"b" * 60000 + b"\r\n"] * 400,
        ],
        "interim": lambda: [b"HTTP/1.1 103 Early\r\nA: " + b"b" * 60000 + b"\r\n\r\n"] * 400,
        "gzip": lambda: [response(200, gzip.compress(b" " * (200 * MIB), 1), b"Content-Encoding: gzip")],
        "values": lambda: [response(200, b"[" + b"{}," * (2 * MIB) + b"0]")],
        "depth": lambda: [response(200, b"[" * (4 * MIB))],
    }


@pytest.mark.parametrize("kind", sorted(oversized()))
def test_oversized_response_takes_at_most_64_mib(kind: str, service: Iterator[Service]) -> None:
    (truth,) = service
    client = new_client(truth)
    events = oversized()[kind]()
    truth.plan = Plan(True, events)
    tracemalloc.start()
    try:
        with pytest.raises(UnknownOutcomeError):
            client.add_members(BACKUP, [OWN])
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()
    truth.shares[OWN] = share(OWN)
    assert client.show_member(BACKUP, OWN).dest_project_id == OWN
