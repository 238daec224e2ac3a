"""Pairs and flows by name, and who waits for whose reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger.keys import name_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.parcels import Item

_FETCHES: Final = "fetches/"


class FlowRow(NamedTuple):
    """A flow's ids. Side 0 reads side a of the pair, side 1 reads side b."""

    flow_id: int
    pair_id: int
    side: int

    @property
    def source_side(self) -> int:
        """Side id of the marks of the stream it reads."""
        return self.pair_id * 2 + self.side

    @property
    def target_side(self) -> int:
        """Side id of the marks of the stream it writes."""
        return self.pair_id * 2 + (1 - self.side)


def ensure(tx: Transaction, scope: str, name: str, source: str, target: str) -> FlowRow:
    """The flow's row, made if it is new; two flows over swapped ends share a pair."""
    pair_id, side = _pair(tx, scope, source, target)
    row = tx.one(
        "SELECT flow_id, pair_id, side FROM flow WHERE scope=? AND name=?", scope, name
    )
    if row is None:
        flow_id = tx.insert(
            "INSERT INTO flow(scope, name, pair_id, side) VALUES(?,?,?,?)",
            scope,
            name,
            pair_id,
            side,
        )
        return FlowRow(flow_id, pair_id, side)
    if (row[1], row[2]) != (pair_id, side):
        _forget_former(tx, row[0])
        tx.run(
            "UPDATE flow SET pair_id=?, side=?, report=NULL WHERE flow_id=?",
            pair_id,
            side,
            row[0],
        )
    return FlowRow(row[0], pair_id, side)


def _forget_former(tx: Transaction, flow_id: int) -> None:
    """The flow carries to another stream now: nothing of the former pair goes there."""
    tx.run(
        "UPDATE intent SET payload=NULL WHERE parcel_id IN "
        "(SELECT parcel_id FROM parcel WHERE flow_id=? AND state<10)",
        flow_id,
    )
    tx.run("UPDATE parcel SET state=13 WHERE flow_id=? AND state<10", flow_id)
    tx.run("UPDATE run SET kind='former', state='cancelled' WHERE flow_id=?", flow_id)
    tx.run("DELETE FROM hold WHERE flow_id=?", flow_id)
    tx.run("DELETE FROM again WHERE flow_id=?", flow_id)
    tx.run("DELETE FROM partition WHERE flow_id=?", flow_id)


def _pair(tx: Transaction, scope: str, source: str, target: str) -> tuple[int, int]:
    for a, b, side in ((source, target, 0), (target, source, 1)):
        found = tx.value(
            "SELECT pair_id FROM pair WHERE scope=? AND a=? AND b=?", scope, a, b
        )
        if found is not None:
            return int(found), side
    return (
        tx.insert("INSERT INTO pair(scope, a, b) VALUES(?,?,?)", scope, source, target),
        0,
    )


def id_of(tx: Transaction, scope: str, name: str) -> int | None:
    """The flow's id; None if it never ran."""
    found = tx.value("SELECT flow_id FROM flow WHERE scope=? AND name=?", scope, name)
    return None if found is None else int(found)


def stop_on_bug(tx: Transaction, flow_id: int, what: str) -> None:
    """An impossible state was met: the flow stands still until a person looked."""
    tx.run("UPDATE flow SET bug=? WHERE flow_id=?", what[:500], flow_id)


def wait_for(
    tx: Transaction,
    flow_id: int,
    link_id: int,
    missing: Sequence[tuple[int, bytes, bool]],
) -> None:
    """The link's record waits for references: rows of (side id, hash, by name)."""
    tx.many(
        "INSERT INTO wait_ref(side_id, k, by_name, flow_id, link_id) "
        "VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
        [(side_id, k, int(by), flow_id, link_id) for side_id, k, by in missing],
    )


def wake_waiting(tx: Transaction, pair_id: int, linked: Sequence[Item]) -> None:
    """Records that wait for a reference to one of these are read and judged afresh.

    Args:
        tx: Open transaction.
        pair_id: Pair of the records that are linked now.
        linked: Their intents.
    """
    if not linked or not tx.one("SELECT 1 FROM wait_ref LIMIT 1"):
        return
    for item in linked:
        name = item.source[1]
        hashes = [(item.k, 0)] + ([(name_hash(name), 1)] if name else [])
        for text, by_name in hashes:
            rows = tx.all(
                "DELETE FROM wait_ref WHERE side_id IN (?,?) AND k=? AND by_name=? "
                "RETURNING flow_id, link_id",
                pair_id * 2,
                pair_id * 2 + 1,
                text,
                by_name,
            )
            ask_again(tx, [(flow, link) for flow, link in rows], "reference")


def ask_again(tx: Transaction, links: Sequence[tuple[int, int]], why: str) -> None:
    """Ask for records to be read and judged afresh: rows of (flow id, link id)."""
    tx.many(
        "INSERT INTO again(flow_id, link_id, reason) VALUES(?,?,?) "
        "ON CONFLICT(flow_id, link_id) DO UPDATE SET due=1, reason=excluded.reason",
        [(flow_id, link_id, why) for flow_id, link_id in links],
    )
    for flow_id in {flow_id for flow_id, _link_id in links}:
        if tx.run(
            "UPDATE partition SET not_before=0, woken=1 "
            "WHERE flow_id=? AND kind='control' AND state='ready'",
            flow_id,
        ):
            tx.tell(flow_id)


def note_fetches(tx: Transaction, flow_id: int, *, fetches: bool) -> None:
    """Remember whether the flow's source can be asked for single records.

    A person may decide while no system is there to say so.
    """
    tx.run(
        "INSERT INTO meta(name, value) VALUES(?,?) "
        "ON CONFLICT(name) DO UPDATE SET value=excluded.value",
        f"{_FETCHES}{flow_id}",
        str(int(fetches)),
    )


def comes_again(tx: Transaction, flow_id: int, link_id: int | None) -> bool:
    """Whether a record that nothing tells of any more will be looked at again.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        link_id: The record's link; None if it has none, so that nothing fetches it.
    """
    if tx.one(
        "SELECT 1 FROM partition WHERE flow_id=? AND kind='scan' LIMIT 1", flow_id
    ):
        return True
    fetches = tx.value("SELECT value FROM meta WHERE name=?", f"{_FETCHES}{flow_id}")
    return link_id is not None and fetches == "1"


def ask_opposite(
    tx: Transaction, row: FlowRow, link_ids: Sequence[int], why: str
) -> None:
    """Ask the flow that carries the other way to look at these records again."""
    rows = tx.all(
        "SELECT flow_id FROM flow WHERE pair_id=? AND side<>?", row.pair_id, row.side
    )
    ask_again(tx, [(other, link_id) for (other,) in rows for link_id in link_ids], why)


def due_again(
    tx: Transaction, flow_id: int, *, limit: int, tries: int
) -> list[tuple[int, str]]:
    """Links to read and judge afresh: rows of (link id, reason)."""
    rows = tx.all(
        "SELECT link_id, reason FROM again WHERE flow_id=? AND due=1 AND tries<? "
        "LIMIT ?",
        flow_id,
        tries,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def next_round(tx: Transaction, link_ids: Sequence[int]) -> None:
    """A wanted second effect gets other keys, or the target would swallow it."""
    tx.many(
        "UPDATE link SET round=round+1 WHERE link_id=?",
        [(link_id,) for link_id in link_ids],
    )


def taken_again(tx: Transaction, flow_id: int, link_ids: Sequence[int]) -> None:
    """These were looked at; they come back only when asked for again."""
    tx.many(
        "UPDATE again SET due=0, tries=tries+1 WHERE flow_id=? AND link_id=?",
        [(flow_id, link_id) for link_id in link_ids],
    )


def failed_again(tx: Transaction, flow_id: int, link_id: int) -> int:
    """It could not be looked at; returns how often it was tried. It stays due."""
    tries = tx.value(
        "UPDATE again SET tries=tries+1 WHERE flow_id=? AND link_id=? RETURNING tries",
        flow_id,
        link_id,
    )
    return int(tries or 0)


def not_again(tx: Transaction, flow_id: int, link_id: int) -> None:
    """It need not be read afresh: what it said is at hand."""
    tx.run("DELETE FROM again WHERE flow_id=? AND link_id=?", flow_id, link_id)


def fresh_again(tx: Transaction, flow_id: int) -> None:
    """A new pass began: every record may be tried again."""
    tx.run("DELETE FROM again WHERE flow_id=? AND due=0", flow_id)
    tx.run("UPDATE again SET tries=0 WHERE flow_id=?", flow_id)
