"""The modules that a start loads: requests and keystoneauth1 only with the first call."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol.plugin import FLAVORS, FreshPlugin, Properties
from pulumi_cbr.simulator import Simulator

HEAVY = {"requests", "urllib3", "keystoneauth1", "openstack", "flask"}


def _printed(code: str) -> list[str]:
    """Return the words that a program prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


@pytest.mark.parametrize("module", ["pulumi_cbr", "pulumi_cbr.api", "pulumi_cbr.native"])
def test_import_loads_no_http_client(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = _printed(code)
    assert module in loaded
    assert not HEAVY.intersection(loaded)


@pytest.mark.parametrize("package", ["pulumi_cbr", "pulumi_cbr.api", "pulumi_cbr.native"])
def test_names_are_those_that_type_checkers_see(package: str) -> None:
    """Each name of `__all__` is imported on use, from where the imports for type checkers have it."""
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    sources = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    star: dict[str, Any] = {}
    exec(f"from {package} import *", star)
    for name in module.__all__:
        value = getattr(importlib.import_module(sources[name]), name)
        assert getattr(module, name) is value
        assert star[name] is value
    assert set(module.__all__) <= set(dir(module))
    assert not hasattr(module, "no_such_name")


def test_names_are_safe_for_threads() -> None:
    code = """
import threading, pulumi_cbr
names, start, found = [*pulumi_cbr.__all__], threading.Barrier(8), []
def use():
    start.wait()
    found.append([getattr(pulumi_cbr, name) for name in names])
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), all(one == found[0] for one in found))
"""
    assert _printed(code) == ["8", "True"]


#: What only the plugin's process needs, or only a program that looks things up.
CALLS = {
    *("pulumi_cbr.api.settings", "pulumi_cbr.api.precedence", "pulumi_cbr.api.models", "pulumi_cbr.api.retry"),
    *("pulumi_cbr.lifecycle.session", "pulumi_cbr.lifecycle.shares", "pulumi_cbr.lifecycle.ownership"),
    *("pulumi_cbr.lookups", "pulumi_cbr.components", "importlib.metadata", "html"),
}


@pytest.mark.parametrize("module", ["pulumi_cbr", "pulumi_cbr.native", "pulumi_cbr_native"])
def test_program_that_declares_loads_resources_alone(module: str) -> None:
    """A program's import has no controller, no client and no look-up, and nothing that `pulumi` has not loaded already."""
    code = f"""
import sys, pulumi
before = set(sys.modules)
from {module} import BackupShareMember, BackupShare, BackupShareAccepter
print(*set(sys.modules) - before)
"""
    loaded = set(_printed(code))
    assert not CALLS & loaded
    assert {name.partition(".")[0] for name in loaded} <= {"pulumi_cbr", "pulumi_cbr_native", "unicodedata"}
    assert len(loaded) <= 23


def test_native_plugin_starts_without_the_sdk() -> None:
    """The plugin needs the SDK's messages alone, and components start a process of their own for the rest."""
    loaded = set(_printed("import sys, pulumi_cbr.native.server; print(*sys.modules)"))
    assert not {name for name in loaded if name == "pulumi" or name.startswith("pulumi.")}
    assert "pulumi_cbr.native.protocol.provider_pb2" in loaded
    assert not {"html", "importlib.metadata", "difflib", "pulumi_cbr.backup_share", "pulumi_cbr.lookups"} & loaded


@pytest.mark.parametrize("first", ["pulumi", "pulumi_cbr.native.protocol"])
def test_messages_of_the_protocol_are_the_sdks(first: str) -> None:
    """A process with both has one class for each message, whichever was imported first."""
    code = f"""
import {first}
from pulumi_cbr.native.protocol import provider_pb2 as ours
from pulumi.runtime.proto import provider_pb2 as theirs
print(ours.CheckRequest is theirs.CheckRequest, (ours is theirs) == ({first!r} == "pulumi"))
"""
    assert _printed(code) == ["True", "True"]


def _loaded(said: str) -> set[str]:
    """Return the modules that a process has loaded, from its import times on standard error."""
    return {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
@pytest.mark.parametrize(
    ("calling", "config"),
    [(False, {}), (False, {"preflight": "true", "cloud": "an-entry-of-clouds.yaml"}), (True, {})],
    ids=["preview", "preview that asks", "create"],
)
def test_plugin_loads_http_client_with_first_call(flavor: str, calling: bool, config: dict[str, str]) -> None:
    with Simulator() as simulator:
        backup, projects = simulator.backups[0].id, simulator.projects[:2]
        kinds: dict[str, tuple[str, Properties]] = {
            "BackupShareMember": (f"{backup}/{projects[0]}", {"dest_project_id": projects[0]}),
            "BackupShare": (backup, {"dest_project_ids": projects}),
            "BackupShareAccepter": (f"{backup}/{projects[0]}", {"vault_id": simulator.vaults[0].id}),
        }
        with FreshPlugin(flavor, {**simulator.env(), "PYTHONPROFILEIMPORTTIME": "1"}, config) as plugin:
            for kind, (id_, own) in kinds.items():
                inputs = {"backup_id": backup, **own}
                # What is new is looked at by a preview that asks, and what is there already is not.
                checked, failures = plugin.check(kind, inputs, inputs if config else None)
                assert not failures
                assert not plugin.diff(kind, id_, {**checked, "status": "accepted"}, checked).changes
            if not config:
                id_, own = kinds["BackupShareMember"]
                inputs = {"backup_id": backup, **own}
                plugin.update("BackupShareMember", id_, inputs, {**inputs, "reshare_if_rejected": True})
            if calling:
                plugin.create("BackupShareMember", {"backup_id": backup, "dest_project_id": projects[0]})
        loaded = _loaded(plugin.said())
        assert "pulumi_cbr.lifecycle.backup_share_member" in loaded
        assert ({"requests", "keystoneauth1"} <= loaded) is calling
        assert bool(HEAVY & loaded) is calling
        assert bool(simulator.calls) is calling


@pytest.mark.parametrize("module", ["pulumi_cbr", "pulumi_cbr.native"])
def test_program_loads_no_http_client(module: str) -> None:
    code = f"""
import asyncio, sys, pulumi, {module} as cbr
asyncio.set_event_loop(asyncio.new_event_loop())
class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return "id", args.inputs
    def call(self, args):
        return {{}}
pulumi.runtime.set_mocks(Mocks())
backup, project, vault = "0ddb0e92-50b2-49d4-bd57-35b378502536", "e991c88fb754e3862d3e981533f29aec", "0" * 36
cbr.BackupShareMember("a", backup, project)
cbr.BackupShare("b", backup, [project])
cbr.BackupShareAccepter("c", backup, vault)
print(*sys.modules)
"""
    loaded = _printed(code)
    assert module in loaded
    assert not HEAVY.intersection(loaded)
