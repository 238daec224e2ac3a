"""What dispatchers, and people, change about partitions beside their leases (scale D).

All but `resume` are compare-and-sets on the fence: they do nothing once somebody else
holds the partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.leases import Lease


class Passing(NamedTuple):
    """The newest pass of a flow: its state, and when it began (ledger's time)."""

    state: str
    created: float


def resume(tx: Transaction, flow_id: int) -> int:
    """Make partitions that were given up ready again, their tries forgotten."""
    return tx.run(
        "UPDATE partition SET state='ready', tries=0, not_before=0, error=NULL "
        "WHERE flow_id=? AND state='blocked'",
        flow_id,
    )


def not_tried(tx: Transaction, lease: Lease) -> None:
    """The claim that was just given back counts as none: nothing could be tried."""
    tx.run(
        "UPDATE partition SET tries=tries-1 WHERE flow_id=? AND part=? AND fence=? "
        "AND owner IS NULL AND tries>0",
        lease.flow_id,
        lease.part,
        lease.fence,
    )


def abandon(tx: Transaction, lease: Lease, *, error: str, not_before: float) -> bool:
    """Leave a lease to run out, since its work is stuck; False if it is not ours.

    Args:
        tx: Open transaction.
        lease: Our lease; it is not given back.
        error: Code that ``status`` shows.
        not_before: When anybody may try again (ledger's time).
    """
    count = tx.run(
        "UPDATE partition SET error=?, not_before=? "
        "WHERE flow_id=? AND part=? AND fence=?",
        error,
        not_before,
        lease.flow_id,
        lease.part,
        lease.fence,
    )
    return count > 0


def rouse(tx: Transaction, flow_id: int) -> None:
    """A person decided something: the flow's lanes and control look at once."""
    if tx.run(
        "UPDATE partition SET not_before=0, woken=1 WHERE flow_id=? "
        "AND kind IN ('control','lane') AND state='ready'",
        flow_id,
    ):
        tx.tell(flow_id)


def last_pass(tx: Transaction, flow_id: int) -> Passing | None:
    """The newest pass of the flow, whatever became of it."""
    row = tx.one(
        "SELECT state, created FROM run WHERE flow_id=? AND kind='pass' "
        "ORDER BY run_id DESC LIMIT 1",
        flow_id,
    )
    return None if row is None else Passing(*row)


def sends(tx: Transaction, flow_id: int, lane: int) -> bool:
    """Whether the lane has anything that it may send, now or after a wait."""
    return bool(
        tx.one(  # state<10 says nothing new: it is the condition of the partial index
            "SELECT 1 FROM parcel p JOIN run r ON r.run_id=p.run_id WHERE p.flow_id=? "
            "AND p.lane=? AND p.state<10 AND p.state<5 AND r.state='applying' LIMIT 1",
            flow_id,
            lane,
        )
    )


_MARGIN: Final = 3600.0
"""Seconds by which a clock may have been set back."""


def tail_rests(
    tx: Transaction, flow_id: int, since: float, *, hold: bool = False
) -> bool:
    """Whether nobody has read the flow's tail since then, or reads it now.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        since: POSIX seconds.
        hold: Nobody begins to before this transaction ends, and who does then sees
            what it wrote. Only in one that writes.
    """
    rows = tx.all(
        "SELECT owner, served_at FROM partition WHERE flow_id=? AND kind='live'"
        + (tx.for_update if hold else ""),
        flow_id,
    )
    return all(owner is None and at < since - _MARGIN for owner, at in rows)


def runs_open(tx: Transaction, flow_id: int) -> bool:
    """Whether control has anything to wait for: a run, records to read again."""
    return bool(
        tx.one(
            "SELECT 1 FROM run WHERE flow_id=? AND kind<>'live' "
            "AND state IN ('scanning','applying') LIMIT 1",
            flow_id,
        )
        or tx.one("SELECT 1 FROM again WHERE flow_id=? AND due=1 LIMIT 1", flow_id)
        or tx.one("SELECT 1 FROM unsettled WHERE flow_id=? LIMIT 1", flow_id)
    )
