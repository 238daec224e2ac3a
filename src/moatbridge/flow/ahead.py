"""Reading one batch ahead, on a thread that keeps no process from ending.

A second thread gains the time that the source lets us wait. A source that does not, a
file or a database at hand, only uses the processor: two threads would take turns at the
interpreter's lock, and cost more than one (design 0033). So batches are read in place
until one was waited for; from then on the next one is read ahead.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.changes import Batch

_NEXT: Final = "next"
_END: Final = "end"

WAITED: Final = 0.001
"""Seconds that a batch was at least waited for, where the next is read ahead."""

SHARE: Final = 0.5
"""Share of a batch's time that was waiting, where the next is read ahead."""


@contextmanager
def read_ahead(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Iterate; from a source that is waited for one batch is read ahead, depth one.

    The thread works in the caller's context: its calls are signs of life of the same
    slice. It is a daemon: a read that never comes back must not keep a process alive.
    """
    ahead = _Ahead(batches)
    try:
        yield ahead.run()
    finally:
        ahead.end()


class _Ahead:
    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._asked: SimpleQueue[str] = SimpleQueue()
        self._found: SimpleQueue[tuple[Batch | None, BaseException | None]] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def run(self) -> Iterator[Batch]:
        waited = False
        while not waited:
            since, used = time.monotonic(), time.thread_time()
            batch = next(self._batches, None)
            if batch is None:
                return
            waited = _waited(time.monotonic() - since, time.thread_time() - used)
            if waited:
                self._start()
            yield batch
            del batch  # not held while the next one is read
        yield from self._as_read()

    def _start(self) -> None:
        thread = threading.Thread(
            target=copy_context().run,
            args=(self._work,),
            name="moatbridge-read",
            daemon=True,
        )
        self._asked.put(_NEXT)
        thread.start()
        self._thread = thread  # one that cannot be started is not waited for

    def _as_read(self) -> Iterator[Batch]:
        while True:
            batch, error = self._found.get()
            if error is not None:
                raise error
            if batch is None:
                return
            self._asked.put(_NEXT)
            yield batch
            del batch

    def end(self) -> None:
        """Wait for the batch that is being read, and end the iteration."""
        self._asked.put(_END)
        if self._thread is not None:
            self._thread.join()
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()

    def _work(self) -> None:
        while self._asked.get() == _NEXT:
            try:
                self._found.put((next(self._batches, None), None))
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                self._found.put((None, error))


def _waited(seconds: float, working: float) -> bool:
    """Whether a batch that took so long, of which we worked so long, was waited for."""
    waiting = seconds - working
    return waiting >= WAITED and waiting >= SHARE * seconds
