"""Renames, moves, taints, replacements and so on, on the real engine.

The operations matrix (`tests/faults/operations.py`) runs on a model of the engine. Here the hooks that the engine calls, their
order and their URNs are compared with the model's. `make soak` tries drift in both flavors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from accounts import password_settings
from faults.model import Declared, Stack
from protocol.plugin import FLAVORS
from pulumi_cbr.simulator import Simulator

from .conftest import Cli, Clouds, InitStack
from .written import WrittenStack

# What openstacksdk imports warns of itself, in the model's process.
pytestmark = pytest.mark.filterwarnings("ignore")

#: Has each plugin's process write the hooks that it serves: the name and the URN, and whether a check knows old inputs.
SPY = """
import os, sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

CLASSES = {"pulumi_cbr.dynamic": "DynamicProvider", "pulumi_cbr.native.provider": "CbrProvider"}
HOOKS = ("check", "diff", "create", "update", "delete")

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in CLASSES:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            cls = getattr(module, CLASSES[name])
            for hook in HOOKS:
                wrap = spied_native if name.endswith("provider") else spied_dynamic
                setattr(cls, hook, wrap(hook, getattr(cls, hook)))
        spec.loader.exec_module = exec_module
        return spec

def write(hook, urn, olds):
    with open(os.environ["SPIED"], "a") as file:
        file.write(f"{urn} {hook}{' of the state' if hook == 'check' and olds else ''}\\n")

def spied_native(hook, call):
    def spy(self, request):
        if not (hook == "create" and request.preview):
            write(hook, request.urn, hook == "check" and len(request.olds.fields) > 0)
        return call(self, request)
    return spy

def spied_dynamic(hook, call):
    def spy(self, *arguments):
        # The provider looks for this variable in its caller.
        request = sys._getframe(1).f_locals.get("request")
        if request is not None:
            write(hook, request.urn, bool(arguments[0]))
        return call(self, *arguments)
    return spy

if os.environ.get("SPIED"):
    sys.meta_path.insert(0, Finder())
"""

#: The program before and after: names, and the numbers of their backups. Both the engine and the model run it.
BEFORE = """
accept("renamed", 0)
accept("moved", 1)
accept("tainted", 2)
accept("forced", 3)
accept("triggered", 4, replacement_trigger="a")
accept("provided", 5)
accept("first", 6, delete_before_replace=True)
member("m-renamed", 7)
member("m-tainted", 8)
member("m-first", 9, adopt=False, delete_before_replace=True)
group("s-tainted", 10)
group("s-split", 11)
member("m-shared", 12, to=receiver, delete_before_replace=True)
accept("shared", 12, after="m-shared")
member("m-kind", 13)
"""
AFTER = """
accept("new-name", 0)
accept("moved", 1, parent=site())
accept("tainted", 2)
accept("forced", 3)
accept("triggered", 4, replacement_trigger="b")
accept("provided", 5, by="receiver-2")
accept("first", 6, delete_before_replace=True)
member("m-new-name", 7)
member("m-tainted", 8)
member("m-first", 9, adopt=False, delete_before_replace=True)
group("s-tainted", 10)
member("m-split", 11)
member("m-shared", 12, to=receiver, delete_before_replace=True)
accept("shared", 12, after="m-shared")
group("s-kind", 13, was="m-kind")
"""
TAINTED, FORCED = ("tainted", "m-tainted", "s-tainted"), ("forced", "first", "m-first", "m-shared")

#: What the names of the programs mean to the engine.
PRELUDE = """
backups, vault, receiver, projects, native = {data!r}

declared = {{}}

def accept(name, number, by="receiver", after=None, **options):
    more = {{}} if native else {{"cloud": by}}
    if after:
        options["depends_on"] = declared[after]
    if native:
        options["provider"] = providers[by]
    cbr.BackupShareAccepter(name, backups[number], vault, **more, opts=pulumi.ResourceOptions(**options))

def member(name, number, adopt=True, to=projects[0], **options):
    opts = pulumi.ResourceOptions(**options)
    declared[name] = cbr.BackupShareMember(name, backups[number], to, adopt_existing=adopt, opts=opts)

def group(name, number, was=None):
    kind = "cbr:index:BackupShareMember" if native else "pulumi-python:dynamic/cbr:BackupShareMember"
    opts = pulumi.ResourceOptions(aliases=[pulumi.Alias(name=was, type_=kind)] if was else None)
    cbr.BackupShare(name, backups[number], projects[:2], adopt_existing=True, opts=opts)

def site():
    return pulumi.ComponentResource("test:index:Site", "site")

if native:
    providers = {{name: cbr.Provider(name, cloud=name) for name in ("receiver", "receiver-2")}}
"""


def declared(program: str, simulator: Simulator, backups: list[str], flavor: str) -> list[Declared]:
    """Return what a program declares, for the model."""
    found: list[Declared] = []
    projects = simulator.projects[1:]

    def accept(name: str, number: int, by: str = "receiver", after: str = "", **options: Any) -> None:
        inputs = {"backup_id": backups[number], "vault_id": simulator.vaults[0].id}
        cloud = "" if by == "receiver" else by
        found.append(Declared(name, "BackupShareAccepter", inputs, flavor, "receiver", cloud, **options))

    def member(name: str, number: int, adopt: bool = True, to: str = projects[0], **options: Any) -> None:
        inputs = {"backup_id": backups[number], "dest_project_id": to, "adopt_existing": adopt}
        found.append(Declared(name, "BackupShareMember", inputs, flavor, **options))

    def group(name: str, number: int, was: str = "") -> None:
        inputs = {"backup_id": backups[number], "dest_project_ids": projects[:2], "adopt_existing": True}
        found.append(Declared(name, "BackupShare", inputs, flavor, alias=was, alias_kind="BackupShareMember"))

    names = {"accept": accept, "member": member, "group": group, "receiver": simulator.projects[0]}
    exec(program, {**names, "site": lambda: "test:index:Site$"})
    return found


def by_backup(hooks: list[str]) -> dict[int, list[str]]:
    """Return the hooks of each backup in their order: which of two backups is first is chance."""
    numbers = {name: int(number) for name, number in re.findall(r'\("([\w-]+)", (\d+)', BEFORE + AFTER)}
    found: dict[int, list[str]] = {}
    for line in hooks:
        urn = line.partition(" ")[0]
        found.setdefault(numbers[urn.rpartition("::")[2]], []).append(line.partition("::test::")[2] or line)
    return found


class Case:
    """A stack of the CLI, and one of the model on a service of its own."""

    def __init__(self, flavor: str, stack: WrittenStack, simulator: Simulator, spied: Path) -> None:
        self.flavor, self.stack, self.simulator, self.spied = flavor, stack, simulator, spied
        self.backups = [backup.id for backup in simulator.backups[:14]]
        receiver, *projects = simulator.projects
        for backup in self.backups[:7]:
            simulator.share(backup, receiver)
        self.project, self.receiver = projects[0], receiver
        data = (self.backups, simulator.vaults[0].id, receiver, projects[:2], flavor == "native")
        self.prelude = PRELUDE.format(data=data)

    def program(self, text: str) -> None:
        self.stack.program(self.prelude + text)

    def urn(self, name: str) -> str:
        kind = {"m": "BackupShareMember", "s": "BackupShare"}.get(name.split("-")[0], "BackupShareAccepter")
        return f"urn:pulumi:test::written::{FLAVORS[self.flavor][0]}{kind}::{name}"

    def fails(self, *arguments: str) -> str:
        """Run what must fail, with more than one error or none of ours."""
        result = self.stack.cli(self.stack.folder, *arguments, env=self.stack.env)
        assert result.returncode != 0, result.stdout
        return result.stdout

    def shares(self) -> dict[int, dict[str, str]]:
        members = (self.simulator.members(backup) for backup in self.backups)
        return {number: {project: one.id for project, one in of.items()} for number, of in enumerate(members)}

    def hooks(self) -> list[str]:
        return [line.replace("::written::", "::test::") for line in self.spied.read_text().splitlines()]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Backups for the engine, and as many for the model."""
    with Simulator(backups=28) as running:
        yield running


@pytest.fixture(params=FLAVORS)
def case(
    request: pytest.FixtureRequest,
    cli: Cli,
    clouds: Clouds,
    init_stack: InitStack,
    simulator: Simulator,
    tmp_path: Path,
) -> Case:
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    spied = tmp_path / "spied"
    env: Mapping[str, str] = {
        **simulator.env(),
        **clouds({"receiver": "receiver", "receiver-2": "receiver"}),
        "PYTHONPATH": str(tmp_path / "spy"),
        "SPIED": str(spied),
    }
    module = "pulumi_cbr" if request.param == "dynamic" else "pulumi_cbr.native"
    stack = WrittenStack(tmp_path / "written", tmp_path / "backend", cli, init_stack, env, module)
    return Case(request.param, stack, simulator, spied)


def test_operations_keep_shares_and_acceptances(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, simulator = case.stack, case.simulator
    case.program(BEFORE)
    stack.up()
    shares = case.shares()
    stack.run("state", "taint", *map(case.urn, TAINTED), "--yes")
    case.program(AFTER)
    case.spied.unlink()
    simulator.clear_calls()
    stack.up(*(f"--replace={case.urn(name)}" for name in FORCED))

    assert all(simulator.members(backup)[case.receiver].status == "accepted" for backup in case.backups[:7])
    # Only what is deleted first is rejected, and accepted again.
    puts = [
        sum(call.method == "PUT" and backup in call.path for call in simulator.calls) for backup in case.backups[:7]
    ]
    assert (puts[:5], puts[6]) == ([1] * 5, 2)
    if case.flavor == "dynamic":
        assert puts[5] == 0
    assert simulator.members(case.backups[12])[case.receiver].status == "accepted"
    now = case.shares()
    for number in 9, 12:
        assert now[number].keys() == shares[number].keys()
        assert now.pop(number) != shares.pop(number)
    del shares[11][simulator.projects[2]], now[13][simulator.projects[2]]
    assert now == shares
    hooks = case.hooks()
    stack.up("--refresh", "--expect-no-changes")

    # The model, on backups of its own.
    rest = [backup.id for backup in simulator.backups[14:]]
    for backup in rest[:7]:
        simulator.share(backup, case.receiver)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(case.stack.env["OS_CLIENT_CONFIG_FILE"]))
    model = Stack({role: {**password_settings(simulator, role), "maxRetries": "2"} for role in ("owner", "receiver")})
    model.up(*declared(BEFORE, simulator, rest, case.flavor))
    for entry in model.state:
        entry.is_tainted = entry.declared.name in TAINTED
    model.hooks.clear()
    model.up(*declared(AFTER, simulator, rest, case.flavor), replace=FORCED)
    assert by_backup(hooks) == by_backup(model.hooks)


@pytest.mark.parametrize("case", FLAVORS if "SOAK" in os.environ else ["dynamic"], indirect=True)
def test_drift_preflight_and_changed_settings(case: Case) -> None:
    """A rejection fails what gates on drift and warns in each run; preflight and old settings are as documented."""
    stack, simulator = case.stack, case.simulator
    case.program('member("m-first", 9, adopt=False, delete_before_replace=True)\ngroup("s-rejected", 10)\n')
    stack.up()
    simulator.reject(case.backups[9], case.project)
    simulator.reject(case.backups[10], case.project)
    for gate in ("refresh", "--preview-only"), ("preview", "--refresh"):
        case.fails(*gate, "--expect-no-changes")
    stack.refresh()
    told = stack.up()
    assert all(re.search(rf"{backup}.*rejected", told) for backup in case.backups[9:11]), told

    # A preview without a refresh cannot tell a resource that is replaced by force from a new one, as Limits says.
    before = case.shares()[9]
    replace = f"--replace={case.urn('m-first')}"
    stack.configure(preflight="true")
    assert "For --replace or taint, add --refresh --run-program" in case.fails("preview", replace)
    stack.up(replace, "--refresh", "--run-program")
    after = case.shares()[9]
    assert (after.keys(), simulator.members(case.backups[9])[case.project].status) == (before.keys(), "pending")
    assert after != before

    # The engine keeps the settings of the last `up`.
    stack.configure(projectId=case.receiver)
    stack.refresh()
    with_program = ("refresh", "--yes", "--skip-preview", "--run-program")
    assert "run `pulumi up`" in case.fails(*with_program)
    stack.configure(**{**password_settings(simulator, "owner"), "password": "another"})
    assert "run `pulumi up` (or refresh or destroy with --run-program)" in case.fails(*with_program)
