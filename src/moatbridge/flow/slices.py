"""``run_slice``: the only thing a runner may call (scale 14).

Safe at least once, twice at once, late, or never again: the lease row decides. Adapter
and ledger errors go to the partition's row and come back as outcomes, so that an engine
needs retries for dead workers only.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, cast

from moatbridge.config.windows import refuse_closed, usable
from moatbridge.errors import ConfigurationError, CursorTooOld, MoatbridgeError
from moatbridge.flow import ending, inbox
from moatbridge.flow.collecting import rarely
from moatbridge.flow.control import Control
from moatbridge.flow.delivery import Lane, Stopped
from moatbridge.flow.ending import LONGEST_WAIT, Outcome, SliceResult
from moatbridge.flow.grounds import Grounds
from moatbridge.flow.janitor import sweep
from moatbridge.flow.noting import noting
from moatbridge.flow.observe import Observer
from moatbridge.flow.poison import Sieve
from moatbridge.flow.reading import Pass, follow, scan_partition
from moatbridge.flow.standing import wake_answers
from moatbridge.flow.taking import Taker
from moatbridge.ledger import counts, partitions, poison, runs, scans
from moatbridge.ledger.states import State
from moatbridge.resilience.crash import crash_point
from moatbridge.resilience.heart import Heart, beating, current

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease
    from moatbridge.resilience.session import Session

__all__ = ["LONGEST_WAIT", "REST", "Outcome", "SliceResult", "run_slice"]

REST: Final = 1.0
"""Seconds until a partition of a busy flow looks again, unless it is woken."""

QUIET: Final = 60.0
"""The same for a flow that has nothing to do."""

_OPENING: Final = 5.0


def run_slice(
    bridge: Bridge,
    flow: str,
    partition: str,
    *,
    owner: str,
    seconds: float = 30.0,
    beat: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> SliceResult:
    """Work on one partition of one flow for a while.

    Args:
        bridge: An open bridge.
        flow: Name of a flow; unknown ones are ``done``, so old engine entries die out.
        partition: Its partition.
        owner: Who asks; shown by ``status``.
        seconds: The slice ends at the first batch boundary after this.
        beat: Called after every commit.
        stopping: Asked between batches and calls.
    """
    if flow not in bridge.config.flows:
        return SliceResult("done")
    try:
        route = bridge.route(flow)
    except MoatbridgeError as error:
        wait = 60.0 if isinstance(error, ConfigurationError) else _OPENING
        return SliceResult("stopped", wait, error)
    ttl = bridge.config.run.ttl
    try:
        if _has_bug(bridge, route):
            return SliceResult("stopped", LONGEST_WAIT)
        lease = bridge.ledger.leases.claim(route.row.flow_id, partition, owner, ttl=ttl)
        if lease is None:
            return SliceResult("held", ttl)
        often = bridge.config.run.collect_after
        with beating(current() or Heart()), rarely(often), ExitStack() as stack:
            slice_ = _Slice(bridge, route, lease, stack, seconds, beat, stopping)
            return slice_.run()
    except MoatbridgeError as error:  # the ledger is away; a lease runs out by itself
        return SliceResult("idle", _OPENING, error)


def _has_bug(bridge: Bridge, route: Route) -> bool:
    """Whether an impossible state was met: the flow stands still for a person."""
    with bridge.ledger.read() as tx:
        flow_id = route.row.flow_id
        return bool(tx.value("SELECT bug FROM flow WHERE flow_id=?", flow_id))


class _Slice:
    def __init__(
        self,
        bridge: Bridge,
        route: Route,
        lease: Lease,
        stack: ExitStack,
        seconds: float,
        beat: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._bridge = bridge
        self._route = route
        self._lease = lease
        self._stack = stack
        self._until = time.monotonic() + seconds
        self._beat = beat
        self._stopping = stopping
        self._heart = current() or Heart()
        self._borrowed: dict[str, Session] = {}
        self._opening = False
        self._worked = False
        self._nothing = False
        self._untidy = False

    def run(self) -> SliceResult:
        work = {
            "control": self._control,
            "scan": self._scan,
            "live": self._live,
            "lane": self._lane,
        }[self._lease.kind]
        leases = self._bridge.ledger.leases
        with self._bridge.renewing(self._lease, self._heart):
            try:
                outcome, wait = work()
            except MoatbridgeError as error:
                return ending.failed(
                    self._route,
                    self._bridge.ledger,
                    self._lease,
                    error,
                    opening=self._opening,
                    worked=self._worked,
                )
            except Stopped:
                leases.release(self._lease, wait=1.0, error="guard.kill-switch")
                return SliceResult("stopped", 1.0, worked=self._worked)
            except Exception as error:
                if ending.is_impossible(self._lease, error):
                    ending.bug(self._bridge.ledger, self._lease, error)
                    raise
                ending.put_off(
                    self._route, self._bridge.ledger, self._lease, "flow.bug"
                )
                raise
        finished = "nothing" if self._nothing else "done"
        state = finished if outcome == "done" else "ready"
        leases.release(self._lease, wait=wait, state=state, well=True)
        if outcome == "done":  # not before: it would see that we are not done
            crash_point("scan.released")
            self._wake_control()
        if self._untidy:
            sweep(
                self._bridge.ledger,
                self._lease.flow_id,
                self._route.name,
                self._bridge.keep,
                stopping=self._stopping,
            )
        return SliceResult(outcome, wait, worked=self._worked)

    # --- kinds of work ----------------------------------------------------------

    def _control(self) -> tuple[Outcome, float]:
        inbox.open_tail(self._route, self._bridge.ledger, self._lease)
        control = Control(
            self._route,
            self._bridge.ledger,
            self._lease,
            source=self._source,
            observer=self._observer(),
            untidy=lambda: self._bridge.untidy(self._route.row.flow_id),
            target=self._target,
            sieve=self._sieve(),
        )
        while True:
            with noting(self._route, self._bridge.ledger, self._lease, self._borrowed):
                more = control.work()
            self._untidy = control.untidy
            if not more:
                break
            self._done()
            if self._over():
                return "more", 0.0
        with self._bridge.ledger.read() as tx:
            busy = partitions.runs_open(tx, self._route.row.flow_id)
        return "idle", REST if busy else QUIET

    def _scan(self) -> tuple[Outcome, float]:
        if self._too_much_waiting(State.READY):
            return "idle", REST
        spec = self._lease.spec or {}
        reading = self._pass(int(spec["run"]), self._lease.generation)
        with noting(self._route, self._bridge.ledger, self._lease, self._borrowed):
            came_to = scan_partition(
                reading,
                self._borrow("scan", self._route.source.system),
                self._route,
                self._lease,
                until=self._until,
                stopping=self._stopped,
                beat=self._done,
            )
        if came_to == "more":
            return "more", 0.0
        self._nothing = came_to == "nothing"
        return "done", 0.0

    def _live(self) -> tuple[Outcome, float]:
        route, ledger = self._route, self._bridge.ledger
        with ledger.read() as tx:
            if not runs.ever_applied(tx, route.agreement):
                # The first run waits for a person; the tail is read from here then.
                return "idle", min(route.config.every, LONGEST_WAIT)
            run_id = runs.live_already(tx, route.row.flow_id)
            scan = scans.current(tx, route.row.flow_id)
        if run_id is None:
            with ledger.write() as tx:
                run_id = runs.live(tx, route.row.flow_id)
        if self._too_much_waiting(State.PLANNED, run_id):
            return "idle", REST
        reading = self._pass(run_id, scan.generation if scan else None)
        left = self._followed(reading)
        if route.writeback is not None:
            with ledger.write() as tx:
                ledger.leases.wake(tx, route.row.flow_id, "lane")
                wake_answers(tx, ledger, route)
        if left:
            return "more", 0.0
        return "idle", min(route.config.every, LONGEST_WAIT)

    def _followed(self, reading: Pass) -> bool:
        """Read the tail, from the source or from the inbox; True if some is left."""
        how: Any = {
            "until": self._until,
            "stopping": self._stopped,
            "beat": self._done,
        }
        if inbox.receives(self._route):
            return inbox.take_in(reading, self._bridge.ledger, self._route, **how)
        session = self._answers() or self._borrow("scan", self._route.source.system)
        with noting(self._route, self._bridge.ledger, self._lease, self._borrowed):
            return follow(reading, session, self._route, **how)

    def _lane(self) -> tuple[Outcome, float]:
        # Looked at before anything is in flight; the loop ends when a window closes.
        target = self._route.target
        refuse_closed(target.system, target.config, self._bridge.ledger.now())
        number = int(self._lease.part.partition("/")[2])
        lane = Lane(
            self._route,
            self._bridge.ledger,
            self._lease,
            number=number,
            source=self._source,
            target=self._target,
            grounds=self._grounds(),
            killed=self._killed,
            stopping=self._stopped,
            over=self._over,
            beat=self._done,
        )
        while lane.work():
            if self._over():
                return "more", 0.0
        if self._worked:
            self._wake_control()
        if lane.decided:
            self._wake_others()
        with self._bridge.ledger.read() as tx:
            busy = partitions.sends(tx, self._route.row.flow_id, number)
        return "idle", REST if busy else QUIET

    def _wake_control(self) -> None:
        with self._bridge.ledger.write() as tx:
            self._bridge.ledger.leases.wake(tx, self._route.row.flow_id, "control")

    def _wake_others(self) -> None:
        """The post shows its outcome, and people get their answer."""
        writeback, ledger = self._route.writeback, self._bridge.ledger
        if writeback is not None:
            with ledger.write() as tx:
                ledger.leases.wake(tx, writeback.posts.flow_id, "control")
                wake_answers(tx, ledger, self._route)

    # --- what they share ----------------------------------------------------------

    def _pass(self, run_id: int, generation: int | None) -> Pass:
        try:
            return self._make_pass(run_id, generation)
        except CursorTooOld:
            if self._lease.kind == "live":
                raise
            self._lease.cursor = None
            return self._make_pass(run_id, generation)

    def _make_pass(self, run_id: int, generation: int | None) -> Pass:
        return Pass(
            self._route,
            self._bridge.ledger,
            self._lease,
            self._observer() if self._route.writeback is None else self._taker(),
            run_id=run_id,
            generation=generation,
            limits=self._bridge.checkpoint,
            settle=self._settled if self._route.source.can("CanSettle") else None,
            sieve=self._sieve(),
        )

    def _sieve(self) -> Sieve:
        """What failed again and again is not taken without having been tried."""
        with self._bridge.ledger.read() as tx:
            known = poison.known(tx, self._lease)
        return Sieve(known, opening=lambda: self._opening, part=self._lease.part)

    def _settled(self, cursor: Any) -> None:
        self._source().settle(self._route.source.name, cursor)

    def _observer(self) -> Observer:
        return Observer(
            self._route,
            self._bridge.ledger,
            source=self._source,
            target=self._target,
            memory=counts.Window(self._bridge.ledger.db, self._route.row.flow_id),
        )

    def _taker(self) -> Taker:
        return Taker(
            self._route,
            self._bridge.ledger,
            observer=self._observer(),
            grounds=self._grounds(),
            memory=counts.Window(self._bridge.ledger.db, self._route.row.flow_id),
        )

    def _grounds(self) -> Grounds:
        return Grounds(self._bridge, self._route, self._borrow)

    def _answers(self) -> Session | None:
        return cast("Session | None", self._bridge.answers(self._route))

    def _source(self) -> Session:
        return self._answers() or self._borrow("look", self._route.source.system)

    def _target(self) -> Session:
        return self._borrow("target", self._route.target.system)

    def _borrow(self, use: str, system: str) -> Session:
        """One session per use: a scan's connection is busy while it is looked up in."""
        if use not in self._borrowed:
            if use != "target" or self._lease.kind != "lane":
                config = self._bridge.config.systems[system]
                refuse_closed(system, config, self._bridge.ledger.now())
            self._opening = True
            self._borrowed[use] = self._stack.enter_context(
                self._bridge.session(system)
            )
            self._opening = False
        return self._borrowed[use]

    def _killed(self) -> bool:
        return self._bridge.killed(self._route.name, self._route.target.system)

    def _too_much_waiting(self, state: State, run_id: int | None = None) -> bool:
        """Whether the lanes are behind: then nothing more is read (scale 19)."""
        mine = "" if run_id is None else f" AND run_id={int(run_id)}"
        with self._bridge.ledger.read() as tx:
            told = "SELECT coalesce(sum(n), 0) FROM parcel WHERE flow_id=? AND state=?"
            waiting = tx.value(told + mine, self._route.row.flow_id, state)
        return int(waiting) > 20 * self._route.parcel * self._route.lanes

    def _done(self) -> None:
        self._worked = True
        self._heart.beat()
        self._beat()

    def _stopped(self) -> bool:
        """Asked to stop, or a window closed meanwhile."""
        end = self._route.target if self._lease.kind == "lane" else self._route.source
        return self._stopping() or not usable(
            end.config.windows, self._bridge.ledger.now()
        )

    def _over(self) -> bool:
        return self._stopped() or time.monotonic() >= self._until
