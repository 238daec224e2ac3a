"""Pairs whose sides may both change one list, and the plain model of what comes out."""

from __future__ import annotations

from flow.pairs_world import BOTH, PairWorld
from flow.stillness import REQUEST
from flow.test_elements import three_way
from flow_world import PERSON
from moatbridge.adapter import Field
from moatbridge.testing import MemoryStream

OWNER = {"*": "hr/people", "emails": "merge", "phoneNumbers": "social/people"}
ENTRY = (Field("value"), Field("type"), Field("display"))
NAMES = {each.name: each.name for each in ENTRY}
HERE = {"each": "mails", "fields": NAMES}
THERE = {"each": "mails", "fields": {**NAMES, "primary": "primary"}}


class ListWorld(PairWorld):
    """People with any number of mail addresses.

    The platform fills in a member of each that the other side knows nothing of.
    """

    def __init__(self, folder, *, owner=None, here=HERE, there=THERE, **more):
        self.here_emails, self.there_emails = here, there
        super().__init__(folder, owner=owner or OWNER, **more)

    def open(self):
        entry = {"multi": True, "type": "object"}
        here = Field("mails", fields=ENTRY, **entry)
        there = Field("mails", fields=(*ENTRY, Field("primary", "bool")), **entry)
        self.hr.add(
            MemoryStream("people", (*PERSON, here), key=("uid",), traits=REQUEST)
        )
        fields = (*PERSON, there, Field("active", "bool"), Field("ext"))
        self.social.add(MemoryStream("people", fields, unique="ext", traits=REQUEST))
        self.social.normalise = filled
        return super().open()

    def config(self):
        config = super().config()
        for name, emails in (
            ("hr/people", self.here_emails),
            ("social/people", self.there_emails),
        ):
            fields = config["streams"][name]["translator"]["fields"]
            del fields["emails[type=work].value"]
            fields |= emails if "emails" not in emails and "each" not in emails else {}
            if "each" in emails:
                fields["emails"] = emails
        return config

    def lists(self, uid="u0000"):
        """The list at both sides, as (type, value) -> display."""
        return tuple(
            {
                (e.get("type", "work"), e["value"]): e.get("display")
                for e in side[uid].get("mails", ())
            }
            for side in (self.here(), self.there())
        )

    def edit(self, side, key, display, uid="u0000"):
        """Add or change an entry; ``display=None`` removes it."""
        rows, save = {
            "a": (self.here, self.edit_here),
            "b": (self.there, self.edit_there),
        }[side]
        kept = [
            e
            for e in rows()[uid].get("mails", ())
            if (e.get("type", "work"), e["value"]) != key
        ]
        new = {"type": key[0], "value": key[1], "display": display}
        save(uid, mails=[*kept, *([new] if display is not None else [])])

    def forget_turns(self):
        """An hour passes for the loop breaker."""
        with self.bridge.ledger.write() as tx:
            tx.run("DELETE FROM turn")

    def passing(self, rounds=1):
        for _ in range(rounds):
            for flow in BOTH:
                self.forget_turns()
                self.go(flow)


def filled(record):
    if not record.get("mails"):
        return record
    return {**record, "mails": [{"primary": False, **e} for e in record["mails"]]}


class GroupWorld(PairWorld):
    """Groups whose members both sides may change; each side has ids of its own.

    The name travels with the members: additions to a group of unknown name are held.
    """

    def __init__(self, folder, **more):
        owner = {".": "hr/groups", "*": "hold", "members": "merge"}
        flows = {
            "people": {"from": "hr/people", "to": "social/people", "partitions": 1},
            "out": {"from": "hr/groups", "to": "social/groups", "partitions": 1},
            "back": {
                "from": "social/groups", "to": "hr/groups", "partitions": 1, "owner": owner,
            },
        }  # fmt: skip
        super().__init__(folder, owner=None, flows=flows, **more)

    def config(self):
        config = super().config()
        for system, more in (("hr", {}), ("social", {"externalId": "ext"})):
            each = {"each": "member", "ref": f"{system}/people", "by": "id"}
            fields = {"displayName": "cn", "members": each, **more}
            table = {"entity": "Group", "fields": fields}
            config["streams"][f"{system}/groups"] = {"translator": table}
        return config

    def open(self):
        self.hr.set("groups", traits=REQUEST)
        return super().open()

    def ids(self, side):
        """uid -> id of the person's record there."""
        rows = (self.hr if side == "a" else self.social).all("people")
        return {row.data["uid"]: row.ref.key for row in rows}

    def group(self, side):
        (row,) = (self.hr if side == "a" else self.social).all("groups")
        return row

    def members(self, side):
        names = {key: uid for uid, key in self.ids(side).items()}
        return sorted(names[key] for key in self.group(side).data["member"])

    def join(self, side, *uids):
        """The group has exactly these members there."""
        system, row = (self.hr if side == "a" else self.social), self.group(side)
        ids = self.ids(side)
        with system.store.transaction():
            data = {**row.data, "member": [ids[uid] for uid in uids]}
            system.save(system.stream("groups"), row.ref, data)

    def passing(self, rounds=1):
        for _ in range(rounds):
            for flow in ("people", *BOTH):
                with self.bridge.ledger.write() as tx:
                    tx.run("DELETE FROM turn")
                self.go(flow)


class Model:
    """What both lists must be, by the plain three-way merge of each pass."""

    def __init__(self):
        self.base, self.a, self.b = {}, {}, {}

    def edit(self, side, key, display):
        held = self.a if side == "a" else self.b
        if display is None:
            held.pop(key, None)
        else:
            held[key] = display

    def carry(self, flow):
        both = three_way(self.base, self.a, self.b)
        if flow == "out":
            self.base, self.b = dict(self.a), both
        else:
            self.base, self.a = dict(self.b), both


def agreed(world, *keys):
    """Both sides hold these addresses."""
    for key in keys:
        world.edit("a", key, "-")
    world.passing(2)
    assert world.lists() == (dict.fromkeys(keys, "-"),) * 2
    return world


def quiet(world):
    before = world.effects()
    world.passing(2)
    assert world.effects() == before
    assert world.items() == []


__all__ = [
    "BOTH",
    "HERE",
    "OWNER",
    "THERE",
    "GroupWorld",
    "ListWorld",
    "Model",
    "agreed",
    "quiet",
]
