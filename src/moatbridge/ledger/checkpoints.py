"""One checkpointer at a time, where SQLite has the WAL-reset race (delivery 7).

SQLite 3.7.0 to 3.51.2 (without the 3.44.6 and 3.50.7 backports) can damage a database
when one connection begins a checkpoint at the instant at which another one's commit
starts the log afresh (sqlite.org/wal.html#walresetbug). On those builds no connection
makes checkpoints by itself. Whoever finds the log grown takes a file lock that only one
process of the host can hold, and moves the log into the database with TRUNCATE, which
starts the log afresh itself; if a reader or writer is in the way, it is done later.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RACE_UNTIL: Final = (3, 51, 2)
_MENDED: Final = ((3, 44, 6), (3, 50, 7))
_EVERY: Final = 32
"""Commits of this process between two looks at the log's size."""
_GROWN: Final = 4 << 20
"""Bytes from which on the log is moved: what SQLite does by itself."""


def has_race(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the WAL-reset race."""
    if version > _RACE_UNTIL:
        return False
    return not any(version[:2] == fix[:2] and version >= fix for fix in _MENDED)


def pragmas() -> tuple[str, ...]:
    """What every connection must set."""
    return ("wal_autocheckpoint=0",) if _needed() else ()


def janitor(path: Path) -> Janitor | None:
    """The checkpointer of a file; None where SQLite may do it itself."""
    return Janitor(path) if _needed() else None


def _needed() -> bool:
    return sys.platform != "win32" and has_race(sqlite3.sqlite_version_info)


class Janitor:
    """Moves the log into the database once it has grown. Safe for threads.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._gate = path.with_name(path.name + "-checkpoint")
        self._commits = 0
        self._busy = threading.Lock()

    def committed(self) -> None:
        """A transaction of this process was committed."""
        self._commits += 1
        if self._commits % _EVERY == 0 and self._size() > _GROWN:
            self.checkpoint()

    def checkpoint(self) -> bool:
        """Move the log now; False if somebody is in the way: later, then."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            with self._alone() as mine:
                return mine and self._moved()
        except (OSError, sqlite3.Error):
            return False  # a disk that fails here fails the next commit, which says so
        finally:
            self._busy.release()

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        gate = os.open(self._gate, flags, 0o600)
        try:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(gate)

    def _moved(self) -> bool:
        with closing(sqlite3.connect(self._path, timeout=1)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return row is not None and row[0] == 0
