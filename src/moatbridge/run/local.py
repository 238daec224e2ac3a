"""The default runner: threads of this process, SQLite, nothing else to install."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError
from moatbridge.flow import run_slice
from moatbridge.flow.control import request_pass
from moatbridge.guard.approval import PLAN_LIFE
from moatbridge.ledger import runs
from moatbridge.run.following import follows
from moatbridge.run.hints import Hints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow import Bridge, SliceResult
    from moatbridge.flow.route import Route

_log = logging.getLogger(__name__)

POLL: Final = 0.05
"""Seconds between two looks for due partitions while others are at work."""

_IDLE: Final = 1.0
_HINTS_END: Final = 2.0


class LocalRunner:
    """Runs slices of a bridge's flows on threads.

    Args:
        bridge: An open bridge.
        slots: Slices at once; None for ``run.slots``.
    """

    def __init__(self, bridge: Bridge, *, slots: int | None = None) -> None:
        self._bridge = bridge
        self._slots = slots or bridge.config.run.slots
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

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
        errors: dict[tuple[str, str], MoatbridgeError] = {}
        running: dict[Future[SliceResult], tuple[str, str]] = {}
        ending = threading.Event()
        with ThreadPoolExecutor(
            self._slots, thread_name_prefix="moatbridge-slice"
        ) as pool:
            try:
                while not self._over(until, deadline):
                    started = self._start(pool, flows, kinds, running, deadline, ending)
                    if not running and not started:
                        break
                    self._collect(running, errors)
                    progress()
                    if errors and not running:
                        break
            finally:
                ending.set()
        return list(errors.values())

    def _over(self, until: Callable[[], bool], deadline: float | None) -> bool:
        late = deadline is not None and time.monotonic() >= deadline
        return self._stop.is_set() or late or until()

    def _start(
        self,
        pool: ThreadPoolExecutor,
        flows: Sequence[str],
        kinds: Sequence[str],
        running: dict[Future[SliceResult], tuple[str, str]],
        deadline: float | None,
        ending: threading.Event,
    ) -> bool:
        """Submit what is due; True if anything is due now or soon."""
        ready, later = self._bridge.due(flows, kinds)
        busy = set(running.values())
        now = time.monotonic()
        for flow, due in ready:
            where = (flow, due.part)
            if where in busy:
                continue
            if len(running) >= self._slots:
                break
            left = None if deadline is None else max(0.1, deadline - now)
            running[pool.submit(self._slice, flow, due.part, left, ending)] = where
        soon = later is not None and later <= max(_IDLE, 60.0)
        if not running and soon:
            time.sleep(min(later or 0.0, 0.2))
        return soon

    def _slice(
        self, flow: str, part: str, left: float | None, ending: threading.Event
    ) -> SliceResult:
        seconds = self._bridge.config.run.slice
        return run_slice(
            self._bridge,
            flow,
            part,
            owner=self._owner,
            seconds=seconds if left is None else min(seconds, left),
            stopping=lambda: ending.is_set() or self._stop.is_set(),
        )

    @staticmethod
    def _collect(
        running: dict[Future[SliceResult], tuple[str, str]],
        errors: dict[tuple[str, str], MoatbridgeError],
    ) -> None:
        if not running:
            return
        done, _rest = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
        for future in done:
            where = running.pop(future)
            result = future.result()
            if result.error is not None:
                errors[where] = result.error
            else:
                errors.pop(where, None)

    # --- as a service -----------------------------------------------------------

    def serve(self, flows: Sequence[str]) -> None:
        """Keep the flows running until `stop` is called; blocks."""
        hints = Hints(self._bridge, flows)
        hints.start()
        try:
            self._serve(flows)
        finally:
            hints.stop()
            hints.join(_HINTS_END)

    def _serve(self, flows: Sequence[str]) -> None:
        kinds = ("control", "scan", "lane", "live")
        next_pass: dict[str, float] = {}
        running: dict[Future[SliceResult], tuple[str, str]] = {}
        with ThreadPoolExecutor(
            self._slots, thread_name_prefix="moatbridge-slice"
        ) as pool:
            while not self._stop.is_set():
                usable = [f for f in flows if self._schedule(f, next_pass)]
                if usable:
                    self._start(pool, usable, kinds, running, None, self._stop)
                self._collect(running, {})
                if not running:
                    self._stop.wait(_IDLE / 2)

    def _schedule(self, flow: str, next_pass: dict[str, float]) -> bool:
        """Ask for the flow's next pass when it is time; False if it cannot run now.

        A flow whose system is down or misconfigured must not stop the others.
        """
        now = time.monotonic()
        try:
            route = self._bridge.route(flow)
            if follows(self._bridge, route):
                return True  # its tail is read; there is no pass to ask for
            if next_pass.get(flow, 0.0) <= now and not self._looked_at(route):
                request_pass(self._bridge.ledger, route, auto=True, actor=self._owner)
                followed = route.source.can("CanFollow")
                every = route.config.every
                rescan = route.config.rescan or (7 * 86400.0 if followed else every)
                next_pass[flow] = now + rescan
        except MoatbridgeError as error:
            _log.warning("flow %s cannot run now: %s", flow, error)
            return False
        return True

    def _looked_at(self, route: Route) -> bool:
        """A plan that waits for a person is not replaced under their eyes."""
        with self._bridge.ledger.read() as tx:
            run = runs.latest(tx, route.row.flow_id, "planned")
        return run is not None and time.time() - (run.planned or 0.0) < PLAN_LIFE

    def start(self, flows: Sequence[str]) -> None:
        """Serve on a thread of its own; `stop` ends it."""
        self._thread = threading.Thread(
            target=self.serve, args=(flows,), name="moatbridge-runner"
        )
        self._thread.start()

    def stop(self) -> None:
        """End: slices stop at their next batch boundary and give their leases back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
