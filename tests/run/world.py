"""Durable memory systems, a ledger, and workers in processes of their own.

Faults are files beside a system's data, so that a test can set them for workers that
run already: ``PATH.slow`` makes each write wait, ``PATH.loops`` and ``PATH.sleeps``
make every scan and write hang in a way that no deadline can end.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from moatbridge.adapter import Field, WriteTraits
from moatbridge.config import parse
from moatbridge.ledger.clock import boot_clock
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter, MemoryStream, MemorySystem
from servers.places import Place, place_for

TESTS = Path(__file__).parents[1]
PERSON = tuple(Field(name) for name in ("uid", "given", "family", "mail"))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
}
KEYED = WriteTraits(
    dedup="keyed", key_scope="request", max_batch=50, conditional=True,
    max_request_life=0.0,
)  # fmt: skip


class FaultyAdapter(MemoryAdapter):
    """A memory system that hangs or dawdles while its fault files are there."""

    name = "memory"

    def _fault(self, name):
        return os.path.exists(f"{self.config.path}.{name}")  # noqa: PTH110 - quick

    def _hang(self):
        while self._fault("loops"):
            sum(range(10_000))
        while self._fault("sleeps"):
            time.sleep(0.05)

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            self._hang()
            yield batch

    def write(self, stream, intents):
        self._hang()
        if self._fault("slow"):
            time.sleep(0.02)
        return super().write(stream, intents)


class Workers:
    """A folder with systems ``hr``, ``social`` (and more pairs), and their workers."""

    def __init__(self, folder, *, pairs=1, count=0, run=None, flow=None, systems=None):
        self.folder = folder
        self.pairs = pairs
        self.settings = {"run": run or {}, "flow": flow or {}, "systems": systems or {}}
        (folder / "settings.json").write_text(
            json.dumps({"pairs": pairs, **self.settings})
        )
        self.processes = []
        for number in range(pairs):
            there = (*PERSON, Field("active", "bool"), Field("ext"))
            with self.system(f"hr{number}") as hr:
                hr.add(MemoryStream("people", PERSON, key=("uid",), page=20))
            with self.system(f"social{number}") as social:
                social.add(MemoryStream("people", there, unique="ext", traits=KEYED))
            self.put(range(count), pair=number)

    @classmethod
    def found(cls, folder):
        """The world that another process made."""
        made = cls.__new__(cls)
        made.folder = folder
        settings = json.loads((folder / "settings.json").read_text())
        made.pairs = settings.pop("pairs")
        made.settings = settings
        made.processes = []
        return made

    def system(self, name):
        return _Opened(self.folder / f"{name}.db", name)

    def put(self, numbers, *, pair=0, **more):
        with self.system(f"hr{pair}") as hr, hr.store.transaction():
            hr.put("people", [
                {"uid": f"u{n:05}", "given": "Ada", "family": f"L{n}",
                 "mail": f"u{n}@x.example", **more} for n in numbers
            ])  # fmt: skip

    def gone(self, numbers, *, pair=0):
        with self.system(f"hr{pair}") as hr:
            stream = hr.stream("people")
            refs = [hr.ref_of(stream, {"uid": f"u{n:05}"}) for n in numbers]
            hr.delete("people", refs)

    def there(self, pair=0):
        with self.system(f"social{pair}") as social:
            return {row.data["uid"]: row.data for row in social.all("people")}

    def effects(self, pair=0):
        with self.system(f"social{pair}") as social:
            return social.effects()

    def fault(self, system, name, *, on=True):
        file = self.folder / f"{system}.db.{name}"
        file.touch() if on else file.unlink(missing_ok=True)

    def place(self):
        """Where the ledger lies: a file, unless `put_on` said something else."""
        if (self.folder / "ledger.url").exists():
            return place_for(self.folder)
        return Place(f"sqlite:///{self.folder}/ledger.db")

    def config(self):
        there = {**FIELDS, "active": "active", "externalId": "ext"}
        rules = dict.fromkeys(
            ("creates", "updates", "removals", "field_change"), 1_000_000
        )
        loose = "tests of workers, tests, until 2999-12-31"
        systems, streams, flows = {}, {}, {}
        for number in range(self.pairs):
            hr, social = f"hr{number}", f"social{number}"
            for name in (hr, social):
                systems[name] = {
                    "adapter": "memory",
                    "path": str(self.folder / f"{name}.db"),
                    "max_label": "confidential",
                    **self.settings["systems"].get(name, {}),
                }
            streams[f"{hr}/people"] = {
                "translator": {"entity": "Person", "fields": FIELDS}
            }
            streams[f"{social}/people"] = {
                "translator": {"entity": "Person", "fields": there}
            }
            flows[f"people{number}"] = {
                "from": f"{hr}/people", "to": f"{social}/people", **self.settings["flow"],
            }  # fmt: skip
        return {
            "adapters": ["memory"],
            "ledger": {**self.place().settings, "parcel": 50},
            "guard": {**rules, "four_eyes": False, "loosen": dict.fromkeys(rules, loose)},
            "run": self.settings["run"],
            "systems": systems, "streams": streams, "flows": flows,
        }  # fmt: skip

    def open(self):
        registry = Registry(discover=False)
        registry.register("memory", FaultyAdapter)
        return Bridge(parse(self.config(), registry), registry=registry)

    def agree(self):
        """A person agrees to every flow's first run; nothing else is done."""
        with self.open() as bridge:
            for flow in bridge.config.flows:
                plan = bridge.plan(flow)
                if plan.verdict.decision != "pass":
                    bridge.approve(plan, actor="ada", confirm=plan.verdict.count)
                bridge.apply(plan, confirm=plan.verdict.count)

    # --- processes --------------------------------------------------------------

    def start(self, *zones, slots=4):
        """One more worker process; `stop` ends them all."""
        process = subprocess.Popen(
            [sys.executable, "-m", "run.work", str(self.folder), str(slots), *zones],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    # --- the ledger, read from outside ------------------------------------------

    def ask(self, sql, *params):
        ledger = sqlite3.connect(self.folder / "ledger.db", timeout=30)
        try:
            return ledger.execute(sql, params).fetchall()
        finally:
            ledger.close()

    def held(self):
        """Owner -> partitions whose lease is alive."""
        found = {}
        for owner, flow, part in self.ask(
            "SELECT owner, flow_id, part FROM partition WHERE owner IS NOT NULL "
            "AND lease_until>=?", boot_clock(),
        ):  # fmt: skip
            found.setdefault(owner, set()).add((flow, part))
        return found

    def workers(self):
        return {owner for (owner,) in self.ask("SELECT owner FROM worker")}

    def passes(self):
        return self.ask(
            "SELECT flow_id, state FROM run WHERE kind='pass' ORDER BY run_id"
        )


class _Opened:
    def __init__(self, path, name):
        self._path, self._name = path, name

    def __enter__(self):
        self._system = MemorySystem(path=self._path, name=self._name)
        return self._system

    def __exit__(self, *exc):
        self._system.store.close()


def until(condition, seconds=150.0, look=0.05):
    """Wait for a condition; returns what it said."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(look)
    return found
