from __future__ import annotations

import contextlib
import gc
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import LostAnswer, UnexpectedAnswer
from pulumi_cbr.api.settings import load
from pulumi_cbr.simulator import Simulator
from unit.api.kit import BACKUP, BACKUP_OBJECT, CALLS, Clock, Reply, Seen, Server, calls, fixed_token, grant, password

GOOD = Reply(200, {"backup": BACKUP_OBJECT})


def test_four_threads_one_token_and_a_connection_each() -> None:
    together = threading.Barrier(4, timeout=10)

    def work(client: CbrClient) -> None:
        together.wait()
        for _ in range(10):
            client.show_backup(BACKUP)

    with Server(lambda seen: grant(server.url) if "tokens" in seen.path else GOOD) as server:
        client = CbrClient(password(server.url), timing=Clock().timing)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, [client] * 4))
    assert Counter(seen.method for seen in server.seen) == {"POST": 1, "GET": 40}
    # One of the four, and the one that signs in; each connection serves one thread.
    assert server.connections <= 5
    assert len({seen.connection for seen in server.seen if seen.method == "GET"}) == 4


def test_connections_are_kept() -> None:
    with Server(lambda seen: Reply(503, b"") if len(server.seen) % 2 else GOOD) as server:
        client = CbrClient(fixed_token(server.url), timing=Clock().timing)
        for _ in range(5):
            client.show_backup(BACKUP)
    assert (len(server.seen), server.connections) == (10, 1)


def test_a_storm_of_401_is_one_renewal() -> None:
    together = threading.Barrier(4, timeout=10)
    tokens = iter(["one", "two", "three", "four", "five"])

    def respond(seen: Seen) -> Reply:
        if "tokens" in seen.path:
            return grant(server.url, token=next(tokens))
        if seen.headers["x-auth-token"] == "one":
            together.wait()
            return Reply(401, b"")
        return GOOD

    with Server(respond) as server:
        client = CbrClient(password(server.url), timing=Clock().timing)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.show_backup(BACKUP), range(4)))
    assert Counter(seen.method for seen in server.seen) == {"POST": 2, "GET": 8}


def test_a_failed_sign_in_is_everybodys_error_and_no_deadlock() -> None:
    with Server(lambda seen: Reply(401, b"")) as server:
        client = CbrClient(password(server.url), timing=Clock().timing)
        with ThreadPoolExecutor(4) as pool:
            errors = [pool.submit(client.show_backup, BACKUP).exception(10) for _ in range(4)]
    assert {type(error).__name__ for error in errors} == {"NotSignedIn"}


def test_connections_end_with_the_client() -> None:
    with Server(lambda seen: GOOD) as server:
        client = CbrClient(fixed_token(server.url), timing=Clock().timing)
        client.show_backup(BACKUP)
        del client
        gc.collect()  # a socket that is left open would be a ResourceWarning, which is an error here


def test_exact_counts_against_the_simulator() -> None:
    with Simulator() as simulator:
        env = simulator.env()
        names = {
            "authUrl": "OS_AUTH_URL",
            "username": "OS_USERNAME",
            "password": "OS_PASSWORD",
            "projectId": "OS_PROJECT_ID",
        }
        given = {name: env[variable] for name, variable in names.items()}
        given |= {"userDomainName": env["OS_USER_DOMAIN_NAME"], "region": env["OS_REGION_NAME"]}
        client = CbrClient(load(given.get), timing=Clock().timing)
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
        with Server(lambda seen: Reply(200, members)) as server:
            client = CbrClient(fixed_token(server.url), timing=Clock().timing)
            with contextlib.suppress(UnexpectedAnswer, LostAnswer):  # the member is none
                calls(client)[name]()
        assert len(server.seen) == 1
