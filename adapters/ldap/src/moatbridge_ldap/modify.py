"""From an intent to LDAP operations: minimal, and idempotent by construction. Pure.

An update touches only what the intent owns and what differs from the image it starts
from: scalars are replaced, lists travel as deltas, so a concurrent change of another
value survives. Names change by modifyDN, first, and the old RDN goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge_ldap import dn as names
from moatbridge_ldap.shape import BadValue
from moatbridge_ldap.values import from_text
from moatbridge_ldap.wire.port import (
    ADD,
    DELETE,
    REPLACE,
    AddEntry,
    ModifyItem,
    RenameEntry,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from moatbridge.changes import Data
    from moatbridge_ldap.shape import Column, Shape
    from moatbridge_ldap.wire.port import Control

CHUNK: Final = 500

Raw = dict[str, list[bytes]]


def encoded(shape: Shape, record: Mapping[str, Any], owned: Sequence[str]) -> Raw:
    """The record's writable fields as raw values; a cleared field has none.

    Args:
        shape: Of the stream.
        record: Field -> value; absent fields are left alone.
        owned: Fields that may be written; empty means all of the record's.

    Raises:
        BadValue: A field that does not exist, is read-only, or holds a value of the
            wrong type.
    """
    mine = {path.partition("[")[0].partition(".")[0].lower() for path in owned}
    raw: Raw = {}
    for name, value in record.items():
        if mine and name.lower() not in mine:
            continue
        column = shape.column(name)
        if column is None or not column.writable:
            raise BadValue(name)
        raw[column.name] = _values(column, value)
    return raw


def before_image(shape: Shape, before: Data, wanted: Raw) -> Raw:
    """A record that was read, as raw values: what an update to ``wanted`` looks at."""
    create = shape.config.create
    named = (*wanted, *(create.fields if create is not None else ()))
    raw: Raw = {}
    for name in named:
        column = shape.column(name)
        if column is None or column.name in raw:
            continue
        key = column.name if column.name in before else _spelled(before, column.name)
        if key is not None:
            raw[column.name] = _values(column, before[key])
    return raw


def new_entry(
    shape: Shape, wanted: Raw, controls: tuple[Control, ...] = ()
) -> AddEntry:
    """The add for a new entry, named by the stream's template.

    Raises:
        BadValue: A field of the template is missing, or has several values.
    """
    create = shape.config.create
    if create is None:
        raise BadValue("create")
    attributes = {name: values for name, values in wanted.items() if values}
    for column in _groups(shape, wanted):
        if not wanted[column.name] and shape.placeholders:
            attributes[column.name] = [_placeholder(shape)]
    classes = [name.encode() for name in create.object_classes]
    dn = create.name(_texts(create.fields, wanted))
    return AddEntry(dn, {"objectClass": classes, **attributes}, controls)


def rename(shape: Shape, dn: str, old: Raw, wanted: Raw) -> RenameEntry | None:
    """The modifyDN that an update needs, if its fields name the entry anew.

    Raises:
        BadValue: The naming attribute would be cleared.
    """
    current = names.first(dn)
    if not _places_anew(shape, wanted) and not _names(shape, current, wanted):
        return None
    rdn = tuple(_renamed(shape, pair, wanted) for pair in current)
    above = _moved(shape, old, wanted)
    if rdn == current and above is None:
        return None
    return RenameEntry(dn, names.build((rdn,)), above)


def after_rename(dn: str, renamed: RenameEntry) -> str:
    """The entry's DN when the modifyDN is done."""
    above = renamed.parent
    if above is None:
        above = names.build(names.parent(names.parse(dn)))
    return f"{renamed.rdn},{above}" if above else renamed.rdn


def after_rdn(dn: str, renamed: RenameEntry, old: Raw) -> Raw:
    """The raw values when the modifyDN is done: old naming values gone, new there."""
    image = {name: list(values) for name, values in old.items()}
    spelled = {name.lower(): name for name in image}
    gone, came = names.parse(dn)[0], names.parse(renamed.rdn)[0]
    for attribute, value in gone:
        name = spelled.get(attribute.lower())
        if name is not None:
            folded = value.casefold().encode()
            image[name] = [
                raw for raw in image[name] if raw.decode().casefold().encode() != folded
            ]
    for attribute, value in came:
        name = spelled.get(attribute.lower())
        if name is not None and value.encode() not in image[name]:
            image[name].append(value.encode())
    return image


def items(shape: Shape, old: Raw, wanted: Raw, *, strict: bool) -> list[ModifyItem]:
    """The changes from ``old`` to ``wanted``; an attribute not in ``wanted`` stays.

    Args:
        shape: Of the stream.
        old: Raw values now; a missing attribute has none.
        wanted: Raw values afterwards.
        strict: Write scalars as delete-old and add-new, so that the server refuses
            when the old value is another by now (spec ldap 45).
    """
    found: list[ModifyItem] = []
    for name, new in wanted.items():
        column = shape.column(name)
        if column is None:
            continue
        given = old.get(name, [])
        target = new
        if column in shape.members and shape.placeholders:
            stand_in = [_placeholder(shape)]
            given, target = given or stand_in, new or stand_in
        found += _attribute(column, given, target, strict=strict)
    return found


def _attribute(
    column: Column, old: list[bytes], new: list[bytes], *, strict: bool
) -> Iterator[ModifyItem]:
    if old == new or (len(old) == len(new) > 1 and sorted(old) == sorted(new)):
        return
    whole = not column.multi or column.codec.type == "bytes"
    if (whole and not strict) or (not new and not strict):
        yield ModifyItem(REPLACE, column.name, new)
        return
    gone, came = _difference(column, old, new)
    for action, values in ((DELETE, gone), (ADD, came)):
        for start in range(0, len(values), CHUNK):
            yield ModifyItem(action, column.name, values[start : start + CHUNK])


def _difference(
    column: Column, old: list[bytes], new: list[bytes]
) -> tuple[list[bytes], list[bytes]]:
    if len(old) == len(new) == 1 and column.to is None:
        return old, new  # they differ
    before, after = set(old), set(new)
    gone = [raw for raw in old if raw not in after]
    came = [raw for raw in new if raw not in before]
    if column.to is None or not (gone and came):
        return gone, came
    # Names are parsed only where the spelling differs: groups are large.
    left = {_name_key(raw) for raw in gone}
    right = {_name_key(raw) for raw in came}
    return (
        [raw for raw in gone if _name_key(raw) not in right],
        [raw for raw in came if _name_key(raw) not in left],
    )


def _name_key(raw: bytes) -> Hashable:
    try:
        return names.normal(raw.decode())
    except Exception:  # noqa: BLE001 - not a name: compare the bytes
        return raw


def _values(column: Column, value: Any) -> list[bytes]:
    only = value[0] if type(value) is list and len(value) == 1 else value
    if type(only) is str and only and column.codec.encode is from_text:
        try:  # nearly every value
            return [from_text(only)]
        except ValueError:
            raise BadValue(column.name) from None
    listed = value if isinstance(value, list | tuple) else [value]
    if not column.multi and len(listed) > 1:
        raise BadValue(column.name)
    try:
        raw = [column.codec.encode(item) for item in listed if item is not None]
    except (ValueError, TypeError, AttributeError):
        raise BadValue(column.name) from None
    return list(dict.fromkeys(item for item in raw if item or column.multi))


def _spelled(record: Data, name: str) -> str | None:
    """How the record spells this field."""
    folded = name.lower()
    return next((other for other in record if other.lower() == folded), None)


def _texts(fields: Sequence[str], wanted: Raw) -> dict[str, str]:
    """One text per template field."""
    by_name = {name.lower(): values for name, values in wanted.items()}
    texts = {}
    for field in fields:
        values = by_name.get(field.lower(), [])
        if len(values) != 1 or not values[0]:
            raise BadValue(field)
        texts[field.lower()] = values[0].decode()
    return texts


def _renamed(shape: Shape, pair: names.Pair, wanted: Raw) -> names.Pair:
    attribute, value = pair
    column = shape.column(attribute)
    if column is None or column.name not in wanted:
        return pair
    new = [raw.decode() for raw in wanted[column.name]]
    if value.casefold() in {text.casefold() for text in new}:
        return pair
    if not new:
        raise BadValue(column.name)
    return attribute, min(new)


def _moved(shape: Shape, old: Raw, wanted: Raw) -> str | None:
    """The new parent, if the template's upper part now gives another one."""
    create = shape.config.create
    if create is None or not _places_anew(shape, wanted):
        return None
    try:
        was = create.name(_texts(create.fields, old))
        becomes = create.name(_texts(create.fields, {**old, **wanted}))
    except BadValue:
        return None
    above = names.parent(names.parse(becomes))
    if names.normal(names.parent(names.parse(was))) == names.normal(above):
        return None
    return names.build(above)


def _places_anew(shape: Shape, wanted: Raw) -> bool:
    """Whether the update writes a field of the stream's template for names."""
    return not shape.naming.isdisjoint(map(str.lower, wanted))


def _names(shape: Shape, rdn: names.Rdn, wanted: Raw) -> bool:
    """Whether the update writes an attribute that the entry is named by."""
    for attribute, _ in rdn:
        column = shape.column(attribute)
        if column is not None and column.name in wanted:
            return True
    return False


def empties(shape: Shape, wanted: Raw) -> bool:
    """Whether a group would be left without members, and without a stand-in."""
    if shape.placeholders:
        return False
    return any(not wanted[column.name] for column in _groups(shape, wanted))


def _groups(shape: Shape, wanted: Raw) -> list[Column]:
    return [column for column in shape.members if column.name in wanted]


def _placeholder(shape: Shape) -> bytes:
    return (shape.config.empty_group_member or "").encode()
