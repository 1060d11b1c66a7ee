"""The first-class provider's process: what only this flavor has. What its hooks do is in the tables of every flavor."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from protocol.conftest import Backups, PluginWith
from protocol.plugin import HookFailed, Plugin
from pulumi_cbr.api.settings import SETTINGS
from pulumi_cbr.lifecycle.controller import UNKNOWN
from pulumi_cbr.simulator import Fault, Simulator
from waiting import PATIENCE, Gate, wait_until

KIND = "BackupShareMember"
URN = "urn:pulumi:test::test::cbr:index:BackupShareMember::r"
#: Seconds of a wait that no test waits out, the longest that the client obeys.
LONG = 60


@pytest.fixture(scope="session")
def flavor() -> str:
    return "native"


@pytest.fixture(autouse=True)
def _own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def config_problems(plugin: Plugin, urn_name: str = "default", **settings: Any) -> dict[str, str]:
    news = ParseDict(settings, Struct())
    answer = plugin.call("CheckConfig", provider_pb2.CheckRequest(urn=f"{PROVIDER_URN}{urn_name}", news=news))
    return {failure.property: failure.reason for failure in answer.failures}


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({}, {}),
        ({"version": "0.1.0", "pluginDownloadURL": "x", "__internal": {"name": "cbr"}}, {}),
        ({"timeout": "30", "maxRetries": 2, "insecure": "true", "preflight": False, "parallel": "8"}, {}),
        ({"timeout": 0.5, "authUrl": UNKNOWN, "password": UNKNOWN, "parallel": UNKNOWN}, {}),
        ({"timeout": "soon"}, {"timeout": "cbr:timeout must be a number of seconds above 0, not 'soon'"}),
        ({"insecure": "maybe"}, {"insecure": "cbr:insecure must be true or false, not 'maybe'"}),
        ({"maxRetries": -1}, {"maxRetries": "cbr:maxRetries must be a whole number, 0 or above, not '-1'"}),
        ({"parallel": "0"}, {"parallel": "cbr:parallel must be a whole number from 1 to 256, not '0'"}),
        ({"timeout": "", "parallel": "", "insecure": ""}, {}),
        # What SDKs make of a whole number: Java's as 3.0, and all of them as a text in a provider's inputs.
        ({"maxRetries": "3.0", "parallel": "8.0", "timeout": "60.0"}, {}),
        ({"maxRetries": "3e0", "parallel": 8.0, "timeout": "6e1"}, {}),
        ({"maxRetries": "3.5"}, {"maxRetries": "cbr:maxRetries must be a whole number, 0 or above, not '3.5'"}),
        ({"parallel": 256}, {}),
        ({"parallel": "257"}, {"parallel": "cbr:parallel must be a whole number from 1 to 256, not '257'"}),
        ({"parallel": 2.5}, {"parallel": "cbr:parallel must be a whole number from 1 to 256, not 2.5"}),
        ({"parallel": True}, {"parallel": "cbr:parallel must be a whole number from 1 to 256, not True"}),
        ({"parallel": "many"}, {"parallel": "cbr:parallel must be a whole number from 1 to 256, not 'many'"}),
        ({"projectName": 5}, {"projectName": "cbr:projectName must be a text, not '5.0'"}),
        ({"password": 12345}, {"password": "cbr:password must be a text"}),
        ({"authUrl": "https://iam.example.com/v3", "endpoint": "http://cbr.example.com/v3"}, {}),
        ({"authUrl": "https://user:pass@iam.example.com/v3"}, {"authUrl": "cbr:authUrl .*"}),
        ({"endpoint": "https://user:pass@cbr.example.com"}, {"endpoint": "cbr:endpoint .*"}),
        ({"token": "two\nlines"}, {"token": "cbr:token must be one line of plain characters"}),
        (
            {"auth_url": "x"},
            {"": r"unknown setting cbr:auth_url \(did you mean cbr:authUrl\?\). Remove or rename it"},
        ),
    ],
)
def test_settings_are_checked(plugin: Plugin, settings: dict[str, Any], problems: dict[str, str]) -> None:
    found = config_problems(plugin, **settings)
    assert found.keys() == problems.keys()
    assert all(re.fullmatch(text, found[name]) for name, text in problems.items()), found
    assert "user:pass" not in str(found)


@pytest.mark.parametrize("name", ["cloud", "projectId", "region"])
def test_empty_setting_of_an_explicit_provider_is_refused(plugin: Plugin, name: str) -> None:
    assert config_problems(plugin, **{name: ""}) == {}
    assert re.fullmatch(
        f"{name} of Provider 'p' is an empty text. Give .*", config_problems(plugin, "p", **{name: ""})[name]
    )


def test_credentials_among_the_settings_become_secrets(plugin: Plugin) -> None:
    secrets = {name: f"the-{name}" for name, setting in SETTINGS.items() if setting.secret}
    news = ParseDict({"username": "u", **secrets}, Struct())
    inputs = MessageToDict(plugin.call("CheckConfig", provider_pb2.CheckRequest(urn=URN, news=news)).inputs)
    assert inputs.pop("username") == "u"
    assert {name: value["value"] for name, value in inputs.items()} == secrets
    assert all(len(value) == 2 for value in inputs.values())


PROVIDER_URN = "urn:pulumi:test::test::pulumi:providers:cbr::"


def test_diff_config_other_project_or_region_warns(new_plugin: Callable[..., Plugin]) -> None:
    plugin = new_plugin()

    def diff(name: str, old: dict[str, Any], new: dict[str, Any]) -> int:
        olds, news = ParseDict(old, Struct()), ParseDict(new, Struct())
        request = provider_pb2.DiffRequest(urn=f"{PROVIDER_URN}{name}", id="i", olds=olds, news=news)
        return int(plugin.call("DiffConfig", request).changes)

    kinds = provider_pb2.DiffResponse
    assert diff("quiet", {"region": "a", "timeout": "1"}, {"region": "a", "timeout": "2"}) == kinds.DIFF_SOME
    assert diff("quiet", {"region": "a"}, {"region": UNKNOWN}) == kinds.DIFF_SOME
    assert diff("quiet", {"projectId": "a"}, {"projectId": "a"}) == kinds.DIFF_NONE
    assert diff("default_0_1_0", {"projectId": "a"}, {"projectId": "b"}) == kinds.DIFF_SOME
    assert diff("owner", {"region": "a", "projectId": "x"}, {"region": "b", "projectId": "y"}) == kinds.DIFF_SOME
    (warning,) = plugin.said().splitlines()
    assert "'owner' changes region from a to b, projectId from x to y" in warning
    # A URL of an earlier version's state.
    diff("owner", {"authUrl": "https://u:pw@iam.example.com"}, {"authUrl": "https://iam.example.com"})
    assert "'owner' changes authUrl:" in plugin.said()
    assert "pw" not in plugin.said()


def test_advice_names_the_explicit_provider(new_plugin: Callable[..., Plugin], service: Simulator, backup: str) -> None:
    plugin = new_plugin()
    plugin.call("Configure", provider_pb2.ConfigureRequest(urn=f"{PROVIDER_URN}owner"))
    service.share(backup, service.projects[0])
    inputs = {"backupId": backup, "destProjectId": service.projects[0]}
    with pytest.raises(HookFailed) as failed:
        plugin.call("Create", provider_pb2.CreateRequest(urn=URN, properties=ParseDict(inputs, Struct())))
    assert "pulumi config" not in failed.value.details
    assert "adoptExisting=true of Provider 'owner'" in failed.value.details
    assert "adoptExisting=true (Python: adopt_existing=True)" in failed.value.details


@pytest.mark.parametrize("name", ["default", "default_0_1_0", "default_0_1_0_https_/example.com"])
def test_advice_for_a_default_provider_names_settings(new_plugin: Callable[..., Plugin], name: str) -> None:
    plugin = new_plugin()
    problems = config_problems(plugin, urn_name=name, timeout="soon")
    assert problems["timeout"].startswith("cbr:timeout must be")


@pytest.mark.parametrize("method", ["Parameterize", "Call", "GetMapping", "GetMappings", "List"])
def test_rpc_without_a_meaning_here_is_unimplemented(plugin: Plugin, method: str) -> None:
    call = getattr(plugin.stub, method, None)
    if call is None:  # older SDKs do not have all of them
        return
    (entry,) = (
        entry for entry in provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"].methods if entry.name == method
    )
    request = getattr(provider_pb2, entry.input_type.name, None) or getattr(empty_pb2, entry.input_type.name)
    # A call that gives a stream fails when it is read, and the others' future has its failure too.
    answer = call(request(), timeout=PATIENCE) if entry.server_streaming else call.future(request(), timeout=PATIENCE)
    assert answer.code() == grpc.StatusCode.UNIMPLEMENTED
    assert answer.details() == f"cbr: {method} is not supported by this provider"


def test_unknown_property_is_refused(plugin: Plugin, backup: str, project: str) -> None:
    news = {"backupID": backup, "destProjectId": project, "colour": "red", "__defaults": []}
    request = provider_pb2.CheckRequest(urn=URN, news=ParseDict(news, Struct()))
    failures = {entry.property: entry.reason for entry in plugin.call("Check", request).failures}
    assert failures.pop("backupID") == "unknown property backupID (did you mean backupId?)"
    assert failures.pop("colour") == "unknown property colour"
    assert failures.keys() == {"backupId"}


def test_unknown_argument_is_named_before_a_missing_one(plugin: Plugin) -> None:
    request = provider_pb2.InvokeRequest(tok="cbr:index:getBackup", args=ParseDict({"backupID": "x"}, Struct()))
    with pytest.raises(HookFailed) as failed:
        plugin.call("Invoke", request)
    assert failed.value.details == "cbr: getBackup failed: unknown argument backupID (did you mean backupId?)"


def test_look_ups_and_resources_write_times_alike(plugin: Plugin, backup: str, project: str) -> None:
    _, outputs = plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})
    request = provider_pb2.InvokeRequest(
        tok="cbr:index:getBackupShareMembers", args=ParseDict({"backupId": backup}, Struct())
    )
    (member,) = MessageToDict(getattr(plugin.call("Invoke", request), "return"))["members"]
    assert member["createdAt"] == outputs["created_at"]


@pytest.mark.parametrize(
    ("function", "args", "found"),
    [
        ("getVault", {"name": "nightly"}, {"name": "nightly", "objectType": "server", "size": 1_000_000.0}),
        ("getVaults", {"objectType": "server"}, {"vaults": 1}),
        ("getVaults", {"objectType": "disk"}, {"vaults": 0}),
        ("getProjects", {}, {"projects": 1}),
        ("getProjects", {"name": "nothing"}, {"projects": 0}),
    ],
)
def test_look_ups_of_vaults_and_projects(
    plugin: Plugin, function: str, args: dict[str, str], found: dict[str, object]
) -> None:
    request = provider_pb2.InvokeRequest(tok=f"cbr:index:{function}", args=ParseDict(args, Struct()))
    result = MessageToDict(getattr(plugin.call("Invoke", request), "return"))
    assert found == {name: len(result[name]) if isinstance(result[name], list) else result[name] for name in found}


def test_plugin_info_and_schema_have_one_version(plugin: Plugin) -> None:
    info = plugin.call("GetPluginInfo", empty_pb2.Empty())
    schema = json.loads(plugin.call("GetSchema", provider_pb2.GetSchemaRequest()).schema)
    assert schema["version"] == info.version


def test_attach_without_an_engine_at_the_start(own_service: Simulator) -> None:
    """PULUMI_DEBUG_PROVIDERS: the provider runs already, in a debugger, and serves one operation after another."""
    log = Log()
    with engine_with(log) as address, started(*server(), env=own_service.env()) as process:
        assert process.stdout
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            for backup in own_service.backups[:2]:
                stub.Attach(plugin_pb2.PluginAttach(address=address))
                stub.Configure(provider_pb2.ConfigureRequest(args=ParseDict({"preflight": "true"}, Struct())))
                # Preflight remembers what the program declares, in this operation only.
                planned = {"backupId": own_service.backups[2].id, "destProjectId": own_service.projects[0]}
                request = provider_pb2.CheckRequest(urn=URN, news=ParseDict(planned, Struct()))
                assert not stub.Check(request, timeout=PATIENCE).failures
                inputs = ParseDict({"backupId": backup.id, "destProjectId": own_service.projects[0]}, Struct())
                own_service.faults.add(Fault("throttle", "POST", f"{backup.id}/members$", retry_after=0))
                stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs), timeout=PATIENCE)
                old, new = (ParseDict({"region": region}, Struct()) for region in ("a", "b"))
                stub.DiffConfig(provider_pb2.DiffRequest(urn=f"{PROVIDER_URN}p", olds=old, news=new))
                assert log.entries.get(timeout=PATIENCE)[0] == "WARNING"
                stub.Cancel(empty_pb2.Empty())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Start processes that a shell's `&` or nohup does not have ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_provider_that_no_engine_started() -> None:
    with started(*server()) as process:
        assert process.stdout
        assert process.stdout.readline().strip().isdigit()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_configure(new_plugin: Callable[..., Plugin], backup: str, project: str) -> None:
    """Settings that a preview does not know yet are none."""
    plugin = new_plugin()
    unknown = ParseDict(dict.fromkeys((*SETTINGS, "parallel"), UNKNOWN), Struct())
    answer = plugin.call("Configure", provider_pb2.ConfigureRequest(args=unknown))
    assert MessageToDict(answer) == {"supportsPreview": True, "acceptSecrets": True, "acceptOutputs": True}
    plugin.create(KIND, {"backup_id": backup, "dest_project_id": project})


def test_secret_inputs_are_secret_outputs(
    plugin: Plugin, service: Simulator, backup: str, project: str, other_backup: str
) -> None:
    """As the engine marks them for plugins that know no secrets: it does not for those that construct components."""
    service.share(other_backup, project)
    inputs = ParseDict({"backupId": secret(backup), "destProjectIds": [secret(project)]}, Struct())
    urn = URN.replace(KIND, "BackupShare")
    checked = plugin.call("Check", provider_pb2.CheckRequest(urn=urn, news=inputs)).inputs
    assert MessageToDict(checked) == {"backupId": secret(backup), "destProjectIds": secret([project])}
    made = plugin.call("Create", provider_pb2.CreateRequest(urn=urn, properties=checked))
    outputs = MessageToDict(made.properties)
    assert (made.id, outputs["backupId"], outputs["destProjectIds"]) == (backup, secret(backup), secret([project]))
    assert outputs["members"][project]["status"] == "pending"

    ids = {"id": made.id, "urn": urn}
    outputs["members"][project]["status"] = secret("pending")
    olds = ParseDict(outputs, Struct())
    read = plugin.call("Read", provider_pb2.ReadRequest(properties=olds, inputs=checked, **ids))
    assert read.inputs == checked
    assert read.properties == olds
    assert plugin.call("Diff", provider_pb2.DiffRequest(olds=olds, news=checked, **ids)).changes == 1
    updated = plugin.call("Update", provider_pb2.UpdateRequest(olds=olds, news=checked, **ids)).properties
    assert MessageToDict(updated)["destProjectIds"] == secret([project])
    asked = ParseDict({"backupId": secret(other_backup)}, Struct())
    request = provider_pb2.InvokeRequest(tok="cbr:index:getBackupShareMembers", args=asked)
    (found,) = MessageToDict(getattr(plugin.call("Invoke", request), "return"))["members"]["value"]
    assert found["destProjectId"] == project


def secret(value: Any) -> dict[str, Any]:
    """Return a value as the wire marks a secret."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def test_a_read_goes_by_the_state_before_the_inputs(
    plugin: Plugin, service: Simulator, backup: str, project: str
) -> None:
    service.share(backup, project)
    told = {"adopt_existing": False, "reshare_if_rejected": True}
    _, outputs, inputs = plugin.read(KIND, f"{backup}/{project}", told, {"adopt_existing": True})
    assert outputs.get("adopt_existing") is inputs.get("adopt_existing") is None
    assert outputs["reshare_if_rejected"] is inputs["reshare_if_rejected"] is True


@pytest.mark.parametrize(
    ("method", "request_", "message"),
    [
        (
            "Configure",
            provider_pb2.ConfigureRequest(args=ParseDict({"parallel": "none"}, Struct())),
            "cbr: cbr:parallel must be a whole number from 1 to 256, not 'none'",
        ),
        (
            "Check",
            provider_pb2.CheckRequest(urn="urn:pulumi:s::p::cbr:index:Share::r"),
            r"cbr: unknown resource cbr:index:Share \(did you mean cbr:index:BackupShare\?\)\. .*",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackupp"),
            r"cbr: unknown function cbr:index:getBackupp \(did you mean cbr:index:getBackup\?\)\. .*",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackup"),
            "cbr: getBackup failed: backupId is missing. Set it",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackups", args=ParseDict({"colour": "red"}, Struct())),
            "cbr: getBackups failed: unknown argument colour",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackups", args=ParseDict({"limit": "ten"}, Struct())),
            "cbr: getBackups failed: limit must be of type integer, not 'ten'",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackups", args=ParseDict({"limit": -1}, Struct())),
            "cbr: getBackups takes a limit of 0 or more, not -1",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackups", args=ParseDict({"limit": 2.5}, Struct())),
            "cbr: getBackups takes a limit of 0 or more, not 2.5",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(
                tok="cbr:index:getBackups", args=ParseDict({"sort": "name:asc", "newestFirst": True}, Struct())
            ),
            "cbr: getBackups takes sort or newestFirst, not both. Remove one of the two",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackups", args=ParseDict({"newestFirst": 1}, Struct())),
            "cbr: getBackups failed: newestFirst must be of type boolean, not 1.0",
        ),
        (
            "Invoke",
            provider_pb2.InvokeRequest(tok="cbr:index:getBackup", args=ParseDict({"backupId": "x"}, Struct())),
            "cbr: backupId must be a UUID .*",
        ),
        (
            "Read",
            provider_pb2.ReadRequest(urn=URN, id="../../etc/passwd"),
            "cbr: the ID must be <backupId>/<destProjectId>, not '../../etc/passwd': .*",
        ),
        ("Delete", provider_pb2.DeleteRequest(urn=URN, id="x"), "cbr: the ID must be .*"),
    ],
)
def test_every_refusal_is_one_line(plugin: Plugin, method: str, request_: Any, message: str) -> None:
    with pytest.raises(HookFailed) as failed:
        plugin.call(method, request_)
    assert re.fullmatch(message, failed.value.details)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Create", provider_pb2.CreateRequest(urn=URN)),
        ("Diff", provider_pb2.DiffRequest(urn="x")),
        ("Check", provider_pb2.CheckRequest()),
    ],
)
def test_a_bug_of_ours_says_so(new_plugin: Callable[..., Plugin], tmp_path: Path, method: str, request_: Any) -> None:
    """Requests that no engine sends stand for a bug."""
    with pytest.raises(HookFailed) as failed:
        new_plugin().call(method, request_)
    found = re.fullmatch(r"cbr: this is a bug in pulumi-cbr \(\w+\)\. .* with the file (\S+) \(.*\)", str(failed.value))
    assert found
    kept = Path(found[1])
    assert "Traceback" in kept.read_text()
    kept.unlink()


def test_within_a_component_and_with_a_strange_name(plugin: Plugin, backup: str, project: str) -> None:
    urn = "urn:pulumi:s::p::my:index:Site$my:index:Part$cbr:index:BackupShareMember::a::b$c"
    inputs = {"backupId": backup, "destProjectId": project}
    answer = plugin.call("Create", provider_pb2.CreateRequest(urn=urn, properties=ParseDict(inputs, Struct())))
    assert answer.id == f"{backup}/{project}"


def test_what_is_not_there_is_read_as_nothing(plugin: Plugin, backup: str, project: str) -> None:
    """With properties, though empty, the engine would import it."""
    answer = plugin.call("Read", provider_pb2.ReadRequest(urn=URN, id=f"{backup}/{project}"))
    assert answer == provider_pb2.ReadResponse()


def test_preview_of_a_create_makes_no_call(plugin: Plugin, service: Simulator, backup: str) -> None:
    inputs = {"backupId": backup, "destProjectId": UNKNOWN, "adoptExisting": True}
    answer = plugin.call(
        "Create", provider_pb2.CreateRequest(urn=URN, properties=ParseDict(inputs, Struct()), preview=True)
    )
    outputs = MessageToDict(answer.properties)
    assert answer.id == ""
    assert {name: outputs.pop(name) for name in inputs} == inputs
    assert outputs.keys() > {"shareId", "status", "createdAt", "sourceProjectId"}
    assert set(outputs.values()) == {UNKNOWN}
    assert service.calls == []


SHARE = {"shareId": "s", "status": "pending"}


@pytest.mark.parametrize(
    ("kind", "olds", "news", "expected"),
    [
        (KIND, SHARE, {"adoptExisting": True}, SHARE),
        (KIND, SHARE, {"reshareIfRejected": True}, SHARE),
        (
            "BackupShare",
            {"members": {"a": SHARE}, "sourceProjectId": "p"},
            {"adoptExisting": True, "destProjectIds": ["a"]},
            {"members": {"a": SHARE}, "sourceProjectId": "p"},
        ),
        # Only the project that joins is unknown, and the one that leaves is gone.
        (
            "BackupShare",
            {"members": {"a": SHARE, "c": SHARE}, "sourceProjectId": "p"},
            {"destProjectIds": ["a", "b"]},
            {"members": {"a": SHARE, "b": UNKNOWN}, "sourceProjectId": "p"},
        ),
        # A delete with an unknown result leaves the ID alone: the update reads the rest.
        ("BackupShare", {"members": {"a": {"shareId": "s"}}}, {}, {"members": {"a": UNKNOWN}}),
        ("BackupShare", {"members": {"a": SHARE}}, {"destProjectIds": ["a", UNKNOWN]}, {"members": UNKNOWN}),
        ("BackupShare", {"members": {"a": SHARE}}, {"destProjectIds": UNKNOWN}, {"members": UNKNOWN}),
        (
            "BackupShareAccepter",
            {"status": "rejected", "updatedAt": "t"},
            {},
            {"status": "accepted", "updatedAt": UNKNOWN, "sourceProjectId": UNKNOWN},
        ),
        (
            "BackupShareAccepter",
            {"status": "pending", "sourceProjectId": "p"},
            {},
            {"status": "accepted", "updatedAt": UNKNOWN, "sourceProjectId": "p"},
        ),
        (
            "BackupShareAccepter",
            {"status": "accepted", "updatedAt": "t"},
            {"cloud": "c"},
            {"status": "accepted", "updatedAt": "t"},
        ),
    ],
)
def test_preview_update_only_new_values_are_unknown(
    plugin: Plugin, backup: str, kind: str, olds: dict[str, Any], news: dict[str, Any], expected: dict[str, Any]
) -> None:
    same = {"backupId": backup, **({"destProjectIds": ["a"]} if kind == "BackupShare" else {})}
    request = provider_pb2.UpdateRequest(
        urn=URN.replace(KIND, kind),
        id="i",
        olds=ParseDict({**same, "cloud": "old", **olds}, Struct()),
        news=ParseDict({**same, **({"cloud": "old"} if "cloud" not in news else {}), **news}, Struct()),
        preview=True,
    )
    outputs = MessageToDict(plugin.call("Update", request).properties)
    assert outputs == {**same, "cloud": "old", **news, **expected}


def test_what_is_taken_away_is_foretold_once(
    new_plugin: Callable[..., Plugin], service: Simulator, backup: str
) -> None:
    """A preview asks for a diff, and then for the outputs."""
    own, foreign = service.projects[:2]
    plugin = new_plugin()
    olds = {"backupId": backup, "destProjectIds": [own, foreign], "members": {own: {}}, "exclusive": True}
    news = {"backupId": backup, "destProjectIds": [own], "exclusive": True}
    both: dict[str, Any] = {"olds": ParseDict(olds, Struct()), "news": ParseDict(news, Struct())}
    urn = URN.replace(KIND, "BackupShare")
    plugin.call("Diff", provider_pb2.DiffRequest(urn=urn, id=backup, **both))
    plugin.call("Update", provider_pb2.UpdateRequest(urn=urn, id=backup, preview=True, **both))
    service.share(backup, foreign)
    plugin.call("Update", provider_pb2.UpdateRequest(urn=urn, id=backup, **both))
    assert plugin.said().count("exclusive=True deletes") == 1


def test_diff_tells_of_each_property(plugin: Plugin, backup: str, other_backup: str, project: str) -> None:
    olds = {"backupId": backup, "destProjectId": project, "cloud": "a", "status": "rejected"}
    news = {"backupId": other_backup, "destProjectId": UNKNOWN, "adoptExisting": True, "reshareIfRejected": True}
    request = provider_pb2.DiffRequest(urn=URN, id="i", olds=ParseDict(olds, Struct()), news=ParseDict(news, Struct()))
    answer = plugin.call("Diff", request)
    kinds = provider_pb2.PropertyDiff.Kind
    told = {name: (kinds.Name(entry.kind), entry.inputDiff) for name, entry in answer.detailedDiff.items()}
    assert told == {
        "backupId": ("UPDATE_REPLACE", True),
        "destProjectId": ("UPDATE_REPLACE", True),
        "status": ("UPDATE_REPLACE", False),
        "cloud": ("DELETE", True),
        "adoptExisting": ("ADD", True),
        "reshareIfRejected": ("ADD", True),
    }
    assert set(answer.diffs) == set(told)
    assert set(answer.replaces) == {"backupId", "destProjectId", "status"}


def test_look_ups(plugin: Plugin, service: Simulator, backup: str, project: str) -> None:
    service.share(backup, project)

    def look_up(function: str, **args: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"cbr:index:{function}", args=ParseDict(args, Struct()))
        return dict(MessageToDict(getattr(plugin.call("Invoke", request), "return")))

    assert look_up("getBackup", backupId=backup)["resourceType"] == "OS::Nova::Server"
    (member,) = look_up("getBackupShareMembers", backupId=backup)["members"]
    assert (member["destProjectId"], member["status"]) == (project, "pending")
    newest = look_up("getBackups", newestFirst=True, limit=3)["backups"]
    assert [entry["createdAt"] for entry in newest] == sorted((entry["createdAt"] for entry in newest), reverse=True)
    assert len(newest) == 3


@pytest.mark.parametrize(("config", "wanted"), [({}, 32), ({"parallel": "3"}, 3)])
def test_calls_run_as_many_at_once_as_the_setting_says(
    plugin_with: PluginWith,
    service: Simulator,
    backups: Backups,
    project: str,
    config: dict[str, str],
    wanted: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin, found = plugin_with(**config), backups(wanted + 2)
    changed = threading.Condition()
    there = most = 0
    take = service.faults.take

    def together(method: str, path: str) -> Any:
        """Hold every call until as many are there as can be at once."""
        nonlocal there, most
        if method == "POST" and path.endswith("/members"):
            with changed:
                there += 1
                most = max(most, there)
                changed.notify_all()
                changed.wait_for(lambda: most >= wanted, PATIENCE)
                there -= 1
        return take(method, path)

    monkeypatch.setattr(service.faults, "take", together)
    with ThreadPoolExecutor(wanted + 2) as pool:
        list(pool.map(lambda one: plugin.create(KIND, {"backup_id": one, "dest_project_id": project}), found))
    assert most == wanted


def in_the_background(hook: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(hook())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def refused(service: Simulator, *paths: str) -> threading.Event:
    """Throttle these paths for longer than a test waits; return an event: all were met."""
    met = threading.Event()
    left = set(paths)
    for path in paths:
        service.faults.add(Fault("throttle", "*", path, times=None, retry_after=LONG))
    take = service.faults.take

    def told(method: str, path: str) -> Any:
        fault = take(method, path)
        if fault:
            left.difference_update({one for one in left if re.search(one, path)})
            if not left:
                met.set()
        return fault

    service.faults.take = told  # type: ignore[method-assign]
    return met


@pytest.fixture
def own_service() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def test_cancel_ends_waits(own_service: Simulator) -> None:
    one, two = (entry.id for entry in own_service.backups[:2])
    projects = own_service.projects[:3]
    with Plugin("native", own_service.env()) as plugin:
        _, shared = plugin.create("BackupShare", {"backup_id": one, "dest_project_ids": projects})
        met = refused(own_service, f"{one}/members/{projects[1]}", f"{two}/members$")
        deleting = in_the_background(lambda: plugin.delete("BackupShare", one, shared))
        creating = in_the_background(lambda: plugin.create(KIND, {"backup_id": two, "dest_project_id": projects[0]}))
        assert met.wait(PATIENCE)
        plugin.call("Cancel", empty_pb2.Empty())
        with pytest.raises(HookFailed, match=r"^cbr: .*cancelled while waiting to try again. Run again to finish$"):
            creating.result(PATIENCE)
        with pytest.raises(HookFailed, match="cancelled while waiting to try again"):
            deleting.result(PATIENCE)
    # What was done is done, and what was not can be done by the next run.
    assert list(own_service.members(one)) == [projects[1]]
    assert own_service.members(two) == {}


def create_in(plugin: Plugin, backup: str, project: str, seconds: float) -> None:
    inputs = ParseDict({"backupId": backup, "destProjectId": project}, Struct())
    plugin.call("Create", provider_pb2.CreateRequest(urn=URN, properties=inputs, timeout=seconds))


@pytest.fixture
def endless(plugin_with: PluginWith) -> Plugin:
    """A plugin that goes on trying for longer than a test waits."""
    return plugin_with(timeout="1000", maxRetries="1000")


@pytest.mark.parametrize("fault", ["status_before", "timeout_before", "throttle"])
def test_custom_timeouts_bound_a_create(
    endless: Plugin, service: Simulator, backup: str, project: str, fault: str
) -> None:
    service.faults.add(Fault(fault, "*", backup, times=None, status=503 if fault == "status_before" else None))
    creating = in_the_background(lambda: create_in(endless, backup, project, 0.5))
    with pytest.raises(HookFailed, match=r"^cbr: \S.*$"):
        creating.result(PATIENCE)


def test_wait_for_another_sign_in_ends_on_cancel_or_timeout(own_service: Simulator) -> None:
    one, two, three = (entry.id for entry in own_service.backups[:3])
    project = own_service.projects[0]
    met = refused(own_service, "auth/tokens")
    with Plugin("native", own_service.env()) as plugin:
        signing_in = in_the_background(lambda: plugin.create(KIND, {"backup_id": one, "dest_project_id": project}))
        assert met.wait(PATIENCE)
        hurried = in_the_background(lambda: create_in(plugin, two, project, 5))
        with pytest.raises(HookFailed, match=r"^cbr: signing in at \S+ failed: no response in time"):
            hurried.result(PATIENCE)
        waiting = in_the_background(lambda: plugin.create(KIND, {"backup_id": three, "dest_project_id": project}))
        plugin.call("Cancel", empty_pb2.Empty())
        for creating in signing_in, waiting:
            with pytest.raises(HookFailed, match="cancelled while waiting to try again"):
                creating.result(PATIENCE)
    assert all(own_service.members(backup) == {} for backup in (one, two, three))


def test_custom_timeouts_bound_calls_side_by_side(endless: Plugin, service: Simulator, backup: str) -> None:
    projects = service.projects[:3]
    _, outputs = endless.create("BackupShare", {"backup_id": backup, "dest_project_ids": projects})
    service.faults.add(Fault("timeout_before", "DELETE", f"{backup}/members/{projects[1]}", times=None))
    request = provider_pb2.DeleteRequest(
        urn=URN.replace(KIND, "BackupShare"),
        id=backup,
        properties=endless.to_wire("BackupShare", outputs),
        # Enough for the other two, however busy the machine is.
        timeout=5,
    )
    deleting = in_the_background(lambda: endless.call("Delete", request))
    with pytest.raises(HookFailed):
        deleting.result(PATIENCE)
    assert list(service.members(backup)) == [projects[1]]


def test_other_calls_go_on_while_one_waits(plugin: Plugin, service: Simulator, backups: Backups, project: str) -> None:
    slow, quick = backups(2)
    with Gate(service, "POST", f"{slow}/members$") as gate:
        creating = in_the_background(lambda: plugin.create(KIND, {"backup_id": slow, "dest_project_id": project}))
        wait_until(lambda: gate.held)
        plugin.create(KIND, {"backup_id": quick, "dest_project_id": project})
        assert not creating.done()
        gate.open()
        creating.result(PATIENCE)


class Log(engine_pb2_grpc.EngineServicer):
    """The part of an engine that keeps its log."""

    def __init__(self) -> None:
        self.entries: Queue[tuple[str, str, str]] = Queue()

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.entries.put((engine_pb2.LogSeverity.Name(request.severity), request.urn, request.message))
        return empty_pb2.Empty()


@contextmanager
def started(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Yield a process, and kill it at the end of the test."""
    with subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def engine_with(log: Log) -> Iterator[str]:
    """Yield the address of an engine that keeps this log."""
    engine = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(log, engine)
    port = engine.add_insecure_port("127.0.0.1:0")
    engine.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        engine.stop(None)


def server(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pulumi_cbr.native.server", *arguments]


@pytest.mark.parametrize(
    "options", [[], ["-v=8"], ["--logtostderr", "-v=9", "--tracing", "file:./trace"], ["--logtostderr", "-v=11"]]
)
def test_log_goes_to_the_engine_by_severity_and_resource(own_service: Simulator, options: list[str]) -> None:
    log = Log()
    backup, project = own_service.backups[0].id, own_service.projects[0]
    own_service.faults.add(Fault("throttle", "POST", f"{backup}/members$", retry_after=LONG))
    with engine_with(log) as address, started(*server(*options, address), env=own_service.env()) as process:
        assert process.stdout
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(provider_pb2.ConfigureRequest())
            inputs = ParseDict({"backupId": backup, "destProjectId": project}, Struct())
            creating = stub.Create.future(provider_pb2.CreateRequest(urn=URN, properties=inputs))
            entries = [log.entries.get(timeout=PATIENCE)]
            while entries[-1][0] == "DEBUG":
                entries.append(log.entries.get(timeout=PATIENCE))
            stub.Cancel(empty_pb2.Empty())
            assert creating.exception(PATIENCE)
    severity, urn, message = entries.pop()
    assert (severity, urn) == ("WARNING", URN)
    assert re.fullmatch(
        rf"cbr: sharing backup {backup} .*\. Trying again in \d+\.0 s\. Further waits are not shown", message
    )
    # The calls themselves are told with -v=9 only.
    assert bool(entries) == ("--logtostderr" in options)
    assert own_service.owner.password not in str(entries)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ends_when_told(number: signal.Signals) -> None:
    with started(*server("127.0.0.1:1")) as process:
        assert process.stdout
        assert process.stdout.readline().strip().isdigit()
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number


def test_ctrl_c_is_for_the_engine() -> None:
    with started(*server("127.0.0.1:1")) as process:
        assert process.stdout
        port = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=PATIENCE)
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", info.version)


def test_cancel_and_ctrl_c_end_it(tmp_path: Path) -> None:
    """So the engine ends its plugins; it kills those that do not end within five seconds."""
    with started(*server("127.0.0.1:1")) as process:
        assert process.stdout
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            provider_pb2_grpc.ResourceProviderStub(channel).Cancel(empty_pb2.Empty(), timeout=PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["BackupShareMember", "BackupShare"])
def test_a_share_that_another_provider_took_over_stays(
    service: Simulator, backup: str, project: str, kind: str
) -> None:
    """A new name and another `Provider` in one operation: the processes of both tell each other."""
    dest = {"dest_project_id": project} if kind == KIND else {"dest_project_ids": [project]}
    inputs = {"backup_id": backup, **dest}
    with Plugin("native", service.env()) as old:
        id_, state = old.create(kind, inputs)
        with Plugin("native", service.env(), beside=old) as new:
            new.create(kind, {**inputs, "adopt_existing": True})
            old.delete(kind, id_, state)
            assert list(service.members(backup)) == [project]
        # An engine's processes end together: what an earlier one had noted says nothing to the next.
        old.delete(kind, id_, state)
    assert service.members(backup) == {}


def test_calls_on_their_way_end_before_it_does(own_service: Simulator) -> None:
    backup, project = own_service.backups[0].id, own_service.projects[0]
    arrived, cancelled = threading.Event(), threading.Event()
    take = own_service.faults.take

    def held(method: str, path: str) -> Any:
        if method == "POST" and path.endswith(f"{backup}/members"):
            arrived.set()
            assert cancelled.wait(PATIENCE)
        return take(method, path)

    own_service.faults.take = held  # type: ignore[method-assign]
    with Plugin("native", own_service.env()) as plugin:
        creating = in_the_background(lambda: plugin.create(KIND, {"backup_id": backup, "dest_project_id": project}))
        assert arrived.wait(PATIENCE)
        plugin.call("Cancel", empty_pb2.Empty())
        plugin.process.send_signal(signal.SIGINT)
        # New calls are refused as soon as it ends.
        wait_until(lambda: refuses_calls(plugin))
        cancelled.set()
        id_, _ = creating.result(PATIENCE)
        assert plugin.process.wait(PATIENCE) == 0
    assert id_ == f"{backup}/{project}"


def refuses_calls(plugin: Plugin) -> bool:
    try:
        # One that comes in just then is left without an answer for as long as the calls on their way may take.
        plugin.stub.GetPluginInfo(empty_pb2.Empty(), timeout=0.5)
    except grpc.RpcError:
        return True
    return False


def test_ends_with_the_engine_even_in_a_call(own_service: Simulator) -> None:
    """An engine that is killed cannot end its plugins."""
    backup, project = own_service.backups[0].id, own_service.projects[0]
    met = refused(own_service, f"{backup}/members$")
    script = f'"{sys.executable}" -m pulumi_cbr.native.server 127.0.0.1:1 & wait'
    with started("/bin/sh", "-c", script, env=own_service.env()) as engine:
        assert engine.stdout
        with grpc.insecure_channel(f"127.0.0.1:{engine.stdout.readline().strip()}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(provider_pb2.ConfigureRequest())
            inputs = ParseDict({"backupId": backup, "destProjectId": project}, Struct())
            creating = stub.Create.future(provider_pb2.CreateRequest(urn=URN, properties=inputs))
            assert met.wait(PATIENCE)
            engine.kill()
            # Its standard output ends when the last process that has it does.
            assert engine.stdout.read() == ""
            assert creating.exception(PATIENCE)
