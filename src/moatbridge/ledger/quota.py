"""Token buckets and seats that all workers of a ledger share (scale 42-45).

One row per bucket, changed in one short transaction by the arithmetic of
`moatbridge.resilience.quota.Bucket`, on the store's clock. None of it needs durability:
beside a SQLite ledger it lies in a file of its own, ``NAME-quota.db``, that is never
waited for (``synchronous=OFF``); in PostgreSQL in UNLOGGED tables, whose commits wait
for nothing.

What a crash loses must not become a second burst. Whether a bucket was ever used stands
in the ledger itself: one that was, and whose row is gone, starts empty. After a reboot
(SQLite counts time since boot) every bucket is empty and every seat is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError, NotApplied
from moatbridge.ledger.sqlite import SCHEME, SqliteStore
from moatbridge.resilience.quota import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from moatbridge.adapter import Quota
    from moatbridge.ledger import Ledger, Transaction

SEAT: Final = 30.0
"""Seconds after which the seat of a process that died is free again."""

_NEVER: Final = float("-inf")
_MARK: Final = "quota:"
_BROKEN: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NUMBER: Final = "DOUBLE PRECISION"
_TABLES: Final = (
    (
        f"quota(id TEXT PRIMARY KEY, tokens {_NUMBER} NOT NULL, at {_NUMBER} NOT NULL, "
        f"blocked_until {_NUMBER} NOT NULL, share {_NUMBER} NOT NULL, "
        f"refused {_NUMBER})"
    ),
    (
        "seat(seat TEXT PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, "
        f"until {_NUMBER} NOT NULL)"
    ),
    "quota_boot(boot TEXT PRIMARY KEY)",
)


class LedgerQuotas:
    """A `moatbridge.resilience.quota.QuotaStore` in tables. Safe for threads.

    Args:
        ledger: Remembers which buckets were ever used; its scope is part of each key.
        seat: Seconds a seat lasts without renewal; a thread renews those in use.

    Raises:
        ConfigurationError: ``ledger.*``: the file cannot be used.
        NotApplied: ``ledger.unavailable``; and so does every method.
    """

    def __init__(self, ledger: Ledger, *, seat: float = SEAT) -> None:
        self._ledger = ledger
        self._seat = seat
        self._owner = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._seats: set[str] = set()
        self._left: set[str] = set()  # not ours any more, but still in the table
        self._closed = threading.Event()
        self._renewer: threading.Thread | None = None
        self._write, self._let_go = _opened(ledger)

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
        with self._write() as tx:
            now = _now(tx)
            self._only_one(tx, key, now)
            tx.run(
                "DELETE FROM seat WHERE seat IN (SELECT seat FROM seat "
                f"WHERE id=? AND until<=?{tx.skip_locked})",
                self._id(key),
                now,
            )
            taken = tx.value("SELECT count(*) FROM seat WHERE id=?", self._id(key))
            if taken >= most:
                return None
            tx.run(
                "INSERT INTO seat(seat, id, owner, until) VALUES(?,?,?,?)",
                seat,
                self._id(key),
                self._owner,
                now + self._seat,
            )
        with self._lock:
            self._seats.add(seat)
            if self._renewer is None:
                self._renewer = threading.Thread(
                    target=self._renew, name="moatbridge-seats", daemon=True
                )
                self._renewer.start()
        return seat

    def leave(self, seat: str) -> None:
        """See `QuotaStore.leave`; one that cannot be given back now is later."""
        with self._lock:
            mine = seat in self._seats
            self._seats.discard(seat)
        if not mine:
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
            seats, renewer = self._seats, self._renewer
            self._seats = set()
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

    def _renew(self) -> None:
        while not self._closed.wait(self._seat / 3):
            with self._lock:
                left = set(self._left)
            with contextlib.suppress(MoatbridgeError):
                with self._write() as tx:
                    tx.many("DELETE FROM seat WHERE seat=?", [(one,) for one in left])
                    tx.run(
                        "UPDATE seat SET until=? WHERE owner=?",
                        _now(tx) + self._seat,
                        self._owner,
                    )
                with self._lock:
                    self._left -= left


def _now(tx: Transaction) -> float:
    return tx.lease_clock()[0] / 1000


def _opened(
    ledger: Ledger,
) -> tuple[Callable[[], AbstractContextManager[Transaction]], Callable[[], None]]:
    """Ways to write to the tables and to let go of them."""
    path = ledger.db.path
    if path is not None:
        store = _open_file(path.with_name(f"{path.stem}-quota.db"))
        return lambda: store.transaction("write"), store.close
    with ledger.write() as tx:
        _make(tx, "UNLOGGED TABLE")
    return lambda: _unlogged(ledger), lambda: None


@contextmanager
def _unlogged(ledger: Ledger) -> Iterator[Transaction]:
    """Waits for no disk. A commit of unknown outcome counts as none: nothing left."""
    with ledger.db.write(alone=False, settled=lambda _tx: False) as tx:
        tx.run("SET LOCAL synchronous_commit TO off")
        yield tx


def _make(tx: Transaction, kind: str) -> None:
    """Make the tables; empty the buckets of another boot."""
    for table in _TABLES:
        tx.run(f"CREATE {kind} IF NOT EXISTS {table}")
    ms, boot = tx.lease_clock()
    if tx.value("SELECT boot FROM quota_boot") == boot:
        return
    tx.run(
        "UPDATE quota SET tokens=CASE WHEN tokens<0 THEN tokens ELSE 0 END, at=?, "
        "blocked_until=0, refused=NULL",
        ms / 1000,
    )
    tx.run("DELETE FROM seat")
    tx.run("DELETE FROM quota_boot")
    tx.run("INSERT INTO quota_boot(boot) VALUES(?)", boot)


def _open_file(path: Path) -> SqliteStore:
    """The file beside the ledger; a new one if the power failed in the old one."""
    try:
        return _file(path)
    except NotApplied as error:
        if not any(name in error.message for name in _BROKEN):
            raise
    _replace(path)
    return _file(path)


def _file(path: Path) -> SqliteStore:
    store = SqliteStore(f"{SCHEME}{path}", durability="off")
    try:
        with store.transaction("write") as tx:
            _make(tx, "TABLE")
    except BaseException:
        store.close()
        raise
    return store


def _replace(path: Path) -> None:
    """Remove an unreadable file, unless another process has done so already."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(old.fileno()), path.stat()):
            for suffix in ("-wal", "-shm", ""):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
