"""The janitor: what may no longer be kept goes, a little at a time (delivery 57).

Runs when a pass has begun (and once an hour where there are none), after the slice that
noticed it has given its lease back: no work waits for it. Two janitors at once do no
harm, and neither does one that dies between two chunks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from moatbridge.errors import MoatbridgeError
from moatbridge.ledger import audit, retention
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.ledger import Ledger
    from moatbridge.ledger.retention import Keep


def sweep(
    ledger: Ledger,
    flow_id: int,
    name: str,
    keep: Keep,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Drop what is too old of one flow.

    Args:
        ledger: The ledger; nobody's lease is held.
        flow_id: The flow.
        name: Its name, for the audit.
        keep: How long what is kept.
        stopping: Asked between chunks; the rest goes the next time.

    Returns:
        What went -> how many rows. If the ledger is not available, the rest goes the
        next time.
    """
    gone: dict[str, int] = {}
    with suppress(MoatbridgeError):
        _sweep(ledger, flow_id, name, keep, gone, stopping)
    return gone


def _sweep(
    ledger: Ledger,
    flow_id: int,
    name: str,
    keep: Keep,
    gone: dict[str, int],
    stopping: Callable[[], bool],
) -> None:
    for what, step in retention.STEPS:
        while not stopping():
            with ledger.write() as tx:
                count = step(tx, flow_id, keep)
                if count:
                    audit.record(tx, "pruned", flow=name, what=what, rows=count)
                crash_point("janitor.chunk")
            if not count:
                break
            gone[what] = gone.get(what, 0) + count
