"""What the kill loop runs: a reader with the smallest safe ledger, and a publisher.

The ledger is one SQLite file: records and cursor are committed together, as the core
does. Crash points lie before and after every call that changes something at the server.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Intent
from moatbridge.resilience.crash import crash_point
from moatbridge.testing import net
from moatbridge_sftp import SftpAdapter, SftpConfig, SftpStreamConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = """
create table if not exists seen(nr text, version text);
create table if not exists place(id integer primary key, cursor text);
create table if not exists sent(batch integer primary key);
"""


def ledger(folder: str) -> sqlite3.Connection:
    connection = sqlite3.connect(Path(folder) / "ledger.db", isolation_level=None)
    connection.executescript(SCHEMA)
    return connection


def adapter(order: dict[str, Any]) -> SftpAdapter:
    config = SftpConfig(**order["system"])
    made = SftpAdapter(
        config, {"people": SftpStreamConfig.model_validate(order["stream"])}
    )
    made.net = net(SftpAdapter.endpoints(config))
    return made


def watched(made: SftpAdapter) -> None:
    """Crash points round the storage's calls."""
    storage: Any = made._storage
    read, rename, create = storage.read, storage.rename, storage.create

    def reading(path: str, *, size: int) -> Iterator[bytes]:
        for chunk in read(path, size=size):
            yield chunk
            crash_point("spool.mid")

    def renaming(old: str, new: str) -> None:
        crash_point("rename.before")
        rename(old, new)
        crash_point(f"{_step(old, new)}.after")

    def creating(path: str, chunks: Any) -> int:
        size: int = create(path, chunks)
        crash_point("receipt.draft" if path.endswith(".receipt") else "part.after")
        return size

    storage.read, storage.rename, storage.create = reading, renaming, creating


def _step(old: str, new: str) -> str:
    if old.endswith(".receipt"):
        return "receipt"
    if old.endswith(".done"):
        return "done"
    if old.endswith(".part"):
        return "release"
    return "claim" if "/work/" in new else "archive"


def pickup(argument: str) -> None:
    """Read until nothing is left."""
    order = json.loads(argument)
    with contextlib.closing(ledger(order["folder"])) as db, adapter(order) as made:
        watched(made)
        crash_point("start")
        row = db.execute("select cursor from place").fetchone()
        cursor = json.loads(row[0]) if row else None
        if cursor is None:
            cursor = next(made.changes("people", None)).cursor
        while True:
            count = 0
            for batch in made.changes("people", cursor):
                cursor = json.loads(json.dumps(batch.cursor))
                count += len(batch.changes)
                if order.get("settle_first"):
                    made.settle("people", cursor)
                crash_point("commit.before")
                _commit(db, batch, cursor)
                crash_point("commit.after")
                made.settle("people", cursor)
                crash_point("settle.after")
            if not count:
                return


def _commit(db: sqlite3.Connection, batch: Any, cursor: Any) -> None:
    db.execute("begin immediate")
    rows = [(change.ref.key, change.version) for change in batch.changes]
    db.executemany("insert into seen values (?, ?)", rows)
    db.execute("insert or replace into place values (1, ?)", [json.dumps(cursor)])
    db.execute("commit")


def publish(argument: str) -> None:
    """Publish every batch, each again until it is known to be applied."""
    order = json.loads(argument)
    with contextlib.closing(ledger(order["folder"])) as db, adapter(order) as made:
        watched(made)
        crash_point("start")
        done = {batch for (batch,) in db.execute("select batch from sent")}
        for batch in range(order["batches"]):
            if batch in done:
                continue
            receipts = made.write("people", batch_of(batch))
            assert {receipt.outcome for receipt in receipts} == {"applied"}, receipts
            crash_point("answer.after")
            db.execute("insert into sent values (?)", [batch])


def batch_of(number: int) -> list[Intent]:
    """Three intents, the same in every life."""
    rows = [number * 3 + place for place in range(3)]
    return [
        Intent(f"k{row:025}", "create", None, {"nr": str(row), "name": "x"})
        for row in rows
    ]
