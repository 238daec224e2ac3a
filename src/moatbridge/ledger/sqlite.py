"""The ledger in one SQLite file (delivery 5-7).

WAL, ``synchronous=FULL``, every writing transaction begins with ``BEGIN IMMEDIATE``,
said by us (``isolation_level=None``): the driver's own BEGIN comes late, with the first
statement that writes, which leaves the SELECT of a read-modify-write outside the
transaction; and it is deferred: one that reads first and writes later fails at once
with SQLITE_BUSY_SNAPSHOT, which no timeout cures. A connection never crosses a fork.
Connections and statements are the driver's own (design 0031, 0032).

Of the threads of a process one at a time asks SQLite for its lock; the others wait in
front of it without a connection. Else many slots that wait to write would hold every
connection, and the one that writes could not read beside.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import checkpoints, clock, copying
from moatbridge.ledger.sqlite_connections import Connections, TooManyConnections
from moatbridge.ledger.store import Mode, Store, ValueRefused, unavailable
from moatbridge.ledger.transactions import SqliteTransaction, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.ledger.anchor import Anchor

SCHEME: Final = "sqlite:///"
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
_CREATE: Final = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_OLDEST: Final = (3, 35, 0)
_WAIT: Final = 30.0
"""Seconds that a transaction waits for a lock."""
_ADVICE: Final = "Check the disk and who else holds the file"


class SqliteStore(Store):
    """One file.

    Args:
        url: ``sqlite:///PATH``.
        durability: ``full`` or ``normal``.

    Raises:
        ConfigurationError: ``ledger.*``.
        NotApplied: ``ledger.unavailable``.
    """

    kind = "sqlite"
    path: Path

    def __init__(self, url: str, *, durability: str) -> None:
        self.path = _sqlite_path(url)
        try:
            _make_private(self.path)
        except OSError as error:
            raise _unavailable("open", error) from None
        self.connections: Connections = _connections(self.path, durability)
        self._checkpoints = checkpoints.janitor(self.path)
        self.anchor: Anchor | None = None
        self._writing = threading.RLock()

    @contextmanager
    def transaction(
        self, mode: Mode, settled: Callable[[Transaction], bool] | None = None
    ) -> Iterator[Transaction]:
        """One transaction; a commit that fails took no effect."""
        del settled
        begin = "DEFERRED" if mode == "read" else "IMMEDIATE"
        anchor = None if mode == "read" else self.anchor
        mark = None
        try:
            with self._turn(mode), self.connections.one() as raw:
                raw.execute(f"BEGIN {begin}")
                try:
                    tx = SqliteTransaction(raw, self.now)
                    yield tx
                    if anchor is not None:
                        mark = anchor.advance(tx)
                    raw.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):  # SQLite may have done it by itself
                        raw.execute("ROLLBACK")
                    raise
        except sqlite3.IntegrityError as error:
            # Two rows that exclude each other: an impossible state, never a bad disk.
            raise AssertionError(f"ledger constraint: {error}") from None
        except sqlite3.DataError as error:
            raise ValueRefused(f"ledger value: {type(error).__name__}") from None
        except (TooManyConnections, sqlite3.Error) as error:
            raise _unavailable(begin.lower(), error) from None
        if anchor is not None and mark is not None:
            anchor.note(mark)
        if mode != "read" and self._checkpoints is not None:
            self._checkpoints.committed()

    @contextmanager
    def _turn(self, mode: Mode) -> Iterator[None]:
        if mode == "read":
            yield
            return
        if not self._writing.acquire(timeout=_WAIT):
            raise unavailable(mode, "this process is writing", _ADVICE)
        try:
            yield
        finally:
            self._writing.release()

    def now(self) -> float:
        """This host's wall clock."""
        return clock.wall_clock()

    def has_table(self, tx: Transaction, name: str) -> bool:
        """Whether the file holds that table."""
        sql = "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?"
        return tx.one(sql, name) is not None

    def columns(self, tx: Transaction, table: str) -> set[str]:
        """Of a table in the file."""
        rows = tx.all("SELECT name FROM pragma_table_info(?)", table)
        return {str(row[0]) for row in rows}

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.connections.close()

    def backup(self, target: Path) -> None:
        """Copy the whole ledger consistently while it is in use."""
        copying.copied(self.connections, target)

    def problems(self) -> tuple[list[tuple[str, str]], list[str]]:
        """The WAL-reset race of this SQLite, if it has it."""
        if not checkpoints.has_race(sqlite3.sqlite_version_info):
            return [], []
        words = (
            f"SQLite {sqlite3.sqlite_version} can damage a database when two processes "
            "meet at a checkpoint (the WAL-reset race); use 3.51.3 or newer before "
            "several processes share this ledger."
        )
        if self._checkpoints is not None:
            words += " Until then one connection at a time makes checkpoints."
        return [], [words]


def _sqlite_path(url: str) -> Path:
    # Not quoted: what is no plain path may hold a password.
    if "?" in url:
        raise ConfigurationError(
            "ledger.url: sqlite:///PATH takes no options.", code="ledger.url"
        )
    name = url.removeprefix(SCHEME)
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


def _connections(path: Path, durability: str) -> Connections:
    if sqlite3.sqlite_version_info < _OLDEST:
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old for the ledger; 3.35 or "
            "newer is needed.",
            code="ledger.sqlite-version",
        )
    pragmas = (
        "journal_mode=WAL",
        f"synchronous={durability.upper()}",
        "foreign_keys=ON",
        "secure_delete=ON",
        f"busy_timeout={_WAIT * 1000:.0f}",
        "cache_size=-2048",  # KiB, of each of the five connections that are kept
        *checkpoints.pragmas(),
    )

    def opened() -> sqlite3.Connection:
        made = sqlite3.connect(
            path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in pragmas:
                made.execute(f"PRAGMA {pragma}")
        except BaseException:
            made.close()
            raise
        return made

    return Connections(opened, _WAIT)


def _unavailable(what: str, error: BaseException) -> NotApplied:
    why = getattr(error, "sqlite_errorname", type(error).__name__)
    return unavailable(what, why, _ADVICE)
