"""`MemoryAdapter`: every ability, no server. For tests, demos and proofs."""

from __future__ import annotations

import itertools
import threading
import zlib
from pathlib import Path  # noqa: TC003 - pydantic reads it at run time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import ConfigDict

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanSettle,
    CanWrite,
    Partition,
    Probe,
    Stream,
    Suggestion,
    Suggestions,
)
from moatbridge.changes import Absent, Batch, Change, OutOfScope, Record, Ref, Reject
from moatbridge.errors import ConfigurationError, CursorTooOld, OutcomeUnknown
from moatbridge.testing.memory_system import BUCKETS, MemorySystem
from moatbridge.testing.memory_write import carry_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Query, WriteTraits
    from moatbridge.changes import Cursor, Fetched, Intent, Receipt
    from moatbridge.testing.memory_system import MemoryStream, Row


class MemoryHub:
    """Memory systems by name, so that a configuration file can speak of them."""

    def __init__(self) -> None:
        self._systems: dict[str, MemorySystem] = {}
        self._lock = threading.Lock()

    def register(self, system: MemorySystem) -> MemorySystem:
        """Make a system known under its ``name``; returns it."""
        with self._lock:
            self._systems[system.name] = system
        return system

    def get(self, name: str) -> MemorySystem:
        """The system of that name.

        Raises:
            ConfigurationError: ``memory.system``.
        """
        with self._lock:
            found = self._systems.get(name)
        if found is None:
            words = f"No memory system {name!r} is registered; HUB.register(...) it."
            raise ConfigurationError(words, code="memory.system")
        return found


HUB: Final = MemoryHub()
"""The hub that `MemoryConfig` looks into when it is given a name."""


class MemoryConfig(AdapterConfig):
    """Which memory system: an object, a name in `HUB`, or the file of a durable one."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )  # fmt: skip

    system: MemorySystem | str | None = None
    path: Path | None = None


class MemoryAdapter(
    Adapter[MemoryConfig], CanScan, CanFollow, CanFetch, CanFind, CanWrite, CanSettle,
    CanDiscover,
):  # fmt: skip
    """Reads and writes a `MemorySystem`; also the plainest example of an adapter."""

    name: ClassVar[str] = "memory"
    Config: ClassVar[type[AdapterConfig]] = MemoryConfig

    _system: MemorySystem | None = None
    _ours = False

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        """Nothing is dialled."""
        del config
        return ()

    def open(self) -> None:
        """Find the system, or open its file."""
        given = self.config.system
        if isinstance(given, MemorySystem):
            self._system = given
        elif isinstance(given, str):
            self._system = HUB.get(given)
        elif self.config.path is not None:
            self._system, self._ours = MemorySystem(path=self.config.path), True
        else:
            words = "A memory system needs 'system' or 'path'."
            raise ConfigurationError(words, code="memory.system")

    def close(self) -> None:
        """Let go of the system; closes the file that ``open`` opened."""
        if self._system is not None and self._ours:
            self._system.store.close()
        self._system, self._ours = None, False

    @property
    def system(self) -> MemorySystem:
        """The open system.

        Raises:
            ConfigurationError: ``memory.closed``.
        """
        if self._system is None:
            words = "This memory adapter is not open; call open() first."
            raise ConfigurationError(words, code="memory.closed")
        return self._system

    def probe(self) -> Probe:
        """Identity of the data."""
        return Probe(server=self.system.server, product=f"memory {self.system.name}")

    def streams(self) -> Sequence[Stream]:
        """The configured streams, or all of them."""
        return [
            self._described(stream)
            for stream in self.system.streams()
            if not self.stream_configs or stream.name in self.stream_configs
        ]

    def split(self, stream: str, wanted: int) -> Sequence[Partition]:
        """Cut by hash of the id, into at most ``wanted`` ranges."""
        self.system.stream(stream)
        count = max(1, min(wanted, BUCKETS))
        edges = [BUCKETS * number // count for number in range(count + 1)]
        return [
            Partition(f"{low}-{high}", [low, high])
            for low, high in itertools.pairwise(edges)
        ]

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """Records by id; reads one page ahead to know which batch is the last."""
        described = self.system.stream(stream)
        low, high = partition.spec or (0, BUCKETS)
        last = str(_place(after, "id", str, stream)) if after is not None else ""
        more = True
        while more:
            rows = self.system.page(stream, (low, high), last, described.page + 1)
            more = len(rows) > described.page
            rows = rows[: described.page]
            last = rows[-1].ref.key if rows else last
            yield self._batch(rows, {"id": last}, complete=not more)

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """The change log, newest state of each record."""
        described = self.system.stream(stream)
        if after is None:
            yield Batch((), {"seq": self.system.position()})
            return
        seq = int(_place(after, "seq", int, stream))
        while entries := self.system.log(stream, seq, described.page):
            seq = entries[-1][0]
            found = [self._logged(described, key, op) for _, key, op in entries]
            yield Batch([change for change in found if change], {"seq": seq})

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Records, absences and what is out of scope, in order."""
        self.system.stream(stream)
        return [_fetched(ref, self.system.get(stream, ref)) for ref in refs]

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Exact matches; one pass over the records for all queries."""
        rows = self.system.all(stream)
        return [[_record(row) for row in rows if _hit(row, q)] for q in queries]

    def traits(self, stream: str) -> WriteTraits:
        """As the stream was described."""
        return self.system.stream(stream).traits

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Carry out each intent in its own transaction.

        Raises:
            OutcomeUnknown: ``memory.lost``, after the effect, if the system is told
                to lose answers.
        """
        described = self.system.stream(stream)
        receipts = [carry_out(self.system, described, intent) for intent in intents]
        if self.system.lose_answers > 0:
            self.system.lose_answers -= 1
            words = "The memory system was told to lose this answer."
            raise OutcomeUnknown(words, code="memory.lost", stream=stream)
        return receipts

    def settle(self, stream: str, cursor: Cursor) -> None:
        """Remember the cursor (`MemorySystem.settled`)."""
        self.system.settle(stream, cursor)

    def discover(self) -> Suggestions:
        """One suggestion per stream."""
        return Suggestions(
            [
                Suggestion(
                    "entity", stream.entity or "Person", 0.5, "by name", stream.name
                )
                for stream in self.system.streams()
            ]
        )

    def _described(self, stream: MemoryStream) -> Stream:
        return Stream(
            stream.name,
            stream.fields,
            key=stream.key,
            abilities=self.abilities - {"CanDiscover"},
            entity=stream.entity,
            sees_deletes=stream.sees_deletes,
            query=f"{zlib.crc32(repr(stream.fields).encode()):08x}",
        )

    def _batch(self, rows: Sequence[Row], cursor: Cursor, *, complete: bool) -> Batch:
        bad = self.system.unreadable
        rejects = [
            Reject("memory.unreadable", "marked by a test", row.ref)
            for row in rows
            if row.ref.key in bad
        ]
        changes = [_change(row) for row in rows if row.ref.key not in bad]
        return Batch(changes, cursor, rejects, complete)

    def _logged(self, stream: MemoryStream, key: str, op: str) -> Change | None:
        row = self.system.get(stream.name, Ref.from_key(key))
        if op == "delete":
            if row is not None or not stream.sees_deletes:
                return None
            return Change(Ref.from_key(key), "delete")
        if row is None:
            return None
        if stream.thin or row.hidden:
            return Change(row.ref)
        return _change(row)


def _place(after: Any, name: str, kind: type, stream: str) -> Any:
    if isinstance(after, dict) and isinstance(after.get(name), kind):
        return after[name]
    words = "This cursor is not one of a memory system; a rescan follows."
    raise CursorTooOld(words, code="memory.cursor", reason="foreign", stream=stream)


def _change(row: Row) -> Change:
    return Change(row.ref, "upsert", row.data, row.version)


def _record(row: Row) -> Record:
    return Record(row.ref, row.data, row.version)


def _fetched(ref: Ref, row: Row | None) -> Fetched:
    if row is None:
        return Absent(ref)
    return OutOfScope(ref) if row.hidden else _record(row)


def _hit(row: Row, query: Query) -> bool:
    value = row.data.get(query.field)
    return any(str(one) == query.value for one in _values(value))


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
