"""The default runner: threads of this process and the ledger, nothing else to install.

`LocalRunner.drive` works towards one condition, for a person who waits for it;
`LocalRunner.serve` keeps flows going. The same slots carry both.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError, NotApplied
from moatbridge.flow import run_slice
from moatbridge.run.dispatch import LOST_SHARE, Dispatcher
from moatbridge.run.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow import Bridge, SliceResult
    from moatbridge.run.dispatch import Ending

POLL: Final = 0.1
"""Seconds between two looks for due partitions while others are at work.

What ends is heard of at once; each look costs a millisecond of the same interpreter.
"""

_IDLE: Final = 0.2
_SOON: Final = 60.0

__all__ = ["LOST_SHARE", "POLL", "LocalRunner"]


class LocalRunner:
    """Runs slices of a bridge's flows on threads.

    Args:
        bridge: An open bridge.
        slots: Slices at once; None for ``run.slots``.
        zones: Network zones to serve; None for ``run.zones``.
        tell: Called with a flow and the error that keeps it from running for now;
            None logs it.
        lost_share: Share of lost slots above which `serve` ends by itself; a product
            that embeds the runner has no supervisor, so its runner goes on.
    """

    def __init__(
        self,
        bridge: Bridge,
        *,
        slots: int | None = None,
        zones: Sequence[str] | None = None,
        tell: Callable[[str, MoatbridgeError], None] | None = None,
        lost_share: float = 1.0,
    ) -> None:
        self._bridge = bridge
        self._slots = slots or bridge.config.run.slots
        self._zones = tuple(zones or bridge.config.run.zones)
        self._tell = tell
        self._lost_share = lost_share
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._dispatcher: Dispatcher | None = None
        self.forced: int = 0
        """Leases that had to be given back by force at the end."""

    def drive(
        self,
        flows: Sequence[str],
        *,
        until: Callable[[], bool],
        kinds: Sequence[str] = ("control", "scan", "lane"),
        progress: Callable[[], None] = lambda: None,
        deadline: float | None = None,
    ) -> list[MoatbridgeError]:
        """Run slices of these flows until a condition holds or nothing can be done.

        Args:
            flows: Names.
            until: Asked whenever a slice ended.
            kinds: Kinds of partition to work on.
            progress: Called whenever a slice ended.
            deadline: `time.monotonic` value at which to stop in any case.

        Returns:
            The errors of the last slices, if they are why nothing can be done.
        """
        drive = _Drive(self, flows, kinds, deadline)
        try:
            while not self._over(until, deadline):
                going = drive.start()
                if not drive.slots.running and (drive.errors or not going):
                    break
                drive.collect()
                progress()
        finally:
            drive.end()
        return list(drive.errors.values())

    def _over(self, until: Callable[[], bool], deadline: float | None) -> bool:
        late = deadline is not None and time.monotonic() >= deadline
        return self._stop.is_set() or late or until()

    # --- as a service -----------------------------------------------------------

    def serve(self, flows: Sequence[str]) -> Ending:
        """Keep the flows running until `stop` is called; blocks.

        Slices that still work when it is stopped have ``run.drain`` seconds to reach
        their next batch; what leases are left then are given back by force.

        Returns:
            ``stopped``; ``refused``: no flow can run as configured; ``stuck``: too
            many slots hold calls that never came back.
        """
        self._bridge.zones = self._reached()
        self._dispatcher = Dispatcher(
            self._bridge,
            flows,
            slots=self._slots,
            zones=self._zones,
            owner=self._owner,
            stop=self._stop,
            tell=self._tell,
            lost_share=self._lost_share,
        )
        try:
            return self._dispatcher.run()
        finally:
            self._stop.set()
            with self._bridge.hurrying():
                whole = self._dispatcher.drain(self._bridge.config.run.drain)
            if not whole:
                self.forced = self._bridge.give_back()

    def _reached(self) -> frozenset[str] | None:
        """Zones to keep to; None if these are all that there are."""
        there = {system.zone for system in self._bridge.config.systems.values()}
        return None if there <= set(self._zones) else frozenset(self._zones)

    @property
    def lost(self) -> int:
        """Slots whose work is stuck in a call that did not come back."""
        return 0 if self._dispatcher is None else self._dispatcher.lost

    def start(self, flows: Sequence[str]) -> None:
        """Serve on a thread of its own; `stop` ends it."""
        self._thread = threading.Thread(
            target=self.serve, args=(flows,), name="moatbridge-runner"
        )
        self._thread.start()

    def stop(self) -> None:
        """End: slices stop at their next batch boundary and give their leases back."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def ask_to_stop(self) -> None:
        """As `stop`, but return at once."""
        self._stop.set()
        if self._dispatcher is not None:
            self._dispatcher.nudge()


class _Drive:
    """The slices of one `LocalRunner.drive`."""

    def __init__(
        self,
        runner: LocalRunner,
        flows: Sequence[str],
        kinds: Sequence[str],
        deadline: float | None,
    ) -> None:
        self._bridge: Bridge = runner._bridge  # noqa: SLF001 - same module
        self._owner: str = runner._owner  # noqa: SLF001 - same module
        self._stop: threading.Event = runner._stop  # noqa: SLF001 - same module
        self._flows = flows
        self._kinds = kinds
        self._deadline = deadline
        self._ending = threading.Event()
        self.errors: dict[tuple[str, str], MoatbridgeError] = {}
        self.slots: Slots[SliceResult] = Slots(
            runner._slots,  # noqa: SLF001 - same module
            patience=self._bridge.patience,
        )

    def start(self) -> bool:
        """Begin what is due; True if anything is due now or soon."""
        ready, later = self._bridge.due(self._flows, self._kinds)
        running, free = self.slots.running, self.slots.free
        now = time.monotonic()
        left = None if self._deadline is None else max(0.1, self._deadline - now)
        new = [w for f, due in ready if (w := (f, due.part)) not in running]
        for where in new[: max(0, free)]:
            self.slots.start(where, partial(self._slice, *where, left))
        soon = later is not None and later <= _SOON
        if not self.slots.running and soon:
            time.sleep(min(later or 0.0, _IDLE))
        return soon

    def collect(self) -> None:
        for ended in self.slots.collect(POLL) if self.slots.running else []:
            where = self._where(ended.key)
            if ended.error is not None:
                raise ended.error
            result = ended.result
            if result is not None and result.error is not None and not _goes_on(result):
                self.errors[where] = result.error
            else:
                self.errors.pop(where, None)
        for lost in self.slots.give_up():
            flow, part = where = self._where(lost.key)
            self.errors[where] = NotApplied(
                f"Partition {part} of flow {flow} is stuck: {lost.why}. Its lease runs "
                "out; run again then.",
                code="runtime.stuck",
            )

    def end(self) -> None:
        """Let running slices reach their next batch; how they ended counts as well."""
        self._ending.set()
        while self.slots.running:
            self.collect()

    @staticmethod
    def _where(key: object) -> tuple[str, str]:
        assert isinstance(key, tuple)  # noqa: S101 - we made it
        return key

    def _slice(self, flow: str, part: str, left: float | None) -> SliceResult:
        seconds = self._bridge.config.run.slice
        return run_slice(
            self._bridge,
            flow,
            part,
            owner=self._owner,
            seconds=seconds if left is None else min(seconds, left),
            stopping=lambda: self._ending.is_set() or self._stop.is_set(),
        )


def _goes_on(result: SliceResult) -> bool:
    """Whether it is due again soon, and a person who waits need not ask again."""
    return result.goes_on and result.wait <= _SOON
