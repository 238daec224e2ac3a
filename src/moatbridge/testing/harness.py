"""What an adapter's author gives the conformance suite: a handle on a real server."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moatbridge.changes import Ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Adapter, Request
    from moatbridge.changes import Data
    from moatbridge.translate import Translator

Feature = Literal[
    "network",
    "credentials",
    "partitions",
    "deletes",
    "keyed",
    "conditional",
    "slots",
    "rejects",
    "translator",
    "busy",
    "short_pages",
]
"""What a stream can do beyond its abilities; declared on the test class.

``network``: the adapter dials TCP. ``credentials``: the server refuses wrong ones.
``partitions``: ``split`` cuts the stream. ``deletes``: ``Stream.sees_deletes``.
``keyed`` and ``conditional``: as in `WriteTraits`. ``slots``: `Harness.slot` is given.
``rejects``: `Harness.spoil` is given. ``translator``: the stream suggests one, or
`Harness.translators` names some. ``busy``: `Harness.busy` is given. ``short_pages``:
`Harness.short_pages` is given.
"""


@dataclass(frozen=True, slots=True)
class SlotCase:
    """One slot of a multi-valued field that an intent owns.

    Args:
        record: A new record (like one of `Harness.sample`) holding the slot and others.
        owned: What the intent sets, as in `Intent.owned`.
        patch: The update's record.
        field: Name of the field that holds the slots.
        expected: That field's value afterwards, in the stream's own shape.
    """

    record: Data
    owned: tuple[str, ...]
    patch: Data
    field: str
    expected: Any


class Harness(ABC):
    """One stream of one real server, reached by other means than the adapter.

    The stream belongs to the suite alone: it is emptied before each test. `seed`,
    `read_all`, `remove` and `edit` should go round the adapter wherever they can.
    Configure a small page (about 5) so that 12 records need several batches.

    Class attributes:
        stream: Local name of the stream.
        unique: A text field whose values differ between records; identifies them here.
        clearable: A writable optional field that every sample fills (for `CanWrite`).
        endpoint: Host and port of the server; None if nothing is dialled.
        crowd: Records with which the check of memory fills the stream: some times
            more than the adapter reads ahead. Raise it where rows come in big pieces
            that are cut into pages (a file).
        canaries: Secrets in the configuration, which must never be seen anywhere.
        translators: For this stream, beside the one that the stream suggests.
    """

    stream: ClassVar[str] = "people"
    unique: ClassVar[str]
    clearable: ClassVar[str] = ""
    crowd: ClassVar[int] = 60
    endpoint: tuple[str, int] | None = None
    canaries: Sequence[str] = ()
    translators: Sequence[Translator] = ()

    @abstractmethod
    def make(
        self,
        *,
        endpoint: tuple[str, int] | None = None,
        credentials: Literal["good", "bad"] = "good",
    ) -> Adapter[Any]:
        """Construct an adapter that is not open yet.

        Args:
            endpoint: Dial this address instead of the server's (a fault proxy, or a
                port where nobody listens).
            credentials: ``bad`` puts a wrong secret into the configuration.

        Set its ``net`` (`moatbridge.testing.net`) only if the server needs TLS
        settings; the suite supplies one otherwise.
        """

    @abstractmethod
    def sample(self, count: int) -> list[Data]:
        """Fresh records to create, never the same twice, with random personal values.

        In the stream's own shape, writable fields only.
        """

    @abstractmethod
    def seed(self, records: Sequence[Data]) -> None:
        """Create the records at the server."""

    @abstractmethod
    def read_all(self) -> Sequence[Data]:
        """Every record really in the stream; the field ``unique`` is enough of it."""

    @abstractmethod
    def remove(self, values: Sequence[str]) -> None:
        """Delete the records with these values of ``unique``."""

    def edit(self, value: str) -> None:
        """Change one record in place, by other means (for `CanFollow`)."""
        del value
        raise self._missing("edit")

    def change(self, record: Data) -> Data:
        """An update's record: other values for one or two fields (for `CanWrite`)."""
        del record
        raise self._missing("change")

    def broken(self) -> Data:
        """A new record that the server refuses as data (for `CanWrite`)."""
        raise self._missing("broken")

    def slot(self) -> SlotCase:
        """A case for the feature ``slots``."""
        raise self._missing("slot")

    def delivery(self, records: Sequence[Data]) -> Request:
        """A new request as the system sends it, proved, that tells these records.

        For `CanReceive`; signed by other means than the adapter's.
        """
        del records
        raise self._missing("delivery")

    def spoil(self, value: str) -> None:
        """Make one record unreadable, for the feature ``rejects``.

        Its stored form, not its connection: a date that is none, bytes that are no
        text. `read_all` and `remove` must still work.
        """
        del value
        raise self._missing("spoil")

    def rival(self, record: Data) -> Data | None:
        """A new record that cannot exist beside ``record`` (for `CanWrite`).

        With the same login, say, and else other values. None: what the stream declares
        is enough, its ``key`` and its ``unique`` fields. Where the record carries our
        own identity (``key_scope = "object"``), that differs too: the rival is
        somebody else.
        """
        del record
        return None

    def busy(self) -> None:
        """The system turns the next request away, for the feature ``busy``.

        The next one after logging in, whatever it asks; the one after it is served.
        """
        raise self._missing("busy")

    def short_pages(self) -> None:
        """From now on no page holds more than two records, whatever is asked.

        For the feature ``short_pages``: a system that has a limit of its own.
        """
        raise self._missing("short_pages")

    def target(self, record: Data) -> Ref | None:
        """The ``Intent.ref`` of a create; None where the server chooses the id.

        Asked of records like those of `sample`, `broken`, `rival` and `slot`.
        """
        del record
        return None

    def absent(self) -> Ref:
        """A well-formed ref of a record that does not exist."""
        return Ref(str(uuid.uuid4()))

    def _missing(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__}.{method}: the adapter's abilities need it"
        )
