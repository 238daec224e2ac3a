"""Orders are posted, people reply, and replies become decisions: three systems in memory."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from moatbridge.adapter import Field, WriteTraits
from moatbridge.changes import Ref
from moatbridge.config import parse
from moatbridge.ledger import runs
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem

ACCOUNT = {"type": "reference", "to": "accounts", "by": "name"}
POST = (
    Field("content"),
    Field("attributedTo", **ACCOUNT),
    Field("inReplyTo", "reference", to="posts"),
    Field(
        "audience",
        "object",
        fields=(Field("kind"), Field("refs", multi=True, **ACCOUNT)),
    ),
    Field("published", writable=False),
    Field("updated", writable=False),
)
KEYED = WriteTraits(
    dedup="keyed",
    key_scope="request",
    max_batch=50,
    max_request_life=0.0,
    retractable=True,
)
LIMITS = dict.fromkeys(
    ("creates", "updates", "removals", "field_change", "field_blank"), 1_000_000
)
WORDS = {"approve": "Accept", "genehmigt": "Accept", "reject": "Reject"}


class Social(MemoryAdapter):
    """A platform: its records have the shape of posts, and replies only come."""

    name = "social"

    def streams(self):
        found = []
        for stream in super().streams():
            if stream.name == "replies":
                can = stream.abilities - {"CanScan", "CanWrite"}
                found.append(replace(stream, abilities=can, native=True, entity="Post"))
            else:
                found.append(replace(stream, native=True, entity="Post"))
        return found

    def write(self, stream, intents):
        """As platforms do, an edited post says since when."""
        receipts = super().write(stream, intents)
        for intent, receipt in zip(intents, receipts, strict=True):
            if intent.op == "update" and receipt.outcome == "applied":
                stamp(self.system, receipt.ref, now())
        return receipts


def now():
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def stamp(system, ref, moment):
    """The platform says when a post was edited last."""
    described, row = system.stream("posts"), system.get("posts", ref)
    with system.store.transaction():
        system.save(described, row.ref, {**row.data, "updated": moment})


def systems(folder=None):
    """The three systems; with a folder they outlive the process."""

    def made(name, *streams):
        path = None if folder is None else folder / f"{name}.db"
        return MemorySystem(streams, path=path, name=name)

    order = (Field("id"), Field("state"), Field("total"))
    decision = (
        Field("order", "reference", to="orders"), Field("verdict"), Field("login"), Field("note"),
        Field("seen"),
    )  # fmt: skip
    person = (
        Field("uid"), Field("account"), Field("role"), Field("active", "bool"),
    )  # fmt: skip
    return {
        "erp": made(
            "erp",
            MemoryStream("orders", order, key=("id",)),
            MemoryStream("decisions", decision, traits=KEYED),
        ),
        "social": made(
            "social",
            MemoryStream("posts", POST, traits=KEYED),
            MemoryStream("replies", (*POST, Field("id")), key=("id",)),
        ),
        "hr": made("hr", MemoryStream("people", person, key=("uid",))),
    }


def tables(
    names, ledger, *, decide=None, orders=None, guard=None, people=None, streams=None
):
    """The configuration; ``names`` says how each system is found."""
    loose = "tests of decisions, tests, until 2999-12-31"
    return {
        "adapters": ["social", "memory"],
        "ledger": {"url": f"sqlite:///{ledger}", "durability": "normal"},
        "guard": {
            **LIMITS,
            "four_eyes": False,
            "loosen": dict.fromkeys(LIMITS, loose),
            **(guard or {}),
        },
        "systems": {
            name: {
                "adapter": "social" if name == "social" else "memory",
                "max_label": "confidential",
                **names[name],
            }
            for name in ("erp", "social", "hr")
        },
        "streams": {
            "erp/orders": {
                "translator": {
                    "entity": "Post",
                    "fields": {
                        "content": {"template": "Order {id} over {total}: {state}"},
                        "audience": {"const": {"kind": "org"}},
                    },
                }
            },
            "erp/decisions": {
                "translator": {
                    "entity": "Decision",
                    "fields": {
                        "object": {"ref": "erp/orders", "from": "order", "by": "id"},
                        "type": "verdict",
                        "identity": "login",
                        "content": "note",
                    },
                }
            },
            "hr/people": people or {},
            "social/posts": {},
            "social/replies": {},
            **(streams or {}),
        },
        "flows": {
            "orders": {
                "from": "erp/orders",
                "to": "social/posts",
                "partitions": 1,
                **(orders or {}),
            },
            "decisions": {
                "from": "social/replies",
                "to": "erp/decisions",
                "decide": {
                    "posts": "orders",
                    "words": WORDS,
                    "people": "hr/people",
                    "account": "account",
                    "identity": "uid",
                    "allowed": {"field": "role", "one_of": ["approver"]},
                    "answers": "social/posts",
                    **(decide or {}),
                },
            },
        },
    }


def registry(social=Social, memory=MemoryAdapter):
    found = Registry(discover=False)
    found.register("social", social)
    found.register("memory", memory)
    return found


class DecisionWorld:
    """Two orders are posted; ``ada`` may decide, ``bob`` may not."""

    def __init__(
        self, folder, *, social=Social, memory=MemoryAdapter, state="open", **settings
    ):
        self.folder = folder
        self.adapters = (social, memory)
        self.settings = settings
        self.systems = systems()
        for name, system in self.systems.items():
            system.name = f"{name}-{folder}"
            HUB.register(system)
        self.put_order("4711", state)
        self.put_order("4712", state)
        self.put_person("a.lovelace", "ada", "approver")
        self.put_person("b.babbage", "bob", "clerk")
        self.bridge = self.open()
        try:
            self.bridge.apply(self.bridge.plan("orders"), confirm=2)
            self.bridge.apply(self.bridge.plan("decisions"), confirm=0)
        except BaseException:
            self.close()
            raise

    def open(self):
        found = registry(*self.adapters)
        names = {name: {"system": system.name} for name, system in self.systems.items()}
        config = tables(names, self.folder / "ledger.db", **self.settings)
        return Bridge(parse(config, found), registry=found)

    # --- what people and systems do -------------------------------------------------

    def put_order(self, number, state="open", total="12.50"):
        record = {"id": number, "total": total, "state": state}
        self.systems["erp"].put("orders", [record])

    def drop_order(self, number):
        system = self.systems["erp"]
        system.delete("orders", [self.order_ref(number)])

    def order_ref(self, number):
        system = self.systems["erp"]
        return system.ref_of(system.stream("orders"), {"id": number})

    def put_person(self, uid, account, role, *, active=None):
        record = {"uid": uid, "account": account, "role": role, "active": active}
        self.systems["hr"].put("people", [record])

    def post_of(self, number):
        return next(
            r.ref.key
            for r in self.systems["social"].all("posts")
            if f"Order {number} " in r.data["content"]
        )

    def reply(self, ident, text, *, by="ada", to="4711", parent=None, published=""):
        record = {
            "id": ident, "content": text, "attributedTo": by,
            "inReplyTo": parent or self.post_of(to),
            "audience": {"kind": "org", "refs": []}, "published": now() if published == "" else published,
        }  # fmt: skip
        self.systems["social"].put("replies", [record])

    def edited_at(self, number, moment):
        stamp(self.systems["social"], Ref.from_key(self.post_of(number)), moment)

    def delete_reply(self, ident):
        system = self.systems["social"]
        system.delete(
            "replies", [system.ref_of(system.stream("replies"), {"id": ident})]
        )

    def run(self, flow="decisions"):
        return self.bridge.run(flow)

    def lift(self, scope):
        """The kill switch, once every thread has seen it and what waited is due."""
        self.bridge.switch_on(scope, "over")
        deadline = time.monotonic() + 60
        while self.bridge.killed("decisions", "erp") and time.monotonic() < deadline:
            time.sleep(0.01)
        with self.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind='lane'")

    # --- what is to be seen ----------------------------------------------------------

    def decided(self):
        return sorted(
            (r.data["order"], r.data["verdict"], r.data["login"], r.data["note"])
            for r in self.systems["erp"].all("decisions")
        )

    def answers(self):
        return sorted(
            (
                r.data["inReplyTo"],
                tuple(r.data["audience"]["refs"]),
                r.data["content"].split(".")[0],
            )
            for r in self.systems["social"].all("posts")
            if r.data["inReplyTo"]
        )

    def posts(self):
        return sorted(
            r.data["content"]
            for r in self.systems["social"].all("posts")
            if not r.data["inReplyTo"]
        )

    def outcomes(self):
        from moatbridge.ledger import replies

        with self.bridge.ledger.read() as tx:
            return replies.outcomes(tx, self.bridge.route("decisions").row.flow_id)

    def counted(self, what):
        with self.bridge.ledger.read() as tx:
            return int(
                tx.value(
                    "SELECT coalesce(sum(n),0) FROM guard_count WHERE rule=?",
                    f"seen.{what}",
                )
            )

    def audit(self, kind):
        with self.bridge.ledger.read() as tx:
            return [
                body
                for (body,) in tx.all("SELECT body FROM audit_in WHERE kind=?", kind)
            ]

    def applied(self, flow):
        with self.bridge.ledger.read() as tx:
            return runs.ever_applied(tx, self.bridge.route(flow).row.flow_id)

    def later(self, seconds):
        """What is planned was read so long ago."""
        with self.bridge.ledger.write() as tx:
            tx.run(
                "UPDATE intent SET payload=json_set(payload, '$.read_at', "
                "json_extract(payload, '$.read_at')-?) WHERE payload LIKE '%read_at%'",
                seconds,
            )

    def close(self):
        self.bridge.close()
