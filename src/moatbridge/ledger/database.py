"""One SQL database, opened so that a commit is a commit: SQLite or PostgreSQL.

`sqlite` and `postgresql` hold what differs; `transactions` what a transaction can do;
`migrations` how the tables come about.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge.ledger import keyring, migrations
from moatbridge.ledger.anchor import Anchor
from moatbridge.ledger.sealed import SealedTransaction
from moatbridge.ledger.transactions import Transaction
from moatbridge.ledger.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from moatbridge.adapter import Secret
    from moatbridge.ledger.store import Mode, Store

__all__ = ["Database", "Transaction"]


class Database:
    """The engine and its transactions. Safe to share between threads, not forks.

    Args:
        url: ``sqlite:///PATH``, or ``postgresql+psycopg://USER@HOST/DATABASE`` without
            a password.
        durability: ``full``, or ``normal`` (survives ``kill -9``, may lose the last
            commits when the power fails). PostgreSQL is always used with ``full``.
        password: Where PostgreSQL's password is.
        keys: Keys that content is encrypted with; the first one encrypts, all of them
            decrypt. None: it is kept as it is.
        older: An old copy that was put back may be opened: somebody is about to say
            that it was (`restoring.restored`).

    Raises:
        ConfigurationError: ``ledger.*``: unsupported URL, network file system, a
            symbolic link, driver missing, server or SQLite too old, tables of somebody
            else, a schema newer than this code, an old copy of the ledger, or the
            wrong key.
        NotApplied: ``ledger.unavailable``.
    """

    def __init__(
        self,
        url: str,
        *,
        durability: str = "full",
        password: Secret | None = None,
        keys: Sequence[Secret] = (),
        older: bool = False,
    ) -> None:
        vault = Vault(keys) if keys else None
        self._store: Store = _opened(url, durability, password)
        self.durability = durability
        self._vault = vault
        anchor = Anchor(self.path) if self.path and durability == "full" else None
        self.last_epoch: int = 0
        """The newest epoch that was ever noted beside this ledger."""
        try:
            migrations.bring_up(self._store)
            keyring.check(self._store, vault)
            if anchor is not None:
                self._anchored(anchor, older=older)
        except BaseException:
            self._store.close()
            raise

    def _anchored(self, anchor: Anchor, *, older: bool) -> None:
        with self._store.transaction("read") as tx:
            self.last_epoch = anchor.check(tx, older=older)
        self._store.anchor = anchor

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._store.kind

    @property
    def path(self) -> Path | None:
        """SQLite's file; None for a database on a server."""
        return self._store.path

    def check_whole(self) -> None:
        """Look whether a copy that was put in place is whole; PostgreSQL looks itself.

        Raises:
            ConfigurationError: ``ledger.spoilt``.
        """
        if self.kind != "sqlite":
            return
        try:
            with self.read() as tx:
                whole = tx.value("PRAGMA quick_check(1)") == "ok"
        except MoatbridgeError:
            whole = False
        if not whole:
            raise ConfigurationError(
                "The ledger is spoilt. If a copy was put in its place, the -wal and "
                "-shm files of the old one were left beside it: remove them, and put "
                "the copy there again.",
                code="ledger.spoilt",
            )

    def write(
        self,
        *,
        alone: bool = True,
        settled: Callable[[Transaction], bool] | None = None,
    ) -> AbstractContextManager[Transaction]:
        """A writing transaction: committed at the end, rolled back on any exception.

        Args:
            alone: No other such transaction runs at the same time, so what is read
                here is still true when it is written. False is for a single statement
                that compares and sets one row, and must not be followed by another
                one: it does not wait for the others. (SQLite: always alone.)
            settled: Asked, in a transaction of its own, whether this one took effect,
                if the connection died inside COMMIT; may raise what it finds.
                None: the database is asked.

        Raises:
            NotApplied: ``ledger.unavailable``: locked, full, unreachable. Nothing of
                the transaction took effect.
            OutcomeUnknown: ``ledger.commit-unknown``: the connection died inside
                COMMIT, and nobody can tell what became of it.
        """
        mode: Mode = "write" if alone else "alone"
        return self._sealed(self._store.transaction(mode, settled))

    def read(self) -> AbstractContextManager[Transaction]:
        """A short read-only transaction over one snapshot.

        Long ones stop checkpoints and vacuum.
        """
        return self._sealed(self._store.transaction("read"))

    def _sealed(
        self, transaction: AbstractContextManager[Transaction]
    ) -> AbstractContextManager[Transaction]:
        vault = self._vault
        return transaction if vault is None else _sealing(transaction, vault)

    @property
    def tells(self) -> bool:
        """Whether `listen` may hear anything: only of a database on a server."""
        return self._store.tells

    def listen(
        self, heard: Callable[[int | None], None], ended: Callable[[], bool]
    ) -> bool:
        """Hear of flows that were given work, by whatever process; blocks.

        What is heard only saves time: it may be lost, and says nothing about what the
        work is.

        Args:
            heard: Called with the number of such a flow; with None as listening
                begins, for what happened before was not told.
            ended: Asked several times a second whether to return.

        Returns:
            False: this database, or the way to it, tells nobody anything.

        Raises:
            NotApplied: ``ledger.unavailable``: the connection was lost.
            ConfigurationError: ``ledger.*``.
        """
        return self._store.listen(heard, ended)

    def now(self) -> float:
        """The ledger's wall time, POSIX seconds; the same for all who share it."""
        return self._store.now()

    def backup(self, target: Path) -> None:
        """Copy the whole ledger consistently while it is in use.

        Args:
            target: A new file, which only its owner may read.

        Raises:
            ConfigurationError: ``ledger.exists``: the file exists already;
                ``ledger.backup``: no file can be made there, or this database is
                copied with its own tools.
            NotApplied: ``ledger.unavailable``; no part of a copy is left.
        """
        self._store.backup(target)

    def problems(self) -> tuple[list[tuple[str, str]], list[str]]:
        """What is wrong with the database: (code, sentence) each, and warnings.

        Raises:
            NotApplied: ``ledger.unavailable``.
        """
        return self._store.problems()

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._store.close()


@contextmanager
def _sealing(
    transaction: AbstractContextManager[Transaction], vault: Vault
) -> Iterator[Transaction]:
    with transaction as inner:
        yield SealedTransaction(inner, vault)


def _opened(url: str, durability: str, password: Secret | None) -> Store:
    if url.startswith("sqlite:///"):
        from moatbridge.ledger.sqlite import SqliteStore  # noqa: PLC0415 - one of two

        return SqliteStore(url, durability=durability)
    if url.startswith("postgresql+psycopg://"):
        from moatbridge.ledger.postgresql import PostgresStore  # noqa: PLC0415

        return PostgresStore(url, password=password)
    # Not quoted: what is no such URL may hold a password.
    raise ConfigurationError(
        "ledger.url: must be sqlite:///PATH (one host) or "
        "postgresql+psycopg://USER@HOST/DATABASE (many hosts).",
        code="ledger.url",
    )
