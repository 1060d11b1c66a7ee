"""Ways to run Pulumi: a `main` folder, structured configuration, transforms, hooks, plans, targets, import files."""

from __future__ import annotations

import json
from pathlib import Path

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .shortcuts import configure

#: A hook and a transform see the resources of both flavors, and a list in the configuration says what is shared.
PROGRAM = """
import json
import pulumi
import pulumi_cbr
import pulumi_cbr.native

def note(args):
    with open({notes!r}, "a") as file:
        print(args.name, file=file)

def adopting(argument):
    return lambda args: pulumi.ResourceTransformResult({{**args.props, argument: True}}, args.opts)

hook = pulumi.ResourceHook("note", note)
flavors = {{"d": (pulumi_cbr, "adopt_existing"), "n": (pulumi_cbr.native, "adoptExisting")}}
for entry in pulumi.Config().require_object("shares"):
    module, argument = flavors[entry["flavor"]]
    module.BackupShareMember(
        entry["name"],
        backup_id=entry["backup"],
        dest_project_id=entry["project"],
        opts=pulumi.ResourceOptions(
            transforms=[adopting(argument)], hooks=pulumi.ResourceHookBinding(after_create=[hook])
        ),
    )
"""

TYPES = {"d": "pulumi-python:dynamic/cbr", "n": "cbr:index"}


def urns(*names: str, option: str = "") -> list[str]:
    """Return the URNs of resources in both flavors, each after an option."""
    found = [
        f"urn:pulumi:test::ways::{prefix}:BackupShareMember::{flavor}-{name}"
        for name in names
        for flavor, prefix in TYPES.items()
    ]
    return [word for urn in found for word in ([option, urn] if option else [urn])]


def test_ways_to_run(cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path) -> None:
    folder, notes = tmp_path / "project", tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: ways\nruntime: python\nmain: sub\n")
    (folder / "sub" / "__main__.py").write_text(PROGRAM.format(notes=str(notes)))
    init_stack(folder, "other")
    init_stack(folder)
    project = simulator.projects[0]
    names = [f"{flavor}-{name}" for name in "abc" for flavor in TYPES]
    backups = {name: backup.id for name, backup in zip(names, simulator.backups[:6], strict=True)}
    entries = {
        name: {"flavor": name[0], "name": name, "backup": backup, "project": project}
        for name, backup in backups.items()
    }
    for flavor in TYPES:
        simulator.share(backups[f"{flavor}-a"], project)
    configure(folder, {"ways:shares": [*entries.values()]})

    def run(*arguments: str) -> str:
        done = cli(folder, *arguments, env={**simulator.env("owner"), "PULUMI_EXPERIMENTAL": "1"})
        assert done.returncode == 0, done.stdout
        return done.stdout

    def shared() -> list[str]:
        return [name for name, backup in backups.items() if simulator.members(backup)]

    run("up", "--yes", "--skip-preview", *urns("b", "c", option="--exclude"))
    assert shared() == ["d-a", "n-a"]
    run("up", "--yes", "--skip-preview", *urns("b", option="--target"))
    assert shared() == ["d-a", "n-a", "d-b", "n-b"]
    run("preview", "--save-plan", "plan.json", "--import-file", "import.json")
    imports = json.loads((folder / "import.json").read_text())["resources"]
    assert {entry["name"] for entry in imports} == {"d-c", "n-c"}
    run("up", "--yes", "--skip-preview", "--plan", "plan.json")
    assert shared() == names
    assert sorted(notes.read_text().split()) == sorted(names)

    # State edits: the new name, and the stack that a resource moves to, have the share.
    for urn, flavor in zip(urns("a"), TYPES, strict=True):
        run("state", "rename", urn, f"{flavor}-renamed", "--yes")
    configure(folder, {"ways:shares": [entries["d-b"], entries["n-b"]]}, "other")
    run("state", "move", "--source", "test", "--dest", "other", *urns("b"), "--yes")
    renamed = [{**entries[f"{flavor}-a"], "name": f"{flavor}-renamed"} for flavor in TYPES]
    configure(folder, {"ways:shares": [*renamed, entries["d-c"], entries["n-c"]]})
    for stack in "test", "other":
        run("preview", "--expect-no-changes", "--stack", stack)
    run("destroy", "--yes", "--skip-preview", *urns("c", option="--exclude"))
    assert shared() == ["d-b", "n-b", "d-c", "n-c"]
    run("destroy", "--yes", "--skip-preview")
    assert shared() == ["d-b", "n-b"]
    run("destroy", "--yes", "--skip-preview", "--stack", "other")
    assert shared() == []
