"""A stack whose program a test rewrites between runs of the CLI.

Inline programs of the automation API leave event loops open where a run fails: what must fail is run so.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .conftest import Cli, InitStack
from .shortcuts import configure, deployment_of, outputs_of


@dataclass
class WrittenStack:
    """A project with one stack, in a folder of its own."""

    folder: Path
    backend: Path
    cli: Cli
    init_stack: InitStack
    env: Mapping[str, str]
    module: str = "pulumi_cbr"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "Pulumi.yaml").write_text("name: written\nruntime: python\n")
        self.program("")
        self.init_stack(self.folder)

    def program(self, text: str) -> None:
        """Write the program, with `pulumi` and `cbr` imported."""
        (self.folder / "__main__.py").write_text(f"import pulumi\nimport {self.module} as cbr\n\n{text}")

    def configure(self, **settings: str) -> None:
        """Configure `cbr:<name>`, and nothing else."""
        file = self.folder / "Pulumi.test.yaml"
        before = yaml.safe_load(file.read_text()).get("config", {})
        configure(self.folder, {**dict.fromkeys(before), **{f"cbr:{name}": value for name, value in settings.items()}})

    def run(self, *arguments: str) -> str:
        """Run what must go well; give what it told."""
        result = self._ran(*arguments)
        assert result.returncode == 0, result.stdout
        assert "Traceback" not in result.stdout, result.stdout
        return result.stdout

    def fails(self, *arguments: str) -> str:
        """Run what must fail, and return its only error."""
        result = self._ran(*arguments)
        assert result.returncode != 0, result.stdout
        # A failed check interrupts the program, and the language host prints its own KeyboardInterrupt.
        assert "Traceback" not in result.stdout or "KeyboardInterrupt" in result.stdout, result.stdout
        diagnostics = result.stdout.partition("Diagnostics:")[2]
        errors = re.findall(r"^ +error: (.*(?:cbr: |has a problem: ).*)$", diagnostics, re.MULTILINE)
        assert len(errors) == 1, result.stdout
        return str(errors[0])

    def up(self, *arguments: str) -> str:
        return self.run("up", "--yes", "--skip-preview", *arguments)

    def up_fails(self) -> str:
        return self.fails("up", "--yes", "--skip-preview")

    def refresh(self) -> str:
        return self.run("refresh", "--yes", "--skip-preview")

    def unchanged(self, *arguments: str) -> str:
        """Run a preview that must find nothing to do."""
        return self.run("preview", "--expect-no-changes", *arguments)

    def destroy(self) -> str:
        return self.run("destroy", "--yes", "--skip-preview")

    def state(self) -> dict[str, Any]:
        """Return the outputs of our resources, by their names."""
        resources = deployment_of(self.backend).get("resources", [])
        return {
            entry["urn"].rpartition("::")[2]: {k: v for k, v in entry.get("outputs", {}).items() if k != "__provider"}
            for entry in resources
            if "cbr:" in entry["type"]
        }

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the program."""
        return outputs_of(self.backend)

    def _ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.cli(self.folder, *arguments, env=self.env)
