"""Records as the JSON that a create sends, compiled once for each stream.

The general way walks the peer's whole schema and every name that SCIM knows, twice,
for each record. This one walks the record, once. It knows the plain shapes only: what
is anything else goes the general way (`trimmed`, `to_scim`), which alone refuses, so
both say the same (design note 0030). Pure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.scim import to_scim
from moatbridge.entities.scim.names import (
    DESCRIPTIVE,
    ENTERPRISE,
    LISTS,
    SCHEMA_OF,
    TEXTS,
    TO_MEMBER_TYPE,
    Kind,
)
from moatbridge.entities.scim.shape import manager_to_scim
from moatbridge_scim.resources import OddError, odd
from moatbridge_scim.schema import trimmed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.adapter import Field

Body = dict[str, Any]
_Names = frozenset[str] | None
_NESTED: Final = (dict, list)


class BodyMaker:
    """A function from a record to the resource that a create sends.

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
        self._schema = SCHEMA_OF[kind]
        known = {field.name: field for field in fields if field.writable}
        texts = {*TEXTS[kind], "active"} if kind == "Person" else {*TEXTS[kind]}
        self._texts = frozenset(texts.intersection(known))
        self._makers = {
            name: maker
            for name, field in known.items()
            if (maker := _maker(field, kind)) is not None
        }

    def __call__(self, record: Mapping[str, Any]) -> Body:
        """The resource.

        Raises:
            ValueError: A member has the wrong shape, as `to_scim` says.
        """
        try:
            return self._quickly(record)
        except OddError:
            return to_scim(trimmed(record, self._fields), self._kind)

    def _quickly(self, record: Mapping[str, Any]) -> Body:
        if not self._quick:
            raise OddError
        found: Body = {"schemas": [self._schema]}
        texts, makers = self._texts, self._makers
        for name, value in record.items():
            if value is None:
                continue
            if name in texts:
                if value.__class__ in _NESTED:
                    raise OddError
                found[name] = value
            elif name in makers and (made := makers[name](value)):
                found[name] = made
        if "enterprise" in found:
            found[ENTERPRISE] = found.pop("enterprise")
            found["schemas"].append(ENTERPRISE)
        return found


def _maker(field: Field, kind: Kind) -> Callable[[Any], Any] | None:
    """What makes a field's value; None for a text, and for what no body holds."""
    names = frozenset(part.name for part in field.fields if part.writable)
    within = names if field.fields else None  # the peer does not list the parts
    deep = any(part.fields for part in field.fields)
    if field.name == "extensions":
        return odd
    if field.name in LISTS[kind]:
        make: Callable[..., Any] = _members if field.name == "members" else _entries
    elif kind == "Person" and field.name == "name":
        make = _object
    elif kind == "Person" and field.name == "enterprise":
        make = _enterprise
    else:
        return None
    return odd if deep else partial(make, within)


def _object(names: _Names, value: Any) -> Body:
    if value.__class__ is not dict:
        raise OddError
    if None not in value.values() and (names is None or names.issuperset(value)):
        return value
    return {
        name: part
        for name, part in value.items()
        if part is not None and (names is None or name in names)
    }


def _enterprise(names: _Names, value: Any) -> Body:
    made = _object(names, value)
    if "manager" in made:
        return made | {"manager": manager_to_scim(made["manager"])}
    return made


def _entries(names: _Names, value: Any) -> list[Body]:
    """The entries of a list, without cleared ones."""
    if value.__class__ is not list:
        raise OddError
    made = []
    for entry in value:
        if names is None or entry.__class__ is not dict or None in entry.values():
            entry = _object(names, entry)  # noqa: PLW2901 - without what is cleared
        elif not names.issuperset(entry):
            entry = _object(names, entry)  # noqa: PLW2901 - without what is unknown
        if not DESCRIPTIVE.issuperset(entry):
            made.append(entry)
    return made


def _members(names: _Names, value: Any) -> list[Body]:
    return [
        entry | {"type": TO_MEMBER_TYPE.get(entry["type"], entry["type"])}
        if "type" in entry
        else entry
        for entry in _entries(names, value)
    ]
