"""How a still flow delivers: in flight, sent, settled; and what is in doubt."""

from __future__ import annotations

import json

from ledger.still_flow import LIFE, Answer, Flight, encode, in_flight, thaw
from moatbridge.flow.folding import PLANNED, stage_stale
from moatbridge.ledger import admission, frozen, marks, parcels, settlement
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.settlement import Result
from moatbridge.ledger.states import State

STATES = {
    "applied": State.DONE, "not_applied": State.RETRY, "unknown": State.UNKNOWN, "rejected": State.REJECTED,
}  # fmt: skip


class StillDelivery:
    """Transactions B and C of both workers; mixed into a `StillGround`."""

    mark_first = False  # seeded bug: settled as done before the call

    # --- delivering ----------------------------------------------------------------------

    def take(self, who, die):
        """Transaction B: the next parcel is put in flight, or its doubt is looked into."""
        worker = self.workers[who]
        if "lane/0" not in worker.leases or worker.flight is not None:
            return False
        with self.ledger.read() as tx:
            parcel = parcels.next_parcel(tx, self.row.flow_id, 0)
            items = parcels.items(tx, parcel.parcel_id) if parcel else []
        if parcel is None:
            return False
        if parcel.state is State.PLANNED:
            self.admit(worker, parcel, items, die)
        elif parcel.state in {State.IN_FLIGHT, State.UNKNOWN}:
            self.resolve(worker, parcel, items, die)
        else:
            self.fly(worker, parcel, die)
        return True

    def admit(self, worker, parcel, items, die):
        with self.ledger.read() as tx:
            links = marks.links(tx, [i.link_id for i in items if i.link_id])
        candidates = []
        for item in items:
            linked = links.get(item.link_id)
            row = next(
                (r for r in self.target.rows if linked and r.ref == linked.b_key), None
            )
            candidates.append(admission.Candidate(item, self.encoded(item, row)))
        done = {}

        def body(tx):
            if not parcels.still_planned(tx, parcel.parcel_id, len(items)):
                return
            done["as"] = admission.admit(
                tx, flow_id=self.row.flow_id, pair_id=self.row.pair_id, side=self.row.side, named=False,
                conditional=self.target.kind.conditional, parcel=parcel, fence=worker.leases["lane/0"].fence,
                retry_for=86400.0, candidates=candidates, told_once=self.told_once,
            )  # fmt: skip

        if (
            self.commit(worker, "lane/0", body, die=die)
            and done
            and done["as"].ready
            and die is None
        ):
            self.flying(worker, parcel)

    def encoded(self, item, row):
        if row is None and item.op == "disable":
            return None  # nothing is there that could be disabled
        text = encode(item, row, self.target.kind)
        if text is None or not self.told_once:
            return text
        told = json.loads(item.payload)
        return frozen.dumps({**frozen.loads(text), PLANNED: told})

    def fly(self, worker, parcel, die, **columns):
        lease = worker.leases["lane/0"]
        now = self.clock()

        def body(tx):
            parcels.move(
                tx, parcel, State.IN_FLIGHT, attempt=parcel.attempt + 1, fence=lease.fence, last_sent=now,
                first_sent=parcel.first_sent or now, deadline=parcel.deadline or now + 86400.0, **columns,
            )  # fmt: skip

        if self.commit(worker, "lane/0", body, die=die) and die is None:
            return self.flying(
                worker, parcel._replace(doubt=columns.get("doubt", parcel.doubt))
            )
        return None

    def flying(self, worker, parcel):
        with self.ledger.read() as tx:
            items = parcels.items(tx, parcel.parcel_id)
        self.sent.update(item.key for item in items)
        flown = in_flight(parcel, worker.leases["lane/0"].fence, self.clock())
        worker.flight = Flight(flown, items)
        return worker.flight

    def resolve(self, worker, parcel, items, die):
        if parcel.state is State.IN_FLIGHT:
            found = parcel
            if not self.commit(
                worker,
                "lane/0",
                lambda tx: settlement.found_in_flight(tx, found, self.policy),
            ):
                return
            parcel = parcel._replace(state=State.UNKNOWN, doubt=1)
        if self.target.kind.dedup == "keyed":
            self.fly(worker, parcel, die)
            return
        settled = (parcel.last_sent or 0.0) + LIFE
        if self.clock() < settled:
            wait = "UPDATE parcel SET not_before=? WHERE parcel_id=?"
            self.commit(
                worker,
                "lane/0",
                lambda tx: tx.run(wait, settled, parcel.parcel_id),
                die=die,
            )
            return
        asked = {
            item.pos: self.target.find(thaw(item).ext)
            for item in items
            if thaw(item).op == "create"
        }
        flight = self.fly(worker, parcel, None, doubt=0)
        if flight is not None and any(asked.values()):
            flight.answers = {
                pos: (Answer("applied", rows[0].ref, rows[0].version), 0)
                for pos, rows in asked.items()
                if rows
            }

    def send(self, who, fates, frozen):
        """The calls of a parcel; a process that froze right before them asks nobody."""
        worker = self.workers[who]
        flight = worker.flight
        if flight is None or flight.answers is not None:
            return
        with self.ledger.read() as tx:
            ours = parcels.flies(tx, flight.parcel.parcel_id, flight.parcel.fence)
        harmless = self.target.kind.conditional
        if not ours and not (frozen and harmless):
            worker.lose("lane/0")
            return
        if self.mark_first:
            flight.answers = {i.pos: (self.pretend(i), 0) for i in flight.items}
            self.settle(who, None)
        answers = {}
        for number, start in enumerate(range(0, len(flight.items), self.batch)):
            fate = fates[number % 2]
            for item in flight.items[start : start + self.batch]:
                answers[item.pos] = (self.call(thaw(item), fate), number)
        flight.answers = answers

    def pretend(self, item):

        return Answer("applied", f"guess-{item.key}")

    def call(self, request, fate):

        if fate == "not applied":
            return Answer("not_applied")
        if fate == "linger" and not self.target.refusing:
            self.target.lingering.append(request)
            self.sent_at.append(self.now)
        if fate in {"linger", "lose request"}:
            return Answer("unknown")
        answer = self.target.arrive(request)
        return answer if fate == "ok" else Answer("unknown")

    def settle(self, who, die):
        """Transaction C: what came back."""
        worker = self.workers[who]
        flight = worker.flight
        if flight is None or flight.answers is None or "lane/0" not in worker.leases:
            return
        results = [
            self.result(item, flight.answers.get(item.pos)) for item in flight.items
        ]

        def body(tx):
            settlement.settle(
                tx, flow_id=self.row.flow_id, pair_id=self.row.pair_id, side=self.row.side,
                parcel=flight.parcel, results=results, policy=self.policy,
            )  # fmt: skip
            if self.told_once:
                stage_stale(tx, self.route, flight.parcel, results)

        self.commit(worker, "lane/0", body, die=die)
        worker.flight = None

    def result(self, item, answered):
        if answered is None:
            return Result(item, State.READY)
        answer, call = answered
        state = STATES[answer.outcome]
        if answer.code == "target.stale":
            state = State.CANCELLED
        if state is not State.DONE:
            return Result(item, state, answer.code, call=call)
        mark = (key_hash(answer.ref), None, None)
        return Result(
            item,
            state,
            target=(answer.ref, None, str(answer.version)),
            mark=mark,
            call=call,
        )
