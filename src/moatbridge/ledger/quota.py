"""Token buckets and seats that all workers of a ledger share (scale 42-45).

One row per bucket, changed in one short transaction by the arithmetic of
`moatbridge.resilience.quota.Bucket`, on the store's clock. None of it needs durability:
beside a SQLite ledger it lies in a file of its own, ``NAME-quota.db``, that is never
waited for (``synchronous=OFF``); in PostgreSQL in UNLOGGED tables, whose commits wait
for nothing.

What a crash loses must not become a second burst. Whether a bucket was ever used stands
in the ledger itself: one that was, and whose row is gone, starts empty. After a reboot
(SQLite counts time since boot) every bucket is empty and every seat is free.

A seat is taken by a row that its process renews; who is killed frees it by not doing
so. Only seats that are known to be taken are renewed: one whose COMMIT got no answer
counts as not taken, is cleared away at the next opportunity, and runs out in any case.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError
from moatbridge.ledger import quota_tables
from moatbridge.ledger.quota_tables import now as _now
from moatbridge.resilience.quota import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Quota
    from moatbridge.ledger import Ledger, Transaction

SEAT: Final = 30.0
"""Seconds after which the seat of a process that died is free again, at most."""

_SHORTEST: Final = 5.0

_NEVER: Final = float("-inf")
_MARK: Final = "quota:"


class LedgerQuotas:
    """A `moatbridge.resilience.quota.QuotaStore` in tables. Safe for threads.

    Args:
        ledger: Remembers which buckets were ever used; its scope is part of each key.
        seat: Seconds a seat lasts without renewal; a thread renews those in use. See
            `seat_of`.

    Raises:
        ConfigurationError: ``ledger.*``: the file cannot be used.
        NotApplied: ``ledger.unavailable``; and so does every method.
    """

    def __init__(self, ledger: Ledger, *, seat: float = SEAT) -> None:
        self._ledger = ledger
        self._seat = seat
        self._owner = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._seats: dict[str, str] = {}  # seat -> what it is at
        self._left: set[str] = set()  # not ours any more, but perhaps in the table
        self._closed = threading.Event()
        self._renewer: threading.Thread | None = None
        self._write, self._let_go = quota_tables.opened(ledger, self._take_along)

    # --- buckets ------------------------------------------------------------------

    def take(self, key: str, limit: Quota, count: float) -> float:
        """See `QuotaStore.take`."""
        while True:
            with self._write() as tx:
                bucket = self._load(tx, key)
                if bucket is not None:
                    wait = bucket.take(_now(tx), limit, count)
                    self._save(tx, key, bucket)
                    return wait
            self._start(key, limit.burst)

    def wait(self, key: str) -> float:
        """See `QuotaStore.wait`."""
        with self._write() as tx:
            bucket = self._load(tx, key)
            return max(0.0, bucket.blocked_until - _now(tx)) if bucket else 0.0

    def report(
        self, key: str, *, retry_after: float | None, remaining: float | None
    ) -> None:
        """See `QuotaStore.report`."""
        with self._change(key) as (bucket, now):
            bucket.report(now, retry_after=retry_after, remaining=remaining)

    def pause(self, key: str, seconds: float) -> None:
        """See `QuotaStore.pause`."""
        with self._change(key) as (bucket, now):
            bucket.blocked_until = now + seconds

    @contextmanager
    def _change(self, key: str) -> Iterator[tuple[Bucket, float]]:
        with self._write() as tx:
            now = _now(tx)
            bucket = self._load(tx, key) or Bucket(0.0, now)
            yield bucket, now
            self._save(tx, key, bucket)

    def _load(self, tx: Transaction, key: str) -> Bucket | None:
        row = tx.one(
            "SELECT tokens, at, blocked_until, share, refused FROM quota "
            f"WHERE id=?{tx.for_update}",
            self._id(key),
        )
        if row is None:
            return None
        tokens, at, blocked_until, share, refused = row
        last = _NEVER if refused is None else refused
        return Bucket(tokens, at, blocked_until, share, last)

    def _save(self, tx: Transaction, key: str, bucket: Bucket) -> None:
        tx.run(
            "INSERT INTO quota(id, tokens, at, blocked_until, share, refused) "
            "VALUES(?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET tokens=excluded.tokens, "
            "at=excluded.at, blocked_until=excluded.blocked_until, "
            "share=excluded.share, refused=excluded.refused",
            self._id(key),
            bucket.tokens,
            bucket.at,
            bucket.blocked_until,
            bucket.share,
            None if bucket.refused == _NEVER else bucket.refused,
        )

    def _start(self, key: str, burst: float) -> None:
        """A bucket that was never used is full; one whose row was lost is empty."""
        with self._ledger.write() as tx:
            new = tx.run(
                "INSERT INTO meta(name, value) VALUES(?, '1') ON CONFLICT DO NOTHING",
                _MARK + self._id(key),
            )
        with self._write() as tx:
            tx.run(
                "INSERT INTO quota(id, tokens, at, blocked_until, share) "
                "VALUES(?,?,?,0,1) ON CONFLICT DO NOTHING",
                self._id(key),
                burst if new else 0.0,
                _now(tx),
            )

    def _id(self, key: str) -> str:
        return f"{self._ledger.scope}/{key}"

    # --- seats --------------------------------------------------------------------

    def enter(self, key: str, most: int) -> str | None:
        """See `QuotaStore.enter`."""
        seat = secrets.token_hex(8)
        self._begin_to_renew()
        try:
            taken = self._enter(key, most, seat)
        except MoatbridgeError:
            with self._lock:
                self._left.add(seat)  # its COMMIT may have got through
            raise
        if not taken:
            return None
        with self._lock:
            self._seats[seat] = self._id(key)
        return seat

    def _enter(self, key: str, most: int, seat: str) -> bool:
        with self._lock:
            left = sorted(self._left)
        with self._write() as tx:
            now = _now(tx)
            self._only_one(tx, key, now)
            tx.many("DELETE FROM seat WHERE seat=?", [(one,) for one in left])
            tx.run(
                "DELETE FROM seat WHERE seat IN (SELECT seat FROM seat "
                f"WHERE id=? AND until<=?{tx.skip_locked})",
                self._id(key),
                now,
            )
            taken = tx.value("SELECT count(*) FROM seat WHERE id=?", self._id(key))
            if taken < most:
                self._sit(tx, {seat: self._id(key)})
        return bool(taken < most)

    def _sit(self, tx: Transaction, seats: dict[str, str]) -> None:
        until = _now(tx) + self._seat
        tx.many(
            "INSERT INTO seat(seat, id, owner, until) VALUES(?,?,?,?) "
            "ON CONFLICT DO NOTHING",
            [(seat, at, self._owner, until) for seat, at in seats.items()],
        )

    def _take_along(self, tx: Transaction) -> None:
        """The file was replaced: whoever sits goes on sitting."""
        with self._lock:
            seats = dict(self._seats)
        self._sit(tx, seats)

    def leave(self, seat: str) -> None:
        """See `QuotaStore.leave`; one that cannot be given back now is later."""
        with self._lock:
            mine = self._seats.pop(seat, None)
        if mine is None:
            return
        try:
            with self._write() as tx:
                tx.run("DELETE FROM seat WHERE seat=?", seat)
        except MoatbridgeError:
            with self._lock:
                self._left.add(seat)

    def close(self) -> None:
        """See `QuotaStore.close`; what cannot be given back expires."""
        if self._closed.is_set():
            return
        self._closed.set()
        with self._lock:
            seats, renewer = self._seats.keys() | self._left, self._renewer
            self._seats = {}
        if renewer is not None:
            renewer.join(10)
        if seats:
            with contextlib.suppress(MoatbridgeError), self._write() as tx:
                tx.run("DELETE FROM seat WHERE owner=?", self._owner)
        self._let_go()

    def _only_one(self, tx: Transaction, key: str, now: float) -> None:
        """Lock a row of the key, so that nobody else counts its seats meanwhile."""
        if tx.for_update:
            self._save(tx, f"{key}/seats", Bucket(0.0, now))

    def _begin_to_renew(self) -> None:
        with self._lock:
            if self._renewer is None:
                self._renewer = threading.Thread(
                    target=self._renew, name="moatbridge-seats", daemon=True
                )
                self._renewer.start()

    def _renew(self) -> None:
        while not self._closed.wait(self._seat / 3):
            with self._lock:
                seats, left = sorted(self._seats), sorted(self._left)
            with contextlib.suppress(MoatbridgeError):
                with self._write() as tx:
                    until = _now(tx) + self._seat
                    tx.many(
                        "UPDATE seat SET until=? WHERE seat=?",
                        [(until, seat) for seat in seats],
                    )
                    tx.many("DELETE FROM seat WHERE seat=?", [(one,) for one in left])
                with self._lock:
                    self._left.difference_update(left)


def seat_of(ttl: float) -> float:
    """Seconds a seat lasts where leases last so long: a killed worker frees both."""
    return min(SEAT, max(_SHORTEST, ttl))
