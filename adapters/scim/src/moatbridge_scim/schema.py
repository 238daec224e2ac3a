"""The peer's own description of its resources -> fields of a stream. Pure.

The peer is described by its ``/Schemas``, never by a static model (platforms 11).
Reading is lenient: what a peer says wrongly about itself makes a field less precise,
not the adapter unusable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moatbridge.adapter import Field
from moatbridge.entities.scim import ENTERPRISE, GROUP, SPELLINGS, USER, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS: Final[dict[str, Kind]] = {USER.lower(): "Person", GROUP.lower(): "Group"}
HIDDEN: Final = frozenset(
    {"password", "x509certificates", "groups", "id", "meta", "schemas", "externalid"}
)
"""Never entity data, or added by hand because no schema lists them (RFC 7643 3.1)."""

Writable: TypeAlias = "dict[str, Writable | None]"

_TYPES: Final[Mapping[str, Any]] = {
    "boolean": "bool",
    "integer": "int",
    "complex": "object",
}
_SPELLING: Final = {name.lower(): name for name in SPELLINGS}


def fields_of(
    schema: Mapping[str, Any],
    extensions: Iterable[tuple[str, Mapping[str, Any]]],
    people: str,
) -> tuple[Field, ...]:
    """The fields of one resource type, entity-shaped.

    Args:
        schema: The core schema, as the peer sent it.
        extensions: URN and schema of each extension of the resource type.
        people: Name of the stream that members and managers refer to.
    """
    core = [
        field
        for field in _fields(schema, people, ours=True)
        if field.name.lower() not in HIDDEN
    ]
    external = Field("externalId", unique=False)
    times = [Field(name, writable=False) for name in ("created", "updated")]
    return (*core, external, *_extension_fields(extensions, people), *times)


def required_names(fields: Iterable[Field], prefix: str = "") -> list[str]:
    """Dotted names of everything a create must hold."""
    found = []
    for field in fields:
        if field.required:
            found.append(prefix + field.name)
            found += required_names(field.fields, f"{prefix}{field.name}.")
    return found


def completed(entity: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    """A record with every declared field and no other: None or [] says "not set"."""
    return {
        field.name: _declared(entity[field.name], field.fields)
        if field.name in entity
        else ([] if field.multi else None)
        for field in fields
    }


def _declared(value: Any, fields: tuple[Field, ...]) -> Any:
    if not fields:
        return value
    if isinstance(value, list):
        return [_declared(entry, fields) for entry in value]
    inner = {field.name: field.fields for field in fields}
    return {
        name: _declared(item, inner[name])
        for name, item in value.items()
        if name in inner
    }


def writable(fields: Iterable[Field]) -> Writable:
    """Names that the peer lets us write, each with those of its parts.

    None: the peer lists no parts, so all are written.
    """
    return {
        field.name: writable(field.fields) if field.fields else None
        for field in fields
        if field.writable
    }


def trimmed(record: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    """The record without what the peer does not hold or does not let us write."""
    return trimmed_to(writable(fields), record)


def trimmed_to(known: Writable, record: Mapping[str, Any]) -> dict[str, Any]:
    """`trimmed`, for names that were looked up before."""
    return {
        name: value if (inner := known[name]) is None else _trimmed_value(value, inner)
        for name, value in record.items()
        if name in known
    }


def _trimmed_value(value: Any, known: Writable) -> Any:
    if isinstance(value, dict):
        return trimmed_to(known, value)
    if isinstance(value, list):
        return [_trimmed_value(entry, known) for entry in value]
    return value


def _fields(schema: Mapping[str, Any], people: str, *, ours: bool) -> list[Field]:
    """Fields of a schema's attributes; ``ours`` keeps only what entities can hold."""
    attributes = schema.get("attributes")
    if not isinstance(attributes, list):
        return []
    named = [
        attribute
        for attribute in attributes
        if isinstance(attribute, dict) and isinstance(attribute.get("name"), str)
    ]
    return [
        _field(attribute, people, ours=ours)
        for attribute in named
        if not ours or attribute["name"].lower() in _SPELLING
    ]


def _field(attribute: Mapping[str, Any], people: str, *, ours: bool) -> Field:
    name = attribute["name"]
    inner = {"attributes": attribute.get("subAttributes")}
    field = Field(
        _SPELLING.get(name.lower(), name) if ours else name,
        type=_TYPES.get(str(attribute.get("type", "")).lower(), "text"),
        required=attribute.get("required") is True,
        multi=attribute.get("multiValued") is True,
        writable=attribute.get("mutability") not in {"readOnly", "writeOnly"},
        unique=attribute.get("uniqueness") in {"server", "global"},
        fields=tuple(_fields(inner, people, ours=ours)),
    )
    return _referring(field, people)


def _referring(field: Field, people: str) -> Field:
    """Members and managers refer to people; a manager is plain text to entities."""
    if field.name == "members":
        inner = tuple(
            replace(part, type="reference", to=people) if part.name == "value" else part
            for part in field.fields
        )
        return replace(field, fields=inner)
    if field.name == "manager":
        return replace(field, type="reference", to=people, fields=())
    return field


def _extension_fields(
    extensions: Iterable[tuple[str, Mapping[str, Any]]], people: str
) -> list[Field]:
    found, others = [], []
    for urn, schema in extensions:
        standard = urn.lower() == ENTERPRISE.lower()
        inner = tuple(_fields(schema, people, ours=standard))
        if standard:
            found.append(Field("enterprise", type="object", fields=inner))
        elif urn.lower().startswith("urn:"):
            others.append(Field(urn.lower(), type="object", fields=inner))
    if others:
        found.append(Field("extensions", type="object", fields=tuple(others)))
    return found
