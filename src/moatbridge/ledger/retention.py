"""What may no longer be kept goes (delivery 57).

One call is one transaction's worth: at most `CHUNK` rows. What waits (planned, ready,
in flight, to be tried again) and what waits for a person or is in doubt (held, parked,
unknown) is never touched, however old it is. Of passes that came to nothing only the
newest `EMPTY` are kept; the newest complete one stays for ever, since the next one is
compared with it. Audit events are not ours to drop: they are chained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger import replies, turns
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.ledger.database import Transaction

CHUNK: Final = 10_000
"""Rows of one transaction."""

EMPTY: Final = 100
"""Passes without any intent that are kept as they are."""

_COUNTED: Final = 8 * 24
"""Hours for which the guard's counters are kept; its longest window is a day."""

_FINISHED: Final = int(State.DONE)
_OVER: Final = "state IN ('done','nothing','cancelled')"


class Keep(NamedTuple):
    """How long what is kept, in seconds.

    Args:
        payload: Content of delivered intents.
        undo: Images of what was overwritten.
        history: Rows without content.
    """

    payload: float
    undo: float
    history: float


def payloads(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Content of finished intents that was kept beyond delivery."""
    if not tx.one("SELECT 1 FROM intent WHERE payload IS NOT NULL LIMIT 1"):
        return 0
    return tx.run(
        "UPDATE intent SET payload=NULL WHERE payload IS NOT NULL AND parcel_id IN ("
        "SELECT p.parcel_id FROM parcel p WHERE p.flow_id=? AND p.state>=? "
        "AND p.last_sent<? AND EXISTS (SELECT 1 FROM intent i "
        "WHERE i.parcel_id=p.parcel_id AND i.payload IS NOT NULL) "
        f"ORDER BY p.parcel_id LIMIT {CHUNK // 1000})",
        flow_id,
        _FINISHED,
        tx.now() - keep.payload,
    )


def images(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Before-images that nobody can undo from any more."""
    return tx.run(
        "DELETE FROM before WHERE parcel_id IN (SELECT DISTINCT b.parcel_id "
        "FROM before b JOIN parcel p ON p.parcel_id=b.parcel_id WHERE p.flow_id=? "
        f"AND p.state>=? AND p.last_sent<? LIMIT {CHUNK // 1000})",
        flow_id,
        _FINISHED,
        tx.now() - keep.undo,
    )


def parcels(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Finished parcels and their intents.

    Numbers of parcels grow with time: what was never sent is as old as its neighbours.
    A plan that was never carried out has no history: it goes at once.
    """
    before = tx.now() - keep.history
    upto = tx.value(
        "SELECT max(parcel_id) FROM parcel WHERE flow_id=? AND last_sent<?",
        flow_id,
        before,
    )
    rows = tx.all(
        "SELECT p.parcel_id, p.n FROM parcel p JOIN run r ON r.run_id=p.run_id "
        "WHERE p.flow_id=? AND p.state>=? AND (p.last_sent<? OR (p.last_sent IS NULL "
        "AND (p.parcel_id<? OR r.finished<? OR (p.state=? AND r.kind='pass' "
        "AND r.state='cancelled')))) ORDER BY p.parcel_id LIMIT ?",
        flow_id,
        _FINISHED,
        before,
        upto or 0,
        before,
        State.CANCELLED,
        CHUNK,
    )
    ids: list[tuple[int]] = []
    total = 0
    for parcel_id, n in rows:
        if ids and total + n > CHUNK:
            break
        ids.append((parcel_id,))
        total += n
    for table in ("before", "intent", "parcel"):
        tx.many(f"DELETE FROM {table} WHERE parcel_id=?", ids)
    return total if total or not ids else len(ids)


def partitions(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Parts of former passes: of each, only the newest position that counts is read."""
    del keep
    rows = tx.all(
        "SELECT p.part, p.generation, p.cursor IS NOT NULL AND r.state IN "
        "('applying','done','nothing') FROM partition p "
        "JOIN flow f ON f.flow_id=p.flow_id LEFT JOIN run r ON r.flow_id=p.flow_id "
        "AND r.generation=p.generation AND r.kind='pass' WHERE p.flow_id=? "
        "AND p.kind='scan' AND p.state IN ('done','nothing') "
        "AND p.generation<f.generation ORDER BY p.generation DESC",
        flow_id,
    )
    kept: set[str] = set()
    gone = []
    for part, _generation, counts in rows:
        key = part.partition("/")[2]
        if counts and key not in kept:
            kept.add(key)
        else:
            gone.append((flow_id, part))
    gone = gone[:CHUNK]
    tx.many("DELETE FROM partition WHERE flow_id=? AND part=?", gone)
    return len(gone)


def runs(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Runs of which nothing is left, and their passes."""
    rows = tx.all(
        "SELECT r.run_id, r.finished, CASE WHEN r.kind IN ('pass','review') THEN 1 "
        f"ELSE 0 END FROM run r WHERE r.flow_id=? AND r.{_OVER} "
        "AND NOT EXISTS (SELECT 1 FROM parcel p WHERE p.run_id=r.run_id) "
        "AND NOT EXISTS (SELECT 1 FROM unsettled u WHERE u.run_id=r.run_id) "
        "ORDER BY r.run_id DESC",
        flow_id,
    )
    last = _last_that_counts(tx, flow_id)
    before = tx.now() - keep.history
    gone = [
        (run_id,)
        for place, (run_id, finished, plain) in enumerate(rows)
        if run_id not in last
        and ((plain and place >= EMPTY) or (finished or before) < before)
    ][:CHUNK]
    tx.many("DELETE FROM approval WHERE run_id=?", gone)
    tx.many("DELETE FROM run WHERE run_id=?", gone)
    return len(gone)


def scans(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Former passes whose run is gone; the newest complete one stays."""
    del keep
    return tx.run(
        "DELETE FROM scan WHERE flow_id=? AND state<>'open' AND generation<("
        "SELECT max(generation) FROM scan s WHERE s.flow_id=scan.flow_id) "
        "AND generation<>(SELECT coalesce(max(generation), 0) FROM scan s "
        "WHERE s.flow_id=scan.flow_id AND s.state='complete') "
        "AND NOT EXISTS (SELECT 1 FROM run r WHERE r.flow_id=scan.flow_id "
        "AND r.generation=scan.generation)",
        flow_id,
    )


def holds(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Decisions that bind nothing any more; a refusal of some content stays."""
    return tx.run(
        "DELETE FROM hold WHERE flow_id=? AND decided IN ('approve','expire') "
        "AND created<? AND NOT EXISTS (SELECT 1 FROM parcel p "
        "WHERE p.parcel_id=hold.parcel_id)",
        flow_id,
        tx.now() - keep.history,
    )


def counters(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Hours that no window looks at."""
    del keep
    oldest = int(tx.now() // 3600) - _COUNTED
    return tx.run("DELETE FROM guard_count WHERE flow_id=? AND hour<?", flow_id, oldest)


def incidents(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Incidents of long ago."""
    before = tx.now() - keep.history
    return tx.run("DELETE FROM incident WHERE flow_id=? AND at<?", flow_id, before)


def answered(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Replies that were taken, and answers that were carried."""
    return replies.prune(tx, flow_id, before=tx.now() - keep.history)


def loops(tx: Transaction, flow_id: int, keep: Keep) -> int:
    """Deliveries to and fro that the loop breaker is done with."""
    del flow_id, keep
    return turns.prune(tx)


STEPS: Final[Sequence[tuple[str, Callable[[Transaction, int, Keep], int]]]] = (
    ("payloads", payloads),
    ("images", images),
    ("intents", parcels),
    ("partitions", partitions),
    ("runs", runs),
    ("scans", scans),
    ("holds", holds),
    ("counters", counters),
    ("incidents", incidents),
    ("replies", answered),
    ("turns", loops),
)
"""What goes -> rows that went; each is called until it says 0."""


def _last_that_counts(tx: Transaction, flow_id: int) -> set[int]:
    """Runs without which the next pass would count as the first one."""
    rows = tx.all(
        "SELECT max(r.run_id) FROM run r JOIN scan s ON s.flow_id=r.flow_id "
        "AND s.generation=r.generation WHERE r.flow_id=? AND r.kind='pass' "
        "AND r.state='done' AND (s.seen>0 OR s.state='followed') "
        "UNION SELECT max(run_id) FROM run WHERE flow_id=?",
        flow_id,
        flow_id,
    )
    return {run_id for (run_id,) in rows if run_id is not None}
