"""The ledger in PostgreSQL, for many hosts (delivery 8, 9).

Theory of operation. The flows' code was proven where one transaction writes at a
time. So each `Mode` ``write`` begins with one advisory lock of this ledger and then
reads, at READ COMMITTED, what everybody before it committed. ``alone`` is for one
statement on one row and takes no such lock: it waits for nothing while it holds
something, so the two kinds cannot lock each other up. ``read`` is a snapshot.

A process that freezes inside a transaction would stop all writers: the server ends it
after `IDLE`, and everybody else waits longer than that for the lock. To the server one
that freezes within a pipeline is not idle: whoever waited for it in vain ends it.

A connection that dies inside COMMIT leaves the outcome open. Each writing transaction
knows its own number, and PostgreSQL can tell whether that number was committed, as long
as it is the same server: a standby that took over has another timeline. Then, or while
nobody answers, the error is `OutcomeUnknown`, never a guess (delivery 9).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown
from moatbridge.ledger import clock, postgresql_engine, postgresql_listening
from moatbridge.ledger.postgresql_engine import failure, lost
from moatbridge.ledger.store import Mode, Store, unavailable
from moatbridge.ledger.transactions import PostgresTransaction, Transaction
from moatbridge.resilience.deadline import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection, Engine

    from moatbridge.adapter import Secret

LONGEST: Final = 120.0
"""Seconds after which a transaction's connection is cut, whatever the server does."""
SETTLE: Final = 20.0
"""Seconds in which the outcome of a lost COMMIT must be found out."""
ADVICE: Final = "Check the database server and the way to it"
_CLOCK: Final = "(extract(epoch FROM clock_timestamp())*1000000)::bigint"
_TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"

_log = logging.getLogger(__name__)


class Began(NamedTuple):
    """What the server said as the transaction began.

    Args:
        number: Of the transaction, on this server and timeline; empty for ``read``.
        timeline: Of the server.
        lease_ms: Its clock, in milliseconds.
    """

    number: str
    timeline: str
    lease_ms: int


class _Dead(Exception):
    """Nothing had begun yet: it is worth a try on another connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class PostgresStore(Store):
    """One schema of one database.

    Args:
        url: ``postgresql+psycopg://USER@HOST/DATABASE``, without a password.
        password: Where the password is; read afresh for every connection.

    Raises:
        ConfigurationError: ``ledger.*``.
        NotApplied: ``ledger.unavailable``.
    """

    kind = "postgresql"
    tells = True

    def __init__(self, url: str, *, password: Secret | None = None) -> None:
        self.engine: Engine = postgresql_engine.create(url, password)
        dbapi: Any = self.engine.dialect.loaded_dbapi
        self._errors: tuple[type[Exception], ...] = (
            dbapi.Error,
            DBAPIError,
            PoolTimeout,
        )
        self._clock = clock.StoreClock()
        self._watchdog = Watchdog()
        self._writing = threading.RLock()
        self._closed = threading.Event()
        event.listen(self.engine, "checkin", self._returned)
        try:
            self._begin = _begins(self._schema())
        except BaseException:
            self.engine.dispose()
            raise

    def _schema(self) -> str:
        try:
            with self.engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                found: Any = raw.execute("SELECT current_schema()").fetchone()[0]
        except self._errors as error:
            raise failure(error, "open") from None
        if found is None:
            raise ConfigurationError(
                "The ledger's account has no schema to work in: create one and make it "
                "the account's search_path.",
                code="ledger.no-schema",
            )
        return str(found)

    def _returned(self, raw: Any, _record: Any) -> None:
        """A connection that was still in use when everything was closed is closed."""
        if raw is not None and self._closed.is_set():
            raw.close()

    # --- transactions -----------------------------------------------------------------

    @contextmanager
    def transaction(
        self, mode: Mode, settled: Callable[[Transaction], bool] | None = None
    ) -> Iterator[Transaction]:
        """One transaction; see the theory on top."""
        with self._turn(mode), self._connected(mode) as (connection, raw, began):
            try:
                yield PostgresTransaction(connection, raw, self.now, began.lease_ms)
                _check_whole(raw)
            except self._errors as error:
                _abandon(connection, raw)
                self._ended_frozen(error)
                raise failure(error, mode) from None
            except BaseException:
                _abandon(connection, raw)
                raise
            if mode == "read":
                _abandon(connection, raw)  # what was read was read, whatever comes now
            elif not self._committed(connection, raw):
                self._settle(began, settled)

    @contextmanager
    def _turn(self, mode: Mode) -> Iterator[None]:
        """One thread of this process asks for the lock at a time; the others wait here.

        So a process holds one connection for it, not one for each of its slots.
        """
        if mode != "write":
            yield
            return
        if not self._writing.acquire(timeout=postgresql_engine.TURN):
            raise unavailable(mode, "this process is writing", ADVICE)
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def _connected(self, mode: Mode) -> Iterator[tuple[Connection, Any, Began]]:
        """A connection on which a transaction has begun.

        Connections that were kept may be dead since the server was restarted; nothing
        had begun on them, so the next one is taken, and a fresh one in the end.
        """
        for left in range(postgresql_engine.KEPT, -1, -1):
            with ExitStack() as stack:
                try:
                    connection, raw, began = self._open(stack, mode)
                except _Dead as dead:
                    if left == 0:
                        raise failure(dead.error, mode) from None
                    continue
                yield connection, raw, began
                return

    def _open(self, stack: ExitStack, mode: Mode) -> tuple[Connection, Any, Began]:
        try:
            connection = stack.enter_context(self.engine.connect())
        except self._errors as error:
            raise failure(error, "connect") from None
        raw: Any = connection.connection.driver_connection
        guard = self._watchdog.arm(
            LONGEST, lambda: postgresql_engine.cut(raw), label="ledger transaction"
        )
        stack.callback(self._watchdog.disarm, guard)
        try:
            return connection, raw, self._began(raw, mode)
        except self._errors as error:
            gone = lost(raw)
            _abandon(connection, raw)
            if gone or self._ended_frozen(error):
                raise _Dead(error) from None
            raise failure(error, mode) from None

    def _ended_frozen(self, error: Exception) -> bool:
        """Whether a frozen process stood in the way, and does so no more."""
        if not postgresql_engine.locked(error):
            return False
        try:
            ended = postgresql_engine.end_frozen(self.engine)
        except self._errors:
            return False
        if ended:
            _log.warning(
                "%d transactions of the ledger, whose processes are frozen, were ended",
                ended,
            )
        return ended > 0

    def _began(self, raw: Any, mode: Mode) -> Began:
        asked = clock.boot_seconds()
        cursor = raw.cursor()
        cursor.execute(self._begin[mode])
        while cursor.nextset():
            pass
        number, timeline, micros = cursor.fetchone()
        self._clock.sample(asked, micros / 1e6, clock.boot_seconds())
        return Began(number, timeline, micros // 1000)

    def _committed(self, connection: Connection, raw: Any) -> bool:
        """Commit; False if the connection died and the outcome is open.

        Raises:
            NotApplied: ``ledger.unavailable``: the server refused.
        """
        try:
            raw.commit()
        except self._errors as error:
            gone = lost(raw)
            _abandon(connection, raw)
            if gone:
                return False
            raise failure(error, "commit") from None
        return True

    # --- a COMMIT without an answer ---------------------------------------------------

    def _settle(
        self, began: Began, settled: Callable[[Transaction], bool] | None
    ) -> None:
        """Find out whether a transaction whose COMMIT got no answer took effect.

        Raises:
            NotApplied: ``ledger.unavailable``: it did not.
            OutcomeUnknown: ``ledger.commit-unknown``.
        """
        until = time.monotonic() + SETTLE
        while time.monotonic() < until:
            try:
                took = self._asked(settled) if settled else self._outcome(began)
            except NotApplied:
                took = None  # nobody answers yet
            if took is False:
                raise unavailable("commit", "the connection was lost", ADVICE)
            if took:
                return
            time.sleep(0.1)
        raise _unknown()

    def _asked(self, settled: Callable[[Transaction], bool]) -> bool:
        """What the rows say. The lock is ours now, so the lost transaction is over."""
        with self.transaction("write") as tx:
            return settled(tx)

    def _outcome(self, began: Began) -> bool | None:
        """What the server says of the transaction; None while it still runs."""
        with self.transaction("read") as tx:
            timeline, status = tx.one(
                f"SELECT {_TIMELINE}, pg_xact_status(CAST(? AS text)::xid8)",
                began.number,
            )
        if timeline != began.timeline or status is None:
            raise _unknown()
        return None if status == "in progress" else bool(status == "committed")

    # --- the rest of a store ----------------------------------------------------------

    def now(self) -> float:
        """The server's wall clock."""
        return self._clock.now()

    def has_table(self, tx: Transaction, name: str) -> bool:
        """Whether the account's own schema holds that table."""
        return bool(
            tx.one(
                "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace "
                "WHERE n.nspname=current_schema() AND c.relname=?",
                name,
            )
        )

    def columns(self, tx: Transaction, table: str) -> set[str]:
        """Of a table in the account's own schema."""
        rows = tx.all(
            "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid=a.attrelid "
            "JOIN pg_namespace n ON n.oid=c.relnamespace WHERE "
            "n.nspname=current_schema() AND c.relname=? AND a.attnum>0 "
            "AND NOT a.attisdropped",
            table,
        )
        return {str(row[0]) for row in rows}

    def backup(self, target: Path) -> None:
        """Refused: PostgreSQL has its own tools, which also keep the server's rights.

        Raises:
            ConfigurationError: ``ledger.backup``.
        """
        raise ConfigurationError(
            "A ledger on PostgreSQL is copied with PostgreSQL's own tools, such as "
            f"`pg_dump --format=custom --file={target}`; that copy is consistent while "
            "the ledger is in use. After a restore run `moatbridge ledger restored`.",
            code="ledger.backup",
        )

    def listen(
        self, heard: Callable[[int | None], None], ended: Callable[[], bool]
    ) -> bool:
        """Hear ``NOTIFY`` on a connection of its own."""
        try:
            return postgresql_listening.listen(self.engine, heard, ended)
        except self._errors as error:
            raise failure(error, "listen") from None

    def problems(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Settings of the server with which a commit is no commit."""
        with self.transaction("read") as tx:
            return postgresql_engine.problems(tx, self.engine.url)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._closed.set()
        self.engine.dispose()
        self._watchdog.close()


def _begins(schema: str) -> dict[Mode, str]:
    """What opens each kind of transaction, in one round trip."""
    digest = hashlib.blake2b(f"moatbridge/{schema}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "big", signed=True)
    facts = f"pg_current_xact_id()::text, {_TIMELINE}, {_CLOCK}"
    return {
        "write": (
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
            f"SELECT pg_advisory_xact_lock({key}); SELECT {facts}"
        ),
        "alone": f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT {facts}",
        "read": (
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT '', '', {_CLOCK}"
        ),
    }


def _check_whole(raw: Any) -> None:
    """Nobody passed over a failed statement: COMMIT would be a silent ROLLBACK."""
    if raw.info.transaction_status.name == "INERROR":
        raise AssertionError("ledger: a failed statement was passed over")


def _abandon(connection: Connection, raw: Any) -> None:
    """Roll back; a connection that cannot is thrown away."""
    try:
        raw.rollback()
    except Exception as error:  # noqa: BLE001 - the driver's, whatever it is
        _log.debug("a ledger connection was thrown away (%s)", type(error).__name__)
    if lost(raw):
        connection.invalidate()


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "The connection to the ledger was lost inside a COMMIT and it cannot be found "
        "out whether it took effect. Nothing is repeated blindly: what was written is "
        "read again when the ledger answers.",
        code="ledger.commit-unknown",
    )
