"""Judged once more right before it is sent, and what an agreement still covers.

Only then is it known what the record at the target was, and who reads it. What a person
agreed to is not judged again, but compared with what they saw; and an agreement to a
post has an end (guard 32, 34).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from moatbridge.flow import conflicts, letting_go
from moatbridge.flow.readership import own_audience
from moatbridge.flow.sealing import NOT_AFTER, digest_of, late, seals, shown
from moatbridge.guard import Context, Outgoing, judge, masked_like
from moatbridge.ledger import counts

if TYPE_CHECKING:
    from moatbridge.flow.preparing import Planned
    from moatbridge.flow.route import Route
    from moatbridge.guard import Operation, Verdict
    from moatbridge.ledger import Ledger

_STOPS: Final = frozenset({"hold", "drop"})


class Hold(NamedTuple):
    """Why an intent is not sent now.

    Args:
        reason: From the closed list.
        rules: Rules that hold it, or what happened.
        detail: What else a person should know, without values.
    """

    reason: str
    rules: str
    detail: str = ""


def void(route: Route, one: Planned, *, agreed_at: float, now: float) -> Hold | None:
    """An approval holds for what was shown, and for a while (guard 32, 34).

    What comes too late is shown once more, without its former time: whoever approves
    it then knows.

    Args:
        route: The flow.
        one: What a person agreed to, as it is now.
        agreed_at: When they did, in POSIX seconds.
        now: POSIX seconds.
    """
    agreed = one.payload.get("digest")
    until = one.payload.get(NOT_AFTER)
    if agreed is not None and agreed != digest_of(
        route, one.op, one.entity, one.readers, not_after=until
    ):
        detail = one.readers.detail
        return Hold("approval", "changed since it was approved", detail)
    why = late(until, agreed_at=agreed_at, now=now) if seals(route) else ""
    if not why:
        return None
    one.payload = {k: v for k, v in one.payload.items() if k != NOT_AFTER}
    return Hold("approval", "late", why)


def sealed(route: Route, one: Planned) -> str:
    """The payload that the next person sees and agrees to.

    It is never the one that was staged: what was masked since must not come back, since
    nobody judges it again once it is approved.
    """
    if one.conflict:
        return json.dumps(one.payload | {"before": shown(route, one.before)})
    if not seals(route):
        return json.dumps(one.payload)
    until = one.payload.get(NOT_AFTER)
    digest = digest_of(route, one.op, one.entity, one.readers, not_after=until)
    more: dict[str, Any] = {"digest": digest, "before": shown(route, one.before)}
    if one.readers.narrowed:
        more["audience"] = one.readers.audience
    return json.dumps(one.payload | more)


def held(
    route: Route, ledger: Ledger, one: Planned, before: dict[str, Any] | None
) -> Hold | None:
    """Judge once more; what is masked by now is masked in place.

    A group that is sensitive by its present name stays so when the source renames it.
    A reply may have been staged before anybody knew its parent, and a group may have
    other members by now.

    Args:
        route: The flow.
        ledger: Its ledger.
        one: What would be sent.
        before: The target's record as it is; None if that is not known.
    """
    if one.conflict:
        return Hold(conflicts.CONFLICT, "owner", ", ".join(one.conflict))
    edit = one.op == "update" and before is not None
    if one.entity is None or not (edit or one.readers.parent or one.readers.outside):
        return None
    now = ledger.now()
    verdict = judge(
        Outgoing(
            route.judged,
            _judged(route, one),
            "renew" if one.payload.get("renew") else cast("Operation", one.op),
            link_id=one.item.link_id,
            changed=tuple(one.payload.get("changed", ())) or None,
            before=before if edit else None,
            parent=one.readers.parent if one.readers.audience else None,
            outside=one.readers.outside,
            readers=one.readers.readers,
        ),
        route.rules,
        Context(
            now=now,
            memory=counts.Window(ledger.db, route.row.flow_id),
            salt=ledger.ledger_id.encode(),
        ),
    )
    one.payload = letting_go.renewed(one.payload, verdict)
    if not _masks(route, one, verdict, now):
        return Hold("guard-bug", "free_text")
    if verdict.decision not in _STOPS:
        return None
    reason = verdict.reasons[0] if verdict.reasons else "guard-bug"
    return Hold(reason, ", ".join(verdict.deciding), one.readers.detail)


def _masks(route: Route, one: Planned, verdict: Verdict, now: float) -> bool:
    """Take what the verdict masks out of what is sent and kept; False if it cannot."""
    if not verdict.masked:
        return True
    entity, kind = one.payload["entity"], route.entity
    try:
        own = masked_like(entity, verdict, route.rules, entity_type=kind, now=now)
    except Exception:  # noqa: BLE001 - what cannot be masked must not pass
        return False
    one.payload = one.payload | {"entity": own_audience(own, entity)}
    if not seals(route):
        one.entity = verdict.entity
        return True
    one.resolved = one.resolved._replace(entity=verdict.entity)
    one.entity = route.express(verdict.entity or {})
    return True


def _judged(route: Route, one: Planned) -> dict[str, Any] | None:
    """Of content everything that was read, whether or not the target can hold it."""
    return one.readers.within(one.resolved.entity or {}) if seals(route) else one.entity
