"""The rules for free text: one scan, one hit for each detector that found enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from moatbridge.config.guard_rules import MODES
from moatbridge.entities import highest, rank
from moatbridge.guard.detectors import Lists
from moatbridge.guard.findings import TooMuch, find_all
from moatbridge.guard.verdict import Decision, Found, Hit, Reason, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.config.guard_rules import Mode, Rule, Rules
    from moatbridge.entities import Label
    from moatbridge.guard.context import Context, Outgoing

_LABELS: Final[dict[str, Label]] = {"credential": "restricted"}
"""What a finding makes of an item; everything else makes it ``confidential``."""


def free_text(
    outgoing: Outgoing, rule: Rule, rules: Rules, context: Context
) -> Iterable[Hit]:
    """Free text is looked through by every detector (guard 24-28).

    Each has a rule of its own, which says from how many findings on what happens;
    inside the company most only warn. More text or findings than can be looked at is
    held, never judged by a part of it.
    """
    if outgoing.entity is None:
        return ()
    kind = outgoing.route.entity_type
    try:
        found = find_all(outgoing.entity, kind, Lists.of(rules), salt=context.salt)
    except TooMuch:
        return (Hit(rule.name, "hold", rule.mode, "quarantine"),)
    if not found:
        return ()
    hits = [_hit(rules[name], each, outgoing) for name, each in found.items()]
    raised = _label_hit(outgoing, rules, [hit for hit in hits if hit])
    return [hit for hit in (*hits, raised) if hit]


def label_of_findings(
    hits: Iterable[Hit], modes: Iterable[Mode] = MODES
) -> Label | None:
    """The label that findings which stay in the item give it (guard 18).

    What a mask takes out no longer counts. What a rule only observes or warns of does:
    the item is what it is, whatever became of it.

    Args:
        hits: What the detectors' rules said.
        modes: Only rules in one of these modes.
    """
    found = [
        _LABELS.get(hit.rule, "confidential")
        for hit in hits
        if hit.findings and hit.mode in modes and hit.effect != "mask"
    ]
    return highest(*found) if found else None


def _hit(rule: Rule, found: list[Found] | Exception, outgoing: Outgoing) -> Hit | None:
    if isinstance(found, Exception):
        return Hit(rule.name, "hold", reason="guard-bug")
    if len(found) < (rule.count or 1):
        return None
    decision = cast("Decision", rule.decision)
    reason: Reason | None = "approval" if decision == "hold" else None
    return Hit(
        rule.name,
        decision,
        rule.mode_for(external=outgoing.external),
        reason,
        tuple(dict.fromkeys(path_of(each.steps) for each in found)),
        tuple(found),
    )


def _label_hit(outgoing: Outgoing, rules: Rules, hits: list[Hit]) -> Hit | None:
    """Nothing above the target's ``max_label`` leaves, as far as findings decide.

    What lifts the label counts by the mode of its own rule: inside the company a rule
    that only warns would otherwise hold all the same (guard 6, 18).
    """
    most = rank(outgoing.route.max_label)
    for mode in reversed(MODES):  # the strictest first
        label = label_of_findings(hits, (mode,))
        if label is not None and rank(label) > most:
            said = rules["label"].mode if mode == "enforce" else mode
            return Hit("label", "hold", said, "label")
    return None
