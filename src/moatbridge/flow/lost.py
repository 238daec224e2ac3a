"""Target records that were lost there and are made anew (delivery 14, 54).

The link goes on naming the record that is gone until the new one is there, so that a
plan touches nothing. The planned intent says which record it takes the place of: while
the link names that one, it names nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Absent, Ref

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.flow.route import Route
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.parcels import Item
    from moatbridge.resilience.session import Session

LOST: Final = "lost"
"""Member of a payload: key of the target record that it takes the place of."""


def named(link: Link | None, payload: Mapping[str, Any], side: int) -> str | None:
    """Key of the record that a link names at the target; None if that one is lost."""
    key = link.key(side) if link is not None else None
    return None if key == payload.get(LOST) else key


def back_again(
    route: Route,
    items: Sequence[tuple[Item, Mapping[str, Any]]],
    target: Session,
) -> list[int]:
    """Positions whose lost record is there after all: nothing is made anew."""
    lost = [(item.pos, payload[LOST]) for item, payload in items if LOST in payload]
    if not lost or not route.target.can("CanFetch"):
        return []
    refs = [Ref.from_key(key) for _pos, key in lost]
    found = target.fetch(route.target.name, refs)
    return [
        pos
        for (pos, _key), answer in zip(lost, found, strict=True)
        if not isinstance(answer, Absent)
    ]
