"""Two durable memory systems, a ledger, and the worker that the kill loop kills.

Everything lies in one folder, so a worker finds its world there after every kill. The
systems' files outlive their processes; each effect is logged under its key in the same
transaction as the effect itself, so the proof counts what really happened.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from moatbridge.adapter import Field, WriteTraits
from moatbridge.changes import Receipt
from moatbridge.config import parse
from moatbridge.errors import MoatbridgeError
from moatbridge.flow import delivery, reading
from moatbridge.flow.calling import call
from moatbridge.flow.plans import load_plan
from moatbridge.flow.thawing import thaw
from moatbridge.ledger import runs, scans
from moatbridge.ledger.postgresql_engine import _FROZEN, IDLE
from moatbridge.ledger.states import LinkState, State
from moatbridge.registry import Registry
from moatbridge.resilience import crash
from moatbridge.resilience.crash import crash_point
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter, MemoryStream, MemorySystem
from servers.places import PASSWORD, place_for

PERSON = tuple(Field(name) for name in ("uid", "given", "family", "mail"))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
}
KEYED = WriteTraits(
    dedup="keyed",
    key_scope="request",
    max_batch=100,
    conditional=True,
    max_request_life=0.0,
)
UNKEYED = WriteTraits(dedup="none", max_batch=100, max_request_life=0.0)


class LoggedAdapter(MemoryAdapter):
    """Says when an effect has happened: the worst moment to die."""

    name = "memory"

    def write(self, stream, intents):
        receipts = []
        for intent in intents:
            receipts += super().write(stream, [intent])
            crash_point("target.effect")
        crash_point("send.all")
        return receipts


class SnapshotAdapter(LoggedAdapter):
    """A source whose scans are the truth: what one does not show is gone, unasked."""

    name = "snapshot"

    def streams(self):
        without = {"CanFetch", "CanFollow", "CanFind"}
        return [
            replace(stream, abilities=stream.abilities - without, snapshot_scan=True)
            for stream in super().streams()
        ]


def make(folder, count, *, traits=KEYED, page=100):
    """Fill the source; the target is empty."""
    place_for(folder)  # said in the folder, where it is not SQLite: workers see it
    source = MemorySystem(
        [MemoryStream("people", PERSON, key=("uid",), page=page)],
        path=folder / "source.db",
    )
    with source.store.transaction():
        for number in range(count):
            put(source, number)
    source.store.close()
    fields = (*PERSON, Field("active", "bool"), Field("ext"))
    target = MemorySystem(
        [MemoryStream("people", fields, unique="ext", traits=traits)],
        path=folder / "target.db",
    )
    target.store.close()


def put(source, number, **more):
    uid = f"u{number:06}"
    source.put(
        "people",
        [
            {
                "uid": uid,
                "given": "Ada",
                "family": f"L{number}",
                "mail": f"{uid}@x.example",
                **more,
            }
        ],
    )


def mutate(folder, *, new, changed, gone, turn=0):
    """Change the source between two rounds: ranges of record numbers."""
    source = MemorySystem(path=folder / "source.db")
    with source.store.transaction():
        for number in new:
            put(source, number)
        for number in changed:
            put(source, number, family=f"Changed{turn}-{number}")
        stream = source.stream("people")
        source.delete(
            "people", [source.ref_of(stream, {"uid": f"u{n:06}"}) for n in gone]
        )
    source.store.close()


def config(folder, *, parcel=500, flow=(), source="memory", target="memory"):
    there = {**FIELDS, "active": "active", "externalId": "ext"}
    loose = "crash proof, tests, until 2999-12-31"
    rules = dict.fromkeys(("creates", "updates", "removals"), 10_000_000)
    return {
        "adapters": sorted({"memory", source, target}),
        # A SIGKILL takes nothing from the system's cache: these proofs need no fsync.
        "ledger": {
            **place_for(folder).settings,
            "parcel": parcel,
            "durability": "normal",
            "checkpoint": {"records": 1000},  # a short life gets somewhere
        },
        "guard": {**rules, "four_eyes": False, "loosen": dict.fromkeys(rules, loose)},
        "systems": {
            name: {
                "adapter": adapter,
                "path": str(folder / file),
                "max_label": "confidential",
            }
            for name, adapter, file in (
                ("hr", source, "source.db"),
                ("social", target, "target.db"),
            )
        },
        "streams": {
            "hr/people": {"translator": {"entity": "Person", "fields": FIELDS}},
            "social/people": {"translator": {"entity": "Person", "fields": there}},
        },
        "flows": {
            "people": {
                "from": "hr/people",
                "to": "social/people",
                "partitions": 4,
                **dict(flow),
            }
        },
    }


def open_bridge(folder, **settings):
    return opened(config(folder, **settings))


def opened(settings, *adapters):
    registry = Registry(discover=False)
    for adapter in (LoggedAdapter, SnapshotAdapter, *adapters):
        registry.register(adapter.name, adapter)
    return Bridge(parse(settings, registry), registry=registry)


@contextmanager
def hooked(hook):
    """Crash points call the hook; for tests that stay in one process."""
    crash.install(hook)
    try:
        yield
    finally:
        crash.install(None)


# --- workers: each is one life; it ends when there is nothing left to do ---------------


def work(argument, *, whole=True, **settings):
    """Plan, agree and apply, or go on with what a dead worker left."""
    with open_bridge(Path(argument), **settings) as bridge:
        carry_on(bridge, whole=whole)


def carry_on(bridge, *, whole=True):
    route = bridge.route("people")
    with bridge.ledger.read() as tx:
        left = runs.latest(tx, route.row.flow_id, "planned", "applying")
    plan = load_plan(route, bridge.ledger) if left else bridge.plan("people")
    rules = [finding.rule for finding in plan.verdict.findings]
    result = bridge.apply(plan, confirm=plan.verdict.count, accept=rules)
    assert result.state == "done" or not whole, result


def warm():
    """What a worker makes on first use, made once, before it is forked."""
    with tempfile.TemporaryDirectory(prefix="moatbridge-warm-") as name:
        make(Path(name), 5)
        work(name)


def work_small(argument):
    """Small parcels: every crash point is passed many times."""
    work(argument, parcel=10)


def work_loaded(argument):
    """Parcels that a short life can finish."""
    work(argument, parcel=100)


def work_patient(argument):
    """Ends with an error, and no more, when the ledger's server is gone."""
    try:
        work_loaded(argument)
    except MoatbridgeError as error:
        if not error.code.startswith("ledger."):
            raise
        raise SystemExit(1) from None


def work_marking_first(argument):
    """Control: settles as done before the call, so a kill between them loses records."""

    def send(lane, parcel):
        with lane._ledger.read() as tx:
            items = delivery.parcels.items(tx, parcel.parcel_id)
        receipts = {item.pos: (Receipt("applied"), 0) for item in items}
        lane.settle(parcel, items, receipts, started=set(receipts))
        intents = [thaw(i, fence=0, attempt=1)[0] for i in items]
        for start in range(0, len(intents), 100):
            call(lane.target, lane._route.target.name, intents[start : start + 100])

    delivery.Lane._send = send
    work_loaded(argument)


def work_resending(argument):
    """Control: a target without keys, where unknown outcomes are sent again."""
    work(argument, parcel=100, flow={"match": ["externalId"], "on_unknown": "resend"})


def work_cursor_first(argument):
    """Control: the cursor is durable before what it passed is staged."""
    later, write = [], reading.write

    def commit(self):
        since = len(later)
        commit_now(self)
        for given in later[since:]:
            with self._ledger.step(self._lease) as tx:
                write(tx, *given)

    commit_now = reading.Pass.commit
    reading.Pass.commit = commit
    reading.write = lambda _tx, *given: later.append(given)
    work_loaded(argument)


def work_bits_later(argument):
    """Control: seen bits become durable one commit after the cursor."""
    late = {}

    def saved(self, tx):
        if self in late:
            tx.many(
                "INSERT INTO seen(flow_id, generation, part, chunk, bits) "
                "VALUES(?,?,?,?,?) ON CONFLICT(flow_id, generation, part, chunk) "
                "DO UPDATE SET bits=excluded.bits",
                [(*self._where, number, bits) for number, bits in late[self].items()],
            )
        late[self] = {number: bytes(bits) for number, bits in self._chunks.items()}

    scans.Bits.save = saved
    work(argument, parcel=100, source="snapshot")


def look(folder):
    """A plain connection to the ledger's database, for what no worker would do."""
    place = place_for(folder)
    if place.kind == "sqlite":
        return sqlite3.connect(folder / "ledger.db", timeout=30, isolation_level=None)
    url = place.url.replace("+psycopg", "")
    return psycopg.connect(url, password=PASSWORD, autocommit=True)


_OVER = "UPDATE partition SET lease_until=0, not_before=0"


def expire_leases(folder):
    """The dead worker's time is over: what waiting for the end of its leases would do.

    So are its seats at the systems, which it can no longer give back.
    """
    seats = folder / "ledger-quota.db"
    if seats.exists():
        with closing(sqlite3.connect(seats, timeout=30, isolation_level=None)) as file:
            _run(file, "UPDATE seat SET until=-1e18")
    with closing(look(folder)) as ledger:
        if place_for(folder).kind == "sqlite":
            _run(ledger, _OVER)
        else:
            _insist(ledger, _OVER)
            _run(ledger, "UPDATE seat SET until=-1e18")


def _insist(ledger, sql):
    """Who froze within a transaction is ended by who wants the row, as by a worker."""
    ledger.execute("SET lock_timeout='1s'")
    for _ in range(120):
        with suppress(psycopg.errors.LockNotAvailable):
            _run(ledger, sql)
            return
        ledger.execute(_FROZEN, (IDLE,))
    raise AssertionError("a row of the ledger stays locked")


def _run(database, sql):
    """There may be no such table yet: the worker died very early."""
    with suppress(sqlite3.OperationalError, psycopg.errors.UndefinedTable):
        database.execute(sql)


# --- the proof ----------------------------------------------------------------------


@dataclass
class Proof:
    """What is true when everything came to rest."""

    lost: list
    doubled: list
    wrong: list
    surplus: int
    unfinished: int
    effects: int
    links: int
    records: int

    @property
    def clean(self):
        return not (
            self.lost or self.doubled or self.wrong or self.surplus or self.unfinished
        )


def prove(folder, removed=()):
    """Compare source, target and ledger record by record."""
    source, target = (
        MemorySystem(path=folder / "source.db"),
        MemorySystem(path=folder / "target.db"),
    )
    here = {row.data["uid"]: row.data for row in source.all("people")}
    rows = target.all("people")
    there = {row.data["uid"]: row.data for row in rows}
    effects = target.effects()
    creates = Counter(effect.id for effect in effects if effect.op == "create")
    again = [
        uid for uid, n in Counter(row.data["ext"] for row in rows).items() if n > 1
    ]
    gone = {f"u{n:06}" for n in removed}
    wrong = [
        uid
        for uid, data in there.items()
        if not _as_wanted(data, here.get(uid), removed=uid in gone)
    ]
    source.store.close()
    target.store.close()
    with closing(look(folder)) as ledger:
        unfinished, waiting, links = (
            ledger.execute(sql).fetchone()[0]
            for sql in (
                f"SELECT count(*) FROM parcel WHERE state<{State.DONE:d}",
                "SELECT count(*) FROM open",
                f"SELECT count(*) FROM link WHERE b_key IS NOT NULL AND state<>{LinkState.PENDING:d}",
            )
        )
    return Proof(
        lost=sorted((here.keys() | gone) - there.keys()),
        doubled=sorted({*target_doubled(effects), *again}),
        wrong=sorted(wrong),
        surplus=sum(creates.values()) - len(here.keys() | gone),
        unfinished=unfinished + waiting,
        effects=len(effects),
        links=links,
        records=len(here.keys() | gone),
    )


def target_doubled(effects):
    return [key for key, times in Counter(e.key for e in effects).items() if times > 1]


def _as_wanted(there, here, *, removed):
    if removed:
        return here is None and there["active"] is False
    return (
        here is not None
        and there["ext"] == here["uid"]
        and all(there[f.name] == here[f.name] for f in PERSON)
    )
