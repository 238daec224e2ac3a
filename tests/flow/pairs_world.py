"""Two flows over one pair of streams, where nothing happens by itself."""

from __future__ import annotations

from flow.stillness import REQUEST, StillWorld
from flow_world import FIELDS, PERSON
from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import MemoryStream

BOTH = ("out", "back")


class PairWorld(StillWorld):
    """``owner`` is the pair's table; ``out`` and ``back`` are settings of the flows."""

    def __init__(self, folder, *, owner, out=None, back=None, stamped=False, **more):
        self.stamped = stamped
        self.social_fields = (*PERSON, Field("active", "bool"), Field("ext"))
        super().__init__(
            folder,
            **{
                "traits": REQUEST,
                "flows": {
                    "out": {
                        "from": "hr/people", "to": "social/people", "partitions": 1, **(out or {}),
                    },
                    "back": {
                        "from": "social/people", "to": "hr/people", "partitions": 1, "owner": owner, **(back or {}),
                    },
                },
                **more,
            },
        )  # fmt: skip
        with self.hr.store.transaction():
            self.hr.set("people", traits=more.get("traits", REQUEST))

    def config(self):
        config = super().config()
        if self.stamped:
            for name in ("hr/people", "social/people"):
                config["streams"][name]["translator"]["fields"]["updated"] = "stamp"
        return config

    def open(self):
        if self.stamped:
            stamp = Field("stamp", writable=False)
            self.hr.add(MemoryStream("people", (*PERSON, stamp), key=("uid",)))
            self.social.add(
                MemoryStream("people", (*self.social_fields, stamp), unique="ext", traits=REQUEST)
            )  # fmt: skip
        registry = Registry(discover=False)
        for name, kind in self.kinds.items():
            registry.register(name, type(kind.__name__, (kind,), {"name": name}))
        return Bridge(parse(self.config(), registry), registry=registry)

    def both(self, rounds=1):
        """Passes of both flows, one after the other."""
        for _ in range(rounds):
            for flow in BOTH:
                self.go(flow)

    def begin(self):
        """Carry everybody, and let both sides agree."""
        self.both(2)
        return self

    def effects(self):
        return len(self.hr.effects()), len(self.social.effects())

    def items(self):
        """(flow, kind, reason, detail) of everything that waits for a person."""
        return [
            (flow, w.kind, w.reason, w.detail)
            for flow in BOTH
            for w in self.bridge.review(flow)
        ]

    def decide(self, flow, action):
        (item,) = self.bridge.review(flow)
        self.bridge.decide(flow, item.item, action, actor="boss")

    def edit_here(self, uid, **changes):
        row = next(r for r in self.hr.all("people") if r.data["uid"] == uid)
        with self.hr.store.transaction():
            self.hr.save(self.hr.stream("people"), row.ref, {**row.data, **changes})


__all__ = ["BOTH", "FIELDS", "PairWorld"]
