"""What was in flight while its run was taken back, and turns out to be unsent.

When a retract is agreed to, whatever waits of the run is called off (`undo.call_off`).
A call that is out at that moment cannot be called back; but if the target then did
not take it, it must not be sent again later: nobody would undo that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moatbridge.ledger import undo

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction


def taken_back_at(tx: Transaction, flow_id: int, run_id: int) -> float | None:
    """When the newest retract of a whole run was agreed to (POSIX); None: never.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        run_id: The run that may have been taken back.
    """
    rows = tx.all(
        "SELECT verdict FROM run WHERE flow_id=? AND kind=? "
        "AND state IN ('applying','done') AND run_id>? ORDER BY run_id DESC",
        flow_id,
        undo.KIND,
        run_id,
    )
    for (verdict,) in rows:
        facts = json.loads(verdict or "{}").get("retract", {})
        part = facts.get("refs") or facts.get("since") is not None
        if facts.get("of") == run_id and "agreed" in facts and not part:
            return float(facts["agreed"])
    return None


def call_off(tx: Transaction, flow_id: int, run_id: int) -> int:
    """Cancel what waits of a run that was taken back while it was in flight.

    A live run goes on after its retract, so what it sent for the first time since then
    stays.

    Returns:
        How many intents there were.
    """
    agreed = taken_back_at(tx, flow_id, run_id)
    return undo.call_off(tx, flow_id, run_id, sent_by=agreed) if agreed else 0
