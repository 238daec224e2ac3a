"""A world in which nothing happens by itself: slices run one by one, time is moved."""

from __future__ import annotations

from flow_world import World
from moatbridge.adapter import WriteTraits
from moatbridge.config import parse
from moatbridge.flow import run_slice
from moatbridge.flow.control import request_pass
from moatbridge.ledger import runs
from moatbridge.ledger.states import State
from moatbridge.registry import Registry
from moatbridge.resilience.heart import Heart
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter

REQUEST = WriteTraits(
    dedup="keyed",
    key_scope="request",
    max_batch=100,
    max_request_life=60.0,
    conditional=True,
)
OBJECT = WriteTraits(
    dedup="keyed", key_scope="object", max_batch=100, max_request_life=60.0
)
LOOKUP = WriteTraits(dedup="lookup", max_batch=100, max_request_life=60.0)
NONE = WriteTraits(dedup="none", max_batch=100, max_request_life=60.0)
LIMITS = dict.fromkeys(
    ("creates", "updates", "removals", "field_change", "field_blank"), 1_000_000
)
LOOSE = {
    **LIMITS,
    "loosen": dict.fromkeys(LIMITS, "behaviour tests, tests, until 2999-12-31"),
}
KINDS = ("control", "scan", "lane")


class Counted(Heart):
    """A heart whose beats are counted."""

    __slots__ = ("beats",)

    def __init__(self):
        super().__init__()
        self.beats = 0

    def beat(self):
        self.beats += 1
        super().beat()


class StillWorld(World):
    """``source`` and ``target`` are the adapter classes of the two systems."""

    def __init__(
        self,
        folder,
        *,
        source=MemoryAdapter,
        target=MemoryAdapter,
        flow=None,
        guard=LOOSE,
        parcel=500,
        **more,
    ):
        self.kinds = {"there": target, "here": source}
        flows = {
            "people": {
                "from": "hr/people",
                "to": "social/people",
                "partitions": 1,
                **(flow or {}),
            }
        }
        extra = {
            "ledger": {"durability": "normal", "parcel": parcel},
            "guard": {"four_eyes": False, **guard},
        }
        systems = {"hr": {"adapter": "here"}, "social": {"adapter": "there"}}
        super().__init__(
            folder, **{"flows": flows, "extra": extra, "systems": systems, **more}
        )

    def config(self):
        return {**super().config(), "adapters": ["here", "there"]}

    def open(self):
        registry = Registry(discover=False)
        for name, kind in self.kinds.items():
            registry.register(name, type(kind.__name__, (kind,), {"name": name}))
        return Bridge(parse(self.config(), registry), registry=registry)

    # --- one thing after the other ------------------------------------------------

    def drain(self, *kinds, flow="people", limit=1000):
        """Run every slice that is due until none is; returns their results."""
        results = []
        for _ in range(limit):
            ready, _later = self.bridge.due([flow])
            due = [d for _flow, d in ready if d.kind in (kinds or KINDS)]
            if not due:
                return results
            results += [
                run_slice(self.bridge, flow, one.part, owner="test") for one in due
            ]
        raise AssertionError("the flow never comes to rest")

    def scan(self, flow="people"):
        """One pass, judged; whatever decision, it is applied but not delivered yet."""
        route = self.bridge.route(flow)
        run_id = request_pass(self.bridge.ledger, route, auto=True, actor="test")
        results = self.drain("control", "scan", flow=flow)
        with self.bridge.ledger.write() as tx:
            run = runs.get(tx, run_id)
            if run.state == "planned" and run.verdict["verdict"]["decision"] != "stop":
                runs.set_state(tx, run_id, "applying")
                self.bridge.ledger.leases.wake(tx, route.row.flow_id, "lane")
        return results

    def go(self, flow="people"):
        """A pass and its delivery, as far as it goes without waiting."""
        return self.scan(flow) + self.drain(flow=flow)

    def live(self):
        """One poll of the live tail and its delivery."""
        with self.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
        return self.drain("live", "lane")

    def later(self, seconds):
        """Time passes."""
        with self.bridge.ledger.write() as tx:
            for table, columns in {
                "partition": ("not_before",),
                "parcel": ("not_before", "deadline", "first_sent", "last_sent"),
                "link": ("quiet_until", "remove_at"),
                "run": ("created", "planned", "finished"),
            }.items():
                for column in columns:
                    tx.run(
                        f"UPDATE {table} SET {column}={column}-? WHERE {column}>0",
                        seconds,
                    )
            tx.run(
                "UPDATE partition SET lease_until=lease_until-? WHERE owner IS NOT NULL",
                int(seconds * 1000),
            )

    def crash(self):
        """The process dies: leases stay, connections are gone."""
        self.bridge.ledger.close()
        old, self.bridge = self.bridge, self.open()
        old.close()
        self.later(31)

    # --- what is to be seen ---------------------------------------------------------

    def states(self):
        """State name -> intents, of everything ever staged."""
        with self.bridge.ledger.read() as tx:
            rows = tx.all(
                "SELECT coalesce(i.state, p.state), count(*) FROM intent i "
                "JOIN parcel p ON p.parcel_id=i.parcel_id GROUP BY 1"
            )
        return {State(state).name: count for state, count in rows}

    def value(self, sql, *params):
        with self.bridge.ledger.read() as tx:
            return tx.value(sql, *params)

    def waiting(self):
        return sorted((w.kind, w.reason) for w in self.bridge.review("people"))

    def same(self):
        """Source and target show the same people."""
        fields = ("given", "family", "mail", "phone")
        here = {uid: [r[f] for f in fields] for uid, r in self.here().items()}
        there = {
            uid: [r[f] for f in fields]
            for uid, r in self.there().items()
            if r["active"] is not False
        }
        return here == there and len(self.social.all("people")) == len(self.there())
