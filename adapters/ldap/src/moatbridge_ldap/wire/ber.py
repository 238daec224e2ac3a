"""BER as LDAP uses it (RFC 4511 5.1): definite lengths, nothing exotic.

The writer makes shortest forms. The reader is strict: every length is checked against
its container, and whatever does not fit raises ``ldap.protocol``.
"""

from __future__ import annotations

from typing import Final

from moatbridge_ldap.wire.errors import protocol

INTEGER: Final = 0x02
OCTETS: Final = 0x04
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31
MAX_LENGTH_BYTES: Final = 4
_SHORT_OCTETS: Final = tuple(bytes((OCTETS, size)) for size in range(0x80))


def tlv(tag: int, body: bytes) -> bytes:
    """One element: tag, length, body."""
    size = len(body)
    if size < 0x80:  # noqa: PLR2004 - short form
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*parts: bytes, tag: int = SEQUENCE) -> bytes:
    """A constructed element holding the parts."""
    return tlv(tag, b"".join(parts))


def octets(data: bytes | str, tag: int = OCTETS) -> bytes:
    """An OCTET STRING; text becomes UTF-8."""
    body = data.encode() if isinstance(data, str) else data
    if tag == OCTETS and len(body) < 0x80:  # noqa: PLR2004 - short form
        return _SHORT_OCTETS[len(body)] + body
    return tlv(tag, body)


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A two's complement INTEGER of the fewest bytes."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(tag, value.to_bytes(size, "big", signed=True))


def boolean(value: bool, tag: int = 0x01) -> bytes:
    """TRUE is 0xFF (RFC 4511 5.1)."""
    return tlv(tag, b"\xff" if value else b"\x00")


def header(buf: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Read one element's header.

    Args:
        buf: Where it lies.
        at: Index of its tag.
        end: Index after its container.

    Returns:
        The tag, and start and end of its body.

    Raises:
        NotApplied: ``ldap.protocol``, if it does not fit into its container.
    """
    if at + 2 > end:
        raise protocol("an element is cut off")
    length = buf[at + 1]
    start = at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= MAX_LENGTH_BYTES:
            raise protocol("an indefinite or oversized length")
        start += count
        length = int.from_bytes(buf[at + 2 : start], "big")
    stop = start + length
    if stop > end:
        raise protocol("an element reaches beyond its container")
    return buf[at], start, stop


class Reader:
    """Walks over the elements of one container.

    Args:
        buf: Bytes that hold the container's body.
        at: Where the body starts.
        end: Where it ends; by default the end of ``buf``.
    """

    __slots__ = ("at", "buf", "end")

    def __init__(self, buf: bytes, at: int = 0, end: int | None = None) -> None:
        self.buf = buf
        self.at = at
        self.end = len(buf) if end is None else end

    def more(self) -> bool:
        """Whether another element follows."""
        return self.at < self.end

    def peek(self) -> int | None:
        """Tag of the next element; None at the end."""
        return self.buf[self.at] if self.at < self.end else None

    def expect(self, *tags: int) -> bytes:
        """Body of the next element, which must have one of these tags."""
        tag, start, stop = header(self.buf, self.at, self.end)
        if tag not in tags:
            raise protocol(f"tag 0x{tag:02x} where 0x{tags[0]:02x} belongs")
        self.at = stop
        return self.buf[start:stop]

    def inside(self, *tags: int) -> Reader:
        """Walk into the next element, which must have one of these tags."""
        tag, start, stop = header(self.buf, self.at, self.end)
        if tag not in tags:
            raise protocol(f"tag 0x{tag:02x} where 0x{tags[0]:02x} belongs")
        self.at = stop
        return Reader(self.buf, start, stop)

    def integer(self, tag: int = INTEGER) -> int:
        """A signed integer of at most 8 bytes."""
        body = self.expect(tag)
        if not 0 < len(body) <= 8:  # noqa: PLR2004 - 64 bits
            raise protocol("an integer of impossible size")
        return int.from_bytes(body, "big", signed=True)

    def boolean(self, tag: int = 0x01) -> bool:
        """A BOOLEAN; any octet but zero is true."""
        body = self.expect(tag)
        if len(body) != 1:
            raise protocol("a boolean of impossible size")
        return body != b"\x00"

    def text(self, tag: int = OCTETS) -> str:
        """An OCTET STRING that must be UTF-8."""
        return utf8(self.expect(tag))

    def optional(self, tag: int) -> bytes | None:
        """Body of the next element if it has this tag, else None."""
        return self.expect(tag) if self.peek() == tag else None

    def finish(self) -> None:
        """Complain about trailing elements."""
        if self.at != self.end:
            raise protocol("trailing bytes in an element")


def utf8(data: bytes) -> str:
    """Decode strictly; anything else breaks the protocol."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise protocol("text that is not UTF-8") from None
