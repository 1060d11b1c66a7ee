"""What is loaded, and when: requests and keystoneauth1 are for calls, and most starts make none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from protocol.plugin import FLAVOURS, Plugin
from pulumi_cbr.simulator import Simulator

HEAVY = {"requests", "urllib3", "keystoneauth1", "openstack", "flask"}

MEMBER = "BackupShareMember"


@pytest.mark.parametrize("module", ["pulumi_cbr", "pulumi_cbr.api", "pulumi_cbr.native"])
def test_import_loads_nothing_that_calls(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert module in loaded.split()
    assert not HEAVY.intersection(loaded.split())


def _loaded(said: str) -> set[str]:
    """Give the modules that a process started with PYTHONPROFILEIMPORTTIME has loaded, from its standard error."""
    return {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("flavour", sorted(FLAVOURS))
@pytest.mark.parametrize("calling", [False, True], ids=["check and diff", "create"])
def test_plugin_loads_what_calls_at_its_first_call(flavour: str, calling: bool) -> None:
    with Simulator() as simulator:
        environment = {**simulator.env(), "PYTHONPROFILEIMPORTTIME": "1"}
        inputs = {"backup_id": simulator.backups[0].id, "dest_project_id": simulator.projects[0]}
        with Plugin(flavour, environment) as plugin:
            checked, failures = plugin.check(MEMBER, inputs)
            assert not failures
            assert not plugin.diff(MEMBER, "/".join(inputs.values()), checked, checked).changes
            if calling:
                plugin.create(MEMBER, checked)
        loaded = _loaded(plugin.said())
        assert "pulumi_cbr.backup_share_member" in loaded
        assert ({"requests", "keystoneauth1"} <= loaded) is calling
        assert bool(HEAVY & loaded) is calling
        assert bool(simulator.calls) is calling
