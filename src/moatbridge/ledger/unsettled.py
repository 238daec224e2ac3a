"""Positions the source may be told of once what was read is delivered (delivery 56).

Two rows a partition at most, however many commits there are: the position that is
waited for, and the newest one behind it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

_TRIES: Final = 5


class Unsettled(NamedTuple):
    """One position; everything staged up to ``seq`` must be delivered first."""

    part: str
    run_id: int
    seq: int
    cursor: Any


def wait(
    tx: Transaction, flow_id: int, part: str, *, run_id: int, seq: int, cursor: Any
) -> None:
    """Remember a position; part of the transaction that stages what lies before it."""
    slot = tx.value(
        "SELECT count(*) FROM unsettled WHERE flow_id=? AND part=? AND slot=0",
        flow_id,
        part,
    )
    tx.run(
        "INSERT INTO unsettled(flow_id, part, slot, run_id, seq, cursor) "
        "VALUES(?,?,?,?,?,?) ON CONFLICT(flow_id, part, slot) DO UPDATE SET "
        "run_id=excluded.run_id, seq=excluded.seq, cursor=excluded.cursor",
        flow_id,
        part,
        slot,
        run_id,
        seq,
        json.dumps(cursor),
    )


def ready(tx: Transaction, flow_id: int) -> list[Unsettled]:
    """Positions of this flow behind which nothing is left to deliver.

    What is parked or rejected counts as over, and what is held does not. A pass that
    was planned counts only once its plan is carried out, and nothing counts while
    records wait to be read and judged afresh.
    """
    if tx.one(
        "SELECT 1 FROM again WHERE flow_id=? AND due=1 AND tries<?", flow_id, _TRIES
    ):
        return []
    rows = tx.all(
        "SELECT u.part, u.run_id, u.seq, u.cursor FROM unsettled u "
        "JOIN run r ON r.run_id=u.run_id WHERE u.flow_id=? AND u.slot=0 "
        "AND r.state IN ('applying','done','nothing') AND NOT EXISTS ("
        "SELECT 1 FROM parcel p WHERE p.flow_id=u.flow_id AND p.state<10 "
        "AND p.state<>? AND p.part=u.part AND p.upto<=u.seq)",
        flow_id,
        State.PARKED,
    )
    return [Unsettled(part, run, seq, json.loads(at)) for part, run, seq, at in rows]


def settled(tx: Transaction, flow_id: int, done: Unsettled) -> None:
    """The source was told; the newest position behind it is waited for next."""
    tx.run(
        "DELETE FROM unsettled WHERE flow_id=? AND part=? AND slot=0 AND seq=?",
        flow_id,
        done.part,
        done.seq,
    )
    tx.run(
        "UPDATE unsettled SET slot=0 WHERE flow_id=? AND part=? AND slot=1 "
        "AND NOT EXISTS (SELECT 1 FROM unsettled o WHERE o.flow_id=unsettled.flow_id "
        "AND o.part=unsettled.part AND o.slot=0)",
        flow_id,
        done.part,
    )


def given_up(tx: Transaction, flow_id: int) -> None:
    """Positions of passes that were never carried out are not told to anybody."""
    tx.run(
        "DELETE FROM unsettled WHERE flow_id=? AND run_id IN "
        "(SELECT run_id FROM run WHERE flow_id=? AND state='cancelled')",
        flow_id,
        flow_id,
    )
