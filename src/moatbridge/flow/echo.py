"""After a write: what both sides agree on, and the mark against our own echo.

The opposite flow must recognise what this one wrote. But the record that the target
now shows may hold an edit that nobody has carried yet: then there is no mark, and the
opposite flow looks at it (delivery 46).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import MoatbridgeError
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.deciding import out_fingerprint
from moatbridge.ledger.keys import key_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.changes import Data, Ref
    from moatbridge.flow.elements import Pair
    from moatbridge.flow.route import Route
    from moatbridge.flow.thawing import Noted

Mark = tuple[bytes, bytes | None, bytes | None]
"""Key hash, source and out fingerprint of a target record, as its own side sees it."""


def base_of(
    route: Route,
    entity: dict[str, Any],
    former: bytes | None,
    there: dict[str, Any] | None,
    *,
    same: bool,
    elements: Mapping[str, list[Pair]] | None = None,
) -> bytes:
    """What both sides agree on once a change is written.

    Args:
        route: The flow.
        entity: What is written, as the source says it.
        former: What they agreed on so far.
        there: Of a pair: the target's record as it was, if it was looked at.
        same: The target shows all of it already.
        elements: What they agree on of lists that were merged.
    """
    base = route.carry.base(entity, former, there, elements)
    if same and there is not None and isinstance(route.carry, PairCarry):
        base, _echo = route.carry.stored(base, there, route.carry.whole.values(entity))
    return base


def said(route: Route, payload: dict[str, Any]) -> dict[str, Any]:
    """What is kept beside the bytes of a pair's intent: the paths that it writes."""
    entity = payload["entity"]
    if entity is None or not isinstance(route.carry, PairCarry):
        return {}
    written = list(route.carry.whole.values(entity))
    changed = [path for path in payload.get("changed", ()) if path in written]
    return {"said": written, "changed": changed}


def agreed(
    route: Route, ref: Ref, stored: Data | None, noted: Noted
) -> tuple[bytes | None, Mark]:
    """What to remember of a write that was applied: the base, and the target's mark.

    Args:
        route: The flow.
        ref: The target record.
        stored: As the target holds it now, if that is known.
        noted: What was kept beside the intent's bytes.
    """
    nothing = (key_hash(ref.key), None, None)
    there = _decoded(route, stored)
    if stored is None or there is None or noted.base is None:
        return noted.base, nothing
    if not isinstance(route.carry, PairCarry):
        return noted.base, nothing
    written = _as_written(route, noted) if route.carry.merged else None
    base, echo = route.carry.stored(noted.base, there, noted.said, written)
    return base, echo_mark(route, ref, stored) if echo else nothing


def echo_mark(route: Route, ref: Ref, stored: Data | None) -> Mark:
    """The target side's mark: what the opposite flow must recognise as agreed already.

    Nothing (key hash alone) for a flow that has no opposite.
    """
    k = key_hash(ref.key)
    there = _decoded(route, stored)
    if route.back is None or stored is None or there is None:
        return k, None, None
    bound = route.target.bound
    try:
        fp = route.target_fingerprint(ref.key, ref.name, bound.project(stored))
        return k, fp, out_fingerprint(bound, route.back.cut(there))
    except (MoatbridgeError, KeyError, TypeError, ValueError):
        return k, None, None


def _as_written(route: Route, noted: Noted) -> dict[str, Any] | None:
    try:
        return route.target.bound.decode_partial(noted.record or {})
    except (MoatbridgeError, KeyError, TypeError, ValueError):
        return None


def _decoded(route: Route, stored: Data | None) -> dict[str, Any] | None:
    if route.back is None or stored is None:
        return None
    try:
        return route.target.bound.decode(stored)
    except (MoatbridgeError, KeyError, TypeError, ValueError):
        return None
