"""Connections to the ledger's file, kept for the next transaction (delivery 5).

Made by the driver alone: SQLAlchemy, which takes as long to load as all the rest of a
short command, is asked only where old tables are brought up to date (`core_of`).
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
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

    Places and idle connections stand in queues that are taken from in one step of the
    interpreter's: a Ctrl-C finds no lock of ours held, which nobody would open again.

    Args:
        open_: Makes a connection, which any thread may use.
        wait: Seconds to wait for one while all of them are in use.
    """

    def __init__(self, open_: Callable[[], sqlite3.Connection], wait: float) -> None:
        self._open = open_
        self._wait = wait
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(MOST):
            self._places.put(None)
        self._idle: deque[sqlite3.Connection] = deque()
        self._life, self._process = 0, os.getpid()
        self._parents: list[deque[sqlite3.Connection]] = []
        self.opened: list[Callable[[sqlite3.Connection], object]] = []
        """Called with every new connection, before it is used: proofs set limits."""

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, which must be at its end afterwards.

        Raises:
            TooManyConnections: All were in use for too long.
            sqlite3.Error: None can be opened.
        """
        try:
            self._places.get(timeout=self._wait)
        except Empty:
            raise TooManyConnections from None
        try:
            life, connection = self._life, self._taken()
            try:
                yield connection
            finally:
                self._back(connection, life)
        finally:
            self._places.put(None)

    def _taken(self) -> sqlite3.Connection:
        if self._process != os.getpid():
            self._forked()
        try:
            return self._idle.pop()  # the newest: its pages are in memory
        except IndexError:
            return self._new()

    def _new(self) -> sqlite3.Connection:
        made = self._open()
        try:
            for told in self.opened:
                told(made)
        except BaseException:
            made.close()
            raise
        return made

    def _forked(self) -> None:
        """Leave the parent's connections alone: not used here, and not closed.

        SQLite's own rule (sqlite.org/howtocorrupt.html): to close one in a child would
        give up the parent's locks.
        """
        self._parents.append(self._idle)
        self._idle, self._process = deque(), os.getpid()

    def _back(self, connection: sqlite3.Connection, life: int) -> None:
        # One that is still in a transaction would keep everybody else from writing.
        kept = not connection.in_transaction and life == self._life
        if not kept or len(self._idle) >= KEPT:
            with suppress(sqlite3.Error):
                connection.close()
            return
        self._idle.append(connection)
        if life != self._life:  # they were closed meanwhile
            self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                with suppress(sqlite3.Error):
                    connection.close()

    def close(self) -> None:
        """Close those that are idle, and the others when they come back. Idempotent.

        Whoever asks for one later gets a new one.
        """
        self._life += 1
        self._close_idle()


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
