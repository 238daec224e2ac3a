"""Connections to the ledger's file, kept for the next transaction (delivery 5).

Made by the driver alone: SQLAlchemy, which takes as long to load as all the rest of a
short command, is asked only where old tables are brought up to date (`core_of`).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection

KEPT: Final = 5
"""Connections that a process keeps while it does nothing."""
MOST: Final = 37
"""Connections at once, those included."""


class TooManyConnections(Exception):
    """All connections are in use, and stay so."""


class Connections:
    """Opened where needed, kept where it pays. Safe to share between threads.

    Args:
        open_: Makes a connection, which any thread may use.
        wait: Seconds to wait for one while all of them are in use.
    """

    def __init__(self, open_: Callable[[], sqlite3.Connection], wait: float) -> None:
        self._open = open_
        self._wait = wait
        self._free = threading.BoundedSemaphore(MOST)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._life = 0
        self.opened: list[Callable[[sqlite3.Connection], object]] = []
        """Called with every new connection, before it is used."""

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, which must be at its end afterwards.

        Raises:
            TooManyConnections: All were in use for too long.
            sqlite3.Error: None can be opened.
        """
        if not self._free.acquire(timeout=self._wait):
            raise TooManyConnections
        try:
            connection, life = self._taken()
            try:
                yield connection
            finally:
                self._back(connection, life)
        finally:
            self._free.release()

    def _taken(self) -> tuple[sqlite3.Connection, int]:
        with self._lock:
            life = self._life
            if self._idle:
                return self._idle.pop(), life  # the newest: its pages are in memory
        return self._new(), life

    def _new(self) -> sqlite3.Connection:
        made = self._open()
        try:
            for told in self.opened:
                told(made)
        except BaseException:
            made.close()
            raise
        return made

    def _back(self, connection: sqlite3.Connection, life: int) -> None:
        # One that is still in a transaction would keep everybody else from writing.
        whole = not connection.in_transaction
        with self._lock:
            keep = whole and life == self._life and len(self._idle) < KEPT
            if keep:
                self._idle.append(connection)
        if not keep:
            with suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Close those that are idle, and the others when they come back. Idempotent.

        Whoever asks for one later gets a new one.
        """
        with self._lock:
            self._life += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(sqlite3.Error):
                connection.close()


def core_of(raw: Any) -> Connection:
    """The same connection, in its transaction, as SQLAlchemy knows it.

    It must not be closed, and nothing be committed through it.
    """
    import sqlalchemy  # noqa: PLC0415 - only for who makes tables
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    engine = sqlalchemy.create_engine("sqlite://", hide_parameters=True)
    # An engine asks its first connection some questions and rolls it back: not ours.
    with engine.connect():
        pass
    engine.dispose()
    pool = StaticPool(lambda: raw, reset_on_return=None)
    return sqlalchemy.Connection(engine, pool.connect())
