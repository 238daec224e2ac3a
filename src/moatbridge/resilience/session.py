"""`Session`: one open adapter under control. A flow never talks to an adapter itself.

Each method mirrors one of the adapter's, and each call, also each ``next()`` of a scan,
runs under its own total deadline, behind the system's quota and breaker. Errors are
always typed and say where. Reads that raised `NotApplied` are repeated, and so are
writes, for an adapter raises from ``write`` only if nothing took effect (DESIGN 10.9).

After a fired deadline, a lost connection or a bug the session is ``broken``: its
adapter is closed and replaced before the next call if the session knows how to make
one, else every call raises ``session.broken``.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from moatbridge.changes import Batch, Receipt
from moatbridge.config.systems import DeadlineConfig
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown
from moatbridge.resilience.answers import BUG, failing, piece, receipts_for
from moatbridge.resilience.call import Call, Caller
from moatbridge.resilience.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from moatbridge.adapter import (
        Adapter,
        Partition,
        Probe,
        Query,
        Stream,
        Suggestions,
        WriteTraits,
    )
    from moatbridge.changes import Cursor, Fetched, Intent, Record, Ref
    from moatbridge.resilience.breaker import Breaker
    from moatbridge.resilience.deadline import Watchdog
    from moatbridge.resilience.net import SystemNet
    from moatbridge.resilience.quota import SystemQuota

T = TypeVar("T")

FETCH: Final = 500
"""Refs or queries of one call at most (delivery 39)."""

_CLOSE: Final = 5.0
_NOTICES: Final = 20
_END: Final = object()


class Session:
    """One adapter instance, its net, and the rules for calling it.

    One thread at a time uses a session (a second one gets a `RuntimeError`). Call
    `open` first; `close` at the end. Usable as a context manager.

    Args:
        adapter: A new, unopened instance.
        system: Name of the system.
        net: Given to the adapter before ``open``.
        watchdog: Of the process.
        deadlines: The system's ``deadline`` settings; may be replaced between calls.
        breaker: Of the system; None for a session that is never refused.
        quota: Of the system; None for no limits.
        retry: How calls are repeated; None for the defaults.
        renew: Makes another unopened instance, to go on after a broken connection.
    """

    def __init__(
        self,
        adapter: Adapter[Any],
        *,
        system: str,
        net: SystemNet,
        watchdog: Watchdog,
        deadlines: DeadlineConfig | None = None,
        breaker: Breaker | None = None,
        quota: SystemQuota | None = None,
        retry: Retry | None = None,
        renew: Callable[[], Adapter[Any]] | None = None,
    ) -> None:
        self.adapter: Adapter[Any] = adapter
        self.system = system
        self.net = net
        self.deadlines: DeadlineConfig = deadlines or DeadlineConfig()
        self._quota = quota
        self._retry = retry or Retry()
        self._renew = renew
        self._used = False
        self._open = False
        self._caller = Caller(
            system=system,
            net=net,
            watchdog=watchdog,
            floor=self.deadlines.transfer_floor,
            breaker=breaker,
            quota=quota,
            stop=self._retry.stop,
        )

    @property
    def broken(self) -> bool:
        """The connection must not be used again."""
        return self._caller.broken

    @property
    def abilities(self) -> frozenset[str]:
        """Names of the adapter's abilities."""
        return self.adapter.abilities

    def open(self) -> None:
        """Connect and authenticate.

        Raises:
            ConfigurationError: A person must change something.
            NotApplied: The system cannot be reached now.
        """
        self._retry(self._open_once)

    def close(self) -> None:
        """Close the adapter and let go of its sockets. Idempotent, never raises."""
        self._open = False
        self._caller.quietly(self.adapter, _CLOSE, self.adapter.close)
        self.net.release()

    def ready(self) -> None:
        """Make sure that a write could be made now, before it counts as made.

        Raises:
            NotApplied: ``breaker.open``, ``quota.wait``, or the connection broke off
                and the system cannot be reached now.
            ConfigurationError: ``breaker.blocked``, or as `open`.
        """
        self._caller.check("write")
        self._retry(self._ready)

    def host_keys(self) -> Sequence[str]:
        """See `Adapter.host_keys`; on a session that is not open."""
        self.adapter.net = self.net
        call = self._call("host_keys", quota=None)
        return self._caller.run(self.adapter, call, self.adapter.host_keys)

    def probe(self) -> Probe:
        """Identity, limits and warnings; its quota guesses take effect."""
        probe: Probe = self._read("probe", lambda adapter: adapter.probe(), quota=None)
        if self._quota is not None:
            self._quota.suggest(probe.quota)
        return probe

    def notices(self, stream: str | None = None) -> list[str]:
        """See `Adapter.notices`. Never raises: what cannot be told is not told."""
        found: list[str] = []

        def ask() -> None:
            found.extend(map(str, islice(self.adapter.notices(stream), _NOTICES)))

        self._caller.quietly(self.adapter, _CLOSE, ask)
        return found

    def streams(self) -> Sequence[Stream]:
        """The configured streams, as `Adapter.streams` describes them."""
        return self._read("streams", lambda adapter: adapter.streams(), quota=None)

    def traits(self, stream: str) -> WriteTraits:
        """See `CanWrite.traits`."""
        self._need("CanWrite")
        traits: WriteTraits = self._read(
            "traits", lambda adapter: adapter.traits(stream), stream, quota=None
        )
        return traits

    def split(self, stream: str, wanted: int) -> Sequence[Partition]:
        """See `CanScan.split`."""
        self._need("CanScan")
        return self._read(
            "split", lambda adapter: list(adapter.split(stream, wanted)), stream=stream
        )

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None = None
    ) -> Iterator[Batch]:
        """See `CanScan.scan`. Closing the iterator early ends the scan.

        Only the first batch is asked for again after a failure: later ones are resumed
        by the flow from the cursor it has committed.
        """
        self._need("CanScan")
        return self._each(
            "scan", stream, lambda adapter: adapter.scan(stream, partition, after)
        )

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """See `CanFollow.changes`; like `scan` in all else."""
        self._need("CanFollow")
        return self._each(
            "changes", stream, lambda adapter: adapter.changes(stream, after)
        )

    def hints(self, stream: str) -> Iterator[bool]:
        """See `CanHint.hints`; each sign of life is waited for under a deadline."""
        self._need("CanHint")
        return self._each(
            "hints", stream, lambda adapter: adapter.hints(stream), quota=None
        )

    def fetch(self, stream: str, refs: Sequence[Ref]) -> list[Fetched]:
        """See `CanFetch.fetch`; any number of refs, in calls of at most 500."""
        self._need("CanFetch")
        return self._in_pieces(
            "fetch", stream, refs, lambda adapter, some: adapter.fetch(stream, some)
        )

    def find(self, stream: str, queries: Sequence[Query]) -> list[Sequence[Record]]:
        """See `CanFind.find`; any number of queries, in calls of at most 500."""
        self._need("CanFind")
        return self._in_pieces(
            "find", stream, queries, lambda adapter, some: adapter.find(stream, some)
        )

    def write(self, stream: str, intents: Sequence[Intent]) -> list[Receipt]:
        """See `CanWrite.write`: one call, one receipt per intent.

        Doubt about the call (a fired deadline, a bug, receipts that do not fit or hold
        what is no JSON) is told as ``unknown`` receipts, with the code that says why.
        The caller cuts its intents to ``traits.max_batch``.

        Raises:
            MoatbridgeError: Of the groups that say that nothing took effect.
        """
        self._need("CanWrite")
        if not intents:
            return []
        try:
            receipts = self._retry(lambda: self._write_once(stream, intents))
        except OutcomeUnknown as error:
            return [Receipt("unknown", code=error.code) for _ in intents]
        self._learn(receipts)
        return receipts

    def settle(self, stream: str, cursor: Cursor) -> None:
        """See `CanSettle.settle`; it may be repeated, so doubt is `NotApplied`."""
        self._need("CanSettle")
        self._read("settle", lambda adapter: adapter.settle(stream, cursor), stream)

    def discover(self) -> Suggestions:
        """See `CanDiscover.discover`."""
        self._need("CanDiscover")
        found: Suggestions = self._read("discover", lambda adapter: adapter.discover())
        return found

    def __enter__(self) -> Self:
        """Open and return the session."""
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()

    def _open_once(self) -> None:
        if self._used:
            self._replace_adapter()
        self._used = True
        self.adapter.net = self.net
        adapter = self.adapter
        try:
            self._caller.run(adapter, self._call("open", quota="read"), adapter.open)
        except BaseException:
            self.close()
            self._caller.broken = True  # also if a gate refused it: nothing is open
            raise
        self._open = True

    def _replace_adapter(self) -> None:
        if self._renew is None:
            raise self._unusable()
        self.close()
        self.adapter = self._renew()
        self._caller.broken = False

    def _ready(self) -> None:
        if self.broken:
            self._open_once()
        elif not self._open:
            raise self._unusable()

    def _unusable(self) -> NotApplied:
        return NotApplied(
            f"The connection to system {self.system} is not open or broke off; open "
            "a new session.",
            code="session.broken",
            system=self.system,
        )

    def _need(self, ability: str) -> None:
        if ability not in self.adapter.abilities:
            raise ConfigurationError(
                f"The adapter {self.adapter.name} of system {self.system} lacks the "
                f"ability {ability} that this flow needs.",
                code="adapter.ability",
                system=self.system,
            )

    def _call(
        self,
        name: str,
        stream: str | None = None,
        *,
        quota: str | None = "read",
        write: bool = False,
    ) -> Call:
        return Call(name, self.deadlines.call, stream, quota, write)

    def _read(
        self,
        name: str,
        work: Callable[[Any], T],
        stream: str | None = None,
        *,
        quota: str | None = "read",
    ) -> T:
        call = self._call(name, stream, quota=quota)

        def attempt() -> T:
            self._ready()
            adapter = self.adapter
            return self._caller.run(adapter, call, lambda: work(adapter))

        return self._retry(attempt)

    def _in_pieces(
        self,
        name: str,
        stream: str,
        asked: Sequence[Any],
        work: Callable[[Any, Sequence[Any]], Sequence[T]],
    ) -> list[T]:
        answers: list[T] = []
        for start in range(0, len(asked), FETCH):
            some = asked[start : start + FETCH]
            answers += self._read(name, partial(piece, work, some), stream)
        return answers

    def _each(
        self,
        name: str,
        stream: str,
        start: Callable[[Any], Iterator[T]],
        *,
        quota: str | None = "read",
    ) -> Iterator[T]:
        items: Iterator[T]

        def first(adapter: Any) -> object:
            nonlocal items
            items = iter(start(adapter))
            return next(items, _END)

        item = self._read(name, first, stream, quota=quota)
        owner, call = self.adapter, self._call(name, stream, quota=quota)
        try:
            while item is not _END:
                yield cast("T", item)
                if self.broken or owner is not self.adapter:
                    raise self._unusable()
                item = self._caller.run(owner, call, lambda: next(items, _END))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                self._caller.quietly(owner, _CLOSE, close)

    def _write_once(self, stream: str, intents: Sequence[Intent]) -> list[Receipt]:
        self._ready()
        adapter = cast("Any", self.adapter)
        call = self._call("write", stream, quota="write", write=True)
        return self._caller.run(
            adapter,
            call,
            lambda: receipts_for(adapter.write(stream, intents), intents),
            failed=failing,
        )

    def _learn(self, receipts: Sequence[Receipt]) -> None:
        waits = [receipt.retry_after for receipt in receipts if receipt.retry_after]
        if self._quota is not None and waits and max(waits) > 0:
            self._quota.report("write", retry_after=max(waits))
        if "unknown" in {receipt.outcome for receipt in receipts}:
            self._caller.broken = True


__all__ = ["BUG", "FETCH", "Session"]
