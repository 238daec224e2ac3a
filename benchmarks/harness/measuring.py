"""What a process cost. Standard library only: peers run this in their own environments.

The calibration loop does the same pure Python work each time; how long it takes before
and after a variant tells how fast the machine was meanwhile, and cancels it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS = 4
MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu() -> float:
    """CPU seconds of this process and of the children it waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak() -> float:
    """Highest resident memory of this process so far, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def resident(pid: int | str = "self") -> float:
    """Resident memory of a process now, in MiB; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / MIB
    except (OSError, IndexError):
        return 0.0


def forget_peak() -> None:
    """The highest resident memory counts from now on, where Linux allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Memory:
    """The highest resident memory of this process from now on."""

    def __init__(self) -> None:
        self.base = self.peak = resident()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            self.peak = max(self.peak, resident())

    def stop(self) -> float:
        """By how many MiB it grew."""
        self._end.set()
        self._thread.join()
        return round(self.peak - self.base, 1)


def calibration() -> list[float]:
    """CPU seconds of some passes of a fixed loop."""
    return [_loop() for _ in range(LOOPS)]


def _loop() -> float:
    begun = time.process_time()
    total, kept = 0, {}
    for number in range(200_000):
        total += number * number
        kept[number & 1023] = (number, total)
    ",".join(map(str, range(30_000))).split(",")
    return time.process_time() - begun


def measured(run: Callable[[], dict[str, Any]], imported: float) -> dict[str, Any]:
    """Run it and tell what it cost.

    Args:
        run: The work; what it returns is kept under ``said``, and under ``late`` the
            modules that it imported.
        imported: CPU seconds that this process had used when it was ready to run.
    """
    loops = calibration()
    loaded = set(sys.modules)
    gc.collect()
    ready, idle = peak(), resident()
    forget_peak()
    cpu_before, wall_before = cpu(), time.perf_counter()
    said = run()
    wall = time.perf_counter() - wall_before
    used, highest = cpu() - cpu_before, peak()
    late = [name for name in sys.modules if name not in loaded]
    loops += calibration()
    return {
        "cpu": used,
        "command_cpu": used + imported,
        "wall": wall,
        "peak_mib": max(highest, ready, said.pop("peak_mib", 0.0)),
        "grown_mib": highest - idle,
        "calibration": statistics.median(loops),
        "said": said,
        "late": late,
    }
