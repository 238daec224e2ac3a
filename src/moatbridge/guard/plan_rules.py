"""The rules that judge a plan as a whole, and the list they stand in (guard 2, 9-15).

A rule is a function of (summary, sized rule, context) that yields findings. Sentences
hold numbers and field names, never values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias, cast

from moatbridge.config.guard_rules import Rule
from moatbridge.guard.context import Context
from moatbridge.guard.plan_summary import PathCounts, PlanSummary
from moatbridge.guard.verdict import Finding, PlanDecision

PlanCheck: TypeAlias = Callable[[PlanSummary, Rule, Context], Iterable[Finding]]

_SHOWN_FIELDS: Final = 5


class _Amount(NamedTuple):
    """A number of records that a cap limits, and how to talk about it."""

    n: int
    verb: str
    sample: str
    path: str | None = None
    of_links: bool = True


def complete_scan(
    plan: PlanSummary, rule: Rule, _context: Context
) -> Iterator[Finding]:
    """A pass that did not see everything deletes nothing (delivery 42)."""
    if plan.complete and not plan.server_changed:
        return
    why = (
        "is from another server than before"
        if plan.complete
        else "rests on an incomplete pass"
    )
    would = f"would remove {_n(plan.gone)} {plan.noun}" if plan.gone else ""
    does = f"but {would}; that cannot be accepted" if would else "so it deletes nothing"
    yield Finding(
        rule.name,
        rule.mode,
        "stop" if plan.gone else "pass",
        plan.gone,
        0,
        0,
        f"{why}, {does}",
        sample=_sample(plan, "removals"),
        acceptable=False,
    )


def shrink(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """Far fewer records than last time are a broken source, not a mass departure."""
    if plan.seen is None:
        return
    known = plan.prev_seen or plan.links
    needed = math.ceil((rule.share or 0) * known - 1e-9)
    large = max(known, plan.links) >= (rule.least or 0)
    empty = plan.seen == 0 and known > 0
    if not empty and not (large and plan.seen < needed):
        return
    yield Finding(
        rule.name,
        rule.mode,
        "stop",
        plan.seen,
        max(needed, 1),
        max(needed, 1),
        f"saw only {_n(plan.seen)} {plan.noun} where there were "
        f"{_n(known)}; at least {_n(max(needed, 1))} are needed",
    )


def growth(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """Many more records than last time: a doubled file, a wider filter."""
    if plan.seen is None or (plan.prev_seen or 0) < (rule.least or 0):
        return
    limit = math.floor((rule.share or 0) * (plan.prev_seen or 0) + 1e-9)
    if plan.seen > limit:
        yield _over(
            plan,
            rule,
            (plan.seen, limit),
            f"saw {_n(plan.seen)} {plan.noun} where there were "
            f"{_n(plan.prev_seen or 0)}; at most {_n(limit)} pass",
        )


def identity_churn(
    plan: PlanSummary, rule: Rule, _context: Context
) -> Iterator[Finding]:
    """Many new and as many missing at once: the ids changed, not the people."""
    both = min(plan.appeared, plan.vanished)
    share = math.floor((rule.share or 0) * plan.links + 1e-9)
    limit = max((rule.least or 0) - 1, share)
    if both > limit:
        yield _over(
            plan,
            rule,
            (both, limit),
            f"meets {_n(plan.appeared)} new {plan.noun} while {_n(plan.vanished)} of "
            f"{_n(plan.links)} are missing, as if all had got new ids; the limit is "
            f"{_n(limit)}",
        )


def removals(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """Delete, disable and left scope, together."""
    amount = _Amount(plan.removals, "remove", "removals")
    yield from _capped(plan, rule, context, amount)


def creates(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """New records at the target."""
    amount = _Amount(plan.creates, "create", "create", of_links=False)
    yield from _capped(plan, rule, context, amount)


def updates(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """Changed records at the target."""
    amount = _Amount(plan.updates, "change", "update")
    yield from _capped(plan, rule, context, amount)


def privileged(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """Roles, entitlements and memberships in sensitive groups."""
    amount = _Amount(plan.privileged, "grant privileges to", "privileged")
    yield from _capped(plan, rule, context, amount)


def external(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """What people outside the company would see."""
    amount = _Amount(plan.external, "show outsiders", "external", of_links=False)
    yield from _capped(plan, rule, context, amount)


def posts(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """New posts in one run, and in a day at one target; what is beyond is held.

    The flow holds each post beyond the limit (`LiveWindow` with ``only={"posts"}``),
    so a plan meets this only if they were staged all the same.
    """
    day = rule.at_most(plan.links)
    earlier = context.seen(rule.name, plan.target) if plan.posts else 0
    limit = max(0, min(day - earlier, day if rule.run is None else rule.run))
    if plan.posts <= limit:
        return
    sentence = (
        f"would publish {_n(plan.posts)} posts{_earlier(earlier, plan.posts)}; at most "
        f"{_n(limit)} more pass now"
    )
    sample = _sample(plan, "create")
    yield Finding(
        rule.name,
        rule.mode,
        "approve",
        plan.posts,
        limit,
        limit,
        sentence,
        None,
        sample,
    )


def attachments(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """Attachments leave with their posts: the plan says that nobody looks into them."""
    if plan.attachments:
        n = plan.attachments
        sentence = (
            f"would send {_n(n)} attachments; their type and size are checked, their "
            "content is not inspected"
        )
        yield Finding(rule.name, rule.mode, "pass", n, n, n, sentence)


def field_change(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """One path gets another value in many records: a renamed or shifted column."""
    for path, counts in sorted(plan.by_path.items()):
        amount = _Amount(counts.changes, f"change {path} of", f"path:{path}", path)
        yield from _capped(plan, rule, context, amount)


def field_blank(plan: PlanSummary, rule: Rule, context: Context) -> Iterator[Finding]:
    """One path becomes empty in many records."""
    for path, counts in sorted(plan.by_path.items()):
        amount = _Amount(counts.blanks, f"empty {path} of", f"blank:{path}", path)
        yield from _capped(plan, rule, context, amount)


def same_value(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """One path gets one and the same value nearly everywhere, and was diverse."""
    share = rule.share or 1.0
    for path, counts in sorted(plan.by_path.items()):
        total, top = counts.after.total, counts.after.top
        reached = math.ceil(share * total - 1e-9)
        if (
            total >= (rule.least or 0)
            and top >= reached
            and _was_diverse(counts, share)
        ):
            yield _over(
                plan,
                rule,
                (top, reached - 1),
                f"would set {path} to one and the same value in {_n(top)} of "
                f"{_n(total)} changed {plan.noun}; fewer than {_n(reached)} pass",
                path,
            )


def first_run(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """Nobody has seen yet what this flow does: a person confirms the diff."""
    if not (plan.first_run or plan.server_changed) or not plan.touched:
        return
    decision: PlanDecision = "approve" if plan.exposure == "external" else "confirm"
    first = "is the first one" if plan.first_run else "is the first for this server"
    yield Finding(
        rule.name,
        rule.mode,
        decision,
        plan.touched,
        0,
        0,
        f"{first} and would touch {_n(plan.touched)} {plan.noun}",
    )


def fields(plan: PlanSummary, rule: Rule, _context: Context) -> Iterator[Finding]:
    """Fields that would leave for the first time (guard 17)."""
    if plan.new_fields:
        shown = ", ".join(plan.new_fields[:_SHOWN_FIELDS])
        more = len(plan.new_fields) - _SHOWN_FIELDS
        yield _over(
            plan,
            rule,
            (len(plan.new_fields), 0),
            f"would let {_n(len(plan.new_fields))} more fields leave: {shown}"
            + (f" and {more} more" if more > 0 else ""),
        )


PLAN_CHECKS: Final[Mapping[str, PlanCheck]] = MappingProxyType({
    check.__name__: check
    for check in (
        complete_scan, shrink, identity_churn, removals, creates, updates,
        field_change, field_blank, same_value, growth, privileged, external,
        posts, attachments, first_run, fields,
    )
})  # fmt: skip
"""Every plan rule by name, in the order they are run."""


def _capped(
    plan: PlanSummary, rule: Rule, context: Context, amount: _Amount
) -> Iterator[Finding]:
    n = amount.n
    if not n:
        return
    earlier = context.seen(rule.name, amount.path or "")
    limit = rule.at_most(plan.links)
    if n + earlier <= limit:
        return
    whole = f"{_n(n)} {plan.noun}"
    if amount.of_links:
        whole = f"{_n(n)} of {_n(plan.links)} {plan.noun}{_share(n, plan.links)}"
    yield Finding(
        rule.name,
        rule.mode,
        cast(PlanDecision, rule.decision),
        n + earlier,
        limit,
        max(0, limit - earlier),
        f"would {amount.verb} {whole}{_earlier(earlier, n)}; the limit is {_n(limit)}",
        amount.path,
        _sample(plan, amount.sample),
    )


def _over(
    plan: PlanSummary,
    rule: Rule,
    numbers: tuple[int, int],
    sentence: str,
    path: str | None = None,
) -> Finding:
    seen, limit = numbers
    return Finding(
        rule.name,
        rule.mode,
        cast(PlanDecision, rule.decision),
        seen,
        limit,
        limit,
        sentence,
        path,
        _sample(plan, f"path:{path}"),
    )


def _was_diverse(counts: PathCounts, share: float) -> bool:
    """Unknown old values count as diverse."""
    before = counts.before
    return before.total == 0 or before.top < share * before.total


def _sample(plan: PlanSummary, name: str) -> tuple[int, ...]:
    return tuple(plan.samples.get(name, ()))


def _n(number: int) -> str:
    return f"{number:,}"


def _share(n: int, links: int) -> str:
    return f" ({100 * n / links:.1f} %)" if links else ""


def _earlier(earlier: int, n: int) -> str:
    if not earlier:
        return ""
    return f", after {_n(earlier)} in the last 24 hours {_n(earlier + n)} in all"
