"""What waits for a person about a record, and how the waiting ends (guard 31-35)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.marks import chunks
from moatbridge.ledger.parcels import settle_one, split
from moatbridge.ledger.states import State
from moatbridge.ledger.waiting import LISTED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    if not ks:
        return
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


def said_again(
    tx: Transaction, flow_id: int, said: Mapping[bytes, tuple[str, bytes | None]]
) -> set[bytes]:
    """Records of which transaction B holds, or held too long, what is said again.

    Whether they are held again is known in transaction B alone: until then it stays.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        said: Key hash -> operation and fingerprint of what is staged.
    """
    if not said:
        return set()
    rows = tx.all(
        "SELECT h.k, h.out_fp, i.op, i.out_fp FROM hold h JOIN intent i "
        f"ON i.parcel_id=h.parcel_id AND i.k=h.k WHERE h.flow_id=? AND {_WAITS}",
        flow_id,
    )
    return {
        k
        for k, seal, op, out_fp in rows
        if seal != out_fp and said.get(k) == (op, out_fp)
    }


class _Known(NamedTuple):
    """What a hold's row says; ``seal`` stands for all that the person sees."""

    hold_id: int
    parcel_id: int
    seal: bytes | None
    decided: str | None
    expires: float | None
    state: int | None

    def covers(self, parcel_id: int, now: float, *, once: bool) -> bool:
        """Whether the same content in that parcel asks nobody anything new."""
        if self.decided == "expire":
            return not once and (self.expires or 0.0) > now - LISTED
        if self.decided == "approve":  # it leaves with the next parcels
            return self.parcel_id != parcel_id and self.state == State.PLANNED
        return self.decided == "refuse"


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
    *,
    once: bool = False,
) -> None:
    """Hold one intent of a planned parcel for a person, in a parcel of its own.

    What waits with the same content already goes on waiting under its number; what was
    refused, or that nobody decided in time, is not asked again.

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
        once: Nobody tells it again in the next pass: what is told anew after it expired
            is asked anew.
    """
    k, op, out_fp, staged = tx.one(
        "SELECT k, op, out_fp, payload FROM intent WHERE parcel_id=? AND pos=?",
        parcel.parcel_id,
        pos,
    )
    payload = staged if payload is None else payload
    seal = _seal(op, out_fp, (reason, rule, detail), payload)
    known = _known(tx, flow_id, k)
    same = known is not None and known.seal == seal
    if known and same and known.covers(parcel.parcel_id, tx.now(), once=once):
        settle_one(tx, parcel, [(pos, State.CANCELLED, "already")])
        return
    new = split(tx, parcel, [pos], State.HELD)
    tx.run("UPDATE intent SET payload=? WHERE parcel_id=? AND pos=?", payload, new, pos)
    if known and known.decided is None:
        end_held(tx, known.parcel_id, State.SUPERSEDED)
        if same:
            tx.run("UPDATE hold SET parcel_id=? WHERE hold_id=?", new, known.hold_id)
            return
    tx.run("DELETE FROM hold WHERE flow_id=? AND k=?", flow_id, k)
    now = tx.now()
    tx.run(
        "INSERT INTO hold(flow_id, parcel_id, k, out_fp, reason, rule, detail, "
        "created, expires) VALUES(?,?,?,?,?,?,?,?,?)",
        flow_id,
        new,
        k,
        seal,
        reason,
        rule,
        detail,
        now,
        None if waits is None else now + waits,
    )


def _known(tx: Transaction, flow_id: int, k: bytes) -> _Known | None:
    row = tx.one(
        "SELECT h.hold_id, h.parcel_id, h.out_fp, h.decided, h.expires, p.state "
        "FROM hold h LEFT JOIN parcel p ON p.parcel_id=h.parcel_id "
        "WHERE h.flow_id=? AND h.k=?",
        flow_id,
        k,
    )
    return None if row is None else _Known(*row)


def _seal(
    op: str, out_fp: bytes | None, why: tuple[str, str, str], payload: str
) -> bytes:
    """Stands for what transaction B holds: all that the person sees, and why.

    Not for the version of a record that is to be adopted: it grows by itself.
    """
    shown = {k: v for k, v in json.loads(payload).items() if k != "adopt"}
    return key_hash(json.dumps([op, str(out_fp), why, shown], sort_keys=True))


def expire_holds(
    tx: Transaction, flow_id: int, *, older: float, lasting: Collection[str]
) -> list[int]:
    """Items that nobody decided in time are cancelled, never sent; returns parcels.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        older: Seconds for which those wait that former versions held, without a time.
        lasting: Reasons that end without a person: what is held for one of them has no
            time, and never expires.
    """
    now, endless = tx.now(), ("", *lasting)
    rows = tx.all(
        "UPDATE hold SET decided='expire', expires=coalesce(expires, ?) "
        "WHERE flow_id=? AND decided IS NULL AND coalesce(expires, created+?)<=? "
        f"AND (expires IS NOT NULL OR reason NOT IN ({_holes(endless)})) "
        "RETURNING parcel_id",
        now,
        flow_id,
        older,
        now,
        *endless,
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
            f"AND h.k IN ({_holes(part)})",
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


def _holes(part: Collection[object]) -> str:
    return ",".join("?" * len(part))
