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
    from collections.abc import Callable, Iterable, Iterator

_ANY: Final = 1 << 32
_JPEG_SHOWN: Final = frozenset(range(0xC0, 0xE0)) - frozenset(
    {0xC8, *range(0xD0, 0xDA)}
)
"""Frames, tables, scans: neither RES, JPG and the like, nor what stands alone."""
_JPEG_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_JFIF: Final = 14
_ADOBE: Final = 12
_PNG_NEEDED: Final = {b"IHDR": 13, b"PLTE": 768, b"IDAT": _ANY, b"IEND": 0}
_PNG_SHOWN: Final = {
    b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": _ANY, b"cICP": 4,
    b"mDCV": 24, b"cLLI": 8, b"bKGD": 6, b"pHYs": 9, b"sBIT": 4, b"hIST": 512,
    b"acTL": 8, b"fcTL": 26, b"fdAT": _ANY,
}  # fmt: skip
"""Bytes that a chunk of each kind holds at most: more would be something else."""
_WEBP_SHOWN: Final = frozenset({
    b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP",
})  # fmt: skip
_WEBP_FRAME: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_WEBP_HEAD: Final = 16
_WEBP_SIZES: Final = {b"VP8X": 10, b"ANIM": 6}
_GIF_LOOPS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_GIF_CONTROL: Final = 8
_GIF_COLOURS: Final = b"ICCRGBG1012"
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
        shown = _jpeg_shown(code, body)
        if shown is not None:
            kept.append(bytes((0xFF, code)) + pack(">H", len(shown) + 2) + shown)
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
    if data[at] in _JPEG_ALONE:  # no length follows; none of them belongs here
        raise Fault("not a whole picture")
    return data[at], at + 1


def _jpeg_shown(code: int, body: bytes) -> bytes | None:
    """What is kept of a segment's body; None if nothing of it says how to show it."""
    if code in _JPEG_SHOWN:
        return body
    if code == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= _JFIF:  # noqa: PLR2004 - APP0
        return body[: _JFIF - 2] + b"\0\0"  # a small picture of 0 by 0 dots
    if code == 0xEE and body.startswith(b"Adobe") and len(body) >= _ADOBE:  # noqa: PLR2004 - APP14
        return body[:_ADOBE]
    profile = code == 0xE2 and body.startswith(b"ICC_PROFILE\0")  # noqa: PLR2004 - APP2
    return body if profile else None


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
        if kind[:1].isupper() and size > _PNG_NEEDED.get(kind, -1):
            raise Fault("not a picture that can be read to its end")
        if size <= _PNG_SHOWN.get(kind, _PNG_NEEDED.get(kind, -1)):
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
    for kind, body in _riff(data, 12, end):
        if kind == b"EXIF":
            exif = exif or _turned(body.removeprefix(b"Exif\0\0"))
        elif kind in _WEBP_SHOWN:
            chunks.append((kind, _webp_body(kind, body)))
    if not any(kind in {b"VP8 ", b"VP8L", b"ANMF"} for kind, _ in chunks):
        raise Fault("not a whole picture")
    shown = [(kind, _webp_flags(kind, body, exif)) for kind, body in chunks]
    if exif and shown[0][0] == b"VP8X":
        shown.append((b"EXIF", exif))
    whole = _riffed(shown)
    return b"RIFF" + pack("<I", len(whole) + 4) + b"WEBP" + whole


def _webp_body(kind: bytes, body: bytes) -> bytes:
    """What is kept of a chunk: a frame of a film holds chunks of its own."""
    if kind != b"ANMF":
        return body[: _WEBP_SIZES.get(kind, _ANY)]
    head = _cut(body, 0, _WEBP_HEAD)
    inner = _riff(body, _WEBP_HEAD, len(body))
    return head + _riffed([one for one in inner if one[0] in _WEBP_FRAME])


def _riff(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk."""
    while at < end:
        kind, size = unpack_from("<4sI", data, at)
        yield kind, _cut(data, at + 8, size)
        at += 8 + size + size % 2


def _riffed(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        kind + pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in chunks
    )


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
            at = _after_blocks(data, at + 2)
            kept.append(_gif_extension(data[start:at]))
        elif data[at] == 0x2C:  # noqa: PLR2004 - a frame
            local = data[at + 9]
            at += 10 + (3 << (local & 7) + 1 if local & 0x80 else 0)
            at = _after_blocks(data, at + 1)
            kept.append(data[start:at])
        else:
            raise Fault("not a whole picture")
    return b"".join([*kept, b"\x3b"])


def _gif_extension(whole: bytes) -> bytes:
    """What is kept of one: how a frame is shown, how often a film runs, its colours."""
    if whole[1:3] == b"\xf9\x04" and len(whole) == _GIF_CONTROL:
        return whole
    if whole[1:3] != b"\xff\x0b":
        return b""
    name, first = whole[3:14], whole[14:16]
    if name in _GIF_LOOPS and first == b"\x03\x01":
        return whole[:18] + b"\0"  # the number of rounds, and no block after it
    return whole if name == _GIF_COLOURS else b""


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
