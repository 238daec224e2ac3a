"""A target that cannot be asked by id may hide records: who says that they are missing?

A pass that says that it was complete is believed record by record only where each one
can be looked up. Else a target that suddenly shows far less has more likely lost its
sight (a filter, a licence, a role) than its records.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moatbridge.guard import Finding

if TYPE_CHECKING:
    from moatbridge.flow.reconcile.work import Work
    from moatbridge.guard import PlanDecision, PlanVerdict

RULE: Final = "sight"
FEWEST: Final = 10
"""Hidden records from which less than a half of all is not believed."""


def doubtful(work: Work) -> bool:
    """Whether the target shows less than half of what is linked, and nobody can ask."""
    tally = work.tally
    return (
        not work.fetches(work.route.target)
        and tally.unseen >= FEWEST
        and 2 * tally.unseen > tally.linked
    )


def is_believed(work: Work, verdict: PlanVerdict) -> PlanVerdict:
    """Have a person look before records are made again that may only be hidden.

    Less than half of the linked records stops the plan until somebody accepts it; more
    of them hidden than the guard lets a plan remove asks for a confirmation.
    """
    tally = work.tally
    if work.fetches(work.route.target):
        return verdict
    limit = work.route.rules.at(work.ledger.now())["removals"].at_most(tally.linked)
    stops = doubtful(work)
    if not stops and tally.unseen <= limit:
        return verdict
    asks: PlanDecision = "stop" if stops else "confirm"
    finding = Finding(
        rule=RULE,
        mode="enforce",
        decision=asks,
        seen=tally.unseen,
        limit=limit,
        nearest_pass=limit,
        sentence=f"would make again what the target does not show: {tally.unseen:,} of "
        f"{tally.linked:,} linked records, and it cannot be asked for them one by one",
    )
    decision = asks if stops or verdict.decision == "pass" else verdict.decision
    findings = (finding, *verdict.findings) if stops else (*verdict.findings, finding)
    return replace(verdict, decision=decision, findings=findings)
