"""The janitor: what may no longer be kept goes, a little at a time (delivery 57).

Runs when a pass has begun (and once an hour where there are none), after the slice that
noticed it has given its lease back: no work waits for it. Two janitors at once do no
harm, and neither does one that dies between two chunks.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from moatbridge.errors import MoatbridgeError
from moatbridge.ledger import audit, retention
from moatbridge.ledger.aged import Place
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.ledger import Ledger, Transaction
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
    work = _Sweep(ledger, flow_id, name, keep)
    with suppress(MoatbridgeError):
        work.run(stopping)
    return work.gone


class _Sweep:
    def __init__(self, ledger: Ledger, flow_id: int, name: str, keep: Keep) -> None:
        self._ledger = ledger
        self._flow_id = flow_id
        self._name = name
        self._keep = keep
        self.gone: dict[str, int] = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        """Looked for page by page, dropped chunk by chunk: no writer waits long."""
        for what, step in retention.PAGED:
            at: Place | None = Place()
            while at is not None and not stopping():
                with self._ledger.read() as tx:
                    found, at = step.find(tx, self._flow_id, self._keep, at)
                if found:
                    with self._chunk(what) as (tx, rows):
                        rows.append(step.drop(tx, found))
        for what, drop in retention.STEPS:
            more = True
            while more and not stopping():
                with self._chunk(what) as (tx, rows):
                    rows.append(drop(tx, self._flow_id, self._keep))
                more = rows[0] > 0

    @contextmanager
    def _chunk(self, what: str) -> Iterator[tuple[Transaction, list[int]]]:
        """One transaction, told to the audit with the rows that went."""
        rows: list[int] = []
        with self._ledger.write() as tx:
            yield tx, rows
            if rows[0]:
                audit.record(tx, "pruned", flow=self._name, what=what, rows=rows[0])
            crash_point("janitor.chunk")
        if rows[0]:
            self.gone[what] = self.gone.get(what, 0) + rows[0]
