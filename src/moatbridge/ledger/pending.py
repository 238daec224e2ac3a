"""What waits to be admitted, by record: planned, or held for a person (delivery 38).

Of a source that tells everything once, at most one planned intent of a record waits: a
newer one takes its place, so nothing can overtake (`moatbridge.flow.folding`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from moatbridge.ledger.keys import idempotency_key
from moatbridge.ledger.marks import chunks
from moatbridge.ledger.parcels import approval_follows
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.parcels import Item, Parcel


class Pending(NamedTuple):
    """An intent that waits.

    ``hold`` is (reason, rule, detail) of one that waits for a person, else None;
    ``agreed`` the same of a planned one that a person agreed to.
    """

    parcel_id: int
    pos: int
    k: bytes
    op: str
    fp: bytes | None
    out_fp: bytes | None
    payload: str
    hold: tuple[str, str, str] | None
    agreed: tuple[str, str, str] | None = None

    def __repr__(self) -> str:
        return f"Pending({self.op}, held={self.hold is not None})"


_WAITS = (
    "FROM parcel p JOIN run r ON r.run_id=p.run_id "
    "JOIN intent i ON i.parcel_id=p.parcel_id "
    "LEFT JOIN hold h ON h.parcel_id=p.parcel_id AND (p.state=5 AND h.decided IS NULL "
    "OR p.state=0 AND h.decided='approve') "
    "WHERE p.flow_id=? AND p.state<10 AND i.state IS NULL "
    "AND (p.state=0 AND r.state='applying' OR p.state=5 AND h.hold_id IS NOT NULL)"
)


def keys(tx: Transaction, flow_id: int, ks: Collection[bytes]) -> set[bytes]:
    """Which of these records, by key hash, something waits for."""
    return {
        k
        for part in chunks(ks, 500)
        for (k,) in tx.all(
            f"SELECT DISTINCT i.k {_WAITS} AND i.k IN ({_holes(part)})", flow_id, *part
        )
    }


def of(
    tx: Transaction, flow_id: int, ks: Collection[bytes]
) -> dict[bytes, list[Pending]]:
    """What waits for these records, by key hash: planned ones first, then held."""
    found: dict[bytes, list[Pending]] = {}
    for part in chunks(ks, 500):
        rows = tx.all(
            "SELECT i.parcel_id, i.pos, i.k, i.op, i.fp, i.out_fp, i.payload, p.state, "
            f"h.reason, h.rule, h.detail {_WAITS} AND i.k IN ({_holes(part)}) "
            "ORDER BY p.state, i.parcel_id, i.pos",
            flow_id,
            *part,
        )
        for row in rows:
            reason, rule, detail = row[8:]
            why = (reason, rule or "", detail or "") if reason else None
            both = (why, None) if row[7] == State.HELD else (None, why)
            one = Pending._make((*row[:7], *both))
            found.setdefault(one.k, []).append(one)
    return found


def replace(tx: Transaction, replaced: Iterable[Pending]) -> None:
    """These planned intents are not sent: a newer one of the record takes its place."""
    _replaced(tx, [(one.parcel_id, one.pos) for one in replaced])


def _replaced(tx: Transaction, rows: Sequence[tuple[int, int]]) -> None:
    tx.many(
        f"UPDATE intent SET state={State.CANCELLED:d}, error='replaced', payload=NULL "
        "WHERE parcel_id=? AND pos=?",
        rows,
    )
    tx.many(
        f"UPDATE parcel SET state={State.CANCELLED:d} WHERE parcel_id=? AND state=0 "
        "AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.parcel_id=parcel.parcel_id "
        "AND i.state IS NULL)",
        [(parcel_id,) for parcel_id, _pos in rows],
    )


def rewrite(tx: Transaction, one: Pending, payload: str) -> None:
    """What waits says more than it did."""
    tx.run(
        "UPDATE intent SET payload=? WHERE parcel_id=? AND pos=?",
        payload,
        one.parcel_id,
        one.pos,
    )


def stage_anew(
    tx: Transaction, parcel: Parcel, item: Item, payload: str, *, wait: float
) -> None:
    """Plan an intent of a sent parcel once more, to be encoded afresh.

    Its key is a new one: it is another effect, on another state of the target.

    Args:
        tx: Open transaction.
        parcel: Where it was.
        item: The intent, certainly not applied; its mark was forgotten.
        payload: What it said when it was planned.
        wait: Seconds until it may be admitted.
    """
    new = tx.insert(
        "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n, "
        "not_before) SELECT flow_id, run_id, lane, phase, part, upto, ?, 1, ? "
        "FROM parcel WHERE parcel_id=?",
        State.PLANNED,
        tx.now() + wait if wait else 0.0,
        parcel.parcel_id,
    )
    tx.run(
        "INSERT INTO intent(parcel_id, pos, link_id, k, ref, op, key, fp, out_fp, "
        "payload, label) VALUES(?,0,?,?,?,?,?,?,?,?,?)",
        new,
        item.link_id,
        item.k,
        item.ref,
        item.op,
        idempotency_key(item.key, "stale"),
        item.fp,
        item.out_fp,
        payload,
        item.label,
    )
    if parcel.n == 1:
        approval_follows(tx, parcel.parcel_id, new)


def follow_approved(tx: Transaction, flow_id: int, parcel_id: int) -> None:
    """What a person agreed to is not overtaken by what was told before it.

    An older change of the record may still be planned, because the record waits for
    something. A whole newer one takes its place; a partial one is to go after it.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        parcel_id: The parcel that was held, planned now.
    """
    rows = tx.all(
        "SELECT o.parcel_id, o.pos, p.not_before, n.pos, n.payload FROM parcel h "
        "JOIN intent n ON n.parcel_id=h.parcel_id JOIN parcel p ON p.flow_id=h.flow_id "
        "AND p.part=h.part AND p.upto<h.upto JOIN intent o ON o.parcel_id=p.parcel_id "
        "AND o.k=n.k JOIN run r ON r.run_id=p.run_id "
        "WHERE h.flow_id=? AND h.parcel_id=? AND h.part='live' AND r.state='applying' "
        "AND p.state<10 AND p.state=0 AND o.state IS NULL AND n.state IS NULL",
        flow_id,
        parcel_id,
    )
    if not rows:
        return
    if not json.loads(rows[0][4]).get("partial"):
        _replaced(tx, [(older, pos) for older, pos, *_rest in rows])
        return
    _planned_anew(tx, parcel_id, rows[0][3], max(row[2] for row in rows))


def _planned_anew(tx: Transaction, parcel_id: int, pos: int, not_before: float) -> None:
    """In a parcel of its own that stands behind all that is planned."""
    new = tx.insert(
        "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n, "
        "not_before) SELECT flow_id, run_id, lane, phase, part, upto, state, 1, ? "
        "FROM parcel WHERE parcel_id=?",
        not_before,
        parcel_id,
    )
    tx.run(
        "UPDATE intent SET parcel_id=? WHERE parcel_id=? AND pos=?", new, parcel_id, pos
    )
    approval_follows(tx, parcel_id, new)
    tx.run(f"UPDATE parcel SET state={State.CANCELLED:d} WHERE parcel_id=?", parcel_id)


def _holes(part: Collection[bytes]) -> str:
    return ",".join("?" * len(part))
