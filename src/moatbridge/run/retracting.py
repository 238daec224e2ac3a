"""Taking a run back, as products and the command line ask for it (guard 48)."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError
from moatbridge.flow import Bridge as FlowBridge
from moatbridge.flow.control import ensure_partitions
from moatbridge.flow.judging import approvals, approve
from moatbridge.flow.plans import load_plan
from moatbridge.flow.retract.asked import Asked, called
from moatbridge.flow.retract.report import Retraction, load_retraction
from moatbridge.guard import Approval, check_approval
from moatbridge.guard.approval import PLAN_LIFE
from moatbridge.ledger import audit, parcels, reconciling, runs, undo, undo_report
from moatbridge.run.following import PATIENCE, refuse_if_killed
from moatbridge.run.local import LocalRunner
from moatbridge.run.principals import principal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.plans import Plan
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction

_OPEN = ("scanning", "planned", "applying")
_UNAPPLIED = ("scanning", "planned", reconciling.STAGING)


class Retracts(FlowBridge):
    """A bridge that can take a run back."""

    def plan_retract(
        self,
        run: int,
        *,
        since: float | None = None,
        said: str = "",
        refs: Sequence[str] = (),
        actor: str | None = None,
        progress: Callable[[int, int], None] = lambda _looked, _staged: None,
    ) -> Retraction:
        """Work out what would take a run back, and what nothing can. Nothing is sent.

        A plan that was made for the same question before, and is not a day old, is
        taken up again, so that a second person agrees to the very same thing. One that
        a person agreed to already is shown as it is.

        Args:
            run: Number of the run.
            since: Only what was sent at or after this POSIX time; for runs of a live
                tail, which never end.
            said: ``since`` as it was typed: the same words ask the same question.
            refs: Keys, names or digests of source records; empty: all.
            actor: Who asks; None for the user of this process.
            progress: Called with (intents looked at, undoings staged) as it goes.

        Raises:
            ConfigurationError: ``retract.run``: there is no such run, or it belongs to
                no configured flow; ``retract.since``: that is not over yet;
                ``retract.refs``: the run has nothing to do with one of these records.
                Then nothing was planned, and nothing else is called off.
            NotApplied: The target is unreachable now; call again to go on.
        """
        flow, route = self._flow_of(run)
        asked = Asked(run, since, said or str(since or ""), tuple(sorted(set(refs))))
        self._check_asked(asked)
        with self.ledger.write() as tx:
            run_id = self._ask(tx, route, asked, actor or principal())
        self._drive_retract(
            flow,
            ("control",),
            lambda: self._run(run_id).state != "scanning",
            lambda: progress(*self._staged(run_id)),
        )
        return self.retraction(flow, run_id)

    def retract(
        self,
        run: int,
        *,
        since: float | None = None,
        said: str = "",
        refs: Sequence[str] = (),
        dry: bool = False,
        actor: str | None = None,
        confirm: int | None = None,
        accept: Sequence[str] = (),
        progress: Callable[[int, int], None] = lambda _done, _all: None,
        max_seconds: float | None = None,
    ) -> Retraction:
        """Take back what a run did, as far as the target allows (delivery 53).

        Call it again to go on after a kill or a `NotApplied`: nothing is undone twice.

        Args:
            run: Number of the run.
            since: See `plan_retract`.
            said: See `plan_retract`.
            refs: See `plan_retract`.
            dry: Only show what would be done.
            actor: Who agrees; None for the user of this process.
            confirm: The number of records shown, typed by a person.
            accept: Rules accepted by name.
            progress: Called with (delivered, all).
            max_seconds: Return after this, with the rest still to do.

        Raises:
            GuardStopped: What is missing: a confirmation, or another person.
            ConfigurationError: ``retract.run``, ``retract.since``, ``retract.refs``;
                ``retract.moved``: the run did more since this was planned. What it had
                not sent is called off; look again.
            NotApplied: The target is unreachable, or sending is switched off.
        """
        found = self.plan_retract(run, since=since, said=said, refs=refs, actor=actor)
        if dry or found.state not in {"planned", "applying"}:
            return found
        who = actor or principal()
        if found.plan is not None:
            self._agree_retract(found, found.plan, who, confirm, accept)
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self._drive_retract(
            found.flow,
            ("control", "lane"),
            lambda: self._retract_rests(found.flow, found.run_id),
            lambda: progress(*self._undone(found.run_id)),
            deadline,
        )
        if self._run(found.run_id).state == "applying":
            refuse_if_killed(self, self.route(found.flow))
        return self.retraction(found.flow, found.run_id)

    def retraction(self, flow: str, run_id: int) -> Retraction:
        """What became of a retract so far.

        Args:
            flow: Name.
            run_id: The run that takes another one back: `Retraction.run_id`.
        """
        route = self.route(flow)
        plan = None
        if self._run(run_id).state == "planned":
            plan = load_plan(route, self.ledger, run_id)
        removes = plan is not None and plan.counts.get("delete", 0)
        limits = str(route.target.probe.limits.get("deletes", "")) if removes else ""
        with self.ledger.read() as tx:
            return load_retraction(tx, flow, run_id, plan=plan, limits=limits)

    # --- asking -------------------------------------------------------------------

    def _flow_of(self, run: int) -> tuple[str, Route]:
        with self.ledger.read() as tx:
            found = undo_report.flow_of(tx, self.ledger.scope, run)
        if found is None or found[0] not in self.config.flows or found[2] == "former":
            raise ConfigurationError(
                f"There is no run {run} of a configured flow, or its flow goes to "
                "another stream now; `moatbridge status` shows the runs.",
                code="retract.run",
            )
        return found[0], self.route(found[0])

    def _check_asked(self, asked: Asked) -> None:
        """Refuse a question that cannot mean what was typed."""
        if asked.since is not None and not -math.inf < asked.since <= self.ledger.now():
            raise ConfigurationError(
                f"Nothing was sent since {asked.said}: that is no time of the past. "
                "Say how long ago (2h), or when (2026-07-01T08:00).",
                code="retract.since",
            )
        unknown = self._unknown(asked) if asked.refs else set()
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ConfigurationError(
                f"Run {asked.of} has nothing to do with {names}: these are keys, names "
                "or digests of records of its source, as its plan showed them. Nothing "
                "was taken back.",
                code="retract.refs",
            )

    def _unknown(self, asked: Asked) -> set[str]:
        """References that no record of the run is called by, whatever became of it."""
        left, after = set(asked.refs), undo_report.START
        while left:
            with self.ledger.read() as tx:
                rows = undo_report.refs_after(tx, asked.of, after)
            if not rows:
                break
            for at, ref in rows:
                after = at
                left.difference_update(called(ref))
        return left

    def _ask(self, tx: Transaction, route: Route, asked: Asked, actor: str) -> int:
        """The retract that answers this question; an older one of another is over."""
        flow_id, now = route.row.flow_id, tx.now()
        found = None
        for state in _OPEN:
            run_id = undo_report.latest(tx, flow_id, state)
            if run_id is None:
                continue
            run = runs.get(tx, int(run_id))
            other = Asked.of_run(run)
            same = (other.of, other.said, other.refs) == (
                asked.of, asked.said, asked.refs,
            )  # fmt: skip
            fresh = state != "planned" or (
                now - (run.planned or 0.0) < PLAN_LIFE
                and run.verdict["retract"]["delivered"]
                == undo.count(tx, other.of, other.since)
            )
            if same and fresh:
                found = run.run_id
            elif state != "applying":
                undo.cancel(tx, run.run_id)
                runs.set_state(tx, run.run_id, "cancelled")
        if found is None:
            found = runs.begin(
                tx, flow_id, kind=undo.KIND, state="scanning", auto=False, actor=actor
            )
            runs.set_state(tx, found, "scanning", verdict={"retract": asked.to_json()})
        ensure_partitions(self.ledger, route, tx)
        self.ledger.leases.wake(tx, flow_id, "control")
        self.ledger.leases.wake(tx, flow_id, "lane")
        return found

    def _agree_retract(
        self,
        found: Retraction,
        plan: Plan,
        actor: str,
        confirm: int | None,
        accept: Sequence[str],
    ) -> None:
        """One transaction: it is agreed to, what waits is called off, it begins."""
        route = self.route(found.flow)
        flow_id, moved = route.row.flow_id, False
        with self.ledger.write() as tx:
            run = runs.get(tx, found.run_id)
            if run.state != "planned":
                return
            self._given(tx, run, plan, actor, confirm, accept)
            asked = Asked.of_run(run)
            called_off = undo.call_off(tx, flow_id, asked.of) if asked.whole else 0
            if asked.whole and runs.get(tx, asked.of).state in _UNAPPLIED:
                runs.set_state(tx, asked.of, "cancelled")  # nobody applies what is left
            facts = run.verdict["retract"] | {
                "called_off": called_off,
                "agreed": tx.now(),
            }
            moved = undo.count(tx, asked.of, asked.since) != facts["delivered"]
            if moved:
                undo.cancel(tx, run.run_id)
            runs.set_state(
                tx,
                run.run_id,
                "cancelled" if moved else "applying",
                verdict=run.verdict | {"retract": facts},
            )
            audit.record(
                tx,
                "retract",
                flow=found.flow,
                run=run.run_id,
                of=asked.of,
                decision="cancelled" if moved else "applying",
                called_off=called_off,
                actor=actor,
            )
            for kind in ("control", "lane"):
                self.ledger.leases.wake(tx, flow_id, kind)
        if moved:
            raise ConfigurationError(
                f"Run {found.of} of flow {found.flow!r} did more since this was "
                "planned. What it had not sent is called off now; give the same "
                "command again to see all of it.",
                code="retract.moved",
            )

    def _given(
        self,
        tx: Transaction,
        run: runs.Run,
        plan: Plan,
        actor: str,
        confirm: int | None,
        accept: Sequence[str],
    ) -> None:
        if confirm is not None or accept or plan.verdict.decision == "approve":
            given = Approval(plan.digest, actor, tx.now(), frozenset(accept), confirm)
            approve(tx, run.run_id, given)
        check_approval(
            plan.verdict,
            approvals(tx, run.run_id),
            starter=run.actor or "",
            now=tx.now(),
        )

    # --- driving ------------------------------------------------------------------

    def _drive_retract(
        self,
        flow: str,
        kinds: Sequence[str],
        until: Callable[[], bool],
        progress: Callable[[], None],
        deadline: float | None = None,
    ) -> None:
        errors = LocalRunner(self).drive(
            [flow],
            until=until,
            kinds=kinds,
            progress=progress,
            deadline=deadline,
        )
        if errors and not until():
            raise errors[0]

    def _retract_rests(self, flow: str, run_id: int) -> bool:
        """Over, switched off, or waiting longer than anybody should."""
        route = self.route(flow)
        with self.ledger.read() as tx:
            left, earliest = parcels.unfinished(tx, route.row.flow_id, run_id)
            over = runs.get(tx, run_id).state != "applying"
            waits = left > 0 and (earliest or 0.0) > tx.now() + PATIENCE
        return over or waits or self.killed(flow, route.target.system)

    def _run(self, run_id: int) -> runs.Run:
        with self.ledger.read() as tx:
            return runs.get(tx, run_id)

    def _staged(self, run_id: int) -> tuple[int, int]:
        with self.ledger.read() as tx:
            return undo_report.staged(tx, run_id)

    def _undone(self, run_id: int) -> tuple[int, int]:
        with self.ledger.read() as tx:
            return undo_report.settled(tx, run_id)


__all__ = ["Retracts"]
