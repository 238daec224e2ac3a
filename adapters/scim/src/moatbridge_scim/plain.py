"""What plain resources look like, as a schema that compiled code checks and copies.

Tried before `resources` walks a resource by itself (design note 0030). It takes
resources in RFC 7643's spelling, with the parts that the stream has and no null among
them, and gives exactly what the walk would give. All else it leaves alone. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError

from moatbridge.entities.scim.names import (
    ENTERPRISE,
    ENTERPRISE_TEXTS,
    LISTS,
    NAME,
    TEXTS,
    Kind,
)
from moatbridge.entities.scim.shape import utc_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Field
    from moatbridge.changes import Data

Schema: TypeAlias = dict[str, Any]
"""A schema of pydantic's core, which is plain data."""

OURS: Final = frozenset({"id", "schemas", "meta"})
"""What every resource has, and no record."""

_NEVER: Final[list[str | int]] = ["schemas", 1 << 40]
"""A place that no resource has, for fields that no attribute fills: any name could be
that of an attribute, but no list is so long."""

_TEXT: Final[Schema] = {"type": "str", "strict": True}
_TRUTH: Final[Schema] = {"type": "bool", "strict": True}

_MOMENT: Final = (
    r"^[1-9][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{0,5}[1-9])?Z$"
)
"""Moments that stand there as entities write them; `utc_text` looks at the others."""

_TIMES: Final = {"created": "created", "updated": "lastModified"}


class PlainResources:
    """Reads plain resources of one stream.

    Args:
        fields: The stream's.
        kind: ``Person`` or ``Group``.
    """

    def __init__(self, fields: tuple[Field, ...], kind: Kind) -> None:
        read = {field.name: _value(field, kind) for field in fields}
        members = {field.name: _member(field, read[field.name]) for field in fields}
        record = {
            "type": "typed-dict",
            "fields": members,
            "strict": True,
            "extra_behavior": "ignore",
        }
        page: Any = _list(record) | {"fail_fast": True}
        found = Annotated[Any, GetPydanticSchema(lambda _type, _handler: page)]
        self._read = TypeAdapter(found).validate_python
        self._objects = [
            name
            for name, found in read.items()
            if found is not None and found["type"] == "typed-dict"
        ]
        names = {name for name, found in read.items() if found is not None}
        if "enterprise" in names:
            names.add(ENTERPRISE)
        self.names = frozenset(names - {*_TIMES, "enterprise"}) | OURS
        """Attributes that are read here; see `__call__`."""

    def __call__(self, resources: list[Any]) -> Sequence[Data] | None:
        """The data of their records; None if one of them is not plain.

        Whoever calls has looked at their names and at ``meta``: names outside `names`
        are left out here, whatever they may mean to the general way.
        """
        try:
            found: list[Data] = self._read(resources)
        except ValidationError:
            return None
        for name in self._objects:
            for data in found:
                if not data[name]:
                    data[name] = None
        return found


def _member(field: Field, value: Schema | None) -> Schema:
    """A field of a record; one that nothing fills is as empty as a missing one."""
    source: list[str | int] = [field.name] if value is not None else _NEVER
    if value is None:
        value = {"type": "none"}
    elif field.name in _TIMES:
        source = ["meta", _TIMES[field.name]]
    elif field.name == "enterprise":
        source = [ENTERPRISE]
    if field.multi:
        member = {"type": "default", "schema": value, "default_factory": list}
    else:
        value = {"type": "nullable", "schema": value}
        member = {"type": "default", "schema": value, "default": None}
    alias = [source]
    return {"type": "typed-dict-field", "schema": member, "validation_alias": alias}


def _list(items: Schema) -> Schema:
    return {"type": "list", "items_schema": items, "strict": True}


def _value(field: Field, kind: Kind) -> Schema | None:
    """What a plain value of a field is; None if there is no such value."""
    inner = {part.name for part in field.fields}
    if any(part.fields for part in field.fields) or field.name == "members":
        return None
    if field.name in TEXTS[kind]:
        return _TEXT
    if field.name in _TIMES:
        return _moment()
    if field.name in LISTS[kind]:
        return _list(_parts(LISTS[kind][field.name], inner))
    return _of_person(field.name, inner) if kind == "Person" else None


def _of_person(name: str, inner: set[str]) -> Schema | None:
    objects = {"name": NAME, "enterprise": (*ENTERPRISE_TEXTS, "manager")}
    if name in objects:
        return _parts(objects[name], inner)
    return _TRUTH if name == "active" else None


def _parts(known: tuple[str, ...], inner: set[str]) -> Schema:
    kinds = {"primary": _TRUTH, "manager": _manager()}
    fields = {
        name: {
            "type": "typed-dict-field",
            "schema": kinds.get(name, _TEXT),
            "required": False,
        }
        for name in known
        if name in inner or not inner
    }
    return {
        "type": "typed-dict",
        "fields": fields,
        "strict": True,
        "extra_behavior": "forbid",
    }


def _moment() -> Schema:
    written = _TEXT | {"pattern": _MOMENT}
    call = {"type": "no-info", "function": utc_text}
    other = {"type": "function-plain", "function": call}
    return {"type": "union", "choices": [written, other], "mode": "left_to_right"}


def _manager() -> Schema:
    call = {"type": "no-info", "function": _named}
    name = _TEXT | {"min_length": 1}
    return {"type": "function-before", "function": call, "schema": name}


def _named(manager: Any) -> Any:
    """The id in a manager, which is an object on the wire (some peers send it bare)."""
    return manager.get("value") if manager.__class__ is dict else manager
