"""`SessionPool`: open connections of every system of a bridge, lent one at a time.

The pool holds what all sessions of a system share (breaker, quota, retry budget, the
number of calls at once) and what all systems share (watchdog, resolver, redactor). A
connection goes back after use and is lent again while it is whole, young and not idle
for too long; nothing is asked of the peer to find that out (scale 16).
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from moatbridge.config import Redactor, adapter_settings, hold_driver_loggers
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience.addresses import Policy, policy
from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.deadline import Watchdog
from moatbridge.resilience.net import SystemNet
from moatbridge.resilience.quota import MemoryQuotas, QuotaStore, SystemQuota
from moatbridge.resilience.resolver import Resolver
from moatbridge.resilience.retry import Retry, RetryBudget
from moatbridge.resilience.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Adapter
    from moatbridge.config import AdapterSource, BridgeConfig, SystemConfig

MAX_AGE: Final = 3600.0
"""Seconds after which a connection is replaced however well it is."""

_PATIENCE: Final = 30.0
_SEAT_POLL: Final = 0.1


@dataclass(slots=True)
class _Idle:
    session: Session
    made: float
    returned: float


@dataclass(slots=True)
class _System:
    """What the sessions of one system share."""

    config: SystemConfig
    cls: type[Adapter[Any]]
    policy: Policy
    breaker: Breaker
    quota: SystemQuota
    budget: RetryBudget
    slots: threading.Semaphore
    idle: deque[_Idle] = field(default_factory=deque)


class SessionPool:
    """Sessions of all systems of one bridge. Safe for threads.

    Args:
        config: Read with a registry.
        registry: Where the adapters come from.
        stop: Set it to end every wait of every session.
        watchdog: None makes one that ends with the pool.
        quotas: Where token buckets and seats are kept, shared with other processes
            or not; None: in this process.
        redactor: Learns each system's secrets before a connection is made.
        max_age: Seconds a connection may live.
    """

    def __init__(
        self,
        config: BridgeConfig,
        registry: AdapterSource,
        *,
        stop: threading.Event | None = None,
        watchdog: Watchdog | None = None,
        quotas: QuotaStore | None = None,
        redactor: Redactor | None = None,
        max_age: float = MAX_AGE,
    ) -> None:
        self.stop: threading.Event = stop or threading.Event()
        self.redactor: Redactor = redactor or Redactor()
        self._config = config
        self._registry = registry
        self._own_watchdog = watchdog is None
        self._watchdog = watchdog or Watchdog()
        self._quotas = quotas or MemoryQuotas()
        self._resolver = Resolver()
        self._max_age = max_age
        self._lock = threading.Lock()
        self._systems: dict[str, _System] = {}
        self._closed = False
        hold_driver_loggers()

    @contextlib.contextmanager
    def session(self, system: str, *, timeout: float = _PATIENCE) -> Iterator[Session]:
        """Lend an open session of a system to this thread.

        Args:
            system: Its name.
            timeout: Seconds to wait while ``in_flight`` sessions are lent already, here
                or by other workers of the same store.

        Raises:
            ConfigurationError: Unknown system, or it cannot be opened as configured.
            NotApplied: ``pool.busy``, or it cannot be reached now.
        """
        with self._room(system, timeout) as shared:
            lent = self._borrow(system, shared)
            try:
                yield lent.session
            finally:
                self._give_back(shared, lent)

    @contextlib.contextmanager
    def _room(self, system: str, timeout: float) -> Iterator[_System]:
        """Hold one of the system's ``in_flight`` places, here and for everybody."""
        shared = self._system(system)
        until = time.monotonic() + timeout
        if not shared.slots.acquire(timeout=timeout):
            raise _busy(system, shared)
        try:
            seat = self._seat(system, shared, until)
            try:
                yield shared
            finally:
                self._quotas.leave(seat)
        finally:
            shared.slots.release()

    def breaker(self, system: str) -> Breaker:
        """The breaker of a system: its state, and `Breaker.resume`."""
        return self._system(system).breaker

    def stuck(self) -> list[tuple[str, float]]:
        """Calls that did not come back after their deadline (security 14)."""
        return self._watchdog.stuck()

    def open_session(self, system: str) -> Session:
        """A new, unopened session outside the pool, for `check` and `discover`.

        It is never refused by the breaker, and it is the caller's to close.
        """
        return self._make(system, self._system(system), guarded=False)

    @contextlib.contextmanager
    def examined(self, system: str) -> Iterator[Session]:
        """An open session for `check`, whatever the breaker says; errors as `session`.

        If all that is asked of it goes well, the system counts as well again, for all
        workers that share the store.
        """
        with self._room(system, _PATIENCE) as shared:
            with self.open_session(system) as session:
                yield session
            shared.breaker.resume()

    def close(self) -> None:
        """Close every idle connection; lent ones close when they come back."""
        with self._lock:
            self._closed = True
            systems = list(self._systems.values())
        self.stop.set()
        for shared in systems:
            while shared.idle:
                with contextlib.suppress(IndexError):
                    shared.idle.popleft().session.close()
        self._resolver.close()
        if self._own_watchdog:
            self._watchdog.close()

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def _seat(self, name: str, shared: _System, until: float) -> str:
        """One of the system's seats, which all workers of the store share."""
        while True:
            seat = self._quotas.enter(name, shared.config.in_flight)
            if seat is not None:
                return seat
            left = until - time.monotonic()
            nap = min(left, _SEAT_POLL * (0.5 + random.random()))  # noqa: S311 - jitter
            if nap <= 0 or self.stop.wait(nap):
                raise _busy(name, shared)

    def _system(self, name: str) -> _System:
        with self._lock:
            if self._closed:
                msg = "The pool of connections is closed."
                raise NotApplied(msg, code="pool.closed", system=name)
            if name not in self._systems:
                self._systems[name] = self._share(name)
            return self._systems[name]

    def _share(self, name: str) -> _System:
        config = self._config.systems.get(name)
        if config is None:
            msg = f"There is no system '{name}' in the configuration."
            raise ConfigurationError(msg, code="config.no-system")
        cls = self._registry.get(config.adapter)
        limits = {key: entry.limit() for key, entry in config.quota.items()}
        return _System(
            config=config,
            cls=cls,
            policy=self._policy(name, config, cls),
            breaker=Breaker(name, store=self._quotas),
            quota=SystemQuota(name, limits, self._quotas),
            budget=RetryBudget(),
            slots=threading.BoundedSemaphore(config.in_flight),
        )

    def _policy(
        self, name: str, config: SystemConfig, cls: type[Adapter[Any]]
    ) -> Policy:
        pairs = config.egress_pairs()
        if pairs is None:
            pairs = tuple(cls.endpoints(adapter_settings(self._config, name)))
        return policy(pairs, reach=cls.reach, allow=config.allow_networks)

    def _make(self, name: str, shared: _System, *, guarded: bool = True) -> Session:
        settings = adapter_settings(self._config, name)
        streams = self._config.streams_of(name)
        deadlines = shared.config.deadline

        def renew() -> Adapter[Any]:
            self.redactor.learn([settings, streams])
            return shared.cls(settings, streams)

        net = SystemNet(
            name,
            policy=shared.policy,
            resolver=self._resolver,
            tls=shared.config.tls.settings(),
            connect=deadlines.connect,
            idle=deadlines.call,
        )
        return Session(
            renew(),
            system=name,
            net=net,
            watchdog=self._watchdog,
            deadlines=deadlines,
            breaker=shared.breaker if guarded else None,
            quota=shared.quota,
            retry=Retry(stop=self.stop, budget=shared.budget),
            renew=renew,
        )

    def _borrow(self, name: str, shared: _System) -> _Idle:
        while shared.idle:
            try:
                idle = shared.idle.pop()  # the warmest
            except IndexError:
                break
            if self._usable(idle, shared):
                return idle
            idle.session.close()
        session = self._make(name, shared)
        session.open()
        now = time.monotonic()
        return _Idle(session, now, now)

    def _usable(self, idle: _Idle, shared: _System) -> bool:
        now = time.monotonic()
        fresh = now - idle.returned <= shared.config.max_idle
        return fresh and now - idle.made <= self._max_age

    def _give_back(self, shared: _System, lent: _Idle) -> None:
        lent.returned = time.monotonic()
        whole = not lent.session.broken and self._usable(lent, shared)
        with self._lock:
            keep = whole and not self._closed
            if keep:
                shared.idle.append(lent)
        if not keep:
            lent.session.close()


def _busy(name: str, shared: _System) -> NotApplied:
    words = f"All {shared.config.in_flight} connections to {name} are in use."
    return NotApplied(words, code="pool.busy", system=name, retry_after=1.0)
