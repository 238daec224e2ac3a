"""Several worker processes of one host, kept alive by one that does nothing else.

Processes are spawned, never forked: threads of drivers and open SQLite handles do not
survive a fork (scale 24). A worker that crashes is started again, ever later; one that
crashes five times in a minute is left stopped, and said so. One that asks for it (exit
code 75: too many of its calls are stuck) is started again at once. Workers end by
themselves, in order, when the supervisor dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import SpawnProcess

AGAIN: Final = 75
"""Exit code of a worker that wants to be replaced at once."""

REFUSED: Final = 2
"""Exit code of a worker that cannot run as configured: starting it again is no use."""

CRASHED: Final = 70
CRASHES: Final = 5
WITHIN: Final = 60.0
"""So many crashes in so many seconds, and a worker is left stopped."""

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0
_LOOK: Final = 0.1
_FORCE: Final = 10.0
_AT_ONCE: Final = 2.0


@dataclass(slots=True)
class _Worker:
    """One place for a worker process, and how its processes fared."""

    number: int
    process: SpawnProcess | None = None
    crashes: deque[float] = field(default_factory=lambda: deque(maxlen=CRASHES))
    begin_at: float = 0.0
    begun: float = 0.0
    wait: float = 0.0
    given_up: int | None = None


class Supervisor:
    """Keeps worker processes running until signals say otherwise.

    Args:
        target: What a worker runs; must be importable by name. Its first line should
            be `in_worker`.
        args: Its arguments; they travel as pickles between our own processes.
        processes: How many.
        tell: Called with sentences for people.
    """

    def __init__(
        self,
        target: Callable[..., None],
        args: tuple[Any, ...],
        *,
        processes: int,
        tell: Callable[[str], None],
    ) -> None:
        self._target = target
        self._args = args
        self._tell = tell
        self._spawn = multiprocessing.get_context("spawn")
        self._workers = [_Worker(number + 1) for number in range(processes)]

    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return [
            each.process.pid
            for each in self._workers
            if each.process is not None and each.process.pid is not None
        ]

    def run(self, signals: Sequence[int], *, drain: float) -> int:
        """Supervise until a signal was received, or no worker is left.

        Args:
            signals: Those received so far; grows while this runs. The first is passed
                on and waited for, the second ends everything at once.
            drain: Seconds that workers have after the first one.

        Returns:
            The exit code.
        """
        while not signals and any(each.given_up is None for each in self._workers):
            self._start_due()
            self._wait(_LOOK)
            for worker in self._workers:
                self._look(worker)
        if not signals:
            codes = {each.given_up for each in self._workers}
            return REFUSED if codes == {REFUSED} else CRASHED
        return self._end(signals, drain)

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            idle = worker.process is None and worker.given_up is None
            if idle and worker.begin_at <= now:
                worker.process = self._spawn.Process(
                    target=self._target,
                    args=self._args,
                    name=f"moatbridge-worker-{worker.number}",
                )
                with _held_back(signal.SIGINT):  # Ctrl-C is passed on by us alone
                    worker.process.start()
                worker.begun = now

    def _wait(self, seconds: float) -> None:
        alive = [each.process.sentinel for each in self._workers if each.process]
        if alive:
            wait(alive, timeout=seconds)
        else:
            time.sleep(seconds)

    def _look(self, worker: _Worker) -> None:
        """See whether the worker ended, and when its successor begins."""
        if worker.process is None or worker.process.exitcode is None:
            return
        code, worker.process = worker.process.exitcode, None
        now = time.monotonic()
        lived = now - worker.begun
        if code == REFUSED:
            worker.given_up = REFUSED
            return
        if code in {0, AGAIN} and lived >= _AT_ONCE:
            worker.begin_at, worker.wait = now, 0.0
            self._tell(f"worker {worker.number} ended ({code}) and is started again")
            return
        self._crashed(worker, code, lived, now)

    def _crashed(self, worker: _Worker, code: int, lived: float, now: float) -> None:
        worker.crashes.append(now)
        often = len(worker.crashes) == CRASHES and now - worker.crashes[0] <= WITHIN
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if often:
            worker.given_up = CRASHED
            self._tell(
                f"worker {worker.number} {how}, {CRASHES} times within a minute; it is "
                "left stopped"
            )
            return
        if lived > WITHIN:
            worker.wait = 0.0
        worker.wait = min(_LONGEST_WAIT, 2 * worker.wait or _FIRST_WAIT)
        worker.begin_at = now + worker.wait
        self._tell(f"worker {worker.number} {how}; again in {worker.wait:g} s")

    # --- the end ----------------------------------------------------------------

    def _end(self, signals: Sequence[int], drain: float) -> int:
        self._pass_on(signals[0])
        until = time.monotonic() + drain + _FORCE
        while self._alive() and time.monotonic() < until and len(signals) == 1:
            self._wait(_LOOK)
        if self._alive() and len(signals) > 1:
            self._pass_on(signals[1])
            until = time.monotonic() + _AT_ONCE
            while self._alive() and time.monotonic() < until:
                self._wait(_LOOK)
        for process in self._alive():
            process.kill()
            process.join()
        return 0 if len(signals) == 1 else 128 + signals[1]

    def _alive(self) -> list[SpawnProcess]:
        found = [each.process for each in self._workers if each.process is not None]
        return [process for process in found if process.exitcode is None]

    def _pass_on(self, number: int) -> None:
        for process in self._alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, number)


def in_worker() -> None:
    """Prepare a worker process: alone with its signals, and never an orphan.

    It leaves the terminal's process group, so that Ctrl-C reaches the supervisor only.
    When the supervisor dies, the worker is asked to drain.
    """
    parent = multiprocessing.parent_process()
    with suppress(OSError):
        os.setpgid(0, 0)
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops one that waits
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, old)
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="moatbridge-parent", daemon=True).start()


@contextmanager
def _held_back(number: int) -> Iterator[None]:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
