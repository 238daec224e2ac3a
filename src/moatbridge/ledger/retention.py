"""What may no longer be kept goes (delivery 57)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.ledger import replies

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction


def prune(tx: Transaction, flow_id: int, *, undo: float, history: float) -> None:
    """Drop what is older than it may be kept, 10,000 parcels at a time.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        undo: Before-images of parcels sent before this moment go.
        history: Finished parcels sent before this moment go altogether, and with them
            replies that were taken before it and answers that were carried.
    """
    old = (
        "SELECT parcel_id FROM parcel WHERE flow_id=? AND state>=10 AND last_sent<? "
        "ORDER BY parcel_id LIMIT 10000"
    )
    tx.run(f"DELETE FROM before WHERE parcel_id IN ({old})", flow_id, undo)
    tx.run(f"DELETE FROM intent WHERE parcel_id IN ({old})", flow_id, history)
    tx.run(f"DELETE FROM parcel WHERE parcel_id IN ({old})", flow_id, history)
    replies.prune(tx, flow_id, before=history)
