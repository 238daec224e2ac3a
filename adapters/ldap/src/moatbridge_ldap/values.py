"""Attribute values: bytes on the wire, plain Python values in records. Pure.

Every decoder raises `ValueError` for what it cannot read, without quoting it; the
record is then rejected, never guessed. Each encoder is the decoder's inverse, and
raises `TypeError` for a value of another type.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import FieldType

Kind: TypeAlias = Literal[
    "text", "bytes", "int", "bool", "datetime", "reference", "guid", "sid", "filetime"
]

_TIME: Final = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,9}))?(Z|[+-]\d\d(?:\d\d)?)",
    re.ASCII,
)
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_LONGEST_INTEGER: Final = 64
_FILETIME_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER: Final = frozenset({0, 0x7FFFFFFFFFFFFFFF})
_SID_PARTS: Final = 15


class Codec(NamedTuple):
    """How one kind of value is read and written, and its type in `Field`."""

    type: FieldType
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def text(raw: bytes) -> str:
    """Strict UTF-8 without NUL."""
    value = raw.decode()
    if "\0" in value:
        raise ValueError("text holds a NUL character")
    return value


def from_text(value: Any) -> bytes:
    """Text as UTF-8; other scalars are refused."""
    if not isinstance(value, str):
        raise TypeError("is not text")
    if "\0" in value:
        raise ValueError("holds a NUL character")
    return value.encode()


def integer(raw: bytes) -> int:
    """RFC 4517 3.3.16."""
    found = raw.decode("ascii")
    if len(found) > _LONGEST_INTEGER or not _INTEGER.fullmatch(found):
        raise ValueError("is not an integer")
    return int(found)


def from_integer(value: Any) -> bytes:
    """RFC 4517 3.3.16."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("is not an integer")
    return b"%d" % value


def boolean(raw: bytes) -> bool:
    """RFC 4517 3.3.3: ``TRUE`` or ``FALSE``."""
    if raw not in {b"TRUE", b"FALSE"}:
        raise ValueError("is neither TRUE nor FALSE")
    return raw == b"TRUE"


def from_boolean(value: Any) -> bytes:
    """RFC 4517 3.3.3."""
    if not isinstance(value, bool):
        raise TypeError("is not a boolean")
    return b"TRUE" if value else b"FALSE"


def generalized_time(raw: bytes) -> datetime:
    """RFC 4517 3.3.13, as UTC; a value without a zone is ambiguous and refused.

    The fraction belongs to the last unit written; a leap second becomes the next.
    """
    found = _TIME.fullmatch(raw.decode("ascii"))
    if not found:
        raise ValueError("is not a GeneralizedTime with a zone")
    year, month, day, hour, minute, second = (
        int(part or 0) for part in found.groups()[:6]
    )
    leap = second == 60  # noqa: PLR2004 - leap second
    moment = datetime(
        year, month, day, hour, minute, 59 if leap else second, tzinfo=_zone(found[8])
    )
    if found[7]:
        unit = 1 if found[6] else 60 if found[5] else 3600
        micros = int(found[7]) * unit * 1_000_000 // 10 ** len(found[7])
        moment += timedelta(microseconds=micros)
    try:
        return (moment + timedelta(seconds=leap)).astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


def from_datetime(value: Any) -> bytes:
    """A GeneralizedTime in UTC; the moment must carry its zone."""
    moment = _aware(value).astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    stamp = (
        f"{moment.year:04d}{moment.month:02d}{moment.day:02d}"
        f"{moment.hour:02d}{moment.minute:02d}{moment.second:02d}"
    )
    return f"{stamp}{fraction}Z".encode()


def guid(raw: bytes) -> str:
    """A GUID in Microsoft's byte order, as lower-case text."""
    return str(uuid.UUID(bytes_le=raw))


def from_guid(value: Any) -> bytes:
    """Sixteen bytes in Microsoft's order."""
    return uuid.UUID(str(value)).bytes_le


def sid(raw: bytes) -> str:
    """A security identifier as ``S-1-...`` ([MS-DTYP] 2.4.2)."""
    if len(raw) < 8 or raw[0] != 1 or len(raw) != 8 + 4 * raw[1]:  # noqa: PLR2004
        raise ValueError("is not a security identifier")
    parts = [
        int.from_bytes(raw[8 + 4 * index : 12 + 4 * index], "little")
        for index in range(raw[1])
    ]
    return "-".join(map(str, ["S-1", int.from_bytes(raw[2:8], "big"), *parts]))


def from_sid(value: Any) -> bytes:
    """The bytes of ``S-1-authority-sub...``."""
    if not re.fullmatch(r"S-1(-\d{1,15}){1,16}", str(value), re.ASCII):
        raise ValueError("is not a security identifier")
    _, _, authority, *parts = str(value).split("-")
    if len(parts) > _SID_PARTS:
        raise ValueError("has too many parts")
    try:
        subs = b"".join(int(part).to_bytes(4, "little") for part in parts)
        return bytes((1, len(parts))) + int(authority).to_bytes(6, "big") + subs
    except OverflowError:
        raise ValueError("has a part that is too large") from None


def filetime(raw: bytes) -> datetime | None:
    """Units of 100 ns since 1601, UTC; the two "never" values are None."""
    ticks = integer(raw)
    if ticks in _NEVER:
        return None
    try:
        return _FILETIME_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


def from_filetime(value: Any) -> bytes:
    """Units of 100 ns since 1601."""
    since = _aware(value) - _FILETIME_EPOCH
    return b"%d" % (since // timedelta(microseconds=1) * 10)


def from_bytes(value: Any) -> bytes:
    """Bytes as they are."""
    if not isinstance(value, bytes | bytearray):
        raise TypeError("is not bytes")
    return bytes(value)


def _zone(written: str) -> timezone:
    if written == "Z":
        return UTC
    offset = timedelta(hours=int(written[1:3]), minutes=int(written[3:] or 0))
    return timezone(-offset if written[0] == "-" else offset)


def _aware(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("is not a moment with a zone")
    return value


CODECS: Final[dict[str, Codec]] = {
    "text": Codec("text", text, from_text),
    "reference": Codec("reference", text, from_text),
    "bytes": Codec("bytes", bytes, from_bytes),
    "int": Codec("int", integer, from_integer),
    "bool": Codec("bool", boolean, from_boolean),
    "datetime": Codec("datetime", generalized_time, from_datetime),
    "guid": Codec("text", guid, from_guid),
    "sid": Codec("text", sid, from_sid),
    "filetime": Codec("datetime", filetime, from_filetime),
}
