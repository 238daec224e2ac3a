"""The bandwidth cap: a wait after bytes moved, which an abort ends at once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from moatbridge_sftp.wire.faults import too_slow

if TYPE_CHECKING:
    from moatbridge.adapter import Net

_LEAST: Final = 32 * 1024


class Pace:
    """Keeps the mean rate of one storage below a cap.

    This wait is what the setting asks for; it is no retry and no poll. Without a cap
    nothing ever waits.

    Args:
        rate: Bytes a second; None for no cap.
        net: Whose deadline ends the wait.
    """

    def __init__(self, rate: int | None, net: Net) -> None:
        self._rate = rate
        self._net = net
        self._free_at = time.monotonic()
        self._stopped = threading.Event()

    def ahead(self, in_flight: int) -> int:
        """Bytes to ask for ahead: under a cap no more than a second's worth."""
        return (
            in_flight if self._rate is None else min(in_flight, max(_LEAST, self._rate))
        )

    def moved(self, count: int) -> None:
        """Count bytes, and wait if that was too fast.

        Raises:
            NotApplied: ``sftp.deadline``: the core's deadline would pass first.
        """
        if self._rate is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        wait = self._free_at - now
        if wait > self._net.remaining():
            raise too_slow("`max_rate` is below what the deadline allows")
        self._stopped.wait(wait)

    def stop(self) -> None:
        """End a wait, from another thread."""
        self._stopped.set()
