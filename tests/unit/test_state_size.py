"""How much of a state is ours: what the engine keeps of each resource, thousands of times."""

from __future__ import annotations

import json

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from protocol.plugin import FLAVOURS, PROVIDERS, Plugin, Properties
from pulumi_cbr.simulator import Simulator


@pytest.mark.parametrize("kind", PROVIDERS)
def test_pickled_provider_is_little_more_than_its_name(kind: str) -> None:
    assert len(serialize_provider(PROVIDERS[kind]())) < 120


@pytest.mark.parametrize("flavour", sorted(FLAVOURS))
@pytest.mark.parametrize("given", [{}, {"adopt_existing": True}], ids=["plain", "with a flag"])
def test_outputs_of_a_member_are_few_and_each_is_there_once(flavour: str, given: Properties) -> None:
    with Simulator() as simulator, Plugin(flavour, simulator.env()) as plugin:
        inputs = {"backup_id": simulator.backups[0].id, "dest_project_id": simulator.projects[0], **given}
        checked, _ = plugin.check("BackupShareMember", {**inputs, "reshare_if_rejected": False})
        assert checked == inputs
        _, outputs = plugin.create("BackupShareMember", checked)
    own = {name: value for name, value in outputs.items() if name not in inputs}
    assert len(set(map(str, outputs.values()))) == len(outputs)
    assert len(json.dumps(own)) < 240


@pytest.mark.parametrize("flavour", sorted(FLAVOURS))
def test_outputs_of_a_set_name_each_project_twice(flavour: str) -> None:
    with Simulator() as simulator, Plugin(flavour, simulator.env()) as plugin:
        inputs = {"backup_id": simulator.backups[0].id, "dest_project_ids": simulator.projects[:10]}
        checked, _ = plugin.check("BackupShare", inputs)
        _, outputs = plugin.create("BackupShare", checked)
    text = json.dumps(outputs)
    # As an input, and as the key of its share.
    assert [text.count(project) for project in inputs["dest_project_ids"]] == [2] * 10
    assert len(json.dumps(outputs["members"])) / 10 < 240
