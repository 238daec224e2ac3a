"""One thread per process that renews the leases of slices that move (scale 12)."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.ledger import Lease, Leases


class Keeper:
    """Renews leases every third of their time while somebody works under them.

    Every call of a slice ends at its own deadline, so a slice that renews is one that
    moves; a lost lease is found out by the slice itself at its next transaction.
    """

    def __init__(self, leases: Leases, *, interval: float) -> None:
        self._leases = leases
        self._interval = interval
        self._by_id: dict[int, Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(self, lease: Lease) -> Iterator[None]:
        """Renew the lease until the block ends."""
        with self._lock:
            self._by_id[id(lease)] = lease
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="moatbridge-leases", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._by_id.pop(id(lease), None)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            with self._lock:
                held = list(self._by_id.values())
            try:
                if held:
                    self._leases.renew(held)
            except NotApplied:
                continue  # the ledger is busy; there are two more chances
