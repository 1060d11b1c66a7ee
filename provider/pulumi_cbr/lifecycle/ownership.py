"""Which resource has a share or an acceptance in one operation of the engine.

The engine creates before it deletes. When it deletes a resource that was renamed, replaced or moved, another resource already has
the share. The claims tell the old one not to delete it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pulumi_cbr import messages
from pulumi_cbr.api.errors import CbrError, UnknownOutcomeError
from pulumi_cbr.lifecycle.claims import (
    ACCEPTANCE_ID,
    ANY_SHARE,
    Claim,
    Properties,
    ShareKey,
    describe_resource,
    find_holding_claims,
    find_last_acquisition,
    find_other_holders,
    has_replacement,
    is_deleted_by_another,
    is_held_by_another,
    is_kept,
    is_made_again,
    is_same_vault,
    select_distinctive,
)
from pulumi_cbr.lifecycle.claims_file import ClaimsFile
from pulumi_cbr.lifecycle.share_state import is_before

_log = logging.getLogger("pulumi_cbr")

#: Seconds to wait for an engine to accept a connection.
_CONNECT_TIMEOUT = 2.0

#: How many adoptions of one operation are shown with a line of their own.
_SHOWN_ADOPTIONS = 10


class Ownership:
    """The claims of one operation, from all processes of the same engine.

    `urn` returns the URN of the current request, or an empty text. Thread-safe.
    """

    def __init__(self, urn: Callable[[], str] = str) -> None:
        self._urn = urn
        self._lock = threading.Lock()
        self._claims: dict[ShareKey, list[Claim]] = {}
        self._imports: set[tuple[ShareKey, str]] = set()
        self._adoptions = 0
        # Of each resource that the program declares: whether it is new or replaced.
        self._is_new_by_urn: dict[str, bool] = {}
        # By URN: the shares that declared resources keep.
        self._kept: dict[str, set[tuple[ShareKey, str]]] = {}
        # Rejected shares that are replaced, with the URN of their resource.
        self._reshared: set[tuple[ShareKey, str]] = set()
        # Shares and acceptances that two resources have, and that a warning has named.
        self._held_twice: set[ShareKey] = set()
        self._engine: str | None = None
        self._single_operation: bool | None = None
        self._file: ClaimsFile | None = None

    def join(self, engine: str) -> None:
        """Share the claims with the other processes of the engine at this address.

        Another address than before is another operation: this process forgets its claims.
        """
        with self._lock:
            if engine != self._engine:
                self._leave()
                self._forget()
                self._engine = engine

    def leave(self) -> None:
        """Remove the file of this process."""
        with self._lock:
            self._leave()

    def record(
        self, backup_id: str, project: str, share_id: str, *, adopted: bool, properties: Properties | None = None
    ) -> None:
        """Record that the current resource has created a share, or adopted one that existed.

        Without `properties`, this resource cannot be distinguished from a replaced one with the same URN. A later delete of the
        URN then leaves the share.
        If the claim cannot be written, a warning is logged. Raises `CbrError` if another resource deletes the adopted share: then this
        resource does not have it.
        """
        key, urn = ShareKey(backup_id, project, share_id == ACCEPTANCE_ID), self._urn()
        distinctive = select_distinctive(properties)
        kind: Literal["created", "adopted"] = "adopted" if adopted else "created"
        with self._lock:
            before = find_last_acquisition(find_holding_claims(self._claims.get(key, [])), urn)
            if before and before.kind == "adopted" and before.share_id == share_id and before.properties is None:
                # `create_shares` adopts without properties what it finds after a lost response. The replaced resource may have created it.
                kind, distinctive = "adopted", None
            self._store_claim(Claim(backup_id, project, share_id, urn, kind, distinctive, time.time()))
            if adopted and distinctive is not None:
                claims = self._read_if_possible(key)
                if self._has_delete_by_another(claims, share_id, ANY_SHARE):
                    self._record_claim(key, share_id, urn, "released")
                    raise CbrError(messages.adopted_while_deleted(backup_id, project))
                self._warn_if_held_twice(key, share_id, claims)
            if not adopted and not key.is_acceptance:
                self._warn_of_old_acceptance(key)

    def release(self, backup_id: str, project: str, share_id: str) -> None:
        """Record that the current resource does not have a share after all: its change failed."""
        with self._lock:
            self._record_claim(
                ShareKey(backup_id, project, share_id == ACCEPTANCE_ID), share_id, self._urn(), "released"
            )

    def find_other_holder(self, backup_id: str, project: str, share_id: str) -> str | None:
        """Return the kind and name of another resource of the program that has a share, or None."""
        key, urn = ShareKey(backup_id, project, is_acceptance=False), self._urn()
        with self._lock:
            others = find_other_holders(self._read_if_possible(key), share_id, urn) if urn else []
            return describe_resource(others[-1]) if others and self._is_single_operation() else None

    def record_acceptance(self, backup_id: str, project: str, *, adopted: bool, properties: Properties) -> None:
        """Record that the current resource has accepted a share, or found it accepted.

        If the claim cannot be written, a warning is logged.
        """
        self.record(backup_id, project, ACCEPTANCE_ID, adopted=adopted, properties=properties)

    def show_adoption(self, line: str) -> None:
        """Show what the current resource has adopted, for the first few of an operation."""
        with self._lock:
            self._adoptions += 1
            number = self._adoptions
        if number <= _SHOWN_ADOPTIONS:
            _log.info("%s", line)
        elif number == _SHOWN_ADOPTIONS + 1:
            _log.info("%s", messages.more_adopted(_SHOWN_ADOPTIONS))

    def record_declared(self, *, is_new: bool) -> None:
        """Record that the program declares the current resource.

        Called for each check. `is_new` is also true for the replacement of a resource: what the replaced one kept is released.
        """
        urn = self._urn()
        with self._lock:
            self._is_new_by_urn[urn] = is_new
            for key, share_id in self._kept.pop(urn, ()) if is_new else ():
                self._record_claim(key, share_id, urn, "released")

    def mark_reshared(self, backup_id: str, project: str) -> None:
        """Record that the current resource is replaced, as its share is rejected in the state."""
        with self._lock:
            self._reshared.add((ShareKey(backup_id, project, is_acceptance=False), self._urn()))

    def is_reshared(self, backup_id: str, project: str) -> bool:
        """Return whether `mark_reshared` was called for the current resource."""
        with self._lock:
            return (ShareKey(backup_id, project, is_acceptance=False), self._urn()) in self._reshared

    def mark_imported(self, backup_id: str, project: str, *, acceptance: bool = False) -> None:
        """Record that the current resource was read by its ID alone, as in an import.

        `keep` then records its share as adopted.
        """
        with self._lock:
            self._imports.add((ShareKey(backup_id, project, acceptance), self._urn()))

    def keep(self, backup_id: str, project: str, share_id: object, since: object = None) -> None:
        """Record that the current resource keeps a share, if it is declared or imported.

        `since` is when the share was created, or when the acceptance was made, as the state has it.

        A refresh without a program records nothing: the engine may delete the resource in the same operation. If the claim
        cannot be written, or another resource has the share too, a warning is logged. Raises `CbrError` if another resource
        deletes the share in this operation: then an imported resource does not have it.
        """
        key, urn = ShareKey(backup_id, project, share_id == ACCEPTANCE_ID), self._urn()
        if not (urn and isinstance(share_id, str)):
            return
        with self._lock:
            is_import = (key, urn) in self._imports
            if self._is_new_by_urn.get(urn) is False:
                self._kept.setdefault(urn, set()).add((key, share_id))
            elif not is_import:
                return
            known = find_holding_claims(self._claims.get(key, []))
            if not any(claim.urn == urn and claim.share_id == share_id for claim in known):
                self._record_claim(key, share_id, urn, "adopted" if is_import else "kept", since)
            claims = self._read_if_possible(key)
            if self._has_delete_by_another(claims, share_id, ANY_SHARE):
                if is_import:
                    self._record_claim(key, share_id, urn, "released")
                    raise CbrError(messages.adopted_while_deleted(backup_id, project))
                raise CbrError(messages.deleted_by_another(backup_id, project))
            self._warn_if_held_twice(key, share_id, claims)
            if since and not key.is_acceptance:
                self._warn_of_old_acceptance(key, since)

    def keep_acceptance(self, backup_id: str, project: str, accepted_at: object = None) -> bool:
        """Record that the current resource keeps an acceptance; return whether it still exists.

        It ended if the share is new: see `is_share_new`.
        """
        # `keep` writes before this reads, and a delete writes before it reads: at least one notices the other.
        self.keep(backup_id, project, ACCEPTANCE_ID, accepted_at)
        return not self.is_share_new(backup_id, project, accepted_at)

    def is_share_new(self, backup_id: str, project: str, accepted_at: object = None) -> bool:
        """Return whether the share is another one than was accepted at `accepted_at`.

        It is if a resource deletes or creates the share in this operation, or keeps a share that is younger than `accepted_at`.
        A younger one exists if an earlier operation ended between the new share and its acceptance.
        """
        with self._lock:
            claims = self._read_if_possible(ShareKey(backup_id, project, is_acceptance=False))
            return is_made_again(claims, accepted_at) and self._is_single_operation()

    def must_share_stay(
        self, backup_id: str, project: str, share_id: object, properties: Properties | None = None
    ) -> bool:
        """Return whether a delete must leave the share.

        It must if one of these has it:
        - another resource,
        - the program's resource with this URN: the same one, or its replacement.

        If no resource with this URN has it, this releases the claims of the URN. `share_id` and `properties` are of the state that is
        deleted. Raises `CbrError` if the claims of other processes cannot be read.
        """
        urn, key = self._urn(), ShareKey(backup_id, project, share_id == ACCEPTANCE_ID)
        deleted = share_id if isinstance(share_id, str) else ""
        distinctive = select_distinctive(properties)
        with self._lock:
            claims = find_holding_claims(self._read_all(key))
            if share_id == ACCEPTANCE_ID:
                # A replacement (same URN) that accepts into another vault does not keep the acceptance in this one.
                claims = [claim for claim in claims if claim.urn != urn or is_same_vault(claim.properties, distinctive)]
            if is_kept(claims, deleted, urn) and self._engine is not None and self._is_single_operation():
                # The program still has this URN. The engine deletes the old resource of an interrupted replacement.
                return True
            is_replaced = has_replacement(
                claims, deleted, urn, distinctive, is_single_operation=self._is_single_operation
            )
            own = [
                claim for claim in claims if claim.urn == urn and (claim.kind != "kept" or claim.share_id == deleted)
            ]
            if own and not (is_replaced and self._is_single_operation()):
                # This resource gives up the share. Its claim must not stop a later delete of the same URN.
                self._record_claim(key, deleted, urn, "released")
            return is_replaced or is_held_by_another(claims, deleted, urn)

    def must_acceptance_stay(self, backup_id: str, project: str, properties: Properties | None = None) -> bool:
        """Return whether a delete must leave the acceptance: see `must_share_stay`.

        Raises `CbrError` if the claims of other processes cannot be read.
        """
        return self.must_share_stay(backup_id, project, ACCEPTANCE_ID, properties)

    @contextmanager
    def announce_delete(
        self,
        backup_id: str,
        project: str,
        share_id: str,
        *,
        any_share: bool = False,
        may_be_accepted: bool = True,
        is_reshare: bool = False,
    ) -> Iterator[bool]:
        """Record that the current resource deletes a share; yield whether it must stay.

        With `any_share`, the DELETE takes whatever share the project has: it must stay if another resource has one. With
        `is_reshare`, the share was rejected and is created again.

        Send the DELETE inside the context. This method, `keep` and `record` of an adoption first write a claim and then read those of
        others. So of two concurrent resources, at least one sees the other. A claim after the DELETE would be too late. If the DELETE fails
        or is not sent, the claim is retracted. If its outcome is unknown, the claim stays. A new share has no acceptance:
        `may_be_accepted` is false.

        Raises `CbrError` if the claims of other processes cannot be read, or if another resource keeps the acceptance
        and the program still has this resource. With `is_reshare`, also if another resource deletes the share, or has accepted it in
        this operation.
        """
        key, urn = ShareKey(backup_id, project, is_acceptance=False), self._urn()
        deleted = {share_id, ANY_SHARE} if any_share else {share_id}

        def retract() -> None:
            for each in deleted:
                self._record_claim(key, each, urn, "retracted")

        try:
            with self._lock:
                for each in deleted:
                    self._record_claim(key, each, urn, "deleted")
                claims = self._read_all(key)
                must_stay = is_held_by_another(find_holding_claims(claims), share_id, urn, any_share=any_share)
                if must_stay:
                    retract()
                elif is_reshare:
                    self._check_reshare(key, share_id, claims)
                elif may_be_accepted and self._is_acceptance_kept(backup_id, project):
                    if urn in self._is_new_by_urn:
                        raise CbrError(messages.acceptance_kept(backup_id, project))
                    # A share that leaves the program is not made again: its acceptance ends with it.
                    _log.warning("%s", messages.acceptance_ends(backup_id, project))
            yield must_stay
        except UnknownOutcomeError:
            raise
        except CbrError:
            with self._lock:
                retract()
            raise

    def is_deleted_by_another(self, backup_id: str, project: str, share_id: str) -> bool:
        """Return whether another resource deletes a share in this operation, or has deleted it."""
        key = ShareKey(backup_id, project, is_acceptance=False)
        with self._lock:
            return self._has_delete_by_another(self._read_if_possible(key), share_id)

    def _has_delete_by_another(self, claims: list[Claim], *share_ids: str) -> bool:
        return is_deleted_by_another(claims, share_ids, self._urn()) and self._is_single_operation()

    def _check_reshare(self, key: ShareKey, share_id: str, claims: list[Claim]) -> None:
        """Raise `CbrError` if a rejected share is no longer the current resource's to delete."""
        if self._has_delete_by_another(claims, share_id):
            raise CbrError(messages.deleted_by_another(key.backup_id, key.project))
        acceptances = find_holding_claims(self._read_if_possible(key._replace(is_acceptance=True)))
        if any(claim.kind != "kept" for claim in acceptances) and self._is_single_operation():
            raise CbrError(messages.accepted_meanwhile(key.backup_id, key.project))

    def _forget(self) -> None:
        self._claims.clear()
        self._imports.clear()
        self._adoptions = 0
        self._is_new_by_urn.clear()
        self._kept.clear()
        self._reshared.clear()
        self._held_twice.clear()
        self._single_operation = None

    def _read_all(self, key: ShareKey) -> list[Claim]:
        """Return the claims of all processes. Raises `CbrError`."""
        claims = [*self._claims.get(key, ())]
        if self._engine is not None:
            self._file = self._file or ClaimsFile(self._engine)
            claims += self._file.read_others(key)
        return claims

    def _read_if_possible(self, key: ShareKey) -> list[Claim]:
        """Return the claims that can be read; none without an engine."""
        if self._engine is None:
            return []
        try:
            return self._read_all(key)
        except CbrError:
            return self._claims.get(key, [])

    def _is_acceptance_kept(self, backup_id: str, project: str) -> bool:
        key = ShareKey(backup_id, project, is_acceptance=True)
        claims = self._read_all(key) if self._engine is not None else []
        return bool(find_holding_claims(claims)) and self._is_single_operation()

    def _warn_of_old_acceptance(self, share: ShareKey, created_at: object = None) -> None:
        """Warn if a resource keeps the acceptance of an earlier share.

        `created_at` is of the share that the current resource keeps, or None if it has just created it.
        """
        claims = find_holding_claims(self._read_if_possible(share._replace(is_acceptance=True)))
        kept = [claim for claim in claims if claim.kind == "kept"]
        is_old = any(created_at is None or is_before(claim.since, created_at) for claim in kept)
        if is_old and self._is_single_operation():
            _log.warning("%s", messages.acceptance_of_earlier_share(share.backup_id, share.project))

    def _warn_if_held_twice(self, key: ShareKey, share_id: str, claims: list[Claim]) -> None:
        urn = self._urn()
        others = find_other_holders(claims, share_id, urn)
        if others and key not in self._held_twice and self._is_single_operation():
            self._held_twice.add(key)
            names = sorted(describe_resource(each) for each in (urn, others[-1]))
            text = messages.held_twice(key.backup_id, key.project, names, is_acceptance=key.is_acceptance)
            _log.warning("%s", text)

    def _record_claim(
        self,
        key: ShareKey,
        share_id: str,
        urn: str,
        kind: Literal["adopted", "kept", "released", "deleted", "retracted"],
        since: object = None,
    ) -> None:
        properties = {"since": since} if since and kind == "kept" else None
        self._store_claim(Claim(key.backup_id, key.project, share_id, urn, kind, properties, time.time()))

    def _store_claim(self, claim: Claim) -> None:
        self._claims.setdefault(claim.key, []).append(claim)
        if self._engine is not None:
            self._file = self._file or ClaimsFile(self._engine)
            self._file.add(claim, (each for claims in self._claims.values() for each in claims))

    def _is_single_operation(self) -> bool:
        """Return whether all claims are of one operation: there is no engine, or it still runs.

        If it has ended, a process in a debugger may serve a later engine without knowing its address. The first answer is kept until
        `join`.
        """
        if self._single_operation is None:
            self._single_operation = self._engine is None or _is_listening(self._engine)
        return self._single_operation

    def _leave(self) -> None:
        if self._file:
            self._file.close()
        self._engine, self._file = None, None


def _is_listening(engine: str) -> bool:
    host, _, port = engine.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT):
            return True
    except (ConnectionRefusedError, ValueError):
        return False
    except OSError:
        # This says nothing of the engine. If in doubt, a share stays.
        return True
