"""The examples of the first-class provider, on the real engine, as their READMEs say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli

SCRIPT = str(Path(sys.executable).parent / "pulumi-resource-cbr")


class Example:
    """A copy of an example with a stack, so that nothing is written into the repository."""

    def __init__(self, name: str, folder: Path, cli: Cli, env: dict[str, str]) -> None:
        self.folder = folder / name
        shutil.copytree(
            ROOT / "examples" / name, self.folder, ignore=shutil.ignore_patterns("node_modules", "sdks", "bin")
        )
        self._cli, self._env = cli, env
        self.run("stack", "init", "test")

    def run(self, *arguments: str) -> str:
        finished = self._cli(self.folder, *arguments, env=self._env)
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def configure(self, **settings: Any) -> None:
        """Write settings as `pulumi config set` does: `owner__projectId` is `owner:projectId`."""
        project = (self.folder / "Pulumi.yaml").read_text().split()[1]
        lines = [
            f"  {name.replace('__', ':') if '__' in name else f'{project}:{name}'}: {json.dumps(value)}\n"
            for name, value in settings.items()
        ]
        with (self.folder / "Pulumi.test.yaml").open("a") as config:
            config.writelines(["config:\n", *lines])

    def outputs(self) -> Any:
        return json.loads(self.run("stack", "output", "--json").partition("warning:")[0])


def test_python(tmp_path: Path, cli: Cli, simulator: Simulator) -> None:
    example = Example("native_python", tmp_path, cli, {})
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
    example.run("preview", "--diff", "--expect-no-changes")
    assert simulator.owner.password not in example.run("stack", "export")
    example.run("destroy", "--yes", "--skip-preview")
    assert simulator.members(backup) == {}


def test_yaml(tmp_path: Path, cli: Cli, simulator: Simulator) -> None:
    example = Example("native_yaml", tmp_path, cli, simulator.env())
    backup = simulator.backups[0].id
    simulator.share(backup, simulator.projects[5])
    example.configure(backupId=backup, destProjectIds=simulator.projects[:2])

    example.run("up", "--yes", "--skip-preview")
    outputs = example.outputs()
    assert sorted(outputs["own"]) == sorted(simulator.projects[:2])
    everybody = {entry["destProjectId"] for entry in outputs["everybody"]}
    assert everybody == {*simulator.projects[:2], simulator.projects[5]}
    example.run("destroy", "--yes", "--skip-preview")
    assert list(simulator.members(backup)) == [simulator.projects[5]]


def test_yaml_with_a_provider_of_its_own(tmp_path: Path, cli: Cli, simulator: Simulator) -> None:
    """Values of every type, and a password that nobody said to be a secret."""
    env = simulator.env()
    example = Example("native_yaml", tmp_path, cli, {})
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
    assert env["OS_PASSWORD"] not in example.run("stack", "export")
    example.run("preview", "--diff", "--expect-no-changes")


def test_typescript(tmp_path: Path, cli: Cli, simulator: Simulator) -> None:
    npm = shutil.which("npm")
    assert npm, "no npm on PATH: install Node.js 20 or newer to run this example's test"
    example = Example("native_typescript", tmp_path, cli, simulator.env())
    # What `pulumi package add` does, less the line of package.json that the example has.
    example.run("package", "gen-sdk", SCRIPT, "--language", "nodejs", "--local", "--out", "sdks")
    (example.folder / "sdks" / "nodejs").rename(example.folder / "sdks" / "cbr")
    quietly = ["--no-audit", "--no-fund", "--prefer-offline", "--no-package-lock"]
    installed = subprocess.run(
        [npm, "install", *quietly], cwd=example.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    backup = simulator.backups[0].id
    example.configure(backupId=backup, destProjectIds=simulator.projects[:2])

    example.run("up", "--yes", "--skip-preview")
    outputs = example.outputs()
    assert sorted(outputs["statuses"]) == sorted(f"{project}: pending" for project in simulator.projects[:2])
    assert outputs["newestBackup"] in {entry.name for entry in simulator.backups}
    example.run("preview", "--diff", "--expect-no-changes")
    example.run("destroy", "--yes", "--skip-preview")
    assert simulator.members(backup) == {}
