"""Statements for taking a run back: what it did, what is staged against it.

The undoing of a run (delivery 53) is a run of its own, of kind ``retract``. Its intents
lie in parcels whose ``part`` is `UNDO`: what becomes of them says nothing about the
source's records.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger import marks
from moatbridge.ledger.admitting import SAME
from moatbridge.ledger.states import MOVES, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.staging import Staged

KIND: Final = "retract"
"""Kind of a run that takes another one back."""

UNDO: Final = "retract"
"""Part of the parcels of such a run."""

Position = tuple[int, int]
"""Parcel and place in it."""

_FIRST: Final = (2**62, 0)
_UNSURE: Final = (State.IN_FLIGHT, State.UNKNOWN, State.PARKED)
_WAITS: Final = (State.PLANNED, State.READY, State.RETRY, State.HELD)
_SENT_BY: Final = (
    f"AND p.state IN ({State.READY:d},{State.RETRY:d}) AND p.first_sent<=? "
)


class Done(NamedTuple):
    """An intent that took effect, and what is known to take it back.

    Args:
        at: Where it lies.
        link_id: Its link.
        k: Hash of the source record's key.
        ref: JSON of the source record's key and name.
        op: What it amounted to.
        key: Its idempotency key.
        lane: Lane that delivered it.
        label: Confidentiality label.
        receipt: What the target answered, where that is needed to undo it.
        image: The record before, where it was kept.
    """

    at: Position
    link_id: int
    k: bytes
    ref: str
    op: str
    key: str
    lane: int
    label: str | None
    receipt: str | None
    image: str | None

    def __repr__(self) -> str:
        return f"Done({self.op} {self.at})"


_DONE = (
    "SELECT i.parcel_id, i.pos, i.link_id, i.k, i.ref, i.op, i.key, p.lane, i.label, "
    "i.receipt, b.image FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
    "LEFT JOIN before b ON b.parcel_id=i.parcel_id AND b.pos=i.pos WHERE "
)
_TOOK_EFFECT = (
    f"coalesce(i.state, p.state) IN ({State.DONE:d},{State.RETRACT_FAILED:d}) "
    f"AND coalesce(i.error, '')<>'{SAME}' AND i.link_id IS NOT NULL"
)


def delivered(
    tx: Transaction,
    run_id: int,
    *,
    before: Position | None = None,
    since: float | None = None,
    limit: int = 500,
) -> list[Done]:
    """What a run did and nobody took back since, newest first.

    Args:
        tx: Open transaction.
        run_id: The run.
        before: Where the last page ended.
        since: Only what was sent at or after this time.
        limit: Rows of a page.
    """
    rows = tx.all(
        f"{_DONE} p.run_id=? AND {_TOOK_EFFECT} AND p.last_sent>=? "
        "AND (i.parcel_id, i.pos) < (?, ?) "
        "ORDER BY i.parcel_id DESC, i.pos DESC LIMIT ?",
        run_id,
        since or 0.0,
        *(before or _FIRST),
        limit,
    )
    return [_done(row) for row in rows]


def several(tx: Transaction, run_id: int, since: float | None) -> set[int]:
    """Links to which a run did more than one thing."""
    rows = tx.all(
        "SELECT i.link_id FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        f"WHERE p.run_id=? AND {_TOOK_EFFECT} AND p.last_sent>=? "
        "GROUP BY i.link_id HAVING count(*)>1",
        run_id,
        since or 0.0,
    )
    return {int(link_id) for (link_id,) in rows}


def of_links(
    tx: Transaction, run_id: int, link_ids: Sequence[int], since: float | None
) -> dict[int, list[Done]]:
    """Everything a run did to these links, newest first."""
    found: dict[int, list[Done]] = {}
    for part in marks.chunks(link_ids, 500):
        holes = ",".join("?" * len(part))
        rows = tx.all(
            f"{_DONE} p.run_id=? AND {_TOOK_EFFECT} AND p.last_sent>=? "
            f"AND i.link_id IN ({holes}) ORDER BY i.parcel_id DESC, i.pos DESC",
            run_id,
            since or 0.0,
            *part,
        )
        for row in rows:
            one = _done(row)
            found.setdefault(one.link_id, []).append(one)
    return found


def at(tx: Transaction, places: Sequence[Position]) -> dict[Position, Done]:
    """Intents by where they lie; only those that are still in effect."""
    wanted = set(places)
    found: dict[Position, Done] = {}
    for part in marks.chunks(sorted({parcel for parcel, _pos in places}), 500):
        holes = ",".join("?" * len(part))
        rows = tx.all(f"{_DONE} {_TOOK_EFFECT} AND p.parcel_id IN ({holes})", *part)
        found.update((one.at, one) for row in rows if (one := _done(row)).at in wanted)
    return found


def count(tx: Transaction, run_id: int, since: float | None) -> int:
    """How many intents of a run are in effect."""
    return int(
        tx.value(
            "SELECT count(*) FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
            f"WHERE p.run_id=? AND {_TOOK_EFFECT} AND p.last_sent>=?",
            run_id,
            since or 0.0,
        )
    )


def unsure(tx: Transaction, run_id: int) -> list[tuple[int, bytes, str, str, int]]:
    """Intents of a run whose outcome nobody knows: link, key hash, ref, op, lane."""
    holes = ",".join("?" * len(_UNSURE))
    rows = tx.all(
        "SELECT i.link_id, i.k, i.ref, i.op, p.lane FROM parcel p "
        "JOIN intent i ON i.parcel_id=p.parcel_id WHERE p.run_id=? AND i.state IS NULL "
        f"AND p.state<10 AND (p.state IN ({holes}) OR p.doubt=1 "
        "OR p.state=? AND p.first_sent IS NOT NULL)",
        run_id,
        *_UNSURE,
        State.HELD,
    )
    return [tuple(row) for row in rows]


def flying(tx: Transaction, run_id: int) -> bool:
    """Whether the outcome of a call of this run will be known soon."""
    return bool(
        tx.one(
            "SELECT 1 FROM parcel WHERE run_id=? AND state=? LIMIT 1",
            run_id,
            State.IN_FLIGHT,
        )
    )


def _done(row: Sequence[Any]) -> Done:
    return Done((row[0], row[1]), *row[2:])


# --- what waits of the run is called off ----------------------------------------------


def waiting(tx: Transaction, run_id: int) -> int:
    """How many intents of a run were certainly never sent, and wait to be."""
    return sum(n for _parcel, _state, n in _waiting(tx, run_id))


def call_off(
    tx: Transaction, flow_id: int, run_id: int, *, sent_by: float | None = None
) -> int:
    """Cancel what waits of a run; the next pass sees these records again.

    Returns how many intents there were. ``sent_by``: only what first flew by then.
    """
    cancelled = 0
    side_id = tx.value("SELECT pair_id*2+side FROM flow WHERE flow_id=?", flow_id)
    for parcel_id, state, n in _waiting(tx, run_id, sent_by):
        rows = tx.all(
            "SELECT k FROM intent WHERE parcel_id=? AND state IS NULL", parcel_id
        )
        if state in {State.READY, State.RETRY}:
            tx.run("DELETE FROM open WHERE parcel_id=?", parcel_id)
            marks.forget(tx, int(side_id), [k for (k,) in rows])
        tx.run(
            "DELETE FROM hold WHERE flow_id=? AND parcel_id=? AND decided IS NULL",
            flow_id,
            parcel_id,
        )
        _end(tx, parcel_id)
        cancelled += n
    return cancelled


def cancel(tx: Transaction, run_id: int) -> None:
    """A retract that nobody agreed to ends; nothing of it was sent."""
    for (parcel_id,) in tx.all(
        "SELECT parcel_id FROM parcel WHERE run_id=? AND state=?", run_id, State.PLANNED
    ):
        _end(tx, parcel_id)


def _waiting(
    tx: Transaction, run_id: int, sent_by: float | None = None
) -> Sequence[tuple[int, int, int]]:
    holes = ",".join("?" * len(_WAITS))
    rows: Sequence[tuple[int, int, int]] = tx.all(
        "SELECT p.parcel_id, p.state, count(*) FROM parcel p "
        "JOIN intent i ON i.parcel_id=p.parcel_id AND i.state IS NULL "
        f"WHERE p.run_id=? AND p.state IN ({holes}) AND p.doubt=0 "
        "AND NOT (p.state=? AND p.first_sent IS NOT NULL) "
        f"{_SENT_BY if sent_by is not None else ''}"
        "GROUP BY p.parcel_id, p.state",
        run_id,
        *_WAITS,
        State.HELD,
        *([] if sent_by is None else [sent_by]),
    )
    return rows


def _end(tx: Transaction, parcel_id: int) -> None:
    tx.run("UPDATE intent SET payload=NULL WHERE parcel_id=?", parcel_id)
    tx.run("DELETE FROM before WHERE parcel_id=?", parcel_id)
    tx.run("UPDATE parcel SET state=? WHERE parcel_id=?", State.CANCELLED, parcel_id)


# --- what is staged against it --------------------------------------------------------


def stage(
    tx: Transaction,
    *,
    flow_id: int,
    run_id: int,
    size: int,
    items: Sequence[tuple[Staged, str]],
) -> None:
    """Append planned undoings: an intent and its idempotency key each.

    Unlike a change of the source, this ends nothing that waits for a person.
    """
    lanes: dict[int, list[tuple[Staged, str]]] = {}
    for item in items:
        lanes.setdefault(item[0].lane, []).append(item)
    for lane, mine in lanes.items():
        for start in range(0, len(mine), size):
            part = [(*one, None) for one in mine[start : start + size]]
            _append(tx, flow_id, run_id, lane, State.PLANNED, part)


def stage_failed(
    tx: Transaction,
    *,
    flow_id: int,
    run_id: int,
    items: Sequence[tuple[Staged, str, str]],
) -> None:
    """Keep what cannot be undone: an intent, its key and the reason each."""
    if items:
        _append(tx, flow_id, run_id, 0, State.REJECTED, items)


def _append(
    tx: Transaction,
    flow_id: int,
    run_id: int,
    lane: int,
    state: State,
    items: Sequence[tuple[Staged, str, str | None]],
) -> None:
    parcel_id = tx.insert(
        "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n) "
        "VALUES(?,?,?,0,?,0,?,?)",
        flow_id,
        run_id,
        lane,
        UNDO,
        state,
        len(items),
    )
    tx.many(
        "INSERT INTO intent(parcel_id, pos, link_id, k, ref, op, key, prev_fp, fp, "
        "out_fp, payload, label, error) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                parcel_id,
                pos,
                one.link_id,
                one.k,
                json.dumps(one.ref),
                one.op,
                key,
                one.prev_fp,
                one.fp,
                one.out_fp,
                one.payload or None,
                one.label,
                why,
            )
            for pos, (one, key, why) in enumerate(items)
        ],
    )


# --- what became of it ----------------------------------------------------------------


def note_after(tx: Transaction, rows: Sequence[tuple[str, int, int]]) -> None:
    """Keep what the target answered to what may be undone: (text, parcel, pos)."""
    tx.many(
        "UPDATE intent SET receipt=? WHERE parcel_id=? AND pos=? AND state IS NULL",
        rows,
    )


def taken_back(
    tx: Transaction,
    flow_id: int,
    link_ids: Sequence[int],
    of: Sequence[Position],
    *,
    pair: bool,
) -> None:
    """These intents are undone, and these links stay as they are now.

    The next effect on such a link gets another key, and nothing asks for the record to
    be sent again before it changes at its source. Nothing counts as agreed upon, so
    that it then goes whole; a pair agreed on what was just put back.
    """
    _became(tx, of, State.RETRACTED)
    forget = "" if pair else ", base=NULL"
    tx.many(
        f"UPDATE link SET round=round+1, remove_at=NULL{forget} WHERE link_id=?",
        [(link_id,) for link_id in link_ids],
    )
    for table in ("again", "wait_ref"):
        tx.many(
            f"DELETE FROM {table} WHERE flow_id=? AND link_id=?",
            [(flow_id, link_id) for link_id in link_ids],
        )


def not_taken_back(tx: Transaction, of: Sequence[Position]) -> None:
    """It was tried to undo these intents, and could not be."""
    _became(tx, of, State.RETRACT_FAILED)


def _became(tx: Transaction, of: Sequence[Position], state: State) -> None:
    old = [s for s, nexts in MOVES.items() if state in nexts or s is state]
    holes = ",".join("?" * len(old))
    tx.many(
        "UPDATE intent SET state=? WHERE parcel_id=? AND pos=? AND coalesce(state, "
        "(SELECT p.state FROM parcel p WHERE p.parcel_id=intent.parcel_id)) "
        f"IN ({holes})",
        [(state, parcel, pos, *old) for parcel, pos in of],
    )
    if state is State.RETRACTED:  # nothing will ask for it again
        tx.many("DELETE FROM before WHERE parcel_id=? AND pos=?", list(of))
