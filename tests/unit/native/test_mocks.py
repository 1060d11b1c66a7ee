"""Answers of Pulumi's mocks to look-ups of the first-class flavor: one line says what is missing."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

import pulumi_cbr.native as cbr

BACKUP = "2f8a1a44-7b1f-4a80-b7d5-1f1b3c2d4e5f"


class Answer(pulumi.runtime.Mocks):
    """Gives one answer to every look-up."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.name, args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return self.answer


@pytest.mark.parametrize("preview", [False, True])
def test_empty_answer_is_of_the_mock(preview: bool) -> None:
    pulumi.runtime.set_mocks(Answer({}), preview=preview)
    told = "get_backups failed: the mock returned nothing. Let Mocks.call return the result of cbr:index:getBackups"
    with pytest.raises(pulumi.RunError, match=told):
        cbr.get_backups()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        return cbr.get_vaults_output()

    with pytest.raises(pulumi.RunError, match="get_vaults failed: the mock returned nothing"):
        program()


def test_answer_without_a_field_names_it() -> None:
    pulumi.runtime.set_mocks(Answer({"backups": [{"id": BACKUP, "status": "available"}]}))
    told = "reading a Backup failed: resourceType and resourceId are missing. Add them to the mock"
    with pytest.raises(pulumi.RunError, match=told):
        cbr.get_backups()


def test_answer_is_read() -> None:
    fields = {"id": BACKUP, "status": "available", "resourceType": "OS::Nova::Server", "resourceId": "s"}
    pulumi.runtime.set_mocks(Answer({"backups": [fields]}))
    (backup,) = cbr.get_backups()
    assert (backup.id, backup.resource_id, backup.members) == (BACKUP, "s", ())
