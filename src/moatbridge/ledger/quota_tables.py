"""Where the shared buckets and seats lie: a file beside SQLite, or UNLOGGED tables.

The file may be deleted or replaced while it is in use, and SQLite would go on writing
to what has no name any more: every process would then have buckets of its own. So each
transaction looks first whether the file it has open is still the one of that name.
Whoever makes one holds a lock of the folder meanwhile, so that two never make two, and
nobody meets the log of a file that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import NotApplied
from moatbridge.ledger.sqlite import SCHEME, SqliteStore
from moatbridge.ledger.store import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from moatbridge.ledger import Ledger, Transaction

_BROKEN: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_PATIENCE: Final = 10.0
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


class Tables(NamedTuple):
    """Opened tables.

    Args:
        write: Begins a short transaction that waits for no disk.
        let_go: Closes what was opened for them alone.
    """

    write: Callable[[], AbstractContextManager[Transaction]]
    let_go: Callable[[], None]


def opened(ledger: Ledger, along: Callable[[Transaction], None]) -> Tables:
    """The tables of a ledger; made if they are not there.

    Args:
        ledger: An open ledger.
        along: Writes what is known here into a new file that took the place of another.

    Raises:
        ConfigurationError: ``ledger.*``: the file cannot be used.
        NotApplied: ``ledger.unavailable``; and so does every transaction.
    """
    path = ledger.db.path
    if path is not None:
        file = _QuotaFile(path.with_name(f"{path.stem}-quota.db"), along)
        return Tables(file.write, file.close)
    with ledger.write() as tx:
        _make(tx, "UNLOGGED TABLE")
    return Tables(lambda: _unlogged(ledger), lambda: None)


def now(tx: Transaction) -> float:
    """Seconds of the store's clock."""
    return tx.lease_clock()[0] / 1000


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


class _QuotaFile:
    """The file of that name, whatever becomes of it. Safe for threads."""

    def __init__(self, path: Path, along: Callable[[Transaction], None]) -> None:
        self._path = path
        self._along = along
        self._lock = threading.Lock()
        self._doubted = False
        self._store, self._is = _open(path, doubted=False)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        store = self._current()
        try:
            with store.transaction("write") as tx:
                yield tx
        except NotApplied as error:
            self._doubted = self._doubted or _is_broken(error)
            raise

    def close(self) -> None:
        self._store.close()

    def _current(self) -> SqliteStore:
        with self._lock:
            if self._doubted or _identity(self._path) != self._is:
                old = self._store
                self._store, self._is = _open(self._path, doubted=self._doubted)
                self._doubted = False
                old.close()
                with self._store.transaction("write") as tx:
                    self._along(tx)
            return self._store


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(path: Path, *, doubted: bool) -> tuple[SqliteStore, tuple[int, int] | None]:
    """The file; a new one if there is none, or if the power failed in the old one."""
    with _alone(path.parent):
        if not path.exists():
            _remove(path)  # a log without its file
        try:
            store = _file(path, doubted=doubted)
        except NotApplied as error:
            if not _is_broken(error):
                raise
            _remove(path)
            store = _file(path, doubted=False)
        return store, _identity(path)


def _file(path: Path, *, doubted: bool) -> SqliteStore:
    store = SqliteStore(f"{SCHEME}{path}", durability="off")
    try:
        with store.transaction("write") as tx:
            if doubted:
                _check(tx)
            _make(tx, "TABLE")
    except BaseException:
        store.close()
        raise
    return store


def _check(tx: Transaction) -> None:
    if tx.value("PRAGMA quick_check") != "ok":
        raise unavailable("quota", _BROKEN[0], "It is made anew")


def _is_broken(error: NotApplied) -> bool:
    return any(name in error.message for name in _BROKEN)


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which no other program takes: no file of its own."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _PATIENCE
        while not _locked(handle):
            if time.monotonic() > until:
                raise unavailable("quota", "somebody makes it", "Try again")
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
