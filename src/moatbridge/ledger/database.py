"""One SQL database, opened so that a commit is a commit.

SQLite (delivery 5-7): WAL, ``synchronous=FULL``, every writing transaction begins with
``BEGIN IMMEDIATE``: SQLAlchemy's default leaves the SELECT of a read-modify-write
outside the transaction, and a deferred BEGIN that reads first and writes later fails at
once with SQLITE_BUSY_SNAPSHOT, which no timeout cures. A connection never crosses a
fork. PostgreSQL has its place behind the same two methods, but is not built yet.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import schema, schema_content
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection, Engine

_NETWORK_FILE_SYSTEMS: Final = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "fuse.sshfs",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
    ]
)
_SCHEME: Final = "sqlite:///"
_CREATE: Final = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_OLDEST: Final = (3, 35, 0)
_BEGIN: Final = "moatbridge_begin"


class Transaction:
    """One open transaction. Rows come as tuples; a batch is one round trip."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, sql: str, *params: Any) -> Sequence[Any]:
        """Every row."""
        return self._connection.exec_driver_sql(sql, params).fetchall()

    def one(self, sql: str, *params: Any) -> Any:
        """The first row, or None."""
        return self._connection.exec_driver_sql(sql, params).fetchone()

    def value(self, sql: str, *params: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, *params)
        return None if row is None else row[0]

    def run(self, sql: str, *params: Any) -> int:
        """Execute; the number of rows touched."""
        return self._connection.exec_driver_sql(sql, params).rowcount

    def insert(self, sql: str, *params: Any) -> int:
        """Execute an INSERT; the new row id."""
        return int(self._connection.exec_driver_sql(sql, params).lastrowid)

    def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute once per row, in one call; nothing for no rows."""
        if rows:
            self._connection.exec_driver_sql(sql, list(rows))


class Database:
    """The engine and its transactions. Safe to share between threads, not forks.

    Args:
        url: ``sqlite:///PATH``. Anything else is refused.
        durability: ``full``, or ``normal`` (survives ``kill -9``, may lose the last
            commits when the power fails).

    Raises:
        ConfigurationError: ``ledger.*``: unsupported URL, network file system, a
            symbolic link, SQLite too old, or a schema newer than this code.
        NotApplied: ``ledger.unavailable``.
    """

    def __init__(self, url: str, *, durability: str = "full") -> None:
        self.path: Path = _sqlite_path(url)
        self.durability = durability
        try:
            _make_private(self.path)
        except OSError as error:
            raise _unavailable("open", error) from None
        self._engine = _engine(self.path, durability)
        with self.write() as tx:
            _migrate(tx, self._engine)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A writing transaction: committed at the end, rolled back on any exception.

        Raises:
            NotApplied: ``ledger.unavailable``: locked, full, unreadable. Nothing of
                the transaction took effect.
        """
        with self._transaction("IMMEDIATE") as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A short read-only transaction; long ones would stop WAL checkpoints."""
        with self._transaction("DEFERRED") as tx:
            yield tx

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[Transaction]:
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(**{_BEGIN: mode})
                with connection.begin():
                    yield Transaction(connection)
        except IntegrityError as error:
            # Two rows that exclude each other: an impossible state, never a bad disk.
            raise AssertionError(f"ledger constraint: {error.orig}") from None
        except DBAPIError as error:
            raise _unavailable(mode.lower(), error) from None

    def backup(self, target: Path) -> None:
        """Copy the whole ledger consistently while it is in use.

        Args:
            target: A new file, which only its owner may read.

        Raises:
            ConfigurationError: ``ledger.exists``: the file exists already.
            NotApplied: ``ledger.unavailable``; no part of a copy is left.
        """
        import sqlite3  # noqa: PLC0415 - rare

        _create(target)
        try:
            with (
                self._engine.connect() as connection,
                closing(sqlite3.connect(target)) as copy,
            ):
                raw = connection.connection.driver_connection
                raw.backup(copy)  # type: ignore[union-attr]
        except (sqlite3.Error, DBAPIError) as error:
            target.unlink(missing_ok=True)
            raise _unavailable("backup", error) from None

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._engine.dispose()


def _sqlite_path(url: str) -> Path:
    # Not quoted: what is no plain path may hold a password.
    if not url.startswith(_SCHEME) or "?" in url:
        raise ConfigurationError(
            "ledger.url: this version's ledger is a SQLite file; use sqlite:///PATH, "
            "without options.",
            code="ledger.url",
        )
    name = url.removeprefix(_SCHEME)
    if not name or name.startswith((":memory:", "file:")):
        raise ConfigurationError(
            "ledger.url: the ledger needs a file (sqlite:///moatbridge.db); in memory "
            "it would forget what was sent.",
            code="ledger.url",
        )
    path = Path(name).absolute()
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"ledger.url: the folder {path.parent} does not exist.", code="ledger.url"
        )
    if (kind := _file_system(path.parent)) in _NETWORK_FILE_SYSTEMS:
        raise ConfigurationError(
            f"ledger.url: {path.parent} lies on a network file system ({kind}), where "
            "SQLite's locks do not hold; use a local disk.",
            code="ledger.network-file-system",
        )
    return path


def _mount_table() -> list[str]:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _file_system(folder: Path) -> str:
    """Type of the file system that holds the folder, by the mount table."""
    best, kind = "", ""
    where = os.path.realpath(folder) + "/"
    for line in _mount_table():
        _device, mount, name = line.split(" ")[:3]
        root = mount.replace("\\040", " ").rstrip("/") + "/"
        if where.startswith(root) and len(root) > len(best):
            best, kind = root, name
    return kind


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, _CREATE, 0o600))
    except FileExistsError:
        raise ConfigurationError(
            f"The file {path} exists already and is left as it is; name a new one.",
            code="ledger.exists",
        ) from None
    except OSError as error:
        raise _unavailable("backup", error) from None


def _make_private(path: Path) -> None:
    """Create the file if it is not there, and close it to everybody but its owner.

    SQLite gives ``-wal`` and ``-shm`` the permissions that the file has when it is
    first opened. An existing file is never opened here: closing it would drop the
    locks of every other connection of this process (sqlite.org/howtocorrupt.html 2.2).
    """
    with suppress(FileExistsError):
        os.close(os.open(path, _CREATE, 0o600))
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            mode = file.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise ConfigurationError(
                    f"ledger.url: {file} is a symbolic link; name the file itself.",
                    code="ledger.symlink",
                )
            if mode & 0o077:
                file.chmod(0o600)


def _engine(path: Path, durability: str) -> Engine:
    import sqlite3  # noqa: PLC0415 - only when a ledger is opened

    if sqlite3.sqlite_version_info < _OLDEST:
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old for the ledger; 3.35 or "
            "newer is needed.",
            code="ledger.sqlite-version",
        )
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        pool_size=5,
        max_overflow=32,
        connect_args={"isolation_level": None, "timeout": 30},
    )

    def configure(connection: Any, _record: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={durability.upper()}",
            "foreign_keys=ON",
            "secure_delete=ON",
            "busy_timeout=30000",
            "cache_size=-2048",  # KiB, of each of the five connections that are kept
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get(_BEGIN, "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", begin)
    return engine


def _migrate(tx: Transaction, engine: Engine) -> None:
    """Bring the schema up to `schema.VERSION`; each number is one transaction."""
    del engine
    known = tx.value("SELECT 1 FROM sqlite_master WHERE type='table' AND name='meta'")
    found = (
        int(tx.value("SELECT value FROM meta WHERE name='schema'") or 0) if known else 0
    )
    if found > schema.VERSION:
        raise ConfigurationError(
            f"The ledger has schema {found}, this moatbridge knows {schema.VERSION}: "
            "it was written by a newer version. Upgrade moatbridge; nothing was "
            "changed.",
            code="ledger.newer-schema",
        )
    if found < schema.VERSION:  # every migration so far only adds tables
        schema_content.TABLES.create_all(tx._connection)  # noqa: SLF001 - same family
        tx.run("UPDATE meta SET value=? WHERE name='schema'", str(schema.VERSION))
    if found < 1:
        tx.many(
            "INSERT INTO meta(name, value) VALUES(?, ?)",
            [
                ("schema", str(schema.VERSION)),
                ("ledger_id", secrets.token_hex(16)),
                ("epoch", "0"),
                ("created", str(time.time())),
                ("next_link", "1"),
            ],
        )
        crash_point("migrate.step")


def _unavailable(what: str, error: BaseException) -> NotApplied:
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return NotApplied(
        f"The ledger is not available ({what}: {name}). Check the disk and who else "
        "holds the file; nothing of this step took effect.",
        code="ledger.unavailable",
    )
