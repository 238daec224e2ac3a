"""The ledger's two clocks (scale 8).

Leases count milliseconds since boot, together with the boot's id: a step of the wall
clock neither prolongs nor ends a lease, and after a reboot all leases are over. Times
shown to people (``not_before``, windows) are wall time.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path


def boot_clock() -> int:
    """Milliseconds since boot, suspended time included where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    seconds = time.monotonic() if clock is None else time.clock_gettime(clock)
    return int(seconds * 1000)


@cache
def boot_id() -> str:
    """Identity of this boot; empty where the system has none."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.strip()


def wall_clock() -> float:
    """POSIX seconds."""
    return time.time()
