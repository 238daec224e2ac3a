"""Serving flows until a signal: the first one drains, the second ends at once.

Each flow has a runner and a thread of its own, so that a flow whose systems cannot be
reached (or whose settings are wrong) keeps no other flow from running. Signal handlers
only count: an `Event` set inside a handler could wait for a lock that the interrupted
code holds.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli import exit_codes
from moatbridge.cli.terminal import complain
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.run import Bridge

_LOOK: Final = 0.1
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 60.0


def serve(bridge: Bridge, flows: list[str]) -> int:
    """Keep flows going until SIGTERM or SIGINT; returns the exit code.

    Call it on the main thread. A flow whose configuration is wrong ends with its
    error; when the last flow has ended, so does this.
    """
    slots = max(1, bridge.config.run.slots // len(flows))
    served = [_Served(bridge, flow, slots) for flow in flows]
    with _signals() as seen:
        for each in served:
            each.thread.start()
        complain(f"serving {', '.join(flows)}; Ctrl-C drains and ends")
        while not seen and any(each.thread.is_alive() for each in served):
            time.sleep(_LOOK)
        if seen:
            complain("draining: slices end at their next batch; once more ends at once")
        for each in served:
            each.stop()
        for each in served:
            while each.thread.is_alive():
                each.thread.join(_LOOK)
    return exit_codes.worst(each.code for each in served)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Signals received, in order; the second ends the process without more ado."""
    seen: list[int] = []

    def count(number: int, _frame: Any) -> None:
        seen.append(number)
        if len(seen) > 1:
            os._exit(128 + number)

    old = {n: signal.signal(n, count) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class _Served:
    """One flow under its own runner, started again after errors that pass."""

    def __init__(self, bridge: Bridge, flow: str, slots: int) -> None:
        self.code = exit_codes.DONE
        self._bridge = bridge
        self._flow = flow
        self._runner = bridge.runner(slots=slots)
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"moatbridge-{flow}")

    def stop(self) -> None:
        self._stopping.set()
        self._runner.stop()

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            try:
                self._bridge.route(self._flow)
                self._runner.serve([self._flow])
            except ConfigurationError as error:
                self._told(error)
                self.code = exit_codes.CONFIGURATION
                return
            except MoatbridgeError as error:
                self._told(error)
                later = error.retry_after if isinstance(error, NotApplied) else None
                self._stopping.wait(max(later or 0.0, wait))
                wait = min(_LONGEST_WAIT, 2 * wait)
            except Exception as error:  # noqa: BLE001 - other flows go on
                complain(f"{self._flow}: {type(error).__name__}", code="cli.bug")
                self.code = exit_codes.BUG
                return

    def _told(self, error: MoatbridgeError) -> None:
        complain(f"{self._flow}: {error.message}", code=error.code)
