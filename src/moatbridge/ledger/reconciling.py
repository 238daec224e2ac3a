"""What reconciling asks of the ledger (delivery 54)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger.marks import chunks
from moatbridge.ledger.states import State
from moatbridge.ledger.undo import KIND, UNDO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction

STAGING: Final = "reconciling"
"""State of a run while its repairs are staged; nothing of it is ever delivered."""

_PAGE: Final = 500


class LinkRow(NamedTuple):
    """What a pass over all links needs of one."""

    link_id: int
    state: int
    source_key: str | None
    target_key: str | None
    target_name: str | None


def links_after(
    tx: Transaction, pair_id: int, side: int, *, after: int, high: int
) -> list[LinkRow]:
    """The next links of a pair, by id; at most 500.

    Args:
        tx: Open transaction.
        pair_id: Whose.
        side: Source side of the flow.
        after: The last link id seen.
        high: The highest link id to look at.
    """
    mine, other = ("a", "b") if side == 0 else ("b", "a")
    rows = tx.all(
        f"SELECT link_id, state, {mine}_key, {other}_key, {other}_name FROM link "
        "WHERE link_id>? AND link_id<=? AND pair_id=? ORDER BY link_id LIMIT ?",
        after,
        high,
        pair_id,
        _PAGE,
    )
    return [LinkRow(*row) for row in rows]


def on_their_way(
    tx: Transaction, pair_id: int, after: tuple[int, int]
) -> list[tuple[int, int, int | None, bytes]]:
    """Planned intents of runs that are being applied: (parcel, pos, link id, k)."""
    rows = tx.all(
        "SELECT i.parcel_id, i.pos, i.link_id, i.k FROM parcel p "
        "JOIN run r ON r.run_id=p.run_id JOIN flow f ON f.flow_id=p.flow_id "
        "JOIN intent i ON i.parcel_id=p.parcel_id WHERE f.pair_id=? AND p.state=? "
        "AND p.state<10 AND i.state IS NULL AND r.state='applying' "
        "AND (i.parcel_id, i.pos) > (?, ?) ORDER BY i.parcel_id, i.pos LIMIT 2000",
        pair_id,
        State.PLANNED,
        *after,
    )
    return [tuple(row) for row in rows]


def busy(tx: Transaction, link_ids: Sequence[int]) -> dict[int, str]:
    """Links with something admitted and not settled: ``waiting``, or ``held``.

    What is parked or held waits for a person; all else goes on by itself.
    """
    found: dict[int, str] = {}
    for part in chunks(link_ids, _PAGE):
        holes = ",".join("?" * len(part))
        for link_id, state in tx.all(
            "SELECT o.link_id, p.state FROM open o JOIN parcel p "
            f"ON p.parcel_id=o.parcel_id WHERE o.slot=0 AND o.link_id IN ({holes})",
            *part,
        ):
            person = state in {State.HELD, State.PARKED}
            found[link_id] = "held" if person else "waiting"
    return found


def sent_since(tx: Transaction, pair_id: int, at: float) -> list[int]:
    """Links to whose target record anything was sent since that time."""
    rows = tx.all(
        "SELECT DISTINCT i.link_id FROM parcel p JOIN flow f ON f.flow_id=p.flow_id "
        "JOIN intent i ON i.parcel_id=p.parcel_id "
        "WHERE f.pair_id=? AND p.last_sent>=? AND i.link_id IS NOT NULL",
        pair_id,
        at,
    )
    return [int(link_id) for (link_id,) in rows]


def stuck(tx: Transaction, flow_id: int, ks: Sequence[bytes]) -> dict[bytes, str]:
    """Records, by key hash, that wait for a person: ``held`` or ``rejected``."""
    found: dict[bytes, str] = {}
    for part in chunks(ks, _PAGE):
        holes = ",".join("?" * len(part))
        for table, more, word in (
            ("reject", "", "rejected"),
            ("hold", " AND decided IS NULL", "held"),
        ):
            rows = tx.all(
                f"SELECT k FROM {table} WHERE flow_id=? AND k IN ({holes}){more}",
                flow_id,
                *part,
            )
            found.update((k, word) for (k,) in rows)
    return found


class TakenBack(NamedTuple):
    """The newest thing that was taken back of a link.

    Args:
        out_fp: What the source's mark said at that time.
        image: What the retract changed (`moatbridge.flow.retract.images`); None where
            nothing is kept.
        receipt: How the target showed it then.
    """

    out_fp: bytes | None
    image: str | None
    receipt: str | None

    def __repr__(self) -> str:
        return "TakenBack()"


def taken_back(
    tx: Transaction, flow_id: int, link_ids: Sequence[int]
) -> dict[int, TakenBack]:
    """Of these links, those of which a retract took something back, and what."""
    if not tx.one(
        "SELECT 1 FROM run WHERE flow_id=? AND kind=? AND state IN ('applying','done') "
        "LIMIT 1",
        flow_id,
        KIND,
    ):
        return {}
    found: dict[int, TakenBack] = {}
    for part in chunks(link_ids, _PAGE):
        holes = ",".join("?" * len(part))
        rows = tx.all(
            "SELECT i.link_id, i.out_fp, b.image, i.receipt FROM parcel p "
            "JOIN intent i ON i.parcel_id=p.parcel_id "
            "LEFT JOIN before b ON b.parcel_id=i.parcel_id AND b.pos=i.pos "
            "WHERE p.flow_id=? AND p.part=? AND coalesce(i.state, p.state)=? "
            f"AND i.link_id IN ({holes}) ORDER BY i.parcel_id, i.pos",
            flow_id,
            UNDO,
            State.DONE,
            *part,
        )
        found.update((row[0], TakenBack(*row[1:])) for row in rows)  # the newest stays
    return found


def other_sides(tx: Transaction, scope: str, address: str, pair_id: int) -> list[int]:
    """Side ids of the same stream in other pairs: what is linked there is theirs."""
    rows = tx.all(
        "SELECT pair_id, a, b FROM pair WHERE scope=? AND pair_id<>? AND (a=? OR b=?)",
        scope,
        pair_id,
        address,
        address,
    )
    return [
        number * 2 + side
        for number, a, b in rows
        for side, end in ((0, a), (1, b))
        if end == address
    ]


def give_up(tx: Transaction, flow_id: int) -> None:
    """Repairs whose staging never came to its end are gone."""
    mine = "SELECT run_id FROM run WHERE flow_id=? AND state=?"
    tx.run(
        "UPDATE intent SET payload=NULL WHERE parcel_id IN (SELECT parcel_id "
        f"FROM parcel WHERE flow_id=? AND state=? AND run_id IN ({mine}))",
        flow_id,
        State.PLANNED,
        flow_id,
        STAGING,
    )
    tx.run(
        f"UPDATE parcel SET state=? WHERE flow_id=? AND state=? AND run_id IN ({mine})",
        State.CANCELLED,
        flow_id,
        State.PLANNED,
        flow_id,
        STAGING,
    )
    tx.run(
        "UPDATE run SET state='cancelled' WHERE flow_id=? AND state=?", flow_id, STAGING
    )
