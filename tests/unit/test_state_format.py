"""The providers' pickled text in the state of every stack. It is a file format."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from protocol.plugin import PROVIDERS, FreshPlugin
from pulumi_cbr.simulator import Simulator

PINNED = {
    "BackupShareMember": (
        "gASVQwAAAAAAAACMHnB1bHVtaV9jYnIuYmFja3VwX3NoYXJlX21lbWJlcpSMGUJhY2t1cFNoYXJlTWVtYmVyUHJvdmlkZXKUk5QpgZQu"
    ),
    "BackupShare": "gASVNgAAAAAAAACMF3B1bHVtaV9jYnIuYmFja3VwX3NoYXJllIwTQmFja3VwU2hhcmVQcm92aWRlcpSTlCmBlC4=",
    "BackupShareAccepter": (
        "gASVRwAAAAAAAACMIHB1bHVtaV9jYnIuYmFja3VwX3NoYXJlX2FjY2VwdGVylIwbQmFja3VwU2hhcmVBY2NlcHRlclByb3ZpZGVylJOUKYGULg=="
    ),
}


@pytest.mark.parametrize("kind", PINNED)
def test_the_text_is_pinned_and_short(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python 3.14 writes the fifth version of pickle; all read the fourth.
    monkeypatch.setattr(pickle, "DEFAULT_PROTOCOL", 4)
    assert serialize_provider(PROVIDERS[kind]()) == PINNED[kind]
    assert len(PINNED[kind]) < 120


@pytest.mark.parametrize("kind", PINNED)
def test_the_text_of_today_is_read_for_ever(kind: str) -> None:
    provider = pickle.loads(base64.b64decode(PINNED[kind]))
    assert type(provider) is PROVIDERS[kind]
    assert vars(provider) == {}
    assert not provider.serialize_as_secret_always


def test_fifty_at_once_in_a_plugin_that_has_just_started(cbr_simulator: Simulator) -> None:
    """Each kind is unpickled, and what it needs imported, by whichever of the plugin's threads comes first."""
    backup, project = cbr_simulator.backups[0].id, cbr_simulator.projects[0]
    cbr_simulator.share(backup, project)
    share_id = cbr_simulator.members(backup)[project].id
    with FreshPlugin("dynamic", cbr_simulator.env()) as plugin, ThreadPoolExecutor(50) as pool:
        read = pool.map(
            lambda number: (
                plugin.read("BackupShareMember", f"{backup}/{project}", {"share_id": share_id})
                if number % 2
                else plugin.check(list(PROVIDERS)[number % 3], {"backup_id": backup})
            ),
            range(50),
        )
        assert len(list(read)) == 50
        assert plugin.said() == ""


def test_a_program_that_only_declares_loads_no_client() -> None:
    """What a preview without calls does not need is not imported: not by the package, not by a provider's hooks."""
    script = (
        "import sys, pulumi_cbr; from pulumi_cbr.backup_share_member import BackupShareMemberProvider; "
        "print([name for name in ('requests', 'keystoneauth1', 'openstack', 'flask') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
