"""Keys: canonical text for refs, and an exact JSON form for cursors. Pure.

Canonical text is injective over the values a column's kind can hold, apart from what
the database itself calls equal (trailing blanks of a padded CHAR).
"""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from moatbridge.errors import CursorTooOld
from moatbridge_sql._values import Undecodable, ValueFault, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Key, Ref
    from moatbridge_sql._database import RawKey
    from moatbridge_sql._schema import Column


def canonical(column: Column, value: Any) -> str:
    """One key value as text: digits, trimmed CHAR, lower-case uuid, ISO date, hex.

    Raises:
        ValueFault: NULL, or a value the driver could not decode.
    """
    if value is None or isinstance(value, Undecodable):
        raise ValueFault("key", column.name)
    if isinstance(value, bytes | bytearray | memoryview):
        return _canonical_bytes(column, bytes(value))
    if column.kind in ("int", "decimal") or isinstance(value, Decimal):
        return _digits(column, value)
    if column.kind == "uuid":
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    return text.rstrip(" ") if column.padded else text


def _canonical_bytes(column: Column, value: bytes) -> str:
    if column.kind == "uuid" and len(value) == 16:  # noqa: PLR2004 - 128 bits
        return str(UUID(bytes=value))
    return value.hex()


def _digits(column: Column, value: Any) -> str:
    if isinstance(value, int):
        return str(int(value))
    try:
        found = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise ValueFault("key", column.name) from None
    if not found.is_finite():
        raise ValueFault("key", column.name)
    if found == found.to_integral_value():
        return str(int(found))
    return format(found.normalize(), "f")


def ref_id(columns: Sequence[Column], key: RawKey) -> Key:
    """The ref's id for a key's values; a tuple for compound keys."""
    if len(columns) == 1:
        return canonical(columns[0], key[0])
    return tuple(map(canonical, columns, key))


def raw_key(columns: Sequence[Column], ref: Ref) -> RawKey | None:
    """Values to ask the database for; None if no row can have this id."""
    parts = (ref.id,) if isinstance(ref.id, str) else ref.id
    if len(parts) != len(columns):
        return None
    try:
        return tuple(map(_parse, columns, parts))
    except (ValueError, InvalidOperation, OverflowError):
        return None


def _parse(column: Column, text: str) -> Any:
    if "\0" in text or _surrogate(text):
        raise ValueError
    if column.kind == "int":
        return _integer(column, text)
    parse = _PARSERS.get(column.kind)
    return parse(text) if parse else text


def _finite(text: str) -> Decimal:
    found = Decimal(text)
    if not found.is_finite():
        raise ValueError
    return found


def _boolean(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError
    return text == "True"


_PARSERS: Final[dict[str, Any]] = {
    "decimal": _finite,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
    "zoned": datetime.fromisoformat,
    "uuid": lambda text: str(UUID(text)),
    "bytes": bytes.fromhex,
    "bool": _boolean,
    "float": float,
}


def _integer(column: Column, text: str) -> int:
    found = int(text)
    if str(found) != text or (column.bits and abs(found) >> column.bits):
        raise ValueError
    return found


def _surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def alike(column: Column, text: str) -> str:
    """Key text under which the database would find the row (case, accents)."""
    if not column.folded:
        return text
    plain = unicodedata.normalize("NFKD", text.rstrip(" "))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def alike_id(columns: Sequence[Column], ref: Ref) -> str:
    """`alike` over a whole ref; empty if it cannot be a key of these columns."""
    parts = (ref.id,) if isinstance(ref.id, str) else ref.id
    return "\0".join(map(alike, columns, parts)) if len(parts) == len(columns) else ""


# --- cursors ---------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """A driver's key value as JSON; `from_json` gives it back exactly."""
    if value is None or isinstance(value, bool | int | str | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"x": bytes(value).hex()}
    for kind, tag in _TAGS:  # a date-time is a date as well: order matters
        if isinstance(value, kind):
            shown = value.isoformat() if hasattr(value, "isoformat") else str(value)
            return {tag: shown}
    return text_of(value)


_TAGS: Final[tuple[tuple[type[Any], str], ...]] = (
    (Decimal, "n"),
    (datetime, "t"),
    (date, "d"),
    (time, "h"),
    (UUID, "u"),
)
_READERS: Final[dict[str, Any]] = {
    "n": Decimal,
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "h": time.fromisoformat,
    "u": UUID,
    "x": bytes.fromhex,
}


def from_json(value: Any) -> Any:
    """The driver's value behind `to_json`.

    Raises:
        CursorTooOld: Nothing that `to_json` ever made.
    """
    if not isinstance(value, dict):
        return value
    try:
        ((tag, text),) = value.items()
        return _READERS[tag](text)
    except (ValueError, KeyError, TypeError, InvalidOperation):
        raise CursorTooOld(
            "The position does not come from this adapter.",
            code="sql.cursor",
            reason="format",
        ) from None
