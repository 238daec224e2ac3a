"""Sliding windows for the guard: what was sent within the last day (guard 2, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.ledger.database import Database, Transaction

HOUR: Final = 3600.0
WEEK: Final = 7 * 24
"""Hours."""


def add(tx: Transaction, flow_id: int, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to this hour's counters: (rule, key) -> number."""
    hour = int(tx.now() // HOUR)
    tx.many(
        "INSERT INTO guard_count(flow_id, rule, key, hour, n) VALUES(?,?,?,?,?) "
        "ON CONFLICT(flow_id, rule, key, hour) DO UPDATE SET "
        "n=guard_count.n+excluded.n",
        [(flow_id, rule, key, hour, n) for (rule, key), n in counts.items() if n],
    )


NOTICED: Final = ("allow", "mask", "observe", "warn")
"""What the names of counts of what was noticed begin with, before ``.RULE``."""

FALSE_ALARM: Final = "false-alarm."
"""What the names of counts of rules begin with that were wrong about an item."""


def add_noticed(
    tx: Transaction, flow_id: int, run_id: int, numbers: Mapping[tuple[str, str], int]
) -> None:
    """Count what was let go although a rule had something to say (guard 6).

    Args:
        tx: Open transaction.
        flow_id: The flow.
        run_id: The run that sends it.
        numbers: (one of `NOTICED`, rule) -> changes.
    """
    key = str(run_id)
    add(tx, flow_id, {(f"{how}.{rule}", key): n for (how, rule), n in numbers.items()})


def let_go(
    tx: Transaction,
    flow_id: int,
    *,
    run_id: int | None = None,
    hours: int | None = None,
) -> dict[str, int]:
    """``warn.card`` and its like -> changes that left all the same.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        run_id: Only of this run.
        hours: Only of these last hours; at most the counters are kept for.
    """
    where = "flow_id=?"
    values: list[Any] = [flow_id]
    if run_id is not None:
        where, values = f"{where} AND key=?", [*values, str(run_id)]
    if hours is not None:
        where, values = f"{where} AND hour>?", [*values, int(tx.now() // HOUR) - hours]
    like = " OR ".join("rule LIKE ?" for _how in NOTICED)
    rows = tx.all(
        f"SELECT rule, sum(n) FROM guard_count WHERE {where} AND ({like}) "
        "GROUP BY rule ORDER BY rule",
        *values,
        *(f"{how}.%" for how in NOTICED),
    )
    return {str(rule): int(n) for rule, n in rows}


def add_false_alarms(tx: Transaction, flow_id: int, rules: Iterable[str]) -> None:
    """Count that these rules were wrong about an item (guard 8)."""
    add(tx, flow_id, {(FALSE_ALARM + rule, ""): 1 for rule in rules})


def false_alarms(tx: Transaction, flow_id: int) -> dict[str, int]:
    """Rule -> items about which a person said that it was wrong."""
    rows = tx.all(
        "SELECT rule, sum(n) FROM guard_count WHERE flow_id=? AND rule LIKE ? "
        "GROUP BY rule ORDER BY rule",
        flow_id,
        FALSE_ALARM + "%",
    )
    return {str(rule).removeprefix(FALSE_ALARM): int(n) for rule, n in rows}


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
