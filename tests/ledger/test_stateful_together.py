"""The same, with C of one parcel and B of the next in one transaction (delivery 21)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from ledger.still_machine import DEATH, NAMES, WHO, StillMachine
from ledger.test_stateful import search
from moatbridge.ledger import admission, marks, parcels, settlement
from moatbridge.ledger.admission import Candidate
from moatbridge.ledger.states import State

SEEN = Counter()
"""How often both were one transaction, and how often one that died."""


class Together(StillMachine):
    """Settles together with taking the next one, wherever the flow would."""

    apart = True  # seeded bug: prepared early, whatever the settlement is about

    @rule(who=WHO, names=st.lists(NAMES, min_size=2, max_size=3), die=DEATH)
    def one_after_the_other(self, who, names, die):
        """Each of them was told by itself, so each is a parcel of its own."""
        for name in names:
            self.change_one(name, "change")
            live = self.holder(who, "live")
            self.read(live, "live", 3)
            self.stage(live, None)
        lane = self.holder(who, "lane/0")
        self.take(lane, None)
        for fate in (die, None):
            self.send(lane, ("ok", "ok"), frozen=False)
            self.settle(lane, fate)

    def take(self, who, die):
        taken, flight = super().take(who, die), self.workers[who].flight
        return taken or (flight is not None and flight.answers is None)

    def settle(self, who, die):
        worker = self.workers[who]
        flight = worker.flight
        follower = None
        if flight is not None and flight.answers and "lane/0" in worker.leases:
            follower = self.follower(flight)
        if follower is None:
            super().settle(who, die)
            return
        parcel, items = follower
        candidates, done = self.prepared(items), {}
        results = [self.result(i, flight.answers.get(i.pos)) for i in flight.items]
        row, lease = self.row, worker.leases["lane/0"]

        def body(tx):
            settlement.settle(
                tx, flow_id=row.flow_id, pair_id=row.pair_id, side=row.side,
                parcel=flight.parcel, results=results, policy=self.policy,
            )  # fmt: skip
            if parcels.still_planned(tx, parcel.parcel_id, len(items)):
                done["as"] = admission.admit(
                    tx, flow_id=row.flow_id, pair_id=row.pair_id, side=row.side, named=False,
                    conditional=self.target.kind.conditional, parcel=parcel, fence=lease.fence,
                    retry_for=86400.0, candidates=candidates, told_once=self.told_once,
                )  # fmt: skip

        worker.flight = None
        went = self.commit(worker, "lane/0", body, die=die)
        SEEN["died" if die else "together"] += 1
        if went and die is None and done and done["as"].ready:
            self.flying(worker, parcel)

    def follower(self, flight):
        """The next planned parcel, if it may be prepared before this one is settled."""
        arrived = all(
            (a := flight.answers.get(i.pos)) is not None and a[0].outcome == "applied"
            for i in flight.items
        )
        doubt = flight.parcel.doubt or self.target.kind.dedup != "keyed"
        if self.apart and (doubt or not arrived):
            return None
        with self.ledger.read() as tx:
            parcel = parcels.next_parcel(
                tx, self.row.flow_id, 0, behind=flight.parcel.parcel_id
            )
            items = parcels.items(tx, parcel.parcel_id) if parcel else []
        if parcel is None or parcel.state is not State.PLANNED:
            return None
        shared = {i.k for i in flight.items} & {i.k for i in items}
        return None if self.apart and shared else (parcel, items)

    def prepared(self, items):
        with self.ledger.read() as tx:
            links = marks.links(tx, [i.link_id for i in items if i.link_id])
        found = []
        for item in items:
            link = links.get(item.link_id)
            there = (r for r in self.target.rows if link and r.ref == link.b_key)
            found.append(Candidate(item, self.encoded(item, next(there, None))))
        return found


def test_settled_together_with_the_next_nothing_is_lost_doubled_or_silent():
    SEEN.clear()
    search(Together, examples=120)
    assert SEEN["together"] > 50, SEEN
    assert SEEN["died"] > 5, SEEN


def test_control_what_is_prepared_before_its_own_settlement_is_caught():
    careless = type("Careless", (Together,), {"apart": False})
    with pytest.raises(AssertionError):
        search(careless, examples=2000, shrink=False)
