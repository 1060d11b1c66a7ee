from __future__ import annotations

import contextlib
import gc
import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from accounts import password_settings
from pulumi_cbr.api.auth import make_authenticator
from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import (
    CbrError,
    NotAllowed,
    NotSignedIn,
    ServiceUnavailableError,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.settings import load
from pulumi_cbr.simulator import Simulator
from unit.api.kit import (
    BACKUP,
    BACKUP_OBJECT,
    CALLS,
    OTHER,
    OWN,
    FakeClock,
    Reply,
    Seen,
    Server,
    calls,
    configured,
    fixed_token,
    grant,
    in_turn,
    password,
)
from waiting import PATIENCE, wait_until

GOOD = Reply(200, {"backup": BACKUP_OBJECT})


def test_four_threads_one_token_and_a_connection_each() -> None:
    together = threading.Barrier(4, timeout=PATIENCE)

    def work(client: CbrClient) -> None:
        together.wait()
        for _ in range(10):
            client.show_backup(BACKUP)

    with Server(lambda seen: grant(server.url) if "tokens" in seen.path else GOOD) as server:
        client = CbrClient(password(server.url), timing=FakeClock().timing)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, [client] * 4))
    assert Counter(seen.method for seen in server.seen) == {"POST": 1, "GET": 40}
    # One of the four, and the one that signs in; each connection serves one thread.
    assert server.connections <= 5
    assert len({seen.connection for seen in server.seen if seen.method == "GET"}) == 4


def test_connections_are_kept() -> None:
    with Server(lambda seen: Reply(503, b"") if len(server.seen) % 2 else GOOD) as server:
        client = CbrClient(fixed_token(server.url), timing=FakeClock().timing)
        for _ in range(5):
            client.show_backup(BACKUP)
    assert (len(server.seen), server.connections) == (10, 1)


def test_a_storm_of_401_is_one_renewal() -> None:
    together = threading.Barrier(4, timeout=PATIENCE)
    tokens = iter(["one", "two", "three", "four", "five"])

    def respond(seen: Seen) -> Reply:
        if "tokens" in seen.path:
            return grant(server.url, token=next(tokens))
        if seen.headers["x-auth-token"] == "one":
            together.wait()
            return Reply(401, b"")
        return GOOD

    with Server(respond) as server:
        client = CbrClient(password(server.url), timing=FakeClock().timing)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.show_backup(BACKUP), range(4)))
    assert Counter(seen.method for seen in server.seen) == {"POST": 2, "GET": 8}


class Watched(FakeClock):
    """A clock that counts how often each thread reads it.

    A call does so when it begins, and when it signs in or waits for that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.looks: Counter[int] = Counter()
        self.timing = replace(self.timing, monotonic=self.look)

    def look(self) -> float:
        self.looks[threading.get_ident()] += 1
        return self.seconds

    def wait_for(self, threads: int) -> None:
        """Wait until so many threads sign in."""
        wait_until(lambda: sum(count >= 2 for count in self.looks.copy().values()) >= threads)


@pytest.mark.parametrize(("seconds", "threads"), [(math.inf, 4), (100.0, 5)], ids=["with a call's time", "with less"])
@pytest.mark.parametrize(("status", "kind", "tries"), [(401, NotSignedIn, 1), (503, ServiceUnavailableError, 5)])
def test_a_failed_sign_in_is_everybodys_error(
    status: int, kind: type[CbrError], tries: int, seconds: float, threads: int
) -> None:
    clock = Watched()

    def respond(seen: Seen) -> Reply:
        clock.wait_for(threads)
        return Reply(status, b"")

    with Server(respond) as server:
        client = CbrClient(password(server.url), timing=replace(clock.timing, time_left=lambda: seconds))
        with ThreadPoolExecutor(4) as pool:
            errors = [
                future.exception(PATIENCE) for future in [pool.submit(client.show_backup, BACKUP) for _ in range(4)]
            ]
    assert {type(error) for error in errors} == {kind}
    # With the retries of one.
    assert len(server.seen) == tries


@pytest.mark.parametrize(("status", "kind"), [(401, NotSignedIn), (403, NotAllowed)])
def test_refused_credentials_are_not_resent_for_a_minute(status: int, kind: type[CbrError]) -> None:
    clock = FakeClock()
    with Server(lambda seen: Reply(status, b"")) as server:
        client = CbrClient(password(server.url), timing=clock.timing)
        for sent in 1, 2:
            for call in CALLS:
                with pytest.raises(kind):
                    calls(client)[call]()
            assert server.paths() == ["POST /v3/auth/tokens"] * sent
            clock.advance(61)


def test_refused_credentials_that_worked_before_are_resent() -> None:
    clock = FakeClock()
    answers = [grant(), Reply(401, b""), Reply(401, b""), grant()]
    with Server(in_turn(*answers)) as server:
        client = CbrClient(password(server.url, projectId=None, projectName="p"), timing=clock.timing)
        assert client.project_id() == OWN
        clock.advance(86400)
        for _ in range(2):
            with pytest.raises(NotSignedIn):
                client.project_id()
        assert client.project_id() == OWN


def test_who_waits_for_anothers_sign_in_does_so_for_its_own_time() -> None:
    left = ContextVar("left", default=math.inf)
    timing = replace(FakeClock().timing, time_left=left.get)
    asked, answered = threading.Event(), threading.Event()

    def respond(seen: Seen) -> Reply:
        if "tokens" not in seen.path:
            return GOOD
        asked.set()
        assert answered.wait(PATIENCE)
        return grant(server.url)

    with Server(respond) as server, ThreadPoolExecutor(1) as pool:
        client = CbrClient(password(server.url), timing=timing)
        patient = pool.submit(client.show_backup, BACKUP)
        try:
            assert asked.wait(PATIENCE)
            left.set(0.01)
            with pytest.raises(ServiceUnavailableError, match=r"^signing in at \S+ failed: no response in time"):
                client.add_members(BACKUP, [OTHER])
            assert not patient.done()
        finally:
            answered.set()
        patient.result(PATIENCE)
    assert Counter(seen.method for seen in server.seen) == {"POST": 1, "GET": 1}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_call_after_sign_in_at_the_deadline_is_not_sent(call: str) -> None:
    clock = FakeClock()

    def respond(seen: Seen) -> Reply:
        clock.advance(121)
        return grant(server.url)

    with Server(respond) as server:
        client = CbrClient(password(server.url), timing=clock.timing)
        # Whether the time runs out before or after the response of the sign-in is read is up to the threads.
        with pytest.raises(ServiceUnavailableError, match=r"timed out before it was sent|in time"):
            calls(client)[call]()
    assert server.paths() == ["POST /v3/auth/tokens"]


def test_imports_before_the_first_call_do_not_use_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def slow(*args: Any) -> Any:
        clock.advance(200)
        return make_authenticator(*args)

    monkeypatch.setattr("pulumi_cbr.api.transport.make_authenticator", slow)
    with Server(lambda seen: GOOD) as server:
        CbrClient(fixed_token(server.url), timing=clock.timing).show_backup(BACKUP)
    assert len(server.seen) == 1


def test_a_project_is_looked_up_once_for_all_threads() -> None:
    clock = Watched()

    def respond(seen: Seen) -> Reply:
        if seen.path != "/v3/projects":
            return GOOD
        clock.wait_for(4)
        return Reply(200, {"projects": [{"id": OWN, "name": "eu-de"}]})

    with Server(respond) as server:
        given = {"accessKey": "key", "secretKey": "secret-key", "region": "eu-de"}
        client = CbrClient(configured(**given, authUrl=server.url, endpoint=server.url), timing=clock.timing)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.show_backup(BACKUP), range(4)))
    assert Counter(seen.path == "/v3/projects" for seen in server.seen) == {True: 1, False: 4}


def test_connections_end_with_the_client() -> None:
    with Server(lambda seen: GOOD) as server:
        client = CbrClient(fixed_token(server.url), timing=FakeClock().timing)
        client.show_backup(BACKUP)
        del client
        gc.collect()  # a socket that is left open would be a ResourceWarning, which is an error here


def test_exact_counts_against_the_simulator() -> None:
    with Simulator() as simulator:
        given = password_settings(simulator, "owner")
        client = CbrClient(load(given.get), timing=FakeClock().timing)
        backup, project = simulator.backups[0].id, simulator.projects[0]
        client.add_members(backup, [project])
        client.list_members(backup)
        client.show_member(backup, project)
        client.show_backup(backup)
        list(client.list_backups())
        client.delete_member(backup, project)
        client.project_id()
        made = Counter((call.method, "tokens" in call.path) for call in simulator.calls)
    assert made == {("POST", True): 1, ("POST", False): 1, ("GET", False): 4, ("DELETE", False): 1}


def test_each_method_is_one_request() -> None:
    members = {"members": [], "count": 0, "member": {}, "backup": BACKUP_OBJECT, "backups": []}
    for name in CALLS:
        with Server(lambda seen: Reply(204) if seen.method == "DELETE" else Reply(200, members)) as server:
            client = CbrClient(fixed_token(server.url), timing=FakeClock().timing)
            with contextlib.suppress(UnexpectedResponseError, UnknownOutcomeError):  # the member is none
                calls(client)[name]()
        assert len(server.seen) == 1
