"""What the guard said of a plan, and what to type next: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.flow.plans import Plan
    from moatbridge.guard import Finding

WORDS: Final = {
    "create": "create",
    "update": "change",
    "renew": "enable again",
    "disable": "disable",
    "left_scope": "disable: no longer in the source's selection",
    "delete": "remove",
}
"""Operation -> what people call it."""

REMOVALS: Final = ("disable", "delete")
GONE: Final = (*REMOVALS, "left_scope")
"""Operations that take something away."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a plan was made, for its header and for the next command.

    Args:
        source: Address of the stream that is read.
        target: Address of the stream that would be written.
        options: Options that the next command must repeat.
    """

    source: str
    target: str
    options: str = ""


def verdict_lines(plan: Plan) -> Iterator[str]:
    """What the guard said, each rule with the nearest number that would pass."""
    verdict = plan.verdict
    yield from ("", f"Verdict: {verdict.decision.upper()}{_meaning(plan)}")
    for finding in verdict.findings:
        yield f"  {finding.rule}: this plan {finding.sentence}{_nearest(finding)}"


def next_step(plan: Plan, setting: Setting) -> list[str]:
    """What to type next, exactly; nothing for a plan that does nothing."""
    decision = plan.verdict.decision
    if decision == "stop":
        return [_after_stop(plan, setting)]
    if decision == "pass":
        done = "There is nothing to do."
        return [done if plan.empty else f"Next: {_apply(plan, setting)}"]
    other = decision == "approve" and plan.verdict.four_eyes
    who = ", another person types" if other else ""
    return [f"Next{who}: {_apply(plan, setting)} --confirm {plan.verdict.count}"]


def _after_stop(plan: Plan, setting: Setting) -> str:
    verdict = plan.verdict
    if not all(finding.acceptable for finding in verdict.deciding):
        return "This cannot be accepted: mend the source and plan again."
    rules = sorted({finding.rule for finding in verdict.deciding})
    if _barred_wholly(plan):
        return (
            "Nothing else is in this plan: mend the source and plan again. If it "
            f"really is like this, size {' and '.join(rules)} anew, with a reason "
            "(guard.loosen)."
        )
    accept = " ".join(f"--accept {rule}" for rule in rules)
    who = "two persons each type" if verdict.four_eyes else "type"
    return (
        "Look for the cause first. If all of it is really meant, "
        f"{who}: {_apply(plan, setting)} {accept} --confirm {verdict.count}"
    )


def _apply(plan: Plan, setting: Setting) -> str:
    return f"moatbridge apply {plan.flow} {plan.digest}{setting.options}"


def _barred_wholly(plan: Plan) -> bool:
    """All that the plan would do is removing, and it may remove nobody."""
    left = sum(n for op, n in plan.counts.items() if op in WORDS and op not in GONE)
    return not plan.verdict.deletes_allowed and not left


def _nearest(finding: Finding) -> str:
    said = "" if finding.mode == "enforce" else f" [{finding.mode}: does not decide]"
    if finding.decision == "pass" or not finding.acceptable or not finding.limit:
        return said
    return f" (passes at {finding.nearest_pass:,}){said}"


def _meaning(plan: Plan) -> str:
    return {
        "pass": "; it may be applied as it stands",
        "confirm": f"; a person types the number of records ({plan.verdict.count:,})",
        "approve": "; another person must agree"
        if plan.verdict.four_eyes
        else "; a person must agree",
        "stop": "; something is wrong with this plan",
    }[plan.verdict.decision]
