"""The examples of the first-class provider, on the real engine, as their READMEs say."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack
from .native_example import SCRIPT, Example, schema_programs


def test_python(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    example = Example("native_python", tmp_path, cli, init_stack, {})
    backup, vault = simulator.backups[0].id, simulator.vaults[0].id
    roles: dict[str, Any] = {}
    for role in "owner", "receiver":
        account = simulator.state.account(role)
        roles[f"{role}__projectId"] = account.project_id
        roles[f"{role}__username"] = account.username
        roles[f"{role}__password"] = account.password
        roles[f"{role}__userDomainName"] = account.domain_name
    example.configure(authUrl=f"{simulator.url}/v3", region="eu-de", backupId=backup, vaultId=vault, **roles)

    example.run("up", "--yes", "--skip-preview")
    (member,) = simulator.members(backup).values()
    assert example.outputs() == {"share_id": member.id, "status": "accepted"}
    assert simulator.owner.password not in json.dumps(example.deployment())
    example.run("destroy", "--yes", "--skip-preview")
    assert simulator.members(backup) == {}


def test_yaml(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    example = Example("native_yaml", tmp_path, cli, init_stack, simulator.env())
    backup = simulator.backups[0].id
    simulator.share(backup, simulator.projects[5])
    example.configure(backupId=backup, destProjectIds=simulator.projects[:2])

    example.run("up", "--yes", "--skip-preview")
    outputs = example.outputs()
    assert sorted(outputs["own"]) == sorted(simulator.projects[:2])
    everybody = {entry["destProjectId"] for entry in outputs["everybody"]}
    assert everybody == {*simulator.projects[:2], simulator.projects[5]}


def test_yaml_with_a_provider_of_its_own(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    """Values of every type, and a password that nobody said to be a secret."""
    env = simulator.env()
    example = Example("native_yaml", tmp_path, cli, init_stack, {})
    settings = {
        "authUrl": env["OS_AUTH_URL"],
        "username": env["OS_USERNAME"],
        "password": env["OS_PASSWORD"],
        "userDomainName": env["OS_USER_DOMAIN_NAME"],
        "projectId": env["OS_PROJECT_ID"],
        "region": env["OS_REGION_NAME"],
        "timeout": 30.5,
        "maxRetries": 2,
        "preflight": True,
    }
    share = {
        "type": "cbr:BackupShareMember",
        "properties": {"backupId": simulator.backups[0].id, "destProjectId": simulator.projects[0]},
        "options": {"provider": "${owner}"},
    }
    program = {
        "name": "cbr-native-yaml",
        "runtime": "yaml",
        "resources": {"owner": {"type": "pulumi:providers:cbr", "properties": settings}, "dr": share},
    }
    (example.folder / "Pulumi.yaml").write_text(json.dumps(program))
    example.run("up", "--yes", "--skip-preview")
    assert len(simulator.members(simulator.backups[0].id)) == 1
    assert env["OS_PASSWORD"] not in json.dumps(example.deployment())
    example.run("preview", "--diff", "--expect-no-changes")


def test_typescript(tmp_path: Path, cli: Cli, init_stack: InitStack, simulator: Simulator) -> None:
    npm = shutil.which("npm")
    assert npm, "no npm on PATH: install Node.js 20 or newer to run this example's test"
    # Each run would check the types of all packages: below, they are checked once.
    env = {**simulator.env(), "PULUMI_NODEJS_TRANSPILE_ONLY": "true"}
    example = Example("native_typescript", tmp_path, cli, init_stack, env)
    # What `pulumi package add` does, less the line of package.json that the example has.
    example.run("package", "gen-sdk", SCRIPT, "--language", "nodejs", "--local", "--out", "sdks")
    (example.folder / "sdks" / "nodejs").rename(example.folder / "sdks" / "cbr")
    quietly = ["--no-audit", "--no-fund", "--prefer-offline", "--no-package-lock"]
    installed = subprocess.run(
        [npm, "install", *quietly], cwd=example.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    example.configure_both_sides(simulator)
    example.run_both_sides(simulator, rolling=[simulator.backups[-1].id])

    quickstart = Example("quickstart_typescript", tmp_path, cli, init_stack, env)
    for name in ("node_modules", "sdks"):
        (quickstart.folder / name).symlink_to(example.folder / name)
    quickstart.run("up", "--yes", "--skip-preview")
    (member,) = simulator.members(simulator.backups[0].id).values()
    outputs = json.loads(quickstart.run("stack", "output", "--json"))
    assert outputs == {"shareId": member.id, "status": "pending"}

    programs = schema_programs("typescript")
    programs["quickstart"] = (quickstart.folder / "index.ts").read_text()
    for name, text in programs.items():
        (example.folder / f"{name}.ts").write_text(text)
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2020", "--module", "commonjs"]
    compiled = subprocess.run(
        ["node_modules/.bin/tsc", *options, "index.ts", *(f"{name}.ts" for name in programs)],
        cwd=example.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (compiled.returncode, compiled.stdout) == (0, "")
