"""Whether a record fits the fields that its stream declares. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Record, Ref, Reject

if TYPE_CHECKING:
    from moatbridge.adapter.streams import Field, Stream
    from moatbridge.changes import Intent

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "int": (int,),
    "decimal": (Decimal, int),
    "float": (float, int),
    "bool": (bool,),
    "date": (date,),
    "time": (time,),
    "datetime": (datetime,),
    "bytes": (bytes,),
    "reference": (str,),
    "object": (dict,),
}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ANYTHING: Final = frozenset({"json", "any"})


def fitting(area: str, stream: Stream, row: Any, location: str) -> Record | Reject:
    """The record that a row is, reduced to the declared fields.

    Args:
        area: First word of a reject's reason.
        stream: Has one key field.
        row: A mapping, or a `Reject` that goes on as it is (without a location, it is
            given this one).
        location: Where the row lies, for a reject.

    A declared field that the row does not have is listed as incomplete ("says
    nothing"); None is a cleared value. A number that is the key becomes text, unless
    the field is declared as a number.
    """
    if isinstance(row, Reject):
        return row if row.location else row._replace(location=location)
    if not isinstance(row, Mapping):
        return Reject(f"{area}.value", location)
    key = row.get(stream.key[0])
    if (
        isinstance(key, bool)
        or not isinstance(key, (str, int))
        or key == ""
        or not _whole(key)
    ):
        return Reject(f"{area}.key", location, field=stream.key[0])
    ref = Ref(str(key))
    data: dict[str, Any] = {}
    missing: list[str] = []
    for field in stream.fields:
        if field.name not in row:
            missing.append(field.name)
            continue
        value = row[field.name]
        if field.name == stream.key[0] and field.type == "text":
            value = ref.id
        if not fits(field, value):
            return Reject(f"{area}.value", location, ref, field.name)
        data[field.name] = value
    return Record(ref, data, incomplete=tuple(missing))


def emptied(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with None in the place of empty texts."""
    return {name: None if value == "" else value for name, value in row.items()}


def misfit(stream: Stream, intent: Intent) -> str | None:
    """The field for which what an intent would write does not fit; None if all do.

    A field that is unknown or not writable does not fit, nor does a required one that
    a create lacks or an update clears.
    """
    wrong = misfit_why(stream, intent)
    return None if wrong is None else wrong[0]


def misfit_why(stream: Stream, intent: Intent) -> tuple[str, str] | None:
    """The field that `misfit` names, and why.

    Returns:
        Its name and one of ``no-field``, ``read-only``, ``type`` and ``required``.
    """
    record = intent.record or {}
    fields = {field.name: field for field in stream.fields}
    for name, value in record.items():
        field = fields.get(name)
        if field is None:
            return name, "no-field"
        if not field.writable:
            return name, "read-only"
        if not fits(field, value):
            return name, "type"
        if field.required and value is None:
            return name, "required"
    if intent.op == "create":
        for name, field in fields.items():
            if field.required and field.writable and name not in record:
                return name, "required"
    return None


def fits(field: Field, value: Any) -> bool:
    """Whether a value has the field's type; None always does."""
    if value is None or field.type in _ANYTHING:
        return True
    if isinstance(value, list) != field.multi:
        return False
    return all(_is(field, each) for each in (value if field.multi else [value]))


def _is(field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return field.type == "bool"
    if isinstance(value, datetime):
        return field.type == "datetime"
    return isinstance(value, _TYPES[field.type]) and _whole(value)


def _whole(value: Any) -> bool:
    """False for text with lone surrogates: bytes that were no text."""
    if not isinstance(value, str) or value.isascii():
        return True
    return _SURROGATE.search(value) is None
