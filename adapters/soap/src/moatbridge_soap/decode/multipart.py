"""``multipart/related`` answers: MTOM/XOP and SOAP with attachments (soap 44).

An answer of more than ``max_buffered`` bytes lies in a temporary file that has no name,
and its parts are read from there, one record's at a time.
"""

from __future__ import annotations

import email.parser
import email.policy
import itertools
import mmap
import tempfile
from email.message import Message
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import NotApplied
from moatbridge_soap.decode.tally import Unreadable, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_soap.decode.settings import DecodeSettings

_PARTS: Final = 1000
_HEADERS: Final = 64 * 1024
_BLANK: Final = b"\r\n\r\n"
_NOWHERE: Final = -1


class Attachments:
    """The parts beside the root, by content id; read where they lie when asked for.

    Args:
        raw: The whole body, in memory or in a file.
        places: Content id -> where its bytes begin and end.
        limit: Bytes that one record may take.

    Attributes:
        taken: Bytes that were handed out.
    """

    def __init__(
        self, raw: bytes | mmap.mmap, places: Mapping[str, tuple[int, int]], limit: int
    ) -> None:
        self.taken = 0
        self._raw = raw
        self._places = places
        self._limit = self._room = limit

    def next_record(self) -> None:
        """Another record is read from now on."""
        self._room = self._limit

    def get(self, name: str) -> bytes | None:
        """The bytes of a part; None if it did not come.

        Raises:
            Unreadable: ``soap.too-large``: more than one record may take.
        """
        if name not in self._places:
            return None
        start, end = self._places[name]
        self._room -= end - start
        if self._room < 0:
            raise Unreadable("soap.too-large", "")
        self.taken += end - start
        return self._raw[start:end]


class Parts(NamedTuple):
    """The root part, and the attachments."""

    root: bytes
    root_type: str
    attachments: Attachments


def is_multipart(content_type: str) -> bool:
    """Whether an HTTP content type announces attachments."""
    return content_type.lstrip()[:18].lower() == "multipart/related;"[:18]


def split(
    chunks: Iterator[bytes], content_type: str, settings: DecodeSettings
) -> Parts:
    """Read all parts (RFC 2387).

    Raises:
        NotApplied: ``soap.truncated``: the closing boundary did not come.
            ``soap.not-soap``: no boundary or no root part.
            ``soap.too-large``: there is no room for it on the disk.
        Rejected: ``soap.too-large``: more than ``max_response``, a root part of more
            than ``max_buffered``, or 1000 parts.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise _not_soap("its content type names no boundary")
    raw = _held(chunks, settings)
    found: dict[str, tuple[str, tuple[int, int]]] = {}
    for number, (name, kind, place) in enumerate(
        _parts(raw, boundary.encode("latin-1", "replace"))
    ):
        found.setdefault(name or f"part-{number}", (kind, place))
    begin = str(header.get_param("start") or "").strip("<> ")
    root = found.pop(begin, None) if begin else None
    if root is None and found and not begin:
        root = found.pop(next(iter(found)))
    if root is None:
        raise _not_soap("it has no root part")
    kind, (start, end) = root
    if end - start > settings.max_buffered:
        raise too_large("what must be held", settings.max_buffered, "max_buffered")
    places = {name: place for name, (_, place) in found.items()}
    attachments = Attachments(raw, places, settings.max_buffered)
    return Parts(raw[start:end], kind, attachments)


def _held(chunks: Iterator[bytes], settings: DecodeSettings) -> bytes | mmap.mmap:
    """The whole body: in memory, or in a file without a name where it is large."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) > settings.max_buffered:
            return _spooled(held, chunks, settings)
    return bytes(held)


def _spooled(
    first: bytearray, chunks: Iterator[bytes], settings: DecodeSettings
) -> mmap.mmap:
    size = 0
    every: Iterator[bytes | bytearray] = itertools.chain((first,), chunks)
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in every:
                size += len(chunk)
                if size > settings.max_response:
                    raise too_large("its size", settings.max_response, "max_response")
                file.write(chunk)
            file.flush()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise NotApplied(
            f"The multipart answer has more than {settings.max_buffered} bytes "
            "(max_buffered), and the folder for temporary files cannot hold it "
            f"({type(error).__name__}). Make room there, or set TMPDIR.",
            code="soap.too-large",
        ) from None


def _parts(
    raw: bytes | mmap.mmap, boundary: bytes
) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Content id, type and place of each part."""
    for start, end in _places(raw, b"--" + boundary):
        body = raw.find(_BLANK, start, end)
        if body < 0 or body - start > _HEADERS:
            raise _not_soap("a part has no header")
        parser = email.parser.BytesHeaderParser(policy=email.policy.compat32)
        headers = parser.parsebytes(raw[start:body].lstrip(b"\r\n") + _BLANK)
        name = str(headers.get("content-id", "")).strip("<> ")
        place = body + len(_BLANK), end
        yield name, str(headers.get("content-type", "")), place


def _places(raw: bytes | mmap.mmap, mark: bytes) -> Iterator[tuple[int, int]]:
    """What lies between the boundaries, up to the closing one (RFC 2046 5.1.1)."""
    line = b"\r\n" + mark
    at = -2 if raw[: len(mark)] == mark else raw.find(line)
    for _ in range(_PARTS + 1):
        start = at + len(line)
        if at != _NOWHERE and raw[start : start + 2] == b"--":
            return
        end = raw.find(line, start) if at != _NOWHERE else _NOWHERE
        if end == _NOWHERE:
            raise NotApplied(
                f"The multipart answer ended after {len(raw)} bytes, before its "
                "closing boundary.",
                code="soap.truncated",
                bytes=len(raw),
            )
        yield start, end
        at = end
    raise too_large("the number of attachments", _PARTS, "fixed")


def _not_soap(what: str) -> NotApplied:
    return NotApplied(
        f"The multipart answer cannot be read: {what}.", code="soap.not-soap"
    )
