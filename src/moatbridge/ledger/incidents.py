"""Incidents: a target that did what it must not is switched off (guard 47)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.ledger import killswitch
from moatbridge.ledger.audit import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction

WINDOW: Final = 600.0
"""Seconds within which incidents are counted together."""

LIMIT: Final = 5
"""Incidents within `WINDOW` that switch a system off."""


def note(tx: Transaction, flow_id: int, system: str, found: Sequence[str]) -> bool:
    """Keep incidents of one system; True if they switched it off.

    Args:
        tx: The transaction that settles the receipts.
        flow_id: The flow.
        system: The target system.
        found: What happened, a word each (``Receipt.incident``, ``ref-clash``).
    """
    if not found:
        return False
    now = tx.now()
    tx.many(
        "INSERT INTO incident(system, flow_id, what, at) VALUES(?,?,?,?)",
        [(system, flow_id, what[:64], now) for what in found],
    )
    record(tx, "incident", system=system, flow_id=flow_id, what=sorted(set(found)))
    count = tx.value(
        "SELECT count(*) FROM incident WHERE system=? AND at>?", system, now - WINDOW
    )
    if count < LIMIT:
        return False
    reason = f"{count} incidents within {WINDOW / 60:.0f} minutes: {found[-1][:64]}"
    killswitch.switch_on(tx, f"system:{system}", reason, "guard")
    return True
