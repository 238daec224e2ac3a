"""`guard-rules.md`: the guard's rules and their sizes out of the box."""

from __future__ import annotations

from moatbridge.config.guard_rules import BUILT_IN
from moatbridge.guard import plan_rules, record_rules
from reference_pages.text import document, summary, table

_INTRODUCTION = """\
Every plan is judged by all of these before the first effect, and every record by those
of kind *record*. The strictest answer wins, and all reasons are kept.

- *confirm*: the person who applies types the number of records.
- *approve*: another person agrees (`four_eyes = false` makes it *confirm*).
- *stop*: two persons accept the rule by name; removals after an incomplete pass
  cannot be accepted at all.
- *hold*: that record waits in `moatbridge review`; *mask*: that field is taken out.

Sizes of caps are `min(count, max(least, share))` of the records linked between the
two sides, over one plan and over the last 24 hours together. `[guard]` and
`[flows.NAME.guard]` make a rule tighter; looser needs `loosen` with reason, name and
last day. The mode of a *fixed* rule cannot be lowered."""


def page() -> str:
    """The whole page."""
    rows = [_row(name) for name in BUILT_IN]
    heads = ("rule", "catches", "limit", "mode", "then", "judged", "fixed")
    return document("Guard rules", _INTRODUCTION, "", *table(heads, rows))


def _row(name: str) -> tuple[str, ...]:
    rule = BUILT_IN[name]
    places = {"plan": plan_rules, "record": record_rules}
    checks = {
        where: check
        for where, module in places.items()
        if (check := getattr(module, name, None)) is not None
    }
    limit = "" if rule.kind == "flag" else rule.words().rpartition(", ")[0]
    return (
        f"`{name}`",
        " ".join(dict.fromkeys(map(summary, checks.values()))),
        limit,
        f"`{rule.mode}`",
        f"`{rule.decision}`",
        ", ".join(checks),
        "yes" if rule.fixed else "",
    )
