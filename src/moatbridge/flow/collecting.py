"""Python's collector of cycles, kept out of the way while slices work (design 0031).

Batches are trees of dicts and lists: when the last reference goes, so do they, and
nothing is left for the collector to find. By default it looks at every 700 new objects
all the same, a quarter of a slice's CPU. While any slice of the process works it looks
once in so many; the product that imports us gets its own thresholds back afterwards.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_working = 0
_before: tuple[int, int, int] | None = None
_ours: tuple[int, int, int] | None = None


@contextmanager
def rarely(objects: int) -> Iterator[None]:
    """Collect cycles once in so many new objects meanwhile.

    Where several bridges work at once, the first one's number holds for all.

    Args:
        objects: More containers made than freed until the youngest are looked through;
            0 leaves the collector as it is, and so does one that was set to look less
            often, or not at all, already.
    """
    if not objects:
        yield
        return
    _enter(objects)
    try:
        yield
    finally:
        _leave()


def _enter(objects: int) -> None:
    global _working, _before, _ours  # noqa: PLW0603 - one collector for the process
    with _lock:
        _working += 1
        found = gc.get_threshold()
        if _working == 1 and 0 < found[0] < objects:
            _before, _ours = found, (objects, *found[1:])
            gc.set_threshold(*_ours)


def _leave() -> None:
    global _working, _before  # noqa: PLW0603 - one collector for the process
    with _lock:
        _working -= 1
        if _working == 0 and _before is not None:
            if gc.get_threshold() == _ours:  # else somebody set it meanwhile
                gc.set_threshold(*_before)
            _before = None
