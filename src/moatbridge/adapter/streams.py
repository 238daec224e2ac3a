"""What an adapter says about its system and its streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FieldType: TypeAlias = Literal[
    "text", "int", "decimal", "float", "bool", "date", "time", "datetime",
    "bytes", "json", "reference", "object", "any",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a stream's records.

    Args:
        name: As it stands in records, in the stream's own spelling.
        type: Python type of one value: ``text`` str, ``decimal`` Decimal, ``date``
            and friends their `datetime` types, ``json`` and ``any`` anything,
            ``object`` a dict described by ``fields``, ``reference`` text that names a
            record of stream ``to``.
        required: A create without it is refused.
        multi: The value is a list.
        ordered: The list's order means something (LDAP's never does).
        writable: May stand in an intent's record.
        unique: No two records share a value.
        to: For references: name of the stream pointed to, within the same system.
        by: For references: whether the text is the other record's id or its name.
        fields: For ``object``: the members.
        label: Confidentiality hint (``public`` ... ``restricted``), if known.
    """

    name: str
    type: FieldType = "text"
    required: bool = False
    multi: bool = False
    ordered: bool = False
    writable: bool = True
    unique: bool = False
    to: str | None = None
    by: Literal["id", "name"] = "id"
    fields: tuple[Field, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One named collection inside a system.

    Args:
        name: Local name (``people``); its address is ``system/people``.
        fields: What records hold. Only these ever appear in a record.
        key: Names of the fields that make up ``Ref.id``; empty if the id lies
            outside the record (entryUUID).
        abilities: Names of the abilities this stream has: a subset of the adapter's.
        entity: Canonical type that fits (``Person``), if that is clear.
        native: True when records already have the entity's own shape and names (SCIM
            people): then no translator is needed.
        suggested: A translator's ``fields`` table: entity path -> source.
        case_insensitive: Field names compare without case (LDAP, SCIM).
        snapshot_scan: One scan reads one consistent snapshot (delivery 43). Together
            with `CanSettle` it is a drop folder: its cursor remembers what was read,
            and the next pass's scan gets the cursor of the last one that was carried.
        settle_destroys: ``settle`` removes the source of what was read.
        sees_deletes: ``changes`` reports deletions.
        query: Fingerprint of everything that decides which records belong to the
            stream (table, base, filter, fields); part of the cursor envelope.
        label: Confidentiality hint for the whole stream, if known.
    """

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()
    abilities: frozenset[str] = frozenset()
    entity: str | None = None
    native: bool = False
    suggested: Mapping[str, Any] = field(default_factory=dict)
    case_insensitive: bool = False
    snapshot_scan: bool = False
    settle_destroys: bool = False
    sees_deletes: bool = False
    query: str = ""
    label: str | None = None

    def field(self, name: str) -> Field | None:
        """The field of that name (exact, then without case where that is allowed)."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        if self.case_insensitive:
            folded = name.casefold()
            for candidate in self.fields:
                if candidate.name.casefold() == folded:
                    return candidate
        return None


@dataclass(frozen=True, slots=True)
class Partition:
    """One independently resumable part of a scan.

    Args:
        key: Stable text, unique within the split, at most 200 characters.
        spec: The adapter's own JSON, at most 16 KiB.
    """

    key: str = "all"
    spec: Any = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A token bucket: ``rate`` calls a second, ``burst`` at once."""

    rate: float
    burst: float


@dataclass(frozen=True, slots=True)
class Probe:
    """What an open connection can tell.

    Args:
        server: Stable identity of the server's *data* (not its address): cursors are
            bound to it.
        product: Human words: ``OpenLDAP 2.5``.
        account: Who we are there, as the server says; not a secret.
        abilities: Stream name -> abilities that this server and account really allow;
            missing streams have what `Stream.abilities` says.
        limits: Facts met (page sizes, maximum operations).
        warnings: Sentences for ``check``: "this account may write".
        quota: First guess of the shared token buckets, by class (``read``, ``write``).
    """

    server: str
    product: str = ""
    account: str | None = None
    abilities: Mapping[str, frozenset[str]] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    quota: Mapping[str, Quota] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteTraits:
    """What a target promises about writes to one stream; decides a flow's class.

    Args:
        dedup: ``keyed`` (a repeat of our key or unique external id has no second
            effect), ``lookup`` (we can find out), or ``none``.
        key_scope: ``request`` (the target remembers keys) or ``object`` (the record
            itself carries the identity).
        key_ttl: Seconds a request key is remembered; None = for ever.
        max_request_life: Seconds after which a request in flight can have no effect.
        max_batch: Intents in one call.
        atomic_batch: A call applies wholly or not at all.
        conditional: Refuses a write based on an older version.
        retractable: Undo is possible.
        creates: Records can be made; False: only those that are there can be changed,
            so that nothing has to fill what a create needs.
    """

    dedup: Literal["keyed", "lookup", "none"] = "none"
    key_scope: Literal["request", "object"] = "object"
    key_ttl: float | None = None
    max_request_life: float = 60.0
    max_batch: int = 1
    atomic_batch: bool = False
    conditional: bool = False
    retractable: bool = False
    creates: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """One look-up of `CanFind`: records whose field has that value."""

    field: str
    value: str

    def __repr__(self) -> str:
        return f"Query({self.field})"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One proposal of ``discover``.

    Args:
        setting: Dotted config path relative to the system or stream table.
        value: Plain TOML value.
        confidence: 0 to 1; below 0.8 it is printed as a comment.
        reason: Why, in words.
        stream: Stream it belongs to; None for the system itself.
    """

    setting: str
    value: Any
    confidence: float = 1.0
    reason: str = ""
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What ``discover`` found; never holds a secret or a record's value."""

    items: Sequence[Suggestion] = ()
    warnings: tuple[str, ...] = ()
