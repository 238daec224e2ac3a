"""The number of a flow in the ledger, for whoever knows its name only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moatbridge.ledger import Ledger, Transaction


def flow_id_of(tx: Transaction, ledger: Ledger, flow: str) -> int | None:
    """The flow's id in the ledger; None if it never ran."""
    found = tx.value(
        "SELECT flow_id FROM flow WHERE scope=? AND name=?", ledger.scope, flow
    )
    return None if found is None else int(found)
