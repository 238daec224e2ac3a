"""Items that wait for a person: pure, `Waiting` -> lines or plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.changes import Ref
from moatbridge.cli.show_post import is_post, post_lines
from moatbridge.cli.show_status import ago
from moatbridge.cli.show_values import leaves
from moatbridge.cli.show_verdict import WORDS
from moatbridge.cli.terminal import clean
from moatbridge.ledger.review import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.ledger.review import Waiting

_INDENT = " " * 8


def waiting_lines(
    flow: str, items: list[Waiting], *, now: float, values: bool
) -> Iterator[str]:
    """One block an item: what, who, why, since when, and what can be done.

    Args:
        flow: Name.
        items: What waits.
        now: POSIX seconds.
        values: Show who is concerned and what would be sent; else a digest stands
            for the record.
    """
    masked = not values and any(item.ref is not None for item in items)
    more = " (--show says who)" if masked else ""
    waits = sum(item.kind != "expired" for item in items)
    yield f"Flow {flow}: {waits:,} waiting" + (more if items else " (nothing)")
    for item in items:
        what = WORDS.get(item.op, item.op) or "read"
        where = f" ({clean(item.detail)})" if item.detail else ""
        since = _since(item, now)
        times = f", {item.times} times" if item.times > 1 else ""
        yield (
            f"  {item.item:6} {item.kind}: {what} {_who(item, values=values)}: "
            f"{clean(item.reason)}{where}{since}{times}"
        )
        yield from (f"{_INDENT} {line}" for line in _noticed(item))
        if values and isinstance(item.before, dict):
            yield f"{_INDENT} now:"
            yield from _entity(item.before)
            yield f"{_INDENT} then:"
        if values and isinstance(item.entity, dict):
            yield from _entity(item.entity)
        actions = " | ".join(ACTIONS.get(item.kind, ()))
        yield f"{_INDENT} moatbridge review {flow} {item.item} {actions}"


def waiting_json(flow: str, item: Waiting, *, values: bool) -> dict[str, Any]:
    """One item as plain JSON."""
    shown: dict[str, Any] = {
        "flow": flow,
        "item": item.item,
        "kind": item.kind,
        "operation": item.op or None,
        "reason": item.reason,
        "detail": item.detail,
        "record": _digest(item),
        "since": item.since or None,
        "expires": item.expires,
        "noticed": [
            {"rule": rule, "mode": mode, "decision": decision, "fields": dict(places)}
            for rule, mode, decision, places in item.noticed
        ],
        "times": item.times,
        "actions": list(ACTIONS.get(item.kind, ())),
    }
    if values:
        shown |= {"ref": item.ref, "entity": item.entity, "before": item.before}
    return shown


def _since(item: Waiting, now: float) -> str:
    if not item.since:
        return ""
    waited = ago(now - item.since)
    if item.kind == "expired":
        return f", {waited} ago; it was not sent"
    left = None if item.expires is None else item.expires - now
    return f", for {waited}" + ("" if left is None else _left(left))


def _left(seconds: float) -> str:
    return f", expires in {ago(seconds)}" if seconds > 0 else ", about to expire"


def _noticed(item: Waiting) -> Iterator[str]:
    """What was found, where and how often; never the value itself (guard 28)."""
    for rule, mode, _decision, places in item.noticed:
        where = ", ".join(f"{clean(path, 80)} ({n:,})" for path, n in places)
        only = "" if mode == "enforce" else f" [{mode}: does not hold it]"
        yield f"{clean(rule)}: found in {where or 'the item'}{only}"


def _entity(entity: dict[str, Any]) -> Iterator[str]:
    if is_post(entity):
        yield from (f"{_INDENT}   {line}" for line in post_lines(entity))
        return
    for path, whole in entity.items():
        for leaf, value in leaves(path, whole):
            yield f"{_INDENT}   {clean(leaf, 80)}: {clean(value, 80)}"


def _who(item: Waiting, *, values: bool) -> str:
    if values and item.ref is not None:
        key, name = item.ref
        return clean(name or key, 80)
    return f"record {_digest(item) or '(unknown)'}"


def _digest(item: Waiting) -> str | None:
    return None if item.ref is None else Ref.from_key(item.ref[0]).digest
