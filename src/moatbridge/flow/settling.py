"""Telling the source that what was read is safe, after delivery (delivery 56).

``settle_when = "staged"`` tells it right after the commit that staged what was read.
``delivered`` waits until everything staged up to that position is delivered, parked or
refused: then a source may even destroy what was read. Telling may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import NotApplied
from moatbridge.ledger import unsettled
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.resilience.session import Session


def settles_late(route: Route) -> bool:
    """Whether this flow tells its source only after delivery."""
    return route.config.settle_when == "delivered" and route.source.can("CanSettle")


def settle_delivered(
    route: Route, ledger: Ledger, lease: Lease, *, source: Callable[[], Session]
) -> bool:
    """Tell the source what has been delivered since; True if it was told anything.

    Under the control lease. A source that cannot be reached is told later: nothing
    that was delivered waits for that.
    """
    if not settles_late(route):
        return False
    flow_id = route.row.flow_id
    with ledger.read() as tx:
        ready = unsettled.ready(tx, flow_id)
    for one in ready:
        crash_point("source.settle.before")
        try:
            source().settle(route.source.name, one.cursor)
        except NotApplied:
            return False
        crash_point("source.settle.after")
        with ledger.step(lease) as tx:
            unsettled.settled(tx, flow_id, one)
    return bool(ready)
