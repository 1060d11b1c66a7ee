"""A copy of an example of the first-class provider, with a stack of its own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from documents import code_blocks
from pulumi_cbr.simulator import Simulator

from .conftest import ROOT, Cli, InitStack
from .shortcuts import deployment_of, outputs_of

SCRIPT = str(Path(sys.executable).parent / "pulumi-resource-cbr")


def schema_programs(language: str) -> dict[str, str]:
    """Return the programs of the schema, by the names of their resources and functions."""
    pages = sorted((ROOT / "tools/schema/docs").glob("*.md"))
    return {page.stem: text for page in pages for text in code_blocks(page.read_text(), language)}


class Example:
    """A copy of an example with a stack, so that nothing is written into the repository."""

    def __init__(self, name: str, folder: Path, cli: Cli, init_stack: InitStack, env: Mapping[str, str]) -> None:
        self.folder = folder / name
        shutil.copytree(
            ROOT / "examples" / name, self.folder, ignore=shutil.ignore_patterns("node_modules", "sdks", "bin")
        )
        self._cli, self._env, self._backend = cli, env, folder / "backend"
        init_stack(self.folder)

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

    def outputs(self) -> dict[str, Any]:
        return outputs_of(self._backend)

    def deployment(self) -> dict[str, Any]:
        """Return the state."""
        return deployment_of(self._backend)

    def configure_both_sides(self, simulator: Simulator, **settings: Any) -> None:
        """Write the configuration of the programs that share, accept and look up."""
        share, set_, shown = (entry.id for entry in simulator.backups[:3])
        simulator.share(shown, simulator.projects[1])
        receiver = simulator.state.account("receiver")
        self.configure(
            authUrl=f"{simulator.url}/v3",
            region="eu-de",
            receiverProjectId=receiver.project_id,
            receiverUsername=receiver.username,
            receiverPassword=receiver.password,
            receiverDomain=receiver.domain_name,
            backupId=share,
            setBackupId=set_,
            backupVaultId=simulator.backups[-1].vault_id,
            vaultId=simulator.vaults[0].id,
            destProjectIds=simulator.projects[1:3],
            knownShareId=f"{shown}/{simulator.projects[1]}",
            **settings,
        )

    def run_both_sides(self, simulator: Simulator, **more: Any) -> None:
        """Run such a program from `up` to `destroy`, and check what it does."""
        share, set_, shown = (entry.id for entry in simulator.backups[:3])
        self.run("up", "--yes", "--skip-preview")
        outputs = self.outputs()
        assert outputs == {"status": "accepted", "known": "pending", "shared": 2, **more}, outputs
        assert simulator.state.account("receiver").password not in json.dumps(self.deployment())
        self.run("destroy", "--yes", "--skip-preview")
        assert simulator.members(share) == simulator.members(set_) == {}
        assert len(simulator.members(shown)) == 1
