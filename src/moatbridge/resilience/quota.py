"""How often a system may be called: token buckets, one per class of call.

The arithmetic of scale 42: tokens grow by ``rate`` a second up to ``burst``, time never
runs backwards, and a peer's own word (`report`) blocks the bucket for everybody. The
buckets live behind `QuotaStore`, so that several processes can share them; the store
here serves one process.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from moatbridge.adapter import Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_UNLIMITED: Final = Quota(rate=1e9, burst=1e9)


class QuotaStore(Protocol):
    """Where the buckets are kept. Implementations are safe for threads."""

    def take(self, key: str, limit: Quota, count: float) -> float:
        """Take tokens, or take none and return the seconds to wait (0 = taken)."""

    def report(
        self, key: str, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """Correct a bucket by what the peer said."""


@dataclass(slots=True)
class Bucket:
    """One token bucket. Plain arithmetic, no clock and no lock of its own.

    Args:
        tokens: Tokens at the time ``at``.
        at: When that was, in seconds of any steady clock.
        blocked_until: No tokens are given before.
    """

    tokens: float
    at: float
    blocked_until: float = 0.0

    def take(self, now: float, limit: Quota, count: float) -> float:
        """Take ``count`` tokens and return 0; or the seconds until they are there.

        More than ``burst`` at once is granted from a full bucket, which then owes.
        """
        self.refill(now, limit)
        if now < self.blocked_until:
            return self.blocked_until - now
        needed = min(count, limit.burst)
        if self.tokens < needed:
            return (needed - self.tokens) / limit.rate
        self.tokens -= count
        return 0.0

    def refill(self, now: float, limit: Quota) -> None:
        """Add what the time since the last look has earned."""
        elapsed = max(0.0, now - self.at)
        self.tokens = min(limit.burst, self.tokens + elapsed * limit.rate)
        self.at = max(self.at, now)


class MemoryQuotas:
    """Buckets of one process.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def take(self, key: str, limit: Quota, count: float) -> float:
        """See `QuotaStore.take`."""
        now = self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(key, Bucket(limit.burst, now))
            return bucket.take(now, limit, count)

    def report(
        self, key: str, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """See `QuotaStore.report`."""
        now = self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(key, Bucket(0.0, now))
            if remaining is not None:
                bucket.tokens = min(bucket.tokens, remaining)
            if retry_after is not None:
                bucket.tokens = min(bucket.tokens, 0.0)
                bucket.blocked_until = max(bucket.blocked_until, now + retry_after)


class SystemQuota:
    """The buckets of one system. Safe for threads.

    Args:
        system: Its name; part of the buckets' keys.
        limits: Class of call -> limit, as configured. They win over `suggest`.
        store: Where the buckets are kept.
    """

    def __init__(
        self, system: str, limits: Mapping[str, Quota], store: QuotaStore
    ) -> None:
        self.system = system
        self._configured = dict(limits)
        self._suggested: dict[str, Quota] = {}
        self._store = store

    def suggest(self, limits: Mapping[str, Quota]) -> None:
        """Limits that a probe found, for classes nobody configured."""
        self._suggested = dict(limits)

    def take(self, cls: str, count: float = 1) -> float:
        """Take tokens of a class; the seconds to wait if there are none (0 = taken).

        A class without a limit of its own is only held back by `report`.
        """
        limit = self._configured.get(cls) or self._suggested.get(cls) or _UNLIMITED
        return self._store.take(f"{self.system}/{cls}", limit, count)

    def report(
        self,
        cls: str,
        *,
        retry_after: float | None = None,
        remaining: float | None = None,
    ) -> None:
        """Obey the peer: wait that many seconds, or that many calls are left."""
        self._store.report(
            f"{self.system}/{cls}", retry_after=retry_after, remaining=remaining
        )
