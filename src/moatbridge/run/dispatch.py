"""The dispatcher: what is due, in the zones it serves, goes to free slots (scale D).

Any number of dispatchers work on one ledger; which of them takes a partition is decided
by its lease alone. Each looks at least every second, so it both starts new work and
repairs whatever a dead process left behind.

Each flow is opened (described, compiled) on a thread beside the slots: a flow whose
systems cannot be reached, or whose settings are wrong, keeps no other from running.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from moatbridge.config.answers import SYSTEM
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.flow import run_slice
from moatbridge.flow.schedule import begin_due_pass
from moatbridge.ledger import workers
from moatbridge.run.hints import Hints
from moatbridge.run.slots import Slots
from moatbridge.run.wakes import Wakes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from moatbridge.config import BridgeConfig
    from moatbridge.flow import Bridge, SliceResult

_log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks for due partitions (scale 21 asks for 2 at most)."""

LOST_SHARE: Final = 0.25
"""Share of lost slots above which a process should be replaced (security 14)."""

READING: Final = ("control", "scan", "live")
WRITING: Final = ("lane",)

_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 60.0
_STUCK_WAIT: Final = 900.0
_OLDER: Final = "ledger.rolled-back"
_HOLD: Final = 5.0
_OPENERS: Final = 4
_HINTS_END: Final = 2.0
_BREATH: Final = 0.02

Ending = Literal["stopped", "refused", "stuck"]


@dataclass(slots=True)
class _Flow:
    """A flow on its way: not open, open, or refused until a person acts."""

    name: str
    reads: bool
    writes: bool
    open: bool = False
    refused: bool = False
    again: float = 0.0
    wait: float = _FIRST_WAIT
    next_pass: float = 0.0


class Dispatcher:
    """Keeps flows going until it is told to stop.

    Args:
        bridge: An open bridge.
        flows: Names of the flows.
        slots: Slices at once.
        zones: Network zones that are served.
        owner: Who claims; shown by ``status``.
        stop: Set it to end: no slice begins any more, running ones end at their next
            batch.
        tell: Called with a flow and the error that keeps it from running.
        lost_share: Share of lost slots above which it ends by itself.
    """

    def __init__(
        self,
        bridge: Bridge,
        flows: Sequence[str],
        *,
        slots: int,
        zones: Sequence[str],
        owner: str,
        stop: threading.Event,
        tell: Callable[[str, MoatbridgeError], None] | None = None,
        lost_share: float = 1.0,
    ) -> None:
        self._bridge = bridge
        self._flows = {
            each.name: each
            for each in (served(bridge.config, name, zones) for name in flows)
            if each.reads or each.writes
        }
        patience = bridge.patience
        self._slots: Slots[SliceResult] = Slots(slots, patience=patience)
        self._openers: Slots[None] = Slots(
            _OPENERS, patience=patience, name="moatbridge-open"
        )
        self._owner = owner
        self._stop = stop
        self._tell = tell or _logged
        self._most_lost = lost_share * slots
        self._held_back: dict[Any, float] = {}
        self._stuck: dict[Any, int] = {}
        self._zones = tuple(zones)
        self._begun = bridge.ledger.now()
        self._told = -math.inf
        self._hints = Hints(bridge)
        self._wakes = Wakes(bridge.ledger, self._woken)
        self._mine: set[int] = set()
        self._look = False

    @property
    def lost(self) -> int:
        """Slots whose work is stuck."""
        return self._slots.lost + self._openers.lost

    def run(self) -> Ending:
        """Dispatch until ``stop``; slices may still run when it returns.

        Returns:
            ``stopped``; ``refused``: no flow can run as configured; ``stuck``: too
            many slots are lost.
        """
        self._wakes.start()
        try:
            return self._run()
        finally:
            self._hints.stop()
            self._wakes.stop()
            with suppress(MoatbridgeError), self._bridge.ledger.write() as tx:
                workers.leave(tx, self._bridge.ledger.scope, self._owner)

    def drain(self, seconds: float) -> bool:
        """Wait for running slices; True if all came back."""
        until = time.monotonic() + seconds
        whole = self._slots.join(seconds)
        self._hints.join(_HINTS_END)
        self._wakes.join(_HINTS_END)
        self._openers.join(min(_HINTS_END, max(0.0, until - time.monotonic())))
        return whole

    def _run(self) -> Ending:
        while not self._stop.is_set():
            self._notice(self._slots.collect(0.0))
            self._give_up()
            if self.lost > self._most_lost:
                return "stuck"
            if self._flows and all(flow.refused for flow in self._flows.values()):
                return "refused"
            self._open()
            try:
                self._sign()
                wait = self._dispatch()
            except MoatbridgeError as error:  # the ledger is not there just now
                if error.code == _OLDER:
                    _log.error("%s", error)
                    return "refused"
                _log.warning("nothing can be dispatched: %s", error)
                wait = LOOK
            self._pause(wait)
        return "stopped"

    def _sign(self) -> None:
        """Say in the ledger, now and then, that this worker is there."""
        if time.monotonic() - self._told < workers.EVERY:
            return
        self._told = time.monotonic()
        ledger, slots = self._bridge.ledger, self._slots
        now, busy = ledger.now(), len(slots.running)
        me = workers.Worker(
            self._owner, self._zones, slots.count, busy, self.lost, self._begun, now
        )
        with ledger.write() as tx:
            workers.tell(tx, ledger.scope, me)

    def nudge(self) -> None:
        """Look at once, or see that it is over; from any thread or signal handler."""
        self._look = True  # a lock could be held by whom a signal interrupts
        self._slots.nudge()

    def _woken(self, flow_id: int | None) -> None:
        """Somebody gave a flow work; None: perhaps."""
        if flow_id is None or flow_id in self._mine:
            self.nudge()

    def _pause(self, seconds: float) -> None:
        """Until a slice ends or somebody else gives work, at most so long."""
        begun = time.monotonic()
        until = begun + seconds
        while not self._stop.is_set() and (now := time.monotonic()) < until:
            if self._look:
                # Not more often than this, however much there is to hear.
                self._stop.wait(max(0.0, begun + _BREATH - now))
                self._look = False
                return
            if ended := self._slots.collect(min(0.2, until - now)):
                self._notice(ended)
                return

    # --- flows ------------------------------------------------------------------

    def _open(self) -> None:
        for ended in self._openers.collect(0.0):
            self._opened(self._flows[str(ended.key)], ended.error)
        for lost in self._openers.give_up():
            _log.error("opening flow %s is stuck: %s", lost.key, lost.why)
        now, busy = time.monotonic(), self._openers.running
        for flow in self._flows.values():
            waits = flow.open or flow.again > now or flow.name in busy
            if not waits and self._openers.free > 0:
                self._openers.start(flow.name, partial(self._make, flow.name))

    def _make(self, flow: str) -> None:
        for address in _asked(self._bridge.config, flow):
            zone = self._bridge.config.systems[address.partition("/")[0]].zone
            if zone in self._zones:  # others wait for what we find
                self._bridge.describe(address)
        self._bridge.route(flow)

    def _opened(self, flow: _Flow, error: BaseException | None) -> None:
        if error is None:
            flow.open, flow.refused = True, False
            self._mine.add(self._bridge.route(flow.name).row.flow_id)
            if flow.reads:
                self._hints.listen(flow.name)
            return
        wait = flow.wait
        if isinstance(error, ConfigurationError):
            wait = _LONGEST_WAIT
        elif isinstance(error, NotApplied) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        flow.again = time.monotonic() + wait
        flow.wait = min(_LONGEST_WAIT, 2 * flow.wait)
        told = flow.refused
        flow.refused = isinstance(error, ConfigurationError)
        if not isinstance(error, MoatbridgeError):
            _bug(f"flow {flow.name}", error)
        elif not (told and flow.refused):
            self._tell(flow.name, error)

    # --- slices -----------------------------------------------------------------

    def _dispatch(self) -> float:
        """Begin what is due; seconds until it makes sense to look again."""
        flows = [flow for flow in self._flows.values() if flow.open]
        for flow in flows:
            self._schedule(flow)
        free = self._slots.free
        if free <= 0 or not flows:
            return LOOK
        ready, later = self._due(flows)
        now = time.monotonic()
        ready = [key for key in ready if self._held_back.get(key, 0.0) <= now]
        for key in _spread(ready, free):
            self._slots.start(key, partial(self._slice, *key))
        return min(LOOK, later if later is not None else LOOK)

    def _schedule(self, flow: _Flow) -> None:
        now = time.monotonic()
        if flow.reads and flow.next_pass <= now:
            route = self._bridge.route(flow.name)
            wait = begin_due_pass(self._bridge.ledger, route, actor=self._owner)
            flow.next_pass = now + wait

    def _due(self, flows: list[_Flow]) -> tuple[list[tuple[str, str]], float | None]:
        """Due partitions that are not running here, the most urgent ones first."""
        found: list[tuple[int, int, str, str]] = []
        laters: list[float] = []
        running = self._slots.running
        for kinds, names in (
            (WRITING, [flow.name for flow in flows if flow.writes]),
            (READING, [flow.name for flow in flows if flow.reads]),
        ):
            ready, later = self._bridge.due(names, kinds) if names else ([], None)
            laters += [] if later is None else [later]
            for place, (name, due) in enumerate(ready):
                if (name, due.part) not in running:
                    first = self._bridge.config.flows[name].priority
                    found.append((first, place, name, due.part))
        return [(name, part) for _f, _p, name, part in sorted(found)], min(
            laters, default=None
        )

    def _slice(self, flow: str, part: str) -> SliceResult:
        return run_slice(
            self._bridge,
            flow,
            part,
            owner=self._owner,
            seconds=self._bridge.config.run.slice,
            stopping=self._stop.is_set,
        )

    def _notice(self, ended: Sequence[Any]) -> None:
        for one in ended:
            self._held_back.pop(one.key, None)
            self._stuck.pop(one.key, None)
            if one.error is not None:
                _bug("flow {}, partition {}".format(*one.key), one.error)
            elif one.result.outcome == "stopped":
                # Not every stop is written down in the partition's row.
                wait = min(one.result.wait, _HOLD)
                self._held_back[one.key] = time.monotonic() + wait

    def _give_up(self) -> None:
        """Give up what is stuck, and leave it to other workers for a while.

        One partition that hangs again and again would else take slot after slot, until
        the process is replaced for the sake of it alone.
        """
        for lost in self._slots.give_up():
            times = self._stuck[lost.key] = self._stuck.get(lost.key, 0) + 1
            wait = min(_STUCK_WAIT, self._bridge.config.run.ttl * 4 ** min(times, 6))
            self._held_back[lost.key] = time.monotonic() + wait
            _log.error(
                "a slot is lost: %s (%d of %d)",
                lost.why,
                self._slots.lost,
                self._slots.count,
            )


def served(config: BridgeConfig, flow: str, zones: Sequence[str]) -> _Flow:
    """What of a flow a worker of these zones does: reading, writing, both or nothing.

    Reading happens in the source's zone, delivery in the target's (scale 2). Answers
    are read from the ledger, so whoever delivers them reads them.
    """
    settings = config.flows[flow]
    source, target = (
        end.partition("/")[0] for end in (settings.source, settings.target)
    )
    writes = config.systems[target].zone in zones
    inside = source == SYSTEM
    reads = writes if inside else config.systems[source].zone in zones
    return _Flow(flow, reads=reads, writes=writes)


def _asked(config: BridgeConfig, flow: str) -> list[str]:
    """Streams of real systems that a flow is made of."""
    settings = config.flows[flow]
    people = [settings.decide.people] if settings.decide is not None else []
    every = [settings.source, settings.target, *people]
    return [each for each in every if each.partition("/")[0] != SYSTEM]


def _spread(ready: list[tuple[str, str]], free: int) -> list[tuple[str, str]]:
    """As many as are free, of the most urgent few: others look at the same list."""
    urgent = ready[: 2 * free]
    while len(urgent) > free:
        urgent.pop(secrets.randbelow(len(urgent)))
    return urgent


def _bug(where: str, error: BaseException) -> None:
    """An error nobody foresaw; its text may hold personal data."""
    _log.error("%s: %s, please report it", where, type(error).__name__)
    _log.debug("where it came from", exc_info=error)


def _logged(flow: str, error: MoatbridgeError) -> None:
    _log.warning("flow %s cannot run now: %s", flow, error)
