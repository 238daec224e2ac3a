"""The first plan after a retract is a person's (delivery 53).

Records that were taken back stay back by their marks. What the run never got to send is
planned again by the next pass; nobody wants that to happen unseen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from moatbridge.guard import Finding
from moatbridge.ledger import runs, undo_report

if TYPE_CHECKING:
    from moatbridge.flow.route import Route
    from moatbridge.guard import PlanSummary, PlanVerdict
    from moatbridge.ledger import Ledger

RULE = "retracted"


def after_a_retract(
    route: Route, ledger: Ledger, summary: PlanSummary, verdict: PlanVerdict
) -> PlanVerdict:
    """Ask for a confirmation if a run was taken back since the last pass went out."""
    if not summary.touched:
        return verdict
    with ledger.read() as tx:
        found = [
            (run_id, facts["of"])
            for run_id in undo_report.since_last_pass(tx, route.row.flow_id)
            if (facts := runs.get(tx, run_id).verdict["retract"]).get("called_off")
            or undo_report.sent(tx, run_id)
        ]
    if not found:
        return verdict
    run_id, of = found[-1]
    finding = Finding(
        rule=RULE,
        mode="enforce",
        decision="confirm",
        seen=summary.touched,
        limit=0,
        nearest_pass=0,
        sentence=f"is the first since run {of} was taken back (by run {run_id}); what "
        "that run had not sent yet is planned again",
    )
    decision = "confirm" if verdict.decision == "pass" else verdict.decision
    return replace(verdict, decision=decision, findings=(*verdict.findings, finding))
