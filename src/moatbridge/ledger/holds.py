"""What waits for a person about a record, and how the waiting ends (guard 31-35)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moatbridge.ledger.marks import chunks
from moatbridge.ledger.parcels import split
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.parcels import Parcel

_HOLES: Final = 500


_WAITS: Final = "(decided IS NULL OR decided='expire')"
"""Of a hold: somebody may still have to see it."""


def held(tx: Transaction, flow_id: int) -> set[bytes]:
    """Key hashes of the records about which something waits for a person, or did."""
    rows = tx.all(f"SELECT k FROM hold WHERE flow_id=? AND {_WAITS}", flow_id)
    return {k for (k,) in rows}


def outdate_holds(
    tx: Transaction, flow_id: int, ks: Sequence[bytes], *, by: Parcel | None = None
) -> None:
    """What waits for a person about these records is over: they moved on, or back.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        ks: Key hashes of the records.
        by: The parcel that moves them on, if what was told after it stays: nobody
            could tell that again.
    """
    older, values = "", []
    if by is not None:
        older = (
            " AND parcel_id NOT IN (SELECT n.parcel_id FROM parcel n JOIN parcel o "
            "ON n.flow_id=o.flow_id AND n.part=o.part AND n.upto>o.upto "
            "WHERE o.parcel_id=?)"
        )
        values = [by.parcel_id]
    for k in held(tx, flow_id).intersection(ks):
        old = tx.value(
            f"DELETE FROM hold WHERE flow_id=? AND k=? AND {_WAITS}"
            f"{older} RETURNING parcel_id",
            flow_id,
            k,
            *values,
        )
        if old is not None:
            end_held(tx, old, State.SUPERSEDED)


def end_held(tx: Transaction, parcel_id: int, state: State) -> None:
    """A held parcel ends; its content goes.

    What was approved and has not been admitted yet ends with it. What has been stays:
    it may be on its way, and its bytes are needed until its outcome is known.
    """
    for old, new in ((State.HELD, state), (State.PLANNED, State.CANCELLED)):
        ended = tx.run(
            "UPDATE parcel SET state=? WHERE parcel_id=? AND state=?",
            new,
            parcel_id,
            old,
        )
        if ended:
            tx.run("UPDATE intent SET payload=NULL WHERE parcel_id=?", parcel_id)
            return


def hold_planned(
    tx: Transaction,
    flow_id: int,
    parcel: Parcel,
    pos: int,
    reason: str,
    rule: str,
    payload: str | None = None,
    detail: str = "",
    waits: float | None = None,
) -> None:
    """Hold one intent of a planned parcel for a person, in a parcel of its own.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        parcel: A planned parcel.
        pos: Which of its intents.
        reason: From the closed list.
        rule: Rules that hold it.
        payload: What a person sees and agrees to; None: as it was staged.
        detail: What else a person should know, without values.
        waits: Seconds until it expires; None: it does not.
    """
    new = split(tx, parcel, [pos], State.HELD)
    tx.run(
        "UPDATE intent SET payload=coalesce(?, payload) WHERE parcel_id=? AND pos=?",
        payload,
        new,
        pos,
    )
    tx.run("DELETE FROM hold WHERE flow_id=? AND k=(SELECT k FROM intent "
           "WHERE parcel_id=? AND pos=?)", flow_id, new, pos)  # fmt: skip
    tx.run(
        "INSERT INTO hold(flow_id, parcel_id, k, out_fp, reason, rule, detail, "
        "created, expires) SELECT ?, parcel_id, k, out_fp, ?, ?, ?, ?, ? FROM intent "
        "WHERE parcel_id=? AND pos=?",
        flow_id,
        reason,
        rule,
        detail,
        tx.now(),
        None if waits is None else tx.now() + waits,
        new,
        pos,
    )


def expire_holds(tx: Transaction, flow_id: int, *, older: float) -> list[int]:
    """Items that nobody decided in time are cancelled, never sent; returns parcels.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        older: Seconds for which those wait that former versions held, without a time.
    """
    now = tx.now()
    rows = tx.all(
        "UPDATE hold SET decided='expire', expires=coalesce(expires, ?) "
        "WHERE flow_id=? AND decided IS NULL AND coalesce(expires, created+?)<=? "
        "RETURNING parcel_id",
        now,
        flow_id,
        older,
        now,
    )
    for (parcel_id,) in rows:
        end_held(tx, parcel_id, State.CANCELLED)
    return [int(parcel_id) for (parcel_id,) in rows]


def agreed_at(tx: Transaction, flow_id: int, ks: Sequence[bytes]) -> dict[bytes, float]:
    """When people approved what is held about these records: key hash -> POSIX."""
    found: dict[bytes, float] = {}
    for part in chunks(list(ks), _HOLES):
        rows = tx.all(
            "SELECT h.k, r.created FROM hold h "
            "JOIN parcel p ON p.parcel_id=h.parcel_id JOIN run r ON r.run_id=p.run_id "
            "WHERE h.flow_id=? AND h.decided='approve' "
            f"AND h.k IN ({','.join('?' * len(part))})",
            flow_id,
            *part,
        )
        found.update(rows)
    return found


def parcel_of(tx: Transaction, flow_id: int, hold_id: int) -> int | None:
    """The parcel that a held item lies in; None if there is no such item."""
    found = tx.value(
        "SELECT parcel_id FROM hold WHERE flow_id=? AND hold_id=?", flow_id, hold_id
    )
    return None if found is None else int(found)


def records_of(tx: Transaction, parcels: Sequence[int]) -> list[tuple[bytes, str]]:
    """Rows of (key hash, source key) of everything in these parcels."""
    return [
        (k, str(json.loads(ref)[0]))
        for parcel_id in parcels
        for k, ref in tx.all("SELECT k, ref FROM intent WHERE parcel_id=?", parcel_id)
    ]
