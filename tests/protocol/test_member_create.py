"""BackupShareMember, create: one share at the end, whatever becomes of the answer, and nobody else's taken over."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from protocol.conftest import Backups, Fails, PluginWith
from protocol.plugin import UNKNOWN_OUTCOME_ADVICE, HookFailed, Plugin
from pulumi_cbr.simulator import Fault, Simulator
from waiting import wait_until

KIND = "BackupShareMember"

HTML: dict[str, Any] = {"kind": "html", "status": 502}
#: What can become of the answer: the fault, and whether the share was made when it strikes first.
AMBIGUOUS: dict[str, tuple[dict[str, Any], bool]] = {
    "reset before": ({"kind": "reset_before"}, False),
    "reset after": ({"kind": "reset_after"}, True),
    **{f"{status} before": ({"kind": "status_before", "status": status}, False) for status in (500, 502, 503, 504)},
    **{f"{status} after": ({"kind": "status_after", "status": status}, True) for status in (500, 502, 503, 504)},
    "truncated": ({"kind": "truncated"}, True),
    "malformed": ({"kind": "malformed"}, True),
    "not JSON": ({"kind": "malformed", "body": "OK"}, True),
    "an empty answer": ({"kind": "malformed", "body": ""}, True),
    "an empty object": ({"kind": "malformed", "body": {}}, True),
    "null": ({"kind": "malformed", "body": "null"}, True),
    "no members": ({"kind": "malformed", "body": {"members": [], "count": 0}}, True),
    "members that are none": ({"kind": "malformed", "body": {"members": ["x", None]}}, True),
    "a member without an ID": ({"kind": "malformed", "body": {"members": [{"status": "pending"}]}}, True),
    "a web page, before": ({**HTML, "committed": False}, False),
    "a web page, after": ({**HTML, "committed": True}, True),
    "a web page with 200": ({**HTML, "status": 200, "committed": True}, True),
}


def made(service: Simulator, backup: str, project: str) -> Callable[[str, dict[str, Any]], None]:
    def check(id_: str, outputs: dict[str, Any]) -> None:
        (member,) = service.members(backup).values()
        assert id_ == f"{backup}/{project}"
        assert {name: outputs.pop(name) for name in ("created_at",)}["created_at"].endswith("+00:00")
        assert outputs == {
            "backup_id": backup,
            "dest_project_id": project,
            "share_id": member.id,
            "status": "pending",
            "source_project_id": service.owner.project_id,
        }

    return check


def create_all(
    plugin: Plugin, service: Simulator, faults: dict[str, dict[str, Any]], backups: list[str]
) -> dict[str, int]:
    """Create one share for each fault, all at once, and return how many POSTs each took."""
    project = service.projects[0]
    for fault, backup in zip(faults.values(), backups, strict=True):
        service.faults.add(Fault(**fault, path=f"{backup}/members$"))
    with ThreadPoolExecutor(8) as pool:
        created = pool.map(lambda one: plugin.create(KIND, {"backup_id": one, "dest_project_id": project}), backups)
        for backup, (id_, outputs) in zip(backups, created, strict=True):
            made(service, backup, project)(id_, outputs)
    return {name: service.count("POST", f"{backup}/members$") for name, backup in zip(faults, backups, strict=True)}


@pytest.mark.parametrize("times", [1, 2])
def test_an_ambiguous_answer_is_resolved(plugin: Plugin, service: Simulator, backups: Backups, times: int) -> None:
    faults = {name: {**fault, "times": times} for name, (fault, _) in AMBIGUOUS.items()}
    assert create_all(plugin, service, faults, backups(len(faults))) == {
        name: 1 if committed else times + 1 for name, (_, committed) in AMBIGUOUS.items()
    }


def test_no_answer_in_time_is_resolved(
    plugin_with: PluginWith, service: Simulator, backup: str, other_backup: str, project: str
) -> None:
    # Reads have half of it, which a busy machine needs.
    plugin = plugin_with(timeout="6")
    for which, kind in (backup, "timeout_before"), (other_backup, "timeout_after"):
        service.faults.add(Fault(kind, path=f"{which}/members$", times=2, seconds=60))
    with ThreadPoolExecutor() as pool:
        created = pool.map(
            lambda one: plugin.create(KIND, {"backup_id": one, "dest_project_id": project}), (backup, other_backup)
        )
    for which, (id_, outputs) in zip((backup, other_backup), created, strict=True):
        made(service, which, project)(id_, outputs)


def test_what_is_not_visible_yet_is_waited_for(new_service: Any, flavor: str) -> None:
    service: Simulator = new_service(visible_after_reads=2, backups=len(AMBIGUOUS))
    faults = {name: fault for name, (fault, committed) in AMBIGUOUS.items() if committed}
    with Plugin(flavor, service.env()) as plugin:
        create_all(plugin, service, faults, [backup.id for backup in service.backups[: len(faults)]])


def test_the_other_documented_answer(new_service: Any, flavor: str) -> None:
    service: Simulator = new_service(bare_add_answer=True)
    backup, project = service.backups[0].id, service.projects[0]
    with Plugin(flavor, service.env()) as plugin:
        id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    made(service, backup, project)(id_, outputs)
    assert [call.method for call in service.calls if "/members" in call.path] == ["POST"]


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        ({"kind": "throttle", "retry_after": 86400}, "429"),
        ({"kind": "status_before", "status": 403, "body": {"error_msg": "no"}}, "403"),
        (
            {
                "kind": "status_before",
                "status": 400,
                "body": {"error_code": "BackupService.6701", "error_msg": "too many"},
            },
            "6701",
        ),
    ],
)
def test_retry_refused_after_unknown_attempt_is_unknown(
    plugin_with: PluginWith, service: Simulator, fails: Fails, backup: str, project: str, refusal: Any, text: str
) -> None:
    plugin = plugin_with(maxRetries="1", timeout="30")
    unseen = {"error_code": "BackupService.6705", "error_msg": "The share member does not exist."}
    fails("reset_after", "POST")
    fails("status_before", "GET", status=404, body=unseen)
    fails(**refusal, method="POST", nth=2, times=9)
    id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    made(service, backup, project)(id_, outputs)


def test_where_looking_fails_too_the_user_is_told_what_to_do(
    plugin_with: PluginWith, service: Simulator, fails: Fails, backup: str, project: str
) -> None:
    fails("reset_after", "POST")
    fails("status_before", "GET", times=None, status=403, body={"error_msg": "no right"})
    inputs = {"backup_id": backup, "dest_project_id": project}
    with pytest.raises(HookFailed) as failed:
        plugin_with(maxRetries="1").create(KIND, inputs)
    said = str(failed.value)
    assert "the connection to 127.0.0.1" in said
    assert "The result is unknown, and reading it failed: showing the share" in said
    assert "no right" in said
    assert UNKNOWN_OUTCOME_ADVICE[plugin_with().flavor] in said
    assert len(said.splitlines()) == 1
    # And that works.
    service.faults.clear()
    made(service, backup, project)(*plugin_with(adoptExisting="true").create(KIND, inputs))


def test_what_stays_lost_is_an_error_that_says_so(
    plugin_with: PluginWith, service: Simulator, fails: Fails, backup: str, project: str
) -> None:
    fails("reset_before", "POST", times=None)
    plugin = plugin_with(maxRetries="1")
    with pytest.raises(HookFailed, match=r"After 2 attempts the service shows no such share\. ") as failed:
        plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    assert UNKNOWN_OUTCOME_ADVICE[plugin.flavor] in str(failed.value)
    assert service.members(backup) == {}
    assert service.count("POST", f"{backup}/members$") == 2


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
def test_what_was_there_before_is_refused_with_instructions(
    plugin: Plugin, service: Simulator, backup: str, project: str, status: str
) -> None:
    member = service.share(backup, project, status)
    with pytest.raises(HookFailed) as failed:
        plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    said = str(failed.value)
    assert len(said.splitlines()) == 1
    assert re.search(
        rf"sharing backup {backup} failed: already shared with project {project} \(share {member.id}, {status}, "
        r"\d+ seconds? old\)",
        said,
    )
    assert "set adopt_existing=True or `pulumi config set cbr:adoptExisting true`" in said
    assert service.members(backup) == {project: member}


@pytest.mark.parametrize("code", ["6703", "6714"])
def test_both_codes_of_what_is_shared_already_are_known(
    plugin: Plugin, service: Simulator, fails: Fails, backup: str, project: str, code: str
) -> None:
    service.share(backup, project)
    fails("status_before", "POST", status=400, body={"error_code": f"BackupService.{code}", "error_msg": "shared"})
    with pytest.raises(HookFailed, match="already shared with project"):
        plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})


@pytest.mark.parametrize("how", ["input", "setting"])
@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
def test_what_was_there_before_is_adopted_on_request(
    plugin_with: PluginWith, service: Simulator, backup: str, project: str, status: str, how: str
) -> None:
    member = service.share(backup, project, status)
    plugin = plugin_with(adoptExisting="true") if how == "setting" else plugin_with()
    asked = {"adopt_existing": True} if how == "input" else {}
    _, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project, **asked})
    assert (outputs["share_id"], outputs["status"], outputs.get("adopt_existing")) == (
        member.id,
        status,
        asked.get("adopt_existing"),
    )
    assert service.members(backup) == {project: member}


def test_adoption_is_told_apart_from_a_creation(
    new_plugin: Callable[..., Plugin], service: Simulator, backups: Backups
) -> None:
    """One line for each resource; after ten, one line for all others."""
    there, mine = service.projects[:2]
    plugin = new_plugin(adoptExisting="true")
    one, of_set, *many = backups(13)
    shares = [service.share(backup, there) for backup in (one, of_set, *many)]
    plugin.create(KIND, {"backup_id": one, "dest_project_id": mine})
    plugin.create(KIND, {"backup_id": one, "dest_project_id": there})
    plugin.create("BackupShare", {"backup_id": of_set, "dest_project_ids": [there, mine]})
    for backup in many:
        plugin.create("BackupShare", {"backup_id": backup, "dest_project_ids": [there]})
    told = plugin.said().splitlines()
    starts = [
        f"cbr: adopted unchanged: backup {share.backup_id} was already shared with project {there} (share {share.id},"
        for share in shares[:10]
    ]
    assert [line[: len(start)] for line, start in zip(told, starts, strict=False)] == starts
    assert told[10:] == ["cbr: more than 10 resources adopted what existed already: no line is shown for the others"]


def test_adopting_makes_what_is_not_there(plugin: Plugin, service: Simulator, backup: str, project: str) -> None:
    plugin.create(KIND, {"backup_id": backup, "dest_project_id": project, "adopt_existing": True})
    assert list(service.members(backup)) == [project]


@pytest.fixture
def old_share(new_service: Any) -> tuple[Simulator, str, str, Any]:
    """A share that is an hour old by the service's clock, which is a day ahead of ours."""
    service: Simulator = new_service()
    service.advance(86400)
    backup, project = service.backups[0].id, service.projects[0]
    member = service.share(backup, project)
    service.advance(3660)
    return service, backup, project, member


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_answer_does_not_make_an_old_share_ours(old_share: Any, flavor: str, times: int) -> None:
    service, backup, project, member = old_share
    service.faults.add(Fault("reset_before", path=f"{backup}/members$", times=times))
    with Plugin(flavor, service.env()) as plugin, pytest.raises(HookFailed) as failed:
        plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    assert f"already shared with project {project} (share {member.id}, pending, 1 hour old" in str(failed.value)
    assert service.members(backup) == {project: member}


def test_a_lost_answer_does_not_prevent_an_adoption(old_share: Any, flavor: str) -> None:
    service, backup, project, member = old_share
    service.faults.add(Fault("reset_before", path=f"{backup}/members$"))
    with Plugin(flavor, service.env()) as plugin:
        _, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project, "adopt_existing": True})
    assert outputs["share_id"] == member.id


def test_a_lost_answer_is_ours_by_the_services_clock(new_service: Any, flavor: str) -> None:
    service: Simulator = new_service()
    service.advance(-86400)
    backup, project = service.backups[0].id, service.projects[0]
    service.faults.add(Fault("reset_after", path=f"{backup}/members$"))
    with Plugin(flavor, service.env()) as plugin:
        id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    made(service, backup, project)(id_, outputs)


def test_killed_after_commit_is_finished_by_the_next_run(
    flavor: str, service: Simulator, fails: Fails, backup: str, project: str
) -> None:
    inputs = {"backup_id": backup, "dest_project_id": project}
    fails("timeout_after", "POST", seconds=600)
    with Plugin(flavor, service.env()) as plugin, ThreadPoolExecutor() as pool:
        creating = pool.submit(plugin.create, KIND, inputs)
        wait_until(lambda: service.members(backup) or creating.done())
        assert not creating.done()
        plugin.process.send_signal(signal.SIGKILL)
        with pytest.raises(HookFailed):
            creating.result()
    service.faults.clear()
    with Plugin(flavor, service.env()) as plugin, pytest.raises(HookFailed, match="cbr:adoptExisting true"):
        plugin.create(KIND, inputs)
    with Plugin(flavor, service.env(), {"adoptExisting": "true"}) as plugin:
        made(service, backup, project)(*plugin.create(KIND, inputs))


def test_already_shared_and_not_shown(
    plugin_with: PluginWith, service: Simulator, fails: Fails, backup: str, project: str
) -> None:
    service.share(backup, project)
    fails("status_before", "GET", times=None, status=403, body={"error_msg": "no right"})
    for adopt in {}, {"adopt_existing": True}:
        with pytest.raises(HookFailed, match=r"6703.*Reading that share failed: .*no right"):
            plugin_with().create(KIND, {"backup_id": backup, "dest_project_id": project, **adopt})


@pytest.mark.parametrize(
    ("change", "code", "advice"),
    [
        (lambda service, backup: service.set_backup(backup, status="creating"), "6702", "Wait until"),
        (lambda service, backup: service.set_backup(backup, encrypted=True), "6709", "encrypted"),
        (lambda service, backup: service.set_backup(backup, resource_type="OS::Cinder::Volume"), "6700", "server"),
        (lambda service, backup: service.delete_backup(backup), "6200", ""),
        (lambda service, backup: service.deny("cbr:member:create"), "403", "IAM action cbr:member:create"),
        (lambda service, backup: [service.share(backup, project) for project in service.projects[1:11]], "6701", "10"),
    ],
)
def test_refusals_come_with_advice(
    plugin: Plugin, service: Simulator, backup: str, project: str, change: Any, code: str, advice: str
) -> None:
    change(service, backup)
    before = service.members(backup)
    with pytest.raises(HookFailed) as failed:
        plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    said = str(failed.value)
    assert f"sharing backup {backup} with project {project}" in said
    assert code in said
    assert advice in said
    assert len(said.splitlines()) == 1
    assert service.members(backup) == before


def test_create_own_project_known_by_name_is_refused(flavor: str, service: Simulator, backup: str) -> None:
    env = service.env()
    own = env.pop("OS_PROJECT_ID")
    with Plugin(flavor, {**env, "OS_PROJECT_NAME": service.owner.project_name}) as plugin:
        inputs = {"backup_id": backup, "dest_project_id": own}
        assert plugin.check(KIND, inputs) == (inputs, {})
        with pytest.raises(HookFailed, match=f"{own} is the backup's own project"):
            plugin.create(KIND, inputs)
    assert service.members(backup) == {}


def test_two_creates_of_one_share_at_once(plugin: Plugin, service: Simulator, backup: str, project: str) -> None:
    def create() -> str:
        try:
            return plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})[0]
        except HookFailed as failed:
            return str(failed)

    with ThreadPoolExecutor() as pool:
        first, second = sorted(pool.map(lambda _: create(), range(2)), key=len)
    assert first == f"{backup}/{project}"
    assert "already shared with project" in second
    assert list(service.members(backup)) == [project]
