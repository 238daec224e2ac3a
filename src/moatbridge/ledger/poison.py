"""What is known of records with which nothing could be done (scale 18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.leases import Lease

POISON: Final = "record.poison"
"""Reason of a reject: this record fails alone, whatever is tried with it."""


class Known(NamedTuple):
    """How a partition fared, and the flow's records that failed alone before.

    Args:
        tries: Claims since the last commit, this one included.
        keys: Key hashes.
    """

    tries: int
    keys: frozenset[bytes]


def known(tx: Transaction, lease: Lease) -> Known:
    """What a slice should know before it reads on."""
    rows = tx.all(
        "SELECT k FROM reject WHERE flow_id=? AND reason=? AND k IS NOT NULL",
        lease.flow_id,
        POISON,
    )
    tries = tx.value(
        "SELECT tries FROM partition WHERE flow_id=? AND part=?",
        lease.flow_id,
        lease.part,
    )
    return Known(int(tries or 0), frozenset(bytes(k) for (k,) in rows))
