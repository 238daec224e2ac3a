"""What may no longer be kept goes (delivery 57).

One transaction drops at most `CHUNK` rows; what may mean looking at every intent that
there is, is looked for outside of it (`moatbridge.ledger.aged`). What waits (planned,
ready, in flight, to be tried again) and what waits for a person or is in doubt (held,
parked, unknown) is never touched, however old it is. Of passes that came to nothing
only the newest `EMPTY` are kept; the newest complete one stays for ever, since the next
one is compared with it. Audit events are not ours to drop: they are chained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.ledger import aged, replies, turns
from moatbridge.ledger.aged import CHUNK, Keep
from moatbridge.ledger.counts import FALSE_ALARM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.ledger.database import Transaction

EMPTY: Final = 100
"""Passes without any intent that are kept as they are."""

_COUNTED: Final = 8 * 24
"""Hours for which the guard's counters are kept; its longest window is a day."""

_OVER: Final = "state IN ('done','nothing','cancelled')"


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
    used = tx.all(
        "SELECT run_id FROM parcel WHERE flow_id=? UNION SELECT run_id FROM unsettled",
        flow_id,
    )  # one look at the parcels, not one for every run
    busy = {run_id for (run_id,) in used}
    rows = tx.all(
        "SELECT r.run_id, r.finished, CASE WHEN r.kind IN ('pass','review') THEN 1 "
        f"ELSE 0 END FROM run r WHERE r.flow_id=? AND r.{_OVER} "
        "ORDER BY r.run_id DESC",
        flow_id,
    )
    last = _last_that_counts(tx, flow_id)
    before = tx.now() - keep.history
    left = (row for row in rows if row[0] not in busy)
    gone = [
        (run_id,)
        for place, (run_id, finished, plain) in enumerate(left)
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
    return tx.run(
        "DELETE FROM guard_count WHERE flow_id=? AND hour<? AND rule NOT LIKE ?",
        flow_id,
        oldest,
        FALSE_ALARM + "%",  # few, and kept for tuning
    )


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


PAGED: Final[Sequence[tuple[str, aged.Step]]] = (
    ("payloads", aged.Step(aged.find_payloads, aged.drop_payloads)),
    ("images", aged.Step(aged.find_images, aged.drop_images)),
    ("intents", aged.Step(aged.find_parcels, aged.drop_parcels)),
)
"""What goes of finished parcels; comes first."""

STEPS: Final[Sequence[tuple[str, Callable[[Transaction, int, Keep], int]]]] = (
    ("partitions", partitions),
    ("runs", runs),
    ("scans", scans),
    ("holds", holds),
    ("counters", counters),
    ("incidents", incidents),
    ("replies", answered),
    ("turns", loops),
)
"""What goes then -> rows that went; each is called until it says 0."""

__all__ = ["CHUNK", "EMPTY", "PAGED", "STEPS", "Keep"]


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
