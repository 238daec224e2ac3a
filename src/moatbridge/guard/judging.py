"""Judging one change: all rules run, the strictest wins, all reasons are kept.

Pure and total: whatever the content, a verdict comes back. A rule that raises holds
the change with the reason ``guard-bug``, whatever the rule's mode: fail closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import highest
from moatbridge.guard.detectors import Lists
from moatbridge.guard.findings import mask_all
from moatbridge.guard.paths import PathSet
from moatbridge.guard.record_rules import (
    RECORD_CHECKS,
    RecordCheck,
    checks_for,
    own_label,
)
from moatbridge.guard.text_rules import label_of_findings
from moatbridge.guard.verdict import Decision, Hit, Verdict, strictest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.config.guard_rules import Rules
    from moatbridge.entities import Label
    from moatbridge.guard.context import Context, Outgoing

_ALLOW: Final[Decision] = "allow"
_NO_CLOCK: Final = Hit("rules", "hold", reason="guard-bug")


def judge(
    outgoing: Outgoing,
    rules: Rules,
    context: Context,
    *,
    checks: Mapping[str, RecordCheck] = RECORD_CHECKS,
) -> Verdict:
    """What may become of one change.

    Args:
        outgoing: The change; its entity is never modified, masking makes a new one.
        rules: The flow's rules.
        context: Time and counts.
        checks: The record rules to run.

    Returns:
        A verdict whose ``entity`` is what may be staged. Nothing after this may add
        data to it (guard 5).
    """
    try:
        current = rules.at(context.now)
    except Exception:  # noqa: BLE001 - a clock out of all bounds
        return Verdict("hold", outgoing.entity, (_NO_CLOCK,))
    hits = _hits(outgoing, current, context, checks)
    if not hits:
        return Verdict(_ALLOW, outgoing.entity, label=own_label(outgoing))
    masks = [hit for hit in hits if hit.effect == "mask"]
    try:
        entity = _masked(outgoing.entity, outgoing.route.entity_type, masks, current)
    except Exception:  # noqa: BLE001 - what cannot be masked must not pass
        entity = outgoing.entity
        hits.append(Hit("free_text", "hold", reason="guard-bug"))
    return Verdict(
        strictest(hit.effect for hit in hits),
        entity,
        tuple(hits),
        tuple(dict.fromkeys(path for hit in masks for path in hit.paths)),
        _label(outgoing, hits),
    )


def masked_like(
    entity: dict[str, Any] | None,
    verdict: Verdict,
    rules: Rules,
    *,
    entity_type: str,
    now: float,
) -> dict[str, Any] | None:
    """What a verdict masks, masked in another spelling of the same entity.

    A change is judged with the target's references and kept with the source's.

    Args:
        entity: The other spelling; it is not modified.
        verdict: Of the same entity.
        rules: The rules it was judged by.
        entity_type: Canonical type.
        now: POSIX seconds of the judgement.

    Raises:
        TooMuch: Masking does not come to an end, which `judge` would have held.
    """
    masks = [hit for hit in verdict.hits if hit.effect == "mask"]
    return _masked(entity, entity_type, masks, rules.at(now))


def _hits(
    outgoing: Outgoing,
    rules: Rules,
    context: Context,
    checks: Mapping[str, RecordCheck],
) -> list[Hit]:
    hits: list[Hit] = []
    sized = rules.rules
    for name, check in checks_for(outgoing.route.entity_type, checks).items():
        try:
            hits += check(outgoing, sized[name], rules, context)
        except Exception:  # noqa: BLE001 - a rule that cannot judge must not let pass
            hits.append(Hit(name, "hold", reason="guard-bug"))
    return hits


def _masked(
    entity: dict[str, Any] | None, entity_type: str, masks: list[Hit], rules: Rules
) -> dict[str, Any] | None:
    if entity is None or not masks:
        return entity
    removed = {
        path: None
        for hit in masks
        if not (hit.findings or hit.put)
        for path in hit.paths
    }
    if removed:
        entity, _ = PathSet(removed).removed_from(entity)
    if names := [hit.rule for hit in masks if hit.findings]:
        entity = mask_all(entity, entity_type, Lists.of(rules), names)
    put = {name: value for hit in masks for name, value in hit.put}
    return {**entity, **put} if put else entity


def _label(outgoing: Outgoing, hits: list[Hit]) -> Label | None:
    own, found = own_label(outgoing), label_of_findings(hits)
    if found is None:
        return own
    return highest(outgoing.route.label, own, found)
