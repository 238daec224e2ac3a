"""What a file really is, by its first bytes; names and headers only claim it."""

from __future__ import annotations

from typing import Final

_MAGIC: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftypavi", "image/avif"),
    (4, b"ftyphe", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypmsf1", "image/heif"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "audio/ogg"),
    (8, b"WAVE", "audio/wav"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\x7fELF", "application/x-executable"),
)
_CONTROL: Final = frozenset(range(32)) - set(b"\t\n\r\f\x1b")

HEAD: Final = 512
"""Bytes that `media_type_of` wants to see."""


def media_type_of(head: bytes) -> str | None:
    """The media type that the first bytes of a file show; None if they show none.

    Text is told by what is not in it (no NUL, no control characters); HTML and SVG,
    which a browser would run, are told from plain text.

    Args:
        head: The first 512 bytes, or all of a shorter file.
    """
    for offset, magic, media in _MAGIC:
        if head.startswith(magic, offset) and (offset != 8 or head[:4] == b"RIFF"):  # noqa: PLR2004 - RIFF holds its kind there
            return media
    if not head or _CONTROL & set(head):
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "image/svg+xml"
    if start.startswith((b"<!doctype html", b"<html", b"<script", b"<head", b"<body")):
        return "text/html"
    return "text/plain"
