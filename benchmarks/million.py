"""A million records through one bridge: memory, restart, and a pass that changes nothing.

    uv run --no-sync python benchmarks/million.py                    # 1,000,000 records
    uv run --no-sync python benchmarks/million.py --records 100000 --slower 2

The source makes its records up as they are asked for, the target counts them and takes its
time: ``--slower`` times as long a record as the bridge needs to read and stage one. So all
that grows is the bridge's own memory. Shown as one JSON line:

* ``grew_mib``: highest resident memory over what it was before the first record;
* ``restart_seconds``: from opening the full ledger to a bridge that can work;
* ``unchanged_us``: CPU microseconds that an unchanged record costs over merely reading it;
* ``ledger_us``: the ledger's part of them: fingerprint, look-up, seen bits, commits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.measuring import MIB, Memory

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanScan,
    CanWrite,
    Field,
    Partition,
    Probe,
    Stream,
    WriteTraits,
)
from moatbridge.changes import Batch, Change, Receipt, Ref
from moatbridge.config import parse
from moatbridge.flow.observe import Observer
from moatbridge.flow.reading import Pass
from moatbridge.ledger import marks, scans
from moatbridge.registry import Registry
from moatbridge.run import Bridge

PAGE = 500
COLUMNS = ("uid", "given", "family", "mail", "phone", "title", "dept")
PERSON = tuple(Field(name) for name in COLUMNS)
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "phone",
    "title": "title",
    "enterprise.department": "dept",
}


class World:
    """What source and target of this process share."""

    count = 0
    pause = 0.0
    arrived = 0


def person(number: int) -> dict[str, str]:
    """One record."""
    return {
        "uid": f"u{number:07}", "given": "Ada", "family": f"Müller-{number}", "mail": f"u{number:07}@legacy.example",
        "phone": f"+49 30 {number:07}", "title": "Engineer", "dept": f"D{number % 40:02}",
    }  # fmt: skip


class Made(Adapter[AdapterConfig], CanScan, CanWrite):
    """Source and target in one: neither keeps a record."""

    name = "made"
    Config = AdapterConfig

    @classmethod
    def endpoints(cls, config: Any) -> list[tuple[str, int]]:
        return []

    def open(self) -> None:
        return

    def close(self) -> None:
        return

    def probe(self) -> Probe:
        return Probe(server="made", product="benchmark", account="none")

    def streams(self) -> list[Stream]:
        fields = (*PERSON, Field("active", "bool"), Field("ext"))
        both = frozenset({"CanScan", "CanWrite"})
        return [Stream("people", fields, key=("uid",), abilities=both)]

    def split(self, stream: str, wanted: int) -> list[Partition]:
        return [Partition()]

    def scan(self, stream: str, partition: Partition, after: Any) -> Any:
        for start in range(after or 0, World.count, PAGE):
            end = min(start + PAGE, World.count)
            found = [
                Change(Ref(f"u{n:07}"), "upsert", person(n)) for n in range(start, end)
            ]
            yield Batch(found, cursor=end, complete=end == World.count)

    def traits(self, stream: str) -> WriteTraits:
        return WriteTraits(
            dedup="keyed", key_scope="object", max_batch=PAGE, max_request_life=0.0
        )

    def write(self, stream: str, intents: Any) -> list[Receipt]:
        World.arrived += len(intents)
        time.sleep(World.pause * len(intents))
        return [Receipt("applied", ref=Ref(intent.record["ext"])) for intent in intents]


def open_bridge(folder: Path) -> Bridge:
    registry = Registry(discover=False)
    registry.register("made", Made)
    most = dict.fromkeys(("creates", "updates"), 100_000_000)
    loose = dict.fromkeys(most, "benchmark, nobody, until 2099-01-01")
    there = {**FIELDS, "active": "active", "externalId": "ext"}
    person = {"entity": "Person", "fields": FIELDS}
    config = {
        "adapters": ["made"],
        "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
        "guard": {**most, "four_eyes": False, "loosen": loose},
        "systems": {name: {"adapter": "made", "max_label": "confidential"} for name in ("hr", "social")},
        "streams": {"hr/people": {"translator": person}, "social/people": {"translator": {**person, "fields": there}}},
        "flows": {"people": {"from": "hr/people", "to": "social/people", "partitions": 1}},
    }  # fmt: skip
    return Bridge(parse(config, registry), registry=registry)


def only_read() -> float:
    """CPU seconds that making the records costs, without any bridge."""
    begun = time.process_time()
    for _batch in Made(AdapterConfig(), {}).scan("people", Partition(), None):
        pass
    return time.process_time() - begun


class Stopwatch:
    """CPU seconds within some functions, of whichever thread calls them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, owner: Any, name: str) -> None:
        """Take the time of this function from now on."""
        whole = getattr(owner, name)

        def timed(*args: Any, **more: Any) -> Any:
            begun = time.thread_time()
            try:
                return whole(*args, **more)
            finally:
                self.seconds += time.thread_time() - begun

        setattr(owner, name, timed)


def ledgers_own() -> Stopwatch:
    """A watch on all that the ledger does for a record that did not change."""
    watch = Stopwatch()
    watch.on(marks, "lookup")
    watch.on(scans.Bits, "update")
    watch.on(Pass, "commit")
    watch.on(Observer, "_fingerprinted")
    return watch


def run(records: int, slower: float) -> dict[str, Any]:
    result: dict[str, Any] = {"records": records}
    with tempfile.TemporaryDirectory(prefix="moatbridge-million-") as name:
        folder = Path(name)
        World.count = records
        with open_bridge(folder) as bridge:
            memory = Memory()
            begun, cpu = time.monotonic(), time.process_time()
            plan = bridge.plan("people", actor="benchmark")
            staged = time.monotonic() - begun
            World.pause = slower * staged / records
            bridge.apply(plan, actor="benchmark", confirm=plan.verdict.count)
            result |= {
                "read_and_staged_a_second": round(records / staged),
                "delivered_a_second": round(
                    records / (time.monotonic() - begun - staged)
                ),
                "cpu_us": round((time.process_time() - cpu) / records * 1e6, 1),
                "lost": records - World.arrived,
                "grew_mib": memory.stop(),
                "ledger_mib": round((folder / "ledger.db").stat().st_size / MIB),
            }
        World.pause = 0.0
        begun = time.monotonic()
        with open_bridge(folder) as bridge:
            bridge.route("people")
            result["restart_seconds"] = round(time.monotonic() - begun, 3)
            bare, watch, begun = only_read(), ledgers_own(), time.process_time()
            bridge.plan("people", actor="benchmark")
            spent = time.process_time() - begun - bare
            for what, seconds in (
                ("unchanged_us", spent),
                ("ledger_us", watch.seconds),
                ("read_us", bare),
            ):
                result[what] = round(seconds / records * 1e6, 2)
    return result


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--slower", type=float, default=10.0)
    given = options.parse_args()
    result = run(given.records, given.slower)
    print(json.dumps(result), flush=True)
    return 0 if result["lost"] == 0 and result["grew_mib"] <= 64 else 1


if __name__ == "__main__":
    raise SystemExit(main())
