"""The first-class provider on the real engine: what it can do that the dynamic ones cannot."""

from __future__ import annotations

import ast
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

import pulumi_cbr.native as cbr
from pulumi_cbr.simulator import Fault, Simulator
from waiting import PATIENCE, wait_until

from .conftest import Cli, InitStack, NewStack
from .shortcuts import configure, deployment_of, without_forks

SCRIPT = str(Path(sys.executable).parent / "pulumi-resource-cbr")


@pytest.fixture
def project(tmp_path: Path, init_stack: InitStack) -> Path:
    """A project with an empty program and a stack."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: project\nruntime: python\n")
    (folder / "__main__.py").write_text("")
    init_stack(folder)
    return folder


@pytest.fixture
def run(project: Path, cli: Cli, simulator: Simulator) -> Callable[..., str]:
    """Run a command that succeeds, signed in as a role; return what it printed."""

    def done(*arguments: str, role: str = "owner") -> str:
        finished = cli(project, *arguments, env=simulator.env(role))
        assert finished.returncode == 0, finished.stdout
        assert "Traceback" not in finished.stdout
        return finished.stdout

    return done


def writes(simulator: Simulator) -> list[str]:
    """Return the calls that may have changed something at the service."""
    return [call.method for call in simulator.calls if "/backups" in call.path and call.method != "GET"]


def resources(folder: Path) -> list[dict[str, Any]]:
    """Return the stack's resources as the backend has them, without the stack itself."""
    resources = deployment_of(folder / "backend").get("resources", [])
    return [entry for entry in resources if entry["type"] != "pulumi:pulumi:Stack"]


def test_import_of_each_kind(project: Path, run: Callable[..., str], simulator: Simulator) -> None:
    one, two, three = (entry.id for entry in simulator.backups[:3])
    receiver = simulator.receiver.project_id
    for dest in simulator.projects[:10]:
        simulator.share(one, dest)
    simulator.accept(one, receiver, simulator.vaults[0].id)
    for dest in simulator.projects[1:4]:
        simulator.share(two, dest)
    simulator.share(three, simulator.projects[1])

    def imported(role: str, **ids: list[str]) -> dict[str, set[str]]:
        entries = [
            {"type": f"cbr:index:{kind}", "name": f"{kind.lower()}-{number}", "id": id_}
            for kind, those in ids.items()
            for number, id_ in enumerate(those)
        ]
        (project / "import.json").write_text(json.dumps({"resources": entries}))
        output = run("import", "--file", "import.json", "--yes", "--skip-preview", "--protect=false", role=role)
        (project / "__main__.py").write_text(output[output.index("import pulumi\n") :])
        run("preview", "--diff", "--expect-no-changes", role=role)
        found = [entry for entry in resources(project.parent) if entry["type"].startswith("cbr:")]
        assert {entry["id"] for entry in found} >= {id_ for those in ids.values() for id_ in those}
        return {entry["type"].rpartition(":")[2]: set(entry["inputs"]) for entry in found}

    assert imported("receiver", BackupShareAccepter=[f"{one}/{receiver}"]) == {
        "BackupShareAccepter": {"backupId", "vaultId"}
    }
    run("state", "delete", "--all", "--yes", "--force")
    members = [f"{one}/{dest}" for dest in simulator.projects[:10]]
    assert imported("owner", BackupShareMember=members, BackupShare=[two]) == {
        "BackupShareMember": {"backupId", "destProjectId"},
        "BackupShare": {"backupId", "destProjectIds"},
    }
    assert writes(simulator) == []
    run("destroy", "--yes", "--skip-preview")
    assert [len(simulator.members(backup)) for backup in (one, two, three)] == [0, 0, 1]


def test_import_of_what_is_none(project: Path, cli: Cli, simulator: Simulator) -> None:
    backup, dest, own = simulator.backups[0].id, simulator.projects[0], simulator.owner.project_id
    wrong = [
        ("BackupShareMember", f"{backup}/{dest}", f"resource '{backup}/{dest}' does not exist"),
        (
            "BackupShareMember",
            backup,
            f"cbr: the ID must be <backupId>/<destProjectId>, not '{backup}': the part after",
        ),
        ("BackupShare", f"{backup}/{dest}", "cbr: the ID must be a UUID with dashes"),
        ("BackupShareAccepter", f"x/{dest}", f"cbr: the ID must be <backupId>/<own project ID>, not 'x/{dest}'"),
        (
            "BackupShareAccepter",
            f"{backup}/{dest}",
            f"cbr: the ID names project {dest}, but this run is signed in to {own}",
        ),
    ]
    entries = [{"type": f"cbr:index:{kind}", "name": f"r{n}", "id": id_} for n, (kind, id_, _) in enumerate(wrong)]
    (project / "import.json").write_text(json.dumps({"resources": entries}))
    failed = cli(project, "import", "--file", "import.json", "--yes", env=simulator.env())
    assert failed.returncode != 0
    told = [line for line in failed.stdout.splitlines() if line.startswith("    error: ")]
    assert [message for _, _, message in wrong if not any(message in line for line in told)] == []
    assert "Traceback" not in failed.stdout
    assert not [entry for entry in resources(project.parent) if entry["type"].startswith("cbr:")]


def test_schema_and_sdks_come_from_the_installed_script(run: Callable[..., str], project: Path) -> None:
    schema = json.loads(run("package", "get-schema", SCRIPT).partition("warning:")[0])
    assert schema["name"] == "cbr"
    # The command prints nothing of a schema without warnings.
    assert run("schema", "check", str(Path(cbr.__file__).with_name("schema.json"))).strip() == ""
    for language in "python", "nodejs", "go":
        run("package", "gen-sdk", SCRIPT, "--language", language, "--out", "sdk")
    written = {path.name for path in (project / "sdk").rglob("*ackup*")}
    assert written >= {"backup_share_member.py", "backupShareMember.ts", "backupShareMember.go", "getBackups.ts"}

    # What programs import is below the module that the SDK is.
    module = (project / "sdk" / "go" / "go.mod").read_text().split()[1]
    assert f'"{module}/cbr"' in schema["resources"]["cbr:index:BackupShare"]["description"]
    assert (project / "sdk" / "python" / "pulumi_cbr_native" / "__init__.py").is_file()

    # Python has the classes of this package: what would be generated takes the same arguments.
    (package,) = (project / "sdk" / "python").glob("*/provider.py")
    for name, file in (
        ("BackupShareMember", "backup_share_member.py"),
        ("BackupShare", "backup_share.py"),
        ("BackupShareAccepter", "backup_share_accepter.py"),
        ("Provider", "provider.py"),
    ):
        generated = _arguments(ast.parse((package.parent / file).read_text()), f"{name}Args")
        own = inspect.signature(getattr(cbr, name).__init__).parameters
        needed = {entry for entry in own if own[entry].default is inspect.Parameter.empty}
        assert generated == {entry: entry in needed for entry in own if entry not in ("self", "resource_name", "opts")}


def _arguments(module: ast.Module, name: str) -> dict[str, bool]:
    """Return the arguments of a generated constructor, and whether each is required."""
    (found,) = (entry for entry in module.body if isinstance(entry, ast.ClassDef) and entry.name == name)
    constructor = next(entry for entry in found.body if isinstance(entry, ast.FunctionDef))
    arguments = zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True)
    return {entry.arg: default is None for entry, default in arguments}


def settings(simulator: Simulator, role: str) -> dict[str, Any]:
    env = simulator.env(role)
    return {
        "auth_url": env["OS_AUTH_URL"],
        "username": env["OS_USERNAME"],
        "password": env["OS_PASSWORD"],
        "user_domain_name": env["OS_USER_DOMAIN_NAME"],
        "project_id": env["OS_PROJECT_ID"],
        "region": env["OS_REGION_NAME"],
    }


def test_owner_and_receiver_in_one_program(new_stack: NewStack, simulator: Simulator, tmp_path: Path) -> None:
    """Each with credentials of its own, which are nowhere in plain; and secrets stay secret."""
    backup, vault = simulator.backups[0].id, simulator.vaults[0].id
    opts = pulumi.ResourceOptions
    extra: dict[str, Any] = {}

    class Site(pulumi.ComponentResource):
        def __init__(self, provider: cbr.Provider) -> None:
            super().__init__("test:index:Site", "site", None, opts(providers=[provider]))
            self.share = cbr.BackupShareMember(
                "dr", pulumi.Output.secret(backup), simulator.receiver.project_id, opts=opts(parent=self)
            )

    def program() -> None:
        owner = cbr.Provider("owner", **settings(simulator, "owner"), parallel=4, **extra)
        receiver = cbr.Provider("receiver", **settings(simulator, "receiver"))
        share = Site(owner).share
        accepted = cbr.BackupShareAccepter(
            "in", share.backup_id, vault, opts=opts(provider=receiver, depends_on=[share])
        )
        own = cbr.BackupShare("set", simulator.backups[1].id, simulator.projects[:2], opts=opts(provider=owner))
        pulumi.export("status", accepted.status)
        pulumi.export("source", accepted.source_project_id)
        pulumi.export("share", own.members[simulator.projects[1]]["share_id"])
        found = cbr.get_backup_share_members_output(own.backup_id, opts=pulumi.InvokeOutputOptions(provider=owner))
        pulumi.export("count", found.apply(len))
        shown = cbr.BackupShareMember.get(
            "shown", own.id.apply(lambda known: f"{known}/{simulator.projects[0]}"), opts=opts(provider=owner)
        )
        pulumi.export("shown", shown.status)

    stack = new_stack(program, {})
    preview = stack.preview()
    assert preview.change_summary == {"create": 7}
    result = stack.up()
    assert {name: output.value for name, output in result.outputs.items()} == {
        "status": "accepted",
        "source": simulator.owner.project_id,
        "share": simulator.members(simulator.backups[1].id)[simulator.projects[1]].id,
        "count": 2,
        "shown": "pending",
    }
    assert simulator.members(backup)[simulator.receiver.project_id].status == "accepted"

    (file,) = tmp_path.rglob("backend/.pulumi/stacks/*/*.json")
    state = file.read_text()
    for account in simulator.owner, simulator.receiver:
        assert account.password not in state
        assert account.password not in result.stdout
    (member,) = (entry for entry in resources(tmp_path) if entry["urn"].endswith("BackupShareMember::dr"))
    assert "ciphertext" in member["inputs"]["backupId"]
    assert "ciphertext" in member["outputs"]["backupId"]

    stack.up(expect_no_changes=True)
    extra["timeout"] = 60
    changes = stack.up().summary.resource_changes
    assert changes
    # Only the provider: none of its resources is replaced.
    assert {str(kind): count for kind, count in changes.items() if kind != "same"} == {"update": 1}
    assert set(stack.refresh().summary.resource_changes or {}) == {"same"}
    stack.destroy()
    assert simulator.members(simulator.backups[1].id) == {}
    assert simulator.count("POST", "/members$") == 2


@pytest.mark.parametrize(
    ("explicit", "line"),
    [
        (False, "unknown setting cbr:authURL (did you mean cbr:authUrl?)"),
        (True, "timeout of Provider 'p' must be a number of seconds above 0, not 'soon'"),
    ],
)
def test_wrong_settings(project: Path, cli: Cli, simulator: Simulator, explicit: bool, line: str) -> None:
    program = f'cbr.BackupShareMember("dr", "{simulator.backups[0].id}", "{simulator.projects[0]}"'
    program += ', opts=pulumi.ResourceOptions(provider=cbr.Provider("p", timeout="soon")))' if explicit else ")"
    (project / "__main__.py").write_text(f"import pulumi\nimport pulumi_cbr.native as cbr\n{program}\n")
    if not explicit:
        configure(project, {"cbr:authURL": "https://iam.example.com"})
    failed = cli(project, "up", "--yes", "--skip-preview", env=simulator.env())
    assert failed.returncode != 0
    assert line in failed.stdout
    assert 'File "' not in failed.stdout.replace("KeyboardInterrupt", "")
    assert simulator.calls == []


def test_lost_create_is_healed_by_the_next_up(
    project: Path, cli: Cli, run: Callable[..., str], simulator: Simulator
) -> None:
    """Neither the response nor a look tells whether it was made: the state keeps it, and the next run finds out."""
    one, two = (entry.id for entry in simulator.backups[:2])
    dest = simulator.projects[:2]
    (project / "__main__.py").write_text(
        "import pulumi_cbr.native as cbr\n"
        f"cbr.BackupShareMember('dr', '{one}', '{dest[0]}')\ncbr.BackupShare('set', '{two}', {dest})\n"
    )
    configure(project, {"cbr:maxRetries": "0"})
    simulator.faults.add(Fault("reset_after", "POST", "/members$", times=2))
    simulator.faults.add(Fault("status_before", "GET", "/members", times=None, status=503))
    failed = cli(project, "up", "--yes", "--skip-preview", env=simulator.env())
    assert failed.returncode != 0
    assert "Run `pulumi up` again: it finds out" in failed.stdout

    simulator.faults.clear()
    simulator.clear_calls()
    preview = run("preview", "--diff")
    assert "2 to update" in preview
    run("up", "--yes", "--skip-preview")
    assert writes(simulator) == []
    lists = [call.path for call in simulator.calls if call.path.endswith("/members")]
    assert len(lists) == len(set(lists)) == 2
    run("preview", "--diff", "--expect-no-changes")
    assert [sorted(simulator.members(backup)) for backup in (one, two)] == [dest[:1], sorted(dest)]


def test_state_of_a_build_that_named_no_plugin_stays(
    project: Path, run: Callable[..., str], simulator: Simulator
) -> None:
    """The default provider of such a state is `default`; today's has the version and the address in its name."""
    backup, dest = simulator.backups[0].id, simulator.projects[:2]
    (project / "__main__.py").write_text(
        f"import pulumi_cbr.native as cbr\ncbr.BackupShare('set', '{backup}', {dest})\n"
    )
    run("up", "--yes", "--skip-preview")
    (file,) = project.parent.glob("backend/.pulumi/stacks/*/test.json")
    state = json.loads(file.read_text())
    (provider,) = (entry for entry in resources(project.parent) if "providers:cbr" in entry["type"])
    name = provider["urn"].rpartition("::")[2]
    assert name.startswith("default_")
    for entry in state["checkpoint"]["latest"]["resources"]:
        if entry["urn"] == provider["urn"]:
            entry["inputs"], entry["outputs"] = {}, {}
    file.write_text(json.dumps(state).replace(f"providers:cbr::{name}", "providers:cbr::default"))

    simulator.clear_calls()
    run("up", "--yes", "--expect-no-changes", "--skip-preview")
    assert writes(simulator) == []
    assert sorted(simulator.members(backup)) == sorted(dest)


def test_a_new_name_and_another_provider_at_once(project: Path, run: Callable[..., str], simulator: Simulator) -> None:
    """The old form is deleted by the old provider's process, which has not taken the share over itself."""
    backup, dest = simulator.backups[0].id, simulator.projects[0]

    def up(name: str, provider: str) -> str:
        (project / "__main__.py").write_text(
            "import pulumi\nimport pulumi_cbr.native as cbr\n"
            f"opts = pulumi.ResourceOptions(provider=cbr.Provider('{provider}'))\n"
            f"cbr.BackupShareMember('{name}', '{backup}', '{dest}', adopt_existing=True, opts=opts)\n"
        )
        return run("up", "--yes", "--skip-preview")

    up("dr", "old")
    told = up("renamed", "new")
    assert "another resource of this stack has it now" in told
    # What the engine says of a provider that it had to kill; here are two.
    assert "prematurely" not in told
    assert list(simulator.members(backup)) == [dest]


@pytest.fixture
def waiting_up(project: Path, engine_env: dict[str, str], simulator: Simulator) -> Iterator[subprocess.Popen[str]]:
    """An `up` that has made the first share, and waits to try the second again."""
    one, two = (entry.id for entry in simulator.backups[:2])
    (project / "__main__.py").write_text(
        "import pulumi\nimport pulumi_cbr.native as cbr\n"
        f'first = cbr.BackupShareMember("first", "{one}", "{simulator.projects[0]}")\n'
        f'cbr.BackupShareMember("second", "{two}", "{simulator.projects[0]}",\n'
        "    opts=pulumi.ResourceOptions(depends_on=[first]))\n"
    )
    simulator.faults.add(Fault("throttle", "POST", f"{two}/members$", retry_after=50))
    met = threading.Event()
    take = simulator.faults.take

    def told(method: str, path: str) -> Any:
        fault = take(method, path)
        if fault:
            met.set()
        return fault

    simulator.faults.take = told  # type: ignore[method-assign]
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"],
        cwd=project,
        env={**os.environ, **without_forks(engine_env), **simulator.env()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        assert met.wait(PATIENCE)
        yield up


def test_interrupted_while_it_waits(
    project: Path, waiting_up: subprocess.Popen[str], run: Callable[..., str], simulator: Simulator
) -> None:
    """Ctrl-C ends a wait of half a minute at once; what was made is in the state, and the next run makes the rest."""
    one, two = (entry.id for entry in simulator.backups[:2])
    waiting_up.send_signal(signal.SIGINT)
    output, _ = waiting_up.communicate(timeout=PATIENCE)
    assert waiting_up.returncode != 0
    assert "cancelled while waiting to try again. Run again to finish" in output
    assert [entry["id"].partition("/")[0] for entry in resources(project.parent) if "::first" in entry["urn"]] == [one]

    run("up", "--yes", "--skip-preview")
    assert simulator.count("POST", f"{one}/members$") == 1
    assert len(simulator.members(two)) == 1


def test_killed_while_it_waits(waiting_up: subprocess.Popen[str], tmp_path: Path) -> None:
    """Nothing of a killed engine runs on: neither the provider, nor the program and its host."""
    assert len(running_with(str(tmp_path))) > 2
    waiting_up.kill()
    waiting_up.communicate()
    wait_until(lambda: running_with(str(tmp_path)) == [])


def running_with(folder: str) -> list[str]:
    """Return the processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"PULUMI_BACKEND_URL=file://{folder}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


#: Keep whatever a resource stands for when it leaves the program.
KEEP = """
pulumi.runtime.register_stack_transformation(
    lambda args: pulumi.ResourceTransformationResult(
        args.props, pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(retain_on_delete=True))
    )
)
"""


def test_moving_between_the_flavors(project: Path, run: Callable[..., str], simulator: Simulator) -> None:
    """The steps of docs/how-to/move-between-flavors.md, there and back: the shares are never touched."""
    one, two = (entry.id for entry in simulator.backups[:2])
    dest = simulator.projects[:3]

    def program(
        flavor: str, *, keep: bool = False, importing: bool = False, adopting: bool = False, lines: str = ""
    ) -> None:
        def opts(id_: str) -> str:
            return f', opts=pulumi.ResourceOptions(import_="{id_}")' if importing else ""

        adopt = ", adopt_existing=True" if adopting else ""
        (project / "__main__.py").write_text(
            f"import pulumi\nimport {flavor} as cbr\n{KEEP if keep else lines}\n"
            f'cbr.BackupShareMember("dr", "{one}", "{dest[0]}"{adopt}{opts(f"{one}/{dest[0]}")})\n'
            f'cbr.BackupShare("set", "{two}", {dest}{adopt}{opts(two)})\n'
        )

    def flavors() -> set[str]:
        kinds = {entry["type"].rpartition(":")[0] for entry in resources(project.parent)}
        return {kind for kind in kinds if "providers" not in kind}

    def declared_in() -> set[str]:
        """Return the files in which the program declares its resources, by the state."""
        entries = [entry for entry in resources(project.parent) if "providers" not in entry["type"]]
        # What called the program is not there.
        assert all(len(entry["stackTrace"]) < 5 for entry in entries)
        return {entry.get("sourcePosition", "").partition("#")[0] for entry in entries}

    program("pulumi_cbr")
    run("up", "--yes", "--skip-preview")
    assert declared_in() == {"project:///__main__.py"}
    shares = {backup: dict(simulator.members(backup)) for backup in (one, two)}
    simulator.clear_calls()

    program("pulumi_cbr", keep=True)
    run("up", "--yes", "--skip-preview")
    program("pulumi_cbr.native", importing=True)
    run("up", "--yes", "--skip-preview")
    assert flavors() == {"cbr:index"}
    assert declared_in() == {"project:///__main__.py"}
    program("pulumi_cbr.native")
    run("preview", "--diff", "--expect-no-changes")
    assert writes(simulator) == []

    program("pulumi_cbr.native", keep=True)
    run("up", "--yes", "--skip-preview")
    program("pulumi_cbr", adopting=True)
    run("up", "--yes", "--skip-preview")
    assert flavors() == {"pulumi-python:dynamic/cbr"}
    # Both find out by a refused POST that the shares are there.
    changes = [
        (call.method, call.status) for call in simulator.calls if call.method != "GET" and "auth" not in call.path
    ]
    assert changes == [("POST", 400), ("POST", 400)]
    program("pulumi_cbr")
    run("up", "--yes", "--skip-preview")

    # In one step: the state then has the names of this flavor, and the program its outputs.
    simulator.clear_calls()
    aliases = """
def alias(args):
    kind = pulumi.Alias(type_=args.type_.replace("cbr:index:", "pulumi-python:dynamic/cbr:"))
    return pulumi.ResourceTransformationResult(
        args.props, pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(aliases=[kind]))
    )
pulumi.runtime.register_stack_transformation(alias)
"""
    program("pulumi_cbr.native", lines=aliases)
    assert "2 to update" in run("preview")
    run("up", "--yes", "--skip-preview")
    assert flavors() == {"cbr:index"}
    assert {"shareId", "members"} == {
        name for entry in resources(project.parent) for name in ("shareId", "members") if name in entry["outputs"]
    }
    program("pulumi_cbr.native")
    run("preview", "--diff", "--expect-no-changes")
    assert writes(simulator) == []
    assert {backup: dict(simulator.members(backup)) for backup in (one, two)} == shares
