"""Deciding about one held item (guard 8, 31-35, 37): one function for both faces.

Pure: the caller stores the decision under a compare-and-set on the item's version.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from moatbridge.config.loosening import printable
from moatbridge.entities import canonical_json
from moatbridge.errors import Rejected
from moatbridge.guard.approval import person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.config.guard_rules import Rules
    from moatbridge.guard.verdict import Reason

Action: TypeAlias = Literal["approve", "refuse", "false-alarm"]
ItemState: TypeAlias = Literal["held", "approved", "refused", "expired"]

PERSONAL: Final[frozenset[Reason]] = frozenset({
    "approval", "quarantine", "conflict", "ambiguous", "removal", "limit",
    "no-audience", "audience", "mass-mention", "label", "loop", "ref-clash",
    "duplicate-key", "guard-bug",
})  # fmt: skip
"""Reasons that only a person ends; ``quiet``, ``budget``, ``digest`` end by themselves
and never expire (guard 34)."""


_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class HeldItem:
    """What deciding needs to know of one held change.

    Args:
        item_id: Its number.
        version: Goes up with every decision and every newer content.
        reason: Why it is held.
        digest: `item_digest` of what would be sent.
        created: POSIX seconds.
        expires: POSIX seconds; None if it never does.
        authors: Principals who must not approve it: author, last editor, starter.
        state: ``held`` until decided.
        decided_by: Who decided.
        decided_at: When.
        note: The decider's reason.
        false_alarm: The rule was wrong about it; counted for tuning.
    """

    item_id: int
    version: int
    reason: Reason
    digest: bytes
    created: float
    expires: float | None = None
    authors: frozenset[str] = frozenset()
    state: ItemState = "held"
    decided_by: str | None = None
    decided_at: float | None = None
    note: str = ""
    false_alarm: bool = False


def item_digest(
    *,
    target: str,
    op: str,
    fingerprint: bytes,
    audience: Iterable[str] = (),
    attachments: Iterable[bytes] = (),
    not_before: float | None = None,
    not_after: float | None = None,
) -> bytes:
    """SHA-256 of everything an approval binds to (guard 32).

    Args:
        target: System name.
        op: Operation.
        fingerprint: `moatbridge.entities.fingerprint` of the entity.
        audience: Ids it resolves to, in any order.
        attachments: SHA-256 of each, in order.
        not_before: POSIX seconds.
        not_after: POSIX seconds.
    """
    times = [None if t is None else int(t * 1000) for t in (not_before, not_after)]
    body = [
        target,
        op,
        fingerprint.hex(),
        sorted(audience),
        [each.hex() for each in attachments],
        times,
    ]
    return hashlib.sha256(canonical_json(body).encode()).digest()


class Bound(NamedTuple):
    """What `item_digest` takes of content: readers and attachments."""

    audience: tuple[str, ...]
    attachments: tuple[bytes, ...]


def bound_to(
    entity: Mapping[str, Any] | None, readers: Iterable[str] | None = None
) -> Bound:
    """What an approval of this entity binds to beside its fingerprint (guard 32).

    The flow calls it when an item is held and again in transaction B, and hands both
    parts to `item_digest`; so a group that got other members, or a file that was
    changed, voids the approval.

    Args:
        entity: What would be sent; None for a delete.
        readers: Ids at the target that the audience resolves to (`Outgoing.readers`),
            members of groups included where they are known; None: the references as
            they stand in the entity.
    """
    entity = entity or {}
    audience = entity.get("audience")
    who: list[str] = []
    if isinstance(audience, dict):
        named = map(canonical_json, audience.get("refs") or ())
        who = [f"kind:{audience.get('kind')}", *(named if readers is None else readers)]
    attached = (
        each for each in entity.get("attachment") or () if isinstance(each, dict)
    )
    return Bound(tuple(who), tuple(map(_attached, attached)))


def _attached(attachment: Mapping[str, Any]) -> bytes:
    """A blob's own SHA-256, else that of where the attachment lies."""
    digest = (attachment.get("blob") or {}).get("sha256")
    if isinstance(digest, str) and _SHA256.fullmatch(digest):
        return bytes.fromhex(digest)
    return hashlib.sha256(canonical_json(attachment).encode()).digest()


def decide(
    item: HeldItem,
    *,
    version: int,
    principal: str,
    action: Action,
    reason: str = "",
    now: float,
    four_eyes: bool = True,
) -> HeldItem:
    """The item after a person's decision.

    Args:
        item: As stored.
        version: The version the person was looking at.
        principal: Who decides.
        action: ``false-alarm`` approves, and is counted for tuning.
        reason: At most 500 characters are kept; never interpreted.
        now: Ledger time in POSIX seconds.
        four_eyes: Whether the approver must not be one of the authors.

    Raises:
        Rejected: ``guard.approval`` (kind ``conflict``): already decided, changed
            since it was shown, or expired; kind ``rights``: one's own item.
    """
    _open_to(item, version, principal, now)
    own = {person(author) for author in item.authors}
    if four_eyes and action != "refuse" and person(principal) in own:
        raise _refused(item, "needs approval by somebody else", "rights")
    return replace(
        item,
        version=item.version + 1,
        state="refused" if action == "refuse" else "approved",
        decided_by=principal,
        decided_at=now,
        note=printable(reason),
        false_alarm=action == "false-alarm",
    )


def expires_at(reason: Reason, rules: Rules, now: float) -> float | None:
    """When an item held now for that reason expires; None if it waits for no one."""
    if reason not in PERSONAL:
        return None
    late = reason == "quarantine"
    return now + (rules.quarantine_ttl if late else rules.approval_ttl)


def expire(item: HeldItem, now: float) -> HeldItem:
    """The item, expired if it waited too long for a person; else unchanged."""
    late = item.expires is not None and now >= item.expires
    if item.state != "held" or item.reason not in PERSONAL or not late:
        return item
    return replace(item, version=item.version + 1, state="expired")


def still_approved(item: HeldItem, digest: bytes) -> bool:
    """Whether an approval covers what would be sent now; asked in transaction B."""
    return item.state == "approved" and item.digest == digest


def _open_to(item: HeldItem, version: int, principal: str, now: float) -> None:
    if item.state != "held":
        raise _refused(item, f"was already decided by {item.decided_by}", "conflict")
    if item.expires is not None and now >= item.expires:
        raise _refused(item, "has expired and is not sent", "conflict")
    if version != item.version:
        raise _refused(item, "changed since it was shown; look again", "conflict")
    if not person(principal):
        raise _refused(item, "needs a named person to decide", "rights")


def _refused(
    item: HeldItem, what: str, kind: Literal["conflict", "rights"]
) -> Rejected:
    message = f"Held item {item.item_id} {what}."
    return Rejected(message, kind=kind, code="guard.approval", item=item.item_id)
