"""What an adapter may be able to do beyond connecting: one small ABC each.

An adapter's abilities are derived from its bases, so nothing can be promised without
being implemented. ``stream`` is always the local name. Every call runs under a total
deadline that the core owns; an adapter never loops on errors and never sleeps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from moatbridge.adapter.streams import Partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter.receiving import Received, Request
    from moatbridge.adapter.streams import Query, Suggestions, WriteTraits
    from moatbridge.changes import Batch, Cursor, Fetched, Intent, Receipt, Record, Ref


class Ability(ABC):  # noqa: B024 - its subclasses hold the abstract methods
    """Something an adapter may be able to do, beyond connecting."""


class CanScan(Ability):
    """A complete pass over a stream."""

    def split(self, stream: str, wanted: int) -> Sequence[Partition]:
        """Cut the stream into at most about ``wanted`` independent partitions.

        Together they cover the stream exactly once. The default is one.
        """
        del stream, wanted
        return [Partition()]

    @abstractmethod
    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """Yield the partition's records in batches, from ``after`` on.

        A scan resumed from a batch's cursor loses nothing that came after that batch.
        It may read again what came since the cursor last changed (a cursor that never
        changes restarts the partition: LDAP paging cannot be resumed).

        The last batch says ``complete=True``; if the end was not reached the iterator
        raises. Nothing is ever cut short silently. A driver error becomes one of
        `moatbridge.errors`.
        """


class CanFollow(Ability):
    """What changed since."""

    @abstractmethod
    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """Yield changes after the position, then stop (one poll).

        ``after=None`` yields exactly one empty batch holding the position "now".
        Changes may be thin or partial.

        Raises:
            CursorTooOld: The position is no longer served; the core rescans.
        """


class CanHint(Ability):
    """A push that says "look now". Only ever a hint: the cursor is the truth."""

    @abstractmethod
    def hints(self, stream: str) -> Iterator[bool]:
        """Yield True when something may have happened, False as a sign of life.

        Each ``next`` returns within the call's deadline; a peer that is silent longer
        is a lost connection. What happened while nobody listened is not told. Ends
        when the peer ends it.

        Raises:
            ConfigurationError: The system does not push; `changes` is asked in turns.
        """


class CanFetch(Ability):
    """Records by identity, in batches."""

    @abstractmethod
    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Return one `Record`, `Absent` or `OutOfScope` per ref, in the same order.

        At most 500 refs a call. Never one request per ref where the protocol can do
        better.
        """


class CanWrite(Ability):
    """Effects."""

    @abstractmethod
    def traits(self, stream: str) -> WriteTraits:
        """What this target promises for the stream (may depend on `probe`)."""

    @abstractmethod
    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Carry out the intents and return one receipt per intent, in order.

        Raises only if *nothing* took effect. Repeating a call whose outcome is
        unknown, with the same intents in the same order, has no second effect if the
        traits say ``keyed``.
        """


class CanFind(Ability):
    """Records by something other than the id. Only ever a hint."""

    @abstractmethod
    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Return the records that match each query; hits are compared again in code."""


class CanSettle(Ability):
    """Tell the source that what was read is safe."""

    @abstractmethod
    def settle(self, stream: str, cursor: Cursor) -> None:
        """Called after the ledger has committed; may be repeated."""


class CanReceive(Ability):
    """Deliveries that a system sends us by itself (webhooks, pushed transactions)."""

    @abstractmethod
    def receive(self, request: Request) -> Received:
        """Prove who sent the request, then read it.

        Pure but for reading secrets: no network, no waiting; called on an instance
        that need not be open, by one thread at a time. The raw bytes are verified
        before anything is parsed; every configured secret is tried, in constant time.
        The core keeps what is returned before the sender hears ``answer``.

        Raises:
            Rejected: Of kind ``rights``: not proved to come from the sender, whatever
                the reason (one code for all). Of kind ``data``: proved, but unreadable.
            ConfigurationError: The secrets cannot be used.
        """


class CanDiscover(Ability):
    """Suggest the rest of the configuration from the least of it."""

    @abstractmethod
    def discover(self) -> Suggestions:
        """Look at the server and propose streams, fields and settings."""
