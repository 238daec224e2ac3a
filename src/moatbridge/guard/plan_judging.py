"""Judging a plan before its first effect (guard 9): pure, total, fail closed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moatbridge.guard.plan_rules import PLAN_CHECKS, PlanCheck
from moatbridge.guard.verdict import PLAN_STRICTNESS, Finding, PlanVerdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.config.guard_rules import Rules
    from moatbridge.guard.context import Context
    from moatbridge.guard.plan_summary import PlanSummary

_KEEPS_RECORDS: Final = frozenset({"complete_scan", "shrink"})


def judge_plan(
    summary: PlanSummary,
    rules: Rules,
    context: Context,
    *,
    checks: Mapping[str, PlanCheck] = PLAN_CHECKS,
) -> PlanVerdict:
    """What may become of a whole plan.

    A plan above a limit is not applied in part. A rule that raises (or a memory that
    does) is a finding that stops the plan.

    Args:
        summary: The plan's numbers.
        rules: The flow's rules.
        context: Time and the counts of the last 24 hours.
        checks: The plan rules to run.
    """
    findings: list[Finding] = []
    for name, check in checks.items():
        findings += _run(name, check, summary, rules, context)
    if not rules.four_eyes:
        findings = [_by_one(finding) for finding in findings]
    findings.sort(key=lambda f: -PLAN_STRICTNESS.index(f.effect))
    strictest = max((PLAN_STRICTNESS.index(f.effect) for f in findings), default=0)
    return PlanVerdict(
        flow=summary.flow,
        decision=PLAN_STRICTNESS[strictest],
        findings=tuple(findings),
        count=max(summary.touched, summary.missing),
        deletes_allowed=not any(f.rule in _KEEPS_RECORDS for f in findings),
        four_eyes=rules.four_eyes,
        digest=summary.digest,
        planned_at=context.now,
    )


def _run(
    name: str,
    check: PlanCheck,
    summary: PlanSummary,
    rules: Rules,
    context: Context,
) -> list[Finding]:
    try:
        return list(check(summary, rules.at(context.now)[name], context))
    except Exception as error:  # noqa: BLE001 - a rule that cannot judge must not let pass
        return [
            Finding(
                name,
                "enforce",
                "stop",
                0,
                0,
                0,
                f"could not be judged by the rule {name} ({type(error).__name__})",
                acceptable=name not in _KEEPS_RECORDS,
            )
        ]


def _by_one(finding: Finding) -> Finding:
    if finding.decision == "approve":
        return replace(finding, decision="confirm")
    return finding
