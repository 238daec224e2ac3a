"""Opening a SQLite file: no creation, no extensions, no trusted schema.

Sources: SQLite documentation, "URI filenames", "PRAGMA statements", "Defense against
the dark arts".
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sql import _url
from moatbridge_sql._faults import Fault, FaultError

if TYPE_CHECKING:
    from moatbridge_sql._config import SqlConfig

SQLITE_MAGIC: Final = b"SQLite format 3\0"
LARGEST_ROW: Final = 32 << 20


def connect(config: SqlConfig, *, read_only: bool) -> sqlite3.Connection:
    """A connection that begins no transaction by itself.

    Raises:
        ConfigurationError: ``sql.corrupt``: no file, or no database.
        NotApplied: The file cannot be read now.
        FaultError: SQLite refused it.
    """
    path = Path(_url.database_name(config.url))
    _check_file(path, read_only=read_only)
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"
    fault: Fault | None = None
    try:
        connection = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=config.lock_timeout,
        )
        _sqlite_session(connection, read_only=read_only)
        if codec := config.text_encoding:
            connection.text_factory = lambda raw: raw.decode(codec)
    except sqlite3.Error:
        fault = Fault("corrupt", "SQLITE_NOTADB")
    else:
        return connection
    raise FaultError(fault)


def _sqlite_session(connection: sqlite3.Connection, *, read_only: bool) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_ROW)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _check_file(path: Path, *, read_only: bool) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_MAGIC))
    except FileNotFoundError:
        raise _no_file("does not exist") from None
    except OSError as error:
        raise NotApplied(
            f"The SQLite file cannot be read ({type(error).__name__}).",
            code="sql.unreachable",
        ) from None
    if head != SQLITE_MAGIC and not (head == b"" and not read_only):
        raise _no_file("is not a SQLite database")


def _no_file(words: str) -> ConfigurationError:
    return ConfigurationError(
        f"The file in url {words}; check the path.", code="sql.corrupt"
    )
