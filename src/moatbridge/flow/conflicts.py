"""Fields of nobody: both sides of a pair may change them (delivery 47-48).

A contested path is sent only if its own side changed it since both agreed; otherwise an
edit beside it would carry an old value over the other side's newer one. If both changed
it, the later edit counts (``latest``), or a person decides with both versions before
them (``hold``, and wherever a timestamp is missing). A list may be merged element by
element instead (``merge``): nobody loses anything, and there is no conflict. All of it
is judged right before a change is encoded, on the target's record as it was just
fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.flow.agreement import PairCarry, without
from moatbridge.flow.merging import MERGE, merged_lists
from moatbridge.flow.sameness import canonical

if TYPE_CHECKING:
    from moatbridge.flow.elements import Pair
    from moatbridge.flow.references import Resolution
    from moatbridge.flow.route import Route

CONFLICT: Final = "conflict"
"""Reason of a hold: both sides changed one field."""

STAMP: Final = "updated"
"""Entity path of the moment a record was last changed at its side."""

LATEST: Final = "latest"
DECIDERS: Final = (LATEST, "hold", MERGE)


class Settled(NamedTuple):
    """What is to be sent of a change.

    Args:
        payload: Without what stays behind.
        sent: The entity in the target's terms, without it, and with merged lists.
        conflict: Paths that a person decides about; then nothing is sent.
        elements: What both agree on of each list that was merged, written or not.
    """

    payload: dict[str, Any]
    sent: dict[str, Any]
    conflict: tuple[str, ...] = ()
    elements: dict[str, list[Pair]] = {}  # noqa: RUF012 - never changed


def settle(
    route: Route,
    payload: dict[str, Any],
    sent: dict[str, Any],
    *,
    resolved: Resolution,
    there: dict[str, Any] | None,
    base: bytes | None,
    agreed: bool,
) -> Settled:
    """Leave out what is not to be sent of a change, and merge lists.

    Args:
        route: The flow.
        payload: As it was planned; its entity speaks in the source's terms.
        sent: The entity in the target's terms.
        resolved: How references were resolved.
        there: The target's record as it is; None if there is none to look at.
        base: What both agreed on.
        agreed: A person saw both versions and chose this one.
    """
    carry, said = route.carry, payload["entity"]
    if not isinstance(carry, PairCarry):
        return Settled(payload, sent)
    lists = merged_lists(route, said, sent, resolved, there=there, base=base)
    elements = {path: each.agreed for path, each in lists.items()}
    if there is None:
        return Settled(payload, sent, (), elements)
    contested = (route.contested.keys() & carry.values(said).keys()) - carry.merged
    here = contested & carry.differing(said, base)
    both = set() if agreed else here & _changed_both(carry, sent, there, base)
    later = _later(payload.get(STAMP), there.get(STAMP), first=route.row.side == 0)
    lost = {p for p in both if route.contested[p] == LATEST and later is False}
    conflict = {p for p in both if route.contested[p] != LATEST or later is None}
    if conflict:
        return Settled(payload, sent, tuple(sorted(conflict)))
    written = {
        p: m.elements for p, m in lists.items() if not _same(m.elements, there[p])
    }
    left = contested - here | lost | (carry.merged & said.keys()) - written.keys()
    if left:
        payload = {**payload, "entity": without(said, left)}
    return Settled(payload, {**without(sent, left), **written}, (), elements)


def _same(ours: Any, theirs: Any) -> bool:
    return bool(canonical(ours) == canonical(theirs or []))


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
