"""What diverges becomes a plan on the ordinary road: judged, shown, applied by people.

A changed record is sent as the source says it now; one that is missing is created again
if we made it, under a key of its own, so that a target that remembers the first create
does not swallow it (delivery 14). Nothing is ever deleted.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Change, Record, Ref
from moatbridge.errors import NotApplied
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.control import CONTROL, ensure_partitions
from moatbridge.flow.deciding import Decider, Seen
from moatbridge.flow.judging import judge_run, verdict_to_json
from moatbridge.flow.lost import LOST
from moatbridge.flow.observation import Observation
from moatbridge.flow.plans import load_plan
from moatbridge.flow.reconcile.here import looks_here
from moatbridge.flow.reconcile.looking import RETRACTED
from moatbridge.flow.reconcile.sight import is_believed
from moatbridge.flow.reconcile.there import incomplete
from moatbridge.flow.reconcile.work import hydrated
from moatbridge.flow.removals import GONE
from moatbridge.flow.retract.guarding import after_a_retract
from moatbridge.flow.settings import CONTENT
from moatbridge.flow.writing import write
from moatbridge.ledger import audit, counts, flows, marks, parcels, reconciling, runs
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.staging import Staged
from moatbridge.ledger.states import LinkState
from moatbridge.resilience.crash import crash_point
from moatbridge.resilience.heart import Heart, beating, current

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from moatbridge.flow.plans import Plan
    from moatbridge.flow.reconcile.work import Work
    from moatbridge.guard import PlanVerdict
    from moatbridge.ledger import Lease
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.scratch import Found
    from moatbridge.resilience.session import Session

_BATCH: Final = 500
_PATIENCE: Final = 30.0
"""Seconds to wait until whoever works on the flow gives its control partition back."""

REMOVED_THERE: Final = "removed at the target"
ENABLED_THERE: Final = "enabled again at the target"


def repair(work: Work, *, actor: str) -> tuple[Plan | None, dict[str, int]]:
    """Stage a plan that repairs what diverges.

    Args:
        work: The reconciliation, with everything it found.
        actor: Who asked.

    Returns:
        The plan (None if nothing can be staged), and reason -> divergences that are
        left to people.

    Raises:
        NotApplied: ``flow.busy``: somebody else works on the flow all the time.
    """
    return _Repair(work, actor).run()


class _Repair:
    def __init__(self, work: Work, actor: str) -> None:
        self._work = work
        self._route = work.route
        self._actor = actor
        self._other = 1 - work.route.row.side
        self.left: Counter[str] = Counter()
        self._staged = 0
        self._creates = False
        self._decider = Decider(
            work.route,
            work.ledger,
            target=self._target,
            memory=counts.Window(work.ledger.db, work.route.row.flow_id),
        )

    def run(self) -> tuple[Plan | None, dict[str, int]]:
        work = self._work
        if not looks_here(work):
            rows = (row for page in work.scratch.found(_BATCH) for row in page)
            self.left["told-once"] = sum(1 for _row in rows)
            return None, dict(+self.left)
        lease, heart = self._claim(), current() or Heart()
        try:
            # Its calls, commits and pages are signs of life, however long it takes.
            with work.bridge.renewing(lease, heart), beating(heart):
                run = self._begin(lease)
                for found, records in self._records():
                    self._stage(lease, run, found, records)
                    crash_point("reconcile.staged")
                plan = self._judge(lease, run) if self._staged else None
                if plan is None:
                    self._nothing(lease, run)
        finally:
            work.ledger.leases.release(lease)
        return plan, dict(+self.left)

    # --- whose turn it is -----------------------------------------------------------

    def _claim(self) -> Lease:
        work, row = self._work, self._route.row
        with work.ledger.write() as tx:
            ensure_partitions(work.ledger, self._route, tx)
        ttl = work.bridge.config.run.ttl
        until = time.monotonic() + _PATIENCE
        while True:
            lease = work.ledger.leases.claim(
                row.flow_id, CONTROL, f"reconcile:{self._actor}", ttl=ttl
            )
            if lease is not None:
                return lease
            if time.monotonic() >= until:
                raise NotApplied(
                    f"Flow {self._route.name!r} is being worked on by another process; "
                    "`moatbridge status` shows by whom. Nothing was staged.",
                    code="flow.busy",
                )
            with work.ledger.write() as tx:
                work.ledger.leases.wake(tx, row.flow_id, CONTROL)
            time.sleep(0.05)

    def _begin(self, lease: Lease) -> int:
        flow_id = self._route.row.flow_id
        with self._work.ledger.step(lease) as tx:
            reconciling.give_up(tx, flow_id)
            return runs.begin(
                tx, flow_id, kind="pass", state=reconciling.STAGING, auto=False,
                actor=self._actor,
            )  # fmt: skip

    # --- what the source says now ---------------------------------------------------

    def _records(self) -> Iterator[tuple[list[Found], dict[int, Record]]]:
        """What is to be repaired, each batch with its source records by link."""
        work, source = self._work, self._route.source
        if not work.fetches(source):
            yield from self._rescanned()
            return
        for page in work.scratch.found(_BATCH):
            with work.ledger.read() as tx:
                links = marks.links(tx, [one.link_id for one in page])
            side = self._route.row.side
            refs = [Ref.from_key(links[one.link_id].key(side) or "") for one in page]
            answers = zip(page, work.fetch(source, refs), strict=True)
            yield page, {f.link_id: r for f, r in answers if isinstance(r, Record)}

    def _rescanned(self) -> Iterator[tuple[list[Found], dict[int, Record]]]:
        """The source can only be read as a whole: pick what is needed."""
        work, end = self._work, self._route.source
        session = work.session("scan-here", end.system)
        for partition in work.split(end):
            complete = False
            for batch in session.scan(end.name, partition, None):
                records = hydrated(work, end, batch.changes)
                with work.ledger.read() as tx:
                    found = marks.lookup(
                        tx,
                        self._route.row.source_side,
                        [key_hash(record.ref.key) for record in records],
                    )
                by_link = {
                    found[k].link_id: record
                    for record in records
                    if (k := key_hash(record.ref.key)) in found
                }
                wanted = work.scratch.of_found(list(by_link))
                yield list(wanted.values()), by_link
                complete = batch.complete
            if not complete:
                raise incomplete(end.address)

    # --- staging --------------------------------------------------------------------

    def _stage(
        self,
        lease: Lease,
        run: int,
        page: Sequence[Found],
        records: dict[int, Record],
    ) -> None:
        work = self._work
        with work.ledger.read() as tx:
            links = marks.links(tx, [one.link_id for one in page])
            ks = {
                key_hash(link.key(self._route.row.side) or ""): link_id
                for link_id, link in links.items()
            }
            known = marks.lookup(tx, self._route.row.source_side, list(ks))
            busy = reconciling.busy(tx, list(links))
            undone = reconciling.taken_back(tx, self._route.row.flow_id, list(links))
        mark_of = {mark.link_id: mark for mark in known.values()}
        result, seen = Observation(), list[Seen]()
        doctored: dict[int, Link] = {}
        chosen: dict[bytes, Found] = {}
        for one in page:
            link, mark = links[one.link_id], mark_of.get(one.link_id)
            record = records.get(one.link_id)
            back = one.kind == "enabled" and link.state is not LinkState.DISABLED
            if mark is None or one.link_id in busy or back:
                self.left["moved"] += 1
            elif one.kind == RETRACTED or (
                one.kind == "changed" and link.base is None and one.link_id in undone
            ):  # an update sends the whole record, with what was taken back
                self.left[RETRACTED] += 1
            elif one.kind == "enabled":
                self._disable(link, mark.fp, result)
            elif record is None:
                self.left["gone"] += 1
            elif one.kind == "missing" and not self._route.creates:
                self.left["not-owner"] += 1
            else:
                now = self._seen(record)
                now.mark = mark
                seen.append(now)
                chosen[now.k] = one
                doctored[link.link_id] = self._doctored(one, link, record)
        self._decider.decide(seen, doctored, result, force=True)
        for staged in result.upserts:
            self._settle(staged, chosen[staged.k], links, undone=undone)
        result.touched.clear()
        result.renamed.clear()
        self._staged += result.staged
        self.left["unreadable"] += len(result.rejects)
        rounds = [n for n in (*doctored, *(s.link_id for s in result.disables)) if n]
        with work.ledger.step(lease) as tx:
            flows.next_round(tx, rounds)
            write(tx, self._route, result, run, lease)

    def _seen(self, record: Record) -> Seen:
        key = record.ref.key
        values = self._route.source.bound.project(record.data)
        fp = self._route.fingerprint(key, record.ref.name, values)
        change = Change(
            record.ref, data=record.data, version=record.version,
            incomplete=record.incomplete,
        )  # fmt: skip
        return Seen(change, key, key_hash(key), fp)

    def _doctored(self, one: Found, link: Link, record: Record) -> Link:
        """The link as the decider must see it: without the record that is gone."""
        again = replace(link, round=link.round + 1)
        if one.kind != "missing":
            return replace(again, base=self._base(one, link, record))
        lost: Any = {"a_key": None} if self._other == 0 else {"b_key": None}
        return replace(again, state=LinkState.PENDING, base=None, **lost)

    def _base(self, one: Found, link: Link, record: Record) -> bytes | None:
        """Path hashes that differ where the target does, so that only that counts."""
        carry = self._route.carry
        if isinstance(carry, PairCarry):
            return link.base
        (should,) = self._work.expecting.of([_source(record, link)])
        if should is None:
            return link.base
        base = bytearray(carry.base(carry.cut(should.whole)))
        for number, path in enumerate(carry.paths, start=1):
            if path in one.fields:
                base[4 * number] ^= 0xFF
        return bytes(base)

    def _settle(
        self,
        staged: Staged,
        one: Found,
        links: dict[int, Link],
        *,
        undone: Container[int],
    ) -> None:
        """A missing record: what it takes the place of, and who must agree."""
        if one.kind != "missing":
            return
        self._creates = True
        link = links[one.link_id]
        payload = json.loads(staged.payload)
        payload[LOST] = link.key(self._other)
        if one.claimant is not None:
            key, name = json.loads(one.claimant)
            staged.op, payload["adopt"] = "update", [key, name, None]
            payload["entity"] = self._route.carry.cut(payload["entity"])
        elif (
            link.origin != 1
            or self._route.entity in CONTENT
            or (link.base is None and link.link_id in undone)
        ):
            staged.hold = staged.hold or ("approval", "reconcile", REMOVED_THERE)
        staged.payload = json.dumps(payload, ensure_ascii=False)

    def _disable(self, link: Link, fp: bytes | None, result: Observation) -> None:
        side = self._route.row.side
        key = link.key(side) or ""
        payload = {"entity": {"active": False}, "why": "missing"}
        result.disables.append(
            Staged(
                k=key_hash(key), ref=(key, link.name(side)), op="disable",
                link_id=link.link_id, prev_fp=fp, fp=GONE,
                out_fp=key_hash(f"disable/enabled-there/{link.round + 1}"),
                payload=json.dumps(payload), label=self._route.source.bound.label,
                round=link.round + 1, lane=self._route.lane_of(key),
            )
        )  # fmt: skip

    # --- judging --------------------------------------------------------------------

    def _judge(self, lease: Lease, run_id: int) -> Plan:
        work, route = self._work, self._route
        flow_id = route.row.flow_id
        with work.ledger.read() as tx:
            run = runs.get(tx, run_id)
            report = tx.value("SELECT report FROM flow WHERE flow_id=?", flow_id)
        known = set((report or "").splitlines())
        new = tuple(line for line in route.report_lines if report and line not in known)
        summary, verdict, digest = judge_run(
            route, work.ledger, run, scan=None, complete=True, server_changed=False,
            missing=0, new_fields=new,
        )  # fmt: skip
        verdict = after_a_retract(route, work.ledger, summary, verdict)
        if self._creates:
            verdict = is_believed(work, verdict)
        facts = verdict_to_json(summary, verdict) | {"seen": work.tally.compared}
        with work.ledger.step(lease) as tx:
            parcels.cancel_planned(tx, flow_id, keep_run=run_id)
            runs.replace_older(tx, flow_id, run_id)
            runs.set_state(
                tx, run_id, "planned", plan_digest=digest, planned=work.ledger.now(),
                verdict=facts,
            )  # fmt: skip
            self._record(tx, run_id, verdict)
        return load_plan(route, work.ledger, run_id)

    def _record(self, tx: Any, run_id: int, verdict: PlanVerdict) -> None:
        audit.record(
            tx, "verdict", flow=self._route.name, run=run_id, actor=self._actor,
            decision=verdict.decision, repair=True,
            rules=[f.rule for f in verdict.deciding],
        )  # fmt: skip

    def _nothing(self, lease: Lease, run_id: int) -> None:
        with self._work.ledger.step(lease) as tx:
            runs.set_state(tx, run_id, "cancelled")

    def _target(self) -> Session:
        return self._work.session("look-there", self._route.target.system)


def _source(record: Record, link: Link) -> Any:
    from moatbridge.flow.reconcile.expecting import Source  # noqa: PLC0415

    ref = record.ref
    return Source(ref.key, ref.name, record.data, record.incomplete, link.link_id)
