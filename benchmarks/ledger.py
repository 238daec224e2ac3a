"""What the ledger costs a record, on SQLite and on PostgreSQL: its work alone.

    uv run python benchmarks/ledger.py [--records 50000] [--batch 500]

*unchanged*: one look-up a batch, bits, and the cursor every 10,000 records. *new*: stage,
admit and settle each batch (three commits), as a flow does. Both databases with fsync.
PostgreSQL needs Debian's ``postgresql``; the server is started here and removed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ledger.ground import Ground
from moatbridge.ledger import admission, marks, scans, settlement
from moatbridge.ledger.admission import Candidate
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.settlement import Policy, Result
from moatbridge.ledger.states import State

PAYLOAD = (
    '{"entity": {"userName": "somebody", "active": true, "displayName": "Some Body"}}'
)
FROZEN = (
    '{"op": "create", "ref": null, "record": {"uid": "somebody", "mail": "s@x.example"}, '
    '"owned": [], "before": null, "version": null, "base": null}'
)


def measured(work, count):
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) / count * 1e6, (
        time.perf_counter() - wall
    ) / count * 1e6


def new_records(ground, numbers, batch):
    for start in range(0, len(numbers), batch):
        ground.stage(
            *(
                ground.item(f"u{n}", payload=PAYLOAD)
                for n in numbers[start : start + batch]
            )
        )
        parcel = ground.next()
        items = ground.items(parcel)
        with ground.ledger.step(ground.lease) as tx:
            admission.admit(
                tx, flow_id=ground.row.flow_id, pair_id=ground.row.pair_id, side=0, named=False,
                conditional=True, parcel=parcel, fence=ground.lease.fence, retry_for=3600.0,
                candidates=[Candidate(item, FROZEN) for item in items],
            )  # fmt: skip
        parcel, items = parcel._replace(state=State.IN_FLIGHT), ground.items(parcel)
        results = [
            Result(i, State.DONE, target=(i.source[0], None, "1"), mark=(key_hash("t" + i.source[0]), i.fp, i.fp))
            for i in items
        ]  # fmt: skip
        with ground.ledger.step(ground.lease) as tx:
            settlement.settle(
                tx, flow_id=ground.row.flow_id, pair_id=ground.row.pair_id, side=0,
                parcel=parcel, results=results, policy=Policy(),
            )  # fmt: skip


def unchanged_records(ground, numbers, batch):
    bits = scans.Bits(ground.row.flow_id, 1, "g1/all")
    since = 0
    for start in range(0, len(numbers), batch):
        ks = [key_hash(f"u{n}") for n in numbers[start : start + batch]]
        with ground.ledger.read() as tx:
            known = marks.lookup(tx, ground.row.source_side, ks)
        for k in ks:
            bits.add(known[k].link_id)
        since += len(ks)
        if since >= 10_000:
            with ground.ledger.step(ground.lease, cursor={"at": start}) as tx:
                bits.save(tx)
            bits.saved()
            since = 0


def table(name, ground, records, batch):
    numbers = list(range(records))
    new_records(ground, range(records, records + 2000), batch)  # warm
    lines = {
        "new": measured(lambda: new_records(ground, numbers, batch), records),
        "unchanged": measured(
            lambda: unchanged_records(ground, numbers, batch), records
        ),
    }
    for what, (cpu, wall) in lines.items():
        print(f"{name:<12}{what:<12}{cpu:8.1f} us CPU here{wall:8.1f} us wall a record")


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--records", type=int, default=50_000)
    asked.add_argument("--batch", type=int, default=500)
    settings = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder))
        table("SQLite", ground, settings.records, settings.batch)
        ground.close()
    from servers.ledgers import LedgerServer

    with LedgerServer() as server, tempfile.TemporaryDirectory() as folder:
        with server.connect() as owner:
            owner.execute("ALTER SYSTEM SET fsync=on")
            owner.execute("SELECT pg_reload_conf()")
        ground = Ground(Path(folder), server.place())
        table("PostgreSQL", ground, settings.records, settings.batch)
        ground.close()


if __name__ == "__main__":
    main()
