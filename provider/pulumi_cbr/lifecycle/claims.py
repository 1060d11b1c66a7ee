"""Decide from the claims of one operation which resource has a share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from pulumi_cbr.lifecycle.share_state import is_before

#: Inputs or outputs of a resource.
Properties = Mapping[str, Any]

#: In place of the share ID in claims on an acceptance, because a receiver may not be allowed to read it.
ACCEPTANCE_ID = "accepted"

#: In place of the share ID in claims on a delete that takes whatever share a project has.
ANY_SHARE = ""

#: A replacement has the URN of the resource that it replaces. At least one of these properties differs.
_DISTINCTIVE = ("adopt_existing", "cloud", "exclusive", "reshare_if_rejected", "updated_at", "vault_id")


class ShareKey(NamedTuple):
    """A share, or its acceptance."""

    backup_id: str
    project: str
    is_acceptance: bool


@dataclass(frozen=True)
class Claim:
    """A statement of one resource about a share or an acceptance.

    - `created`, `adopted`: the resource got the share in this operation.
    - `kept`: the resource had the share before.
    - `released`: the resource no longer has the share.
    - `deleted`: the resource will send a DELETE, or has sent it. `retracted`: the share stays after all.

    `properties` distinguish the resource from its replacement: see `select_distinctive`. None if they are unknown. A `kept` claim
    has `since` in their place.
    """

    backup_id: str
    project: str
    share_id: str
    urn: str
    kind: Literal["created", "adopted", "kept", "released", "deleted", "retracted"]
    properties: dict[str, Any] | None
    time: float

    @property
    def key(self) -> ShareKey:
        """The share or the acceptance that the claim is about."""
        return ShareKey(self.backup_id, self.project, self.share_id == ACCEPTANCE_ID)

    @property
    def since(self) -> object:
        """When a kept share was created, or a kept acceptance was made, as the state has it."""
        return (self.properties or {}).get("since")

    @property
    def line(self) -> bytes:
        """The claim as a line of JSON."""
        return f"{json.dumps(asdict(self))}\n".encode()


def select_distinctive(properties: Properties | None) -> dict[str, Any] | None:
    """Return the properties by which a replacement can differ from the replaced resource."""
    if properties is None:
        return None
    distinctive = {name: properties[name] for name in _DISTINCTIVE if properties.get(name)}
    if "vault_id" in distinctive:
        # A state of 0.1.0 has the vault's ID as the service wrote it.
        distinctive["vault_id"] = str(distinctive["vault_id"]).lower()
    return distinctive


def find_holding_claims(claims: Iterable[Claim]) -> list[Claim]:
    """Return the claims of resources that still have their share, oldest first."""
    claims = sorted(claims, key=lambda claim: claim.time)
    # A project has at most one share. A new one means that the earlier one is gone.
    created = next((claim for claim in reversed(claims) if claim.kind == "created"), None)
    if created:
        claims = [claim for claim in claims if claim.share_id == created.share_id or claim.time > created.time]
    current: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.kind == "released":
            current.pop(claim.urn, None)
        elif claim.kind not in ("deleted", "retracted"):
            current.setdefault(claim.urn, []).append(claim)
    return sorted((claim for same_urn in current.values() for claim in same_urn), key=lambda claim: claim.time)


def find_last_acquisition(claims: list[Claim], urn: str) -> Claim | None:
    """Return the last claim by which a resource got its share in this operation."""
    own = [claim for claim in claims if claim.urn == urn and claim.kind != "kept"]
    return own[-1] if own else None


def is_held_by_another(claims: list[Claim], share_id: str, urn: str, *, any_share: bool = False) -> bool:
    """Return whether another resource than `urn` has this share.

    Or it has created or adopted a share of the same backup and project, or, with `any_share`, keeps one. `claims` come from
    `find_holding_claims`.
    """
    others = [claim for claim in claims if claim.urn != urn]
    return any(any_share or claim.kind != "kept" or claim.share_id == share_id for claim in others)


def is_deleted_by_another(claims: Iterable[Claim], share_ids: Collection[str], urn: str) -> bool:
    """Return whether another resource than `urn` deletes one of the shares, or has deleted it."""
    return any(other != urn and deleted in share_ids for other, deleted in _find_deletes(claims))


def is_made_again(claims: list[Claim], accepted_at: object) -> bool:
    """Return whether the share is another one than was accepted at `accepted_at`.

    It is if a resource deleted or created the share, or keeps one that is younger than `accepted_at`.
    """
    return bool(_find_deletes(claims)) or any(
        claim.kind == "created" or (claim.kind == "kept" and is_before(accepted_at, claim.since)) for claim in claims
    )


def find_other_holders(claims: Iterable[Claim], share_id: str, urn: str) -> list[str]:
    """Return the URNs of other resources that have the same share."""
    return [claim.urn for claim in find_holding_claims(claims) if claim.urn != urn and claim.share_id == share_id]


def describe_resource(urn: str) -> str:
    """Return the kind and the name of a resource."""
    # A name may contain `::`.
    kinds, _, name = urn.partition("::")[2].partition("::")[2].partition("::")
    return f"{re.split('[:$]', kinds)[-1]} {name}"


def _find_deletes(claims: Iterable[Claim]) -> set[tuple[str, str]]:
    """Return the deletes that are not retracted: the resource, and the share's ID."""
    last = {(claim.urn, claim.share_id): claim.kind for claim in claims if claim.kind in ("deleted", "retracted")}
    return {delete for delete, kind in last.items() if kind == "deleted"}


def is_kept(claims: list[Claim], share_id: str, urn: str) -> bool:
    """Return whether the program has the resource, and it keeps the share."""
    return any(claim.urn == urn and claim.kind == "kept" and claim.share_id == share_id for claim in claims)


def has_replacement(
    claims: list[Claim],
    share_id: str,
    urn: str,
    properties: dict[str, Any] | None,
    *,
    is_single_operation: Callable[[], bool],
) -> bool:
    """Return whether a new resource with the same URN took over the project's share.

    The delete of the old one must leave it then. `claims` come from `find_holding_claims`. `share_id` and `properties` are of the old
    resource. `is_single_operation` returns whether all claims are of one operation.
    """
    own = find_last_acquisition(claims, urn)
    if own is None:
        return False
    if share_id and own.share_id != share_id:
        return True
    if not share_id:
        # The state has no share ID, as its create was never verified. The replacement's share may be the same.
        return is_single_operation()
    if own.kind == "created" and share_id != ACCEPTANCE_ID:
        return False  # no earlier resource had this share, which is new
    if own.properties is None:
        return True
    if properties is not None and own.properties != properties:
        return True
    # A delete after a create of the same URN is of the replaced resource. Leave the share that the replacement adopted or accepted.
    return (own.kind == "adopted" or (bool(urn) and share_id == ACCEPTANCE_ID)) and is_single_operation()


def is_same_vault(claimed: Properties | None, deleted: Properties | None) -> bool:
    """Return whether two acceptances may be in the same vault.

    Both properties come from `select_distinctive`.
    """
    known = (claimed or {}).get("vault_id")
    return not known or not deleted or known == deleted.get("vault_id")
