"""What travels between the core and an adapter: plain, immutable values.

A *record* is the native data of a stream: a plain ``dict`` of plain Python values.
Everything here may hold personal data, so no ``repr`` shows any: only types, ref
digests and field names (entities 9).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key: TypeAlias = str | tuple[str, ...]
"""Immutable identity of a record as canonical text; a tuple for compound keys."""

Data: TypeAlias = dict[str, Any]
"""Native data of one record."""

Cursor: TypeAlias = Any
"""An adapter's own JSON. The core wraps it with version, server and query."""

Op: TypeAlias = Literal["create", "update", "delete"]
Outcome: TypeAlias = Literal["applied", "not_applied", "unknown", "rejected"]


class Ref(NamedTuple):
    """Identity of a record: the immutable id and, if there is one, the mutable name.

    ``id`` is canonical text (objectGUID, entryUUID, primary key; a tuple for compound
    keys). ``name`` is what people and other records call it (DN, login).
    """

    id: Key
    name: str | None = None

    @property
    def key(self) -> str:
        """The id as one canonical text; injective over plain and compound ids."""
        if isinstance(self.id, str):
            return self.id if self.id[:1] != "[" else json.dumps([self.id])
        return json.dumps(list(self.id), ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_key(key: str, name: str | None = None) -> Ref:
        """The ref whose `key` is this text."""
        if key[:1] != "[":
            return Ref(key, name)
        parts = json.loads(key)
        return Ref(parts[0] if len(parts) == 1 else tuple(parts), name)

    @property
    def digest(self) -> str:
        """Eight hex digits that stand for this ref in logs and errors."""
        return hashlib.blake2b(self.key.encode(), digest_size=4).hexdigest()

    def __repr__(self) -> str:
        return f"Ref({self.digest})"


class Change(NamedTuple):
    """One observed change of a record at the source.

    Args:
        ref: Which record.
        op: ``upsert`` or ``delete``.
        data: The record; None for a delete, or when the change is *thin* and the
            core shall fetch it.
        version: The source's own version, if it never repeats for this ref.
        partial: True when ``data`` holds only some of the fields (a delta feed).
        incomplete: Fields that could not be read completely; they are left out of
            ``data`` and decode to "says nothing", never to "cleared".
    """

    ref: Ref
    op: Literal["upsert", "delete"] = "upsert"
    data: Data | None = None
    version: str | None = None
    partial: bool = False
    incomplete: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Change({self.op} {self.ref!r} {_names(self.data)})"


class Record(NamedTuple):
    """A record as it is now: what ``fetch`` and ``find`` return."""

    ref: Ref
    data: Data
    version: str | None = None
    incomplete: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Record({self.ref!r} {_names(self.data)})"


class Absent(NamedTuple):
    """``fetch``: there is no such record, inside or outside the stream."""

    ref: Ref


class OutOfScope(NamedTuple):
    """``fetch``: the record exists, but no longer belongs to this stream."""

    ref: Ref


Fetched: TypeAlias = Record | Absent | OutOfScope


class Reject(NamedTuple):
    """A record that could not be decoded. Never stops its batch.

    Args:
        reason: Stable code such as ``ldap.value``.
        location: Where it lies (a page and position, a file and line, a base DN);
            never a value.
        ref: Which record, if that much could be read.
        field: Which field, if one is to blame.
    """

    reason: str
    location: str = ""
    ref: Ref | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some changes, and the position after them.

    ``complete=True`` says: this was the last batch of the pass and the pass saw
    everything. A batch without changes and with ``complete=False`` says that no
    pass happened. A partial result is an error or ``complete=False``, never silently
    the end.
    """

    changes: Sequence[Change] = ()
    cursor: Cursor = None
    rejects: Sequence[Reject] = ()
    complete: bool = False

    def __repr__(self) -> str:
        return (
            f"Batch({len(self.changes)} changes, {len(self.rejects)} rejects, "
            f"complete={self.complete})"
        )


@dataclass(slots=True)
class Intent:
    """One change to one target record, ready to be sent. Never changed once made.

    Args:
        key: Idempotency key, 26 characters; the same for every attempt.
        op: ``create``, ``update`` or ``delete``.
        ref: Target record; None for a create whose id the target chooses.
        record: What to write, in the target's own shape. In an update, keys that are
            absent stay as they are and None clears. None for a delete.
        owned: Record paths and slots that this intent sets
            (``emails[type=work].value``); a writer leaves everything else alone.
        before: The target record as it was when this intent was judged, if known.
        before_version: Its version: write only if the target still has this one.
        fence: Fencing token of the lane's lease, for targets that can compare it.
        attempt: 1 for the first attempt.
        progress: What the last receipt of this intent left (`Receipt.progress`).
        secrets: Values that are never stored (a password to set).
    """

    key: str
    op: Op
    ref: Ref | None
    record: Data | None
    owned: tuple[str, ...] = ()
    before: Data | None = None
    before_version: str | None = None
    fence: int = 0
    attempt: int = 1
    progress: Any = None
    secrets: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Intent({self.op} {self.ref!r} {_names(self.record)} key={self.key})"


@dataclass(slots=True)
class Receipt:
    """What became of one intent. Never changed once made.

    Args:
        outcome: ``applied``, ``not_applied`` (certainly nothing happened),
            ``unknown`` or ``rejected`` (never repeat).
        ref: The target's identity of the record, where known.
        version: The record's version after the write.
        stored: The record as the target now stores it, if it told us.
        retry_after: Seconds to wait before trying again.
        code: ``adapter.what``. A failed compare-and-set is ``not_applied`` with
            ``*.stale``. Of a rejection the last word is one of ``conflict``, ``data``,
            ``gone``, ``rights`` or finer.
        field: Of a rejection: the field that is to blame, if one is (its name, never
            its value). `moatbridge review` shows it.
        progress: Up to 1 KiB of JSON kept with the intent for the next attempt.
        incident: A word that says the target did something it must not (an audience
            mismatch); the guard counts it.
    """

    outcome: Outcome
    ref: Ref | None = None
    version: str | None = None
    stored: Data | None = None
    retry_after: float | None = None
    code: str = ""
    progress: Any = None
    incident: str | None = None
    field: str | None = None

    @property
    def reason(self) -> str:
        """The last word of the code: ``stale``, ``conflict``, ``gone`` ..."""
        return self.code.rpartition(".")[2]

    def __repr__(self) -> str:
        field = f"field={self.field} " if self.field else ""
        return f"Receipt({self.outcome} {self.code} {field}{self.ref!r})"


def _names(data: Mapping[str, Any] | None) -> str:
    return "thin" if data is None else "{" + ", ".join(sorted(data)) + "}"
