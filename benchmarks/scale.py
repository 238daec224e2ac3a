"""Workers on one ledger: threads, processes, and bare threads that make the same calls.

Sixteen flows deliver to targets that answer each call of 100 records after 20 ms
(``--latency``: where that is longer, waiting is the limit and not Python). Timed
is delivery alone (reading and planning were done before): from the first call to the
last, as the ledger recorded them. The bare threads make the same calls without ledger,
guard or keys. Also: what one slice costs beside its work.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanFetch,
    CanScan,
    CanWrite,
    Field,
    Probe,
    Stream,
    WriteTraits,
)
from moatbridge.changes import Absent, Batch, Change, Receipt, Record, Ref
from moatbridge.cli.serving import serve
from moatbridge.config import parse
from moatbridge.flow import run_slice
from moatbridge.registry import Registry
from moatbridge.run import Bridge

FLOWS = 16
CALL = 100
LATENCY = 0.02
FIELDS = {"userName": "uid", "name.givenName": "given", "name.familyName": "family"}
PERSON = tuple(Field(name) for name in ("uid", "given", "family", "ext"))


class LatentConfig(AdapterConfig):
    """How many records there are, and how long an answer takes."""

    count: int = 0
    latency: float = LATENCY


class Latent(Adapter[LatentConfig], CanScan, CanFetch, CanWrite):
    """Records that are computed, and a target that only waits."""

    name = "latent"
    Config = LatentConfig

    @classmethod
    def endpoints(cls, config):
        return ()

    def open(self):
        pass

    def close(self):
        pass

    def probe(self):
        return Probe("latent")

    def streams(self):
        return [
            Stream("people", PERSON, key=("uid",), abilities=frozenset({"CanScan", "CanFetch", "CanWrite"}))
        ]  # fmt: skip

    def record(self, number):
        uid = f"u{number:06}"
        return {"uid": uid, "given": "Ada", "family": f"L{number}", "ext": uid}

    def scan(self, stream, partition, after):
        count = self.config.count
        for start in range(int((after or {}).get("n", 0)), max(1, count), 500):
            end = min(count, start + 500)
            rows = [self.record(n) for n in range(start, end)]
            found = [Change(Ref(row["uid"]), "upsert", row) for row in rows]
            yield Batch(found, {"n": end}, (), end >= count)

    def fetch(self, stream, refs):
        return [
            Record(ref, self.record(int(str(ref.key)[1:]))) if self.config.count else Absent(ref)
            for ref in refs
        ]  # fmt: skip

    def traits(self, stream):
        return WriteTraits(dedup="keyed", max_batch=CALL, max_request_life=0.0)

    def write(self, stream, intents):
        time.sleep(self.config.latency)
        return [Receipt("applied", ref=Ref(each.record["uid"])) for each in intents]


def bridge(folder, count, latency=LATENCY):
    registry = Registry(discover=False)
    registry.register("latent", Latent)
    rules = dict.fromkeys(("creates", "updates"), 10_000_000)
    table = {"entity": "Person", "fields": FIELDS}
    systems, streams, flows = {}, {}, {}
    for number in range(FLOWS):
        systems[f"from{number}"] = {
            "adapter": "latent",
            "count": count,
            "max_label": "confidential",
        }
        systems[f"to{number}"] = {
            "adapter": "latent",
            "latency": latency,
            "max_label": "confidential",
        }
        streams[f"from{number}/people"] = {"translator": table}
        streams[f"to{number}/people"] = {
            "translator": {**table, "fields": {**FIELDS, "externalId": "ext"}}
        }
        flows[f"f{number}"] = {
            "from": f"from{number}/people",
            "to": f"to{number}/people",
            "rescan": "1d",
        }
    config = {
        "adapters": ["latent"],
        "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
        "guard": {**rules, "four_eyes": False, "loosen": dict.fromkeys(rules, "benchmark, nobody, until 2099-01-01")},
        "systems": systems, "streams": streams, "flows": flows,
    }  # fmt: skip
    return Bridge(parse(config, registry), registry=registry)


def prepare(folder, count):
    """Plan everything; every plan is agreed to, and nothing of it is sent yet."""
    with bridge(folder, count) as made:
        for flow in made.config.flows:
            made.plan(flow)
        with made.ledger.write() as tx:
            tx.run("UPDATE run SET state='applying'")


def delivered(folder, wanted):
    """Records a second from the first call to the last; None while some are left."""
    ledger = sqlite3.connect(folder / "ledger.db", timeout=30)
    done, first, last = ledger.execute(
        "SELECT coalesce(sum(n), 0), min(first_sent), max(last_sent) FROM parcel WHERE state=10"
    ).fetchone()
    ledger.close()
    return done / (last - first) if done == wanted else None


def processes(folder, count, number, slots, latency):
    """That many worker processes with so many slots each."""
    prepare(folder, count)
    command = [
        sys.executable,
        __file__,
        "--worker",
        str(folder),
        "--count",
        str(count),
        "--slots",
        str(slots),
        "--latency",
        str(latency),
    ]
    workers = [
        subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(number)
    ]
    try:
        while (rate := delivered(folder, count * FLOWS)) is None:
            time.sleep(0.2)
    finally:
        for each in workers:
            each.send_signal(signal.SIGTERM)
        for each in workers:
            each.wait()
    return rate


def bare(count, slots, latency):
    """The same calls from plain threads."""
    calls = [CALL] * (count // CALL) * FLOWS

    def call(size):
        time.sleep(latency)
        return [Receipt("applied", ref=Ref(str(n))) for n in range(size)]

    begun = time.perf_counter()
    with ThreadPoolExecutor(slots) as pool:
        sent = sum(len(receipts) for receipts in pool.map(call, calls))
    return sent / (time.perf_counter() - begun)


def slice_cost(folder, rounds=200):
    """Milliseconds that a slice without work takes: claim, look, give back."""
    with bridge(folder, 0) as made:
        made.plan("f0")
        times = []
        for _ in range(rounds):
            with made.ledger.write() as tx:
                tx.run("UPDATE partition SET not_before=0")
            begun = time.perf_counter()
            run_slice(made, "f0", "lane/0", owner="bench")
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000, help="records of each flow")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument(
        "--latency", type=float, default=LATENCY, help="of a call, in seconds"
    )
    parser.add_argument("--worker", type=Path)
    given, _ = parser.parse_known_args()
    if given.worker is not None:
        with bridge(given.worker, given.count, given.latency) as made:
            os._exit(serve(made, list(made.config.flows), slots=given.slots))
    found = {}
    with tempfile.TemporaryDirectory() as top:
        for name, number, slots in (
            ("1 process, 4 slots", 1, 4),
            (f"1 process, {given.slots} slots", 1, given.slots),
            (f"4 processes, {given.slots // 4} slots each", 4, given.slots // 4),
        ):
            folder = Path(top, name.replace(" ", ""))
            folder.mkdir()
            found[name] = processes(folder, given.count, number, slots, given.latency)
        for slots in (4, given.slots):
            found[f"bare threads, {slots}"] = bare(given.count, slots, given.latency)
        folder = Path(top, "slice")
        folder.mkdir()
        cost = slice_cost(folder)
    for name, rate in found.items():
        print(f"{name:28} {rate:10,.0f} records/s")
    print(f"a slice without work         {cost:10.2f} ms ({cost / 300:.4f} % of 30 s)")
    print(json.dumps({**found, "slice_ms": cost}))


if __name__ == "__main__":
    main()
