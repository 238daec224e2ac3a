"""A whole, consistent copy of a SQLite ledger while it is in use.

The copy has another name, ``NAME.part``, until it is whole and on the disk: whoever
finds a file of the wanted name has a whole backup, whatever was killed meanwhile.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.ledger.sqlite_connections import TooManyConnections

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.ledger.sqlite_connections import Connections

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE})
"""What may be otherwise a minute later."""


def copied(connections: Connections, target: Path) -> None:
    """Copy the database to a new file that only its owner may read.

    Args:
        connections: Of the ledger.
        target: The file.

    Raises:
        ConfigurationError: ``ledger.exists``: it is there already; ``ledger.backup``:
            no file can be made there.
        NotApplied: ``ledger.unavailable``; no part of a copy is left.
    """
    part = target.with_name(target.name + ".part")
    try:
        if os.path.lexists(target):
            raise _exists(target)
        os.close(os.open(part, _NEW, 0o600))
    except FileExistsError:
        raise _exists(part) from None
    except OSError as error:
        raise _failed(target, error) from None
    try:
        _copy(connections, part)
        _name(part, target)
    except (sqlite3.Error, TooManyConnections, OSError) as error:
        raise _failed(target, error) from None
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                part.with_name(part.name + suffix).unlink()


def _copy(connections: Connections, part: Path) -> None:
    with connections.one() as connection, closing(sqlite3.connect(part)) as copy:
        connection.backup(copy)


def _name(part: Path, target: Path) -> None:
    """Give the whole copy its name, but never that of another file."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links, such as a USB stick's
        if os.path.lexists(target):
            raise _exists(target) from None
        part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(folder)
    finally:
        os.close(folder)


def _exists(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The file {path} exists already and is left as it is; name a new one.",
        code="ledger.exists",
    )


def _failed(target: Path, error: BaseException) -> MoatbridgeError:
    if isinstance(error, OSError) and error.errno not in _ROOM:
        return ConfigurationError(
            f"The ledger cannot be copied to {target}: {_why(target, error)}. Name a "
            "file in a folder that is there and that you may write to.",
            code="ledger.backup",
        )
    why = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if isinstance(error, OSError):
        why = error.strerror or why
    return NotApplied(
        f"The copy {target} could not be written ({why}), and nothing of it is left. "
        "Check that its disk has room, and try again; the ledger itself is untouched.",
        code="ledger.unavailable",
    )


def _why(target: Path, error: OSError) -> str:
    folder = target.parent
    if isinstance(error, PermissionError):
        return f"you may not write to the folder {folder}"
    if isinstance(error, NotADirectoryError) or folder.is_file():
        return f"{folder} is no folder"
    if isinstance(error, FileNotFoundError):
        return f"the folder {folder} does not exist"
    return f"the system says: {error.strerror}"
