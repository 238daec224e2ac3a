"""What an approval of content binds to: the item, and who would see it (guard 32).

A held post keeps a digest of what was shown: target, operation, text, attachments and
the audience resolved to the target's own records. Right before it is sent the digest is
made again; if the audience resolves to somebody else by then, the approval is void.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Record, Ref
from moatbridge.entities.moments import moment
from moatbridge.entities.plain import Fault
from moatbridge.errors import MoatbridgeError
from moatbridge.flow import references
from moatbridge.flow.readership import NOBODY
from moatbridge.guard import APPROVAL_LIFE, bound_to, item_digest
from moatbridge.ledger import marks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moatbridge.flow.readership import Readership
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.staging import Staged
    from moatbridge.resilience.session import Session

NOT_AFTER: Final = "not_after"
"""Member of a payload: POSIX seconds after which a post is late."""


def seals(route: Route) -> bool:
    """Whether approvals of this flow bind to who would see the item."""
    return route.entity == "Post"


def seal(
    route: Route,
    ledger: Ledger,
    staged: Sequence[Staged],
    *,
    target: Callable[[], Session],
    readers: Mapping[bytes, Readership],
) -> None:
    """Complete the payload of held posts: what approval binds to, and what was before.

    One look-up for all references, one fetch for all posts as they are.

    Args:
        route: The flow.
        ledger: Its ledger.
        staged: What was staged, held or not.
        target: Gives an open session.
        readers: Key hash -> who would read it.
    """
    held = [one for one in staged if one.hold is not None] if seals(route) else []
    if not held:
        return
    payloads = [json.loads(one.payload) for one in held]
    with ledger.read() as tx:
        resolved = references.resolve(tx, route, [p["entity"] for p in payloads])
    before = _before(route, ledger, held, target)
    for one, payload, found in zip(held, payloads, resolved, strict=True):
        entity = None if found.entity is None else route.express(found.entity)
        seen_by = readers.get(one.k, NOBODY)
        payload["digest"] = digest_of(
            route, one.op, entity, seen_by, not_after=payload.get(NOT_AFTER)
        )
        payload["before"] = before.get(one.link_id or 0)
        one.payload = json.dumps(payload, ensure_ascii=False)


def digest_of(
    route: Route,
    op: str,
    entity: dict[str, Any] | None,
    readers: Readership,
    *,
    not_after: float | None = None,
) -> str:
    """What an approval binds to, as hexadecimal digits.

    Args:
        route: The flow.
        op: Operation.
        entity: Resolved, and cut down to what the target can hold.
        readers: Who would read it.
        not_after: When it is too late for it, in POSIX seconds; None: no such time.
    """
    found = readers.within(entity or {})
    bound = bound_to(found, readers.readers)
    digest = item_digest(
        target=route.target.system,
        op=op,
        fingerprint=route.target.bound.fingerprint(found),
        audience=bound.audience,
        attachments=bound.attachments,
        not_after=not_after,
    )
    return digest.hex()


def late(until: float | None, *, agreed_at: float, now: float) -> str:
    """Why an approved post is not published any more, in words; empty if it may be.

    Args:
        until: When it is too late for the post itself; None: it names no time.
        agreed_at: When it was approved.
        now: POSIX seconds, like the others.
    """
    if until is not None and now > until:
        return f"it was to be published by {_minute(until)}"
    if now > agreed_at + APPROVAL_LIFE:
        return f"it was approved at {_minute(agreed_at)} and could not leave in time"
    return ""


def dated(published: Any, now: float) -> dict[str, float]:
    """For a payload: when it is too late for a post that names its own time (guard 34).

    Empty if it names none, or one so long ago that waiting makes it no later.

    Args:
        published: What the post says, of whatever type.
        now: POSIX seconds.
    """
    try:
        until = moment(published).timestamp() + APPROVAL_LIFE
    except (Fault, OverflowError):
        return {}
    return {NOT_AFTER: until} if until > now else {}


def _minute(posix: float) -> str:
    return f"{datetime.fromtimestamp(posix, UTC):%Y-%m-%d %H:%M} UTC"


def shown(route: Route, record: Record | None) -> dict[str, Any] | None:
    """A target record as people look at it; None if there is none to look at."""
    if record is None:
        return None
    try:
        return route.target.bound.decode(record.data, record.incomplete)
    except MoatbridgeError:
        return None


def thread_of(route: Route, key: str, entity: dict[str, Any]) -> str:
    """What decides about the order of delivery: posts follow their thread.

    Args:
        route: The flow.
        key: The record's own key.
        entity: What would be sent.
    """
    if route.entity != "Post":
        return key
    parent = entity.get("inReplyTo") or {}
    inside = parent.get("stream") == route.source.address and parent.get("id")
    return str(entity.get("context") or inside or key)


def _before(
    route: Route, ledger: Ledger, held: Sequence[Staged], target: Callable[[], Session]
) -> dict[int, dict[str, Any] | None]:
    if not route.target.can("CanFetch"):
        return {}
    ids = [one.link_id for one in held if one.link_id is not None]
    side = 1 - route.row.side
    with ledger.read() as tx:
        links = marks.links(tx, ids)
    linked = {n: link for n, link in links.items() if link.key(side)}
    if not linked:
        return {}
    refs = [Ref.from_key(n.key(side) or "", n.name(side)) for n in linked.values()]
    try:
        answers = target().fetch(route.target.name, refs)
    except MoatbridgeError:
        return {}  # a person decides with a little less to look at
    return {
        n: shown(route, record if isinstance(record, Record) else None)
        for n, record in zip(linked, answers, strict=True)
    }
