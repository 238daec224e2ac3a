"""A large CSV drop through the whole bridge to a counting platform, killed half way.

    uv run --no-sync python benchmarks/sftp_bridge.py                 # 1 GiB, ~4 million rows
    uv run --no-sync python benchmarks/sftp_bridge.py --size "64 MiB"

The drop folder adapter reads, the ledger keeps, the guard judges, the scim adapter sends
bulks of 100 to ``sink.py``. The worker process is killed with SIGKILL once half of the
rows have arrived; another one goes on inside the file. One JSON line tells rows lost and
doubled at the platform (both must be 0), the growth of memory over the worker's start,
and rows a second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.measuring import resident
from sftp_large import write
from sink import Counting

from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge_sftp.units import octets

FIELDS = {
    "userName": "login",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "phone",
    "enterprise.department": "dept",
}
EARLY = 10_000
COLUMNS = ("nr", *FIELDS.values())


def config(folder: Path, url: str) -> dict[str, Any]:
    most = 100_000_000
    return {
        "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
        "run": {"ttl": 3.0},
        "guard": {"creates": most, "four_eyes": False, "loosen": {"creates": "benchmark, nobody, until 2099-01-01"}},
        "systems": {
            "files": {"adapter": "sftp", "url": f"file://{folder}/drop"},
            "social": {
                "adapter": "scim", "base_url": url, "auth": {"kind": "bearer", "token": "env:SINK_TOKEN"},
                "insecure_cleartext": True, "allow_networks": ["127.0.0.0/8"], "max_label": "confidential", "exposure": "internal",
            },
        },
        "streams": {
            "files/people": {
                "folder": "in", "files": "*.csv", "content": "delta", "format": "csv", "key": ["nr"], "fields": list(COLUMNS),
                "ripe": "atomic", "controls": {"trailer": r"TRL;(?P<count>\d+)"},
                "translator": {"entity": "Person", "fields": FIELDS},
            },
            "social/people": {},
        },
        "flows": {"people": {"from": "files/people", "to": "social/people"}},
    }  # fmt: skip


def worker(folder: Path, url: str) -> None:
    """Run the flow until nothing is left; told on standard output."""
    with Bridge(parse(config(folder, url), Registry())) as bridge:
        print(json.dumps({"base": resident(os.getpid())}), flush=True)
        while True:
            result = bridge.run("people", actor="benchmark")
            if result.state == "planned":
                bridge.apply(result.plan, confirm=result.plan.verdict.count)
            elif result.state in {"done", "nothing"} and not result.delivered:
                return


class Worker:
    """A child process, with the highest memory it was seen with."""

    def __init__(self, folder: Path, url: str) -> None:
        command = [sys.executable, __file__, "--worker", str(folder), url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.base = json.loads(self.process.stdout.readline())["base"]
        self.peak = self.base
        self.early = 0.0

    def watch(self, arrived: Any, until: int) -> None:
        """Until so many rows have arrived, or it ends by itself."""
        first = arrived()
        while self.process.poll() is None and (rows := arrived()) < until:
            self.peak = max(self.peak, resident(self.process.pid))
            if rows - first >= EARLY and not self.early:
                self.early = self.peak
            time.sleep(0.3)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def run(folder: Path, size: int) -> int:
    drop = folder / "drop" / "in"
    drop.mkdir(parents=True)
    rows = write(drop / "people.csv", size)
    text = (drop / "people.csv").open("rb")
    text.seek(-64, os.SEEK_END)
    assert b"TRL" in text.read()
    text.close()
    begun = time.monotonic()
    with Counting() as sink:
        first = Worker(folder, sink.url)
        first.watch(lambda: sink.stats()["records"], rows // 2)
        first.kill()
        there = sink.stats()["records"]
        time.sleep(3.5)  # the dead worker's leases
        second = Worker(folder, sink.url)
        second.watch(lambda: sink.stats()["records"], rows + 1)
        seconds = time.monotonic() - begun
        stats = sink.stats()
    result = {
        "bytes": size,
        "rows": rows,
        "killed_after": there,
        "lost": rows - stats["records"],
        "repeats_refused": stats["repeats"],
        "base_mib": [round(first.base, 1), round(second.base, 1)],
        "grew_mib": [round(w.peak - w.base, 1) for w in (first, second)],
        "grew_after_10000_mib": [round(w.peak - w.early, 1) for w in (first, second)],
        "rows_per_s": round(rows / seconds),
        "left": sorted(each.name for each in drop.rglob("work/*")),
    }
    print(json.dumps(result), flush=True)
    wrong = result["lost"] or result["left"] or second.process.returncode
    return int(bool(wrong) or not 0 < there < rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1 GiB")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.setdefault("SINK_TOKEN", "sink-token")
    if asked.worker:
        worker(Path(asked.worker[0]), asked.worker[1])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), octets(asked.size))


if __name__ == "__main__":
    raise SystemExit(main())
