"""What became of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moatbridge.flow.plans import Plan
    from moatbridge.ledger.tries import NextTry


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run.

    Args:
        flow: The flow.
        run_id: Its run.
        state: ``done``, ``applying`` (work is left: retries, unknowns), ``planned``
            (it waits for a person) or ``nothing`` (there was nothing new to read).
        outcome: Operation -> state name -> count.
        waiting: Items that wait for a person: held, parked, rejected.
        plan: The plan, when the run waits for a person.
        next_try: When what could not be delivered is tried again; None: nothing waits.
        let_go: ``MODE.RULE`` -> changes that were sent although a rule of the guard
            warned of them or observed them; ``mask.RULE``: it masked something.
        notices: What the source's adapter noticed while it read (`Adapter.notices`).
    """

    flow: str
    run_id: int
    state: str
    outcome: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    plan: Plan | None = None
    next_try: NextTry | None = None
    notices: tuple[str, ...] = ()
    let_go: dict[str, int] = field(default_factory=dict)

    @property
    def delivered(self) -> int:
        """Intents whose effect took place."""
        return sum(states.get("DONE", 0) for states in self.outcome.values())
