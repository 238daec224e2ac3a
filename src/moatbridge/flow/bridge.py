"""`Bridge`: one tenant's systems, flows, secrets and ledger; what a slice receives."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Self

from moatbridge.config.answers import SYSTEM, with_answers
from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge.flow.answering import AnswerSource, answer_stream, open_tail
from moatbridge.flow.compiling import compile_route, translated
from moatbridge.flow.control import ensure_partitions
from moatbridge.flow.described import Described, recall, remember
from moatbridge.flow.keeping import Keeper
from moatbridge.guard import Kill, KillFlag, KillState, evaluate, file_there
from moatbridge.ledger import Ledger, killswitch
from moatbridge.ledger.leases import KINDS
from moatbridge.ledger.quota import LedgerQuotas, seat_of
from moatbridge.ledger.retention import Keep
from moatbridge.registry import Registry
from moatbridge.resilience.pool import SessionPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from moatbridge.config import BridgeConfig, Redactor
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease
    from moatbridge.ledger.leases import Due
    from moatbridge.resilience.heart import Heart
    from moatbridge.resilience.session import Session
    from moatbridge.translate import BoundTranslator


_TIDY: Final = 3600.0
"""Seconds between two times that a flow without passes forgets what is too old."""


class Bridge:
    """Everything a slice needs, owned by one object: no global state.

    Safe to share between threads; never across a fork. Use as a context manager.

    Args:
        config: Checked configuration.
        registry: Adapters; None for all that are installed (and allowed).
        scope: Tenant.
        redactor: Learns the secrets of this bridge; None for one of its own.

    Raises:
        ConfigurationError: The ledger cannot be used.
        NotApplied: ``ledger.unavailable``.
    """

    def __init__(
        self,
        config: BridgeConfig,
        *,
        registry: Registry | None = None,
        scope: str = "default",
        redactor: Redactor | None = None,
    ) -> None:
        config = with_answers(config)
        self.config: BridgeConfig = config
        self.registry: Registry = registry or Registry(allow=config.adapters)
        self.ledger: Ledger = Ledger.configured(config.ledger, scope=scope)
        with ExitStack() as undo:  # what was opened is closed if what follows fails
            undo.callback(self.ledger.close)
            self._open(config, redactor, undo)
            undo.pop_all()

    def _open(
        self, config: BridgeConfig, redactor: Redactor | None, undo: ExitStack
    ) -> None:
        self._quotas = LedgerQuotas(self.ledger, seat=seat_of(config.run.ttl))
        undo.callback(self._quotas.close)
        self._pool = SessionPool(
            config, self.registry, quotas=self._quotas, redactor=redactor
        )
        undo.callback(self._pool.close)
        self._keeper = Keeper(self.ledger, ttl=config.run.ttl)
        self._routes: dict[str, Route] = {}
        self._described: dict[str, Described] = {}
        self.zones: frozenset[str] | None = None
        """Zones that this process reaches; None: all. Set it before anything else."""

        self._tidied: dict[int, float] = {}
        self._lock = threading.RLock()
        self._making: dict[str, threading.RLock] = {}
        self._closed = False
        self._kill = KillFlag(self._kill_state)
        undo.callback(self._kill.close)
        self._kill.__enter__()

    @property
    def redactor(self) -> Redactor:
        """Knows every secret used so far: for a `RedactionFilter` on log handlers."""
        return self._pool.redactor

    @property
    def checkpoint(self) -> tuple[int, float]:
        """Longest stretch of unchanged records without a commit: records, seconds."""
        found = self.config.ledger.checkpoint
        return found.records, found.seconds

    @property
    def keep(self) -> Keep:
        """How long the ledger keeps what."""
        found = self.config.ledger
        return Keep(found.keep_payload, found.keep_undo, found.keep_history)

    def untidy(self, flow_id: int) -> bool:
        """Whether this flow was not tidied up for an hour; asking counts as doing."""
        now = time.monotonic()
        with self._lock:
            if now < self._tidied.get(flow_id, -math.inf) + _TIDY:
                return False
            self._tidied[flow_id] = now
            return True

    def route(self, flow: str) -> Route:
        """The flow, described, bound and checked; made at first use.

        Raises:
            ConfigurationError: Unknown flow, or whatever a person must change.
            NotApplied: One of its systems cannot be reached now.
        """
        if flow not in self.config.flows:
            known = ", ".join(self.config.flows) or "none"
            raise ConfigurationError(
                f"No flow named {flow!r} (configured: {known}).", code="flow.unknown"
            )
        found = self._routes.get(flow)
        if found is not None:
            return found
        with self._only_one_makes(f"flow {flow}"):
            if flow not in self._routes:
                route = compile_route(self, flow)
                self._open_answers(route)
                self._routes[flow] = route
            return self._routes[flow]

    def _only_one_makes(self, what: str) -> threading.RLock:
        """A lock of its own for each flow and system: one that is slow stops no other.

        A flow's lock is taken before those of its systems, never after.
        """
        with self._lock:
            return self._making.setdefault(what, threading.RLock())

    def _open_answers(self, route: Route) -> None:
        """Answers flow from the first one on, without a pass."""
        if route.agreed_by is not None:
            with self.ledger.write() as tx:
                ensure_partitions(self.ledger, route, tx)
                open_tail(self.ledger, tx, route.row.flow_id, route.name)

    def translated(self, address: str) -> BoundTranslator:
        """The translator of any stream; see `compile_route` for flows' own.

        Raises:
            ConfigurationError: ``flow.translator``: it has none.
            NotApplied: Its system cannot be reached now.
        """
        return translated(self, address)

    def describe(self, address: str) -> Described:
        """What the stream's system says about it; asked once.

        Raises:
            ConfigurationError: The system has no such stream.
            NotApplied: It cannot be reached now.
        """
        system = address.partition("/")[0]
        with self._only_one_makes(f"system {system}"):
            if address not in self._described:
                if system == SYSTEM:
                    self._describe_answers(address)
                elif self.is_foreign(system):
                    zone = self.config.systems[system].zone
                    self._described[address] = recall(self.ledger, address, zone)
                else:
                    self._describe_system(system)
            if address not in self._described:
                known = ", ".join(sorted(self._described)) or "none"
                raise ConfigurationError(
                    f"There is no stream {address}; there are: {known}.",
                    code="flow.stream",
                    stream=address,
                )
            return self._described[address]

    def _describe_system(self, system: str) -> None:
        found: dict[str, Described] = {}
        with self.session(system) as session:
            probe = session.probe()
            for stream in session.streams():
                abilities = probe.abilities.get(stream.name, stream.abilities)
                writes = "CanWrite" in abilities and "CanWrite" in stream.abilities
                found[f"{system}/{stream.name}"] = Described(
                    stream, probe, session.traits(stream.name) if writes else None
                )
        if len({each.zone for each in self.config.systems.values()}) > 1:
            remember(self.ledger, found.items())
        self._described |= found

    def is_foreign(self, system: str) -> bool:
        """Whether the system lies in a zone that this process does not serve."""
        settings = self.config.systems.get(system)
        if self.zones is None or settings is None:
            return False
        return settings.zone not in self.zones

    def _describe_answers(self, address: str) -> None:
        flow = address.partition("/")[2]
        replies_of = self.translated(self.config.flows[flow].source)
        probe = AnswerSource(self.ledger, 0).probe()
        self._described[address] = Described(
            answer_stream(flow, replies_of), probe, None
        )

    def session(self, system: str) -> AbstractContextManager[Session]:
        """Borrow an open session of the system for one thread.

        Raises:
            ConfigurationError: ``run.zone-foreign``: it lies in a zone that this
                process does not serve; its secrets are not even read.
        """
        if self.is_foreign(system):
            raise ConfigurationError(
                f"System {system} lies in zone {self.config.systems[system].zone}, "
                "which this worker does not serve, and this step must ask it. Give a "
                "worker both zones.",
                code="run.zone-foreign",
                system=system,
            )
        return self._pool.session(system)

    def examined(self, system: str) -> AbstractContextManager[Session]:
        """A session for `check`; see `SessionPool.examined`."""
        return self._pool.examined(system)

    def host_keys(self, system: str) -> Sequence[str]:
        """What the system's server shows before anybody logs in; see `Adapter`.

        Raises:
            NotApplied: It cannot be reached now.
        """
        session = self._pool.open_session(system)
        try:
            return session.host_keys()
        finally:
            session.close()

    def answers(self, route: Route) -> AnswerSource | None:
        """The table that an answering flow reads; None for any other flow."""
        if route.agreed_by is None:
            return None
        return AnswerSource(self.ledger, route.agreed_by)

    def renewing(self, lease: Lease, heart: Heart) -> AbstractContextManager[None]:
        """Keep a lease alive while a slice works, as long as it moves."""
        return self._keeper.keep(lease, heart)

    @property
    def patience(self) -> float:
        """Seconds within which a slice must have achieved something."""
        return self._keeper.patience

    def give_back(self) -> int:
        """Release all leases of this process by force; see `Keeper.give_back`."""
        return self._keeper.give_back()

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Within, no call waits for a retry or for quota: slices are about to end."""
        self._pool.stop.set()
        try:
            yield
        finally:
            if not self._closed:
                self._pool.stop.clear()

    def due(
        self, flows: Sequence[str], kinds: Sequence[str] = KINDS
    ) -> tuple[list[tuple[str, Due]], float | None]:
        """Partitions of these flows that are due, and when the next one will be."""
        names: dict[int, str] = {}
        for flow in flows:
            names[self.route(flow).row.flow_id] = flow
        ready, later = self.ledger.leases.due(list(names), kinds)
        return [(names[due.flow_id], due) for due in ready], later

    def killed(self, flow: str, system: str) -> bool:
        """Whether sending from this flow to this system is switched off right now."""
        return self._kill.state.stops(flow=flow, system=system) is not None

    def kill_state(self) -> KillState:
        """Everything that is switched off, read afresh."""
        return self._kill_state()

    def _kill_state(self) -> KillState:
        there = file_there(self.config.guard.kill_file)
        rows: list[Kill] | None
        try:
            with self.ledger.read() as tx:
                rows = [Kill(*row) for row in killswitch.rows(tx)]
        except MoatbridgeError:
            rows = None
        return evaluate(
            environment=os.environ.get("MOATBRIDGE_KILL"), file_exists=there, rows=rows
        )

    def close(self) -> None:
        """Give everything back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._keeper.close()
        self._kill.__exit__(None, None, None)
        self._pool.close()
        self._quotas.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        """The bridge itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()
