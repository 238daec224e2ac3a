"""The shape of a stream: which attributes to ask for, and how an entry is decoded.

Compiled once per stream from its settings and the server's schema; from then on pure.
A field's shape never depends on the data: single-valued is a scalar, else a list, and
every named field is a key of every record.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.adapter import Field
from moatbridge.changes import Change, Record, Ref, Reject
from moatbridge.errors import ConfigurationError
from moatbridge_ldap import dn as names
from moatbridge_ldap import values
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.port import SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.changes import Data, Key
    from moatbridge_ldap.config import FieldSpec, LdapStreamConfig
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.straight import Learned
    from moatbridge_ldap.values import Codec
    from moatbridge_ldap.wire.filters import Filter
    from moatbridge_ldap.wire.port import Entry

MEMBERS: Final = frozenset({"member", "uniquemember"})
PASSWORDS: Final = frozenset({"userpassword", "unicodepwd"})


class Column(NamedTuple):
    """One field: name as in records, shape, codec."""

    name: str
    multi: bool
    codec: Codec
    writable: bool
    to: str | None


class Place(NamedTuple):
    """One base of the stream, ready to be searched."""

    dn: str
    normal: names.Dn
    scope: str
    filter: Filter


class BadValue(Exception):
    """One value of one field could not be decoded."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(frozen=True)
class Shape:
    """Everything known about one stream. Made by `compile_shape`.

    Args:
        stream: Local name.
        config: Its settings.
        columns: Fields, without the pseudo field ``dn``.
        dn_field: The pseudo field's spelling, if it is asked for.
        id_name: The id attribute, as it is asked for.
        version_name: The version attribute, as it is asked for.
        attributes: What to ask the server for.
        places: Bases.
        excluded: Normalised DNs whose subtrees are left out.
        placeholders: Stand-ins for an empty group, as bytes in lower case.
        fast: Learn how the entries look, and read those alike by one pattern.
    """

    stream: str
    config: LdapStreamConfig
    columns: tuple[Column, ...]
    dn_field: str | None
    id_name: str
    version_name: str | None
    attributes: tuple[str, ...]
    places: tuple[Place, ...]
    excluded: tuple[names.Dn, ...]
    placeholders: frozenset[bytes]
    fast: bool = True

    def column(self, name: str) -> Column | None:
        """The field of that name, without case."""
        exact = self._by_name.get(name)
        return self._by_name.get(name.lower()) if exact is None else exact

    @cached_property
    def naming(self) -> frozenset[str]:
        """Fields of the template for new names, in lower case."""
        create = self.config.create
        return frozenset(map(str.lower, create.fields if create else ()))

    @cached_property
    def members(self) -> tuple[Column, ...]:
        """Fields that hold a group's members, of which there must be one."""
        return tuple(c for c in self.columns if c.name.lower() in MEMBERS)

    @cached_property
    def passwords(self) -> frozenset[str]:
        """Fields that are passwords, in lower case."""
        return PASSWORDS & {column.name.lower() for column in self.columns}

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        folded = {column.name.lower(): column for column in self.columns}
        return folded | {column.name: column for column in self.columns}

    def ref(self, entry: Entry) -> Ref | None:
        """The entry's identity; None if the id attribute is missing or unreadable."""
        found = entry.attributes.get(self.id_name)
        if not found or len(found) != 1:
            return None
        try:
            return Ref(self.id_text(found[0]), entry.dn)
        except ValueError:
            return None

    def ids(self, page: Iterable[Change | Entry]) -> list[Key | bytes]:
        """All ids in a page; bytes where a value is none."""
        found: list[Key | bytes] = []
        for one in page:
            if isinstance(one, Change):
                found.append(one.ref.id)
                continue
            for raw in one.attributes.get(self.id_name, ()):
                try:
                    found.append(self.id_text(raw))
                except ValueError:
                    found.append(raw)
        return found

    def takes(self, dn: str, place: Place) -> bool:
        """Whether an entry found below a base belongs to what that base gives."""
        return not self.excludes(dn) and not self.repeated(dn, place)

    def id_text(self, raw: bytes) -> str:
        """An id as canonical lower-case text."""
        if self.id_name.lower() == "objectguid":
            return values.guid(raw)
        return values.text(raw).lower()

    def id_bytes(self, text: str) -> bytes:
        """An id as it stands in a filter."""
        if self.id_name.lower() == "objectguid":
            return values.from_guid(text)
        return text.encode()

    def version(self, entry: Entry) -> str | None:
        """The entry's version, where the server keeps one."""
        if self.version_name is None:
            return None
        found = entry.attributes.get(self.version_name)
        return found[0].decode("ascii", "replace") if found else None

    def data(self, entry: Entry) -> Data:
        """The entry as a record.

        Raises:
            BadValue: A value cannot be decoded, or a scalar has several.
        """
        attributes = entry.attributes
        data: Data = {}
        if self.dn_field is not None:
            data[self.dn_field] = entry.dn
        for name, multi, plain, codec in self._cells:
            found = attributes.get(name)
            if not found:
                data[name] = [] if multi else None
                continue
            if plain and len(found) == 1:  # nearly every value of a scan
                try:
                    value = found[0].decode()
                except ValueError:
                    raise BadValue(name) from None
                if "\0" in value:
                    raise BadValue(name)
                data[name] = [value] if multi else value
            else:
                data[name] = self.value(name, found, codec, multi=multi)
        return data

    def value(self, name: str, found: list[bytes], codec: Codec, *, multi: bool) -> Any:
        """One field of a record, from one value or more.

        Raises:
            BadValue: A value cannot be decoded, or a scalar has several.
        """
        try:
            if multi:
                return self._listed(found, codec)
            if len(found) == 1:
                return codec.decode(found[0])
        except ValueError:
            pass
        raise BadValue(name)

    @cached_property
    def learned(self) -> Learned:
        """What was seen so far of how the entries look."""
        from moatbridge_ldap.straight import Learned  # noqa: PLC0415 - uses this module

        return Learned(self)

    @cached_property
    def _cells(self) -> tuple[tuple[str, bool, bool, Codec], ...]:
        """The columns as `data` needs them; ``plain``: one value is just text."""
        return tuple(
            (c.name, c.multi, c.codec.decode is values.text and not self.placeholders,
             c.codec)
            for c in self.columns
        )  # fmt: skip

    def _listed(self, found: list[bytes], codec: Codec) -> list[Any]:
        # Value sets have no order; equal entries must make equal records.
        if len(found) > 1:
            found = sorted(found)
        if self.placeholders:
            found = [raw for raw in found if raw.lower() not in self.placeholders]
        return [codec.decode(raw) for raw in found]

    def change(self, entry: Entry) -> Change | Reject:
        """The entry as an upsert, or why it cannot be one."""
        made = self.record(entry)
        if isinstance(made, Reject):
            return made
        return Change(made.ref, "upsert", made.data, made.version)

    def record(self, entry: Entry) -> Record | Reject:
        """The entry as a record, or why it cannot be one."""
        ref = self.ref(entry)
        place = f"entry of stream {self.stream}"
        if ref is None:
            return Reject("ldap.id", place, Ref("", entry.dn), self.id_name)
        if entry.duplicate is not None:
            return Reject("ldap.duplicate-attribute", place, ref, entry.duplicate)
        try:
            return Record(ref, self.data(entry), self.version(entry))
        except BadValue as fault:
            return Reject("ldap.value", place, ref, fault.field)

    def holds(self, dn: str) -> bool:
        """Whether a base of the stream holds this entry, whatever the filter says."""
        mine = names.normal(dn)
        return any(names.in_scope(mine, p.normal, p.scope) for p in self.places)

    def excludes(self, dn: str) -> bool:
        """Whether the settings leave this entry out."""
        if not self.excluded:
            return False
        mine = names.normal(dn)
        return any(names.is_under(mine, gone) for gone in self.excluded)

    def rivals(self, place: Place) -> list[Place]:
        """Earlier bases with the same filter."""
        earlier = self.places[: self.places.index(place)]
        return [other for other in earlier if other.filter == place.filter]

    def repeated(self, dn: str, place: Place) -> bool:
        """Whether an earlier base with the same filter shows this entry too."""
        rivals = self.rivals(place)
        if not rivals:
            return False
        mine = names.normal(dn)
        return any(names.in_scope(mine, o.normal, o.scope) for o in rivals)

    @property
    def query(self) -> str:
        """Fingerprint of what decides which records and fields the stream has."""
        settings = {
            "bases": [
                (p.normal, p.scope, filters.to_text(p.filter)) for p in self.places
            ],
            "excluded": self.excluded,
            "fields": [(c.name, c.multi, c.codec.type) for c in self.columns],
            "dn": self.dn_field,
            "id": self.id_name,
        }
        text = json.dumps(settings, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def fields(self, required: frozenset[str]) -> tuple[Field, ...]:
        """The fields as the core sees them."""
        made = [
            Field(
                column.name, column.codec.type, multi=column.multi,
                required=column.name.lower() in required, writable=column.writable,
                to=column.to, by="name" if column.to else "id",
            )
            for column in self.columns
        ]  # fmt: skip
        if self.dn_field is not None:
            made.append(Field(self.dn_field, writable=False, unique=True))
        return tuple(made)


def compile_shape(
    stream: str,
    config: LdapStreamConfig,
    directory: Directory,
    id_attribute: str,
    *,
    fast: bool = True,
) -> Shape:
    """Work out a stream's shape.

    Raises:
        ConfigurationError: ``ldap.field``: the schema has no such attribute.
        ConfigurationError: ``ldap.id``: no immutable id.
    """
    specs = [spec for spec in config.specs if spec.attribute.lower() != "dn"]
    pseudo = [spec.attribute for spec in config.specs if spec not in specs]
    columns = tuple(_column(spec, directory, stream) for spec in specs)
    id_name = directory.id_attribute(id_attribute)
    version = directory.version_attribute
    spelled = {column.name.lower(): column.name for column in columns}
    extra = [
        name for name in (id_name, version) if name and name.lower() not in spelled
    ]
    return Shape(
        stream=stream,
        config=config,
        columns=columns,
        dn_field=pseudo[0] if pseudo else None,
        id_name=spelled.get(id_name.lower(), id_name),
        version_name=spelled.get(version.lower(), version) if version else None,
        attributes=(*spelled.values(), *extra),
        places=_places(config),
        excluded=tuple(map(names.normal, config.exclude)),
        placeholders=_placeholders(config.empty_group_member),
        fast=fast,
    )


def _places(config: LdapStreamConfig) -> tuple[Place, ...]:
    shared = filters.parse(config.filter)
    return tuple(
        Place(
            base.dn,
            names.normal(base.dn),
            base.scope,
            filters.both(shared, filters.parse(base.filter) if base.filter else None),
        )
        for base in config.bases
    )


def scope_of(place: Place) -> int:
    """The scope's number on the wire."""
    return SCOPES[place.scope]


def _placeholders(member: str | None) -> frozenset[bytes]:
    if member is None:
        return frozenset()
    spellings = (member, names.build(names.parse(member)))
    return frozenset(text.encode().lower() for text in spellings)


def _column(spec: FieldSpec, directory: Directory, stream: str) -> Column:
    name, schema = spec.attribute, directory.schema
    known = schema.attribute(name)
    if known is None and schema.readable:
        close = schema.closest(name)
        hint = f"; did you mean {close!r}?" if close else "."
        raise ConfigurationError(
            f"Stream {stream}: the directory's schema has no attribute {name!r}{hint}",
            code="ldap.field",
            stream=stream,
        )
    kind = spec.type or (known.kind if known else "text")
    if kind not in values.CODECS:
        raise ConfigurationError(
            f"Stream {stream}, field {name}: LDAP has no values of type {kind!r}; use "
            f"one of {', '.join(sorted(values.CODECS))}.",
            code="ldap.field",
            stream=stream,
        )
    codec = values.CODECS[kind]
    if kind == "reference" and spec.to is None:
        codec = values.CODECS["text"]
    single = known.single if known else False
    return Column(
        name, not single if spec.multi is None else spec.multi, codec,
        known.writable if known else True, spec.to,
    )  # fmt: skip
