"""Ways to run Pulumi: a `main` folder, structured configuration, transforms, hooks, plans, targets, import files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .shortcuts import configure

#: A hook and a transform see the resource, and a list in the configuration says what is shared.
PROGRAM = """
import json
import pulumi
import {module} as cbr

def note(args):
    with open({notes!r}, "a") as file:
        print(args.name, file=file)

def adopt(args):
    return pulumi.ResourceTransformResult({{**args.props, {adopt!r}: True}}, args.opts)

hook = pulumi.ResourceHook("note", note)
for entry in pulumi.Config().require_object("shares"):
    cbr.BackupShareMember(
        entry["name"],
        backup_id=entry["backup"],
        dest_project_id=entry["project"],
        opts=pulumi.ResourceOptions(
            transforms=[adopt], hooks=pulumi.ResourceHookBinding(after_create=[hook])
        ),
    )
"""


@pytest.mark.parametrize(
    ("module", "adopt"), [("pulumi_cbr", "adopt_existing"), ("pulumi_cbr.native", "adoptExisting")]
)
def test_ways_to_run(
    module: str, adopt: str, cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path
) -> None:
    folder, notes = tmp_path / "project", tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: ways\nruntime: python\nmain: sub\n")
    (folder / "sub" / "__main__.py").write_text(PROGRAM.format(module=module, notes=str(notes), adopt=adopt))
    init_stack(folder)
    backups, project = [backup.id for backup in simulator.backups[:3]], simulator.projects[0]
    simulator.share(backups[0], project)
    entries = [
        {"name": name, "backup": backup, "project": project} for name, backup in zip("abc", backups, strict=True)
    ]
    configure(folder, {"ways:shares": entries})

    def run(*arguments: str) -> str:
        done = cli(folder, *arguments, env={**simulator.env("owner"), "PULUMI_EXPERIMENTAL": "1"})
        assert done.returncode == 0, done.stdout
        return done.stdout

    def shared() -> list[str]:
        return [name for name, backup in zip("abc", backups, strict=True) if simulator.members(backup)]

    urn = f"urn:pulumi:test::ways::{'cbr:index' if module.endswith('native') else 'pulumi-python:dynamic/cbr'}:BackupShareMember::"

    run("up", "--yes", "--skip-preview", "--exclude", f"{urn}b", "--exclude", f"{urn}c")
    assert shared() == ["a"]
    run("up", "--yes", "--skip-preview", "--target", f"{urn}b")
    assert shared() == ["a", "b"]
    run("preview", "--save-plan", "plan.json", "--import-file", "import.json")
    assert [entry["name"] for entry in json.loads((folder / "import.json").read_text())["resources"]] == ["c"]
    run("up", "--yes", "--skip-preview", "--plan", "plan.json")
    assert shared() == ["a", "b", "c"]
    assert notes.read_text().split() == ["a", "b", "c"]

    # State edits: the new name, and the stack that a resource moves to, have the share.
    run("state", "rename", f"{urn}a", "renamed", "--yes")
    init_stack(folder, "other")
    configure(folder, {"ways:shares": [entries[1]]}, "other")
    run("stack", "select", "test")
    run("state", "move", "--source", "test", "--dest", "other", f"{urn}b", "--yes")
    configure(folder, {"ways:shares": [{**entries[0], "name": "renamed"}, entries[2]]})
    for stack in "test", "other":
        run("preview", "--expect-no-changes", "--stack", stack)
    run("destroy", "--yes", "--skip-preview", "--exclude", f"{urn}c")
    assert shared() == ["b", "c"]
    run("destroy", "--yes", "--skip-preview")
    assert shared() == ["b"]
    run("destroy", "--yes", "--skip-preview", "--stack", "other")
    assert shared() == []
