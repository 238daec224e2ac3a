"""The scratch file in which reconciling joins two streams.

The scratch file is SQLite's own kind of temporary database: nameless, private to this
process, spilled to disk when it grows, gone when it is closed. It holds salted hashes,
link ids, and the keys of target records; never a value.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger.marks import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PAGE: Final = 500
_BITS: Final = "{:x}".format

_SCHEMA: Final = """
CREATE TABLE there(link_id INTEGER PRIMARY KEY, key TEXT, prints BLOB, active INT);
CREATE TABLE extra(k BLOB PRIMARY KEY, key TEXT, name TEXT, who TEXT, ours INT,
  source TEXT) WITHOUT ROWID;
CREATE TABLE term(path INT, h INT, k BLOB, PRIMARY KEY(path, h, k)) WITHOUT ROWID;
CREATE TABLE suspect(link_id INTEGER PRIMARY KEY, kind TEXT, alike TEXT, differs TEXT,
  behind INT);
CREATE TABLE twice(k BLOB PRIMARY KEY, link_id INT, key TEXT, name TEXT, who TEXT)
  WITHOUT ROWID;
CREATE TABLE planned(k BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE found(link_id INTEGER PRIMARY KEY, kind TEXT, fields TEXT,
  claimant TEXT);
"""


class Extra(NamedTuple):
    """A target record that nothing is linked to.

    Args:
        k: Hash of its key.
        key: Its key.
        name: Its mutable name.
        who: Its name for people.
        ours: It carries an external id.
        source: Key of the source record that it matches, once that is known.
    """

    k: bytes
    key: str
    name: str | None
    who: str
    ours: bool
    source: str | None = None

    def __repr__(self) -> str:
        return f"Extra(ours={self.ours})"


class Suspect(NamedTuple):
    """A link that seemed to differ.

    ``alike`` and ``differs`` hold one bit per path; ``behind`` says that the source
    changed since it was last carried.
    """

    link_id: int
    kind: str
    alike: int = 0
    differs: int = 0
    behind: bool = False


class Found(NamedTuple):
    """A divergence that can be repaired.

    Args:
        link_id: Which link.
        kind: ``missing``, ``changed``, ``enabled``, or ``retracted``: changed, and
            taken back in other fields.
        fields: Entity paths that differ.
        claimant: JSON of key and name of another target record that is this one.
    """

    link_id: int
    kind: str
    fields: tuple[str, ...] = ()
    claimant: str | None = None

    def __repr__(self) -> str:
        return f"Found({self.kind} {list(self.fields)} link={self.link_id})"


class Scratch:
    """A temporary database; used by one thread, closed at the end."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA cache_size=-16384")
        self._db.executescript(_SCHEMA)

    # --- the target, as it was read -------------------------------------------------

    def put_there(self, rows: Sequence[tuple[int, str, bytes, int | None]]) -> None:
        """Linked target records: (link id, key, prints, whether it is active)."""
        self._many("INSERT OR REPLACE INTO there VALUES(?,?,?,?)", rows)

    def there(self, link_ids: Sequence[int]) -> dict[int, tuple[bytes, int | None]]:
        """Prints and activity of these links' target records."""
        return {
            link_id: (prints, active)
            for link_id, prints, active in self._in(
                "SELECT link_id, prints, active FROM there WHERE link_id IN",
                link_ids,
            )
        }

    def keys_there(self, link_ids: Sequence[int]) -> dict[int, str]:
        """Key under which each link's target record was seen."""
        return dict(
            self._in("SELECT link_id, key FROM there WHERE link_id IN", link_ids)
        )

    # --- what is linked to nobody ---------------------------------------------------

    def put_extra(
        self, extras: Sequence[Extra], terms: Sequence[tuple[int, int, bytes]]
    ) -> None:
        """Records without a link, and (path, hash, key hash) to find them by."""
        self._many(
            "INSERT OR REPLACE INTO extra VALUES(?,?,?,?,?,?)",
            [(*extra[:4], int(extra.ours), extra.source) for extra in extras],
        )
        self._many("INSERT OR REPLACE INTO term VALUES(?,?,?)", terms)

    def any_extra(self) -> bool:
        """Whether anything is linked to nobody."""
        return self._db.execute("SELECT 1 FROM term LIMIT 1").fetchone() is not None

    def matching(self, path: int, hashes: Sequence[int]) -> dict[int, list[bytes]]:
        """Hash -> key hashes of the extras that hold it."""
        found: dict[int, list[bytes]] = {}
        for h, k in self._in(
            f"SELECT h, k FROM term WHERE path={int(path)} AND h IN", hashes
        ):
            found.setdefault(h, []).append(k)
        return found

    def claim(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Say which source record an extra matches: (source key, key hash)."""
        self._many("UPDATE extra SET source=coalesce(source, ?) WHERE k=?", rows)

    def extras(self) -> Iterator[list[Extra]]:
        """Every record without a link, page by page."""
        after = b""
        while rows := self._db.execute(
            "SELECT k, key, name, who, ours, source FROM extra WHERE k>? "
            "ORDER BY k LIMIT ?",
            (after, _PAGE),
        ).fetchall():
            after = rows[-1][0]
            yield [Extra._make((*row[:4], bool(row[4]), row[5])) for row in rows]

    def put_twice(
        self, rows: Sequence[tuple[bytes, int, str, str | None, str]]
    ) -> None:
        """Second target records: (key hash, link id, key, name, who)."""
        self._many("INSERT OR REPLACE INTO twice VALUES(?,?,?,?,?)", rows)

    def twice(self) -> list[tuple[bytes, int, str, str | None, str]]:
        """The second target records of links."""
        return self._db.execute(
            "SELECT k, link_id, key, name, who FROM twice ORDER BY k"
        ).fetchall()

    # --- what seemed to differ ------------------------------------------------------

    def suspect(self, rows: Sequence[Suspect]) -> None:
        """Links to look at a second time."""
        self._many(
            "INSERT OR REPLACE INTO suspect VALUES(?,?,?,?,?)",
            [
                (s.link_id, s.kind, _BITS(s.alike), _BITS(s.differs), int(s.behind))
                for s in rows
            ],
        )

    def suspects(self) -> Iterator[list[Suspect]]:
        """Every suspect link, page by page."""
        after = 0
        while rows := self._db.execute(
            "SELECT link_id, kind, alike, differs, behind FROM suspect WHERE link_id>? "
            "ORDER BY link_id LIMIT ?",
            (after, _PAGE),
        ).fetchall():
            after = rows[-1][0]
            yield [_suspect(row) for row in rows]

    def put_planned(self, ks: Sequence[bytes]) -> None:
        """Records, by key hash, of which something is on its way."""
        self._many("INSERT OR REPLACE INTO planned VALUES(?)", [(k,) for k in ks])

    def planned(self, ks: Sequence[bytes]) -> set[bytes]:
        """Which of these records something is on its way for."""
        return {bytes(k) for (k,) in self._in("SELECT k FROM planned WHERE k IN", ks)}

    # --- what does differ -----------------------------------------------------------

    def put_found(self, rows: Sequence[Found]) -> None:
        """What is to be repaired."""
        self._many(
            "INSERT OR REPLACE INTO found VALUES(?,?,?,?)",
            [(*row[:2], " ".join(row.fields), row.claimant) for row in rows],
        )

    def claimed(self, link_id: int, claimant: str) -> None:
        """Another target record says that it is the one that is missing."""
        self._db.execute(
            "UPDATE found SET claimant=? WHERE link_id=?", (claimant, link_id)
        )

    def found(self, size: int) -> Iterator[list[Found]]:
        """What is to be repaired, batch by batch."""
        after = 0
        while rows := self._db.execute(
            "SELECT link_id, kind, fields, claimant FROM found WHERE link_id>? "
            "ORDER BY link_id LIMIT ?",
            (after, size),
        ).fetchall():
            after = rows[-1][0]
            yield [_found(row) for row in rows]

    def of_found(self, link_ids: Sequence[int]) -> dict[int, Found]:
        """Of these links, those that are to be repaired."""
        rows = self._in(
            "SELECT link_id, kind, fields, claimant FROM found WHERE link_id IN",
            link_ids,
        )
        return {row[0]: _found(row) for row in rows}

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def _many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._db.execute("BEGIN")
            self._db.executemany(sql, rows)
            self._db.execute("COMMIT")

    def _in(self, sql: str, values: Iterable[Any]) -> Iterator[Any]:
        for part in chunks(values, _PAGE):
            holes = ",".join("?" * len(part))
            yield from self._db.execute(f"{sql} ({holes})", part)


def _suspect(row: Any) -> Suspect:
    return Suspect._make((*row[:2], int(row[2], 16), int(row[3], 16), bool(row[4])))


def _found(row: Any) -> Found:
    return Found(row[0], row[1], tuple(row[2].split()), row[3])
