"""A practice intranet: a table of notices, and a folder with a picture.

Makes ``intranet.db`` and ``media/menu.png``; with an argument it runs that statement:
``python notices.py "delete from notices where id = 2"``.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
import zlib
from contextlib import closing
from pathlib import Path

FILE = Path("intranet.db")
NOTICES = (
    ("org", "Canteen", "New menu from Monday", "menu.png", "Soup, noodles, fruit"),
    ("org", "Parking", "Level 2 is closed @everyone", None, None),
    ("public", "Open day", "Come and see us on Saturday", None, None),
)
COLUMNS = "reader text, title text, body text, picture text, alt text"


def main(arguments: list[str]) -> None:
    """Make both, or run one statement."""
    if arguments:
        run(arguments[0])
        return
    FILE.unlink(missing_ok=True)
    run(f"create table notices(id integer primary key, {COLUMNS})")
    for notice in NOTICES:
        run("insert into notices values(null, ?, ?, ?, ?, ?)", notice)
    Path("media").mkdir(exist_ok=True)
    Path("media/menu.png").write_bytes(picture())


def run(statement: str, values: tuple[str | None, ...] = ()) -> None:
    """One statement in a transaction of its own."""
    with closing(sqlite3.connect(FILE)) as db, db:
        db.execute(statement, values)


def picture() -> bytes:
    """The smallest PNG: one grey pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    sum_ = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + sum_


if __name__ == "__main__":
    main(sys.argv[1:])
