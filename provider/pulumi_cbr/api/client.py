"""The members API of CBR, one method a call. Knows nothing of Pulumi."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import InvalidId, UnexpectedResponseError, UnknownOutcomeError, one_line
from pulumi_cbr.api.models import MAX_MEMBERS, Backup, MalformedResponse, Member, Project, Vault, members_of, part
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.retry import CallLimits, Clock
from pulumi_cbr.api.settings import Settings, load
from pulumi_cbr.api.transport import Request, Transport

_PAGE_SIZE = 100

T = TypeVar("T")


class CbrClient:
    """Who the backups of one project are shared with, and what is shared with it.

    Signs in with `settings`, which are read from the environment where they are not given (see
    `pulumi_cbr.api.settings.load`). Nothing is sent before the first call; a client may be shared between threads.
    Backup and vault IDs are UUIDs, project IDs 32 hex digits; others raise `InvalidId` before anything is sent.
    Every method raises an error of `pulumi_cbr.api.errors`, and nothing else. A call, of a list each page, takes `timeout`
    seconds at most, retries included.
    """

    def __init__(
        self, settings: Settings | None = None, *, timing: Clock | None = None, limits: CallLimits | None = None
    ) -> None:
        self._transport = Transport(settings or load(), timing, limits)

    def __repr__(self) -> str:
        return f"CbrClient({self._transport.settings!r})"

    @property
    def settings(self) -> Settings:
        """The settings that it signs in with."""
        return self._transport.settings

    @property
    def timing(self) -> Clock:
        """Its time and chance, for who waits between its calls."""
        return self._transport.timing

    def project_id(self) -> str:
        """Give the own project's ID; signs in first where only its name is known."""
        return self._transport.project_id()

    def endpoint(self) -> str:
        """Give the service's URL with the own project's ID; signs in first where only the catalogue knows it."""
        return self._transport.endpoint()

    def service_now(self) -> datetime:
        """Give the time in UTC by the service's clock, as its last answer told it."""
        return self._transport.service_now()

    def add_members(self, backup_id: str, dest_project_ids: Sequence[str]) -> tuple[Member, ...]:
        """Share a backup with one to ten projects: ``POST /backups/{backup_id}/members``.

        Gives what the answer tells of these projects, which may be fewer than were asked for. Raises `UnknownOutcomeError` where
        the call may have been carried out, `AlreadyShared`, `LimitReached`, `NotShareable`, `NotFound` and others.
        """
        backup = ids.uuid("backup_id", backup_id)
        listed = isinstance(dest_project_ids, Collection) and not isinstance(dest_project_ids, str)
        if not listed or not 1 <= len(dest_project_ids) <= MAX_MEMBERS:
            raise InvalidId(f"dest_project_ids must be a list of one to ten project IDs; not {dest_project_ids!r:.80}")
        projects = list(dict.fromkeys(ids.project_id("dest_project_id", project) for project in dest_project_ids))
        operation = f"sharing backup {backup} with {_projects(projects)}"
        profile = self._transport.settings.user_profile
        answer = self._transport.call(
            Request(
                operation,
                "POST",
                f"/backups/{backup}/members",
                action="cbr:member:create",
                body={"members": projects},
                headers={"X-User-Profile": profile} if profile else None,
            )
        )

        def members(data: Mapping[str, object]) -> tuple[Member, ...]:
            # One cloud's reference has a list, the other's one bare member.
            found = (
                members_of(part(data, "members", list, "the answer"))
                if "members" in data
                else (Member.from_dict(data),)
            )
            return tuple(member for member in found if member.dest_project_id in projects)

        return _changed(operation, answer, members)

    def list_members(self, backup_id: str, **filters: str | None) -> tuple[Member, ...]:
        """List who a backup is shared with: ``GET /backups/{backup_id}/members``.

        `filters` are the API's own: ``dest_project_id, image_id, status, vault_id, sort``; None is no filter. Raises
        `NotFound` and others.
        """
        backup = ids.uuid("backup_id", backup_id)
        operation = f"listing the members of backup {backup}"
        path = f"/backups/{backup}/members"
        return tuple(self._pages(operation, path, "cbr:member:list", "members", filters, Member.from_dict))

    def show_member(self, backup_id: str, dest_project_id: str) -> Member:
        """Show one member: ``GET /backups/{backup_id}/members/{dest_project_id}``. Raises `NotFound` and others."""
        path, pair = _member(backup_id, dest_project_id)
        operation = f"showing the share of {pair}"
        answer = self._transport.call(Request(operation, "GET", path, action="cbr:member:get"))
        return _read(operation, answer, lambda data: Member.from_dict(part(data, "member", dict, "the answer")))

    def update_member(
        self, backup_id: str, dest_project_id: str, status: str, *, vault_id: str | None = None
    ) -> Member:
        """Accept or reject a share as its receiver: ``PUT /backups/{backup_id}/members/{dest_project_id}``.

        `status` is ``accepted`` (which needs `vault_id`), ``rejected`` or ``pending``. Raises `UnknownOutcomeError` where the call
        may have been carried out, `NotFound`, `VaultRefused` and others.
        """
        path, pair = _member(backup_id, dest_project_id)
        operation = f"setting to `{one_line(str(status), 40)}` the share of {pair}"
        body = {"status": status}
        if vault_id is not None:
            body["vault_id"] = ids.uuid("vault_id", vault_id)
            operation += f" (vault {body['vault_id']})"
        answer = self._transport.call(Request(operation, "PUT", path, action="cbr:member:update", body=body))
        return _changed(operation, answer, lambda data: Member.from_dict(part(data, "member", dict, "the answer")))

    def delete_member(self, backup_id: str, dest_project_id: str) -> None:
        """Take a share away: ``DELETE /backups/{backup_id}/members/{dest_project_id}``.

        Sent again where its answer was lost. Raises `NotFound` where there is no such share (any more), `ImageRegistered`,
        `UnknownOutcomeError` where no try was answered, or only by something else than the service, and others.
        """
        path, pair = _member(backup_id, dest_project_id)
        operation = f"taking away the share of {pair}"
        answer = self._transport.call(Request(operation, "DELETE", path, action="cbr:member:delete"))
        if answer.body.strip():
            # The service sends none: a web page of something in between is no sign that the share is gone.
            _changed(operation, answer, lambda data: None)

    def show_backup(self, backup_id: str) -> Backup:
        """Show a backup: ``GET /backups/{backup_id}``. Raises `NotFound` and others."""
        backup = ids.uuid("backup_id", backup_id)
        operation = f"showing backup {backup}"
        answer = self._transport.call(Request(operation, "GET", f"/backups/{backup}", action="cbr:backups:get"))
        return _read(operation, answer, lambda data: Backup.from_dict(part(data, "backup", dict, "the answer")))

    def list_backups(self, page_size: int = _PAGE_SIZE, /, **filters: str | None) -> Iterator[Backup]:
        """List backups, page by page as they are asked for: ``GET /backups``. A page has 1000 backups at most.

        `filters` are the API's own, such as ``name, resource_id, resource_type, status, vault_id, member_status, own_type,
        sort``; None is no filter.
        """
        return self._pages(
            "listing the backups", "/backups", "cbr:backups:list", "backups", filters, Backup.from_dict, page_size
        )

    def list_vaults(self, **filters: str | None) -> Iterator[Vault]:
        """Yield the own project's vaults, page by page as they are asked for: ``GET /vaults``.

        `filters` are the API's own, such as ``name, object_type, protect_type, status``; None is no filter.
        """
        return self._pages("listing the vaults", "/vaults", "cbr:vaults:list", "vaults", filters, Vault.from_dict)

    def show_vault(self, vault_id: str) -> Vault:
        """Return a vault: ``GET /vaults/{vault_id}``. Raises `VaultRefused` if there is none, and others."""
        vault = ids.uuid("vault_id", vault_id)
        operation = f"showing vault {vault}"
        answer = self._transport.call(Request(operation, "GET", f"/vaults/{vault}", action="cbr:vaults:get"))
        return _read(operation, answer, lambda data: Vault.from_dict(part(data, "vault", dict, "the answer")))

    def list_projects(self) -> tuple[Project, ...]:
        """Return the projects that the credentials may sign in to: ``GET /v3/auth/projects`` of the identity service.

        Raises `SettingsError` if no setting tells where that is, and others.
        """
        operation = "listing the projects"
        answer = self._transport.call_identity(operation, "/auth/projects")

        def projects(data: Mapping[str, object]) -> tuple[Project, ...]:
            entries = part(data, "projects", list, "the answer")
            return tuple(Project.from_dict(entry) for entry in entries if isinstance(entry, dict))

        return _read(operation, answer, projects)

    def _pages(
        self,
        operation: str,
        path: str,
        action: str,
        key: str,
        filters: Mapping[str, str | None],
        make: Callable[[Mapping[str, object]], T],
        page_size: int = _PAGE_SIZE,
    ) -> Iterator[T]:
        def page(data: Mapping[str, object]) -> tuple[list[tuple[str, T]], int | None]:
            entries: list[tuple[str, T]] = []
            for entry in part(data, key, list, "the answer"):
                if not isinstance(entry, dict):
                    raise MalformedResponse(f"an entry of `{key}` is not an object")
                id_ = part(entry, "id", str, "an entry")
                if not id_.isprintable():  # it may be the next page's marker
                    raise MalformedResponse("`id` of an entry is no ID")
                entries.append((id_, make(entry)))
            count = data.get("count")
            return entries, count if isinstance(count, int) else None

        given = {name: value for name, value in filters.items() if value is not None}
        seen: set[str] = set()
        place: dict[str, str] = {}
        while True:
            params = {**given, "limit": str(page_size), **place}
            answer = self._transport.call(Request(operation, "GET", path, action=action, params=params))
            entries, count = _read(operation, answer, page)
            new = {id_: entry for id_, entry in entries if id_ not in seen}
            seen.update(new)
            yield from new.values()
            # A service may give less than was asked for, and tell how many there are; some tell how many are on the page.
            # A count is of the page or of all pages: it is neither below the entries of a page nor above all of them.
            if count is not None and (count < len(entries) or (not entries and len(seen) < count)):
                raise UnexpectedResponseError(
                    operation,
                    status=answer.status,
                    said=f"the list has {len(seen)} entries, but its count is {count}",
                    request_id=answer.request_id,
                    advice="Run again",
                )
            if not entries or (len(entries) < min(page_size, _PAGE_SIZE) and (count is None or len(seen) >= count)):
                return
            if not new and "marker" in place:
                raise UnexpectedResponseError(
                    operation, status=answer.status, said="the pages repeat themselves", request_id=answer.request_id
                )
            # Services that pass over `offset` know `marker`.
            place = {"offset": str(len(seen))} if new and "marker" not in place else {"marker": entries[-1][0]}


def _projects(projects: Sequence[str]) -> str:
    return f"project {projects[0]}" if len(projects) == 1 else f"projects {', '.join(projects)}"


def _member(backup_id: str, dest_project_id: str) -> tuple[str, str]:
    """Give the path of one member, and words for it."""
    backup = ids.uuid("backup_id", backup_id)
    project = ids.project_id("dest_project_id", dest_project_id)
    return f"/backups/{backup}/members/{project}", f"backup {backup} with project {project}"


def _read(operation: str, answer: ApiResponse, make: Callable[[Mapping[str, object]], T]) -> T:
    """Read the answer to a call that changes nothing."""
    try:
        return make(answer.json_object())
    except MalformedResponse as error:
        raise UnexpectedResponseError(
            operation,
            status=answer.status,
            said=f"no answer of the CBR service: {error}",
            request_id=answer.request_id,
            advice="Check the endpoint and the region",
        ) from error


def _changed(operation: str, answer: ApiResponse, make: Callable[[Mapping[str, object]], T]) -> T:
    """Read the answer to a call that changes something: it was carried out, whatever its answer looks like."""
    try:
        return _read(operation, answer, make)
    except UnexpectedResponseError as error:
        raise UnknownOutcomeError(str(error)) from error
