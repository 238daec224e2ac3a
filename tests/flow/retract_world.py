"""A world whose runs are taken back, and what is to be seen of that."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

from flow.stillness import REQUEST, StillWorld
from moatbridge.ledger import runs
from moatbridge.ledger.states import LinkState
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter

BACK = replace(REQUEST, retractable=True)


@contextmanager
def worlds_in(folder, **usual):
    """Makes worlds whose targets take back, each in a folder of its own; closes them."""
    made = []

    def make(kind=RetractWorld, **settings):
        place = folder / str(len(made))
        place.mkdir()
        settings = {"count": 5, "traits": BACK, **usual, **settings}
        made.append(kind(place, **settings))
        return made[-1]

    try:
        yield make
    finally:
        crash.install(None)
        for world in made:
            world.bridge.close()


class RetractWorld(StillWorld):
    """Five people; ``run()`` carries, ``retract()`` takes the newest pass back."""

    def carry(self, flow="people"):
        """A pass, agreed to and delivered; its run's number."""
        plan = self.bridge.plan(flow)
        result = self.bridge.apply(plan, confirm=plan.verdict.count)
        assert result.state == "done", result
        return result.run_id

    def retract(self, run, **more):
        """Plan and agree, as somebody who looked at the number would."""
        planned = self.bridge.plan_retract(
            run, **{k: v for k, v in more.items() if k in {"since", "said", "refs"}}
        )
        confirm = planned.plan.verdict.count if planned.plan else None
        return self.bridge.retract(run, confirm=confirm, **more)

    def last(self, kind):
        with self.bridge.ledger.read() as tx:
            return runs.latest(
                tx, self.bridge.route("people").row.flow_id,
                "done", "applying", "planned", "cancelled", kind=kind,
            )  # fmt: skip

    def gone_there(self, uid):
        row = next(r for r in self.social.all("people") if r.data["uid"] == uid)
        self.social.delete("people", [row.ref])

    def shows(self):
        """The target's people on the fields that the flow carries, and active."""
        return {
            uid: {
                name: row[name]
                for name in ("given", "family", "mail", "phone", "active")
            }
            for uid, row in self.there().items()
        }


class CountingAdapter(MemoryAdapter):
    """Counts the calls that a retract or its images could make more of."""

    fetches: list[int] = []  # noqa: RUF012 - one per process is what a test wants

    def fetch(self, stream, refs):
        CountingAdapter.fetches.append(len(refs))
        return super().fetch(stream, refs)


FINAL = {"deletes": "remove", "i_know": "deletes are final"}


class GroupWorld(RetractWorld):
    """With groups of people; nothing can disable a group."""

    def config(self):
        found = super().config()
        for system, more in (("hr", {}), ("social", {"externalId": "ext"})):
            members = {"each": "member", "ref": f"{system}/people", "by": "id"}
            fields = {"displayName": "cn", "members": members, **more}
            found["streams"][f"{system}/groups"] = {
                "translator": {"entity": "Group", "fields": fields}
            }
        ends = {"from": "hr/groups", "to": "social/groups"}
        found["flows"] = {**found["flows"], "groups": {**ends, **FINAL}}
        return found


def groups(worlds):
    """A world whose people are there, and two groups of them at the source."""
    world = worlds(kind=GroupWorld)
    world.hr.put(
        "groups",
        [
            {"cn": "all", "member": ["u0001", "u0002"]},
            {"cn": "few", "member": ["u0003"]},
        ],
    )
    world.carry()
    return world


def stop_at(point, passing):
    """A hook that fails at the n-th passing of a crash point, and only then."""
    passed = []

    def at(name):
        passed.extend([name] if name == point else [])
        if name == point and len(passed) == passing:
            raise RuntimeError(point)

    return at


def link_states(world):
    with world.bridge.ledger.read() as tx:
        rows = tx.all("SELECT state, count(*) FROM link GROUP BY state")
    return {LinkState(state).name: n for state, n in rows}


def members(world, name):
    people = {row.ref.key: row.data["uid"] for row in world.social.all("people")}
    row = next(r for r in world.social.all("groups") if r.data["cn"] == name)
    return sorted(people.get(key, key) for key in row.data["member"])
