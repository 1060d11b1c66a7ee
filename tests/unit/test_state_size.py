"""The size of our part of a state, which the engine stores for each resource."""

from __future__ import annotations

import json

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from protocol.plugin import FLAVORS, PROVIDERS, Plugin, Properties
from pulumi_cbr.simulator import Simulator


def _text(properties: Properties) -> str:
    return json.dumps(properties, separators=(",", ":"))


def _size_beyond(inputs: Properties, outputs: Properties) -> int:
    return len(_text({name: value for name, value in outputs.items() if name not in inputs}))


@pytest.mark.parametrize("kind", PROVIDERS)
def test_pickled_provider_is_little_more_than_its_name(kind: str) -> None:
    assert len(serialize_provider(PROVIDERS[kind]())) < 120


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
@pytest.mark.parametrize("given", [{}, {"adopt_existing": True}], ids=["plain", "with a flag"])
def test_outputs_of_a_member_are_few_and_each_is_there_once(flavor: str, given: Properties) -> None:
    with Simulator() as simulator, Plugin(flavor, simulator.env()) as plugin:
        inputs = {"backup_id": simulator.backups[0].id, "dest_project_id": simulator.projects[0], **given}
        checked, _ = plugin.check("BackupShareMember", {**inputs, "reshare_if_rejected": False})
        assert checked == inputs
        _, outputs = plugin.create("BackupShareMember", checked)
    assert len(set(map(str, outputs.values()))) == len(outputs)
    assert _size_beyond(inputs, outputs) < 240


def test_a_member_grows_by_what_its_receiver_decides() -> None:
    """With the one `__provider` that is its own, not the copy that the SDK puts among the outputs."""
    sizes = []
    with Simulator() as simulator, Plugin("dynamic", simulator.env()) as plugin:
        backup, project = simulator.backups[0].id, simulator.projects[0]
        inputs = {"backup_id": backup, "dest_project_id": project}
        id_, outputs = plugin.create("BackupShareMember", inputs)
        for decide in None, simulator.accept, simulator.register_image:
            if decide:
                decide(backup, project)
                # Another plugin, as in the next command: it has no list of a moment ago.
                with Plugin("dynamic", simulator.env()) as refreshing:
                    _, outputs, _ = refreshing.read("BackupShareMember", id_, outputs)
            sizes.append(_size_beyond(inputs, outputs) + len(serialize_provider(PROVIDERS["BackupShareMember"]())))
    pending, accepted, add_image_id = sizes
    assert {"updated_at", "vault_id", "image_id"} <= outputs.keys()
    assert pending < 280
    assert accepted < 370
    assert add_image_id < 420


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
def test_outputs_of_a_set_name_each_project_twice(flavor: str) -> None:
    with Simulator() as simulator, Plugin(flavor, simulator.env()) as plugin:
        inputs = {"backup_id": simulator.backups[0].id, "dest_project_ids": simulator.projects[:10]}
        checked, _ = plugin.check("BackupShare", inputs)
        _, outputs = plugin.create("BackupShare", checked)
    text = _text(outputs)
    # As an input, and as the key of its share.
    assert [text.count(project) for project in inputs["dest_project_ids"]] == [2] * 10
    assert len(_text(outputs["members"])) / 10 < 240
    assert all(None not in share.values() for share in outputs["members"].values())
