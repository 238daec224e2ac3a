"""What waits for a person: held, parked and rejected items, for every face to list."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

LISTED: Final = 30 * 86400.0
"""Seconds for which people see what expired."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One item that waits for a person.

    Args:
        item: Its name for `decide`: ``h12`` (held), ``p7.3`` (parked), ``r4``.
        kind: ``held``, ``parked`` or ``rejected``; ``expired`` was held, and nobody
            decided in time.
        flow_id: Its flow.
        op: What would be done; empty for a record that could not be translated.
        reason: From a closed list.
        detail: Rules and what they say, or the field; without values.
        ref: Source key and name (personal: show by role only).
        since: POSIX seconds; of what expired, when it did.
        times: How often it was seen.
        entity: What would be sent, for people who may see it; None when not kept.
        before: The target's record as it was when the item was held, if it was looked
            at; for posts.
        expires: POSIX seconds; None if it never does.
        noticed: Rows of (rule, mode, decision, [(field, how often)]): what the guard
            saw in it, without values.
    """

    item: str
    kind: str
    flow_id: int
    op: str
    reason: str
    detail: str
    ref: tuple[str, str | None] | None
    since: float
    times: int = 1
    entity: Any = None
    before: Any = None
    expires: float | None = None
    noticed: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Waiting({self.item} {self.kind} {self.reason})"


def waiting(tx: Transaction, flow_id: int, *, limit: int = 1000) -> list[Waiting]:
    """Everything of a flow that waits for a person, oldest first."""
    return [
        *_held(tx, flow_id, limit),
        *_parked(tx, flow_id, limit),
        *_dead(tx, flow_id, limit),
    ]


def _held(tx: Transaction, flow_id: int, limit: int) -> list[Waiting]:
    rows = tx.all(
        "SELECT h.hold_id, i.op, h.reason, h.rule, h.detail, i.ref, "
        "h.created, i.payload, h.expires FROM hold h "
        "JOIN parcel p ON p.parcel_id=h.parcel_id "
        "JOIN intent i ON i.parcel_id=p.parcel_id "
        "WHERE h.flow_id=? AND h.decided IS NULL AND p.state=? "
        "ORDER BY h.hold_id LIMIT ?",
        flow_id,
        State.HELD,
        limit,
    )
    clashes = tx.all(
        "SELECT p.parcel_id, i.pos, i.op, i.error, i.ref, p.last_sent FROM parcel p "
        "JOIN intent i ON i.parcel_id=p.parcel_id LEFT JOIN hold h "
        "ON h.parcel_id=p.parcel_id WHERE p.flow_id=? AND p.state=? "
        "AND h.hold_id IS NULL AND i.state IS NULL LIMIT ?",
        flow_id,
        State.HELD,
        limit,
    )
    return [
        _shown(
            Waiting(
                f"h{hold_id}",
                "held",
                flow_id,
                op,
                reason,
                _why(reason, rule, detail),
                _ref(ref),
                created,
                expires=expires,
            ),
            payload,
        )
        for hold_id, op, reason, rule, detail, ref, created, payload, expires in rows
    ] + [
        Waiting(
            f"p{parcel_id}.{pos}",
            "parked",
            flow_id,
            op,
            error or "held",
            "",
            _ref(ref),
            sent or 0.0,
        )
        for parcel_id, pos, op, error, ref, sent in clashes
    ]


def expired(tx: Transaction, flow_id: int, *, limit: int = 1000) -> list[Waiting]:
    """What nobody decided in time in the last 30 days: it was not sent (guard 34)."""
    rows = tx.all(
        "SELECT h.hold_id, i.op, h.reason, h.rule, h.detail, i.ref, h.expires "
        "FROM hold h JOIN intent i ON i.parcel_id=h.parcel_id "
        "WHERE h.flow_id=? AND h.decided='expire' AND h.expires>? "
        "ORDER BY h.hold_id LIMIT ?",
        flow_id,
        tx.now() - LISTED,
        limit,
    )
    return [
        Waiting(
            f"h{hold_id}",
            "expired",
            flow_id,
            op,
            reason,
            _why(reason, rule, detail),
            _ref(ref),
            over,
        )
        for hold_id, op, reason, rule, detail, ref, over in rows
    ]


def _why(reason: str, rule: str | None, detail: str | None) -> str:
    """Which rules hold it, where the reason does not say so already, and the detail."""
    said = rule if rule and rule.rstrip("s") != reason else None
    return ": ".join(filter(None, (said, detail)))


def _parked(tx: Transaction, flow_id: int, limit: int) -> list[Waiting]:
    rows = tx.all(
        "SELECT p.parcel_id, i.pos, i.op, i.error, i.ref, p.last_sent, p.attempt "
        "FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        "WHERE p.flow_id=? AND p.state=? AND i.state IS NULL "
        "ORDER BY p.parcel_id, i.pos LIMIT ?",
        flow_id,
        State.PARKED,
        limit,
    )
    return [
        Waiting(
            f"p{parcel_id}.{pos}",
            "parked",
            flow_id,
            op,
            error or "unknown",
            "",
            _ref(ref),
            sent or 0.0,
            attempt,
        )
        for parcel_id, pos, op, error, ref, sent, attempt in rows
    ]


def _dead(tx: Transaction, flow_id: int, limit: int) -> list[Waiting]:
    rows = tx.all(
        "SELECT reject_id, location, reason, field, ref, created, times FROM reject "
        "WHERE flow_id=? ORDER BY reject_id LIMIT ?",
        flow_id,
        limit,
    )
    return [
        Waiting(
            f"r{reject_id}",
            "rejected",
            flow_id,
            "",
            reason,
            _place(location, field),
            _ref(ref),
            created,
            times,
        )
        for reject_id, location, reason, field, ref, created, times in rows
    ]


def _place(location: str | None, field: str | None) -> str:
    """The field to blame (``target: mail`` if the target refused it), or the place."""
    if field and location == "target":
        return f"target: {field}"
    return field or location or ""


def _shown(item: Waiting, payload: str | None) -> Waiting:
    held = json.loads(payload) if payload else {}
    entity = held.get("entity")
    if entity and "audience" in held:  # a reply goes to fewer than its record says
        entity = {**entity, "audience": held["audience"]}
    return replace(
        item,
        entity=entity,
        before=held.get("before"),
        noticed=tuple(held.get("noticed", ())),
    )


def _ref(text: str | None) -> tuple[str, str | None] | None:
    if text is None:
        return None
    key, name = json.loads(text)
    return key, name
