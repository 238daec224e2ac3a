"""Parcels: up to a few hundred intents of one lane that share one state (delivery A).

Staging appends and touches nothing else. What leaves the company of its parcel moves,
with its key, into a parcel of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.ledger import texts
from moatbridge.ledger.states import State, check_move

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from moatbridge.ledger.database import Transaction


class Parcel(NamedTuple):
    """A parcel's row.

    ``doubt`` is 1 once an attempt had an unknown outcome that nothing has settled
    since: a later attempt that was certainly not applied says nothing about it.
    """

    parcel_id: int
    run_id: int
    lane: int
    phase: int
    state: State
    n: int
    attempt: int
    fence: int | None
    not_before: float
    deadline: float | None
    first_sent: float | None
    last_sent: float | None
    doubt: int
    part: str | None = None


class Item(NamedTuple):
    """An intent's row, of those that are not final one by one."""

    pos: int
    link_id: int | None
    k: bytes
    ref: str
    op: str
    key: str
    prev_fp: bytes | None
    fp: bytes | None
    out_fp: bytes | None
    payload: str
    label: str | None
    receipt: str | None

    @property
    def source(self) -> tuple[str, str | None]:
        """Key and name of the source record."""
        key, name = texts.loads(self.ref)
        return key, name


_PARCEL = (
    "parcel_id, run_id, lane, phase, state, n, attempt, fence, not_before, deadline, "
    "first_sent, last_sent, doubt, part"
)
_ITEM = "pos, link_id, k, ref, op, key, prev_fp, fp, out_fp, payload, label, receipt"


def next_parcel(
    tx: Transaction, flow_id: int, lane: int, *, behind: int = 0
) -> Parcel | None:
    """The parcel to work on next, or None; ``behind`` is one to pass over.

    Found IN_FLIGHT means that a crash left its outcome unknown: such parcels come
    first. Planned ones count only while their run is being applied, and a phase of a
    pass begins when the one before it has nothing new to send: deletes come last. What
    waits for another try stops nobody. (The literal ``state<10`` lets SQLite use the
    partial index.)
    """
    gates = tx.all(
        "SELECT p.run_id, min(p.phase) FROM parcel p JOIN run r ON r.run_id=p.run_id "
        "WHERE p.flow_id=? AND p.state<10 AND p.state<3 AND r.kind='pass' "
        "AND r.state='applying' GROUP BY p.run_id",
        flow_id,
    )
    cases = "".join(f" WHEN {int(run)} THEN {int(phase)}" for run, phase in gates)
    gate = f"phase<=(CASE run_id{cases} ELSE 9 END)" if gates else "1=1"
    row = tx.one(
        f"SELECT {_PARCEL} FROM parcel p WHERE flow_id=? AND lane=? AND state<10 "
        "AND parcel_id<>? AND not_before<=? "
        f"AND (state IN (2,4) OR (state IN (1,3) AND {gate}) OR "
        f"(state=0 AND {gate} AND run_id IN (SELECT run_id FROM run "
        "WHERE run.flow_id=p.flow_id AND run.state='applying'))) "
        "ORDER BY state IN (2,4) DESC, phase, parcel_id LIMIT 1",
        flow_id,
        lane,
        behind,
        tx.now(),
    )
    return None if row is None else _parcel(row)


def _parcel(row: Any) -> Parcel:
    return Parcel._make((*row[:4], State(row[4]), *row[5:]))


def unfinished(tx: Transaction, flow_id: int, run_id: int) -> tuple[int, float | None]:
    """How many parcels of a run still have something to send, and when the next may."""
    count, earliest = tx.one(
        "SELECT count(*), min(not_before) FROM parcel "
        "WHERE flow_id=? AND run_id=? AND state<10 AND state<5",
        flow_id,
        run_id,
    )
    return int(count), earliest


def items(tx: Transaction, parcel_id: int) -> list[Item]:
    """The parcel's intents that are not final one by one."""
    rows = tx.all(
        f"SELECT {_ITEM} FROM intent WHERE parcel_id=? AND state IS NULL ORDER BY pos",
        parcel_id,
    )
    return [Item(*row) for row in rows]


def unsettled(tx: Transaction, flow_id: int, link_ids: Collection[int]) -> set[int]:
    """Which of these links have an intent of the flow that is not final.

    Planned and held ones count: nothing but the intents themselves knows of them, so
    all that the flow has not settled is looked through once.
    """
    found: set[int] = set()
    wanted = list(link_ids)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        holes = ",".join("?" * len(part))
        rows = tx.all(
            "SELECT DISTINCT i.link_id FROM parcel p JOIN intent i "
            "ON i.parcel_id=p.parcel_id WHERE p.flow_id=? AND p.state<10 "
            f"AND i.state IS NULL AND i.link_id IN ({holes})",
            flow_id,
            *part,
        )
        found.update(link_id for (link_id,) in rows)
    return found


def still_planned(tx: Transaction, parcel_id: int, count: int) -> bool:
    """Whether the parcel and all of so many intents are as planned as when read."""
    left = tx.value(
        "SELECT count(*) FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        "WHERE p.parcel_id=? AND p.state=? AND i.state IS NULL",
        parcel_id,
        State.PLANNED,
    )
    return bool(left == count)


def flies(tx: Transaction, parcel_id: int, fence: int) -> bool:
    """Whether the parcel is still in flight under this fence."""
    return bool(
        tx.one(
            "SELECT 1 FROM parcel WHERE parcel_id=? AND state=? AND fence=?",
            parcel_id,
            State.IN_FLIGHT,
            fence,
        )
    )


def unmoved(tx: Transaction, parcel: Parcel) -> bool:
    """Whether the parcel is in the state in which it was read."""
    return bool(
        tx.one(
            "SELECT 1 FROM parcel WHERE parcel_id=? AND state=?",
            parcel.parcel_id,
            parcel.state,
        )
    )


def move(tx: Transaction, parcel: Parcel, state: State, **columns: Any) -> None:
    """Put a whole parcel into another state (checked against the state machine)."""
    check_move(parcel.state, state)
    if state is State.UNKNOWN:
        columns["doubt"] = 1
    names = "".join(f", {name}=?" for name in columns)
    tx.run(
        f"UPDATE parcel SET state=?{names} WHERE parcel_id=?",
        state,
        *columns.values(),
        parcel.parcel_id,
    )


def settle_one(
    tx: Transaction, parcel: Parcel, rows: Sequence[tuple[int, State, str]]
) -> None:
    """Mark intents final one by one: rows of (position, state, reason code)."""
    for _pos, state, _why in rows:
        check_move(parcel.state, state)
    tx.many(
        "UPDATE intent SET state=?, error=?, payload=NULL WHERE parcel_id=? AND pos=?",
        [(state, why, parcel.parcel_id, pos) for pos, state, why in rows],
    )


def split(
    tx: Transaction,
    parcel: Parcel,
    positions: Sequence[int],
    state: State,
    *,
    not_before: float = 0.0,
) -> int:
    """Move intents into a parcel of their own: same keys, order and positions."""
    check_move(parcel.state, state)
    doubt = int(state in {State.UNKNOWN, State.PARKED})
    new = tx.insert(
        "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n, "
        "attempt, fence, not_before, deadline, first_sent, last_sent, doubt) "
        "SELECT flow_id, run_id, lane, phase, part, upto, ?, ?, attempt, fence, ?, "
        "deadline, first_sent, last_sent, CASE WHEN doubt>? THEN doubt ELSE ? END "
        "FROM parcel WHERE parcel_id=?",
        state,
        len(positions),
        not_before,
        doubt,
        doubt,
        parcel.parcel_id,
    )
    for table in ("intent", "open", "before"):
        tx.many(
            f"UPDATE {table} SET parcel_id=? WHERE parcel_id=? AND pos=?",
            [(new, parcel.parcel_id, pos) for pos in positions],
        )
    return new


def postpone(
    tx: Transaction, parcel: Parcel, positions: Sequence[int], *, not_before: float
) -> None:
    """A planned parcel's intents that cannot go yet travel on in one of their own."""
    if not positions:
        return
    new = tx.insert(
        "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n, "
        "not_before) SELECT flow_id, run_id, lane, phase, part, upto, ?, ?, ? "
        "FROM parcel WHERE parcel_id=?",
        State.PLANNED,
        len(positions),
        not_before,
        parcel.parcel_id,
    )
    tx.many(
        "UPDATE intent SET parcel_id=? WHERE parcel_id=? AND pos=?",
        [(new, parcel.parcel_id, pos) for pos in positions],
    )
    if parcel.n == 1:
        approval_follows(tx, parcel.parcel_id, new)


def approval_follows(tx: Transaction, parcel_id: int, new: int) -> None:
    """What a person agreed to is planned in another parcel: the agreement names it.

    What was held travels alone: only a parcel of one intent can have such an item.

    Args:
        tx: Open transaction.
        parcel_id: Where it was.
        new: Where it is now, planned.
    """
    tx.run("UPDATE hold SET parcel_id=? WHERE parcel_id=?", new, parcel_id)


def staged_again(
    tx: Transaction, parcel: Parcel, positions: Sequence[int]
) -> list[int]:
    """Those of a planned parcel's intents whose record was staged anew since."""
    return [
        pos
        for pos in positions
        if tx.one(
            "SELECT 1 FROM intent mine JOIN parcel p ON p.flow_id=("
            "SELECT flow_id FROM parcel WHERE parcel_id=mine.parcel_id) "
            "JOIN intent i ON i.parcel_id=p.parcel_id AND i.k=mine.k "
            "WHERE mine.parcel_id=? AND mine.pos=? AND p.state=? AND p.run_id>?",
            parcel.parcel_id,
            pos,
            State.PLANNED,
            parcel.run_id,
        )
    ]


def close_open(tx: Transaction, parcel_id: int, positions: Sequence[int]) -> None:
    """Free the links' slots: nothing of theirs may touch the target any more."""
    tx.many(
        "DELETE FROM open WHERE link_id=(SELECT link_id FROM intent "
        "WHERE parcel_id=? AND pos=?) AND slot=0 AND parcel_id=?",
        [(parcel_id, pos, parcel_id) for pos in positions],
    )


def cancel_planned(tx: Transaction, flow_id: int, *, keep_run: int) -> None:
    """A new plan cancels the older ones of its flow; held items and retracts stay."""
    older = (
        "flow_id=? AND state=? AND run_id<>? AND run_id IN "
        "(SELECT run_id FROM run WHERE flow_id=? AND state<>'applying' "
        "AND kind<>'retract')"
    )
    values = (flow_id, State.PLANNED, keep_run, flow_id)
    tx.run(
        "UPDATE intent SET payload=NULL WHERE parcel_id IN "
        f"(SELECT parcel_id FROM parcel WHERE {older})",
        *values,
    )
    tx.run(f"UPDATE parcel SET state=? WHERE {older}", State.CANCELLED, *values)


def cancel_removals(tx: Transaction, run_id: int) -> None:
    """A pass that cannot tell what is gone removes nothing, whoever agrees."""
    tx.run(
        "DELETE FROM hold WHERE decided IS NULL AND parcel_id IN (SELECT parcel_id "
        "FROM parcel WHERE run_id=? AND phase>0 AND state=?)",
        run_id,
        State.HELD,
    )
    tx.run(
        "UPDATE intent SET payload=NULL WHERE parcel_id IN (SELECT parcel_id "
        "FROM parcel WHERE run_id=? AND phase>0 AND state IN (?,?))",
        run_id,
        State.PLANNED,
        State.HELD,
    )
    tx.run(
        "UPDATE parcel SET state=? WHERE run_id=? AND phase>0 AND state IN (?,?)",
        State.CANCELLED,
        run_id,
        State.PLANNED,
        State.HELD,
    )
