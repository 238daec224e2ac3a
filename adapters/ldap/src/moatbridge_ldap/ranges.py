"""Ranged retrieval: long attributes that come in pieces ([MS-ADTS] 3.1.1.3.1.3.3).

``member;range=0-1499`` in an answer means "there is more". The rest is read from the
entry itself until a range ends in ``*``. A list with a hole is never returned; if the
entry changed meanwhile, the attribute is read again, three times at most.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.changes import Reject
from moatbridge_ldap.directory import read_entry
from moatbridge_ldap.wire.errors import protocol
from moatbridge_ldap.wire.messages import MAX_VALUES

if TYPE_CHECKING:
    from moatbridge_ldap.shape import Shape
    from moatbridge_ldap.wire.port import Entry, Port

ATTEMPTS: Final = 3
MAX_BYTES: Final = 256 << 20
_INTERVAL: Final = re.compile(r"(\d{1,9})-(\d{1,9}|\*)", re.ASCII)
_STAMPS: Final = ("uSNChanged", "entryCSN", "modifyTimestamp")


class Piece(NamedTuple):
    """One piece: index of its first value, of its last (None: the end), values."""

    low: int
    high: int | None
    values: list[bytes]


def completed(port: Port, shape: Shape, entry: Entry) -> Entry | Reject:
    """The entry with all ranged attributes whole, or a reject that says why not.

    Raises:
        NotApplied: ``ldap.protocol``: pieces that do not fit together.
    """
    ranged = [key for key in entry.attributes if ";range=" in key]
    if not ranged:
        return entry
    attributes = dict(entry.attributes)
    for key in ranged:
        name = key.partition(";range=")[0]
        del attributes[key]
        whole = _read(port, entry.dn, name)
        if whole is None:
            place = f"entry of stream {shape.stream}"
            reason = "ldap.changed-while-reading"
            return Reject(reason, place, shape.ref(entry), name)
        attributes[name] = whole
    return entry._replace(attributes=attributes)


def piece(name: str, entry: Entry) -> Piece:
    """The piece of ``name`` in an answer.

    Raises:
        NotApplied: ``ldap.protocol``: none, or one whose interval is impossible.
    """
    found = [key for key in entry.attributes if key.startswith(f"{name};range=")]
    if not found:
        return Piece(0, None, entry.attributes.get(name, []))
    interval = _INTERVAL.fullmatch(found[0].partition(";range=")[2])
    if len(found) > 1 or interval is None:
        raise protocol("a range that cannot be read")
    values = entry.attributes[found[0]]
    low = int(interval[1])
    if interval[2] == "*":
        return Piece(low, None, values)
    high = int(interval[2])
    if high - low + 1 != len(values):
        raise protocol("a range of another length than announced")
    return Piece(low, high, values)


def _read(port: Port, dn: str, name: str) -> list[bytes] | None:
    for _ in range(ATTEMPTS):
        values: list[bytes] = []
        stamp, size = None, 0
        while True:
            wanted = f"{name};range={len(values)}-*"
            entry = read_entry(port, dn, (wanted, *_STAMPS))
            if entry is None:
                return None
            seen = [entry.attributes.get(key) for key in _STAMPS]
            if stamp is not None and seen != stamp:
                break
            stamp = seen
            part = piece(name, entry)
            if part.low != len(values):
                raise protocol("a range that does not follow the one before")
            values += part.values
            if len(values) > MAX_VALUES:
                raise protocol("an attribute of over a million values")
            size += sum(map(len, part.values))
            if size > MAX_BYTES:
                raise protocol("an attribute of over 256 MiB")
            if part.high is None:
                return values
            if not part.values:
                raise protocol("an empty range")
    return None
