"""SQL -> SCIM-shaped sink through the whole pipeline, beside a plain script.

Shown: memory stays within 64 MiB of what it was after the first 10,000 records; an
unchanged second pass sends no request and costs under 20 % of the first run's CPU.
The plain script reads the same table and posts the same bulks, without ledger, guard,
plan or resume. CPU seconds of this process, medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Self

from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge

COLUMNS = (
    "pers_nr",
    "login",
    "vorname",
    "nachname",
    "mail",
    "telefon",
    "titel",
    "abteilung",
)
FIELDS = {
    "userName": "login",
    "name.givenName": "vorname",
    "name.familyName": "nachname",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "telefon",
    "title": "titel",
    "enterprise.department": "abteilung",
}
MIB = 1024 * 1024


def seed(path: Path, count: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE personal (pers_nr INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, vorname TEXT, nachname TEXT, mail TEXT, telefon TEXT, titel TEXT, abteilung TEXT)"
        )
        db.executemany(
            "INSERT INTO personal VALUES (?,?,?,?,?,?,?,?)",
            (
                (
                    100000 + n,
                    f"u{n:06}",
                    "Ada",
                    f"Müller-{n}",
                    f"u{n:06}@legacy.example",
                    f"+49 30 {n:06}",
                    f"Engineer {n % 50}",
                    f"D{n % 40:02}",
                )
                for n in range(count)
            ),
        )
    db.close()


class Sink:
    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sink.py")), "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def stats(self) -> dict:
        with urllib.request.urlopen(f"{self.url}/stats") as answer:
            return json.load(answer)


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


class Memory:
    """Samples resident memory: at 10,000 delivered, and the highest after that."""

    def __init__(self) -> None:
        self.base = resident()
        self.mark = 0.0
        self.peak = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def delivered(self, done: int) -> None:
        if done >= 10_000 and not self.mark:
            self.mark = self.peak = resident()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            if self.mark:
                self.peak = max(self.peak, resident())

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def config(folder: Path, database: Path, url: str, count: int) -> dict:
    return {
        "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
        "guard": {"creates": count + 1, "four_eyes": False, "loosen": {"creates": "benchmark, nobody, until 2099-01-01"}},
        "systems": {
            "hr": {"adapter": "sql", "url": f"sqlite:///{database}"},
            "social": {
                "adapter": "scim", "base_url": url, "auth": {"kind": "bearer", "token": "env:SINK_TOKEN"},
                "insecure_cleartext": True, "allow_networks": ["127.0.0.0/8"], "max_label": "confidential", "exposure": "internal",
            },
        },
        "streams": {
            "hr/people": {"table": "personal", "fields": list(COLUMNS), "translator": {"entity": "Person", "fields": FIELDS}},
            "social/people": {},
        },
        "flows": {"people": {"from": "hr/people", "to": "social/people"}},
    }  # fmt: skip


def ours(folder: Path, database: Path, count: int) -> dict:
    with (
        Sink() as sink,
        Bridge(parse(config(folder, database, sink.url, count), Registry())) as bridge,
    ):
        memory = Memory()
        cpu, wall = time.process_time(), time.perf_counter()
        plan = bridge.plan("people")
        result = bridge.apply(
            plan,
            confirm=plan.verdict.count,
            progress=lambda done, _all: memory.delivered(done),
        )
        first, first_wall = time.process_time() - cpu, time.perf_counter() - wall
        memory.stop()
        assert result.state == "done", result
        before = sink.stats()
        assert before["records"] == count, before
        assert before["repeats"] == 0, before
        cpu = time.process_time()
        again = bridge.plan("people")
        second = time.process_time() - cpu
        assert again.empty, again
        after = sink.stats()
        return {
            "cpu": first,
            "wall": first_wall,
            "second_cpu": second,
            "second_requests": after["requests"] - before["requests"],
            "requests": before["requests"],
            "memory_base": memory.base,
            "memory_at_10000": memory.mark,
            "memory_peak": memory.peak,
        }


def plain(database: Path, count: int) -> dict:
    """What a user would write in an afternoon."""
    import httpx2

    with Sink() as sink, httpx2.Client(base_url=sink.url) as client:
        cpu = time.process_time()
        db = sqlite3.connect(database)
        rows = db.execute(f"SELECT {', '.join(COLUMNS)} FROM personal")
        while batch := rows.fetchmany(100):
            operations = [
                {
                    "method": "POST", "path": "/Users", "bulkId": str(i),
                    "data": {
                        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": str(r[0]), "userName": r[1],
                        "name": {"givenName": r[2], "familyName": r[3]}, "emails": [{"type": "work", "value": r[4]}],
                        "phoneNumbers": [{"type": "work", "value": r[5]}], "title": r[6],
                        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": r[7]}, "active": True,
                    },
                }
                for i, r in enumerate(batch)
            ]  # fmt: skip
            client.post(
                "/Bulk",
                json={
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                    "Operations": operations,
                },
            ).raise_for_status()
        db.close()
        used = time.process_time() - cpu
        assert sink.stats()["records"] == count
        return {"cpu": used}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    runs: dict[str, list[dict]] = {"moatbridge": [], "plain script": []}
    for _round in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            seed(folder / "hr.db", args.people)
            runs["plain script"].append(plain(folder / "hr.db", args.people))
            runs["moatbridge"].append(ours(folder, folder / "hr.db", args.people))
    mine = {
        key: statistics.median(run[key] for run in runs["moatbridge"])
        for key in runs["moatbridge"][0]
    }
    theirs = statistics.median(run["cpu"] for run in runs["plain script"])
    growth = mine["memory_peak"] - mine["memory_at_10000"]
    share = mine["second_cpu"] / mine["cpu"]
    rows = [
        ("first run, CPU us a record", f"{mine['cpu'] / args.people * 1e6:.0f}", ""),
        ("first run, records a second", f"{args.people / mine['wall']:.0f}", ""),
        ("plain script, CPU us a record", f"{theirs / args.people * 1e6:.0f}", ""),
        ("CPU, ours over the plain script", f"{mine['cpu'] / theirs:.1f} x", ""),
        ("requests of the first run", f"{mine['requests']:.0f}", ""),
        ("memory over the first 10,000, MiB", f"{growth:.1f}", "<= 64"),
        ("unchanged pass, requests", f"{mine['second_requests']:.0f}", "0"),
        ("unchanged pass, share of the first run's CPU", f"{share:.1%}", "< 20 %"),
    ]
    for name, value, goal in rows:
        print(f"{name:48} {value:>10}  {goal}")
    good = growth <= 64 and mine["second_requests"] == 0 and share < 0.2
    print("ok" if good else "NOT REACHED")
    return 0 if good else 1


if __name__ == "__main__":
    import os

    os.environ.setdefault("SINK_TOKEN", "benchmark-token")
    raise SystemExit(main())
