"""Audit events, written in the transaction of what they report (guard 49-50).

Counts, names of fields, rule ids and link ids only: never values, names or keys. The
sequencer that chains and signs them reads this table later.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction


def record(tx: Transaction, kind: str, **facts: Any) -> None:
    """Append one event."""
    tx.run(
        "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
        tx.now(),
        kind,
        json.dumps(facts, sort_keys=True),
    )
