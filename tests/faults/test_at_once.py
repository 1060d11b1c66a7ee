"""Several at once, long runs, and a service that goes away in the middle: through the hooks, in every flavor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from protocol.plugin import FLAVORS, HookFailed, Plugin
from pulumi_cbr.simulator import Fault, Simulator
from waiting import Gate, wait_until

from .bare_engine import Hurried, Resource, assert_said_well
from .conftest import there

NewPlugin = Callable[..., Plugin]


@pytest.fixture(params=FLAVORS)
def new_plugin(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[NewPlugin]:
    with ExitStack() as stack:

        def start(role: str = "owner", **config: str) -> Plugin:
            return stack.enter_context(Hurried(request.param, simulator.env(role), config))

        yield start


def members(simulator: Simulator, backups: int, projects: int = 10) -> list[Resource]:
    return [
        Resource("BackupShareMember", backup_id=backup.id, dest_project_id=project)
        for backup in simulator.backups[:backups]
        for project in simulator.projects[:projects]
    ]


def up_all(plugin: Plugin, resources: list[Resource]) -> list[HookFailed]:
    """Create resources as the engine does, four at a time; return the failures."""

    def up(resource: Resource) -> HookFailed | None:
        try:
            resource.up(plugin)
        except HookFailed as failed:
            return failed
        return None

    with ThreadPoolExecutor(4) as pool:
        return [failed for failed in pool.map(up, resources) if failed]


def state(resources: list[Resource]) -> dict[tuple[str, str], str]:
    outputs = [resource.outputs for resource in resources if resource.id]
    return {(entry["backup_id"], entry["dest_project_id"]): entry["share_id"] for entry in outputs}


#: The POSTs at which a plugin is killed. A process for each is much: `make soak` has them all.
KILLED_AT = range(1, 21) if "SOAK" in os.environ else (1, 2, 11, 20)


def test_plugin_killed_at_one_of_twenty_posts(new_plugin: NewPlugin, simulator: Simulator) -> None:
    adopting = new_plugin(adoptExisting="true")
    for step in KILLED_AT:
        resources = members(simulator, 2)
        simulator.clear_calls()
        simulator.faults.add(Fault("timeout_after" if step % 2 else "timeout_before", nth=step))
        killed = new_plugin()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(up_all, killed, resources)
            wait_until(lambda: any(call.fault for call in simulator.calls))
            killed.process.kill()
            assert run.result()
        assert state(resources).items() <= there(simulator).items()

        assert up_all(adopting, resources) == []

        assert state(resources) == there(simulator)
        assert len(there(simulator)) == 20
        for backup_id, project in there(simulator):
            simulator.withdraw(backup_id, project)


def test_two_stacks_and_four_threads_at_once_on_one_backup(new_plugin: NewPlugin, simulator: Simulator) -> None:
    stacks = [(new_plugin(), members(simulator, 1)) for _ in range(2)]
    simulator.faults.add(Fault("reset_after", nth=2, times=3))

    with ThreadPoolExecutor(2) as pool:
        failures = [failed for found in pool.map(lambda stack: up_all(*stack), stacks) for failed in found]

    # One wins each share. The other is told, whoever's answer was lost: nobody has what the service has not, nor twice.
    one, two = (state(resources) for _, resources in stacks)
    for failed in failures:
        assert_said_well(failed)
        assert "already shared" in str(failed)
    assert {**one, **two} == there(simulator)
    assert len(there(simulator)) == 10

    def destroy(resource: Resource) -> None:
        resource.destroy(stacks[0][0])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(destroy, stacks[0][1]))
    assert there(simulator).items() >= {pair: id_ for pair, id_ in two.items() if pair not in one}.items()


def test_two_deletes_at_once(new_plugin: NewPlugin, simulator: Simulator) -> None:
    plugins = [new_plugin(), new_plugin()]
    resources = members(simulator, 1)
    assert up_all(plugins[0], resources) == []
    copies = members(simulator, 1)
    for copy, resource in zip(copies, resources, strict=True):
        copy.id, copy.outputs = resource.id, dict(resource.outputs)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(each.destroy, plugins[n % 2]) for n, each in enumerate([*resources, *copies])]
        for job in jobs:
            job.result()

    assert there(simulator) == {}


def test_tokens_that_expire_in_the_middle_of_an_up(new_plugin: NewPlugin, simulator: Simulator) -> None:
    plugin = new_plugin()
    resources = members(simulator, 2)
    simulator.state.switches = simulator.state.switches.__class__(token_life=3600.0)

    for first in range(0, 20, 4):
        assert up_all(plugin, resources[first : first + 4]) == []
        # The token ends between two members, not between a sign-in and its first call.
        simulator.advance(3601)

    assert state(resources) == there(simulator)
    assert len(there(simulator)) == 20
    # One sign-in for each token, whichever of the four threads finds that it has ended.
    assert simulator.count("POST", "/auth/tokens$") == 5


def test_service_restarted_in_the_middle_of_an_up(new_plugin: NewPlugin, simulator: Simulator) -> None:
    plugin = new_plugin()
    resources = members(simulator, 3)
    simulator.latency = 0.03
    restarts = 0
    done = threading.Event()

    def restart() -> None:
        nonlocal restarts
        while not done.is_set():
            seen = len(simulator.calls)
            wait_until(lambda seen=seen: done.is_set() or len(simulator.calls) >= seen + 4)  # type: ignore[misc]
            restarts += not done.is_set()
            simulator.restart()

    with ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(restart)
        failures = up_all(plugin, resources)
        done.set()
        restarting.result()

    # How many fit into an up is the machine's affair; one at least was in its middle.
    assert restarts
    for failed in failures:
        assert_said_well(failed)
    assert up_all(new_plugin(adoptExisting="true"), resources) == []
    assert state(resources) == there(simulator)
    assert len(there(simulator)) == 30


def test_credentials_that_change_between_runs(new_plugin: NewPlugin, simulator: Simulator) -> None:
    first = new_plugin()
    (member,) = members(simulator, 1, 1)
    member.up(first)
    account = simulator.owner
    assert not [text for text in (account.username, account.password) if text in str((member.id, member.outputs))]

    keys = simulator.access_key_env()
    names = {
        "accessKey": "HW_ACCESS_KEY",
        "secretKey": "HW_SECRET_KEY",
        "region": "HW_REGION_NAME",
        "projectId": "HW_PROJECT_ID",
        "endpoint": "CBR_ENDPOINT",
    }
    second = new_plugin(**{name: keys[variable] for name, variable in names.items()})
    simulator.revoke_tokens()
    member.refresh(second)
    assert state([member]) == there(simulator)
    member.destroy(second)
    assert there(simulator) == {}


def test_owner_withdraws_while_the_receiver_accepts(new_plugin: NewPlugin, simulator: Simulator) -> None:
    owner, receiver = new_plugin("owner"), new_plugin("receiver")
    (member,) = members(simulator, 1, 1)
    accepter = Resource("BackupShareAccepter", backup_id=member.inputs["backup_id"], vault_id=simulator.vaults[0].id)
    member.up(owner)
    with ThreadPoolExecutor(1) as pool, Gate(simulator, "PUT", "/members/") as gate:
        accepting = pool.submit(accepter.up, receiver)
        wait_until(lambda: gate.held)
        member.destroy(owner)
        gate.open()
        with pytest.raises(HookFailed, match="is not shared with project") as caught:
            accepting.result()
    assert_said_well(caught.value)
    assert there(simulator) == {}

    member.up(owner)
    accepter.up(receiver)
    member.refresh(owner)
    assert member.outputs["status"] == accepter.outputs["status"] == "accepted"

    # The other way round: taken away while it is rejected.
    member.destroy(owner)
    accepter.destroy(receiver)
    assert there(simulator) == {}
