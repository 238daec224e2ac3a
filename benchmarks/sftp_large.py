"""A large CSV through the sftp adapter: memory, speed, and a kill in the middle.

    uv run --no-sync python benchmarks/sftp_large.py               # 1 GiB, local folder
    uv run --no-sync python benchmarks/sftp_large.py --size "64 MiB" --sshd

A child process follows the stream and commits each batch, with its cursor, to a small
ledger. The parent kills it with SIGKILL once half of the rows are committed and starts
another one, which must go on inside the file. One JSON line tells rows lost and doubled
(both must be 0), the growth of memory over an open connection, and rows a second. The
exit status is 0 only if nothing was lost, doubled, or left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from moatbridge.testing import net
from moatbridge_sftp import SftpAdapter, SftpConfig, SftpStreamConfig
from moatbridge_sftp.units import octets

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

COLUMNS = (
    "nr",
    "login",
    "given",
    "family",
    "mail",
    "phone",
    "dept",
    "cost",
    "hired",
    "note",
)
STREAM: dict[str, Any] = {
    "folder": "in",
    "files": "*.csv",
    "content": "delta",
    "format": "csv",
    "key": ["nr"],
    "fields": {**dict.fromkeys(COLUMNS, "text"), "hired": {"type": "date"}},
    "ripe": "atomic",
    "controls": {"trailer": r"TRL;(?P<count>\d+)"},
}
PAD = "n" * 200
SCHEMA = """
create table if not exists took(first integer, last integer, n integer);
create table if not exists memory(life integer primary key, grew real);
create table if not exists place(id integer primary key, cursor text);
"""


def write(path: Path, size: int) -> int:
    """A file of about ``size`` bytes; returns its rows."""
    rows = 0
    with path.open("w", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        while file.tell() < size:
            lines = (
                f"{nr},u{nr},Anna,Meier,u{nr}@example.org,+49 30 {nr},sales,4711,2020-01-31,{PAD}\n"
                for nr in range(rows, rows + 5000)
            )
            file.write("".join(lines))
            rows += 5000
        file.write(f"TRL;{rows}\n")
    return rows


def memory(kind: str) -> float:
    """MiB of memory in use (``VmRSS``), or at most so far (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    return 0.0


def ledger(folder: str) -> sqlite3.Connection:
    db = sqlite3.connect(Path(folder) / "ledger.db", isolation_level=None, timeout=30)
    db.execute("pragma journal_mode=wal")
    db.executescript(SCHEMA)
    return db


def child(order: dict[str, Any]) -> None:
    """Follow the stream until nothing is left."""
    config = SftpConfig(**order["system"])
    adapter = SftpAdapter(config, {"people": SftpStreamConfig.model_validate(STREAM)})
    adapter.net = net(SftpAdapter.endpoints(config), deadline=3600)
    with contextlib.closing(ledger(order["folder"])) as db, adapter:
        row = db.execute("select cursor from place").fetchone()
        if row:
            cursor = json.loads(row[0])
        else:
            cursor = next(adapter.changes("people", None)).cursor
        base, begun = memory("VmRSS"), time.monotonic()
        first, rows, resumed = 0.0, 0, (row and json.loads(row[0]).get("at"))
        for batch in adapter.changes("people", cursor):
            first = first or time.monotonic() - begun
            commit(db, batch, memory("VmHWM") - base)
            rows += len(batch.changes)
            adapter.settle("people", batch.cursor)
        took = time.monotonic() - begun
    told = {
        "rows": rows,
        "grew_mib": round(memory("VmHWM") - base, 1),
        "first_batch_s": round(first, 2),
        "seconds": round(took, 2),
        "rows_per_s": round(rows / took),
        "resumed_at": resumed,
    }
    print(json.dumps(told), flush=True)


def commit(db: sqlite3.Connection, batch: Any, grew: float) -> None:
    db.execute("begin immediate")
    db.execute("insert or replace into memory values (?, ?)", [os.getpid(), grew])
    if batch.changes:
        ends = (int(batch.changes[0].ref.key), int(batch.changes[-1].ref.key))
        db.execute("insert into took values (?, ?, ?)", (*ends, len(batch.changes)))
    db.execute("insert or replace into place values (1, ?)", [json.dumps(batch.cursor)])
    db.execute("commit")


def judged(db: sqlite3.Connection, rows: int) -> tuple[int, int]:
    """Rows lost and doubled; batches are ranges without holes."""
    lost = doubled = 0
    expected = 0
    for first, last, count in db.execute(
        "select first, last, n from took order by first"
    ):
        assert last - first + 1 == count, "a batch with a hole"
        lost += max(0, first - expected)
        doubled += max(0, expected - first)
        expected = max(expected, last + 1)
    return lost + rows - expected, doubled


def spawn(order: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", json.dumps(order)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_half_way(order: dict[str, Any], db: sqlite3.Connection, rows: int) -> int:
    """Kill a worker when half of the rows are committed; returns how many were."""
    worker = spawn(order)
    while True:
        (done,) = db.execute("select coalesce(sum(n), 0) from took").fetchone()
        if done >= rows // 2 or worker.poll() is not None:
            break
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    (done,) = db.execute("select coalesce(sum(n), 0) from took").fetchone()
    return int(done)


def run(base: Path, system: dict[str, Any], size: int, owner: int | None) -> int:
    folder, spool = base / "own", base / "spool"
    for path in (folder, spool):
        path.mkdir()
    (base / "in").mkdir()
    data = base / "in" / "people.csv"
    rows = write(data, size)
    if owner is not None:
        for path in (base / "in", data):
            os.chown(path, owner, owner)
    order = {"folder": str(folder), "system": {**system, "spool_dir": str(spool)}}
    with contextlib.closing(ledger(str(folder))) as db:
        done = killed_half_way(order, db, rows)
        worker = spawn(order)
        told, _ = worker.communicate()
        lost, doubled = judged(db, rows)
        grew = [round(mib, 1) for (mib,) in db.execute("select grew from memory")]
    left = [p.name for p in (base / "in").rglob("work/*")] + [
        p.name for p in spool.iterdir()
    ]
    result = {
        "bytes": size, "rows": rows, "killed_after": done, "lost": lost,
        "doubled": doubled, "left": left, "grew_mib": grew, "second_life": json.loads(told or "null"),
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    return int(bool(lost or doubled or left or worker.returncode))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1 GiB")
    parser.add_argument("--sshd", action="store_true", help="over a real sshd (root)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(json.loads(asked.child))
        return 0
    size = octets(asked.size)
    if not asked.sshd:
        with tempfile.TemporaryDirectory() as base:
            return run(Path(base), {"url": f"file://{base}"}, size, None)
    from servers.openssh import PASSPHRASE, USER_ID, OpenSsh

    with OpenSsh() as server:
        secret = server.home / "passphrase"
        secret.write_text(PASSPHRASE)
        auth = {"key": f"file:{server.home / 'client'}", "passphrase": f"file:{secret}"}
        system = {
            "url": server.url(),
            "host_keys": [server.fingerprint()],
            "auth": auth,
        }
        return run(server.drop, system, size, USER_ID)


if __name__ == "__main__":
    raise SystemExit(main())
