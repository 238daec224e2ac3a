"""Numbers as COBOL stores them (IBM Enterprise COBOL, "Examples: numeric data")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moatbridge_sftp.formats.copybook_parse import Item

_OVERPUNCH: Final = {
    **{c: (str(i), 1) for i, c in enumerate("{ABCDEFGHI")},
    **{c: (str(i), -1) for i, c in enumerate("}JKLMNOPQR")},
    **{c: (str(i), -1) for i, c in enumerate("pqrstuvwxy")},
}
"""Sign and digit in one ASCII character: as converted from EBCDIC, and (p-y) as Micro
Focus writes it."""
_PLUS: Final = frozenset({0xA, 0xC, 0xE, 0xF})
_MINUS: Final = frozenset({0xB, 0xD})


def number(raw: bytes, item: Item, *, mainframe: bool) -> int:
    """The unscaled value of a numeric leaf.

    Raises:
        ValueError: The bytes are no number of that picture.
    """
    if item.usage == "packed":
        value = packed(raw)
    elif item.usage in {"binary", "native"}:
        order = "little" if item.usage == "native" and not mainframe else "big"
        value = int.from_bytes(raw, order, signed=item.signed)  # type: ignore[arg-type]
    else:
        value = zoned(raw, item, mainframe=mainframe)
    if value < 0 and not item.signed:
        raise ValueError("negative, but the picture has no sign")
    if item.usage == "binary" and abs(value) >= 10**item.digits:
        raise ValueError("more digits than the picture has")
    return value


def packed(raw: bytes) -> int:
    """COMP-3: two digits a byte, the last half byte is the sign (C F plus, D minus).

    Raises:
        ValueError: A half byte that is no digit or sign.
    """
    digits, sign = raw.hex()[:-1], raw[-1] & 0x0F
    if not digits.isdecimal() or sign < 0xA:  # noqa: PLR2004 - first sign
        raise ValueError("no packed number")
    if sign not in {0xC, 0xD, 0xF}:
        raise ValueError("no sign of a packed number")
    return -int(digits) if sign == 0xD else int(digits)  # noqa: PLR2004 - minus


def zoned(raw: bytes, item: Item, *, mainframe: bool) -> int:
    """DISPLAY: one digit a character, the sign beside the last digit or apart.

    Raises:
        ValueError: No digits, or no sign.
    """
    if item.separate:
        return _separate(raw, item, mainframe=mainframe)
    at = 0 if item.leading else len(raw) - 1
    if mainframe:
        digits, sign = _ebcdic(raw, at)
    else:
        digits, sign = _ascii(raw, at)
    if not (digits.isdecimal() and digits.isascii()):
        raise ValueError("no digits")
    return sign * int(digits)


def _separate(raw: bytes, item: Item, *, mainframe: bool) -> int:
    plus, minus = (0x4E, 0x60) if mainframe else (0x2B, 0x2D)
    mark, rest = (raw[0], raw[1:]) if item.leading else (raw[-1], raw[:-1])
    if mark not in {plus, minus}:
        raise ValueError("no sign")
    digits = _plain(rest, mainframe=mainframe)
    return -int(digits) if mark == minus else int(digits)


def _plain(raw: bytes, *, mainframe: bool) -> str:
    zone = 0xF0 if mainframe else 0x30
    if not raw or any(byte & 0xF0 != zone or byte & 0x0F > 9 for byte in raw):  # noqa: PLR2004 - a digit
        raise ValueError("no digits")
    return "".join(str(byte & 0x0F) for byte in raw)


def _ebcdic(raw: bytes, at: int) -> tuple[str, int]:
    zone = raw[at] >> 4
    if zone not in _PLUS | _MINUS:
        raise ValueError("no sign")
    fixed = bytearray(raw)
    fixed[at] |= 0xF0
    return _plain(bytes(fixed), mainframe=True), -1 if zone in _MINUS else 1


def _ascii(raw: bytes, at: int) -> tuple[str, int]:
    text = raw.decode("ascii", "replace")
    digit, sign = _OVERPUNCH.get(text[at], (text[at], 1))
    return text[:at] + digit + text[at + 1 :], sign
