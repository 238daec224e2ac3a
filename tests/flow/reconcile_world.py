"""A target with seeded divergences of every kind: how many were found, and how many never were."""

from __future__ import annotations

import random

from flow.stillness import StillWorld
from moatbridge.flow.reconcile import whole
from moatbridge.flow.reconcile.work import Work

KINDS = ("missing", "changed", "duplicate", "extra")
UNMANAGED = 7


class Seeded(StillWorld):
    """``count`` people delivered; then ``wrong`` of them are spoilt, by kinds in turn.

    The target writes family names in upper case, which is no divergence at all.
    """

    def __init__(self, folder, *, count, wrong, seed=1):
        super().__init__(folder, count=0)
        self.social.set("people", page=500, lower=("family",))
        self.hr.set("people", page=500)
        self.hr.put("people", [self.person(n) for n in range(count)])
        self.go()
        self.expected = {kind: set() for kind in KINDS}
        self.spoil(random.Random(seed).sample(range(count), wrong))

    @staticmethod
    def person(number):
        return {
            "uid": f"u{number:06}", "given": "Ada", "family": f"L{number}",
            "mail": f"u{number}@x.example", "phone": str(number), "manager": None,
        }  # fmt: skip

    def spoil(self, chosen):
        stream = self.social.stream("people")
        rows = {row.data["uid"]: row for row in self.social.all("people")}
        with self.social.store.transaction():
            for turn, number in enumerate(chosen):
                row = rows[f"u{number:06}"]
                kind = KINDS[turn % 4]
                who = row.data["uid"]
                if kind == "missing":
                    self.social.drop(stream, row.ref)
                elif kind == "changed":
                    field = ("mail", "phone", "family", "manager")[turn // 4 % 4]
                    self.social.save(stream, row.ref, {**row.data, field: "spoilt"})
                else:
                    who = f"x{number:06}"
                    ext = row.data["ext"] if kind == "duplicate" else f"left-{number}"
                    new = {**stream.blank(), "uid": who, "ext": ext}
                    self.social.save(stream, self.social.ref_of(stream, new), new)
                self.expected[kind].add(who)
            for number in range(UNMANAGED):
                new = {**stream.blank(), "uid": f"admin{number}"}
                self.social.save(stream, self.social.ref_of(stream, new), new)

    def found(self, **options):
        """Kind -> names, and the report."""
        names = {kind: set() for kind in KINDS}
        report = self.bridge.reconcile(
            "people", each=lambda one: names[one.kind].add(one.who), **options
        )
        return names, report


# --- what somebody does to a world, and what is then found ----------------------------


def look(world, **options):
    return world.bridge.reconcile("people", **options)


def remove_there(world, uid):
    row = next(r for r in world.social.all("people") if r.data["uid"] == uid)
    world.social.delete("people", [row.ref])
    return row


def add_there(world, **data):
    """A record that somebody else made."""
    stream = world.social.stream("people")
    with world.social.store.transaction():
        return world.social.save(
            stream, world.social.ref_of(stream, data), {**stream.blank(), **data}
        )


def repaired(world, **options):
    found = look(world, repair=True)
    world.bridge.apply(found.plan, confirm=found.plan.verdict.count)
    return found


def settled(world, count=30):
    made = world(count=count) if callable(world) else world
    made.go()
    assert made.same()
    return made


def meanwhile(monkeypatch, act):
    """Call ``act(moment)`` at each moment of a reconciliation.

    0: it begins; 1: the target was read; 2: the source was; 3: the ledger's links were,
    and what seemed to differ is looked at again; 4: both ends are about to be fetched;
    5: the target was; 6: the source was, and the ledger is read a last time.
    """
    fetch, read = Work.fetch, whole.read_there

    def from_the_beginning(work):
        act(0)
        read(work)

    def then(moment, name):
        step = getattr(whole, name)

        def stepped(work):
            step(work)
            act(moment)

        monkeypatch.setattr(whole, name, stepped)

    def fetched(work, end, refs):
        there = end is work.route.target
        if there:
            act(4)
        found = fetch(work, end, refs)
        act(5 if there else 6)
        return found

    monkeypatch.setattr(whole, "read_there", from_the_beginning)
    then(1, "read_there")
    then(2, "read_here")
    then(3, "walk_links")
    monkeypatch.setattr(Work, "fetch", fetched)
