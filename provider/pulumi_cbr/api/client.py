"""The members API of CBR, one method for each call. Nothing here depends on Pulumi."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from pulumi_cbr import messages
from pulumi_cbr.api import ids
from pulumi_cbr.api.errors import (
    SERVICE_PREFIX,
    CbrError,
    ContradictoryResponseError,
    InvalidId,
    NotAllowed,
    NotFound,
    RejectedUrlError,
    ServiceError,
    UnexpectedResponseError,
    UnknownOutcomeError,
)
from pulumi_cbr.api.models import (
    MAX_MEMBERS,
    AddedMembers,
    Backup,
    MalformedResponse,
    Member,
    Project,
    Vault,
    members_of,
    read_id,
    read_value,
)
from pulumi_cbr.api.responses import ApiResponse
from pulumi_cbr.api.retry import CallLimits, Clock, Deadline
from pulumi_cbr.api.settings import Settings, load
from pulumi_cbr.api.text import one_line
from pulumi_cbr.api.transport import Request, Transport

_PAGE_SIZE = 100

T = TypeVar("T")


class CbrClient:
    """The members and the backups of one project. Thread-safe.

    Signs in with `settings`; without them, with those of the environment (see `pulumi_cbr.api.settings.load`). Nothing is
    sent before the first call. Backup and vault IDs are UUIDs, project IDs 32 hex digits; others raise `InvalidId` before
    anything is sent. All errors are of `pulumi_cbr.api.errors`. A method takes the
    settings' `timeout` at most, with all its calls and retries. An iterator of a list has that time for each page.

    After a 404 about the backup or a list, a GET of the backup decides whether `NotFound.is_backup_gone` is set.
    Pass the same `limits` to all clients of a process. By default, each client has its own.
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
        """Its time and randomness, for callers that wait between calls."""
        return self._transport.timing

    def project_id(self) -> str:
        """Return the own project's ID; signs in first if only its name is known."""
        return self._transport.project_id()

    def endpoint(self) -> str:
        """Return the service's URL with the own project's ID.

        Signs in first if only the service catalog knows it.
        """
        return self._transport.endpoint()

    def service_now(self) -> datetime:
        """Return the time in UTC by the service's clock, as its last response told it."""
        return self._transport.service_now()

    def knows_service_time(self) -> bool:
        """Return whether a response had the service's time.

        Until then, `service_now` uses this machine's clock.
        """
        return self._transport.knows_service_time()

    def add_members(self, backup_id: str, dest_project_ids: Sequence[str]) -> AddedMembers:
        """Share a backup with one to ten projects: ``POST /backups/{backup_id}/members``.

        Returns the shares in the response, which may lack some of the projects. Raises `UnknownOutcomeError` if the
        call may have been carried out, `AlreadyShared`, `LimitReached`, `NotShareable`, `NotFound` and others.
        """
        backup = ids.uuid("backup_id", backup_id)
        listed = isinstance(dest_project_ids, Collection) and not isinstance(dest_project_ids, str)
        if not listed or not 1 <= len(dest_project_ids) <= MAX_MEMBERS:
            raise InvalidId(messages.invalid_project_list(f"{dest_project_ids!r:.80}", MAX_MEMBERS))
        projects = list(dict.fromkeys(ids.project_id("dest_project_id", project) for project in dest_project_ids))
        profile = self._transport.settings.user_profile
        request = Request(
            f"sharing backup {backup} with {_name_projects(projects)}",
            "POST",
            f"/backups/{backup}/members",
            action="cbr:member:create",
            body={"members": projects},
            headers={"X-User-Profile": profile} if profile else None,
        )

        def read(data: Mapping[str, object], response: ApiResponse) -> AddedMembers:
            # The clouds differ: one returns a list `members`, another a single member without a key around it.
            is_list = "members" in data
            clean = response.redactor.clean
            found = (
                members_of(read_value(data, "members", list, "the response"), clean)
                if is_list
                else (Member.from_dict(data, clean),)
            )
            for member in found:
                _check_ids(member, backup, None if is_list or member.dest_project_id in projects else projects[0])
            added = AddedMembers(member for member in found if member.dest_project_id in projects)
            added.sent_at = response.sent_at
            return added

        return self._change(request, read, backup)

    def list_members(self, backup_id: str, **filters: str | None) -> tuple[Member, ...]:
        """Return the members of a backup: ``GET /backups/{backup_id}/members``.

        `filters` are the API's own: ``dest_project_id, image_id, status, vault_id, sort``; None is no filter. Raises
        `NotFound` and others.
        """
        backup = ids.uuid("backup_id", backup_id)
        request = Request(
            f"listing the members of backup {backup}",
            "GET",
            f"/backups/{backup}/members",
            action="cbr:member:list",
            params=_omit_none(filters),
        )

        def read(data: Mapping[str, object], response: ApiResponse) -> Member:
            member = Member.from_dict(data, response.redactor.clean)
            _check_ids(member, backup)
            return member

        return self._call_and_confirm(
            lambda deadline: tuple(self._pages(request, "members", read, deadline=deadline)), request, backup
        )

    def show_member(self, backup_id: str, dest_project_id: str) -> Member:
        """Return one member: ``GET /backups/{backup_id}/members/{dest_project_id}``.

        Raises `NotFound` and others.
        """
        backup, project = _member_ids(backup_id, dest_project_id)
        request = _member_request("showing", "GET", "cbr:member:get", backup, project)
        return self._call_and_confirm(
            lambda deadline: self._show_member(request, backup, project, deadline), request, backup
        )

    def update_member(
        self, backup_id: str, dest_project_id: str, status: str, *, vault_id: str | None = None
    ) -> Member:
        """Accept or reject a share as its receiver.

        ``PUT /backups/{backup_id}/members/{dest_project_id}``.

        `status` is ``accepted`` (which needs `vault_id`), ``rejected`` or ``pending``. Raises `UnknownOutcomeError` if the
        call may have been carried out, `NotFound`, `VaultRefused` and others.
        """
        backup, project = _member_ids(backup_id, dest_project_id)
        body = {"status": status}
        request = _member_request("setting", "PUT", "cbr:member:update", backup, project)
        request = replace(request, operation=f"{request.operation} to `{one_line(str(status), 40)}`")
        if vault_id is not None:
            body["vault_id"] = ids.uuid("vault_id", vault_id)
            request = replace(request, operation=f"{request.operation} (vault {body['vault_id']})")

        def read(data: Mapping[str, object], response: ApiResponse) -> Member:
            member = _read_member(data, response, backup, project)
            if member.status != status:
                # The response may show the status before the change.
                raise MalformedResponse(f"it says that the share is {one_line(member.status, 40)}")
            return member

        return self._change(replace(request, body=body), read, backup)

    def delete_member(self, backup_id: str, dest_project_id: str) -> None:
        """Delete a share: ``DELETE /backups/{backup_id}/members/{dest_project_id}``.

        Sent again if its response was lost. A success other than the documented 204 is checked by a GET. Raises `NotFound`
        if there is no such share (any more), `ImageRegistered`, `UnknownOutcomeError` if the share may have been deleted,
        and others. The result is unknown, too, if the service says that the backup is gone, and a GET does not confirm it.
        """
        backup, project = _member_ids(backup_id, dest_project_id)
        request = _member_request("deleting", "DELETE", "cbr:member:delete", backup, project)
        self._call_and_confirm(
            lambda deadline: self._delete_member(request, backup, project, deadline), request, backup
        )

    def show_backup(self, backup_id: str) -> Backup:
        """Return a backup: ``GET /backups/{backup_id}``. Raises `NotFound` and others."""
        backup = ids.uuid("backup_id", backup_id)
        deadline = self._transport.new_deadline()
        try:
            return self._show_backup(backup, deadline)
        except RejectedUrlError as error:
            # Some gateways reject the ID of a backup that is gone as a malformed URL.
            self._check_backups_listable(error, deadline)
            raise _not_found(f"showing backup {backup}", error) from error

    def list_backups(self, page_size: int = _PAGE_SIZE, /, **filters: str | None) -> Iterator[Backup]:
        """Yield backups, page by page as they are asked for: ``GET /backups``.

        A page has 1000 backups at most. `filters` are the API's own, such as ``name, resource_id, resource_type, status,
        vault_id, member_status, own_type, sort``; None is no filter.
        """
        request = Request(
            "listing the backups", "GET", "/backups", action="cbr:backups:list", params=_omit_none(filters)
        )
        return self._pages(
            request, "backups", lambda data, response: Backup.from_dict(data, response.redactor.clean), page_size
        )

    def list_vaults(self, **filters: str | None) -> Iterator[Vault]:
        """Yield the own project's vaults, page by page as they are asked for: ``GET /vaults``.

        `filters` are the API's own, such as ``name, object_type, protect_type, status``; None is no filter.
        """
        request = Request("listing the vaults", "GET", "/vaults", action="cbr:vaults:list", params=_omit_none(filters))
        return self._pages(request, "vaults", lambda data, response: Vault.from_dict(data, response.redactor.clean))

    def show_vault(self, vault_id: str) -> Vault:
        """Return a vault: ``GET /vaults/{vault_id}``.

        Raises `VaultRefused` if the vault does not exist, and others.
        """
        vault = ids.uuid("vault_id", vault_id)
        request = Request(f"showing vault {vault}", "GET", f"/vaults/{vault}", action="cbr:vaults:get")

        def read(data: Mapping[str, object], response: ApiResponse) -> Vault:
            return Vault.from_dict(read_value(data, "vault", dict, "the response"), response.redactor.clean)

        return _read(request, self._transport.call(request), read)

    def list_projects(self) -> tuple[Project, ...]:
        """Return the projects that the credentials may sign in to.

        ``GET /v3/auth/projects`` of the identity service.

        Raises `SettingsError` if no setting tells where that is, and others.
        """
        request = Request("listing the projects", "GET", "/auth/projects")

        def read(data: Mapping[str, object], response: ApiResponse) -> tuple[Project, ...]:
            entries = read_value(data, "projects", list, "the response")
            clean = response.redactor.clean
            return tuple(Project.from_dict(entry, clean) for entry in entries if isinstance(entry, dict))

        return _read(request, self._transport.call_identity(request.operation, request.url), read)

    def _show_member(self, request: Request, backup: str, project: str, deadline: Deadline) -> Member:
        response = self._transport.call(request, deadline)
        return _read(request, response, lambda data, response: _read_member(data, response, backup, project))

    def _show_backup(self, backup: str, deadline: Deadline) -> Backup:
        request = Request(f"showing backup {backup}", "GET", f"/backups/{backup}", action="cbr:backups:get")

        def read(data: Mapping[str, object], response: ApiResponse) -> Backup:
            found = Backup.from_dict(read_value(data, "backup", dict, "the response"), response.redactor.clean)
            if found.id != backup:
                raise MalformedResponse("it is about another backup")
            return found

        return _read(request, self._transport.call(request, deadline), read)

    def _delete_member(self, request: Request, backup: str, project: str, deadline: Deadline) -> None:
        backoff = self._transport.new_backoff(deadline, self._transport.endpoint())
        show = _member_request("showing", "GET", "cbr:member:get", backup, project)
        while True:
            response = self._transport.call(request, deadline)
            if response.status == 204:
                return
            problem = response.error(request.operation)
            try:
                self._call_and_confirm(
                    lambda deadline: self._show_member(show, backup, project, deadline), show, backup, deadline
                )
            except NotFound:
                return
            except CbrError as error:
                raise UnknownOutcomeError(messages.unknown_result(str(problem), str(error))) from error
            # The share still exists. If the body has an error code of CBR, that is the cause, even with a 2xx status.
            if response.has_service_code():
                raise problem
            if not backoff.wait_before_retry(str(problem)):
                raise UnknownOutcomeError(str(problem)) from problem

    def _change(self, request: Request, read: Callable[[Mapping[str, object], ApiResponse], T], backup: str) -> T:
        """Return the result of a call that changes something.

        A 2xx means that the change was made. If its body cannot be read, this raises `UnknownOutcomeError`.
        """

        def change(deadline: Deadline) -> T:
            response = self._transport.call(request, deadline)
            try:
                return _read(request, response, read)
            except UnexpectedResponseError as error:
                raise UnknownOutcomeError(str(error), response.sent_at) from error

        return self._call_and_confirm(change, request, backup)

    def _call_and_confirm(
        self, call: Callable[[Deadline], T], request: Request, backup: str, deadline: Deadline | None = None
    ) -> T:
        """Make a call, and confirm a missing backup by a GET of the backup.

        A single 404 or "Malformed request url" may be a gateway's fault.
        """
        deadline = deadline or self._transport.new_deadline()
        is_list = request.action == "cbr:member:list"
        try:
            return call(deadline)
        except NotFound as error:
            if is_list or not error.is_about_member:
                try:
                    error.is_backup_gone = self._confirm_backup_gone(request, backup, error, deadline)
                except CbrError as failed:
                    if request.method != "DELETE":
                        raise
                    # The response is wrong, or cannot be checked. An earlier attempt may have been carried out.
                    is_wrong = isinstance(failed, ContradictoryResponseError)
                    text = str(failed) if is_wrong else messages.unknown_result(str(error), str(failed))
                    raise UnknownOutcomeError(text) from failed
            raise
        except RejectedUrlError as error:
            self._confirm_backup_gone(request, backup, error, deadline)
            raise _not_found(request.operation, error) from error

    def _confirm_backup_gone(self, request: Request, backup: str, error: ServiceError, deadline: Deadline) -> bool:
        """Return whether a GET of the backup confirms that it is gone.

        If the backup exists, raises `ContradictoryResponseError`. If the user may not read it, returns False. In both cases, raises
        `error` instead if it is a `RejectedUrlError`.
        """
        try:
            found = self._show_backup(backup, deadline)
        except NotFound:
            return True
        except RejectedUrlError:
            self._check_backups_listable(error, deadline)
            return True
        except NotAllowed:
            # Not confirmed: callers that need to know read each share by its own GET.
            if isinstance(error, NotFound):
                return False
            raise error from None
        if isinstance(error, RejectedUrlError):
            raise error
        contradiction = ContradictoryResponseError(
            request.operation,
            status=error.status,
            code=error.code,
            said=messages.backup_exists(error.said, backup),
            request_id=error.request_id,
            advice=messages.try_later(),
        )
        contradiction.backup = found
        raise contradiction from error

    def _check_backups_listable(self, error: ServiceError, deadline: Deadline) -> None:
        """Raise `error` unless the service lists backups.

        If it does, its address and the own project are right.
        """
        request = Request("listing the backups", "GET", "/backups", action="cbr:backups:list", params={"limit": "1"})
        try:
            _read(
                request,
                self._transport.call(request, deadline),
                lambda data, _: read_value(data, "backups", list, "the response"),
            )
        except CbrError:
            raise error from None

    def _pages(
        self,
        request: Request,
        key: str,
        read: Callable[[Mapping[str, object], ApiResponse], T],
        page_size: int = _PAGE_SIZE,
        deadline: Deadline | None = None,
    ) -> Iterator[T]:
        """Yield the entries of a list, page by page.

        Without `deadline`, each page has a deadline of its own.
        """
        seen: set[str] = set()
        position: dict[str, str] = {}
        while True:
            params = {**(request.params or {}), "limit": str(page_size), **position}
            response = self._transport.call(replace(request, params=params), deadline)
            entries, count = _read(request, response, lambda data, response: _page(data, key, response, read))
            new = {id_: entry for id_, entry in entries if id_ not in seen}
            seen.update(new)
            yield from new.values()
            # A service may cap the size of its pages, and its count may be of the page only. So neither a short page nor the
            # count alone ends the list: both together do, or a short page without a count.
            if not entries or (len(entries) < min(page_size, _PAGE_SIZE) and (count is None or len(seen) >= count)):
                # A count may ignore the filters. With filters, only an empty list is compared: a fault may have hidden the rest.
                if not request.params or not seen:
                    _check_count(request, response, len(entries), len(seen), count)
                return
            if not new and "marker" in position:
                raise _unexpected(request, response, messages.page_repeated(), "Run again")
            # Services that ignore `offset` support `marker`.
            position = {"offset": str(len(seen))} if new and "marker" not in position else {"marker": entries[-1][0]}


def _page(
    data: Mapping[str, object],
    key: str,
    response: ApiResponse,
    read: Callable[[Mapping[str, object], ApiResponse], T],
) -> tuple[list[tuple[str, T]], int | None]:
    """Return the entries of a page with their IDs, and the count that the service tells."""
    entries: list[tuple[str, T]] = []
    for entry in read_value(data, key, list, "the response"):
        if not isinstance(entry, dict):
            raise MalformedResponse(f"an entry of `{key}` is not an object")
        entries.append((read_id(entry, "id", "an entry"), read(entry, response)))
    count = data.get("count")
    return entries, count if isinstance(count, int) and not isinstance(count, bool) else None


def _check_count(request: Request, response: ApiResponse, on_page: int, seen: int, count: int | None) -> None:
    """Raise `UnexpectedResponseError` if a list and its count contradict each other.

    A count above ten is ignored unless the list is empty: an example of the references has a count of 50 and one member.
    """
    if count is None:
        return
    is_short = seen < count <= MAX_MEMBERS or (seen == 0 and count > 0)
    if is_short or count < on_page:
        raise _unexpected(request, response, messages.list_contradicts_count(seen, count), "Run again")


def _omit_none(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _name_projects(projects: Sequence[str]) -> str:
    return f"project {projects[0]}" if len(projects) == 1 else f"projects {', '.join(projects)}"


def _member_ids(backup_id: str, dest_project_id: str) -> tuple[str, str]:
    return ids.uuid("backup_id", backup_id), ids.project_id("dest_project_id", dest_project_id)


def _member_request(verb: str, method: str, action: str, backup: str, project: str) -> Request:
    operation = f"{verb} the share of backup {backup} with project {project}"
    return Request(operation, method, f"/backups/{backup}/members/{project}", action=action)


def _read_member(data: Mapping[str, object], response: ApiResponse, backup: str, project: str) -> Member:
    member = Member.from_dict(read_value(data, "member", dict, "the response"), response.redactor.clean)
    _check_ids(member, backup, project)
    return member


def _check_ids(member: Member, backup: str, project: str | None = None) -> None:
    """Raise `MalformedResponse` if a member is not the one that was asked for."""
    if member.backup_id != backup:
        raise MalformedResponse("it is about another backup")
    if project and member.dest_project_id != project:
        raise MalformedResponse("it is about another project")


def _read(request: Request, response: ApiResponse, read: Callable[[Mapping[str, object], ApiResponse], T]) -> T:
    """Return what `read` makes of a response's JSON. Raises `UnexpectedResponseError`."""
    try:
        return read(response.json_object(), response)
    except MalformedResponse as error:
        raise _unexpected(request, response, messages.not_a_cbr_response(str(error))) from error


def _unexpected(request: Request, response: ApiResponse, said: str, advice: str = "") -> UnexpectedResponseError:
    return UnexpectedResponseError(
        request.operation,
        status=response.status,
        said=said,
        request_id=response.request_id,
        advice=advice or messages.check_endpoint(),
    )


def _not_found(operation: str, error: RejectedUrlError) -> NotFound:
    """Return the error of a backup that is gone, and whose ID a gateway therefore rejects."""
    gone = NotFound(
        operation, status=404, code=f"{SERVICE_PREFIX}6200", said=messages.backup_gone(), request_id=error.request_id
    )
    gone.is_backup_gone = True
    return gone
