"""A peer's resources as records, compiled once for each stream.

The general way folds every name to lower case and asks for every attribute that SCIM
knows. This one walks what the peer sent, once. It knows plain resources only: names in
RFC 7643's spelling, values of the type it says. What is anything else goes the general
way (`record_of`), which alone refuses, so both say the same (design note 0030). Pure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Change, Record, Ref
from moatbridge.entities.scim import from_scim
from moatbridge.entities.scim.names import (
    ENTERPRISE,
    ENTERPRISE_TEXTS,
    LISTS,
    NAME,
    TEXTS,
    Kind,
)
from moatbridge.entities.scim.shape import utc_text
from moatbridge_scim.plain import OURS, PlainResources
from moatbridge_scim.schema import completed
from moatbridge_scim.walk import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.adapter import Field
    from moatbridge.changes import Data

_META: Final = frozenset(
    {"resourceType", "created", "lastModified", "version", "location"}
)

_NOWHERE: Final = ""
"""Where a value goes that is only checked."""


class OddError(Exception):
    """A resource or record is not plain; the general way knows what to make of it."""


class RecordMaker:
    """A function from a resource to its record.

    Args:
        fields: The stream's.
        kind: ``Person`` or ``Group``.
        quick: False goes the general way only.
    """

    def __init__(
        self, fields: tuple[Field, ...], kind: Kind, *, quick: bool = True
    ) -> None:
        self._quick = quick
        self._fields = fields
        self._kind = kind
        self._empty = dict.fromkeys(field.name for field in fields)
        self._lists = [field.name for field in fields if field.multi]
        self._extended = "extensions" in self._empty
        self._texts = frozenset(TEXTS[kind]).intersection(self._empty)
        self._readers = dict(_readers(fields, kind))
        known = {*TEXTS[kind], *self._readers, "meta"}
        self._folded = frozenset(name.lower() for name in known)
        self._plain = PlainResources(fields, kind) if quick else None

    def __call__(self, resource: Mapping[str, Any]) -> Record:
        """The record: every field of the stream, and no other.

        Raises:
            ValueError: It has another shape than SCIM says.
        """
        try:
            data, version = self._quickly(resource)
        except OddError:
            return record_of(resource, self._kind, self._fields)
        name = data.get("userName") or data.get("displayName")
        return Record(Ref(identifier(resource), name), data, version)

    def change(self, ident: str, resource: Mapping[str, Any]) -> Change:
        """The same of a resource with that id, as a page of a scan has it."""
        try:
            data, version = self._quickly(resource)
        except OddError:
            read = record_of(resource, self._kind, self._fields)
            return Change(read.ref, "upsert", read.data, read.version)
        name = data.get("userName") or data.get("displayName")
        return Change(Ref(ident, name), "upsert", data, version)

    def changes(self, idents: list[str], resources: list[Any]) -> list[Change] | None:
        """Some resources of a page at once; None unless all are plain.

        Args:
            idents: Their ids; "" for one that has none.
            resources: What the peer sent, of any shape.
        """
        if self._plain is None or not all(idents):
            return None
        try:
            for name in set().union(*resources) - self._plain.names:
                self._pass(name)
            versions = [_plain_version(resource.get("meta")) for resource in resources]
        except OddError:
            return None
        found = self._plain(resources)
        if found is None:
            return None
        return [
            Change(Ref(i, d.get("userName") or d.get("displayName")), "upsert", d, v)
            for i, d, v in zip(idents, found, versions, strict=True)
        ]

    def _quickly(self, resource: Mapping[str, Any]) -> tuple[Data, str | None]:
        if not self._quick:
            raise OddError
        data: Data = self._empty.copy()
        texts, readers = self._texts, self._readers
        for name, value in resource.items():
            if name in texts:
                if value.__class__ is str:
                    data[name] = value
                elif value is not None:
                    raise OddError
            elif name in readers:
                if value is not None:
                    target, read = readers[name]
                    data[target] = read(value)
            elif name not in OURS:
                self._pass(name)
        data.pop(_NOWHERE, None)
        return data, self._finish(data, resource.get("meta"))

    def _pass(self, name: str) -> None:
        """A name we do not read; the general way reads some in other spellings."""
        folded = name.lower()
        if folded in self._folded or (self._extended and folded.startswith("urn:")):
            raise OddError

    def _finish(self, data: dict[str, Any], meta: Any) -> str | None:
        """Fill in empty lists and what ``meta`` tells; the version."""
        for name in self._lists:
            if data[name] is None:
                data[name] = []
        version = _plain_version(meta)
        if meta is not None and "created" in data:
            data["created"] = utc_text(meta.get("created"))
        if meta is not None and "updated" in data:
            data["updated"] = utc_text(meta.get("lastModified"))
        return version


def record_of(
    resource: Mapping[str, Any], kind: Kind, fields: tuple[Field, ...]
) -> Record:
    """The record of any resource, the general way: what `RecordMaker` also says.

    Raises:
        ValueError: It has another shape than SCIM says.
    """
    data = completed(from_scim(resource, kind), fields)
    name = data.get("userName") or data.get("displayName")
    return Record(Ref(identifier(resource), name), data, version_of(resource))


def version_of(resource: Mapping[str, Any]) -> str | None:
    """``meta.version``, if there is one."""
    meta = resource.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    return version if isinstance(version, str) and version else None


def _plain_version(meta: Any) -> str | None:
    """What `version_of` says of a plain ``meta``."""
    if meta is None:
        return None
    if meta.__class__ is not dict or not _META.issuperset(meta):
        raise OddError
    version = meta.get("version")
    return version if version.__class__ is str and version else None


_Reader = tuple[str, "Callable[[Any], Any]"]


def _readers(fields: tuple[Field, ...], kind: Kind) -> list[tuple[str, _Reader]]:
    """Where each attribute goes, and what reads it; nowhere: it is only checked."""
    declared = {field.name: field for field in fields}
    found: list[tuple[str, _Reader]] = [
        (name, (_NOWHERE, _text)) for name in TEXTS[kind] if name not in declared
    ]
    for name, members in LISTS[kind].items():
        read: Callable[..., Any] = odd if name == "members" else _entries
        found.append((name, _reader(declared.get(name), name, members, read)))
    if kind == "Person":
        target = "active" if "active" in declared else _NOWHERE
        found.append(("active", (target, _truth)))
        found.append(("name", _reader(declared.get("name"), "name", NAME, _object)))
        inner = (*ENTERPRISE_TEXTS, "manager")
        field = declared.get("enterprise")
        found.append((ENTERPRISE, _reader(field, "enterprise", inner, _enterprise)))
    return found


def _reader(
    field: Field | None,
    name: str,
    members: tuple[str, ...],
    read: Callable[..., Any],
) -> _Reader:
    known = frozenset(members)
    kept, deep = frozenset[str](), False
    if field is not None:
        inner = frozenset(part.name for part in field.fields)
        kept = known & inner if inner else known
        deep = any(part.fields for part in field.fields)
    parts = _Parts(kept, known)
    target = _NOWHERE if field is None else name
    return target, partial(odd if deep else read, parts)


class _Parts:
    """Reads the parts of an object.

    Args:
        kept: Names that the stream has.
        known: Names that SCIM has; they are checked.
    """

    __slots__ = ("_folded", "_kept", "_known", "_texts")

    def __init__(self, kept: frozenset[str], known: frozenset[str]) -> None:
        self._texts = kept - {"primary"}
        self._kept = kept
        self._known = known
        self._folded = frozenset(name.lower() for name in known)

    def __call__(self, value: Any) -> tuple[dict[str, Any], bool]:
        """The parts that are kept, and whether any that is known is set."""
        if value.__class__ is not dict:
            raise OddError
        if self._texts.issuperset(value):
            for part in value.values():
                if part.__class__ is not str:
                    break
            else:
                return value, bool(value)  # as it came
        return self._chosen(value)

    def _chosen(self, value: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        found, told = {}, False
        for name, part in value.items():
            if self._checked(name, part):
                told = True
                if name in self._kept:
                    found[name] = part
        return found, told

    def _checked(self, name: str, part: Any) -> bool:
        """Whether a known name says something."""
        if name not in self._known:
            if name.lower() in self._folded:
                raise OddError
            return False
        if part is None:
            return False
        if part.__class__ is not (bool if name == "primary" else str):
            raise OddError
        return True


def odd(*_anything: Any) -> Any:
    """What reads a part that is never plain."""
    raise OddError


def _text(value: Any) -> str:
    if value.__class__ is not str:
        raise OddError
    return str(value)


def _truth(value: Any) -> bool:
    if value.__class__ is not bool:
        raise OddError
    return bool(value)


def _entries(parts: _Parts, value: Any) -> list[dict[str, Any]]:
    if value.__class__ is not list:
        raise OddError
    return [parts(entry)[0] for entry in value]


def _object(parts: _Parts, value: Any) -> dict[str, Any] | None:
    found, told = parts(value)
    return found if told else None


def _enterprise(parts: _Parts, value: Any) -> dict[str, Any] | None:
    if value.__class__ is dict and value.get("manager") is not None:
        manager = value["manager"]
        if manager.__class__ is dict:
            manager = manager.get("value")
        if manager.__class__ is not str or not manager:
            raise OddError
        value = value | {"manager": manager}
    return _object(parts, value)
