"""When a flow's next pass begins: the ledger says so, whoever asks (scale 35).

The time of the last pass is in the ledger, so any number of workers, restarted as often
as one likes, begin exactly one pass per interval: who begins it looks once more inside
the transaction that begins it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from moatbridge.flow.control import begin_pass
from moatbridge.flow.opening import only_follows, plan_waits
from moatbridge.ledger import partitions, runs

if TYPE_CHECKING:
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Ledger

_WEEK: Final = 7 * 86400.0
_LOOK: Final = 60.0


def interval(route: Route) -> float:
    """Seconds between two passes of a flow."""
    if route.config.rescan is not None:
        return route.config.rescan
    return _WEEK if route.source.can("CanFollow") else route.config.every


def begin_due_pass(ledger: Ledger, route: Route, *, actor: str) -> float:
    """Begin the flow's next pass if it is time; seconds until it makes sense to ask.

    Args:
        ledger: The ledger.
        route: The flow.
        actor: Who begins it.

    Raises:
        NotApplied: ``ledger.unavailable``.
    """
    with ledger.read() as tx:
        wait = _wait(tx, route)
    if wait > 0:
        return wait
    with ledger.write() as tx:
        wait = _wait(tx, route)  # somebody else may have been faster
        if wait <= 0:
            begin_pass(tx, ledger, route, auto=True, actor=actor)
    return wait if wait > 0 else _again(route)


def _again(route: Route) -> float:
    return max(1.0, min(interval(route), _LOOK))


def _wait(tx: Any, route: Route) -> float:
    """Seconds until the next pass; at most a minute while one is on.

    A plan that waits for a person is not replaced under their eyes.
    """
    flow_id = route.row.flow_id
    if only_follows(route) and runs.ever_applied(tx, route.agreement):
        return math.inf  # its tail is read; there is no pass to ask for
    last = partitions.last_pass(tx, flow_id)
    if last is None:
        return 0.0
    if last.state == "scanning":
        return _again(route)
    if plan_waits(tx, flow_id):
        return _again(route)
    now: float = tx.now()
    return min(last.created + interval(route) - now, _LOOK)
