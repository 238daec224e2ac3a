"""What admission writes: links, marks, frozen bytes and open slots (transaction B)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.ledger import marks
from moatbridge.ledger.keys import key_hash, name_hash
from moatbridge.ledger.states import LinkState, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.admission import Admitted, Candidate
    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.parcels import Item, Parcel

SAME: Final = "same"
"""Code of an intent that found its record as it should be: nothing was sent."""

GONE: Final = bytes(16)
"""Source fingerprint of a record that vanished; no record has it."""


def state_after(item: Item) -> LinkState:
    """What a link is once this took effect: never live if its source record is gone."""
    if item.op == "delete":
        return LinkState.REMOVED
    off = item.op == "disable" or item.fp == GONE
    return LinkState.DISABLED if off else LinkState.LIVE


def write_links(
    tx: Transaction,
    pair_id: int,
    side: int,
    chosen: Sequence[Candidate],
    result: Admitted,
) -> None:
    """Make new links; keep names, versions and adopted targets of the others."""
    new = [c for c in chosen if c.item.link_id is None]
    ids = marks.allocate(tx, len(new)) if new else range(0)
    mine, other = ("a", "b") if side == 0 else ("b", "a")
    tx.many(
        f"INSERT INTO link(link_id, pair_id, {mine}_key, {mine}_name, {mine}_ver, "
        f"{other}_key, {other}_name, {other}_ver, state, origin) "
        "VALUES(?,?,?,?,?,?,?,?,?,?)",
        [
            (
                link_id,
                pair_id,
                *c.item.source,
                c.version,
                *(c.target or (None, None, None)),
                LinkState.LIVE if c.target else LinkState.PENDING,
                0 if c.target else 1,
            )
            for link_id, c in zip(ids, new, strict=True)
        ],
    )
    result.link_ids = {c.item.pos: c.item.link_id for c in chosen if c.item.link_id}
    result.link_ids.update(zip((c.item.pos for c in new), ids, strict=True))
    tx.many(
        f"UPDATE link SET {mine}_name=?, {mine}_ver=? WHERE link_id=?",
        [
            (c.item.source[1], c.version, c.item.link_id)
            for c in chosen
            if c.item.link_id is not None
        ],
    )
    tx.many(
        f"UPDATE link SET {other}_key=?, {other}_name=?, {other}_ver=?, state=? "
        "WHERE link_id=?",
        [
            (*c.target, LinkState.LIVE, c.item.link_id)
            for c in chosen
            if c.target and c.item.link_id is not None
        ],
    )


def write_marks(
    tx: Transaction,
    side_id: int,
    chosen: Sequence[Candidate],
    result: Admitted,
    *,
    named: bool,
) -> None:
    """Set the marks: from here on nothing older is admitted."""
    marks.put(
        tx,
        side_id,
        [
            (c.item.k, c.item.fp, c.item.out_fp, result.link_ids[c.item.pos])
            for c in chosen
        ],
    )
    marks.put(
        tx,
        side_id ^ 1,
        [
            (
                *(c.mark or (key_hash(c.target[0]), None, None)),
                result.link_ids[c.item.pos],
            )
            for c in chosen
            if c.target
        ],
    )
    if named:
        marks.alias_put(
            tx,
            side_id,
            [
                (name_hash(name), result.link_ids[c.item.pos], None)
                for c in chosen
                if (name := c.item.source[1])
            ],
        )


def write_intents(
    tx: Transaction, parcel: Parcel, chosen: Sequence[Candidate], result: Admitted
) -> None:
    """Freeze the bytes, take the slots, and keep what was there before."""
    for candidate in chosen:
        ready = candidate.frozen is not None
        (result.ready if ready else result.noop).append(candidate.item.pos)
    tx.many(
        "UPDATE intent SET link_id=?, op=?, payload=?, state=?, error=? "
        "WHERE parcel_id=? AND pos=?",
        [
            (
                result.link_ids[c.item.pos],
                c.item.op,
                c.frozen,
                None if c.frozen is not None else State.DONE,
                None if c.frozen is not None else SAME,
                parcel.parcel_id,
                c.item.pos,
            )
            for c in chosen
        ],
    )
    tx.many(
        "UPDATE link SET state=?, remove_at=NULL, base=coalesce(?, base) "
        "WHERE link_id=?",
        [
            (state_after(c.item), c.base, result.link_ids[c.item.pos])
            for c in chosen
            if c.frozen is None
        ],
    )
    tx.many(
        "INSERT INTO open(link_id, slot, parcel_id, pos) VALUES(?,0,?,?)",
        [
            (result.link_ids[c.item.pos], parcel.parcel_id, c.item.pos)
            for c in chosen
            if c.frozen is not None
        ],
    )
    tx.many(
        "INSERT INTO before(parcel_id, pos, image) VALUES(?,?,?)",
        [
            (parcel.parcel_id, c.item.pos, c.before)
            for c in chosen
            if c.before is not None and c.frozen is not None
        ],
    )
