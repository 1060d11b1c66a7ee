"""The modules that a start loads: requests and keystoneauth1 only with the first call."""

from __future__ import annotations

import subprocess
import sys

import pytest

from protocol.plugin import FLAVORS, Plugin, Properties
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


def test_import_adds_few_modules_to_pulumi() -> None:
    code = "import sys, pulumi; before = set(sys.modules); import pulumi_cbr; print(*set(sys.modules) - before)"
    loaded = _printed(code)
    assert {module.partition(".")[0] for module in loaded} == {"pulumi_cbr", "html", "unicodedata"}


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
        with Plugin(flavor, {**simulator.env(), "PYTHONPROFILEIMPORTTIME": "1"}, config) as plugin:
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
        assert "pulumi_cbr.backup_share_member" in loaded
        assert ({"requests", "keystoneauth1"} <= loaded) is calling
        assert bool(HEAVY & loaded) is calling
        assert bool(simulator.calls) is calling


@pytest.mark.parametrize("module", ["pulumi_cbr", "pulumi_cbr.native"])
def test_program_loads_no_http_client(module: str) -> None:
    code = f"""
import sys, pulumi, {module} as cbr
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
