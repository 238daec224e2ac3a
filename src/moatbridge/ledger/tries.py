"""When what could not be delivered is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class NextTry:
    """What a flow still has to deliver without a person, and when it goes on.

    Args:
        changes: Intents that wait.
        at: POSIX seconds of the first of them that is due; None if none ever will be:
            all are blocked.
        seconds: From now until then; 0 if it is due.
        blocked: Those of ``changes`` whose lane gave up after too many tries: they
            wait until somebody runs the flow again.
        error: Code of what kept the earliest from being delivered, where it is known.
    """

    changes: int
    at: float | None
    seconds: float
    blocked: int = 0
    error: str | None = None


def next_try(tx: Transaction, flow_id: int) -> NextTry | None:
    """When a flow delivers again what it has admitted or staged; None: nothing waits.

    A lane may rest longer than what lies in it (its target is left alone), so the
    later of both times counts.
    """
    rows = tx.all(
        "SELECT p.lane, p.not_before, count(*), max(i.error) FROM parcel p "
        "JOIN intent i ON i.parcel_id=p.parcel_id "
        "JOIN run r ON r.run_id=p.run_id "
        "WHERE p.flow_id=? AND p.state<10 AND p.state<=? AND r.state='applying' "
        "AND i.state IS NULL GROUP BY p.lane, p.not_before",
        flow_id,
        State.UNKNOWN,
    )
    if not rows:
        return None
    lanes = _lanes(tx, flow_id)
    now, blocked = tx.now(), 0
    times: list[tuple[float, str | None]] = []
    for lane, not_before, count, error in rows:
        state, rests, why = lanes.get(f"lane/{lane}", ("ready", 0.0, None))
        if state == "blocked":
            blocked += int(count)
        else:
            times.append((max(not_before, rests, now), error or why))
    at, error = min(times, key=lambda each: each[0], default=(None, None))
    changes = sum(int(row[2]) for row in rows)
    return NextTry(changes, at, 0.0 if at is None else at - now, blocked, error)


def earliest(tx: Transaction, flow_id: int, run_id: int) -> float | None:
    """When the next parcel of a run may be sent, lanes that rest included.

    None: nothing is left. Cheap: looks at parcels, not at what is in them.
    """
    found = tx.value(
        "SELECT min(CASE WHEN q.not_before>p.due THEN q.not_before ELSE p.due END) "
        "FROM (SELECT lane, min(not_before) AS due FROM parcel WHERE flow_id=? "
        "AND run_id=? AND state<10 AND state<5 GROUP BY lane) p "
        "LEFT JOIN partition q ON q.flow_id=? AND q.kind='lane' "
        "AND q.part='lane/' || p.lane",
        flow_id,
        run_id,
        flow_id,
    )
    return None if found is None else float(found)


def _lanes(tx: Transaction, flow_id: int) -> dict[str, Any]:
    rows = tx.all(
        "SELECT part, state, not_before, error FROM partition "
        "WHERE flow_id=? AND kind='lane'",
        flow_id,
    )
    return {part: rest for part, *rest in rows}
