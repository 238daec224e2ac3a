"""What is written down of a parcel beside its outcome: the audit, and incidents."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from moatbridge.ledger import audit, incidents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Receipt
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.parcels import Parcel
    from moatbridge.ledger.settlement import Result


def record(
    tx: Transaction,
    route: Route,
    parcel: Parcel,
    results: Sequence[Result],
    receipts: Mapping[int, tuple[Receipt, int]],
    *,
    clashes: int,
) -> None:
    """Write it down; part of transaction C.

    Often enough, what the target did and must not switches it off.

    Args:
        tx: Open transaction.
        route: The flow.
        parcel: What was sent.
        results: What became of it.
        receipts: What the target said.
        clashes: Receipts that named a record of somebody else's.
    """
    found = [r.incident for r, _call in receipts.values() if r.incident]
    found += ["ref-clash"] * clashes
    incidents.note(tx, route.row.flow_id, route.target.system, found)
    audit.record(
        tx,
        "parcel",
        flow=route.name,
        run=parcel.run_id,
        target=route.target.address,
        fields=list(route.carry.paths),
        label=route.source.bound.label,
        outcome=dict(Counter(result.state.name for result in results)),
    )
