"""Photos without what they tell beside the picture: place, device, owner (guard 30).

Exact and small: nothing is decoded or encoded anew, chunks are kept or left out as they
are. Only chunks that say how a picture is to be shown are kept; of the metadata only
the orientation is, since without it a photo lies on its side. What cannot be read to
its end is refused, never passed on half understood.

Sources: ITU T.81 annex B (JPEG) and the JFIF, Exif 2.32 and ICC markers; the PNG
specification, third edition; GIF89a; the WebP container specification (RFC 9649).
"""

from __future__ import annotations

import re
import struct
import zlib
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Final

from moatbridge.entities.plain import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PNG_SHOWN: Final = frozenset({
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"bKGD",
    b"pHYs", b"sBIT", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT",
})  # fmt: skip
_WEBP_SHOWN: Final = frozenset({
    b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP",
})  # fmt: skip
_GIF_LOOPS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_SCAN_ENDS: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
_MIRRORS: Final = 8


def without_metadata(content: bytes, media_type: str) -> bytes:
    """The same picture without its metadata.

    Args:
        content: A whole JPEG, PNG, GIF or WebP file.
        media_type: Which of them, by its first bytes (`media_type_of`).

    Raises:
        Fault: It is none of them, or cannot be read to its end.
    """
    strip = _FORMATS.get(media_type)
    if strip is None:
        raise Fault("a format whose metadata nobody here can take out")
    try:
        return strip(content)
    except (IndexError, struct.error):
        raise Fault("not a whole picture") from None


def _jpeg(data: bytes) -> bytes:
    kept, at, turned = [data[:2]], 2, False
    while True:
        code, at = _marker(data, at)
        if code == _EOI:  # what follows (second pictures, a film) is left out
            return b"".join([*kept, b"\xff\xd9"])
        size = unpack_from(">H", data, at)[0]
        body = _cut(data, at + 2, size - 2)
        at += size
        if _jpeg_shown(code, body):
            kept.append(bytes((0xFF, code)) + pack(">H", size) + body)
        elif not turned and (exif := _jpeg_turned(code, body)):
            turned = True
            kept.append(exif)
        if code == _SOS:
            end = _SCAN_ENDS.search(data, at)
            if end is None:
                raise Fault("not a whole picture")
            kept.append(data[at : end.start()])
            at = end.start()


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """The code of the marker there, and where its body starts."""
    if data[at] != 0xFF:  # noqa: PLR2004 - every marker starts with it
        raise Fault("not a whole picture")
    while data[at] == 0xFF:  # noqa: PLR2004 - fill bytes
        at += 1
    return data[at], at + 1


def _jpeg_shown(code: int, body: bytes) -> bool:
    if code == 0xFE:  # noqa: PLR2004 - a comment
        return False
    if not 0xE0 <= code <= 0xEF:  # noqa: PLR2004 - not for applications: the picture
        return True
    named = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
    return code in named and body.startswith(named[code])


def _jpeg_turned(code: int, body: bytes) -> bytes:
    """The segment that says the orientation, if this one does."""
    if code != 0xE1 or not body.startswith(b"Exif\0\0"):  # noqa: PLR2004 - APP1
        return b""
    exif = _turned(body[6:])
    return exif and b"\xff\xe1" + pack(">H", len(exif) + 8) + b"Exif\0\0" + exif


def _png(data: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while True:
        size, kind = unpack_from(">I4s", data, at)
        chunk = _cut(data, at, size + 12)
        at += size + 12
        shown = kind in _PNG_SHOWN or kind[:1].isupper()
        if shown:
            kept.append(chunk)
        elif kind == b"eXIf" and (exif := _turned(chunk[8:-4])):
            whole = kind + exif
            kept.append(pack(">I", len(exif)) + whole + pack(">I", zlib.crc32(whole)))
        if kind == b"IEND":
            return b"".join(kept)


def _webp(data: bytes) -> bytes:
    end = unpack_from("<I", data, 4)[0] + 8
    _cut(data, 0, end)
    chunks: list[tuple[bytes, bytes]] = []
    exif = b""
    at = 12
    while at < end:
        kind, size = unpack_from("<4sI", data, at)
        body = _cut(data, at + 8, size)
        at += 8 + size + size % 2
        if kind == b"EXIF":
            exif = exif or _turned(body.removeprefix(b"Exif\0\0"))
        elif kind in _WEBP_SHOWN:
            chunks.append((kind, body))
    if not any(kind in {b"VP8 ", b"VP8L", b"ANMF"} for kind, _ in chunks):
        raise Fault("not a whole picture")
    shown = [(kind, _webp_flags(kind, body, exif)) for kind, body in chunks]
    if exif and shown[0][0] == b"VP8X":
        shown.append((b"EXIF", exif))
    whole = b"".join(
        kind + pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in shown
    )
    return b"RIFF" + pack("<I", len(whole) + 4) + b"WEBP" + whole


def _webp_flags(kind: bytes, body: bytes, exif: bytes) -> bytes:
    if kind != b"VP8X":
        return body
    flags = body[0] & ~0x0C  # neither Exif nor XMP
    return bytes((flags | (0x08 if exif else 0),)) + body[1:]


def _gif(data: bytes) -> bytes:
    flags = data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept = [_cut(data, 0, at)]
    while at < len(data) and data[at] != 0x3B:  # noqa: PLR2004 - the trailer, if any
        start = at
        if data[at] == 0x21:  # noqa: PLR2004 - an extension
            label, body = data[at + 1], at + 2
            at = _after_blocks(data, body)
            loops = data[body + 1 : body + 12] in _GIF_LOOPS
            # 0xF9 says how a frame is shown; comments and the rest do not.
            shown = label == 0xF9 or (label == 0xFF and loops)  # noqa: PLR2004
        elif data[at] == 0x2C:  # noqa: PLR2004 - a frame
            local = data[at + 9]
            at += 10 + (3 << (local & 7) + 1 if local & 0x80 else 0)
            at = _after_blocks(data, at + 1)
            shown = True
        else:
            raise Fault("not a whole picture")
        if shown:
            kept.append(data[start:at])
    return b"".join([*kept, b"\x3b"])


def _after_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _cut(data: bytes, start: int, size: int) -> bytes:
    if size < 0 or start + size > len(data):
        raise Fault("not a whole picture")
    return data[start : start + size]


def _turned(tiff: bytes) -> bytes:
    """Exif that says the orientation and nothing else; empty if it is upright."""
    try:
        order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
        found = next(_orientations(tiff, order), _UPRIGHT) if order else _UPRIGHT
    except struct.error:
        return b""
    if not _UPRIGHT < found <= _MIRRORS:
        return b""
    head = b"MM" + pack(">HI", 42, 8)
    return head + pack(">HHHIHHI", 1, _ORIENTATION, 3, 1, found, 0, 0)


def _orientations(tiff: bytes, order: str) -> Iterator[int]:
    start = unpack_from(order + "I", tiff, 4)[0]
    count = unpack_from(order + "H", tiff, start)[0]
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind, _, value = unpack_from(order + "HHIH", tiff, at)
        if tag == _ORIENTATION and kind == 3:  # noqa: PLR2004 - SHORT
            yield value


_FORMATS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
}
