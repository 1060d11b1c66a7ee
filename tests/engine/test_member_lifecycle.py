"""BackupShareMember on the real engine: drift, failures as a terminal shows them, replacements, and stacks that were cut off."""

from __future__ import annotations

import base64
import json
import pickle
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pulumi_cbr.backup_share_member import BackupShareMemberProvider
from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .shortcuts import configure, deployment_of, outputs_of

KIND = "pulumi-python:dynamic/cbr:BackupShareMember"


class Stack:
    """A stack of the CLI: its program, and what the terminal showed last."""

    def __init__(self, cli: Cli, init_stack: InitStack, folder: Path, env: Mapping[str, str]) -> None:
        self.cli, self.folder, self.env = cli, folder, dict(env)
        self.backend = folder.parent / "backend"
        (folder / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
        self.declare("")
        init_stack(folder)

    def declare(self, program: str) -> None:
        text = "import pulumi\nimport pulumi_cbr as cbr\nfrom pulumi import ResourceOptions\n\n" + textwrap.dedent(
            program
        )
        (self.folder / "__main__.py").write_text(text)

    def run(self, *arguments: str, fails: bool = False, **env: str) -> str:
        """Run a command that must (not) fail; return its output, which has no traceback."""
        done = self.cli(self.folder, *arguments, env={**self.env, **env})
        assert (done.returncode != 0) == fails, done.stdout
        assert "Traceback" not in done.stdout.replace("Traceback of theirs", ""), done.stdout
        assert "KeyError" not in done.stdout, done.stdout
        return done.stdout

    def up(self, fails: bool = False, **env: str) -> str:
        return self.run("up", "--yes", "--skip-preview", "--suppress-progress", fails=fails, **env)

    def errors(self, shown: str) -> list[str]:
        """Return the errors of failed hooks: each is one line, shown once or more."""
        return sorted(set(re.findall(r"error: (?:.*: )?cbr: (.*)", shown)))

    def shares(self) -> dict[str, dict[str, Any]]:
        """Return the shares of the state by name."""
        return {
            entry["urn"].rpartition("::")[2]: entry
            for entry in deployment_of(self.backend).get("resources", [])
            if entry["type"] == KIND
        }


@pytest.fixture
def stack(cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path) -> Stack:
    folder = tmp_path / "program"
    folder.mkdir()
    return Stack(cli, init_stack, folder, simulator.env())


def members(service: Simulator, backup: str) -> list[str]:
    return sorted(service.members(backup))


def test_drift(stack: Stack, simulator: Simulator) -> None:
    names = ["same", "accepted", "imaged", "rejected", "reshared", "withdrawn", "lost"]
    backup = {name: entry.id for name, entry in zip(names, simulator.backups, strict=False)}
    project = simulator.projects[0]
    program = f"""
        for name, backup in {backup!r}.items():
            cbr.BackupShareMember(name, backup, {project!r}, reshare_if_rejected=name == "reshared")
    """
    stack.declare(program)
    stack.up()
    made = stack.shares()
    simulator.advance(3600)
    vault = simulator.accept(backup["accepted"], project).vault_id
    image = simulator.register_image(backup["imaged"], project)
    for name in "rejected", "reshared":
        simulator.reject(backup[name], project)
    simulator.withdraw(backup["withdrawn"], project)
    simulator.delete_backup(backup["lost"])

    # What happened shows in a preview and in a refresh.
    for shown in stack.run("preview", "--refresh", "--diff"), stack.run("refresh", "--preview-only", "--diff"):
        has_changed = f"cbr: the share of backup {{}} with project {project} has changed: ".format
        for name, drift in (
            ("accepted", f"status is accepted, not pending; vault_id is {vault}, not none\n"),
            (
                "imaged",
                f"status is accepted, not pending; vault_id is {vault}, not none; image_id is {image}, not none\n",
            ),
            ("rejected", "status is rejected, not pending\n"),
            ("reshared", "status is rejected, not pending\n"),
        ):
            assert has_changed(backup[name]) + drift in shown
        assert backup["same"] not in "".join(line for line in shown.splitlines() if "cbr:" in line)
    refreshed = stack.run("refresh", "--yes", "--skip-preview", "--suppress-progress")
    # The engine counts what was rejected or is gone; an acceptance is what a share is for.
    assert re.search(r"~ 2 updated\s+- 2 deleted", refreshed), refreshed
    state = stack.shares()
    assert {name: entry["outputs"]["status"] for name, entry in state.items()} == {
        "same": "pending",
        "accepted": "accepted",
        "imaged": "accepted",
        "rejected": "rejected",
        "reshared": "rejected",
    }
    assert state["same"]["outputs"] == made["same"]["outputs"]
    assert state["accepted"]["outputs"]["vault_id"] == vault
    assert state["imaged"]["outputs"]["image_id"] == image

    # The next preview has only what the program asks for: a rejected share is made anew where that is wanted.
    del backup["lost"]
    stack.declare(program.replace(repr({**backup, "lost": made["lost"]["inputs"]["backup_id"]}), repr(backup)))
    shown = stack.run("preview")
    assert re.search(r"\+ 1 to create", shown), shown
    assert re.search(r"\+-1 to replace", shown), shown
    assert "5 unchanged" in shown
    simulator.clear_calls()
    stack.up()
    calls = [call.method for call in simulator.calls if backup["reshared"] in call.path]
    assert calls == ["GET", "DELETE", "POST"]
    assert stack.shares()["reshared"]["outputs"]["status"] == "pending"
    stack.run("preview", "--expect-no-changes")


def test_failures_as_the_terminal_shows_them(stack: Stack, simulator: Simulator) -> None:
    """One line each, in check, create, read, get and delete."""
    good, taken, image, gone = (entry.id for entry in simulator.backups[:4])
    project = simulator.projects[0]
    simulator.share(taken, project)
    declare = "cbr.BackupShareMember({!r}, {!r}, {!r})\n".format

    stack.declare(declare("bad", "b", "p"))
    shown = stack.run("preview", fails=True)
    assert "property backup_id value {b} has a problem: must be a UUID with dashes, such as 2f8a1a44-" in shown
    assert "property dest_project_id value {p} has a problem: must be a project ID: 32 hex digits without" in shown

    stack.declare(declare("good", good, project) + declare("taken", taken, project) + declare("image", image, project))
    shown = stack.up(fails=True)
    (line,) = stack.errors(shown)
    assert re.fullmatch(rf"sharing backup {taken} failed: already shared with project {project} \(share .*\)\..*", line)
    stack.declare(declare("good", good, project) + declare("image", image, project))
    stack.up()

    simulator.deny("cbr:member:list")
    simulator.deny("cbr:member:get")
    shown = stack.run("refresh", "--yes", "--skip-preview", "--suppress-progress", fails=True)
    assert "403" in stack.errors(shown)[0]
    simulator.allow_all()
    assert set(stack.shares()) == {"good", "image"}

    # Signed in to the wrong project, nothing is found, and nothing is lost.
    shown = stack.run("destroy", "--yes", "--skip-preview", fails=True, **simulator.env("receiver"))
    assert f"but this run is signed in to {simulator.receiver.project_id}" in shown
    assert set(stack.shares()) == {"good", "image"}

    declared = declare("good", good, project) + declare("image", image, project)
    stack.declare(declared + f"cbr.BackupShareMember.get('read', {f'{gone}/{project}'!r})\n")
    assert "does not exist" in stack.run("preview", fails=True)
    stack.declare(
        declared
        + f"read = cbr.BackupShareMember.get('read', {f'{taken}/{project}'!r})\n"
        + "pulumi.export('read', [read.id, read.backup_id, read.dest_project_id, read.status, read.source_project_id])\n"
    )
    stack.up()
    assert outputs_of(stack.backend)["read"] == [
        f"{taken}/{project}",
        taken,
        project,
        "pending",
        simulator.owner.project_id,
    ]

    registered = simulator.register_image(image, project)
    shown = stack.run("destroy", "--yes", "--skip-preview", "--suppress-progress", fails=True)
    (line,) = stack.errors(shown)
    assert "BackupService.6710" in line
    assert f"The image is {registered}" in line
    assert "image" in stack.shares()
    simulator.delete_image(image, project)
    stack.run("destroy", "--yes", "--skip-preview")
    # What was only read is not destroyed.
    assert (members(simulator, good), members(simulator, image), members(simulator, taken)) == ([], [], [project])


#: Breaks create, in the plugin's process only.
SABOTAGE = """
import sys
if "pulumi.dynamic" in " ".join(sys.orig_argv):
    import pulumi_cbr.lifecycle.backup_share_member as module
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a bug\\nof two lines")
    module.BackupShareMemberController.create = broken
"""

#: Somebody else's provider in the same process.
THEIRS = """
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Theirs(ResourceProvider):
    def create(self, props):
        raise ValueError("Traceback of theirs")

class Other(Resource):
    pass

cbr.BackupShareMember("ours", {backup!r}, {project!r})
Other(Theirs(), "other", {{}})
"""


def test_bugs(stack: Stack, simulator: Simulator, tmp_path: Path) -> None:
    """A bug says that it is one; the traceback is in a file; other people's are as they were."""
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    stack.env |= {"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    stack.declare(THEIRS.format(backup=simulator.backups[0].id, project=simulator.projects[0]))
    up = ("up", "--yes", "--skip-preview", "--suppress-progress", "--continue-on-error")
    shown = stack.cli(stack.folder, *up, env=stack.env).stdout
    (line,) = stack.errors(shown)
    told = re.fullmatch(
        r"this is a bug in pulumi-cbr \(ZeroDivisionError\)\. The result is unknown\. "
        r"Please report it with the file (\S+) \(which names backups and projects, but no credentials\)",
        line,
    )
    assert told, line
    kept = Path(told[1])
    assert kept.parent == tmp_path
    assert kept.read_text().startswith("Traceback")
    assert kept.read_text().endswith("ZeroDivisionError: a bug\nof two lines\n")
    assert simulator.owner.password not in kept.read_text()
    assert 'raise ValueError("Traceback of theirs")' in shown
    assert "ZeroDivisionError: a bug" not in shown


def test_preflight(stack: Stack, simulator: Simulator) -> None:
    backup = [entry.id for entry in simulator.backups]
    project = simulator.projects
    configure(stack.folder, {"cbr:preflight": "true", "cbr:maxRetries": "1"})
    program = """
        for number, (backup, project) in enumerate({}):
            cbr.BackupShareMember(f"share-{{number}}", backup, project, reshare_if_rejected=True)
    """
    wanted = [(backup[0], one) for one in project[:12]] + [(backup[1], project[0]), (backup[2], project[0])]
    simulator.set_backup(backup[1], status="error")
    simulator.share(backup[2], project[0])
    stack.declare(program.format(wanted))
    shown = stack.run("preview", fails=True)
    # The engine stops at the first failure, or at the first few.
    assert re.search("has a problem: .*backup .* (would be shared with|has status `error`|already shared)", shown), (
        shown
    )
    for one in backup[:3]:
        # The backup and its members, once for all its resources; a plugin that is ended may have asked for the first alone.
        assert simulator.count("*", one) <= 2
    assert simulator.members(backup[0]) == {}

    # What fits passes, in the preview and in the up, and then in a replacement of each kind.
    stack.declare(program.format([(backup[0], one) for one in project[:9]]))
    stack.run("up", "--yes")
    assert len(simulator.members(backup[0])) == 9
    simulator.reject(backup[0], project[8])
    stack.run("refresh", "--yes", "--skip-preview")
    stack.declare(program.format([(backup[0], one) for one in (project[10], *project[1:9])]))
    simulator.clear_calls()
    stack.run("up", "--yes")
    assert set(simulator.members(backup[0])) == set(project[1:9]) | {project[10]}
    assert simulator.members(backup[0])[project[8]].status == "pending"


def test_replacing_the_same_pair_by_force(stack: Stack, simulator: Simulator) -> None:
    """The engine does not ask the provider then, and creates before it deletes: nothing may be lost by it."""
    plain, adopting = (entry.id for entry in simulator.backups[:2])
    project = simulator.projects[0]
    stack.declare(f"""
        cbr.BackupShareMember("plain", {plain!r}, {project!r})
        cbr.BackupShareMember("adopting", {adopting!r}, {project!r}, adopt_existing=True)
    """)
    stack.up()
    before = {one: simulator.members(one)[project].id for one in (plain, adopting)}
    urns = [f"--replace=urn:pulumi:test::test::{KIND}::{name}" for name in ("plain", "adopting")]
    up = ("up", "--yes", "--skip-preview", "--suppress-progress", "--continue-on-error")
    shown = stack.run(*up, *urns, fails=True)
    (line,) = stack.errors(shown)
    assert "`pulumi config set cbr:adoptExisting true`" in line
    assert "another resource of this stack has it now" in shown
    assert {one: simulator.members(one)[project].id for one in (plain, adopting)} == before


#: What `__provider` is in every stack: pickled by the class's name. It never changes.
PINNED = "gASVQwAAAAAAAACMHnB1bHVtaV9jYnIuYmFja3VwX3NoYXJlX21lbWJlcpSMGUJhY2t1cFNoYXJlTWVtYmVyUHJvdmlkZXKUk5QpgZQu"


def test_a_stack_of_today_is_refreshed_and_destroyed(stack: Stack, simulator: Simulator, tmp_path: Path) -> None:
    backup, other, third = (entry.id for entry in simulator.backups[:3])
    project = simulator.projects[0]
    urn = "urn:pulumi:test::test::{}::{}".format
    stack_urn, provider_urn = urn("pulumi:pulumi:Stack", "test-test"), urn("pulumi:providers:pulumi-python", "default")
    provider_id = "0f0e0d0c-0b0a-0908-0706-050403020100"
    resources: list[dict[str, Any]] = [
        {"urn": stack_urn, "custom": False, "type": "pulumi:pulumi:Stack"},
        {
            "urn": provider_urn,
            "custom": True,
            "id": provider_id,
            "type": "pulumi:providers:pulumi-python",
        },
    ]
    # The same in the words of another Python: a stack changes nothing because of it.
    older = base64.b64encode(pickle.dumps(BackupShareMemberProvider(), protocol=2)).decode()
    assert older != PINNED
    for name, one, text in ("kept", backup, PINNED), ("older", third, older), ("lost", other, PINNED):
        made = simulator.share(one, project)
        inputs = {"__provider": text, "backup_id": one, "dest_project_id": project}
        resources.append(
            {
                "urn": urn(KIND, name),
                "custom": True,
                "id": f"{one}/{project}",
                "type": KIND,
                "inputs": inputs,
                "outputs": {
                    **inputs,
                    "share_id": made.id,
                    "status": "pending",
                    "created_at": "2026-01-01T00:00:00+00:00",
                    "source_project_id": simulator.owner.project_id,
                },
                "parent": stack_urn,
                "provider": f"{provider_urn}::{provider_id}",
            }
        )
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    checkpoint = tmp_path / "checkpoint.json"
    checkpoint.write_text(json.dumps({"version": 3, "deployment": {"manifest": manifest, "resources": resources}}))
    stack.run("stack", "import", "--file", str(checkpoint))
    simulator.accept(backup, project)
    simulator.withdraw(other, project)
    stack.declare(f"""
        cbr.BackupShareMember("kept", {backup!r}, {project!r})
        cbr.BackupShareMember("older", {third!r}, {project!r})
    """)
    stack.run("refresh", "--yes", "--skip-preview")
    assert {name: entry["outputs"]["status"] for name, entry in stack.shares().items()} == {
        "kept": "accepted",
        "older": "pending",
    }
    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")
    stack.run("destroy", "--yes", "--skip-preview")
    assert simulator.members(backup) == {}
    assert simulator.members(third) == {}
