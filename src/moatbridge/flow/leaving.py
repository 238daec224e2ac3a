"""Whoever leaves is disabled at once, whatever else waits for a person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moatbridge.ledger.staging import Staged

if TYPE_CHECKING:
    from moatbridge.flow.deciding import Seen
    from moatbridge.flow.route import Route
    from moatbridge.ledger.marks import Link


def leaver(route: Route, one: Seen, link: Link) -> Staged:
    """The part of a held change that does not wait: ``active = false``.

    Args:
        route: The flow.
        one: The record as it was read.
        link: Its link.
    """
    bound, entity = route.source.bound, {"active": False}
    payload = {"entity": entity, "changed": ["active"], "blank": [], "partial": True}
    return Staged(
        k=one.k,
        ref=(one.key, one.change.ref.name),
        op="update",
        link_id=link.link_id,
        prev_fp=one.mark.fp if one.mark else None,
        fp=None,
        out_fp=bound.fingerprint(entity)[:16],
        payload=json.dumps(payload),
        label=bound.label,
        round=link.round,
        lane=route.lane_of(one.key),
    )
