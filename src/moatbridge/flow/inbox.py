"""Flows whose source pushes: their live tail is the inbox (gateway 44).

The tail's position is the inbox sequence, committed together with what was staged, so
a kill replays at most one batch, and what it replays compares as unchanged. A source
that can also be scanned is scanned as any other; the tail is opened first, so nothing
falls between the two. Of a source that can only push, the inbox is all there is: its
tail starts with the first delivery ever kept, and a person agrees once to carry it
(`moatbridge.flow.opening`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Batch
from moatbridge.flow.control import request_pass
from moatbridge.flow.envelope import Envelope
from moatbridge.flow.opening import LIVE, only_follows
from moatbridge.ledger import inbox, runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.reading import Pass
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction

AT: Final = "inbox"
"""Key of the position inside the cursor of a tail."""

_BATCH: Final = 500


def receives(route: Route) -> bool:
    """Whether the flow's source pushes, so that its live tail is the inbox."""
    return route.source.can("CanReceive")


def keeps_position(route: Route) -> bool:
    """Whether the position is worth something whoever sends: it counts our own rows.

    Where there is nothing to scan, what was acknowledged lies nowhere else.
    """
    return receives(route) and only_follows(route)


def open_tail(route: Route, ledger: Ledger, lease: Lease) -> None:
    """Take the position of the tail before the pass that was asked for reads anything.

    Called under the control lease. Repeating it changes nothing.
    """
    if not receives(route):
        return
    flow_id = route.row.flow_id
    with ledger.read() as tx:
        run = runs.latest(tx, flow_id, "scanning")
    if run is None or run.generation is not None:
        return
    source = route.source
    with ledger.step(lease) as tx:
        cursor = ledger.leases.cursor(tx, flow_id, LIVE)
        start = 0 if only_follows(route) else _highest(ledger, route, tx)
        kept = start if cursor is None else _position(cursor.get("at"))
        at = Envelope({AT: kept}, source.probe.server, source.stream.query)
        if cursor is None or _of_another(cursor, at):
            ledger.leases.add(tx, flow_id, LIVE, LIVE, cursor=at.to_json())


def take_in(
    reading: Pass,
    ledger: Ledger,
    route: Route,
    *,
    until: float,
    stopping: Callable[[], bool],
    beat: Callable[[], None],
) -> bool:
    """Work the inbox off from where the tail stands; True if deliveries are left.

    Args:
        reading: The live pass.
        ledger: The ledger.
        route: The flow.
        until: `time.monotonic` value at which to stop at the next batch.
        stopping: Asked between batches.
        beat: Called after every batch.
    """
    reading.resume()
    try:
        while (read := _next(reading, ledger, route)) is not None:
            batch, kept = read
            reading.take(batch, partial(inbox.place_of, kept))
            beat()
            if stopping() or time.monotonic() >= until:
                return True
    finally:
        reading.commit_if_any()
    return False


def read_to(tx: Transaction, ledger: Ledger, flow: str) -> int:
    """The position up to which a flow has read its source's inbox; 0 at first.

    Args:
        tx: Open transaction.
        ledger: The ledger.
        flow: Name of the flow; it need not have run yet.
    """
    flow_id = tx.value(
        "SELECT flow_id FROM flow WHERE scope=? AND name=?", ledger.scope, flow
    )
    if flow_id is None:
        return 0
    cursor = ledger.leases.cursor(tx, flow_id, LIVE) or {}
    return _position(cursor.get("at"))


def _of_another(cursor: dict[str, Any], at: Envelope) -> bool:
    """The sender is another one now; what it sent lies in our inbox all the same."""
    return (cursor.get("server"), cursor.get("query")) != (at.server, at.query)


def _highest(ledger: Ledger, route: Route, tx: Transaction) -> int:
    return inbox.highest(tx, ledger.scope, route.source.system)


def _position(at: object) -> int:
    return int(at[AT]) if isinstance(at, dict) and AT in at else 0


def _next(
    reading: Pass, ledger: Ledger, route: Route
) -> tuple[Batch, list[inbox.Kept]] | None:
    start = _position(reading.envelope.at)
    source = route.source
    with ledger.read() as tx:
        kept, end = inbox.after(
            tx, ledger.scope, source.system, source.name, start, _BATCH
        )
    if end == start:
        return None
    if any(one.missed for one in kept) and source.can("CanScan"):
        request_pass(ledger, route, auto=True, actor="missed")
    batch = Batch(
        changes=[change for one in kept for change in one.changes],
        cursor={AT: end},
        rejects=[reject for one in kept for reject in one.rejects],
    )
    return batch, kept
