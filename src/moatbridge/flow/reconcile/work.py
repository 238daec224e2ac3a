"""What the steps of one reconciliation share."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Record
from moatbridge.flow.reconcile.report import KINDS, Divergence
from moatbridge.ledger.scans import Bits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from moatbridge.adapter import Partition
    from moatbridge.changes import Change, Fetched, Ref
    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.reconcile.comparing import Comparer, Difference
    from moatbridge.flow.reconcile.expecting import Expecting
    from moatbridge.flow.route import End, Route
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.scratch import Scratch
    from moatbridge.resilience.session import Session

    Each = Callable[[Divergence], None]


@dataclass(slots=True)
class Tally:
    """What was counted so far.

    Args:
        read: Target records read.
        compared: Linked records compared, and those of them equal in every path.
        equal: See ``compared``.
        kinds: How those that were not equal differ -> records.
        behind: See `Reconciliation.behind`.
        counts: Kind of divergence -> records.
        fields: Path -> changed records.
        examples: Kind -> the first of them.
        unmanaged: Target records of nobody, or of another flow.
        unreadable: Target records that could not be decoded.
        blind: Of these, those that do not say which record they are.
        linked: Links that the target should show, and those of them that it did not.
        unseen: See ``linked``.
    """

    read: int = 0
    compared: int = 0
    equal: int = 0
    kinds: Counter[Difference] = field(default_factory=Counter)
    behind: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Divergence]] = field(default_factory=dict)
    unmanaged: int = 0
    unreadable: int = 0
    blind: int = 0
    linked: int = 0
    unseen: int = 0

    def of_path(self, number: int) -> tuple[int, int, int]:
        """Records compared in a path, those that differ in spelling, and in more."""
        compared, alike, differs = self.equal, 0, 0
        for kind, records in self.kinds.items():
            compared += records * (kind.compared >> number & 1)
            alike += records * (kind.alike >> number & 1)
            differs += records * (kind.differs >> number & 1)
        return compared, alike, differs


@dataclass(slots=True)
class Work:
    """One reconciliation under way; used by one thread.

    Args:
        bridge: The open bridge.
        route: The flow.
        scratch: Where the two streams meet.
        comparer: Compares entities.
        expecting: Makes what the target should show.
        stack: Gives the sessions back.
        limit: How many examples of each kind are kept.
        each: Called with every divergence.
        progress: Called with (target records read, records compared).
        high: The highest link when it began; younger ones are left alone.
    """

    bridge: Bridge
    route: Route
    scratch: Scratch
    comparer: Comparer
    expecting: Expecting
    stack: ExitStack
    limit: int
    each: Each
    progress: Callable[[int, int], None]
    high: int
    tally: Tally = field(default_factory=Tally)
    there: Bits = field(default_factory=lambda: Bits(0, 0, ""))
    """Links whose target record was seen, or could not be read."""
    here: Bits = field(default_factory=lambda: Bits(0, 0, ""))
    """Links whose source record was seen."""
    moving: Bits = field(default_factory=lambda: Bits(0, 0, ""))
    """Links with something planned that is being applied."""
    _sessions: dict[str, Session] = field(default_factory=dict)
    _shown: float = 0.0

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self.bridge.ledger

    @property
    def scans_target(self) -> bool:
        """Whether the whole target can be read."""
        return readable(self.route.target)

    @property
    def scans_source(self) -> bool:
        """Whether the whole source can be read, as often as one likes."""
        return self.route.agreed_by is None and readable(self.route.source)

    def fetches(self, end: End) -> bool:
        """Whether records of this end can be looked up by id."""
        return end.can("CanFetch") and (
            end is self.route.target or self.route.agreed_by is None
        )

    def session(self, use: str, system: str) -> Session:
        """One session per use: a scan's connection is busy while it is looked up in."""
        if use not in self._sessions:
            self._sessions[use] = self.stack.enter_context(self.bridge.session(system))
        return self._sessions[use]

    def fetch(self, end: End, refs: Sequence[Ref]) -> list[Fetched]:
        """Records of one end, by id."""
        use = "look-there" if end is self.route.target else "look-here"
        return self.session(use, end.system).fetch(end.name, refs) if refs else []

    def split(self, end: End) -> Sequence[Partition]:
        """The whole of a stream, in one partition where that is possible."""
        use = "scan-there" if end is self.route.target else "scan-here"
        return self.session(use, end.system).split(end.name, 1)

    def found(self, one: Divergence) -> None:
        """Count a divergence, and show it."""
        tally = self.tally
        tally.counts[one.kind] += 1
        tally.fields.update(one.fields)
        some = tally.examples.setdefault(one.kind, [])
        if len(some) < self.limit:
            some.append(one)
        self.each(one)

    def examples(self) -> tuple[Divergence, ...]:
        """The first divergences of each kind."""
        return tuple(one for kind in KINDS for one in self.tally.examples.get(kind, ()))

    def tell(self, *, now: bool = False) -> None:
        """Say how far it is, ten times a second at most."""
        if now or time.monotonic() - self._shown >= 0.1:  # noqa: PLR2004
            self._shown = time.monotonic()
            self.progress(self.tally.read, self.tally.compared)


def readable(end: End) -> bool:
    """Whether a stream can be read as a whole: a drop folder shows only what is new."""
    drop = end.stream.snapshot_scan and end.can("CanSettle")
    return end.can("CanScan") and not drop


def hydrated(work: Work, end: End, changes: Sequence[Change]) -> list[Record]:
    """A batch of a scan as whole records; thin ones are fetched."""
    found = [
        Record(c.ref, c.data, c.version, c.incomplete)
        for c in changes
        if c.op == "upsert" and c.data is not None and not c.partial
    ]
    thin = [
        c.ref for c in changes if c.op == "upsert" and (c.data is None or c.partial)
    ]
    if thin and work.fetches(end):
        found += [one for one in work.fetch(end, thin) if isinstance(one, Record)]
    return found


def called(entity: dict[str, Any], name: str | None, key: str) -> str:
    """What people call a record."""
    return str(entity.get("userName") or entity.get("displayName") or name or key)
