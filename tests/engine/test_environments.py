"""A virtual environment that is not active: what docs/how-to/environments.md has for Pulumi.yaml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from pulumi_cbr.simulator import Simulator

from .conftest import Cli, InitStack


def test_both_flavors_without_an_active_environment(
    engine: Path, cli: Cli, init_stack: InitStack, simulator: Simulator, tmp_path: Path
) -> None:
    """The engine hands `virtualenv` to the plugin of dynamic resources, and takes the provider from the path.

    With a program in a subfolder, the plugin of dynamic resources needs an absolute `virtualenv`.
    """
    folder, ids = tmp_path / "project", [backup.id for backup in simulator.backups[:2]]
    folder.mkdir()
    (folder / "venv").symlink_to(sys.prefix)
    plugins = {"providers": [{"name": "cbr", "path": "venv/bin"}]}

    def configure(virtualenv: str, **options: str) -> None:
        runtime = {"name": "python", "options": {"virtualenv": virtualenv}}
        project = {"name": "project", "runtime": runtime, "plugins": plugins, **options}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))

    configure("venv")
    program = folder / "__main__.py"
    program.write_text(
        "import pulumi_cbr\nimport pulumi_cbr.native\n"
        f"for module, backup in zip((pulumi_cbr, pulumi_cbr.native), {ids!r}):\n"
        f"    module.BackupShareMember('dr' + module.__name__, backup, {simulator.projects[0]!r})\n"
    )
    init_stack(folder)
    inactive = [entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry) != Path(sys.prefix, "bin")]
    path = os.pathsep.join([str(engine), *inactive])
    env = {**simulator.env(), "PATH": path}
    told = cli(folder, "up", "--yes", "--skip-preview", env=env)
    assert told.returncode == 0, told.stdout
    assert "from $PATH" not in told.stdout
    assert all(simulator.members(backup) for backup in ids)

    (folder / "sub").mkdir()
    program.rename(folder / "sub" / "__main__.py")
    configure("venv", main="sub")
    assert "could not read plugin" in cli(folder, "preview", env=env).stdout
    configure(str(folder / "venv"), main="sub")
    told = cli(folder, "preview", "--expect-no-changes", env=env)
    assert told.returncode == 0, told.stdout
