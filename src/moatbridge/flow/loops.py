"""The loop breaker: a record that keeps going to and fro is shown to a person (50).

Two systems that write one value in two ways (or that compute fields from each other)
can answer every change with another one. More than three deliveries about one record
within an hour, each in the direction against the one before, are taken for such a loop:
what both flows have for it is held, and the item names the paths that flip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.flow import rejudging
from moatbridge.guard import lifetime
from moatbridge.ledger import turns
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.flow.preparing import Prepared
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.settlement import Result

LOOP: Final = "loop"
"""Reason of a hold."""


def hold(tx: Transaction, route: Route, ready: Prepared, *, agreed: bool) -> None:
    """Take what would go round once more out of a parcel; part of transaction B.

    Args:
        tx: Open transaction.
        route: The flow.
        ready: The parcel, ready for admission; changed in place.
        agreed: A person looked at it: counting begins anew.
    """
    if route.back is None:
        return
    writes = [c for c in ready.candidates if c.frozen is not None]
    links = {c.item.link_id: c.item.pos for c in writes if c.item.link_id is not None}
    if agreed:
        turns.forget(tx, links)
        return
    found = turns.looping(tx, route.row.side, links)
    turns.trip(tx, found)
    out = {links[link_id]: paths for link_id, paths in found.items()}
    ready.candidates = [c for c in ready.candidates if c.item.pos not in out]
    ready.counted = [(pos, keys) for pos, keys in ready.counted if pos not in out]
    for pos, paths in out.items():
        ready.waits.pop(pos, None)
        waits = lifetime(LOOP, route.rules)
        shown = rejudging.sealed(route, ready.planned[pos])
        ready.held.append((pos, LOOP, "pair", shown, ", ".join(paths), waits))


def note(tx: Transaction, route: Route, results: Sequence[Result]) -> None:
    """Remember what was delivered; part of transaction C."""
    if route.back is None:
        return
    turns.note(
        tx,
        route.row.side,
        {
            r.item.link_id: r.paths
            for r in results
            if r.state is State.DONE
            and r.item.op == "update"
            and r.item.link_id is not None
        },
    )
