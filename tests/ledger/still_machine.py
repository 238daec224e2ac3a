"""Two workers, one ledger, one target, anything in any order (delivery 8, scale 8).

Each rule is one transaction, one call or one event outside. A worker may die before,
inside or after a transaction, lose its lease at any moment and go on as if nothing had
happened. At the end of every example all comes to rest, and must show the source.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ledger.still_delivery import StillDelivery
from ledger.still_flow import KINDS
from ledger.still_ground import PARTS, StillGround
from ledger.still_reading import StillReading
from moatbridge.ledger import flows, review, runs, scans, waiting
from moatbridge.ledger.states import State

NAMES = st.sampled_from(["ada", "ada", "bob", "eve"])
SOME = st.lists(NAMES, max_size=2)
HOW = st.sampled_from(["change", "change", "change and back", "delete"])
WHO = st.integers(0, 1)
WHAT = st.sampled_from(["claim", "steal", "renew", "release", "crash"])
LATE = st.sampled_from([None, "renew", "release"])
DEATH = st.sampled_from([None, None, None, "inside", "after"])
STEP = st.sampled_from(
    ["look again", "apply", "scan", "scan", "only read", "end and apply", "end"]
)
FATE = st.sampled_from(["ok", "lose request", "lose answer", "linger", "not applied"])
LEFT = "SELECT count(*) FROM parcel WHERE state<10 AND state NOT IN (5,6)"
FATES = st.tuples(FATE, FATE)


def flies(*, answered):
    def ready(flight):
        return flight is not None and (flight.answers is not None) is answered

    return precondition(lambda self: any(ready(w.flight) for w in self.workers))


class StillMachine(StillReading, StillDelivery, StillGround, RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.ledger = self.open_ledger()

    @initialize(
        kind=st.sampled_from(KINDS),
        size=st.integers(1, 3),
        batch=st.integers(1, 2),
        told_once=st.booleans(),
    )
    def begin(self, kind, size, batch, told_once):
        self.make(kind, size, batch)
        self.told_once = told_once  # nobody can look at the source again
        for part in PARTS:
            self.claim(0, part)
        self.source.put("ada")

    def teardown(self):
        try:
            if hasattr(self, "row"):
                self.come_to_rest()
        finally:
            self.clear()

    # --- the world outside ---------------------------------------------------------

    @rule(names=st.lists(NAMES, min_size=1, max_size=3), how=HOW)
    def change(self, names, how):
        for name in names:
            self.change_one(name, how)

    def change_one(self, name, how):
        value = self.source.values.get(name)
        if how == "delete":
            self.source.remove(name)
            return
        self.source.put(name)
        if how == "change and back" and value is not None:
            self.source.flap(name, value)

    @precondition(lambda self: self.target.lingering)
    @rule()
    def a_lingering_request_arrives(self):
        self.sent_at.pop(0)
        self.target.arrive(self.target.lingering.pop(0))

    @rule(event=st.sampled_from([7.0, 7.0, 70.0, "back", "forth", "boot", "refuse"]))
    def something_happens(self, event):
        if event == "boot":
            self.the_host_is_booted_again()
        elif event == "refuse":
            # What it refuses once it never does: that is what *rejected* means.
            if not self.target.lingering:
                self.target.refusing = not self.target.refusing
        elif event in {"back", "forth"}:
            self.the_wall_clock_is_set(-1 if event == "back" else 1)
        else:
            self.time_passes(event)

    @rule(who=WHO, part=st.sampled_from(PARTS), what=WHAT, late=LATE)
    def lease(self, who, part, what, late):
        if what == "crash":
            self.workers[who].crash()
        elif what == "steal":  # its holder stood still for too long
            self.time_passes(31.0)
            self.claim(who, part)
            if late is not None:  # and then wakes up
                getattr(self, late)(1 - who, part)
        else:
            getattr(self, what)(who, part)

    # --- what the workers do -----------------------------------------------------------

    @rule(who=WHO, count=st.integers(1, 3), die=DEATH, at_once=st.booleans())
    def follow(self, who, count, die, at_once):
        who = self.holder(who, "live")
        self.read(who, "live", count)
        if at_once:
            self.stage(who, die)

    def holder(self, who, part):
        """A worker that holds the partition, or believes so; rather this one."""
        if part not in self.workers[who].leases:
            self.claim(who, part)
        return who if part in self.workers[who].leases else 1 - who

    @rule(
        who=WHO,
        count=st.integers(1, 3),
        names=SOME,
        pause=st.sampled_from([0.0, 7.0]),
    )
    def all_goes_well(self, who, count, names, pause):
        self.go_well(who, count, names, pause)

    def go_well(self, who, count, names, pause):
        for number in range(count):
            if pause:
                self.time_passes(pause)
            self.change_and_read(who, () if number else names)
            lane = self.holder(who, "lane/0")
            self.take(lane, None)
            self.send(lane, ("ok", "ok"), frozen=False)
            self.settle(lane, None)

    def change_and_read(self, who, names):
        for name in names:
            self.change_one(name, "change")
        live = self.holder(who, "live")
        self.read(live, "live", 3)
        self.stage(live, None)

    @precondition(lambda self: any(w.seen is not None for w in self.workers))
    @rule(who=WHO, die=DEATH)
    def stage_what_was_read(self, who, die):
        self.stage(who, die)

    @precondition(lambda self: not self.told_once)
    @rule(who=WHO, step=STEP, die=DEATH)
    def go_on_with_the_pass(self, who, step, die):
        who = self.holder(who, "pass")
        if step == "look again":
            self.look_again(who, die)
        elif step == "apply":
            self.apply_the_plan()
        elif step == "scan":
            self.read(who, "pass", 2)
            self.stage(who, die)
        elif step == "only read":
            self.read(who, "pass", 2)
        else:
            self.end_the_pass(who, die, apply=step == "end and apply")

    def apply_the_plan(self):
        with self.ledger.write() as tx:
            if run := runs.latest(tx, self.row.flow_id, "planned"):
                runs.set_state(tx, run.run_id, "applying")

    @rule(who=WHO, die=DEATH)
    def take_a_parcel(self, who, die):
        self.take(self.holder(who, "lane/0"), die)

    @flies(answered=False)
    @rule(who=WHO, fates=FATES, frozen=st.booleans())
    def call_the_target(self, who, fates, frozen):
        self.send(who, fates, frozen=frozen)

    @flies(answered=True)
    @rule(who=WHO, die=DEATH)
    def settle_the_answers(self, who, die):
        self.settle(who, die)

    @rule(who=WHO, names=SOME, fates=FATES, die=DEATH)
    def deliver(self, who, names, fates, die):
        self.change_and_read(who, names)
        who = self.holder(who, "lane/0")
        self.take(who, None)
        self.send(who, fates, frozen=False)
        self.settle(who, die)

    @rule(who=WHO, name=NAMES, dies=st.booleans(), goes_on=st.booleans())
    def a_request_stays_on_its_way(self, who, name, dies, goes_on):
        """Nobody hears of it, or who sent it dies and the other one takes over.

        Then the record changes again, and all goes well but for what is on its way.
        """
        self.change_and_read(who, [name])
        who = self.holder(who, "lane/0")
        self.take(who, None)
        self.send(who, ("linger", "linger"), frozen=False)
        if dies:
            self.workers[who].crash()
            self.time_passes(31.0)
            who = 1 - who
            self.claim(who, "lane/0")
        else:
            self.settle(who, None)
        if goes_on:
            self.go_well(who, 2, [name], 7.0)

    # --- people -----------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(["held", "rejected"]),
        action=st.sampled_from(["approve", "refuse"]),
    )
    def a_person_decides(self, kind, action):
        with self.ledger.write() as tx:
            for one in waiting.waiting(tx, self.row.flow_id):
                if one.kind == kind:
                    chosen = "replay" if kind == "rejected" else action
                    review.decide(tx, self.row.flow_id, one.item, chosen, actor="p")
                    if kind == "rejected" and self.told_once:
                        self.told_again(tx, one.ref[0])

    def told_again(self, tx, name):
        """Nobody can ask the source: what it told is told once more."""
        again = tx.all(
            "SELECT a.link_id FROM again a JOIN link l ON l.link_id=a.link_id "
            "WHERE l.a_key=?", name,
        )  # fmt: skip
        for (link_id,) in again:
            flows.next_round(tx, [link_id])
            flows.not_again(tx, self.row.flow_id, link_id)
        self.source.feed.append(name)

    # --- what always holds ------------------------------------------------------------

    @invariant()
    def all_is_sound(self):
        if not hasattr(self, "row"):
            return
        self.nothing_took_effect_twice()
        with self.ledger.read() as tx:
            self.what_is_done_took_effect(tx)
            self.counters_only_rise(tx)
            self.slots_are_open_for_what_may_touch_the_target(tx)
            self.seen_bits_are_where_the_cursor_is(tx)

    def nothing_took_effect_twice(self):
        assert all(n <= 1 for n in self.target.effects.values()), "twice"
        names = [row.ext for row in self.target.rows]
        assert len(set(names)) == len(names), "a record is there twice"

    def what_is_done_took_effect(self, tx):
        kind = self.target.kind
        if kind.dedup != "keyed" or kind.scope != "request":
            return  # others do not tell one repeat from another
        done = tx.all(
            "SELECT i.key FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE coalesce(i.state, p.state)=?",
            State.DONE,
        )
        silent = [k for (k,) in done if k in self.sent and not self.target.effects[k]]
        assert not silent, "done, but nothing happened"

    def counters_only_rise(self, tx):
        for part, fence, seq, text in tx.all(
            "SELECT part, fence, seq, cursor FROM partition"
        ):
            now = (fence, seq, json.loads(text)["at"])
            before = self.shadow.get(part, (0, 0, 0))
            assert all(a >= b for a, b in zip(now, before, strict=True)), f"{part} back"
            self.shadow[part] = now

    def slots_are_open_for_what_may_touch_the_target(self, tx):
        flying = tx.all(
            "SELECT i.link_id FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE i.state IS NULL AND p.state IN (1,2,3,4,6)"
        )
        slots = tx.all("SELECT link_id FROM open WHERE slot=0")
        assert sorted(map(tuple, flying)) == sorted(map(tuple, slots)), "slots"

    def seen_bits_are_where_the_cursor_is(self, tx):
        for (generation, part), links in self.seen.items():
            bits = scans.Bits(self.row.flow_id, generation, part)
            bits.load(tx)
            assert all(map(bits.has, links)), "the cursor is ahead of the seen bits"

    # --- the end ----------------------------------------------------------------------

    def come_to_rest(self):
        self.target.refusing = False
        while self.target.lingering:
            self.a_lingering_request_arrives()
        for worker in self.workers:
            worker.crash()
        quiet = 0
        for _ in range(14):
            self.time_passes(4000.0)
            self.a_person_decides("rejected", "approve")
            works = self.work_everything_off() or self.value(LEFT)
            quiet = 0 if works else quiet + 1
            if (
                quiet == 2
            ):  # what came into being during a pass is judged by the next one
                break
        self.all_is_sound()
        there = {row.ext for row in self.target.rows}
        told = self.told()
        for name in sorted({*self.source.values, *there}):
            wanted = self.source.values.get(name)
            shown = [row.value for row in self.target.find(name)]
            fine = shown == [wanted] or (wanted is None and not shown)
            assert fine or name in told, f"{name}: {shown}, not {wanted}; nobody knows"
        assert self.value(LEFT) == 0, "something is left and nothing moves it"

    def work_everything_off(self):
        """One worker alone, and nothing goes wrong; False if there was nothing to do."""
        seq = self.value("SELECT sum(seq) FROM partition WHERE part='lane/0'")
        for part in PARTS:
            if part not in self.workers[0].leases:
                self.claim(0, part)
        leases = self.workers[0].leases
        while leases["live"].cursor["at"] < len(self.source.feed):
            self.read(0, "live", 3)
            self.stage(0, None)
        if not self.told_once:
            self.finish_a_pass()
            self.look_again(0, None)
        while self.take(0, None):
            self.send(0, ("ok", "ok"), frozen=False)
            self.settle(0, None)
        again = self.value("SELECT count(*) FROM again WHERE due=1 AND tries<5")
        return again or seq != self.value(
            "SELECT sum(seq) FROM partition WHERE part='lane/0'"
        )

    def finish_a_pass(self):
        while self.workers[0].leases["pass"].cursor["at"] < len(self.source.values):
            self.read(0, "pass", 3)
            self.stage(0, None)
        self.end_the_pass(0, None, apply=True)

    def told(self):
        """Names that somebody is told about."""
        with self.ledger.read() as tx:
            found = waiting.waiting(tx, self.row.flow_id)
            refused = tx.all(
                "SELECT i.ref FROM hold h JOIN intent i ON i.parcel_id=h.parcel_id "
                "WHERE h.decided='refuse'"
            )
        names = {one.ref[0] for one in found if one.ref}
        return names | {json.loads(ref)[0] for (ref,) in refused}
