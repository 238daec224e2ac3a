"""A complete system in memory (or in one file): the data behind `MemoryAdapter`.

Theory of operation: records, a change log, the keys already answered and a log of
effects live in one `Store`. Each write of one intent is one transaction that changes
the record, appends to both logs and remembers the answer, so that a process killed at
any point leaves either all of it or nothing. Faults (lost answers, refusals) belong to
the object, not to the store, and are set by the test that wants them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import TypeAdapter

from moatbridge.adapter import Field, WriteTraits
from moatbridge.changes import Intent, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld
from moatbridge.testing import memory_store
from moatbridge.testing.memory_store import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from moatbridge.changes import Data

BUCKETS: Final = 64
"""A scan is cut into ranges of this many hash buckets."""


@dataclass(frozen=True, slots=True)
class MemoryStream:
    """One stream of a `MemorySystem`.

    Args:
        name: Local name.
        fields: What records hold; unset ones read as None (multi: an empty list).
        key: Fields that make up the id; empty: the system chooses ids.
        unique: Field that identifies a record when ids are the system's choice; with
            ``key_scope = "object"`` a repeated create is recognised by it.
        traits: What writes promise; the system then behaves that way.
        page: Records in one batch.
        thin: Changes carry no data, so that the core must fetch.
        sees_deletes: Deletions appear in the change log.
        lower: Fields stored in lower case, as many platforms do with mail addresses.
        entity: As in `moatbridge.adapter.Stream`.
    """

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()
    unique: str = ""
    traits: WriteTraits = field(
        default_factory=lambda: WriteTraits(
            dedup="keyed", key_scope="request", max_batch=100, conditional=True,
            retractable=True,
        )
    )  # fmt: skip
    page: int = 100
    thin: bool = False
    sees_deletes: bool = True
    lower: tuple[str, ...] = ()
    entity: str | None = None

    def blank(self) -> Data:
        """A record in which nothing is set."""
        return {f.name: [] if f.multi else None for f in self.fields}


_SPEC: Final = TypeAdapter(MemoryStream)


class Effect(NamedTuple):
    """One real effect of one intent."""

    stream: str
    key: str
    op: str
    id: str


class Row(NamedTuple):
    """One stored record."""

    ref: Ref
    data: Data
    version: str
    hidden: bool


class MemorySystem:
    """A thread-safe system; give it a ``path`` to share it between processes.

    Attributes that a test may set, in this process only:
        lose_answers: So many coming write calls take effect and lose their answer.
        refuse: Given a record to write, returns the last word of a rejection
            (``data``, ``conflict``, ``rights``) or None.
        normalise: Changes a record as it is stored.
        unreadable: Ids (`Ref.key`) of records that a scan can only reject.

    Args:
        streams: Streams to add.
        path: File of a durable system; it keeps its streams too.
        name: Human name, shown by ``probe``.
    """

    def __init__(
        self,
        streams: Sequence[MemoryStream] = (),
        *,
        path: Path | None = None,
        name: str = "memory",
    ) -> None:
        self.name = name
        self.lose_answers = 0
        self.refuse: Callable[[Data], str | None] = _accepts
        self.normalise: Callable[[Data], Data] = lambda record: record
        self.unreadable: set[str] = set()
        self.store: memory_store.Store = memory_store.Store(path)
        for stream in streams:
            self.add(stream)

    @property
    def server(self) -> str:
        """Stable identity of the data."""
        return str(self.store.one("SELECT value FROM meta WHERE name='id'"))

    def add(self, stream: MemoryStream) -> None:
        """Add a stream, or replace its description."""
        spec = _SPEC.dump_json(stream).decode()
        with self.store.transaction():
            self.store.run(
                "INSERT INTO stream VALUES (?,?,0) "
                "ON CONFLICT(name) DO UPDATE SET spec=excluded.spec",
                stream.name,
                spec,
            )

    def streams(self) -> list[MemoryStream]:
        """All streams, by name."""
        found = self.store.rows("SELECT spec FROM stream ORDER BY name")
        return [_SPEC.validate_json(spec) for (spec,) in found]

    def stream(self, name: str) -> MemoryStream:
        """One stream.

        Raises:
            ConfigurationError: ``memory.stream``.
        """
        spec = self.store.one("SELECT spec FROM stream WHERE name=?", name)
        if spec is None:
            words = f"No stream {name!r} in memory system {self.name}; add it first."
            raise ConfigurationError(words, code="memory.stream", stream=name)
        return _SPEC.validate_json(spec)

    def set(self, stream: str, **settings: Any) -> None:
        """Change settings of a stream: ``set("people", page=5)``."""
        self.add(replace(self.stream(stream), **settings))

    # -- direct access, for tests and demos -------------------------------------------

    def put(self, stream: str, records: Sequence[Data]) -> list[Ref]:
        """Create or replace records without any intent; returns their refs."""
        described = self.stream(stream)
        with self.store.transaction():
            return [self.save(described, self.ref_of(described, r), r) for r in records]

    def get(self, stream: str, ref: Ref) -> Row | None:
        """One record, hidden or not."""
        found = self.store.rows(
            "SELECT id, name, data, version, hidden FROM record "
            "WHERE stream=? AND id=?",
            stream,
            ref.key,
        )
        return _row(found[0]) if found else None

    def all(self, stream: str) -> list[Row]:
        """Every record of the stream that is not hidden, by id."""
        found = self.store.rows(
            "SELECT id, name, data, version, hidden FROM record "
            "WHERE stream=? AND hidden=0 ORDER BY id",
            stream,
        )
        return [_row(values) for values in found]

    def delete(self, stream: str, refs: Sequence[Ref]) -> int:
        """Remove records without any intent; returns how many there were."""
        described = self.stream(stream)
        with self.store.transaction():
            return sum(self.drop(described, ref) for ref in refs)

    def hide(self, stream: str, ref: Ref) -> None:
        """Move a record out of the stream's scope: ``fetch`` says `OutOfScope`."""
        with self.store.transaction():
            self.store.run(
                "UPDATE record SET hidden=1 WHERE stream=? AND id=?", stream, ref.key
            )
            self._log(stream, ref, "upsert")

    # -- proofs -----------------------------------------------------------------------

    def effects(self, key: str | None = None) -> list[Effect]:
        """Real effects, in order; of one idempotency key or of all."""
        found = self.store.rows(
            "SELECT stream, key, op, id FROM effect "
            "WHERE ?1 IS NULL OR key=?1 ORDER BY seq",
            key,
        )
        return [Effect(*values) for values in found]

    def doubled(self) -> list[str]:
        """Keys that took effect more than once: what must never happen."""
        found = self.store.rows(
            "SELECT key FROM effect GROUP BY key HAVING count(*) > 1"
        )
        return [key for (key,) in found]

    def settled(self, stream: str) -> list[Any]:
        """Cursors given to ``settle``, in order."""
        found = self.store.rows(
            "SELECT cursor FROM settled WHERE stream=? ORDER BY seq", stream
        )
        return [load(cursor) for (cursor,) in found]

    def settle(self, stream: str, cursor: Any) -> None:
        """Remember that the position is safe."""
        with self.store.transaction():
            self.store.run(
                "INSERT INTO settled (stream, cursor) VALUES (?,?)",
                stream,
                dump(cursor),
            )

    def expire_keys(self, stream: str) -> None:
        """Forget every request key, as a target does after ``key_ttl``."""
        with self.store.transaction():
            self.store.run("DELETE FROM answered WHERE stream=?", stream)

    # -- reading ----------------------------------------------------------------------

    def page(
        self, stream: str, buckets: tuple[int, int], after: str, limit: int
    ) -> list[Row]:
        """The next records of a range of buckets, by id."""
        found = self.store.rows(
            "SELECT id, name, data, version, hidden FROM record WHERE stream=? "
            "AND part>=? AND part<? AND id>? AND hidden=0 ORDER BY id LIMIT ?",
            stream,
            *buckets,
            after,
            limit,
        )
        return [_row(values) for values in found]

    def position(self) -> int:
        """The newest entry of the change log."""
        newest = self.store.one("SELECT seq FROM sqlite_sequence WHERE name='log'")
        return int(newest or 0)

    def log(self, stream: str, after: int, limit: int) -> list[tuple[int, str, str]]:
        """Entries of the change log: (seq, id, op).

        Raises:
            CursorTooOld: ``memory.log``: truncated since, or from another system.
        """
        floor = self.store.one("SELECT floor FROM stream WHERE name=?", stream)
        if not floor <= after <= self.position():
            words = "The change log no longer holds this position; a rescan follows."
            raise CursorTooOld(words, code="memory.log", stream=stream)
        return [
            (int(seq), str(key), str(op))
            for seq, key, op in self.store.rows(
                "SELECT seq, id, op FROM log WHERE stream=? AND seq>? "
                "ORDER BY seq LIMIT ?",
                stream,
                after,
                limit,
            )
        ]

    def truncate_log(self, stream: str) -> None:
        """Forget the change log, so that older cursors are too old."""
        with self.store.transaction():
            self.store.run("DELETE FROM log WHERE stream=?", stream)
            self.store.run(
                "UPDATE stream SET floor=? WHERE name=?", self.position(), stream
            )

    # -- writing; called inside a transaction -----------------------------------------

    def ref_of(self, stream: MemoryStream, record: Data) -> Ref:
        """The ref a new record gets: from its key fields, or a fresh id."""
        name = str(record[stream.unique]) if record.get(stream.unique) else None
        if stream.key:
            parts = tuple(str(record[part]) for part in stream.key)
            return Ref(parts[0] if len(parts) == 1 else parts, name)
        return Ref(f"m{self.position() + 1:08d}", name)  # save() takes that number

    def save(self, stream: MemoryStream, ref: Ref, record: Data) -> Ref:
        """Store a whole record, normalised, with the next version, and log it."""
        stored = self.normalise({**stream.blank(), **record})
        for name in stream.lower:
            stored[name] = _lowered(stored[name])
        self.store.run(
            "INSERT INTO record VALUES (?1,?2,?3,?4,?5,0,?6) ON CONFLICT DO UPDATE "
            "SET name=?3, version=?5, hidden=0, data=?6",
            stream.name,
            ref.key,
            ref.name,
            zlib.crc32(ref.key.encode()) % BUCKETS,
            self._log(stream.name, ref, "upsert"),
            dump(stored),
        )
        return ref

    def drop(self, stream: MemoryStream, ref: Ref) -> int:
        """Remove a record, and log it."""
        gone = self.store.run(
            "DELETE FROM record WHERE stream=? AND id=?", stream.name, ref.key
        )
        if gone:
            self._log(stream.name, ref, "delete")
        return gone

    def note(self, stream: str, intent: Intent, ref: Ref) -> None:
        """Count a real effect."""
        self.store.run(
            "INSERT INTO effect (stream, key, op, id) VALUES (?,?,?,?)",
            stream,
            intent.key,
            intent.op,
            ref.key,
        )

    def _log(self, stream: str, ref: Ref, op: str) -> int:
        return self.store.insert(
            "INSERT INTO log (stream, id, op) VALUES (?,?,?)", stream, ref.key, op
        )


def _row(values: tuple[Any, ...]) -> Row:
    key, name, data, version, hidden = values
    return Row(Ref.from_key(key, name), load(data), str(version), bool(hidden))


def _accepts(record: Data) -> str | None:
    del record
    return None


def _lowered(value: Any) -> Any:
    if isinstance(value, list):
        return [_lowered(item) for item in value]
    return value.lower() if isinstance(value, str) else value
