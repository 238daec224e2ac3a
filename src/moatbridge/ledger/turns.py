"""Deliveries that went to and fro about one record: the memory of the loop breaker.

Only alternations are kept: several deliveries in one direction are one turn, of which
the newest moment counts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger.marks import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moatbridge.ledger.database import Transaction

WINDOW: Final = 3600.0
"""Seconds within which turns are counted (delivery 50)."""

MOST: Final = 3
"""Turns about one record within `WINDOW`; the next one is a loop."""

Turns = list[tuple[float, int, list[str]]]
"""Moment, side of the source, and the entity paths that changed."""


def note(tx: Transaction, side: int, written: Mapping[int, Sequence[str]]) -> None:
    """Remember deliveries from one side.

    Args:
        tx: The transaction that settles them.
        side: Side of their source, 0 or 1.
        written: Link id -> entity paths that changed.
    """
    now = tx.now()
    rows = []
    for link_id, (turns, _tripped) in _load(tx, written).items():
        newest = (now, side, list(written[link_id]))
        kept = [t for t in turns if t[0] > now - WINDOW]
        if kept and kept[-1][1] == side:
            newest = (now, side, sorted({*kept.pop()[2], *written[link_id]}))
        rows.append((link_id, json.dumps([*kept, newest][-MOST:])))
    tx.many(
        "INSERT INTO turn(link_id, turns) VALUES(?,?) "
        "ON CONFLICT(link_id) DO UPDATE SET turns=excluded.turns",
        rows,
    )


def looping(
    tx: Transaction, side: int, link_ids: Iterable[int]
) -> dict[int, tuple[str, ...]]:
    """Links whose next delivery from this side would be one too many.

    A link that tripped the breaker stays in for `WINDOW`, whatever the direction.

    Returns:
        Link id -> the entity paths that flip.
    """
    now = tx.now()
    found = {}
    for link_id, (turns, tripped) in _load(tx, link_ids).items():
        recent = [t for t in turns if t[0] > now - WINDOW]
        loops = len(recent) >= MOST and recent[-1][1] != side
        if loops or (tripped is not None and tripped > now - WINDOW):
            found[link_id] = _flipping(recent)
    return found


def trip(tx: Transaction, link_ids: Iterable[int]) -> None:
    """The breaker opened for these links; one that is open stays so for no longer."""
    now = tx.now()
    tx.many(
        "UPDATE turn SET tripped=? WHERE link_id=? AND (tripped IS NULL OR tripped<=?)",
        [(now, link_id, now - WINDOW) for link_id in link_ids],
    )


def forget(tx: Transaction, link_ids: Iterable[int]) -> None:
    """A person looked: counting begins anew."""
    tx.many("DELETE FROM turn WHERE link_id=?", [(link_id,) for link_id in link_ids])


def prune(tx: Transaction) -> int:
    """Forget what no breaker looks at any more; how many rows that were."""
    long_ago, gone = tx.now() - WINDOW, []
    for link_id, text, tripped in tx.all("SELECT link_id, turns, tripped FROM turn"):
        newest = max([tripped or 0.0, *(t[0] for t in json.loads(text))])
        if newest <= long_ago:
            gone.append(link_id)
    forget(tx, gone)
    return len(gone)


def _load(
    tx: Transaction, link_ids: Iterable[int]
) -> dict[int, tuple[Turns, float | None]]:
    found: dict[int, tuple[Turns, float | None]] = {}
    for part in chunks(link_ids, 500):
        found |= {link_id: ([], None) for link_id in part}
        holes = ",".join("?" * len(part))
        rows: Sequence[Any] = tx.all(
            f"SELECT link_id, turns, tripped FROM turn WHERE link_id IN ({holes})",
            *part,
        )
        for link_id, text, tripped in rows:
            found[link_id] = ([(t[0], t[1], t[2]) for t in json.loads(text)], tripped)
    return found


def _flipping(turns: Turns) -> tuple[str, ...]:
    """What both directions wrote; or else everything, since one leads to the other."""
    sides: dict[int, set[str]] = {0: set(), 1: set()}
    for _moment, side, paths in turns:
        sides[side].update(paths)
    return tuple(sorted(sides[0] & sides[1] or sides[0] | sides[1]))
