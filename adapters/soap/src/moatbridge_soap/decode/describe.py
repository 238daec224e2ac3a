"""Typed descriptions of items, for streams and discovery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Field
from moatbridge_soap.decode.paths import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.adapter import FieldType
    from moatbridge_soap.decode.shape import Member, Shape

_TYPES: Final[Mapping[str, FieldType]] = {
    "boolean": "bool",
    "integer": "int",
    "decimal": "decimal",
    "double": "float",
    "dateTime": "datetime",
    "date": "date",
    "time": "time",
    "base64Binary": "bytes",
    "hexBinary": "bytes",
}


def field_types(operation: Any, path: str) -> tuple[Field, ...]:
    """What the items at a message path hold.

    Args:
        operation: zeep's bound operation.
        path: Message path of the item (``ListOrdersResponse/orders/order``).

    Returns:
        One field per member, nested ones as ``object`` with ``fields``; attributes as
        ``@name``, the text of an element with attributes as ``#text``.

    Raises:
        ConfigurationError: ``soap.path``: the answer has no such element.
    """
    member = Message(operation).target(path).member
    return () if member is None else tuple(fields_of_items(member))


def fields_of_items(member: Member) -> Iterator[Field]:
    """The fields of items, with those of what may stand in their place."""
    fields = tuple(fields_of(member.shape))
    yield from fields
    yield from _of_substitutes(member, fields, ())


def fields_of(shape: Shape, above: tuple[Shape, ...] = ()) -> Iterator[Field]:
    """The fields of a record's shape; a type inside itself is not described again."""
    for member in shape.members:
        yield _field(member, (*above, shape))
    if shape.text is not None and not shape.is_leaf:
        yield Field("#text", _type(shape))


def field_paths(member: Member) -> Iterator[str]:
    """Every field path of items, records included."""
    for field in fields_of_items(member):
        yield from _paths(field, "")


def _paths(field: Field, above: str) -> Iterator[str]:
    path = f"{above}{field.name}"
    yield path
    for below in field.fields:
        yield from _paths(below, f"{path}.")


def _field(member: Member, above: tuple[Shape, ...]) -> Field:
    shape = member.shape.array or member.shape
    fields = () if shape in above else tuple(fields_of(shape, above))
    fields += tuple(_of_substitutes(member, fields, above))
    return Field(
        member.name,
        "object" if fields else _type(shape),
        required=member.required,
        multi=member.many or member.shape.array is not None or shape.listed,
        ordered=True,
        unique=member.unique,
        fields=fields,
    )


def _of_substitutes(
    member: Member, fields: tuple[Field, ...], above: tuple[Shape, ...]
) -> Iterator[Field]:
    """What only those hold that may stand in the element's place."""
    known = {field.name for field in fields}
    inside = (*above, member.shape, *(each.shape for each in member.instead))
    for each in member.instead:
        if each.shape in above or each.shape is member.shape:
            continue
        for field in fields_of(each.shape, inside):
            if field.name not in known:
                known.add(field.name)
                yield replace(field, required=False)


def _type(shape: Shape) -> FieldType:
    if shape.is_leaf or (shape.text is not None and not shape.members):
        return "any" if shape.wildcard else _TYPES.get(shape.text or "", "text")
    return "object"
