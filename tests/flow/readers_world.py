"""Notes become posts for people or teams of a platform, whose accounts have mail."""

from __future__ import annotations

from dataclasses import replace

from flow.decisions_world import KEYED, LIMITS
from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem


class Platform(MemoryAdapter):
    """Its posts have the shape of posts."""

    name = "platform"

    def streams(self):
        return [
            replace(s, native=True, entity="Post") if s.name == "posts" else s
            for s in super().streams()
        ]


class Blind(Platform):
    """Nothing of it can be looked at again."""

    name = "platform"

    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanFetch", "CanFind"})
            for s in super().streams()
        ]


def platform(kind):
    who = {"type": "reference", "to": kind}
    author = Field("attributedTo", "reference", to="accounts")
    audience = (Field("kind"), Field("refs", multi=True, **who))
    post = (
        Field("content"),
        author,
        Field("inReplyTo", "reference", to="posts"),
        Field("audience", "object", fields=audience),
    )
    return MemorySystem(
        [
            MemoryStream("posts", post, traits=KEYED),
            MemoryStream(
                "accounts", (Field("id"), Field("mail"), Field("type")), key=("id",)
            ),
            MemoryStream(
                "teams",
                (
                    Field("id"),
                    Field("name"),
                    Field("members", "reference", multi=True, to="accounts"),
                ),
                key=("id",),
            ),
        ]
    )


NOTE = (
    *(Field(name) for name in ("id", "text", "kind", "parent")),
    Field("who", multi=True),
)
PERSON = {"userName": "id", "emails[type=work].value": "mail", "userType": "type"}
GROUP = {
    "displayName": "name",
    "members": {"each": "members", "ref": "social/accounts", "by": "id"},
}


class ReadersWorld:
    """``kind`` says what audiences name: ``accounts`` or ``teams``."""

    def __init__(
        self, folder, *, kind="accounts", adapter=Platform, person=None, **guard
    ):
        self.erp = MemorySystem([MemoryStream("notes", NOTE, key=("id",))])
        self.social = platform(kind)
        for name, system in (("erp", self.erp), ("social", self.social)):
            system.name = f"{name}-{folder}"
            HUB.register(system)
        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        registry.register("platform", adapter)
        config = self._config(folder, kind, person or PERSON, guard)
        self.bridge = Bridge(parse(config, registry), registry=registry)

    def _config(self, folder, kind, person, guard):
        loose = "tests of readers, tests, until 2999-12-31"
        note = {
            "content": "text",
            "audience.kind": "kind",
            "audience.refs": {"ref": f"social/{kind}", "from": "who", "by": "id"},
            "inReplyTo": {"ref": "erp/notes", "from": "parent", "by": "id"},
        }
        system = {"adapter": "memory", "max_label": "confidential"}
        return {
            "ledger": {"url": f"sqlite:///{folder}/ledger.db", "durability": "normal"},
            "guard": {
                **LIMITS,
                "four_eyes": False,
                "loosen": dict.fromkeys(LIMITS, loose),
                **guard,
            },
            "systems": {
                "erp": {**system, "system": self.erp.name},
                "social": {
                    **system,
                    "adapter": "platform",
                    "system": self.social.name,
                },
            },
            "streams": {
                "erp/notes": {"translator": {"entity": "Post", "fields": note}},
                "social/posts": {},
                "social/accounts": {
                    "translator": {"entity": "Person", "fields": person}
                },
                "social/teams": {"translator": {"entity": "Group", "fields": GROUP}},
            },
            "flows": {
                "notes": {"from": "erp/notes", "to": "social/posts", "partitions": 1}
            },
        }

    def account(self, ident, mail=None, kind=None):
        self.social.put("accounts", [{"id": ident, "mail": mail, "type": kind}])

    def team(self, ident, *members):
        self.social.put(
            "teams", [{"id": ident, "name": ident, "members": list(members)}]
        )

    def note(self, ident, text, kind, *who, parent=None):
        record = {
            "id": ident,
            "text": text,
            "kind": kind,
            "who": list(who),
            "parent": parent,
        }
        self.erp.put("notes", [record])

    def run(self):
        """A pass, agreed to if that is asked for."""
        plan = self.bridge.plan("notes")
        result = self.bridge.apply(plan, confirm=plan.verdict.count)
        self.plan = plan
        return result

    def later(self):
        """What waits for a parent is looked at now."""
        with self.bridge.ledger.write() as tx:
            tx.run("UPDATE parcel SET not_before=0")
        return self.bridge.run("notes")

    def held(self):
        return [w for w in self.bridge.review("notes") if w.kind == "held"]

    def readers(self):
        """Text of every post -> kind of its audience, and whom it names."""
        return {
            row.data["content"]: (
                row.data["audience"]["kind"],
                sorted(row.data["audience"].get("refs", ())),
            )
            for row in self.social.all("posts")
        }

    def close(self):
        self.bridge.close()
