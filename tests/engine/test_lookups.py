"""Look-ups on the real engine: in previews too, with the stack's own settings, and with one line where they fail."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .written import WrittenStack


@pytest.fixture(params=["pulumi_cbr", "pulumi_cbr.native"])
def stack(
    request: pytest.FixtureRequest, cli: Cli, simulator: Simulator, init_stack: InitStack, tmp_path: Path
) -> WrittenStack:
    return WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, simulator.env(), request.param)


def test_look_ups_in_a_program(stack: WrittenStack, simulator: Simulator) -> None:
    backup, project = simulator.backups[4], simulator.projects[0]
    # As a user has them: in the stack's configuration, the password among its secrets.
    env = simulator.env()
    stack.env = {}
    names = {
        "authUrl": "AUTH_URL",
        "username": "USERNAME",
        "userDomainName": "USER_DOMAIN_NAME",
        "region": "REGION_NAME",
    }
    stack.configure(**{name: env[f"OS_{of}"] for name, of in names.items()}, projectId=env["OS_PROJECT_ID"])
    stack.run("config", "set", "--secret", "cbr:password", env["OS_PASSWORD"])
    stack.program(f"""
found = cbr.get_backup({backup.id!r})
pulumi.export("name", found.name)
pulumi.export("newest", [backup.id for backup in cbr.get_backups(newest_first=True, limit=2)])
pulumi.export("shared", len(cbr.get_backup_share_members(found.id)))

share = cbr.BackupShareMember("share", found.id, {project!r})
# Of a share that is not there yet, nothing is known.
of_share = cbr.get_backup_share_members_output(share.share_id.apply(lambda _: found.id))
# With their times as text, as in the outputs of resources.
pulumi.export("backup", found)
pulumi.export("members", of_share)
pulumi.export("statuses", of_share.apply(lambda members: [member.status for member in members]))
pulumi.export("secret", cbr.get_backup_output(pulumi.Output.secret(found.id)).name)
pulumi.export("several", cbr.get_backups_output(name=share.backup_id.apply(lambda _: found.name)).apply(len))
""")
    preview = stack.run("preview")
    # Plain look-ups are known in the preview, which asks the service for them and for nothing else.
    assert backup.name in preview
    asked = [call.path.rpartition("/")[2] for call in simulator.calls if call.method == "GET"]
    # The secret one is known as well, and so is what is given to a resource; what the service gives it is not.
    # The engine itself asks a first-class provider nothing by what belongs to a resource that is not there yet.
    later = ["backups"] if stack.module == "pulumi_cbr" else []
    assert sorted(asked) == sorted([backup.id, "backups", "members", backup.id, *later])
    assert simulator.count("POST", "auth/tokens") == 1

    stack.up()
    outputs = json.loads(stack.run("stack", "output", "--json"))
    newest = [backup.id for backup in simulator.backups[:-3:-1]]
    exported, (member,) = outputs.pop("backup"), outputs.pop("members")
    assert exported["id"] == backup.id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", exported["created_at"])
    assert member["created_at"] == stack.state()["share"].get("created_at", stack.state()["share"].get("createdAt"))
    assert outputs == {
        "name": backup.name,
        "newest": newest,
        "shared": 0,
        "statuses": ["pending"],
        "secret": "[secret]",
        "several": 1,
    }
    (file,) = stack.backend.rglob("stacks/written/test.json")
    assert env["OS_PASSWORD"] not in file.read_text()


MISSING = "00000000-0000-4000-8000-000000000000"

#: A provider whose settings a preview does not know yet.
NOT_KNOWN = """
class Later(pulumi.dynamic.ResourceProvider):
    def create(self, props):
        return pulumi.dynamic.CreateResult("later", {"region": "eu-de"})

class Region(pulumi.dynamic.Resource):
    region: pulumi.Output[str]

region = Region(Later(), "region", {"region": None}).region
opts = pulumi.InvokeOutputOptions(provider=cbr.Provider("later", region=region))
"""


@pytest.mark.parametrize("stack", ["pulumi_cbr.native"], indirect=True)
def test_of_a_provider_that_is_not_known_yet_nothing_is(stack: WrittenStack, simulator: Simulator) -> None:
    backup = simulator.backups[0]
    look_ups = f"""
pulumi.export("name", cbr.get_backup_output({backup.id!r}, opts=opts).name)
pulumi.export("count", cbr.get_backups_output(limit=3, opts=opts).apply(len))
pulumi.export("members", cbr.get_backup_share_members_output({backup.id!r}, opts=opts).apply(len))
"""
    stack.program(NOT_KNOWN + look_ups)
    preview = stack.run("preview", "--json")
    assert simulator.calls == []
    assert json.loads(preview)["changeSummary"]["create"] == 3
    stack.up()
    assert stack.outputs() == {"name": backup.name, "count": 3, "members": 0}


@pytest.mark.parametrize("stack", ["pulumi_cbr.native"], indirect=True)
def test_plain_look_ups_need_a_provider_that_is_known(stack: WrittenStack) -> None:
    stack.program(f"""
{NOT_KNOWN}
for name, argument in ("get_backup", {MISSING!r}), ("get_backup_share_members", "x"):
    try:
        getattr(cbr, name)(argument, opts=opts)
    except Exception as error:
        pulumi.log.info(str(error))
cbr.get_backups(opts=opts)
""")
    told = stack.cli(stack.folder, "preview", env=stack.env).stdout
    for name in "get_backup", "get_backup_share_members", "get_backups":
        line = f"{name} is not known in this preview, as its arguments or its provider's settings are not"
        assert line in told
    assert "error: cbr: get_backups is not known" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("stack", ["pulumi_cbr.native"], indirect=True)
def test_a_setting_that_is_none_after_all(stack: WrittenStack, simulator: Simulator) -> None:
    stack.program(f"""
nothing = pulumi.Output.from_input(None)
opts = pulumi.InvokeOutputOptions(provider=cbr.Provider("p", region=nothing, insecure=nothing, timeout=nothing))
pulumi.export("name", cbr.get_backup_output({simulator.backups[0].id!r}, opts=opts).name)
""")
    stack.up()
    assert stack.outputs() == {"name": simulator.backups[0].name}


@pytest.mark.parametrize("form", ["plain", "output"])
def test_a_failed_look_up_is_one_line(stack: WrittenStack, simulator: Simulator, form: str) -> None:
    simulator.deny("cbr:backups:list")
    is_native = stack.module.endswith("native")
    plain = f"cbr.get_backup({MISSING!r})" if is_native else "print([backup.id for backup in cbr.get_backups()])"
    output = f"cbr.get_backup_output(pulumi.Output.from_input({MISSING!r}))"
    stack.program({"plain": plain, "output": output}[form])
    if is_native and form == "output":
        # The SDK raises it where no code of ours is: with a traceback.
        assert "returned an error: cbr: showing backup" in stack.cli(stack.folder, "preview", env=stack.env).stdout
        return
    told = stack.fails("preview")
    assert told.startswith("cbr: ")
    assert ("BackupService.6200" if is_native or form == "output" else "cbr:backups:list") in told
