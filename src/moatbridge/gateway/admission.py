"""Whether a system's inbox may take more: never "received" and then dropped (43)."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied
from moatbridge.flow.inbox import read_to
from moatbridge.ledger import inbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.config import InboxConfig
    from moatbridge.ledger import Ledger, Transaction

LOOK: Final = 1.0
"""Seconds between two looks at the backlog and the disk."""

TIDY: Final = 60.0
"""Seconds between two prunings."""


class Admission:
    """One system's backlog, and what it forbids. Safe for threads.

    Args:
        ledger: The ledger.
        system: Name of the system.
        settings: Its inbox.
        flows: Names of the flows that read it.
        min_free: Share of the ledger's disk that must be free.
    """

    def __init__(
        self,
        ledger: Ledger,
        system: str,
        settings: InboxConfig,
        *,
        flows: Sequence[str],
        min_free: float,
    ) -> None:
        self._ledger = ledger
        self._system = system
        self._settings = settings
        self._flows = flows
        self._min_free = min_free
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._tidied = time.monotonic()
        self._backlog = inbox.Backlog(0, 0.0)
        self._full = False

    def check(self) -> None:
        """Count one more delivery, if it may come.

        Raises:
            NotApplied: ``gateway.backlog``, ``gateway.disk`` or ``ledger.unavailable``.
        """
        with self._lock:
            if time.monotonic() - self._looked >= LOOK:
                self._look()
            if code := self._refusing():
                raise NotApplied(
                    f"The inbox of {self._system} takes nothing right now ({code}); "
                    "the sender keeps its deliveries. See that its flows run and that "
                    "the ledger's disk has room.",
                    code=code,
                    system=self._system,
                    retry_after=30.0,
                )
            unread, seconds = self._backlog
            self._backlog = inbox.Backlog(unread + 1, seconds)

    def status(self) -> tuple[inbox.Backlog, str]:
        """The backlog now, and the code of what forbids more; empty if nothing does."""
        with self._lock:
            self._look()
            return self._backlog, self._refusing()

    def _refusing(self) -> str:
        if self._full:
            return "gateway.disk"
        if self._backlog.unread >= self._settings.max_backlog:
            return "gateway.backlog"
        return ""

    def _look(self) -> None:
        self._full = disk_free(self._ledger) < self._min_free
        with self._ledger.read() as tx:
            position = self._read_to(tx)
            self._backlog = inbox.backlog(
                tx, self._ledger.scope, self._system, position
            )
        self._looked = time.monotonic()
        if self._looked - self._tidied >= TIDY:
            self._tidied = self._looked
            self.tidy()

    def tidy(self) -> None:
        """Prune what every flow has read and no sender will repeat."""
        with self._ledger.write() as tx:
            inbox.prune(
                tx,
                self._ledger.scope,
                self._system,
                read_to=self._read_to(tx),
                keep_ids=self._settings.keep_ids,
            )

    def _read_to(self, tx: Transaction) -> int:
        positions = [read_to(tx, self._ledger, flow) for flow in self._flows]
        return min(positions, default=0)


def disk_free(ledger: Ledger) -> float:
    """Share of the ledger's disk that is free; 1 where the disk is a server's."""
    if ledger.db.path is None:
        return 1.0
    found = shutil.disk_usage(ledger.db.path.parent)
    return found.free / found.total if found.total else 1.0
