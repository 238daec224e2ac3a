"""The control partition: opens and closes passes, judges plans, ends runs (scale 1).

A run goes scanning -> planned -> applying -> done. Each step is one or more short
transactions under the control lease and can be repeated after a kill.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moatbridge.errors import MoatbridgeError, NotApplied
from moatbridge.flow.afresh import TRIES, Afresh
from moatbridge.flow.judging import judge_run, verdict_to_json
from moatbridge.flow.nothing import end_without_pass
from moatbridge.flow.opening import (
    BY_ITSELF,
    LIVE,
    only_follows,
    open_pass,
    plan_waits,
)
from moatbridge.flow.retract.guarding import after_a_retract
from moatbridge.flow.retract.planning import Planning
from moatbridge.flow.retranslated import retranslated
from moatbridge.flow.settling import settle_delivered
from moatbridge.flow.standing import DECIDED, not_approved
from moatbridge.flow.vanished import Vanished
from moatbridge.guard import BY_ITSELF as LASTING
from moatbridge.guard import Finding
from moatbridge.ledger import (
    audit,
    flows,
    holds,
    parcels,
    partitions,
    runs,
    scans,
    settlement,
    unsettled,
)
from moatbridge.ledger.undo import KIND
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.observe import Observer
    from moatbridge.flow.poison import Sieve
    from moatbridge.flow.route import Route
    from moatbridge.guard import PlanVerdict
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.ledger.scans import Scan
    from moatbridge.resilience.session import Session

CONTROL = "control"
_CONFIRM = 500

__all__ = ["CONTROL", "LIVE", "Control", "ensure_partitions", "request_pass"]


def request_pass(ledger: Ledger, route: Route, *, auto: bool, actor: str) -> int:
    """Ask for a new pass, or join the one that is being read; returns the run's id.

    Who only wants to look (``auto`` is False) sees the plan of a pass before anything
    of it is sent, also if somebody else began that pass to apply it, and up to the
    moment in which it is judged. One that was judged and passed before is agreed to:
    it goes on (the kill switch stops that), and a new pass is begun, of which nothing
    is sent before a person applies it.

    Args:
        ledger: The ledger.
        route: The flow.
        auto: Apply by itself when the verdict is *pass*.
        actor: Who asked; one of `BY_ITSELF` if nobody did: while a plan waits for a
            person, such a pass waits as well, and replaces it under their eyes.
    """
    with ledger.write() as tx:
        return begin_pass(tx, ledger, route, auto=auto, actor=actor)


def begin_pass(tx: Any, ledger: Ledger, route: Route, *, auto: bool, actor: str) -> int:
    """`request_pass` as a part of somebody's transaction."""
    row = route.row
    found = runs.latest(tx, row.flow_id, "scanning")
    if found is None:
        run_id = runs.begin(
            tx, row.flow_id, kind="pass", state="scanning", auto=auto, actor=actor
        )
        audit.record(tx, "plan-begun", flow=route.name, run=run_id, actor=actor)
    else:
        run_id = found.run_id
        if not auto:  # whoever joins it to apply it takes nothing back of that
            tx.run("UPDATE run SET auto=0 WHERE run_id=?", run_id)
        elif found.actor in BY_ITSELF:
            tx.run("UPDATE run SET actor=? WHERE run_id=?", actor, run_id)
    ensure_partitions(ledger, route, tx)
    partitions.resume(tx, row.flow_id)
    ledger.leases.wake(tx, row.flow_id, "control")
    return run_id


def ensure_partitions(ledger: Ledger, route: Route, tx: Any) -> None:
    """The flow's standing partitions: control and lanes."""
    flow_id = route.row.flow_id
    have = {
        part
        for (part,) in tx.all("SELECT part FROM partition WHERE flow_id=?", flow_id)
    }
    wanted = {CONTROL: "control"} | {f"lane/{n}": "lane" for n in range(route.lanes)}
    for part, kind in wanted.items():
        if part not in have:
            ledger.leases.add(tx, flow_id, part, kind)


class Control:
    """One slice of the control partition.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the control partition.
        source: Gives a session of the source system.
        observer: Judges what vanished or must be read again.
        untidy: Whether a flow that never begins a pass should tidy up now.
        target: Gives a session of the target, for what is to be taken back.
        sieve: Finds what fails alone, where something failed before.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        *,
        source: Callable[[], Session],
        observer: Observer,
        untidy: Callable[[], bool],
        target: Callable[[], Session],
        sieve: Sieve,
    ) -> None:
        self._is_untidy = untidy
        self._sieve = sieve
        self.untidy: bool = False
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._source = source
        self._observer = observer
        self._flow_id = route.row.flow_id
        self._vanished = Vanished(route, ledger, lease, observer)
        self._retracts = Planning(route, ledger, lease, target=target)

    def work(self) -> bool:
        """Take the next step of the flow's runs; False when there is nothing to do."""
        if only_follows(self._route) and self._is_untidy():
            with self._ledger.step(self._lease) as tx:
                self._tidy(tx)
        with self._ledger.read() as tx:
            scanning = runs.latest(tx, self._flow_id, "scanning")
            retract = runs.latest(tx, self._flow_id, "scanning", kind=KIND)
            applying = runs.applying(tx, self._flow_id)
            due = flows.due_again(tx, self._flow_id, limit=_CONFIRM, tries=TRIES)
        if scanning is not None and self._scan(scanning):
            return True
        if retract is not None and self._retracts.work(retract):
            return True
        if not applying and scanning is None and DECIDED in {why for _n, why in due}:
            applying = self._live_run()
        carrying = [run for run in applying if run.kind != KIND]
        if carrying and due:
            try:
                self._again(carrying[-1], due)
            except Exception as error:
                if self._sieve.blames_one(error) or isinstance(error, NotApplied):
                    self._end_what_can(applying)
                raise
            return True
        if self._settle():
            return True
        return max(map(self._finish, applying), default=False)

    def _end_what_can(self, applying: list[runs.Run]) -> None:
        """No run waits for one record; that it fails is told, not what else does."""
        with suppress(MoatbridgeError):
            self._settle()
            for run in applying:
                self._finish(run)

    def _settle(self) -> bool:
        """Tell the source what was delivered, before any run counts as done."""
        return settle_delivered(
            self._route, self._ledger, self._lease, source=self._source
        )

    def _live_run(self) -> list[runs.Run]:
        """The run for what must be looked at again between two passes."""
        with self._ledger.step(self._lease) as tx:
            if not runs.ever_applied(tx, self._route.agreement):
                return []
            return [runs.get(tx, runs.live(tx, self._flow_id))]

    # --- a pass -----------------------------------------------------------------

    def _scan(self, run: runs.Run) -> bool:
        if run.generation is None:
            self._open(run)
            return True
        with self._ledger.read() as tx:
            scan = scans.get(tx, self._flow_id, run.generation)
            parts = tx.all(
                "SELECT state, records FROM partition WHERE flow_id=? "
                "AND kind='scan' AND generation=?",
                self._flow_id,
                run.generation,
            )
        states = {state for state, _records in parts}
        if states - {"done", "nothing"}:
            return False
        scan = scan._replace(seen=sum(records for _state, records in parts))
        if only_follows(self._route) or states == {"nothing"}:
            end_without_pass(self._route, self._ledger, self._lease, run, scan)
        else:
            self._close(run, scan, whole="nothing" not in states)
        return True

    def _open(self, run: runs.Run) -> None:
        open_pass(
            self._route,
            self._ledger,
            self._lease,
            run,
            source=self._source,
            tidy=self._tidy,
        )

    def _tidy(self, tx: Any) -> None:
        """What waited too long expires; the janitor sees to what was kept too long."""
        ttl = self._route.rules.approval_ttl
        fetches = self._route.source.can("CanFetch")
        flows.note_fetches(tx, self._flow_id, fetches=fetches)
        late = holds.expire_holds(tx, self._flow_id, older=ttl, lasting=LASTING)
        not_approved(tx, self._ledger, self._route.name, self._route.config, late)
        self.untidy = True

    def _close(self, run: runs.Run, scan: Scan, *, whole: bool) -> None:
        missing = 0
        whole = whole and self._whole(scan)
        if whole:
            missing = self._vanished.stage(run, scan)
        with self._ledger.read() as tx:
            last = scans.last_server(tx, self._flow_id)
            report = tx.value("SELECT report FROM flow WHERE flow_id=?", self._flow_id)
        lines = self._route.report_lines
        known = set((report or "").splitlines())
        new = tuple(line for line in lines if report and line not in known)
        crash_point("verdict.before")
        summary, verdict, digest = judge_run(
            self._route,
            self._ledger,
            run,
            scan=scan,
            complete=whole,
            server_changed=last is not None and last != scan.server,
            missing=missing,
            new_fields=new,
        )
        verdict = self._too_many_rejects(scan, verdict)
        verdict = after_a_retract(self._route, self._ledger, summary, verdict)
        with self._ledger.step(self._lease, cursor=None) as tx:
            crash_point("plan.done")
            # Not as it was when we began: a person may have joined to look at it, or
            # taken it back.
            now = runs.get(tx, run.run_id)
            if now.state != "scanning":
                return
            unasked = now.actor in BY_ITSELF and plan_waits(tx, self._flow_id)
            go = now.auto and not unasked and verdict.decision == "pass"
            if not verdict.deletes_allowed:
                parcels.cancel_removals(tx, run.run_id)
            tx.run(
                "UPDATE scan SET seen=? WHERE flow_id=? AND generation=?",
                scan.seen,
                self._flow_id,
                scan.generation,
            )
            good = whole and verdict.deletes_allowed
            if whole:
                settlement.forget_unseen_rejects(tx, self._flow_id, scan.generation)
            scans.finish(
                tx, self._flow_id, scan.generation, "complete" if good else "abandoned"
            )
            parcels.cancel_planned(tx, self._flow_id, keep_run=run.run_id)
            runs.replace_older(tx, self._flow_id, run.run_id)
            unsettled.given_up(tx, self._flow_id)
            runs.set_state(
                tx,
                run.run_id,
                "applying" if go else "planned",
                plan_digest=digest,
                planned=tx.now(),
                verdict={
                    **verdict_to_json(summary, verdict),
                    **retranslated(tx, self._route, run.run_id),
                },
            )
            audit.record(
                tx,
                "verdict",
                flow=self._route.name,
                run=run.run_id,
                decision=verdict.decision,
                rules=[f.rule for f in verdict.deciding],
                counts=dict(summary.counts),
            )
            self._ledger.leases.wake(tx, self._flow_id, "lane")

    def _too_many_rejects(self, scan: Scan, verdict: PlanVerdict) -> PlanVerdict:
        """A pass that could not read or translate too much is not applied at all."""
        with self._ledger.read() as tx:
            rejects = tx.value(
                "SELECT coalesce(sum(rejects), 0) FROM partition WHERE flow_id=? "
                "AND kind='scan' AND generation=?",
                self._flow_id,
                scan.generation,
            )
        limit = self._route.config.reject_limit.of(scan.seen + rejects)
        if rejects <= limit:
            return verdict
        finding = Finding(
            rule="reject_limit",
            mode="enforce",
            decision="stop",
            seen=int(rejects),
            limit=limit,
            nearest_pass=limit,
            sentence=f"leaves out {rejects:,} records that could not be read or "
            f"translated; the limit is {limit:,}",
            acceptable=False,
        )
        return replace(
            verdict,
            decision="stop",
            findings=(finding, *verdict.findings),
            deletes_allowed=False,
        )

    def _whole(self, scan: Scan) -> bool:
        """May this pass say that something is gone? Never an empty or a blind one."""
        return (
            scan.blind == 0
            and scan.seen > 0
            and scan.server == self._source().probe().server
        )

    # --- while applying ---------------------------------------------------------

    def _again(self, run: runs.Run, due: list[tuple[int, str]]) -> None:
        """Stale, newly resolved or decided records: read and judged afresh."""
        afresh = Afresh(
            self._route,
            self._ledger,
            self._lease,
            observer=self._observer,
            sieve=self._sieve,
        )
        afresh.take(run.run_id, due)

    def _finish(self, run: runs.Run) -> bool:
        """End a run that has nothing left to send; live runs stay open."""
        with self._ledger.read() as tx:
            left, _next = parcels.unfinished(tx, self._flow_id, run.run_id)
        if left or run.kind == "live":
            return False
        with self._ledger.step(self._lease) as tx:
            runs.set_state(tx, run.run_id, "done", counts=runs.outcome(tx, run.run_id))
            if run.kind == "pass":
                tx.run(
                    "UPDATE flow SET report=?, translator=? WHERE flow_id=?",
                    "\n".join(self._route.report_lines),
                    self._route.source.bound.version,
                    self._flow_id,
                )
            audit.record(tx, "run-done", flow=self._route.name, run=run.run_id)
        return True
