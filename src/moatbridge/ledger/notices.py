"""What adapters noticed while they read: sentences, kept beside the partition's spec.

Nothing depends on them: one that a kill takes along is lost. They are shown for a week;
a pass takes over those of the pass before it, whose partitions are forgotten.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger.keys import made_storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.leases import Lease

MOST: Final = 20
"""Sentences kept of one partition; the newest ones."""

LONGEST: Final = 300
"""Characters of one."""

LIFE: Final = 7 * 86_400.0
"""Seconds for which what was noticed is shown."""

_MEMBER: Final = "notices"


class Notice(NamedTuple):
    """One sentence, and when it was said last (POSIX seconds)."""

    at: float
    words: str


def keep(tx: Transaction, lease: Lease, said: Iterable[str]) -> list[str]:
    """Keep what an adapter noticed under our lease; returns what is new.

    Kept with the partition that was read. What is noticed under the control lease is
    kept with the newest pass, or with the tail of a flow that has none.

    A sentence that is known already is moved to the end. Who lost the lease keeps
    nothing: the next slice notices it again.
    """
    part = _place(tx, lease)
    if part is None:
        return []
    text = tx.value(
        "SELECT spec FROM partition WHERE flow_id=? AND part=?", lease.flow_id, part
    )
    spec = json.loads(text) if text else {}
    now = tx.now()
    known = {n.words: n.at for n in _of(spec) if n.at > now - LIFE}
    new = []
    for sentence in said:
        words = _cut(made_storable(sentence))
        if known.pop(words, None) is None:
            new.append(words)
        known[words] = now
    spec[_MEMBER] = [[at, words] for words, at in known.items()][-MOST:]
    tx.run(
        "UPDATE partition SET spec=? WHERE flow_id=? AND part=?",
        json.dumps(spec),
        lease.flow_id,
        part,
    )
    if part == lease.part:
        lease.spec = spec
    return new


def _place(tx: Transaction, lease: Lease) -> str | None:
    """The partition that keeps what is noticed; None if the lease is lost."""
    held = tx.one(
        "SELECT 1 FROM partition WHERE flow_id=? AND part=? AND fence=?",
        lease.flow_id,
        lease.part,
        lease.fence,
    )
    if held is None or lease.kind != "control":
        return None if held is None else lease.part
    found = tx.value(
        "SELECT part FROM partition WHERE flow_id=? AND kind IN ('scan','live') "
        "ORDER BY CASE WHEN kind='scan' THEN 0 ELSE 1 END, generation DESC, part "
        "LIMIT 1",
        lease.flow_id,
    )
    return None if found is None else str(found)


def carried(tx: Transaction, flow_id: int) -> dict[str, Any]:
    """What the newest pass says, for the spec of a partition of the next one."""
    newest = tx.value(
        "SELECT max(generation) FROM partition WHERE flow_id=? AND kind='scan'", flow_id
    )
    rows = [list(notice) for notice in of_pass(tx, flow_id, newest)]
    return {_MEMBER: rows} if rows else {}


def of_pass(
    tx: Transaction, flow_id: int, generation: int | None, *, since: float = 0.0
) -> tuple[Notice, ...]:
    """What was noticed during a pass and those before it, oldest first.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        generation: Of the pass; None for one that never began: nothing.
        since: POSIX seconds: only what was said from then on.
    """
    return _said(
        tx,
        tx.all(
            "SELECT spec FROM partition WHERE flow_id=? AND kind='scan' "
            "AND generation=?",
            flow_id,
            generation or 0,
        ),
        since,
    )


def of_tail(tx: Transaction, flow_id: int, *, since: float = 0.0) -> tuple[Notice, ...]:
    """What was noticed while changes were followed, oldest first.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        since: POSIX seconds: only what was said from then on.
    """
    rows = tx.all("SELECT spec FROM partition WHERE flow_id=? AND kind='live'", flow_id)
    return _said(tx, rows, since)


def _said(tx: Transaction, rows: Sequence[Any], since: float) -> tuple[Notice, ...]:
    begin = max(since, tx.now() - LIFE)
    every = (n for (spec,) in rows if spec for n in _of(json.loads(spec)))
    found = [notice for notice in every if notice.at >= begin]
    return tuple(sorted(found, key=lambda notice: notice.at)[-MOST:])


def _of(spec: Any) -> list[Notice]:
    rows = spec.get(_MEMBER, ()) if isinstance(spec, dict) else ()
    return [Notice(float(at), str(words)) for at, words in rows]


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
