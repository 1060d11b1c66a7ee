"""Lists over HTTP: filters, order, pages, and what each side sees."""

from __future__ import annotations

import pytest
import requests

from pulumi_cbr.simulator import Simulator
from pulumi_cbr.simulator.models import DISK
from unit.simulator.callers import Caller

QUERIES: list[tuple[str, list[int]]] = [
    ("", [5, 4, 3, 2, 1, 0]),
    ("limit=2", [5, 4]),
    ("limit=2&offset=3", [2, 1]),
    ("limit=2&marker={3}", [2, 1]),
    ("offset=6", []),
    ("sort=name:asc&limit=1", [0]),
    ("sort=status:asc,name:desc", [5, 4, 3, 1, 0, 2]),
    ("name=backup-003", [3]),
    ("resource_id={r4}", [4]),
    ("status=error", [2]),
    ("resource_type=OS::Cinder::Volume", [1]),
    ("own_type=shared", []),
    ("own_type=all_granted&limit=1", [5]),
    ("member_status=pending", []),
    ("unknown=1&limit=1", [5]),
]


@pytest.mark.parametrize(("query", "numbers"), QUERIES)
def test_list_backups_applies_the_query(session: requests.Session, query: str, numbers: list[int]) -> None:
    with Simulator(backups=6) as simulator:
        backups = simulator.backups
        simulator.set_backup(backups[2].id, status="error")
        simulator.set_backup(backups[1].id, resource_type=DISK)
        asked = query.replace("{3}", backups[3].id).replace("{r4}", backups[4].resource_id)
        answer = Caller(simulator, simulator.owner, session)("GET", f"/backups?{asked}").json()

    assert [int(entry["name"][-3:]) for entry in answer["backups"]] == numbers


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=-1",
        "offset=-1",
        "marker=x",
        "sort=x",
        "sort=name:up",
        "sort=" + "a" * 256,
        "limit=²",
    ],
)
@pytest.mark.parametrize("path", ["/backups", "/backups/{b}/members"])
def test_list_wrong_query_is_refused(simulator: Simulator, owner: Caller, path: str, query: str) -> None:
    answer = owner("GET", f"{path}?{query}".replace("{b}", simulator.backups[0].id))

    assert answer.json()["error_code"] == "BackupService.9900"


def test_list_members_applies_the_query(session: requests.Session) -> None:
    with Simulator(page_size=4) as simulator:
        owner, backup = Caller(simulator, simulator.owner, session), simulator.backups[0].id
        for project in simulator.projects[:6]:
            simulator.share(backup, project)
        vault = simulator.accept(backup, simulator.projects[0]).vault_id
        image = simulator.register_image(backup, simulator.projects[1])

        def found(query: str) -> tuple[int, list[int]]:
            answer = owner("GET", f"/backups/{backup}/members?{query}").json()
            return answer["count"], [simulator.projects.index(m["dest_project_id"]) for m in answer["members"]]

        last = simulator.members(backup)[simulator.projects[3]].id
        assert found("") == (6, [0, 1, 2, 3])
        assert found("offset=4") == (6, [4, 5])
        assert found(f"marker={last}&limit=1") == (6, [4])
        assert found("limit=1000") == (6, [0, 1, 2, 3])
        assert found("status=pending") == (4, [2, 3, 4, 5])
        assert found(f"vault_id={vault}") == (1, [0])
        assert found(f"image_id={image}") == (1, [1])
        assert found(f"dest_project_id={simulator.projects[5]}") == (1, [5])


VAULTS: list[tuple[str, list[str]]] = [
    ("", ["servers", "disks", "locked", "full"]),
    ("name=disks", ["disks"]),
    ("object_type=server", ["servers", "locked", "full"]),
    ("object_type=server&status=available&limit=1", ["servers"]),
    ("limit=2&offset=1", ["disks", "locked"]),
    ("protect_type=replication", []),
]


@pytest.mark.parametrize(("query", "names"), VAULTS)
def test_list_vaults_applies_the_query(simulator: Simulator, receiver: Caller, query: str, names: list[str]) -> None:
    assert [vault["name"] for vault in receiver("GET", f"/vaults?{query}").json()["vaults"]] == names


def test_list_vaults_wrong_limit_is_refused(receiver: Caller) -> None:
    assert receiver("GET", "/vaults?limit=0").json()["error_code"] == "BackupService.9900"


def test_show_vault_has_its_stored_backups(simulator: Simulator, owner: Caller, receiver: Caller) -> None:
    backup = simulator.backups[0]
    simulator.share(backup.id, simulator.receiver.project_id, "accepted")

    vault = receiver("GET", f"/vaults/{simulator.vaults[0].id.upper()}").json()["vault"]
    (own,) = owner("GET", "/vaults").json()["vaults"]

    assert (vault["name"], vault["project_id"]) == ("servers", simulator.receiver.project_id)
    assert (vault["billing"]["used"], vault["billing"]["size"]) == (40, 1_000_000)
    assert [resource["name"] for resource in vault["resources"]] == [backup.resource_name]
    assert (own["id"], own["billing"]["used"], len(own["resources"])) == (backup.vault_id, 480, 12)


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_show_vault_of_another_project_gets_404(simulator: Simulator, owner: Caller, whose: str) -> None:
    vault = simulator.vaults[0].id if whose == "another's" else "0" * 8 + "-0000" * 3 + "-" + "0" * 12

    answer = owner("GET", f"/vaults/{vault}")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "BackupService.6105")


def test_list_backups_with_members_has_them(session: requests.Session) -> None:
    with Simulator(backups=2, backups_with_members=True) as simulator:
        for project in simulator.projects[:2]:
            simulator.share(simulator.backups[0].id, project)
        owner = Caller(simulator, simulator.owner, session)("GET", "/backups?sort=name:asc").json()
        receiver = Caller(simulator, simulator.receiver, session)("GET", "/backups?own_type=shared").json()

    projects = [[member["dest_project_id"] for member in backup["members"]] for backup in owner["backups"]]
    assert projects == [simulator.projects[:2], []]
    assert [member["dest_project_id"] for member in receiver["backups"][0]["members"]] == simulator.projects[:1]


def test_list_backups_receiver_sees_shared_ones(simulator: Simulator, receiver: Caller) -> None:
    for number in (1, 2):
        simulator.share(simulator.backups[number].id, simulator.receiver.project_id)
    simulator.accept(simulator.backups[2].id, simulator.receiver.project_id)

    assert receiver("GET", "/backups").json()["count"] == 0
    assert receiver("GET", "/backups?own_type=shared").json()["count"] == 2
    accepted = receiver("GET", "/backups?own_type=all_granted&member_status=accepted").json()["backups"]
    assert [entry["id"] for entry in accepted] == [simulator.backups[2].id]
    shown = receiver("GET", f"/backups/{simulator.backups[1].id}").json()["backup"]
    assert shown["project_id"] == simulator.owner.project_id
