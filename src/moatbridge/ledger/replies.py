"""Replies to posts of ours, and the answers to them: each taken and given once.

A reply is remembered when it is read, whatever it says, in the transaction that stages
what it means. So it can decide only once: not after an edit, not when the platform
tells it again, not when a worker dies in between. Answers are rows that are appended;
an implicit flow carries them like any other source.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from moatbridge.config.answers import answers_of
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge.ledger.database import Transaction


class Reply(NamedTuple):
    """One reply that was taken.

    Args:
        k: Hash of its key.
        post: Link of the record whose post it replies to.
        fp: Fingerprint of its text when it was taken.
        asker: Reference to the account that wrote it, as JSON.
        outcome: ``decided.Accept``, ``decided.Reject``, ``quiet``, ``refused.WHY`` or
            ``withdrawn``.
    """

    k: bytes
    post: int
    fp: bytes
    asker: str
    outcome: str

    def __repr__(self) -> str:
        return f"Reply({self.outcome})"


class Answer(NamedTuple):
    """One answer: which reply, why, and the post that says it."""

    k: bytes
    kind: str
    post: dict[str, Any]

    def __repr__(self) -> str:
        return f"Answer({self.kind})"


def known(tx: Transaction, flow_id: int, ks: Sequence[bytes]) -> dict[bytes, Reply]:
    """Replies taken before, by key hash."""
    found: dict[bytes, Reply] = {}
    for start in range(0, len(ks), 500):
        part = ks[start : start + 500]
        holes = ",".join("?" * len(part))
        rows = tx.all(
            "SELECT k, post, fp, asker, outcome FROM reply "
            f"WHERE flow_id=? AND k IN ({holes})",
            flow_id,
            *part,
        )
        found.update((row[0], Reply(*row)) for row in rows)
    return found


def take(tx: Transaction, flow_id: int, taken: Iterable[Reply]) -> None:
    """Remember replies; what was taken before stays as it is."""
    now = tx.now()
    tx.many(
        "INSERT INTO reply(flow_id, k, post, fp, asker, outcome, at) "
        "VALUES(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        [(flow_id, *reply, now) for reply in taken],
    )


def turn(tx: Transaction, flow_id: int, k: bytes, outcome: str) -> None:
    """Another outcome than was expected when the reply was taken."""
    tx.run("UPDATE reply SET outcome=? WHERE flow_id=? AND k=?", outcome, flow_id, k)


def give(tx: Transaction, flow_id: int, answers: Iterable[Answer]) -> None:
    """Append answers; the same answer to the same reply is given once."""
    now = tx.now()
    tx.many(
        "INSERT INTO answer(flow_id, k, kind, body, at) VALUES(?,?,?,?,?) "
        "ON CONFLICT DO NOTHING",
        [(flow_id, a.k, a.kind, json.dumps(a.post), now) for a in answers],
    )


def answers_after(
    tx: Transaction, flow_id: int, after: int, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """Answers of a deciding flow behind a position: rows of (number, post)."""
    rows = tx.all(
        "SELECT answer_id, body FROM answer WHERE flow_id=? AND answer_id>? "
        "ORDER BY answer_id LIMIT ?",
        flow_id,
        after,
        limit,
    )
    return [(int(number), json.loads(body)) for number, body in rows]


def prune(tx: Transaction, flow_id: int, *, before: float) -> int:
    """Forget what is too old to be kept, 10,000 rows of each kind at a time.

    A reply about which something is still held or on its way stays, and so does an
    answer that was not carried yet.

    Args:
        tx: Open transaction.
        flow_id: The flow that decides.
        before: Replies taken, and answers given, before this moment go.

    Returns:
        How many rows went.
    """
    gone = tx.run(
        "DELETE FROM reply WHERE flow_id=? AND k IN (SELECT k FROM reply "
        "WHERE flow_id=? AND at<? AND k NOT IN (SELECT i.k FROM parcel p "
        "JOIN intent i ON i.parcel_id=p.parcel_id WHERE p.flow_id=? "
        "AND p.state<? AND i.k IS NOT NULL) LIMIT 10000)",
        flow_id,
        flow_id,
        before,
        flow_id,
        State.DONE,
    )
    carried = _carried_to(tx, flow_id)
    return gone + tx.run(
        "DELETE FROM answer WHERE answer_id IN (SELECT answer_id FROM answer "
        "WHERE flow_id=? AND at<? AND answer_id<=? LIMIT 10000)",
        flow_id,
        before,
        carried,
    )


def _carried_to(tx: Transaction, flow_id: int) -> int:
    """The answer up to which the flow that carries them has read."""
    row = tx.one("SELECT scope, name FROM flow WHERE flow_id=?", flow_id)
    cursor = row and tx.value(
        "SELECT p.cursor FROM partition p JOIN flow f ON f.flow_id=p.flow_id "
        "WHERE f.scope=? AND f.name=? AND p.kind='live'",
        row[0],
        answers_of(row[1]),
    )
    return int(json.loads(cursor)["at"]["answer"]) if cursor else 0


def outcomes(tx: Transaction, flow_id: int) -> dict[str, int]:
    """Outcome -> replies, of all that were taken."""
    rows = tx.all(
        "SELECT outcome, count(*) FROM reply WHERE flow_id=? GROUP BY 1 ORDER BY 1",
        flow_id,
    )
    return {outcome: int(n) for outcome, n in rows}
