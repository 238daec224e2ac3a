"""What became of retracts: for reports, for ``status``, and for the next plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger.states import State
from moatbridge.ledger.undo import KIND, Position

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

START: Final = (0, -1)
"""Before the first intent of `refs_after`."""

_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Left:
    """One record that a retract did not take back.

    Args:
        ref: Key and name of the source record; personal.
        op: What the retract would have done.
        reason: Why not, as a bare word or the target's code.
    """

    ref: tuple[str, str | None]
    op: str
    reason: str

    def __repr__(self) -> str:
        return f"Left({self.op} {self.reason})"


def outcome(tx: Transaction, run_id: int) -> list[tuple[str, int, str, int]]:
    """What became of a retract: rows of (op, state, reason, how many)."""
    rows = tx.all(
        "SELECT i.op, coalesce(i.state, p.state), coalesce(i.error, ''), count(*) "
        "FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id WHERE p.run_id=? "
        "GROUP BY 1, 2, 3",
        run_id,
    )
    return [(str(op), int(state), str(why), int(n)) for op, state, why, n in rows]


def left(tx: Transaction, run_id: int, *, limit: int = 1000) -> list[Left]:
    """Records that a retract did not take back, and why."""
    rows = tx.all(
        "SELECT i.ref, i.op, i.error, coalesce(i.state, p.state) FROM intent i "
        "JOIN parcel p ON p.parcel_id=i.parcel_id WHERE p.run_id=? "
        "AND coalesce(i.state, p.state) NOT IN (?,?,?) AND NOT (p.state=? "
        "AND i.state IS NULL) ORDER BY i.parcel_id, i.pos LIMIT ?",
        run_id,
        State.DONE,
        State.RETRACTED,
        State.RETRACT_FAILED,
        State.PLANNED,
        limit,
    )
    return [
        Left((ref[0], ref[1]), op, why(state, said))
        for ref, op, said, state in (
            (json.loads(text), op, said, state) for text, op, said, state in rows
        )
    ]


def why(state: int, said: str | None) -> str:
    """Why an undoing is not done: what is said of it, or its state.

    Of what nobody knows, the code of the error that left it so is no reason.
    """
    name = State(state).name.lower()
    return name if state in {State.PARKED, State.UNKNOWN} else said or name


def refs_after(
    tx: Transaction, run_id: int, after: Position
) -> list[tuple[Position, str]]:
    """The next records of a run, whatever became of them: at most 2,000.

    Returns:
        Where the intent lies, and JSON of the source record's key and name.
    """
    rows = tx.all(
        "SELECT i.parcel_id, i.pos, i.ref FROM intent i JOIN parcel p "
        "ON p.parcel_id=i.parcel_id WHERE p.run_id=? AND (i.parcel_id, i.pos) > (?, ?) "
        "ORDER BY i.parcel_id, i.pos LIMIT ?",
        run_id,
        *after,
        _PAGE,
    )
    return [((int(parcel_id), int(pos)), str(ref)) for parcel_id, pos, ref in rows]


def latest(tx: Transaction, flow_id: int, *states: str) -> Any:
    """Id of the newest retract of a flow in one of these states, or None."""
    holes = ",".join("?" * len(states))
    return tx.value(
        "SELECT max(run_id) FROM run WHERE flow_id=? AND kind=? "
        f"AND state IN ({holes})",
        flow_id,
        KIND,
        *states,
    )


def since_last_pass(tx: Transaction, flow_id: int) -> list[int]:
    """Retracts that were agreed to, and after which no pass was carried out."""
    rows = tx.all(
        "SELECT r.run_id FROM run r WHERE r.flow_id=? AND r.kind=? "
        "AND r.state IN ('applying','done') AND r.run_id>coalesce(("
        "SELECT max(o.run_id) FROM run o JOIN parcel p ON p.run_id=o.run_id "
        "WHERE o.flow_id=r.flow_id AND o.kind='pass' "
        "AND o.state IN ('applying','done') AND p.state NOT IN (?,?)), 0) "
        "ORDER BY r.run_id",
        flow_id,
        KIND,
        State.HELD,
        State.CANCELLED,
    )
    return [int(run_id) for (run_id,) in rows]


def sent(tx: Transaction, run_id: int) -> bool:
    """Whether a run had any effect, or may have had one."""
    return bool(
        tx.one(
            "SELECT 1 FROM parcel WHERE run_id=? AND last_sent IS NOT NULL LIMIT 1",
            run_id,
        )
    )


def flow_of(tx: Transaction, scope: str, run_id: int) -> tuple[str, int, str] | None:
    """Name and id of the flow that a run belongs to, and the run's kind."""
    row = tx.one(
        "SELECT f.name, f.flow_id, r.kind FROM run r JOIN flow f "
        "ON f.flow_id=r.flow_id WHERE r.run_id=? AND f.scope=?",
        run_id,
        scope,
    )
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


def staged(tx: Transaction, run_id: int) -> tuple[int, int]:
    """(records looked at, undoings planned) so far."""
    row = tx.one(
        "SELECT coalesce(sum(n), 0), coalesce(sum(CASE WHEN state=? THEN n ELSE 0 END)"
        ", 0) FROM parcel WHERE run_id=?",
        State.PLANNED,
        run_id,
    )
    return int(row[0]), int(row[1])


def settled(tx: Transaction, run_id: int) -> tuple[int, int]:
    """(undoings that are over, all of them)."""
    row = tx.one(
        "SELECT coalesce(sum(CASE WHEN state>=10 THEN n ELSE 0 END), 0), "
        "coalesce(sum(n), 0) FROM parcel WHERE run_id=?",
        run_id,
    )
    return int(row[0]), int(row[1])
