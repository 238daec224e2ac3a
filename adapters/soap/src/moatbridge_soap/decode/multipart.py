"""``multipart/related`` answers: MTOM/XOP and SOAP with attachments (soap 44)."""

from __future__ import annotations

import email.parser
import email.policy
from email.message import Message
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import NotApplied
from moatbridge_soap.decode.tally import too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_soap.decode.settings import DecodeSettings

_PARTS: Final = 1000
_HEADERS: Final = 64 * 1024


class Parts(NamedTuple):
    """The root part, and the attachments by content id."""

    root: bytes
    root_type: str
    attachments: Mapping[str, bytes]


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
        Rejected: ``soap.too-large``: more than ``max_buffered``, or 1000 parts.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise _not_soap("its content type names no boundary")
    found: dict[str, tuple[str, bytes]] = {}
    for number, (name, kind, body) in enumerate(
        _parts(_joined(chunks, settings), boundary.encode("latin-1", "replace"))
    ):
        found.setdefault(name or f"part-{number}", (kind, body))
    start = str(header.get_param("start") or "").strip("<> ")
    root = found.pop(start, None) if start else None
    if root is None and found and not start:
        root = found.pop(next(iter(found)))
    if root is None:
        raise _not_soap("it has no root part")
    bodies = {name: body for name, (_, body) in found.items()}
    return Parts(root[1], root[0], bodies)


def _joined(chunks: Iterator[bytes], settings: DecodeSettings) -> bytes:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) > settings.max_buffered:
            raise too_large("what must be held", settings.max_buffered, "max_buffered")
    return bytes(held)


def _parts(raw: bytes, boundary: bytes) -> Iterator[tuple[str, str, bytes]]:
    pieces = (b"\r\n" + raw).split(b"\r\n--" + boundary, _PARTS + 2)
    if len(pieces) > _PARTS + 2:
        raise too_large("the number of attachments", _PARTS, "fixed")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004 - preamble, one part
        raise NotApplied(
            f"The multipart answer ended after {len(raw)} bytes, before its closing "
            "boundary.",
            code="soap.truncated",
            bytes=len(raw),
        )
    for piece in pieces[1:-1]:
        head, found, body = piece.partition(b"\r\n\r\n")
        if not found or len(head) > _HEADERS:
            raise _not_soap("a part has no header")
        parser = email.parser.BytesHeaderParser(policy=email.policy.compat32)
        headers = parser.parsebytes(head.lstrip(b"\r\n") + b"\r\n\r\n")
        name = str(headers.get("content-id", "")).strip("<> ")
        yield name, str(headers.get("content-type", "")), body


def _not_soap(what: str) -> NotApplied:
    return NotApplied(
        f"The multipart answer cannot be read: {what}.", code="soap.not-soap"
    )
