"""`guard-rules.md`: the guard's rules and their sizes out of the box."""

from __future__ import annotations

from moatbridge.config.guard_rules import BUILT_IN
from moatbridge.guard import plan_rules, record_rules
from moatbridge.guard.detectors import DETECTORS
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
last day. The mode of a *fixed* rule cannot be lowered.

`audience` is set as `max_audience`. `posts` counts new posts of one run and, over all
flows to one target, of 24 hours. What is written to a target may be read by outsiders
if `exposure` of its system says so, if the post is `public`, or if one of its readers
is a guest or has a mail address outside `home_domains`: there the rules that look into
free text are enforced, inside they only warn (`mode` sets both).

A rule in mode `warn` or `observe` decides nothing: what it would have held is listed
in `plan`, counted when it is sent, and told by the run, by `status`, by the audit log
and by `moatbridge guard explain FLOW`, which also prints where each size comes from.

A rule that comes with an upgrade counts from the first plan on, in the mode of this
table, also for flows that have run before; the changelog names it. To look first, give
it `mode = "observe"` with a `loosen` line that ends soon, and read `guard explain`."""
_DETECTORS = """\
## What is looked for in free text

The rule `free_text` runs these over text, title, summary, business data and names of
attachments of posts, the text of reactions and decisions, descriptions of groups, and
every text of a product's own types. Text is read as people see it: full-width letters,
zero-width characters, HTML and percent-encoding do not hide a value. `action` says what
happens from `count` findings in one item on: `allow` (only its label rises), `mask`,
`hold` or `drop`.

A finding also raises the label of its item: a credential to `restricted`, anything
else to `confidential`. Above the target's `max_label` the item is held if the rule that
found something is enforced; where it only warns or observes, so does `label`.

**Not found**: what stands in pictures and other attachments, values in base64 or split
by a line break, secrets without a known form, and what only a reader understands.
`national_id` needs the package `python-stdnum`."""


def page() -> str:
    """The whole page."""
    rows = [_row(name) for name in BUILT_IN]
    heads = ("rule", "catches", "limit", "mode", "then", "judged", "fixed")
    parts = [_INTRODUCTION, "", *table(heads, rows), "", _DETECTORS, ""]
    found = [(f"`{name}`", summary(find)) for name, find in DETECTORS.items()]
    return document("Guard rules", *parts, *table(("detector", "finds"), found))


def _row(name: str) -> tuple[str, ...]:
    rule = BUILT_IN[name]
    places = {"plan": plan_rules, "record": record_rules}
    checks = {
        where: check
        for where, module in places.items()
        if (check := getattr(module, name, None)) is not None
    }
    if name in DETECTORS:
        checks = {"record": DETECTORS[name]}
    limit = "" if rule.kind == "flag" else rule.words().rpartition(", ")[0]
    outside = f", outside `{rule.outside}`" if rule.outside else ""
    return (
        f"`{name}`",
        " ".join(dict.fromkeys(map(summary, checks.values()))),
        limit,
        f"`{rule.mode}`{outside}",
        f"`{rule.decision}`",
        ", ".join(checks),
        "yes" if rule.fixed else "outside" if rule.fixed_outside else "",
    )
