"""Packets of SFTP protocol 3: building requests, and taking answers apart. Pure.

Each count and length is compared with the bytes that are there before anything loops
over it or is allocated for it: four bytes of a reply may claim four billion entries.

Sources: draft-ietf-secsh-filexfer-02; OpenSSH ``PROTOCOL`` section 4 (extensions).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

VERSION: Final = 3
PAIRS: Final = 16
"""Extension pairs of one attribute block, at most; OpenSSH sends none."""

_INT: Final = struct.Struct(">I")
_LONG: Final = struct.Struct(">Q")
_ENTRY_LEAST: Final = 12  # two empty strings and an empty attribute block
_PAIR_LEAST: Final = 8
_EXTENSIONS: Final = 64


class Kind(IntEnum):
    """Packet types (section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    REALPATH = 16
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """Status codes (section 7); others are kept as plain numbers."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    UNSUPPORTED = 8


class Open:
    """Flags of OPEN (section 6.3)."""

    READ: Final = 0x01
    WRITE: Final = 0x02
    CREATE: Final = 0x08
    EXCLUSIVE: Final = 0x20


# What nearly every server sends: size, owner, mode, times. Read without a `Reader`,
# which halves the cost of a large listing.
_USUAL: Final = b"\0\0\0\x0f"
_USUAL_BLOCK: Final = struct.Struct(">4xQ8xI4xI")

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000


class PacketError(ValueError):
    """The bytes are not what the protocol says; the text holds none of them."""


class Attributes(NamedTuple):
    """What an attribute block holds; None where the server left it out."""

    size: int | None = None
    mode: int | None = None
    mtime: int | None = None


class Named(NamedTuple):
    """One entry of a NAME answer; the server's ``ls -l`` text is dropped."""

    name: bytes
    attributes: Attributes


class Limits(NamedTuple):
    """``limits@openssh.com``; 0 stands for "not said"."""

    packet: int = 0
    read: int = 0
    write: int = 0
    handles: int = 0


def string(value: bytes) -> bytes:
    """A length and the bytes."""
    return _INT.pack(len(value)) + value


def uint32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return _INT.pack(value)


def uint64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return _LONG.pack(value)


def frame(kind: int, number: int, body: bytes) -> bytes:
    """A whole request: length, type, id, body."""
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def hello() -> bytes:
    """The INIT packet, the only one without an id."""
    return struct.pack(">IBI", 5, Kind.INIT, VERSION)


def mode_attributes(mode: int) -> bytes:
    """An attribute block that sets permissions only."""
    return struct.pack(">II", _MODE, mode)


class Reader:
    """Reads fields off a packet; every step checks what is left."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def uint32(self) -> int:
        """Next four bytes."""
        return int(_INT.unpack(self._take(4))[0])

    def uint64(self) -> int:
        """Next eight bytes."""
        return int(_LONG.unpack(self._take(8))[0])

    def string(self) -> bytes:
        """Next length and bytes."""
        return self._take(self.uint32())

    def _take(self, count: int) -> bytes:
        if count > self.left:
            msg = f"a field of {count} bytes, but {self.left} are left"
            raise PacketError(msg)
        self._at += count
        return self._data[self._at - count : self._at]


def read_version(payload: bytes) -> dict[str, str]:
    """The extension pairs of a VERSION packet (type byte included).

    Raises:
        PacketError: Not a VERSION, another version than 3, too many pairs.
    """
    reader = Reader(payload, 1)
    if payload[:1] != bytes([Kind.VERSION]):
        msg = "the first answer is not a VERSION packet"
        raise PacketError(msg)
    if (version := reader.uint32()) != VERSION:
        msg = f"the server speaks SFTP protocol {version}, not {VERSION}"
        raise PacketError(msg)
    pairs: dict[str, str] = {}
    while reader.left:
        name, value = reader.string(), reader.string()
        pairs[_text(name)] = _text(value)
        if len(pairs) > _EXTENSIONS:
            msg = f"more than {_EXTENSIONS} extensions"
            raise PacketError(msg)
    return pairs


def read_attributes(reader: Reader) -> Attributes:
    """One attribute block (section 5).

    Raises:
        PacketError: Too short, or more extension pairs than `PAIRS`.
    """
    flags = reader.uint32()
    size = reader.uint64() if flags & _SIZE else None
    if flags & _OWNER:
        reader.uint64()
    mode = reader.uint32() if flags & _MODE else None
    mtime = None
    if flags & _TIMES:
        reader.uint32()
        mtime = reader.uint32()
    if flags & _EXTENDED:
        _skip_pairs(reader)
    return Attributes(size, mode, mtime)


def _skip_pairs(reader: Reader) -> None:
    count = reader.uint32()
    if count > PAIRS or count * _PAIR_LEAST > reader.left:
        msg = f"an attribute block claims {count} extension pairs"
        raise PacketError(msg)
    for _ in range(count * 2):
        reader.string()


def read_names(payload: bytes) -> list[Named]:
    """The entries of a NAME answer (type and id included).

    Raises:
        PacketError: More entries claimed than the bytes can hold, or cut short.
    """
    reader = Reader(payload, 5)
    count = reader.uint32()
    if count * _ENTRY_LEAST > reader.left:
        msg = f"{count} names claimed in {reader.left} bytes"
        raise PacketError(msg)
    names, at = [], 9
    for _ in range(count):
        end = _string_end(payload, at)
        name = payload[at + 4 : end]
        at = _string_end(payload, end)
        if payload[at : at + 4] == _USUAL and len(payload) - at >= _USUAL_BLOCK.size:
            size, mode, mtime = _USUAL_BLOCK.unpack_from(payload, at)
            names.append(Named(name, Attributes(size, mode, mtime)))
            at += _USUAL_BLOCK.size
        else:
            reader = Reader(payload, at)
            names.append(Named(name, read_attributes(reader)))
            at = len(payload) - reader.left
    return names


def _string_end(payload: bytes, at: int) -> int:
    end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
    if end > len(payload) or at + 4 > len(payload):
        msg = f"a field that ends at {end}, but there are {len(payload)} bytes"
        raise PacketError(msg)
    return end


def read_status(payload: bytes) -> int:
    """The code of a STATUS answer; its text comes from the server and is dropped."""
    return Reader(payload, 5).uint32()


def read_limits(payload: bytes) -> Limits:
    """The answer to ``limits@openssh.com``."""
    reader = Reader(payload, 5)
    return Limits(reader.uint64(), reader.uint64(), reader.uint64(), reader.uint64())


def read_free(payload: bytes) -> int:
    """Bytes free for this account, from an answer to ``statvfs@openssh.com``."""
    reader = Reader(payload, 5)
    reader.uint64()  # block size
    fragment = reader.uint64()
    reader.uint64(), reader.uint64()  # blocks in all, free ones
    return fragment * reader.uint64()


def _text(value: bytes) -> str:
    return value[:200].decode("ascii", "backslashreplace")
