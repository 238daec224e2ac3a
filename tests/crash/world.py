"""Two durable memory systems, a ledger, and the worker that the kill loop kills.

Everything lies in one folder, so a worker finds its world there after every kill. The
systems' files outlive their processes; each effect is logged under its key in the same
transaction as the effect itself, so the proof counts what really happened.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from moatbridge.adapter import Field, WriteTraits
from moatbridge.changes import Receipt
from moatbridge.config import parse
from moatbridge.flow import delivery
from moatbridge.flow.plans import load_plan
from moatbridge.ledger import runs
from moatbridge.ledger.states import LinkState, State
from moatbridge.registry import Registry
from moatbridge.resilience.crash import crash_point
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter, MemoryStream, MemorySystem

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


def make(folder, count, *, traits=KEYED, page=100):
    """Fill the source; the target is empty."""
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


def mutate(folder, *, new, changed, gone):
    """Change the source between two rounds: ranges of record numbers."""
    source = MemorySystem(path=folder / "source.db")
    with source.store.transaction():
        for number in new:
            put(source, number)
        for number in changed:
            put(source, number, family=f"Changed{number}")
        stream = source.stream("people")
        source.delete(
            "people", [source.ref_of(stream, {"uid": f"u{n:06}"}) for n in gone]
        )
    source.store.close()


def config(folder, *, parcel=500, flow=()):
    there = {**FIELDS, "active": "active", "externalId": "ext"}
    loose = "crash proof, tests, until 2999-12-31"
    rules = dict.fromkeys(("creates", "updates", "removals"), 10_000_000)
    return {
        "adapters": ["memory"],
        "ledger": {"url": f"sqlite:///{folder}/ledger.db", "parcel": parcel},
        "guard": {**rules, "four_eyes": False, "loosen": dict.fromkeys(rules, loose)},
        "systems": {
            name: {
                "adapter": "memory",
                "path": str(folder / file),
                "max_label": "confidential",
            }
            for name, file in (("hr", "source.db"), ("social", "target.db"))
        },
        "streams": {
            "hr/people": {"translator": {"entity": "Person", "fields": FIELDS}},
            "social/people": {"translator": {"entity": "Person", "fields": there}},
        },
        "flows": {"people": {"from": "hr/people", "to": "social/people", **dict(flow)}},
    }


def open_bridge(folder, **settings):
    registry = Registry(discover=False)
    registry.register("memory", LoggedAdapter)
    return Bridge(parse(config(folder, **settings), registry), registry=registry)


# --- workers: each is one life; it ends when there is nothing left to do ---------------


def work(argument, **settings):
    """Plan, agree and apply, or go on with what a dead worker left."""
    with open_bridge(Path(argument), **settings) as bridge:
        route = bridge.route("people")
        with bridge.ledger.read() as tx:
            left = runs.latest(tx, route.row.flow_id, "planned", "applying")
        plan = load_plan(route, bridge.ledger) if left else bridge.plan("people")
        rules = [finding.rule for finding in plan.verdict.findings]
        result = bridge.apply(plan, confirm=plan.verdict.count, accept=rules)
        assert result.state == "done", result


def work_small(argument):
    """Small parcels: every crash point is passed many times."""
    work(argument, parcel=10)


def work_loaded(argument):
    """Parcels that a short life can finish."""
    work(argument, parcel=100)


def work_marking_first(argument):
    """Control: settles as done before the call, so a kill between them loses records."""

    def send(lane, parcel):
        with lane._ledger.read() as tx:
            items = delivery.parcels.items(tx, parcel.parcel_id)
        receipts = {item.pos: (Receipt("applied"), 0) for item in items}
        lane.settle(parcel, items, receipts, started=set(receipts))
        intents = [delivery.thaw(i, fence=0, attempt=1)[0] for i in items]
        for start in range(0, len(intents), 100):
            delivery.call(
                lane.target, lane._route.target.name, intents[start : start + 100]
            )

    delivery.Lane._send = send
    work_loaded(argument)


def work_resending(argument):
    """Control: a target without keys, where unknown outcomes are sent again."""
    work(argument, parcel=100, flow={"match": ["externalId"], "on_unknown": "resend"})


def expire_leases(folder):
    """The dead worker's time is over: what waiting for the lease's end would do."""
    path = folder / "ledger.db"
    if path.exists():
        ledger = sqlite3.connect(path, timeout=30, isolation_level=None)
        if ledger.execute(
            "SELECT 1 FROM sqlite_master WHERE name='partition'"
        ).fetchone():
            ledger.execute("UPDATE partition SET lease_until=0, not_before=0")
        ledger.close()


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
    ledger = sqlite3.connect(folder / "ledger.db")
    unfinished = ledger.execute(
        "SELECT count(*) FROM parcel WHERE state<?", (State.DONE,)
    ).fetchone()[0]
    unfinished += ledger.execute("SELECT count(*) FROM open").fetchone()[0]
    links = ledger.execute(
        "SELECT count(*) FROM link WHERE b_key IS NOT NULL AND state<>?",
        (LinkState.PENDING,),
    ).fetchone()[0]
    ledger.close()
    return Proof(
        lost=sorted((here.keys() | gone) - there.keys()),
        doubled=sorted({*target_doubled(effects), *again}),
        wrong=sorted(wrong),
        surplus=sum(creates.values()) - len(here.keys() | gone),
        unfinished=unfinished,
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
