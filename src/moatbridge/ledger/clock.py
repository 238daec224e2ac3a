"""The ledger's two clocks (scale 8).

Leases count milliseconds of a clock that nobody sets, read where the ledger is. SQLite:
the time since boot, together with the boot's id, so that a step of the wall clock
neither prolongs nor ends a lease, and after a reboot all leases are over. PostgreSQL:
the server's ``clock_timestamp()``, never a worker's clock.

What people see and wait for (``not_before``, windows, ``first_sent``) is the ledger's
*wall* time: `moatbridge.ledger.Ledger.now`. SQLite: this host's. PostgreSQL: the
server's, which a `StoreClock` follows without a question of its own.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from pathlib import Path


def boot_clock() -> int:
    """Milliseconds since boot, suspended time included where the system can tell."""
    return int(boot_seconds() * 1000)


def boot_seconds() -> float:
    """Seconds since boot; nobody can set this clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@cache
def boot_id() -> str:
    """Identity of this boot; empty where the system has none."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.strip()


def wall_clock() -> float:
    """POSIX seconds of this host; inside the ledger's work ask the ledger instead."""
    return time.time()


class StoreClock:
    """The wall time of a database server, followed from here. Safe for threads.

    Every transaction brings the server's time along. What it said was true at some
    moment between the question and the answer, so each sample bounds the difference to
    our own boot clock from both sides. The estimate moves only when a bound forces it
    to: a thread that slept between question and answer disturbs nothing.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._lock = threading.Lock()

    def sample(self, asked: float, told: float, got: float) -> None:
        """Take in one answer.

        Args:
            asked: `boot_seconds` when the question left.
            told: POSIX seconds that the server said.
            got: `boot_seconds` when the answer was here.
        """
        least, most = told - got, told - asked
        with self._lock:
            now = least if self._ahead is None else self._ahead
            self._ahead = min(max(now, least), most)

    def now(self) -> float:
        """POSIX seconds, as the server would say them now."""
        if self._ahead is None:
            return wall_clock()
        return boot_seconds() + self._ahead
