"""Shortcuts around what the engine does again for every test, and which tells a test nothing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from protocol.plugin import plugin_python

#: Before each program the language host asks for the version and lists the packages, for a CPU second: here, once for all.
PYTHON = """#!/bin/sh
case "$*" in
    --version) echo 'Python {version}'; exit ;;
    '-m pip list -v --format json')
        [ -e '{packages}' ] || {{ '{python}' "$@" >'{packages}'.$$ && mv '{packages}'.$$ '{packages}'; }}
        exec cat '{packages}' ;;
    -c*) exec '{python}' "$@" ;;
esac
exec {forked} "$@"
"""

#: Runs the tests of an example without the plugins of others, which take two seconds to import.
PYTEST = (
    "-m",
    "pytest",
    "-q",
    "-pno:anyio",
    "-pno:hypothesispytest",
    "-pno:pytest_cov",
    "-pno:schemathesis",
    "-pno:xdist",
)

#: The project and the stack that the CLI has made, whose files are copied.
TEMPLATE = "template"


def write_python(folder: Path, shared: Path | None = None) -> Path:
    """Write a command that forks this Python; `shared` keeps what `pip list` prints."""
    return _write_command(
        folder / "python",
        PYTHON.format(
            version=platform.python_version(),
            python=sys.executable,
            packages=(shared or folder) / "packages.json",
            forked=shlex.join(plugin_python("dynamic")),
        ),
    )


def write_plugin(folder: Path) -> Path:
    """Write the first-class plugin's command, started as a fork."""
    script = Path(sys.executable).with_name("pulumi-resource-cbr")
    return _write_command(
        folder / script.name, f'#!/bin/sh\nexec {shlex.join([*plugin_python("native"), str(script)])} "$@"\n'
    )


def without_forks(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which the engine starts this Python itself, and is its parent."""
    _, _, path = env["PATH"].partition(os.pathsep)
    return {**env, "PATH": path, "PULUMI_PYTHON_CMD": sys.executable}


def _write_command(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


@dataclass(frozen=True)
class EmptyStack:
    """The files that `pulumi stack init` has written."""

    meta: str
    state: str
    settings: str

    @classmethod
    def read(cls, backend: Path, folder: Path) -> EmptyStack:
        """Return what the CLI has written into a backend, and into the folder of a project."""
        state = backend / ".pulumi" / "stacks" / TEMPLATE / f"{TEMPLATE}.json"
        meta, settings = backend / ".pulumi" / "meta.yaml", folder / f"Pulumi.{TEMPLATE}.yaml"
        return cls(meta.read_text(), state.read_text(), settings.read_text())

    def write(self, folder: Path, stack: str, env: Mapping[str, str]) -> None:
        """Write the same for another project, and select the stack."""
        manifest = folder.resolve() / "Pulumi.yaml"
        project = yaml.safe_load(manifest.read_text())["name"]
        name = f"organization/{project}/{stack}"
        data = backend_of(env) / ".pulumi"
        stacks = data / "stacks" / project
        stacks.mkdir(parents=True, exist_ok=True)
        (data / "meta.yaml").write_text(self.meta)
        (stacks / f"{stack}.json").write_text(self.state.replace(f"organization/{TEMPLATE}/{TEMPLATE}", name))
        settings = folder / f"Pulumi.{stack}.yaml"
        settings.write_text(self.settings + (settings.read_text() if settings.exists() else ""))
        workspaces = Path(env["PULUMI_HOME"]) / "workspaces"
        workspaces.mkdir(exist_ok=True)
        number = hashlib.sha1(str(manifest).encode()).hexdigest()
        (workspaces / f"{project}-{number}-workspace.json").write_text(json.dumps({"stack": name}))


def backend_of(env: Mapping[str, str]) -> Path:
    """Return the folder of the backend."""
    return Path(env["PULUMI_BACKEND_URL"].removeprefix("file://"))


def deployment_of(backend: Path, stack: str = "test") -> dict[str, Any]:
    """Return a stack's state in a backend, as `pulumi stack export` shows it."""
    (file,) = backend.glob(f".pulumi/stacks/*/{stack}.json")
    found: dict[str, Any] = json.loads(file.read_text())["checkpoint"]["latest"]
    return found


def outputs_of(backend: Path) -> dict[str, Any]:
    """Return the outputs of the stack in a backend, as they are in its state."""
    resources = deployment_of(backend).get("resources", [])
    found = [entry.get("outputs", {}) for entry in resources if entry["type"] == "pulumi:pulumi:Stack"]
    return dict(found[0]) if found else {}


def configure(folder: Path, settings: Mapping[str, Any], stack: str = "test") -> None:
    """Set keys as `pulumi config set` does; remove those whose value is None."""
    file = folder / f"Pulumi.{stack}.yaml"
    written = yaml.safe_load(file.read_text()) or {}
    config = {**written.get("config", {}), **settings}
    written["config"] = {key: value for key, value in config.items() if value is not None}
    file.write_text(yaml.safe_dump(written))


class QuickStack(auto.Stack):
    """A stack that reads the backend's files instead of running the CLI after each operation."""

    def __init__(self, name: str, workspace: auto.Workspace, backend: Path) -> None:
        # Not the base class's: it has the CLI select the stack.
        self.name, self.workspace, self.backend = name, workspace, backend

    def outputs(self) -> auto.OutputMap:
        """Return the outputs; of a secret one, the value is in its encrypted form."""
        outputs = outputs_of(self.backend)
        return {
            key: auto.OutputValue(value, isinstance(value, dict) and "ciphertext" in value)
            for key, value in outputs.items()
        }

    def info(self, show_secrets: bool = True) -> auto.UpdateSummary:
        """Return the last entry of the history."""
        file = max(self.backend.glob(".pulumi/history/*/*/*.history.json"), key=lambda path: path.name)
        entry = json.loads(file.read_text())
        return auto.UpdateSummary(
            kind=entry["kind"],
            start_time=datetime.fromtimestamp(entry["startTime"], timezone.utc),
            message=entry["message"],
            environment=entry["environment"],
            config={},
            result=entry["result"],
            resource_changes=entry.get("resourceChanges"),
        )

    def deployment(self) -> dict[str, Any]:
        """Return the state."""
        return deployment_of(self.backend)
