"""The best script: raw rows, orjson, urllib3 with keep-alive, 100 a request.

With a ledger: what is about to be sent is written down before it leaves (``pending``),
and what was answered after it (``done``), each with the cursor in one transaction and
synchronous FULL. So a kill loses nothing and sends nothing twice that was answered.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contents import creates, puts

from scenarios.to_platform.readers import BATCH, Rows, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Order = dict[str, Any]
LEDGER = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS record (key INTEGER PRIMARY KEY, hash BLOB NOT NULL, state INTEGER NOT NULL, body BLOB);
CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY, cursor INTEGER NOT NULL);
"""


class Platform:
    """Bulk requests over one connection."""

    def __init__(self, order: Order) -> None:
        import orjson
        import urllib3

        self._dumps, self._loads = orjson.dumps, orjson.loads
        self._pool = urllib3.connection_from_url(order["sink"], maxsize=1)
        self._headers = {
            "Content-Type": "application/scim+json",
            "Authorization": "Bearer benchmark",
        }

    def encode(self, body: Any) -> bytes:
        return self._dumps(body)

    def send(self, raw: bytes) -> None:
        """Raises if not every operation worked."""
        answer = self._pool.urlopen("POST", "/Bulk", body=raw, headers=self._headers)
        done = self._loads(answer.data)["Operations"]
        if answer.status != 200 or not all(d["status"][0] == "2" for d in done):
            raise RuntimeError("the platform refused something")


class Ledger:
    """One table of records, one of the place; both in one transaction a batch."""

    def __init__(self, order: Order) -> None:
        path = Path(order["folder"]) / "by-hand.db"
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(LEDGER)

    def pending(
        self, batch: Sequence[tuple[int, bytes]], cursor: int, raw: bytes
    ) -> None:
        """About to be sent; the body of the whole call is kept to be sent again."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO record VALUES (?, ?, 0, NULL) ON CONFLICT (key) DO UPDATE SET hash=excluded.hash, state=0",
            batch,
        )
        self._db.execute("UPDATE record SET body=? WHERE key=?", (raw, batch[0][0]))
        self._db.execute(
            "INSERT INTO place VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET cursor=excluded.cursor",
            (cursor,),
        )
        self._db.execute("COMMIT")

    def done(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Answered."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "UPDATE record SET state=1, body=NULL WHERE key=?",
            [(key,) for key, _ in batch],
        )
        self._db.execute("COMMIT")

    def known(self, keys: Sequence[int]) -> dict[int, bytes]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, hash FROM record WHERE key IN ({marks})"
        return dict(self._db.execute(query, keys).fetchall())


def _hash(row: tuple[Any, ...]) -> bytes:
    return blake2b(repr(row).encode(), digest_size=16).digest()


def marks_of(batch: Rows) -> list[tuple[int, bytes]]:
    """Key and hash of each."""
    return [(int(row[0]), _hash(row)) for row in batch]


def _send(
    order: Order, body: Callable[[Rows], Any], since: int | None = None
) -> Callable[[], Order]:
    platform, read = Platform(order), reader(order["source"], since)

    def run() -> Order:
        for batch in read():
            platform.send(platform.encode(body(batch)))
        return {}

    return run


def first(order: Order) -> Callable[[], Order]:
    """All of them."""
    return _send(order, creates)


def again(order: Order) -> Callable[[], Order]:
    """All of them, though the platform has them."""
    return _send(order, puts)


def delta(order: Order) -> Callable[[], Order]:
    """Those that changed since."""
    return _send(order, puts, order["since"])


def only_read(order: Order) -> Callable[[], Order]:
    """The floor of every full pass."""
    read = reader(order["source"])
    return lambda: {"seen": sum(map(len, read()))}


def _with_ledger(
    order: Order,
    body: Callable[[Rows], Any],
    since: int | None = None,
    chosen: Callable[[Iterator[Rows], Ledger], Iterator[Rows]] = lambda read, _ledger: (
        read
    ),
) -> Callable[[], Order]:
    platform, read = Platform(order), reader(order["source"], since)

    def run() -> Order:
        ledger = Ledger(order)
        for batch in chosen(read(), ledger):
            marks = marks_of(batch)
            raw = platform.encode(body(batch))
            ledger.pending(marks, marks[-1][0], raw)
            platform.send(raw)
            ledger.done(marks)
        return {}

    return run


def _changed(read: Iterator[Rows], ledger: Ledger) -> Iterator[Rows]:
    """Batches of the rows whose hash is not the one that the ledger knows."""
    found: Rows = []
    for batch in read:
        known = ledger.known([row[0] for row in batch])
        found += [row for row in batch if known.get(row[0]) != _hash(row)]
        if len(found) >= BATCH:
            yield found[:BATCH]
            found = found[BATCH:]
    if found:
        yield found


def first_with_ledger(order: Order) -> Callable[[], Order]:
    """All of them."""
    return _with_ledger(order, creates)


def delta_with_ledger(order: Order) -> Callable[[], Order]:
    """Those that changed since."""
    return _with_ledger(order, puts, order["since"])


def compare(order: Order) -> Callable[[], Order]:
    """All are read; those whose hash differs are sent."""
    return _with_ledger(order, puts, chosen=_changed)
