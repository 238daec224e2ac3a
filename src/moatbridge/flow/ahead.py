"""Reading one batch ahead, on a thread that keeps no process from ending."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.changes import Batch

_NEXT: Final = "next"
_END: Final = "end"


@contextmanager
def read_ahead(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Iterate with one batch being read by a second thread; depth one.

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
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._work,),
            name="moatbridge-read",
            daemon=True,
        )

    def run(self) -> Iterator[Batch]:
        self._asked.put(_NEXT)
        self._thread.start()
        while True:
            batch, error = self._found.get()
            if error is not None:
                raise error
            if batch is None:
                return
            self._asked.put(_NEXT)
            yield batch

    def end(self) -> None:
        """Wait for the batch that is being read, and end the iteration."""
        self._asked.put(_END)
        if self._thread.ident is not None:
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
