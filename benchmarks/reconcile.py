"""What reconciling costs a record, beside the bare reading of both ends.

A flow of N people is delivered from one memory system to another; 1 % of the target is
then spoilt (gone, changed, doubled, left over), and one field is written by the target
in its own way. Shown: CPU microseconds a record of the whole, of reading both ends
without comparing anything, and of the difference, which is what the comparison costs;
peak memory above what it was before; and that all that was spoilt was found, and
nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from flow.reconcile_world import Seeded

GOAL = 50_000


def bare(world: Seeded) -> float:
    """CPU seconds for reading both ends, as the adapters do it."""
    started = time.process_time()
    for name, stream in (("hr", "people"), ("social", "people")):
        with world.bridge.session(name) as session:
            for partition in session.split(stream, 1):
                for _batch in session.scan(stream, partition, None):
                    pass
    return time.process_time() - started


def measured(world: Seeded) -> tuple[float, bool]:
    """CPU seconds of one reconciliation, and whether it found just what is wrong."""
    started = time.process_time()
    names, _report = world.found()
    return time.process_time() - started, names == world.expected


def peak(world: Seeded) -> float:
    """MiB that one reconciliation needs at most."""
    tracemalloc.start()
    world.found()
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count = options.records
    with tempfile.TemporaryDirectory() as name:
        world = Seeded(Path(name), count=count, wrong=count // 100)
        reading = min(bare(world) for _ in range(options.rounds))
        runs = [measured(world) for _ in range(options.rounds)]
        whole = min(seconds for seconds, _right in runs)
        facts = {
            "records": count,
            "exact": all(right for _seconds, right in runs),
            "whole_us": round(whole / count * 1e6, 1),
            "reading_us": round(reading / count * 1e6, 1),
            "compare_us": round((whole - reading) / count * 1e6, 1),
            "compare_per_second": round(count / (whole - reading)),
            "goal_per_second": GOAL,
            "peak_mib": round(peak(world), 1),
        }
        world.bridge.close()
    if options.json:
        print(json.dumps(facts))
        return
    for what, value in facts.items():
        print(f"{what:>20}  {value}")


if __name__ == "__main__":
    main()
