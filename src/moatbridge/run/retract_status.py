"""The newest retract of a flow, and its live run, read from the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moatbridge.flow.retract.report import load_retraction
from moatbridge.ledger import runs, undo_report

if TYPE_CHECKING:
    from moatbridge.ledger import Transaction


@dataclass(frozen=True, slots=True)
class RetractStatus:
    """The newest retract of a flow that was agreed to, or waits for that.

    Args:
        run: The run that takes another one back.
        of: The run that is taken back.
        state: ``planned``, ``applying`` or ``done``.
        created: POSIX time.
        undone: Records taken back: they stay so until they change at their source.
        left: Reason -> records that were not taken back.
        open: Records still to do.
    """

    run: int
    of: int
    state: str
    created: float
    undone: int = 0
    left: dict[str, int] = field(default_factory=dict)
    open: int = 0


def newest_retract(tx: Transaction, flow_id: int, flow: str) -> RetractStatus | None:
    """The flow's newest retract that is not cancelled; None if there is none."""
    run_id = undo_report.latest(tx, flow_id, "planned", "applying", "done")
    if run_id is None:
        return None
    found = load_retraction(tx, flow, int(run_id))
    return RetractStatus(
        run=found.run_id,
        of=found.of,
        state=found.state,
        created=runs.get(tx, found.run_id).created,
        undone=sum(found.undone.values()),
        left=found.failed,
        open=sum(found.planned.values()),
    )


def live_run(tx: Transaction, flow_id: int) -> int | None:
    """The run that changes outside any pass belong to; None if there is none."""
    run = runs.latest(tx, flow_id, "applying", kind="live")
    return None if run is None else run.run_id
