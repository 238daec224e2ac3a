"""What people see of a retract: what it would do, what it did, what it could not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moatbridge.flow.retract.asked import Asked
from moatbridge.flow.retract.reasons import REFUSED, reason_of
from moatbridge.ledger import runs, undo, undo_report
from moatbridge.ledger.admitting import SAME
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from moatbridge.flow.plans import Plan
    from moatbridge.ledger import Transaction

_UNDONE = frozenset({State.DONE, State.RETRACTED, State.RETRACT_FAILED})
_OPEN = frozenset(
    {State.PLANNED, State.READY, State.IN_FLIGHT, State.RETRY, State.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class NotUndone:
    """One record that was not taken back.

    Args:
        who: Name or key of the source record; personal, show by role.
        op: What would have been done: ``create`` (again), ``update`` (restore),
            ``disable`` or ``delete``.
        reason: One of `moatbridge.flow.retract.reasons`.
        code: What the target said, if it refused.
    """

    who: str
    op: str
    reason: str
    code: str = ""

    def __repr__(self) -> str:
        return f"NotUndone({self.op} {self.reason})"


@dataclass(frozen=True, slots=True)
class Retraction:
    """A run that is taken back, or that was.

    Args:
        flow: The flow's name.
        run_id: The run that takes it back.
        of: The run that is taken back.
        state: ``planned`` (waits for a person), ``applying`` (work is left), ``done``
            or ``cancelled``.
        actor: Who asked for it.
        planned: Operation -> records, of what is not sent yet.
        undone: Operation -> records taken back.
        already: Of these, records that were as before and needed nothing.
        failed: Reason -> records that were not taken back.
        waiting: Intents of the run that were not sent; they are called off first.
        called_off: Whether that was done.
        left: The records that were not taken back, up to 1,000.
        plan: What a person agrees to; None once it is under way.
        limits: What the target says of its limits for removals.
    """

    flow: str
    run_id: int
    of: int
    state: str
    actor: str | None = None
    planned: dict[str, int] = field(default_factory=dict)
    undone: dict[str, int] = field(default_factory=dict)
    already: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    called_off: bool = False
    left: tuple[NotUndone, ...] = ()
    plan: Plan | None = None
    limits: str = ""

    @property
    def not_undone(self) -> int:
        """How many records were not taken back."""
        return sum(self.failed.values())


def load_retraction(
    tx: Transaction,
    flow: str,
    run_id: int,
    *,
    plan: Plan | None = None,
    limits: str = "",
) -> Retraction:
    """A retract as the ledger knows it.

    Args:
        tx: Open transaction.
        flow: Name of the flow.
        run_id: A run of kind ``retract``.
        plan: What is agreed to, while it waits for that.
        limits: See `Retraction`.
    """
    run = runs.get(tx, run_id)
    asked: dict[str, Any] = run.verdict["retract"]
    planned: Counter[str] = Counter()
    undone: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    already = 0
    for op, state, why, count in undo_report.outcome(tx, run_id):
        if state in _UNDONE:
            undone[op] += count
            already += count if why == SAME else 0
        elif state in _OPEN:
            planned[op] += count
        elif run.state != "cancelled" or state != State.CANCELLED:
            failed[reason_of(undo_report.why(state, why))] += count
    waiting = 0
    if run.state == "planned" and (said := Asked.of_run(run)).whole:
        waiting = undo.waiting(tx, said.of)
    return Retraction(
        flow=flow,
        run_id=run_id,
        of=int(asked["of"]),
        state=run.state,
        actor=run.actor,
        planned=dict(planned),
        undone=dict(undone),
        already=already,
        failed=dict(failed),
        waiting=waiting or int(asked.get("called_off", 0)),
        called_off="called_off" in asked,
        left=tuple(_left(one) for one in undo_report.left(tx, run_id)),
        plan=plan,
        limits=limits,
    )


def _left(one: undo_report.Left) -> NotUndone:
    reason = reason_of(one.reason)
    key, name = one.ref
    code = one.reason if reason == REFUSED else ""
    return NotUndone(name or key, one.op, reason, code)
