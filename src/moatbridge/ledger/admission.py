"""Admission (transaction B): a planned intent becomes real, or steps aside.

Compare-and-set on the mark: an intent was judged against one observation; if the mark
has moved since, a newer observation got there first and this one must not be sent
(delivery 38b). The same transaction writes link, mark and open slot, freezes the bytes
and puts the parcel in flight, all before the first byte leaves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.ledger import admitting, flows, holds, marks, parcels
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.marks import Mark
    from moatbridge.ledger.parcels import Item, Parcel

WAIT: float = 1.0
"""Seconds until an intent whose link is busy is looked at again."""

BLOCKED: float = 60.0
"""The same, when the link waits for a person."""


_LIVE = "live"


class Candidate(NamedTuple):
    """A planned intent with its encoded bytes.

    Args:
        item: The planned row.
        frozen: Encoded intent (`frozen.dumps`), or None when there is nothing to send:
            then only link and mark are written.
        before: Target record before the write, for undo.
        target: Key, name and version of the target record that is adopted.
        version: Source version to remember.
        mark: Mark of an adopted target record, as its own side would see it.
        base: Path hashes to remember where there is nothing to send.
        parts: What ``frozen`` was made of; only the flow looks at it.
    """

    item: Item
    frozen: str | None
    before: str | None = None
    target: tuple[str, str | None, str | None] | None = None
    version: str | None = None
    mark: tuple[bytes, bytes | None, bytes | None] | None = None
    base: bytes | None = None
    parts: Any = None


@dataclass(slots=True)
class Admitted:
    """What became of the candidates: positions by outcome, and link ids.

    ``blocked`` counts those of ``waiting`` that wait for a person.
    """

    link_ids: dict[int, int] = field(default_factory=dict)
    ready: list[int] = field(default_factory=list)
    noop: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    blocked: int = 0
    dropped: list[tuple[int, State, str]] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    rebased: list[int] = field(default_factory=list)


def admit(
    tx: Transaction,
    *,
    flow_id: int,
    pair_id: int,
    side: int,
    named: bool,
    conditional: bool,
    parcel: Parcel,
    fence: int,
    retry_for: float,
    candidates: Sequence[Candidate],
    told_once: bool = False,
) -> Admitted:
    """Admit a planned parcel and put it in flight.

    Args:
        tx: The slice's step transaction.
        flow_id: The flow.
        pair_id: Its pair.
        side: Source side, 0 or 1.
        named: The source's records are referred to by name: keep aliases.
        conditional: The target refuses a write based on an older version.
        parcel: A PLANNED parcel.
        fence: Fence of the lane's lease.
        retry_for: Seconds after which an undelivered intent is parked.
        candidates: All of the parcel's intents.
        told_once: Nobody can look at their source again: what a mark overtook rests on
            that mark from now on. What a pass staged is left to the next pass, since a
            newer change may have been told.
    """
    side_id = pair_id * 2 + side
    told_once = told_once and parcel.part == _LIVE
    result = Admitted()
    known = marks.lookup(tx, side_id, [c.item.k for c in candidates])
    linked = [c.item.link_id for c in candidates if c.item.link_id]
    busy = _busy(tx, flow_id, linked, conditional=conditional)
    chosen: list[Candidate] = []
    taken: set[bytes] = set()
    owned = _owned(tx, side_id ^ 1, candidates)
    for candidate in candidates:
        if candidate.item.k in taken and told_once:
            result.waiting.append(candidate.item.pos)  # the newer one follows
        elif told_once and _rebased(tx, parcel, candidate.item, known, result):
            taken.add(candidate.item.k)
        elif _claims(candidate, owned):
            result.dropped.append((candidate.item.pos, State.REJECTED, "ref-clash"))
        elif candidate.item.k in taken:
            result.dropped.append((candidate.item.pos, State.REJECTED, "duplicate-key"))
        elif _passes(
            tx, candidate, known.get(candidate.item.k), busy, result, told_once
        ):
            taken.add(candidate.item.k)
            chosen.append(candidate)
    moved, by = [c.item.k for c in chosen], parcel if told_once else None
    holds.outdate_holds(tx, flow_id, moved, by=by)
    admitting.write_links(tx, pair_id, side, chosen, result)
    admitting.write_marks(tx, side_id, chosen, result, named=named)
    admitting.write_intents(tx, parcel, chosen, result)
    done = [c.item for c in chosen if c.frozen is None and c.target]
    flows.wake_waiting(tx, pair_id, done)
    again(tx, flow_id, result.again, "newer")
    parcels.settle_one(tx, parcel, result.dropped)
    parcels.postpone(tx, parcel, result.rebased, not_before=0.0)
    if result.waiting:
        wait = BLOCKED if result.blocked == len(result.waiting) else WAIT
        parcels.postpone(tx, parcel, result.waiting, not_before=tx.now() + wait)
    now = tx.now()
    if result.ready:
        parcels.move(
            tx,
            parcel,
            State.IN_FLIGHT,
            attempt=parcel.attempt + 1,
            fence=fence,
            first_sent=now,
            last_sent=now,
            deadline=now + retry_for,
        )
    else:
        tx.run(
            "UPDATE parcel SET state=? WHERE parcel_id=?",
            State.DONE if result.noop else State.CANCELLED,
            parcel.parcel_id,
        )
    return result


def boarded(
    candidates: Sequence[Candidate], admitted: Admitted
) -> list[tuple[Item, Any]]:
    """The intents that are in flight now, as `parcels.items` would read them.

    Each with what its bytes were made of.
    """
    ready, ids = set(admitted.ready), admitted.link_ids
    return [
        (c.item._replace(link_id=ids[c.item.pos], payload=c.frozen), c.parts)
        for c in candidates
        if c.frozen is not None and c.item.pos in ready
    ]


def _passes(
    tx: Transaction,
    candidate: Candidate,
    mark: Mark | None,
    busy: dict[int, tuple[int, int, State]],
    result: Admitted,
    told_once: bool,
) -> bool:
    item = candidate.item
    if (why := _moved(item, mark)) is not None:
        result.dropped.append((item.pos, State.CANCELLED, why))
        if why == "newer" and mark is not None:
            result.again.append(mark.link_id)
        return False
    holder = busy.get(item.link_id or 0)
    if holder is None:
        return True
    other_parcel, other_pos, state = holder
    if state is State.RETRY and not (told_once and _says_part(item)):
        # Certainly not applied: the newer one replaces it.
        tx.run(
            "UPDATE intent SET state=?, error='newer', payload=NULL "
            "WHERE parcel_id=? AND pos=?",
            State.SUPERSEDED,
            other_parcel,
            other_pos,
        )
        tx.run("DELETE FROM open WHERE link_id=? AND slot=0", item.link_id)
        return True
    result.waiting.append(item.pos)
    result.blocked += state in {State.PARKED, State.HELD}
    return False


def _rebased(
    tx: Transaction,
    parcel: Parcel,
    item: Item,
    known: dict[bytes, Mark],
    result: Admitted,
) -> bool:
    """Let the newest that was told rest on the mark as it is now; True if it moved."""
    mark = known.get(item.k)
    if mark is None or _moved(item, mark) != "newer":
        return False
    tx.run(
        "UPDATE intent SET link_id=?, prev_fp=? WHERE parcel_id=? AND pos=?",
        mark.link_id,
        mark.fp,
        parcel.parcel_id,
        item.pos,
    )
    result.rebased.append(item.pos)
    return True


def _says_part(item: Item) -> bool:
    """Whether what it would replace says something that it does not say itself.

    Whoever leaves does not wait: `active` alone goes at once.
    """
    told = json.loads(item.payload)
    return bool(told.get("partial")) and told.get("entity") != {"active": False}


def _owned(
    tx: Transaction, target_side: int, candidates: Sequence[Candidate]
) -> dict[bytes, int | None]:
    """Target records that are to be adopted, and whose they are already."""
    keys = [key_hash(c.target[0]) for c in candidates if c.target]
    return {k: mark.link_id for k, mark in marks.lookup(tx, target_side, keys).items()}


def _claims(candidate: Candidate, owned: dict[bytes, int | None]) -> bool:
    """Whether it would take a target record that belongs to another source record."""
    if candidate.target is None:
        return False
    k, mine = key_hash(candidate.target[0]), candidate.item.link_id
    if k in owned:
        return owned[k] is None or owned[k] != mine
    owned[k] = mine
    return False


def _moved(item: Item, mark: Mark | None) -> str | None:
    """Why this intent no longer rests on the newest observation; None if it does."""
    if item.link_id is None and mark is None:
        return None
    if mark is None:
        return "erased"
    if item.link_id is not None and mark.fp == item.prev_fp:
        return None
    return "already" if mark.out_fp == item.out_fp else "newer"


def _busy(
    tx: Transaction, flow_id: int, link_ids: Sequence[int], *, conditional: bool
) -> dict[int, tuple[int, int, State]]:
    """Links with something admitted and not settled: parcel, position, state.

    A link also rests for the longest life of a request after an attempt of unknown
    outcome, unless writes are conditional: a request that lingers must not overwrite
    the newer value (delivery 25).
    """
    found: dict[int, tuple[int, int, State]] = {}
    for part in marks.chunks(link_ids, 500):
        holes = ",".join("?" * len(part))
        if not conditional:
            for (link_id,) in tx.all(
                f"SELECT link_id FROM link WHERE link_id IN ({holes}) "
                "AND quiet_until>?",
                *part,
                tx.now(),
            ):
                found[link_id] = (0, 0, State.UNKNOWN)
        for link_id, parcel_id, pos, state in tx.all(
            "SELECT o.link_id, o.parcel_id, o.pos, "
            "CASE WHEN p.flow_id=? THEN p.state ELSE ? END FROM open o "
            "JOIN parcel p ON p.parcel_id=o.parcel_id "
            f"WHERE o.slot=0 AND o.link_id IN ({holes})",
            flow_id,
            State.UNKNOWN,  # the opposite flow's: its fields are not ours to replace
            *part,
        ):
            found[link_id] = (parcel_id, pos, State(state))
    return found


def again(tx: Transaction, flow_id: int, link_ids: Sequence[int], reason: str) -> None:
    """Ask for these records to be read and judged afresh by this flow."""
    flows.ask_again(tx, [(flow_id, link_id) for link_id in link_ids], reason)
