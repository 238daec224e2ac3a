"""Keeping flows going in one process until a signal: `run` and `worker` alike.

The first SIGTERM or SIGINT drains, the second ends at once; both are safe. Signal
handlers only count: an `Event` set inside a handler could wait for a lock that the
interrupted code holds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from moatbridge.cli import exit_codes
from moatbridge.cli.terminal import complain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moatbridge.errors import MoatbridgeError
    from moatbridge.run import Bridge, LocalRunner

_LOOK: Final = 0.1


def serve(
    bridge: Bridge,
    flows: Sequence[str],
    *,
    slots: int | None = None,
    zones: Sequence[str] | None = None,
) -> int:
    """Keep flows going until SIGTERM or SIGINT; returns the exit code.

    Call it on the main thread. A flow that cannot run is told about and tried again;
    when none of them can run as configured, this ends.

    Args:
        bridge: An open bridge.
        flows: Names.
        slots: Slices at once; None for ``run.slots``.
        zones: Network zones to serve; None for ``run.zones``.
    """
    from moatbridge.run.local import LOST_SHARE  # noqa: PLC0415 - --help stays quick

    runner = bridge.runner(slots=slots, zones=zones, tell=_told, lost_share=LOST_SHARE)
    with counted_signals(ended_by_second) as seen:
        served = _Served(runner, flows)
        complain(f"serving {', '.join(flows)}; Ctrl-C drains and ends")
        while not seen and served.thread.is_alive():
            served.thread.join(_LOOK)
        if seen:
            complain("draining: slices end at their next batch; once more ends at once")
        runner.ask_to_stop()
        while served.thread.is_alive():
            served.thread.join(_LOOK)
    if runner.lost or runner.forced:
        _leave(served.code, runner)
    return served.code


def _leave(code: int, runner: LocalRunner) -> NoReturn:
    """End now: some thread is still inside a call, and nothing can end that."""
    if runner.forced:
        complain(f"{runner.forced} slices did not end in time; their leases are free")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def counted_signals(act: Callable[[list[int]], None]) -> Iterator[list[int]]:
    """SIGTERM and SIGINT received, in order.

    Args:
        act: Called inside the handler, with all that came so far.
    """
    seen: list[int] = []

    def count(number: int, _frame: Any) -> None:
        seen.append(number)
        act(seen)

    old = {n: signal.signal(n, count) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def ended_by_second(seen: list[int]) -> None:
    """The second signal ends the process without more ado."""
    if len(seen) > 1:
        os._exit(128 + seen[-1])


class _Served:
    """A runner on a thread of its own, and the exit code that it comes to."""

    def __init__(self, runner: LocalRunner, flows: Sequence[str]) -> None:
        self.code = exit_codes.DONE
        self._runner = runner
        self._flows = flows
        self.thread = threading.Thread(
            target=self._run, name="moatbridge-serve", daemon=True
        )
        self.thread.start()

    def _run(self) -> None:
        try:
            ending = self._runner.serve(self._flows)
        except Exception as error:  # noqa: BLE001 - the main thread waits for a code
            complain(f"{type(error).__name__}, please report it", code="cli.bug")
            self.code = exit_codes.BUG
            return
        if ending == "refused":
            self.code = exit_codes.CONFIGURATION
        elif ending == "stuck":
            complain(
                f"{self._runner.lost} slots hold calls that never came back; ending, "
                "so that a new process can take over",
                code="runtime.stuck",
            )
            self.code = exit_codes.TRY_AGAIN


def _told(flow: str, error: MoatbridgeError) -> None:
    complain(f"{flow}: {error.message}", code=error.code)
