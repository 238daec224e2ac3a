"""How often a system may be called: token buckets, one per class of call.

The arithmetic of scale 42: tokens grow by ``rate`` a second up to ``burst``, time never
runs backwards, and a peer's own word (`report`) blocks the bucket for everybody. The
buckets live behind `QuotaStore`, so that several processes can share them: a bridge
keeps them beside its ledger, `MemoryQuotas` serves one process.

Asking the store for every call would cost a transaction each, so `SystemQuota` takes
handfuls: as many tokens as this process spends in a twentieth to a tenth of a second,
never more than the system earns in that time. A handful that is not spent in time is
lost, and the store's bucket is smaller by what can be held outside of it, so however
many processes there are, no window ever sees more than ``rate x window + burst`` calls:
what is spent in it left the store at most `HOLD` earlier.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from moatbridge.adapter import Quota
from moatbridge.errors import MoatbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOLD: Final = 0.1
"""Seconds for which tokens may be held outside of the store, at most."""

LOOK: Final = 0.25
"""Seconds after which a class without a limit asks the store again if it is blocked."""

MINUTE: Final = 60.0
"""Two refusals within this time halve the rate (scale 44)."""

_SAME: Final = 1.0
_BACK: Final = 0.05 / MINUTE
_LEAST: Final = 1 / 64


class QuotaStore(Protocol):
    """Where buckets and seats are kept. Implementations are safe for threads."""

    def take(self, key: str, limit: Quota, count: float) -> float:
        """Take tokens, or take none and return the seconds to wait (0 = taken)."""

    def wait(self, key: str) -> float:
        """Seconds for which this key is blocked; 0 = it is not."""

    def report(
        self, key: str, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """Correct a bucket by what the peer said; ``retry_after`` is a refusal."""

    def pause(self, key: str, seconds: float) -> None:
        """Block a key for so long from now on; 0 ends it. Says nothing of the rate."""

    def enter(self, key: str, most: int) -> str | None:
        """Take one of ``most`` seats; None if all are taken. Kept until `leave`."""

    def leave(self, seat: str) -> None:
        """Give a seat back. Idempotent."""

    def close(self) -> None:
        """Give everything back. Idempotent."""


@dataclass(slots=True)
class Bucket:
    """One token bucket. Plain arithmetic, no clock and no lock of its own.

    Args:
        tokens: Tokens at the time ``at``.
        at: When that was, in seconds of any steady clock.
        blocked_until: No tokens are given before.
        share: Part of the configured rate that is used now: halved by a second
            refusal within a minute, and 5 % of the whole a minute back.
        refused: When the peer refused last.
    """

    tokens: float
    at: float
    blocked_until: float = 0.0
    share: float = 1.0
    refused: float = float("-inf")

    def take(self, now: float, limit: Quota, count: float) -> float:
        """Take ``count`` tokens and return 0; or the seconds until they are there.

        More than ``burst`` at once is granted from a full bucket, which then owes.
        """
        self.refill(now, limit)
        if now < self.blocked_until:
            return self.blocked_until - now
        needed = min(count, limit.burst)
        if self.tokens < needed:
            return (needed - self.tokens) / (limit.rate * self.share)
        self.tokens -= count
        return 0.0

    def refill(self, now: float, limit: Quota) -> None:
        """Add what the time since the last look has earned."""
        elapsed = max(0.0, now - self.at)
        earned = elapsed * limit.rate * self.share
        self.tokens = min(limit.burst, self.tokens + earned)
        self.share = min(1.0, self.share + elapsed * _BACK)
        self.at = max(self.at, now)

    def report(
        self, now: float, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """Believe the peer: so many are left, or none for so many seconds.

        Calls that were out together are refused together: that is one refusal.
        """
        if remaining is not None:
            self.tokens = min(self.tokens, remaining)
        if retry_after is None:
            return
        again = now >= self.blocked_until and now - self.refused >= _SAME
        self.share = min(1.0, self.share + max(0.0, now - self.at) * _BACK)
        if again and now - self.refused <= MINUTE:
            self.share = max(_LEAST, self.share / 2)
        if again:
            self.refused = now
        self.tokens, self.at = min(self.tokens, 0.0), max(self.at, now)
        self.blocked_until = max(self.blocked_until, now + retry_after)


class MemoryQuotas:
    """Buckets and seats of one process.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._seats: dict[str, str] = {}

    def take(self, key: str, limit: Quota, count: float) -> float:
        """See `QuotaStore.take`."""
        now = self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(key, Bucket(limit.burst, now))
            return bucket.take(now, limit, count)

    def wait(self, key: str) -> float:
        """See `QuotaStore.wait`."""
        with self._lock:
            bucket = self._buckets.get(key)
            return max(0.0, bucket.blocked_until - self._clock()) if bucket else 0.0

    def report(
        self, key: str, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """See `QuotaStore.report`."""
        now = self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(key, Bucket(0.0, now))
            bucket.report(now, retry_after=retry_after, remaining=remaining)

    def pause(self, key: str, seconds: float) -> None:
        """See `QuotaStore.pause`."""
        now = self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(key, Bucket(0.0, now))
            bucket.blocked_until = now + seconds

    def enter(self, key: str, most: int) -> str | None:
        """See `QuotaStore.enter`."""
        with self._lock:
            if Counter(self._seats.values())[key] >= most:
                return None
            seat = secrets.token_hex(8)
            self._seats[seat] = key
            return seat

    def leave(self, seat: str) -> None:
        """See `QuotaStore.leave`."""
        with self._lock:
            self._seats.pop(seat, None)

    def close(self) -> None:
        """See `QuotaStore.close`."""
        with self._lock:
            self._seats.clear()


@dataclass(slots=True)
class _Hand:
    """What this process holds of one class.

    ``size`` is how many tokens are asked for at once; ``until`` ends what is held,
    ``not_before`` what the store told us to wait, if it gave nothing last time;
    ``debt`` is what a call cost beyond the token it took.
    """

    held: float = 0.0
    debt: float = 0.0
    size: int = 1
    taken: float = float("-inf")
    until: float = 0.0
    not_before: float = 0.0
    refused: bool = False


class SystemQuota:
    """The buckets of one system. Safe for threads.

    Args:
        system: Its name; part of the buckets' keys.
        limits: Class of call -> limit, as configured. They win over `suggest`.
        store: Where the buckets are kept.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        system: str,
        limits: Mapping[str, Quota],
        store: QuotaStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = system
        self._configured = dict(limits)
        self._suggested: dict[str, Quota] = {}
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._hands: dict[str, _Hand] = {}

    def suggest(self, limits: Mapping[str, Quota]) -> None:
        """Limits that a probe found, for classes nobody configured."""
        self._suggested = dict(limits)

    def take(self, cls: str, count: float = 1) -> float:
        """Take tokens of a class; the seconds to wait if there are none (0 = taken).

        A class without a limit of its own is only held back by `report`.

        Raises:
            NotApplied: The store is not available.
        """
        limit, now = self._limit(cls), self._clock()
        with self._lock:
            hand = self._hands.setdefault(cls, _Hand())
            if now < hand.not_before:
                return hand.not_before - now
            count += hand.debt
            if limit is None:
                wait = self._unblocked(cls, hand, now)
            elif count <= hand.held and now < hand.until:
                hand.held -= count
                wait = 0.0
            else:
                wait = self._reach(cls, hand, limit, count, now)
            hand.not_before = now + wait
            hand.debt = hand.debt if wait else 0.0
            return wait

    def wait(self, cls: str) -> float:
        """Seconds for which a call of this class would have to wait; takes nothing.

        Raises:
            NotApplied: The store is not available.
        """
        limit, now = self._limit(cls), self._clock()
        with self._lock:
            hand = self._hands.get(cls) or _Hand()
            owed = hand.debt / limit.rate if limit else 0.0
            if now < max(hand.until, hand.not_before):
                return max(0.0, hand.not_before - now, owed)
            return max(owed, self._store.wait(f"{self.system}/{cls}"))

    def charge(self, cls: str, count: float) -> None:
        """A call sent so many requests more than the one it paid for.

        The next call of this process pays for them before it is made.
        """
        if count > 0 and self._limit(cls) is not None:
            with self._lock:
                self._hands.setdefault(cls, _Hand()).debt += count

    def report(
        self,
        cls: str,
        *,
        retry_after: float | None = None,
        remaining: float | None = None,
        reset: float | None = None,
    ) -> None:
        """Obey the peer.

        Args:
            cls: Class of call.
            retry_after: It refused: nothing for so many seconds.
            remaining: So many calls are left, until its window starts again.
            reset: Seconds until then.

        What cannot be stored is lost: the call it came with must not fail for it.
        """
        limit = self._limit(cls)
        if retry_after is None and not _scarce(remaining, limit):
            return  # nothing that the bucket does not know
        key = f"{self.system}/{cls}"
        with self._lock, contextlib.suppress(MoatbridgeError):
            self._hands.pop(cls, None)
            if retry_after is not None or limit is not None:
                self._store.report(key, retry_after=retry_after, remaining=remaining)
            used_up = retry_after is None and remaining is not None and remaining < 1
            if used_up and reset and reset > self._store.wait(key):
                self._store.pause(key, reset)

    def _limit(self, cls: str) -> Quota | None:
        return self._configured.get(cls) or self._suggested.get(cls)

    def _unblocked(self, cls: str, hand: _Hand, now: float) -> float:
        if now < hand.until:
            return 0.0
        hand.until = now + LOOK
        return self._store.wait(f"{self.system}/{cls}")

    def _reach(
        self, cls: str, hand: _Hand, limit: Quota, count: float, now: float
    ) -> float:
        """Take a handful from the store: this call's tokens, and the next ones'."""
        life, most = _handful(limit)
        if not hand.refused:
            _resize(hand, now - hand.taken, life)
        hand.size = min(hand.size, most)
        hand.held = 0.0
        want = max(count, hand.size)
        kept = (
            limit if most == 1 else Quota(limit.rate, limit.burst - limit.rate * life)
        )
        wait = self._store.take(f"{self.system}/{cls}", kept, want)
        hand.refused = wait > 0
        if not hand.refused:
            hand.held, hand.taken, hand.until = want - count, now, now + life
        return wait


def _handful(limit: Quota) -> tuple[float, int]:
    """Seconds a handful lives, and its size at most.

    Three quarters of a burst stay in the store, so that it does not run over while
    everybody waits for the next handful.
    """
    life = min(HOLD, limit.burst / (4 * limit.rate))
    return life, max(1, int(limit.rate * life))


def _resize(hand: _Hand, age: float, life: float) -> None:
    """Ask for more if the last handful was spent at once, for less if it spoiled."""
    if age < life / 2:
        hand.size *= 2
    elif age > life:
        hand.size = max(1, hand.size // 2) if age < 2 * life else 1


def _scarce(remaining: float | None, limit: Quota | None) -> bool:
    if remaining is None:
        return False
    return remaining < (1 if limit is None else limit.burst)
