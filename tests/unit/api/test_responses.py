from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pulumi_cbr.api.client import CbrClient
from pulumi_cbr.api.errors import (
    CbrError,
    ImageRegistered,
    InvalidId,
    NotFound,
    RejectedUrlError,
    ServiceError,
    ServiceUnavailableError,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.models import UNKNOWN_TIME, Backup, Member, Project, Vault
from pulumi_cbr.api.retry import CallLimits
from unit.api.kit import (
    BACKUP,
    BACKUP_OBJECT,
    MEMBER,
    OTHER,
    OWN,
    VAULT,
    FakeClock,
    Reply,
    Respond,
    Seen,
    Server,
    calls,
    fixed_token,
    in_turn,
)

UTC = timezone.utc
CREATED = datetime(2020, 2, 5, 10, 38, 34, 209782, UTC)


def asked(respond: Respond, call: str = "show_member", **settings: object) -> Any:
    with Server(respond) as server:
        client = CbrClient(fixed_token(server.url, **settings), timing=FakeClock().timing)
        return calls(client)[call](), server.seen


# Requests


def test_what_is_sent() -> None:
    _, seen = asked(in_turn(Reply(200, {"members": []})), "add_members", userProfile="prüfung")
    assert (seen[0].method, seen[0].target) == ("POST", f"/v3/{OWN}/backups/{BACKUP}/members")
    assert seen[0].json == {"members": [OTHER]}
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].headers["x-user-profile"].encode("latin-1").decode() == "prüfung"
    assert seen[0].headers["user-agent"].startswith("pulumi-cbr/")

    _, seen = asked(in_turn(Reply(200, {"member": {**MEMBER, "status": "accepted"}})), "update_member")
    assert (seen[0].method, seen[0].target) == ("PUT", f"/v3/{OWN}/backups/{BACKUP}/members/{OTHER}")
    assert seen[0].json == {"status": "accepted", "vault_id": VAULT}

    _, seen = asked(in_turn(Reply(204)), "delete_member")
    assert (seen[0].method, seen[0].body, "content-type" in seen[0].headers) == ("DELETE", b"", False)


def test_rejecting_needs_no_vault() -> None:
    with Server(in_turn(Reply(200, {"member": {**MEMBER, "status": "rejected"}}))) as server:
        CbrClient(fixed_token(server.url)).update_member(BACKUP, OTHER, "rejected")
    assert server.seen[0].json == {"status": "rejected"}


def test_filters_are_sent_with_spaces_as_percent_20() -> None:
    with Server(in_turn(Reply(200, {"backups": []}))) as server:
        list(CbrClient(fixed_token(server.url)).list_backups(name="a b+c/ü", status=None, own_type="shared"))
    assert urlsplit(server.seen[0].target).query == "name=a%20b%2Bc%2F%C3%BC&own_type=shared&limit=100"


def test_ids_are_checked_before_anything_is_sent() -> None:
    client = CbrClient(fixed_token("https://cbr.example.com"))
    for call in (
        lambda: client.show_member("../x", OTHER),
        lambda: client.show_member(BACKUP, OTHER + "/.."),
        lambda: client.show_member(BACKUP, BACKUP),
        lambda: client.delete_member(BACKUP, ""),
        lambda: client.add_members(BACKUP, [OTHER, "x"]),
        lambda: client.add_members(BACKUP, []),
        lambda: client.add_members(BACKUP, [OTHER] * 11),
        lambda: client.add_members(BACKUP, OTHER),
        lambda: client.add_members(BACKUP, None),  # type: ignore[arg-type]
        lambda: client.update_member(BACKUP, OTHER, "accepted", vault_id="v"),
        lambda: client.show_backup("0" * 36),
        lambda: client.list_members(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidId):
            call()


def test_ids_are_sent_in_lower_case() -> None:
    with Server(in_turn(Reply(200, {"member": MEMBER}))) as server:
        CbrClient(fixed_token(server.url)).show_member(f" {BACKUP.upper()}\n", OTHER.upper())
    assert server.seen[0].path == f"/v3/{OWN}/backups/{BACKUP}/members/{OTHER}"


@pytest.mark.parametrize("status", ["{0}", "{x}", "%s", "accepted"])
def test_any_status_can_be_sent(status: str) -> None:
    with Server(in_turn(Reply(200, {"member": {**MEMBER, "status": status}}))) as server:
        CbrClient(fixed_token(server.url)).update_member(BACKUP, OTHER, status)
    assert server.seen[0].json == {"status": status}


@pytest.mark.parametrize("ids", ["abc", None])
def test_one_id_is_no_list(ids: Any) -> None:
    with pytest.raises(InvalidId, match="must be a list"):
        CbrClient(fixed_token("https://cbr.example.com")).add_members(BACKUP, ids)


def test_a_filter_that_has_no_form_in_utf8() -> None:
    with pytest.raises(ServiceUnavailableError, match="no valid request"):
        list(CbrClient(fixed_token("https://cbr.example.com")).list_backups(name="\ud800"))


def test_an_odd_status_is_told_in_one_line() -> None:
    with (
        Server(in_turn(Reply(400, b"no"))) as server,
        pytest.raises(UnexpectedResponseError, match=r"^setting the share .* to `a b`"),
    ):
        CbrClient(fixed_token(server.url)).update_member(BACKUP, OTHER, "a\nb")


def test_a_project_is_sent_once() -> None:
    with Server(in_turn(Reply(200, {"members": [MEMBER]}))) as server:
        CbrClient(fixed_token(server.url)).add_members(BACKUP, [OTHER, OTHER.upper(), OWN])
    assert server.seen[0].json == {"members": [OTHER, OWN]}


# Members


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    "body",
    [
        {"members": [MEMBER], "count": 1},
        {"members": [MEMBER]},
        MEMBER,
        {**MEMBER, "new_field": {"deep": []}},
        {"members": [{**MEMBER, "dest_project_id": OWN}, MEMBER], "count": 2, "links": None},
    ],
    ids=["list", "list without count", "bare", "unknown field", "with one that was there"],
)
def test_both_shapes_of_the_add_answer(body: object, status: int) -> None:
    members, _ = asked(in_turn(Reply(status, body)), "add_members")
    assert [(member.dest_project_id, member.id, member.status) for member in members] == [
        (OTHER, MEMBER["id"], "pending")
    ]


def test_add_answer_that_tells_less_than_all() -> None:
    assert asked(in_turn(Reply(200, {"members": []})), "add_members")[0] == ()


def test_member_with_all_fields() -> None:
    body = {
        **MEMBER,
        "updated_at": "2020-02-05T10:38:34.210+00:00",
        "vault_id": VAULT,
        "image_id": "i",
        "status": "accepted",
    }
    member, _ = asked(in_turn(Reply(200, {"member": body})))
    assert member == Member(
        id=MEMBER["id"],
        status="accepted",
        backup_id=BACKUP,
        dest_project_id=OTHER,
        created_at=CREATED,
        updated_at=CREATED.replace(microsecond=210000),
        vault_id=VAULT,
        image_id="i",
    )


@pytest.mark.parametrize("absent", [{}, {"updated_at": None, "vault_id": None, "image_id": None}, {"vault_id": ""}])
def test_member_without_what_has_no_value_yet(absent: dict[str, object]) -> None:
    member, _ = asked(in_turn(Reply(200, {"member": {**MEMBER, **absent}})))
    assert (member.updated_at, member.vault_id, member.image_id) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-02-05T10:38:34.209782", CREATED),
        ("2020-02-05T10:38:34.210+00:00", CREATED.replace(microsecond=210000)),
        ("2020-02-05T12:38:34.209782+02:00", CREATED),
        ("2020-02-05T10:38:34Z", CREATED.replace(microsecond=0)),
        ("2020-02-05T10:38:34.2Z", CREATED.replace(microsecond=200000)),
        ("2020-02-05 10:38:34", CREATED.replace(microsecond=0)),
        ("2020-02-05T10:38:34.209782999", CREATED),
    ],
)
def test_forms_of_timestamps(text: str, expected: datetime) -> None:
    member, _ = asked(in_turn(Reply(200, {"member": {**MEMBER, "created_at": text}})))
    assert member.created_at == expected
    assert member.created_at.utcoffset() == timedelta()


@pytest.mark.parametrize("name", ["id", "status", "backup_id", "dest_project_id"])
@pytest.mark.parametrize(
    ("change", "words"), [(None, "the member has no `{}`"), (7, "`{}` of the member is not of type str")]
)
def test_missing_required_field_is_named(name: str, change: object, words: str) -> None:
    body = {**MEMBER, name: change}
    with pytest.raises(UnexpectedResponseError, match=words.format(name)):
        asked(in_turn(Reply(200, {"member": body})))
    with pytest.raises(UnknownOutcomeError, match=words.format(name)):
        asked(in_turn(Reply(200, {"member": body})), "update_member")


ODD: tuple[object, ...] = (None, "", 0, 7, [], {}, True, "yesterday", "0001-01-01T00:00:00+14:00")


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", ["created_at", "updated_at", "vault_id", "image_id"])
def test_member_with_odd_optional_field_is_read(name: str, value: object) -> None:
    member, _ = asked(in_turn(Reply(200, {"member": {**MEMBER, name: value}})))
    assert member.id == MEMBER["id"]
    assert name != "created_at" or member.created_at == UNKNOWN_TIME
    assert name != "updated_at" or member.updated_at is None


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", sorted({*BACKUP_OBJECT, "members"} - {"id"}))
def test_backup_with_odd_optional_field_is_read(name: str, value: object) -> None:
    backup, _ = asked(in_turn(Reply(200, {"backup": {**BACKUP_OBJECT, name: value}})), "show_backup")
    assert backup.id == BACKUP


@pytest.mark.parametrize("text", ["pend\ud800ing", "\x1b[2Jpending", "pending\n\ncbr: all is well", "\u202egnidnep"])
def test_member_with_odd_status_is_read_cleanly(text: str) -> None:
    member, _ = asked(in_turn(Reply(200, {"member": {**MEMBER, "status": text}})))
    assert member.status.isprintable()
    member.status.encode()


@pytest.mark.parametrize(("name", "kind"), [("id", "no ID"), ("backup_id", "no ID"), ("dest_project_id", "no ID")])
@pytest.mark.parametrize("text", ["a\x1b[31m", "\ud800", "two words", "\u202e", "x" * 200])
def test_member_with_odd_id_is_refused(name: str, kind: str, text: str) -> None:
    with pytest.raises(UnexpectedResponseError, match=kind):
        asked(in_turn(Reply(200, {"member": {**MEMBER, name: text}})))


@pytest.mark.parametrize(
    "change",
    [
        {"dest_project_id": OTHER.upper()},
        {"dest_project_id": f"{OTHER[:8]}-{OTHER[8:]}"},
        {"backup_id": BACKUP.upper()},
        {"backup_id": BACKUP.replace("-", "")},
    ],
)
@pytest.mark.parametrize("call", ["show_member", "add_members", "update_member", "list_members"])
def test_ids_in_another_form_are_the_same(call: str, change: dict[str, str]) -> None:
    member = {**MEMBER, "status": "accepted", **change}
    asked(in_turn(Reply(200, {"member": member, "members": [member]})), call)


@pytest.mark.parametrize("change", [{"backup_id": VAULT}, {"dest_project_id": OWN}], ids=["backup", "project"])
@pytest.mark.parametrize(
    ("call", "kind"), [("show_member", UnexpectedResponseError), ("update_member", UnknownOutcomeError)]
)
def test_answer_about_another_member_is_refused(call: str, kind: type[CbrError], change: dict[str, str]) -> None:
    with pytest.raises(kind, match="about another"):
        asked(in_turn(Reply(200, {"member": {**MEMBER, **change}})), call)


def test_answer_with_another_status_than_was_set_is_unknown() -> None:
    with pytest.raises(UnknownOutcomeError, match="says that the share is pending"):
        asked(in_turn(Reply(200, {"member": MEMBER})), "update_member")


@pytest.mark.parametrize("body", [{**MEMBER, "dest_project_id": OWN}, {"members": [{**MEMBER, "backup_id": VAULT}]}])
def test_add_answer_about_another_member_is_unknown(body: object) -> None:
    with pytest.raises(UnknownOutcomeError, match="about another"):
        asked(in_turn(Reply(200, body)), "add_members")


def test_backup_answer_about_another_backup_is_refused() -> None:
    with pytest.raises(UnexpectedResponseError, match="about another"):
        asked(in_turn(Reply(200, {"backup": {**BACKUP_OBJECT, "id": VAULT}})), "show_backup")


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        ({"members": [], "count": 2}, True),
        ({"members": [], "count": 50}, True),
        ({"members": [MEMBER], "count": 2}, True),
        ({"members": [MEMBER], "count": 0}, True),
        ({"members": [], "count": 0}, False),
        ({"members": [MEMBER], "count": 1}, False),
        ({"members": [MEMBER], "count": None}, False),
        # The references' own example.
        ({"members": [MEMBER], "count": 50}, False),
    ],
)
def test_list_that_its_count_contradicts_is_refused(body: dict[str, object], is_refused: bool) -> None:
    empty = Reply(200, {**body, "members": []})
    if is_refused:
        with pytest.raises(UnexpectedResponseError, match="its count is"):
            asked(in_turn(Reply(200, body), empty), "list_members")
    else:
        asked(in_turn(Reply(200, body), empty), "list_members")


@pytest.mark.parametrize("filters", [{}, {"own_type": "shared"}])
def test_empty_list_with_a_count_is_refused(filters: dict[str, str]) -> None:
    """The components would delete or reject all that it leaves out."""
    with Server(in_turn(Reply(200, {"backups": [], "count": 4}))) as server:
        client = CbrClient(fixed_token(server.url), timing=FakeClock().timing)
        with pytest.raises(UnexpectedResponseError, match=r"its count is 4 \(HTTP 200\)\. Run again"):
            list(client.list_backups(**filters))


# What is gone


GONE_BACKUP = Reply(404, {"error_code": "BackupService.6200", "error_msg": "no backup"})
GONE_MEMBER = Reply(404, {"error_code": "BackupService.6705", "error_msg": "no member"})
MALFORMED = Reply(401, {"unauthorized": {"code": "401", "message": "Malformed request url"}})
THERE = Reply(200, {"backup": BACKUP_OBJECT})
LISTED = Reply(200, {"backups": []})


@pytest.mark.parametrize("call", ["list_members", "show_member", "delete_member", "update_member"])
@pytest.mark.parametrize("backup", [GONE_BACKUP, MALFORMED])
@pytest.mark.parametrize("first", [GONE_BACKUP, MALFORMED])
def test_backup_is_gone_if_its_own_get_says_so(call: str, first: Reply, backup: Reply) -> None:
    with pytest.raises(NotFound):
        asked(in_turn(first, backup, LISTED), call)


@pytest.mark.parametrize("call", ["list_members", "show_member", "delete_member", "update_member"])
@pytest.mark.parametrize("first", [GONE_BACKUP, MALFORMED])
@pytest.mark.parametrize("backup", [THERE, Reply(404, b"<html>"), Reply(500, b"")])
def test_backup_is_not_gone_unless_its_own_get_says_so(call: str, first: Reply, backup: Reply) -> None:
    is_unknown = (call, first) == ("delete_member", GONE_BACKUP)
    with pytest.raises(UnknownOutcomeError if is_unknown else ServiceError) as error:
        asked(in_turn(first, backup), call)
    assert not isinstance(error.value, NotFound)


@pytest.mark.parametrize("call", ["list_members", "show_backup", "delete_member"])
def test_malformed_url_of_all_calls_is_not_gone(call: str) -> None:
    with pytest.raises(RejectedUrlError):
        asked(in_turn(MALFORMED), call)


def test_malformed_url_means_gone_if_backups_are_listed() -> None:
    with Server(in_turn(MALFORMED, LISTED)) as server, pytest.raises(NotFound):
        CbrClient(fixed_token(server.url)).show_backup(BACKUP)
    assert server.seen[1].target.endswith("/backups?limit=1")


def test_list_without_members_is_confirmed_by_the_backup() -> None:
    with pytest.raises(UnexpectedResponseError, match="exists"):
        asked(in_turn(GONE_MEMBER, THERE), "list_members")
    with pytest.raises(NotFound):
        asked(in_turn(GONE_MEMBER, GONE_BACKUP), "list_members")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, b""), "the body is empty"),
        (Reply(204), "the body is empty"),
        (Reply(200, b"<html><title>Sign in</title></html>"), "the body is not JSON"),
        (Reply(200, b'{"member": {"sta'), "the body is not JSON"),
        (Reply(200, b"\xff\xfe"), "the body is not JSON"),
        (Reply(200, b"[" * 100000), "the body is not JSON"),
        (Reply(200, []), "the body is JSON, but no object"),
        (Reply(200, {}), "the response has no `member"),
        (Reply(200, {"member": [], "members": {}}), "of the response is not of type"),
    ],
    ids=lambda value: repr(value.body)[:20] if isinstance(value, Reply) else "",
)
def test_a_success_that_is_none(reply: Reply, words: str) -> None:
    for call in ("show_member", "list_members"):
        with pytest.raises(UnexpectedResponseError, match=words) as error:
            asked(in_turn(reply), call)
        assert "Check the endpoint and the region" in str(error.value)
    with pytest.raises(UnknownOutcomeError):
        asked(in_turn(reply), "update_member")


def test_no_more_of_a_text_is_cleaned_than_can_be_shown() -> None:
    """Cleaning a megabyte takes seconds, which no deadline counts."""
    lengths: list[int] = []

    def clean(text: str) -> str:
        lengths.append(len(text))
        return text

    long = "x" * 10**6
    Member.from_dict({**MEMBER, "status": long, "vault_id": long}, clean)
    Vault.from_dict({"id": VAULT, "name": long}, clean)
    Project.from_dict({"id": OWN, "name": long}, clean)
    assert len(lengths) >= 4
    assert max(lengths) < 2000


# Backups


def test_backup() -> None:
    backup, _ = asked(
        in_turn(Reply(200, {"backup": {**BACKUP_OBJECT, "members": [MEMBER], "children": []}})), "show_backup"
    )
    assert backup == Backup(
        id=BACKUP,
        status="available",
        resource_type="OS::Nova::Server",
        resource_id=VAULT,
        created_at=CREATED,
        name="nightly",
        resource_name="web",
        vault_id=VAULT,
        project_id=OWN,
        image_type="backup",
        encrypted=False,
        members=(Member.from_dict(MEMBER),),
    )


@pytest.mark.parametrize("info", [None, {}, [], {"encrypted": "yes"}, "text"])
def test_backup_that_does_not_tell_whether_it_is_encrypted(info: object) -> None:
    backup, _ = asked(in_turn(Reply(200, {"backup": {**BACKUP_OBJECT, "extend_info": info}})), "show_backup")
    assert backup.encrypted is None


@pytest.mark.parametrize("name", ["id"])
def test_backup_without_a_required_field(name: str) -> None:
    body = {key: value for key, value in BACKUP_OBJECT.items() if key != name}
    with pytest.raises(UnexpectedResponseError, match=f"the backup has no `{name}`"):
        asked(in_turn(Reply(200, {"backup": body})), "show_backup")


# Pages


class Shelf:
    """A list of backups, served in the ways that services page."""

    def __init__(
        self, total: int, *, size: int = 1000, offset: bool = True, marker: bool = False, count: str = "total"
    ):
        self.ids = [f"{number:08x}-0000-0000-0000-000000000000" for number in range(total)]
        self.size, self.offset, self.marker, self.count = size, offset, marker, count

    def __call__(self, seen: Seen) -> Reply:
        query = {name: values[0] for name, values in parse_qs(urlsplit(seen.target).query).items()}
        start = int(query.get("offset", 0)) if self.offset else 0
        if self.marker and "marker" in query:
            start = self.ids.index(query["marker"]) + 1
        page = self.ids[start : start + min(self.size, int(query["limit"]))]
        body: dict[str, object] = {"backups": [{**BACKUP_OBJECT, "id": id_} for id_ in page]}
        if self.count:
            body["count"] = len(self.ids) if self.count == "total" else len(page)
        return Reply(200, body)


@pytest.mark.parametrize(
    ("shelf", "requests"),
    [
        (Shelf(0), 1),
        (Shelf(7), 1),
        (Shelf(99, count=""), 1),
        (Shelf(101), 2),
        (Shelf(250), 3),
        (Shelf(250, count=""), 3),
        (Shelf(250, count="page"), 3),
        (Shelf(100), 2),
        (Shelf(35, size=10), 4),
        (Shelf(250, offset=False, marker=True), 4),
        (Shelf(35, size=10, offset=False, marker=True), 5),
        (Shelf(250, offset=False, marker=True, count=""), 4),
    ],
    ids=lambda value: f"{vars(value)}"[-70:] if isinstance(value, Shelf) else "",
)
def test_lists_longer_than_a_page(shelf: Shelf, requests: int) -> None:
    backups, seen = asked(shelf, "list_backups")
    assert [backup.id for backup in backups] == shelf.ids
    assert len(seen) == requests


def test_pages_that_repeat_themselves_end_in_an_error() -> None:
    with pytest.raises(UnexpectedResponseError, match="the pages repeat themselves"):
        asked(Shelf(250, offset=False), "list_backups")


def test_one_that_is_twice_on_a_page_is_given_once() -> None:
    backups, _ = asked(in_turn(Reply(200, {"backups": [BACKUP_OBJECT, BACKUP_OBJECT]})), "list_backups")
    assert [backup.id for backup in backups] == [BACKUP]


def test_pages_are_asked_for_as_they_are_needed() -> None:
    with Server(Shelf(250)) as server:
        backups = CbrClient(fixed_token(server.url)).list_backups()
        assert server.seen == []
        next(backups)
        assert len(server.seen) == 1


def test_members_longer_than_a_page() -> None:
    def respond(seen: Seen) -> Reply:
        body = Shelf(150)(seen).body
        return Reply(200, {"members": [{**MEMBER, "id": entry["id"]} for entry in body["backups"]], "count": 150})

    members, seen = asked(respond, "list_members")
    assert (len(members), len(seen)) == (150, 2)


@pytest.mark.parametrize("entry", [7, None, {}, {"id": 5}, [], {**MEMBER, "id": "\ud800"}, {**MEMBER, "id": "a\nb"}])
def test_odd_entries(entry: object) -> None:
    with pytest.raises(UnexpectedResponseError, match="not a response of the CBR service"):
        asked(in_turn(Reply(200, {"members": [entry]})), "list_members")


# The service's clock


def test_service_now() -> None:
    clock = FakeClock()
    with Server(in_turn(Reply(200, {"member": MEMBER}, {"Date": "Mon, 04 May 2026 13:00:00 GMT"}))) as server:
        client = CbrClient(fixed_token(server.url), timing=clock.timing)
        assert client.service_now() == clock.start
        client.show_member(BACKUP, OTHER)
        clock.advance(60)
        assert client.service_now() == datetime(2026, 5, 4, 13, 1, tzinfo=UTC)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 01 Jan 0999 00:00:00 GMT", "today"])
def test_a_date_to_reckon_with_or_none(date: str) -> None:
    clock = FakeClock()
    with Server(in_turn(Reply(200, {"member": MEMBER}, {"Date": date}))) as server:
        client = CbrClient(fixed_token(server.url), timing=clock.timing)
        client.show_member(BACKUP, OTHER)
        assert client.service_now() == clock.start


# What deletes, and where it all is


def test_delete_web_page_as_response_is_unknown() -> None:
    with pytest.raises(UnknownOutcomeError):
        asked(in_turn(Reply(200, b"<html><title>Sign in</title></html>")), "delete_member")


UNCLEAR = [Reply(200, b""), Reply(202, {}), Reply(200, b"<html>"), Reply(201, {"error_code": "BackupService.6710"})]


@pytest.mark.parametrize("reply", UNCLEAR)
def test_delete_odd_success_is_checked_by_a_get(reply: Reply) -> None:
    found, seen = asked(in_turn(reply, GONE_MEMBER), "delete_member")
    assert found is None
    assert [request.method for request in seen] == ["DELETE", "GET"]


@pytest.mark.parametrize("reply", UNCLEAR[:3])
def test_delete_odd_success_without_effect_is_repeated(reply: Reply) -> None:
    _, seen = asked(in_turn(reply, Reply(200, {"member": MEMBER}), Reply(204)), "delete_member")
    assert [request.method for request in seen] == ["DELETE", "GET", "DELETE"]


def test_delete_wait_is_announced_for_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, hosts = CallLimits(), list[str]()
    monkeypatch.setattr(limits.outages, "announce", lambda host, *args: hosts.append(host))
    with Server(in_turn(UNCLEAR[0], Reply(200, {"member": MEMBER}), Reply(204))) as server:
        client = CbrClient(fixed_token(server.url), timing=FakeClock().timing, limits=limits)
        client.delete_member(BACKUP, OTHER)
    assert hosts == [server.url.removeprefix("http://")]


def test_delete_error_code_in_a_success_is_raised() -> None:
    with pytest.raises(ImageRegistered):
        asked(in_turn(UNCLEAR[3], Reply(200, {"member": MEMBER})), "delete_member")


def test_delete_odd_success_and_failed_get_is_unknown() -> None:
    with pytest.raises(UnknownOutcomeError, match="reading it failed"):
        asked(in_turn(UNCLEAR[0], Reply(403, b"")), "delete_member")


def test_endpoint() -> None:
    client = CbrClient(fixed_token("https://cbr.example.com/v3/"))
    assert client.endpoint() == f"https://cbr.example.com/v3/{OWN}"
