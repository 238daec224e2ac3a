"""Sliding windows for the guard: what was sent within the last day (guard 2, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.ledger.database import Database, Transaction

HOUR: Final = 3600.0


def add(tx: Transaction, flow_id: int, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to this hour's counters: (rule, key) -> number."""
    hour = int(tx.now() // HOUR)
    tx.many(
        "INSERT INTO guard_count(flow_id, rule, key, hour, n) VALUES(?,?,?,?,?) "
        "ON CONFLICT(flow_id, rule, key, hour) DO UPDATE SET "
        "n=guard_count.n+excluded.n",
        [(flow_id, rule, key, hour, n) for (rule, key), n in counts.items() if n],
    )


class Window:
    """The guard's ``Memory``, over the ledger."""

    def __init__(self, db: Database, flow_id: int) -> None:
        self._db = db
        self._flow_id = flow_id

    def seen(self, rule: str, key: str, window: float) -> int:
        """How many were counted within the last ``window`` seconds."""
        if rule == "posts" and not key.startswith("run:"):
            return self._of_all(rule, key, window)
        with self._db.read() as tx:
            return int(
                tx.value(
                    "SELECT coalesce(sum(n), 0) FROM guard_count "
                    "WHERE flow_id=? AND rule=? AND key=? AND hour>?",
                    self._flow_id,
                    rule,
                    key,
                    int((tx.now() - window) // HOUR),
                )
            )

    def _of_all(self, rule: str, key: str, window: float) -> int:
        """Posts to one system, of all flows: readers do not care which floods them."""
        with self._db.read() as tx:
            return int(
                tx.value(
                    "SELECT coalesce(sum(n), 0) FROM guard_count "
                    "WHERE rule=? AND key=? AND hour>?",
                    rule,
                    key,
                    int((tx.now() - window) // HOUR),
                )
            )
