"""One thread per process that renews the leases of slices that move (scale 12).

A slice that is stuck in a call beyond its deadline, or that achieved nothing for three
lease times, is given up: its lease is not renewed and runs out, ``status`` shows
``runtime.stuck``, and somebody else goes on. It is not given back, for its thread may
still reach the target. A lease that was lost is found out by the slice itself at its
next transaction.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError
from moatbridge.flow.ending import STUCK, backoff
from moatbridge.ledger import partitions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.ledger import Lease, Ledger
    from moatbridge.resilience.heart import Heart

PATIENCE: Final = 3.0
"""Lease times within which a slice must have achieved something."""

_log = logging.getLogger(__name__)


class Keeper:
    """Renews leases every third of their time while somebody works under them.

    Args:
        ledger: Whose leases.
        ttl: Lease time in seconds.
    """

    def __init__(self, ledger: Ledger, *, ttl: float) -> None:
        self._ledger = ledger
        self._interval = ttl / 3
        self.patience: float = PATIENCE * ttl
        self._held: dict[int, tuple[Lease, Heart]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(self, lease: Lease, heart: Heart) -> Iterator[None]:
        """Renew the lease until the block ends, as long as the heart beats."""
        with self._lock:
            self._held[id(lease)] = (lease, heart)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="moatbridge-leases", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(id(lease), None)

    def give_back(self) -> int:
        """Release every lease that is still held, by force; returns how many.

        For a process that is about to end: whoever still works under one of them can
        commit nothing any more.
        """
        with self._lock:
            held = [lease for lease, _heart in self._held.values()]
            self._held.clear()
        for lease in held:
            try:
                self._ledger.leases.release(lease)
            except MoatbridgeError as error:  # it runs out by itself
                _log.warning("lease of %s was not given back: %s", lease.part, error)
        return len(held)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._once()
            except MoatbridgeError:
                continue  # the ledger is busy; there are two more chances
            except Exception:  # noqa: BLE001 - logged; it must go on
                # Without this thread every lease of the process would run out.
                _log.exception("leases were not renewed this time")

    def _once(self) -> None:
        with self._lock:
            held = list(self._held.items())
        moving = []
        for number, (lease, heart) in held:
            why = heart.stopped(self.patience)
            if why is None:
                moving.append(lease)
            else:
                self._give_up(number, lease, heart, why)
        if moving:
            self._ledger.leases.renew(moving)

    def _give_up(self, number: int, lease: Lease, heart: Heart, why: str) -> None:
        heart.lost = True
        with self._lock:
            self._held.pop(number, None)
        _log.error(
            "%s: partition %s of flow %s is left to whoever comes next: %s",
            STUCK,
            lease.part,
            lease.flow_id,
            why,
        )
        tries = self._ledger.leases.tries(lease.flow_id, lease.part)
        later = self._ledger.now() + backoff(tries - 1) if tries > 1 else 0.0
        with self._ledger.write() as tx:
            partitions.abandon(tx, lease, error=STUCK, not_before=later)
