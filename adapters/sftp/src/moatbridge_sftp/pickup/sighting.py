"""How long a file has looked the same: for ``ripe = "settled"`` (sftp 21).

The supplier's clock is compared with itself only. Our own counts: within one connection
the monotonic clock, across runs the wall clock of the first sighting in the cursor.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from moatbridge_sftp.pickup.cursor import WAITING_MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_REMEMBERED: Final = 50_000


class Sightings:
    """First sightings of files of one stream, by mark; one thread at a time.

    Args:
        steady: Monotonic clock, in seconds.
        wall: Clock of the day, in seconds since 1970.
    """

    def __init__(
        self,
        *,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._steady = steady
        self._wall = wall
        self._since: dict[bytes, float] = {}

    def ages(
        self, marks: Sequence[bytes], known: Mapping[bytes, int]
    ) -> tuple[dict[bytes, float], dict[bytes, int]]:
        """Seconds since each file was first seen as it is now.

        A file whose size or time changed has another mark, and so starts anew.

        Args:
            marks: Of every file that is there, in reading order.
            known: First sightings in the cursor.

        Returns:
            Ages by mark, and the first sightings for the next cursor.
        """
        now, today = self._steady(), self._wall()
        before = self._since
        self._since = {
            mark: before[mark] if mark in before else now - _age(known.get(mark), today)
            for mark in marks[:_REMEMBERED]
        }
        ages = {mark: now - since for mark, since in self._since.items()}
        # Rounded up: a file must never count as older than it is.
        first = {
            mark: known.get(mark, math.ceil(today)) for mark in marks[:WAITING_MOST]
        }
        return ages, first


def _age(first: int | None, today: float) -> float:
    """By the wall clock; one that was set back since says nothing."""
    return 0.0 if first is None else max(0.0, today - first)
