"""BackupShareMember, read, update and delete: gone means gone on the service's word only, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from protocol.conftest import Fails, PluginWith
from protocol.plugin import HookFailed, Plugin, Still
from pulumi_cbr.simulator import Simulator

KIND = "BackupShareMember"


@pytest.fixture
def state(plugin: Plugin, service: Simulator, backup: str, project: str) -> dict[str, Any]:
    """The outputs of a share that was made an hour ago."""
    _, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    service.advance(3600)
    service.clear_calls()
    return outputs


def read(plugin: Plugin, state: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return plugin.read(KIND, f"{state['backup_id']}/{state['dest_project_id']}", state)


def roughly(outputs: dict[str, Any]) -> dict[str, Any]:
    """Cut times to the second: responses to different calls differ in precision."""
    return {**outputs, "created_at": outputs["created_at"][:19]}


def test_read_finds_it_as_it_was(plugin: Plugin, service: Simulator, state: dict[str, Any]) -> None:
    id_ = f"{state['backup_id']}/{state['dest_project_id']}"
    named = {"backup_id": state["backup_id"], "dest_project_id": state["dest_project_id"]}
    assert read(plugin, state) == (id_, state, named)
    assert [call.method for call in service.calls] == ["GET"]
    chosen = {"adopt_existing": True, "reshare_if_rejected": True}
    assert read(plugin, {**state, **chosen}) == (id_, {**state, **chosen}, {**named, **chosen})


def test_read_shows_what_the_receiver_did(
    plugin: Plugin, service: Simulator, state: dict[str, Any], backup: str, project: str
) -> None:
    member = service.accept(backup, project)
    service.advance(5)
    image = service.register_image(backup, project)
    _, outputs, inputs = read(plugin, state)
    assert outputs.pop("updated_at") > state["created_at"]
    assert outputs == {**state, "status": "accepted", "vault_id": member.vault_id, "image_id": image}
    assert not plugin.diff(KIND, "id", outputs, inputs).changes


def test_ten_members_are_read_by_one_call(flavor: str, service: Simulator, backup: str) -> None:
    for project in service.projects[:10]:
        service.share(backup, project)
    with Still(flavor, service.env()) as plugin, ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda p: plugin.read(KIND, f"{backup}/{p}", {})[0], service.projects[:10]))
    assert found == [f"{backup}/{project}" for project in service.projects[:10]]
    assert service.count("*", backup) == 1


@pytest.mark.parametrize("gone", ["share", "backup"])
def test_read_says_gone_on_the_services_word(
    plugin: Plugin, service: Simulator, state: dict[str, Any], backup: str, project: str, gone: str
) -> None:
    service.withdraw(backup, project) if gone == "share" else service.delete_backup(backup)
    assert read(plugin, state)[0] == ""


def body(code: str) -> dict[str, str]:
    return {"error_code": code, "error_msg": "The share member does not exist."}


#: What is no word of the service that a share is gone.
NOT_GONE: dict[str, dict[str, Any]] = {
    "403": {"kind": "status_before", "status": 403, "body": body("BackupService.6705")},
    "404 without a code": {"kind": "status_before", "status": 404, "body": {"error_msg": "API not found"}},
    "404 of a gateway": {"kind": "status_before", "status": 404, "body": body("APIGW.0101")},
    "404 of another code": {"kind": "status_before", "status": 404, "body": body("BackupService.6105")},
    "404 in HTML": {"kind": "html", "status": 404},
    "404 without a body": {"kind": "status_before", "status": 404, "body": ""},
    "the code without 404": {"kind": "status_before", "status": 400, "body": body("BackupService.6705")},
    "the code with 500": {"kind": "status_before", "status": 500, "body": body("BackupService.6705")},
    "401": {"kind": "status_before", "status": 401, "body": {"error": {"code": 401, "message": "bad token"}}},
    "401 malformed": {
        "kind": "status_before",
        "status": 401,
        "body": {"unauthorized": {"code": "401", "message": "Malformed request url"}},
    },
    "410": {"kind": "status_before", "status": 410},
    "302": {"kind": "status_before", "status": 302},
    "502": {"kind": "status_before", "status": 502},
    "reset": {"kind": "reset_before"},
    "200 in HTML": {"kind": "html", "status": 200},
    "200 and empty": {"kind": "malformed", "body": ""},
    "200 and {}": {"kind": "malformed", "body": {}},
    "200 and null": {"kind": "malformed", "body": "null"},
    "200 and []": {"kind": "malformed", "body": []},
    "members and member are null": {"kind": "malformed", "body": {"members": None, "member": None}},
    "a member without a status": {"kind": "malformed", "body": {"members": [{"id": "x"}], "member": {"id": "x"}}},
    "truncated": {"kind": "truncated"},
    "throttled": {"kind": "throttle", "retry_after": 86400},
    "a proxy": {"kind": "proxy_407"},
}


@pytest.mark.parametrize("name", NOT_GONE)
def test_read_of_a_malformed_response_fails(
    plugin_with: PluginWith, service: Simulator, state: dict[str, Any], fails: Fails, name: str
) -> None:
    plugin = plugin_with(maxRetries="0", timeout="30")
    fails(**NOT_GONE[name], method="GET", times=None)
    with pytest.raises(HookFailed) as failed:
        read(plugin, state)
    assert len(str(failed.value).splitlines()) == 1
    service.faults.clear()
    assert read(plugin, state)[1] == state


@pytest.mark.parametrize(
    "name", [name for name in NOT_GONE if NOT_GONE[name]["kind"] not in ("malformed", "truncated")]
)
def test_delete_is_not_fooled(
    plugin_with: PluginWith, service: Simulator, state: dict[str, Any], fails: Fails, name: str
) -> None:
    if name == "200 in HTML":
        return
    plugin, id_ = plugin_with(maxRetries="0", timeout="30"), f"{state['backup_id']}/{state['dest_project_id']}"
    fails(**NOT_GONE[name], method="DELETE", times=None)
    with pytest.raises(HookFailed) as failed:
        plugin.delete(KIND, id_, state)
    assert len(str(failed.value).splitlines()) == 1
    assert list(service.members(state["backup_id"])) == [state["dest_project_id"]]


@pytest.mark.parametrize("lists", [True, False])
def test_an_empty_list_is_not_the_last_word(
    plugin: Plugin, service: Simulator, state: dict[str, Any], fails: Fails, lists: bool
) -> None:
    if lists:
        fails("malformed", "GET", member=False, times=None, body={"members": [], "count": 0})
    else:
        service.deny("cbr:member:list")
    assert read(plugin, state)[1] == state


def test_who_may_neither_list_nor_show_keeps_the_state(
    plugin: Plugin, service: Simulator, state: dict[str, Any]
) -> None:
    service.deny("cbr:member:list")
    service.deny("cbr:member:get")
    with pytest.raises(HookFailed, match="403"):
        read(plugin, state)


def test_a_read_right_after_the_create_waits_until_it_shows(new_service: Any, flavor: str) -> None:
    service: Simulator = new_service(visible_after_reads=3)
    backup, project = service.backups[0].id, service.projects[0]
    with Plugin(flavor, service.env()) as plugin:
        id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
        assert plugin.read(KIND, id_, outputs)[1] == outputs


def test_a_share_that_is_withdrawn_at_once_is_gone_too(
    plugin: Plugin, service: Simulator, backup: str, project: str
) -> None:
    id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    service.withdraw(backup, project)
    assert plugin.read(KIND, id_, outputs)[0] == ""


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("broken", ["yesterday", "", "2026-01-01T00:00:00", 7])
def test_a_state_with_a_broken_time_is_read(
    plugin: Plugin, service: Simulator, state: dict[str, Any], broken: Any, gone: bool
) -> None:
    if gone:
        service.withdraw(state["backup_id"], state["dest_project_id"])
    id_, outputs, _ = read(plugin, {**state, "created_at": broken, "updated_at": broken})
    assert bool(id_) != gone
    assert gone or roughly(outputs) == roughly(state)


def test_get_knows_nothing_but_the_id(plugin: Plugin, service: Simulator, state: dict[str, Any]) -> None:
    backup, project = state["backup_id"], state["dest_project_id"]
    for given in f"{backup}/{project}", f"{backup.upper()}/{project.upper()}":
        id_, outputs, inputs = plugin.read(KIND, given, {}, {"adopt_existing": False})
        assert (id_, roughly(outputs)) == (f"{backup}/{project}", roughly(state))
        assert inputs == {"backup_id": backup, "dest_project_id": project}
    missing = f"{backup}/{service.projects[1]}"
    if plugin.flavor == "native":
        assert plugin.read(KIND, missing, {})[0] == ""
    else:  # This plugin cannot say that there is nothing, and the engine would take it for something.
        with pytest.raises(HookFailed, match=f"{missing} does not exist"):
            plugin.read(KIND, missing, {})


@pytest.mark.parametrize(
    "id_", ["", "x", "{backup}", "{backup}/", "/{project}", "{project}/{backup}", "{backup}/{project}/", "../.."]
)
def test_a_malformed_id_is_refused_without_a_call(
    plugin: Plugin, service: Simulator, backup: str, project: str, id_: str
) -> None:
    given = id_.format(backup=backup, project=project)
    for hook in plugin.read, plugin.delete:
        with pytest.raises(HookFailed, match="the ID must be <backup_id>/<dest_project_id>, not"):
            hook(KIND, given, {})
    assert service.calls == []


def test_signed_in_to_another_project_nothing_is_believed(
    plugin_with: PluginWith, service: Simulator, state: dict[str, Any], backup: str, project: str
) -> None:
    """The receiver sees its own share, and is told that there is none of another project."""
    stranger = plugin_with(role="receiver")
    other = service.projects[1]
    service.share(backup, other)
    for member in project, other:
        outputs = {**state, "dest_project_id": member}
        for hook in (
            partial(stranger.read, KIND, f"{backup}/{member}", outputs),
            partial(stranger.delete, KIND, f"{backup}/{member}", outputs),
        ):
            with pytest.raises(HookFailed) as failed:
                hook()
            said = str(failed.value)
            assert f"the share belongs to project {service.owner.project_id}" in said
            assert f"this run is signed in to {service.receiver.project_id}" in said
            assert "Nothing was changed" in said
    assert service.members(backup).keys() == {project, other}


def test_the_receiver_is_not_taken_for_the_source(plugin_with: PluginWith, state: dict[str, Any]) -> None:
    id_, outputs, _ = plugin_with(role="receiver").read(KIND, f"{state['backup_id']}/{state['dest_project_id']}", {})
    assert id_
    assert "source_project_id" not in outputs


def test_update_gives_all_outputs_and_makes_no_call(plugin: Plugin, service: Simulator, state: dict[str, Any]) -> None:
    news = {"backup_id": state["backup_id"], "dest_project_id": state["dest_project_id"], "reshare_if_rejected": True}
    olds = {**state, "adopt_existing": True, "image_id": "i", "vault_id": "v", "updated_at": "t"}
    expected = {**{name: value for name, value in olds.items() if name != "adopt_existing"}, **news}
    assert plugin.update(KIND, "id", olds, news) == expected
    assert service.calls == []


def delete(plugin: Plugin, state: dict[str, Any]) -> None:
    plugin.delete(KIND, f"{state['backup_id']}/{state['dest_project_id']}", state)


@pytest.mark.parametrize("gone", ["no", "share", "backup"])
def test_delete(
    plugin: Plugin, service: Simulator, state: dict[str, Any], backup: str, project: str, gone: str
) -> None:
    if gone != "no":
        service.withdraw(backup, project) if gone == "share" else service.delete_backup(backup)
    delete(plugin, state)
    assert service.members(backup) == {}
    # The list tells whose the share is. One that it does not show is asked for by itself, before and after the DELETE;
    # a backup that is gone is asked for instead.
    expected = ["GET", "DELETE"] if gone == "no" else ["GET", "GET", "DELETE", "GET"]
    assert [call.method for call in service.calls] == expected
    assert service.calls[-1].path.endswith(backup if gone == "backup" else f"{backup}/members/{project}")
    delete(plugin, state)


@pytest.mark.parametrize("name", ["reset_before", "reset_after", "status_before", "status_after", "truncated", "html"])
@pytest.mark.parametrize("times", [1, 2])
def test_delete_is_sent_again(
    plugin: Plugin, service: Simulator, state: dict[str, Any], fails: Fails, name: str, times: int
) -> None:
    fails(name, "DELETE", times=times)
    delete(plugin, state)
    assert service.members(state["backup_id"]) == {}


@pytest.mark.parametrize("who", ["one plugin", "two plugins"])
def test_two_deletes_at_once(
    plugin: Plugin, new_plugin: Callable[..., Plugin], service: Simulator, state: dict[str, Any], who: str
) -> None:
    plugins = (plugin, plugin) if who == "one plugin" else (plugin, new_plugin())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: delete(one, state), plugins))
    assert service.members(state["backup_id"]) == {}


@pytest.mark.parametrize("shown", [True, False])
def test_delete_names_the_image_that_is_in_the_way(
    plugin: Plugin, service: Simulator, state: dict[str, Any], backup: str, project: str, shown: bool
) -> None:
    image = service.register_image(backup, project)
    known = {}
    if not shown:
        service.deny("cbr:member:get")
        known = {"image_id": image}
    with pytest.raises(HookFailed) as failed:
        delete(plugin, {**state, **known})
    said = str(failed.value)
    assert "BackupService.6710" in said
    assert f"The image is {image}" in said
    assert "have that image deleted, then run again" in said
    service.delete_image(backup, project)
    delete(plugin, state)
    assert service.members(backup) == {}


def test_a_share_that_another_resource_took_over_stays(
    new_plugin: Callable[..., Plugin], service: Simulator, state: dict[str, Any], backup: str, project: str
) -> None:
    """`--replace`, or another name without an alias: the engine creates the new one, then deletes the old one."""
    plugin = new_plugin()
    plugin.create(KIND, {"backup_id": backup, "dest_project_id": project, "adopt_existing": True})
    delete(plugin, state)
    assert list(service.members(backup)) == [project]
    if plugin.flavor == "dynamic":  # The other one tells the engine.
        assert plugin.said().endswith(": another resource of this stack has it now\n")
    delete(new_plugin(), state)
    assert service.members(backup) == {}


def test_a_share_that_was_found_after_a_lost_answer_stays(
    new_plugin: Callable[..., Plugin], service: Simulator, fails: Fails, backup: str, project: str
) -> None:
    """Young enough to be taken for what the lost call made, it is what the resource of the old name has had."""
    _, state = new_plugin().create(KIND, {"backup_id": backup, "dest_project_id": project})
    plugin = new_plugin()
    # However busy this machine is, the share is not older than the try.
    service.advance(-60)
    fails("status_after", "POST")
    plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    delete(plugin, state)
    assert list(service.members(backup)) == [project]


def test_a_share_that_another_resource_made_stays(
    new_plugin: Callable[..., Plugin], service: Simulator, state: dict[str, Any], backup: str, project: str
) -> None:
    service.withdraw(backup, project)
    plugin = new_plugin()
    plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    delete(plugin, state)
    assert list(service.members(backup)) == [project]


def test_a_share_of_ones_own_is_deleted_by_the_same_plugin(
    new_plugin: Callable[..., Plugin], service: Simulator, backup: str, project: str
) -> None:
    plugin = new_plugin()
    id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    plugin.delete(KIND, id_, outputs)
    assert service.members(backup) == {}
    id_, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    assert list(service.members(backup)) == [project]
