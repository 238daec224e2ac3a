"""Fields of nobody: both sides of a pair may change them (delivery 47-48).

A contested path is sent only if its own side changed it since both agreed; otherwise an
edit beside it would carry an old value over the other side's newer one. If both changed
it, the later edit counts (``latest``), or a person decides with both versions before
them (``hold``, and wherever a timestamp is missing). Judged right before a change is
encoded, on the target's record as it was just fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moatbridge.flow.agreement import PairCarry, without
from moatbridge.flow.sameness import canonical

if TYPE_CHECKING:
    from moatbridge.flow.route import Route

CONFLICT: Final = "conflict"
"""Reason of a hold: both sides changed one field."""

STAMP: Final = "updated"
"""Entity path of the moment a record was last changed at its side."""

LATEST: Final = "latest"
DECIDERS: Final = (LATEST, "hold")


def settle(
    route: Route,
    payload: dict[str, Any],
    sent: dict[str, Any],
    *,
    there: dict[str, Any] | None,
    base: bytes | None,
    agreed: bool,
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Leave out what is not to be sent of a change to an existing target record.

    Args:
        route: The flow.
        payload: As it was planned; its entity speaks in the source's terms.
        sent: The entity in the target's terms.
        there: The target's record as it is; None if there is none to look at.
        base: What both agreed on.
        agreed: A person saw both versions and chose this one.

    Returns:
        Both without what stays behind, and the paths that a person decides about.
    """
    carry, said = route.carry, payload["entity"]
    if not isinstance(carry, PairCarry) or there is None:
        return payload, sent, ()
    contested = route.contested.keys() & carry.values(said).keys()
    here = contested & carry.differing(said, base)
    both = set() if agreed else here & _changed_both(carry, sent, there, base)
    later = _later(payload.get(STAMP), there.get(STAMP), first=route.row.side == 0)
    lost = {p for p in both if route.contested[p] == LATEST and later is False}
    conflict = {p for p in both if route.contested[p] != LATEST or later is None}
    left = contested - here | lost
    if conflict or not left:
        return payload, sent, tuple(sorted(conflict))
    return {**payload, "entity": without(said, left)}, without(sent, left), ()


def _changed_both(
    carry: PairCarry,
    sent: dict[str, Any],
    there: dict[str, Any],
    base: bytes | None,
) -> set[str]:
    """Paths that the target changed too, into something else."""
    ours, theirs = carry.values(sent), carry.whole.values(there)
    return {
        path
        for path in carry.differing_there(there, base)
        if canonical(ours.get(path)) != canonical(theirs.get(path))
    }


def _later(here: Any, there: Any, *, first: bool) -> bool | None:
    """Whether this side's edit counts; None: nobody can tell. A tie is side a's."""
    ours, theirs = _moment(here), _moment(there)
    if ours is None or theirs is None:
        return None
    return first if ours == theirs else ours > theirs


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
