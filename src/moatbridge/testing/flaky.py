"""`FlakyAdapter`: any adapter class, with faults on a schedule or by chance."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeVar,
    cast,
    get_args,
)

from moatbridge.changes import Receipt, Reject
from moatbridge.errors import NotApplied, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moatbridge.adapter import Adapter
    from moatbridge.changes import Batch, Change, Fetched, Intent, Record

T = TypeVar("T")

Fault = Literal[
    "not_applied", "lost_request", "lost_answer", "untyped", "short", "slow",
    "again", "late", "truncated", "reject",
]  # fmt: skip
"""What can go wrong in one call.

``not_applied``: raises before anything happened. ``lost_request``: raises
`OutcomeUnknown`, and nothing happened. ``lost_answer``: the same, after the effect.
``untyped``: a bare ``RuntimeError`` after the effect (an adapter's bug). ``short``: one
receipt or answer too few, after the effect. ``slow``: calls `Schedule.slow` first.
Of reads: ``again`` repeats the first batch, ``late`` tells its changes once more with
the last, ``truncated`` raises after the first batch, ``reject`` makes a `Reject` of the
first record; of writes it rejects the first intent without effect.
"""

_CALLS: Final = frozenset({"not_applied", "untyped", "slow"})
_READS: Final = frozenset({"not_applied", "untyped", "slow", "again", "late",
                           "truncated", "reject"})  # fmt: skip
_WRITES: Final = frozenset({"not_applied", "lost_request", "lost_answer", "untyped",
                            "short", "slow", "reject"})  # fmt: skip


class Schedule:
    """Decides, call by call, what goes wrong; one object may serve many adapters.

    Args:
        plan: Per method (``scan``, ``write``, ...) the faults of its first calls, in
            order; None means that the call goes well.
        seed: Makes the faults of the later calls repeatable.
        rate: Chance of a fault in each later call, 0 to 1.
        kinds: Faults to draw from.
        slow: What a slow call does first (advance a clock, wait for an event).
    """

    def __init__(
        self,
        plan: Mapping[str, Iterable[Fault | None]] | None = None,
        *,
        seed: int = 0,
        rate: float = 0.0,
        kinds: Sequence[Fault] = get_args(Fault),
        slow: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = {name: iter(faults) for name, faults in (plan or {}).items()}
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._rate = rate
        self._kinds = kinds
        self.slow = slow
        self.happened: list[tuple[str, Fault]] = []

    def next(self, method: str, possible: frozenset[str]) -> Fault | None:
        """The fault of this call, if any; remembered in ``happened``."""
        planned = next(self._plan.get(method, iter(())), _ENDED)
        fault = self._drawn(possible) if planned is _ENDED else planned
        if fault is not None:
            self.happened.append((method, fault))
        return fault

    def _drawn(self, possible: frozenset[str]) -> Any:
        kinds = [kind for kind in self._kinds if kind in possible]
        if not kinds or self._random.random() >= self._rate:
            return None
        return self._random.choice(kinds)


_ENDED: Final[Any] = object()


class FlakyAdapter:
    """Laid over an adapter class by `FlakyAdapter.of`; keeps all its abilities.

    Every fault is one that a correct core survives. ``schedule.happened`` tells what
    went wrong, so that a test can see that it did.
    """

    schedule: ClassVar[Schedule]

    @staticmethod
    def of(kind: type[Adapter[Any]], schedule: Schedule) -> type[Adapter[Any]]:
        """A subclass of ``kind`` whose calls fail as the schedule says."""
        made = type(
            f"Flaky{kind.__name__}", (FlakyAdapter, kind), {"schedule": schedule}
        )
        return cast("type[Adapter[Any]]", made)

    def open(self) -> None:
        """Open, or fail before or after it."""
        self._call("open", _CALLS, super().open)  # type: ignore[misc]

    def scan(self, *args: Any) -> Iterator[Batch]:
        """Scan, with pages repeated, late, missing or spoilt."""
        return self._read("scan", cast(Any, super()).scan, args)

    def changes(self, *args: Any) -> Iterator[Batch]:
        """Follow, with pages repeated, late, missing or spoilt."""
        return self._read("changes", cast(Any, super()).changes, args)

    def fetch(self, *args: Any) -> Sequence[Fetched]:
        """Fetch, perhaps with an answer too few."""
        fetch = cast(Any, super()).fetch
        return self._listed("fetch", lambda: list(fetch(*args)), _CALLS | {"short"})

    def find(self, *args: Any) -> Sequence[Sequence[Record]]:
        """Find, perhaps with an answer too few."""
        find = cast(Any, super()).find
        return self._listed("find", lambda: list(find(*args)), _CALLS | {"short"})

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Write, with every way in which an answer can be missing or wrong."""
        write = cast(Any, super()).write
        fault = self.schedule.next("write", _WRITES)
        if fault == "reject" and intents:
            refused = Receipt("rejected", code="flaky.data")
            return [refused, *(write(stream, intents[1:]) if intents[1:] else ())]
        receipts = self._suffer("write", fault, lambda: list(write(stream, intents)))
        return receipts[:-1] if fault == "short" else receipts

    def settle(self, *args: Any) -> None:
        """Settle, or fail before or after it."""
        settle = cast(Any, super()).settle
        self._call("settle", _CALLS | {"lost_answer"}, lambda: settle(*args))

    def _call(
        self, method: str, possible: frozenset[str], work: Callable[[], T]
    ) -> tuple[Fault | None, T]:
        fault = self.schedule.next(method, possible)
        return fault, self._suffer(method, fault, work)

    def _listed(
        self, method: str, work: Callable[[], list[T]], possible: frozenset[str]
    ) -> list[T]:
        fault, found = self._call(method, possible, work)
        return found[:-1] if fault == "short" else found

    def _read(self, method: str, read: Any, args: tuple[Any, ...]) -> Iterator[Batch]:
        fault = self.schedule.next(method, _READS)
        batches = self._suffer(method, fault, lambda: read(*args))
        return _DISTORTIONS.get(fault or "", iter)(batches)

    def _suffer(self, method: str, fault: Fault | None, work: Callable[[], T]) -> T:
        if fault == "slow":
            self.schedule.slow()
        if fault == "not_applied":
            raise NotApplied(f"{method} fails by schedule.", code="flaky.before")
        if fault == "lost_request":
            raise OutcomeUnknown(f"{method} is lost by schedule.", code="flaky.lost")
        done = work()
        if fault == "lost_answer":
            raise OutcomeUnknown(f"{method} gets no answer.", code="flaky.unknown")
        if fault == "untyped":
            raise RuntimeError(f"{method} has a bug by schedule")
        return done


def _again(batches: Iterable[Batch]) -> Iterator[Batch]:
    first = True
    for batch in batches:
        if first and not batch.complete:
            yield batch
        first = False
        yield batch


def _late(batches: Iterable[Batch]) -> Iterator[Batch]:
    early: Sequence[Change] = ()
    for number, batch in enumerate(batches):
        if number == 0:
            early = batch.changes
        elif batch.complete:
            yield replace(batch, changes=[*batch.changes, *early])
            continue
        yield batch


def _truncated(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield replace(batch, complete=False)
        break
    raise NotApplied("The pages end by schedule.", code="flaky.truncated")


def _rejecting(batches: Iterable[Batch]) -> Iterator[Batch]:
    for number, batch in enumerate(batches):
        if number or not batch.changes:
            yield batch
            continue
        reject = Reject("flaky.data", "first record", batch.changes[0].ref)
        rejects = [*batch.rejects, reject]
        yield replace(batch, changes=batch.changes[1:], rejects=rejects)


_DISTORTIONS: Final[dict[str, Callable[[Iterable[Batch]], Iterator[Batch]]]] = {
    "again": _again,
    "late": _late,
    "truncated": _truncated,
    "reject": _rejecting,
}
