"""What a retract took back stays back: it is no divergence, and no repair undoes it.

The source still says what was taken back, so the target differs from it, on purpose,
until the source says something new. Only what the retract put back, and only as long as
the target shows it as the retract left it; where no image of that is kept, all of the
record.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Record
from moatbridge.flow.retract.images import Image, identity, mark, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.changes import Fetched
    from moatbridge.flow.route import Route
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.ledger.reconciling import TakenBack


def stays_back(
    route: Route,
    undone: TakenBack | None,
    link: Link,
    known: Mark | None,
    there: Fetched | None,
) -> Callable[[str], bool]:
    """Says of a path whether a retract left it as the target shows it.

    Args:
        route: The flow.
        undone: What was taken back of the link, if anything was.
        link: The link.
        known: The mark of its source record.
        there: The target record, if it could be looked at.
    """
    if undone is None or known is None or known.out_fp != undone.out_fp:
        return lambda _path: False  # delivered again since
    if route.back is None and link.base is not None:
        return lambda _path: False
    if undone.image is None or not isinstance(there, Record):
        return lambda _path: True
    left = _as_left(route, Image.from_text(undone.image), undone, there)
    return lambda path: path in left or path.partition("[]")[0] in left


def _as_left(route: Route, image: Image, undone: TakenBack, there: Record) -> set[str]:
    after: dict[str, Any] = json.loads(undone.receipt or "{}")
    if there.version is not None and after.get("v") == there.version:
        return {*image.paths, *image.lists}
    entity = route.target.bound.decode(there.data, there.incomplete)
    now, stored = values_of(route, entity), after.get("p", {})
    left = {
        path
        for path, (_was, sent) in image.paths.items()
        if mark(now.get(path)) in {sent, stored.get(path)}
    }
    for path, (added, gone) in image.lists.items():
        have = {identity(entry) for entry in now.get(path) or ()}
        wanted = {identity(entry) for entry in added}
        if wanted <= have and have.isdisjoint(identity(entry) for entry in gone):
            left.add(path)
    return left
