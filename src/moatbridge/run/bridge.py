"""The bridge as people use it: plan, apply, run, review."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from moatbridge.config import load
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.flow.control import request_pass
from moatbridge.flow.judging import approvals, approve
from moatbridge.flow.plans import Plan, load_plan
from moatbridge.guard import Approval, check_approval
from moatbridge.ledger import audit, counts, killswitch, notices, review, runs
from moatbridge.run.deciding import carry_out, refuse_own
from moatbridge.run.following import Tail, follows, refuse_if_killed
from moatbridge.run.local import LocalRunner
from moatbridge.run.principals import principal
from moatbridge.run.reconciling import Reconciles
from moatbridge.run.results import RunResult
from moatbridge.run.retracting import Retracts
from moatbridge.run.waiting import Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from moatbridge.config import Redactor
    from moatbridge.ledger.review import Action, Waiting
    from moatbridge.registry import Registry

_PAUSED: Final = frozenset({"breaker.open", "quota.wait"})
"""What a lane ends with while its target is left alone for a while."""


class Bridge(Reconciles, Retracts, Waits):
    """A bridge with its local runner: what products embed and the CLI uses.

    Use as a context manager; safe to share between threads, never across a fork.
    """

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        registry: Registry | None = None,
        redactor: Redactor | None = None,
    ) -> Self:
        """Read a configuration file and open the bridge.

        Args:
            path: A TOML file.
            registry: Adapters; None for all that are installed (and allowed).
            redactor: Learns the secrets of this bridge; None for one of its own.

        Raises:
            ConfigurationError: Everything that is wrong with it, at once.
        """
        from moatbridge.registry import Registry as AllAdapters  # noqa: PLC0415 - rare

        found = registry or AllAdapters()
        config = load(path, found)
        allowed = registry or found.allowing(config.adapters)
        return cls(config, registry=allowed, redactor=redactor)

    def plan(
        self,
        flow: str,
        *,
        actor: str | None = None,
        progress: Callable[[int, int], None] = lambda _seen, _staged: None,
    ) -> Plan:
        """Read the whole source and work out everything the flow would do.

        Nothing is sent. A pass that a kill interrupted is resumed.

        Args:
            flow: Name.
            actor: Who starts it; None for the user of this process.
            progress: Called with (records read, intents staged) as it goes.

        Raises:
            ConfigurationError: A person must change something.
            NotApplied: A system is unreachable now; call again to go on.
        """
        route = self.route(flow)
        run_id = request_pass(
            self.ledger, route, auto=False, actor=actor or principal()
        )
        self._drive(
            flow,
            lambda: self._state(run_id) != "scanning",
            ("control", "scan"),
            lambda: progress(*self._progress(route.row.flow_id, run_id)),
        )
        return load_plan(route, self.ledger, run_id)

    def apply(
        self,
        plan: Plan | str,
        *,
        flow: str | None = None,
        actor: str | None = None,
        confirm: int | None = None,
        accept: Sequence[str] = (),
        progress: Callable[[int, int], None] = lambda _done, _all: None,
        max_seconds: float | None = None,
    ) -> RunResult:
        """Carry out a plan, if the guard (and the people it asks for) agree.

        Args:
            plan: A plan, or its digest (then ``flow`` must be given).
            flow: Name, with a digest.
            actor: Who agrees; None for the user of this process.
            confirm: The number of records shown, typed by a person.
            accept: Rules accepted by name.
            progress: Called with (delivered, all).
            max_seconds: Return after this, with the rest still to do.

        Raises:
            GuardStopped: What is missing: a confirmation, another person, a new plan.
            ConfigurationError: No such plan.
        """
        name = plan.flow if isinstance(plan, Plan) else flow or ""
        route = self.route(name)
        if isinstance(plan, Plan) and self._state(plan.run_id) == "nothing":
            return RunResult(name, plan.run_id, "nothing")
        current = load_plan(route, self.ledger)
        digest = plan.digest if isinstance(plan, Plan) else plan
        if current.digest != digest:
            raise ConfigurationError(
                f"The plan {digest} of flow {name!r} was replaced by "
                f"{current.digest}; look at that one.",
                code="plan.replaced",
            )
        with self.ledger.write() as tx:
            run = runs.get(tx, current.run_id)
            if run.state == "planned":
                self._agree(tx, run, current, actor or principal(), confirm, accept)
                runs.set_state(tx, run.run_id, "applying")
                for kind in ("lane", "control"):  # with nothing to send it ends at once
                    self.ledger.leases.wake(tx, route.row.flow_id, kind)
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        return self._deliver(name, current.run_id, progress, deadline)

    def _agree(
        self,
        tx: Any,
        run: runs.Run,
        plan: Plan,
        actor: str,
        confirm: int | None,
        accept: Sequence[str],
    ) -> None:
        if confirm is not None or accept or plan.verdict.decision == "approve":
            now = self.ledger.now()
            given = Approval(plan.digest, actor, now, frozenset(accept), confirm)
            approve(tx, run.run_id, given)
            audit.record(
                tx, "approval", flow=plan.flow, run=run.run_id, actor=actor,
                accepted=sorted(accept), digest=plan.digest,
            )  # fmt: skip
        given_so_far, now = approvals(tx, run.run_id), self.ledger.now()
        check_approval(plan.verdict, given_so_far, starter=run.actor or "", now=now)

    def approve(
        self,
        plan: Plan,
        *,
        actor: str,
        confirm: int | None = None,
        accept: Sequence[str] = (),
    ) -> None:
        """Record one person's agreement without applying yet."""
        now = self.ledger.now()
        given = Approval(plan.digest, actor, now, frozenset(accept), confirm)
        with self.ledger.write() as tx:
            approve(tx, plan.run_id, given)

    def run(
        self,
        flow: str,
        *,
        actor: str | None = None,
        max_seconds: float | None = None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> RunResult:
        """Plan, and apply in one go if the verdict is *pass*; resumes what was open.

        A source that only tells changes is asked for them; the first time, a person
        must agree to that (`plan` and `apply`).

        Raises:
            ConfigurationError: A person must change something.
            NotApplied: A system is unreachable now; call again to go on.
        """
        route = self.route(flow)
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        if follows(self, route):
            return self._follow(flow, progress, deadline)
        with self.ledger.read() as tx:
            applying = runs.applying(tx, route.row.flow_id)
        for open_ in applying:  # an interrupted pass, items that a person approved
            if open_.kind != "live":
                result = self._deliver(flow, open_.run_id, progress, deadline)
                if not self._at_rest(route.row.flow_id, open_.run_id):
                    return result
        run_id = request_pass(self.ledger, route, auto=True, actor=actor or principal())
        self._drive(
            flow,
            lambda: self._state(run_id) != "scanning",
            ("control", "scan"),
            lambda: None,
            deadline,
        )
        return self._deliver(flow, run_id, progress, deadline)

    def _deliver(
        self,
        flow: str,
        run_id: int,
        progress: Callable[[int, int], None],
        deadline: float | None,
    ) -> RunResult:
        flow_id = self.route(flow).row.flow_id
        if self._state(run_id) == "applying":
            self._drive(
                flow,
                lambda: self._pauses(flow_id, run_id) or self._killed(flow),
                ("control", "lane"),
                lambda: progress(*self._delivered(run_id)),
                deadline,
                patient=False,
                over=lambda: self._at_rest(flow_id, run_id) or self._killed(flow),
            )
            self._refuse_if_killed(flow, run_id)
        with self.ledger.read() as tx:
            run = runs.get(tx, run_id)
            state, outcome = run.state, runs.outcome(tx, run_id)
            told = notices.of_pass(tx, flow_id, run.generation, since=run.created)
            by_guard = counts.let_go(tx, flow_id, run_id=run_id)
        waiting = self._waiting(flow_id)
        plan = (
            load_plan(self.route(flow), self.ledger, run_id)
            if state == "planned"
            else None
        )
        again = self._next_try(flow_id)
        said = tuple(notice.words for notice in told)
        return RunResult(
            flow, run_id, state, outcome, waiting, plan, again, said, by_guard
        )

    def _follow(
        self,
        flow: str,
        progress: Callable[[int, int], None],
        deadline: float | None,
    ) -> RunResult:
        """Read the tail to its end and deliver it, answers included."""
        route = self.route(flow)
        begun = self.ledger.now()
        tail = Tail(self, route)
        self._drive(
            flow,
            lambda: tail.pauses() or (self._killed(flow) and tail.read()),
            ("control", "live", "lane"),
            lambda: progress(*self._delivered(tail.run_id)),
            deadline,
            patient=False,
            more=tail.companions,
            over=lambda: tail.drained() or (self._killed(flow) and tail.read()),
        )
        tail.refuse_if_killed()
        waiting = self._waiting(route.row.flow_id)
        again, (state, outcome) = self._next_try(route.row.flow_id), tail.ended()
        with self.ledger.read() as tx:
            told = notices.of_tail(tx, route.row.flow_id, since=begun)
        return RunResult(
            flow, tail.run_id, state, outcome, waiting, next_try=again,
            notices=tuple(notice.words for notice in told), let_go=tail.let_go(),
        )  # fmt: skip

    def review(self, flow: str) -> list[Waiting]:
        """Everything of a flow that waits for a person."""
        with self.ledger.read() as tx:
            return review.waiting(tx, self.route(flow).row.flow_id)

    def decide(
        self,
        flow: str,
        item: str,
        action: Action,
        *,
        reason: str = "",
        actor: str | None = None,
        false_alarm: bool = False,
    ) -> None:
        """Carry out a person's decision on one waiting item; see `review.decide`.

        Args:
            flow: Name.
            item: `Waiting.item`.
            action: What to do with it.
            reason: Why.
            actor: Who decides; None for the user of this process.
            false_alarm: The rules that hold an approved item were wrong about it.

        Raises:
            GuardStopped: ``guard.approval``: four eyes are asked for, and this person
                started the run that the item belongs to, or is its author.
        """
        route, who = self.route(flow), actor or principal()
        with self.ledger.write() as tx:
            if action == "approve" and route.rules.four_eyes:
                refuse_own(tx, route.row.flow_id, item, who)
            carry_out(
                tx, self, flow, item, action, actor=who, reason=reason,
                false_alarm=false_alarm,
            )  # fmt: skip

    def switch_off(self, scope: str, reason: str) -> None:
        """Pull the kill switch: ``all``, ``flow:NAME`` or ``system:NAME``."""
        with self.ledger.write() as tx:
            killswitch.switch_on(tx, scope, reason, principal())

    def switch_on(self, scope: str, reason: str) -> None:
        """Allow sending again."""
        with self.ledger.write() as tx:
            killswitch.switch_off(tx, scope, reason, principal())

    def runner(self, **settings: Any) -> LocalRunner:
        """A runner that keeps flows going; ``settings`` are `LocalRunner`'s."""
        return LocalRunner(self, **settings)

    # --- driving ------------------------------------------------------------------

    def _drive(
        self,
        flow: str,
        until: Callable[[], bool],
        kinds: Sequence[str],
        progress: Callable[[], None],
        deadline: float | None = None,
        *,
        patient: bool = True,
        more: Sequence[str] = (),
        over: Callable[[], bool] | None = None,
    ) -> None:
        """Work until something holds; ``over``: only then do errors not count."""
        errors = LocalRunner(self).drive(
            [flow, *more],
            until=until,
            kinds=kinds,
            progress=progress,
            deadline=deadline,
        )
        # A target that asked for a pause is waited for like any retry: the result says
        # that work is left.
        mine = [e for e in errors if patient or e.code not in _PAUSED]
        if mine and not (over or until)():
            raise mine[0]
        if patient and not until() and deadline is None:
            raise NotApplied(
                f"Flow {flow!r} is being worked on by another process; `moatbridge "
                "status` shows by whom.",
                code="flow.busy",
            )

    def _progress(self, flow_id: int, run_id: int) -> tuple[int, int]:
        with self.ledger.read() as tx:
            seen = tx.value(
                "SELECT coalesce(sum(p.records), 0) FROM partition p "
                "JOIN run r ON r.generation=p.generation AND r.flow_id=p.flow_id "
                "WHERE p.flow_id=? AND p.kind='scan' AND r.run_id=?",
                flow_id,
                run_id,
            )
            staged = tx.value(
                "SELECT coalesce(sum(n), 0) FROM parcel WHERE run_id=?", run_id
            )
        return int(seen), int(staged)

    def _killed(self, flow: str) -> bool:
        return self.killed(flow, self.route(flow).target.system)

    def _refuse_if_killed(self, flow: str, run_id: int) -> None:
        if self._state(run_id) == "applying":
            refuse_if_killed(self, self.route(flow))

    def _delivered(self, run_id: int) -> tuple[int, int]:
        with self.ledger.read() as tx:
            done, every = tx.one(
                "SELECT coalesce(sum(CASE WHEN state>=10 THEN n END), 0), "
                "coalesce(sum(n), 0) FROM parcel WHERE run_id=?",
                run_id,
            )
        return int(done), int(every)
