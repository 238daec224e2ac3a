"""The one place where bytes become XML: a bounded pull parser over one envelope.

Theory of operation. Pieces of at most 64 KiB are fed to libxml2; events come only for
the envelope, its fault and elements named like an item. An item is handed out at its
end event when its ancestors are the configured path; everything in its container that
is not wanted any more is thrown away after each piece, so memory does not grow with
the number of items. What is no item stays in the tree (the *skeleton*) and is charged
to ``max_buffered``.

A tree needs far more memory than its text when it is all tags, so marks (``<`` and
``=``) are charged too, 32 bytes each. Small pieces are joined first: libxml2 looks at
an unfinished tag from its beginning for each piece.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final, Self

from lxml import etree

from moatbridge.errors import NotApplied, Rejected
from moatbridge_soap.decode.faults import cleaned, last_open
from moatbridge_soap.decode.tally import too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

    from moatbridge_soap.decode.settings import DecodeSettings

SOAP11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12: Final = "http://www.w3.org/2003/05/soap-envelope"
_ENVELOPES: Final = frozenset({f"{{{SOAP11}}}Envelope", f"{{{SOAP12}}}Envelope"})
_ENCODINGS: Final = (
    (f"{{{SOAP11}}}encodingStyle", "http://schemas.xmlsoap.org/soap/encoding"),
    (f"{{{SOAP12}}}encodingStyle", "http://www.w3.org/2003/05/soap-encoding"),
)
_PIECE: Final = 64 * 1024
_HEAD: Final = 64 * 1024  # the envelope must have begun by then (soap 32)
_JOINED: Final = 4 * 1024
_MARK: Final = 32
_LIMITS: Final = frozenset({
    etree.ErrorTypes.ERR_ENTITY_LOOP,
    etree.ErrorTypes.ERR_NAME_TOO_LONG,
    114,  # XML_ERR_RESOURCE_LIMIT: depth, text nodes, amplification
    2,  # XML_ERR_NO_MEMORY
})  # fmt: skip
_TITLE: Final = re.compile(
    rb"<title[^>]*>(.{0,400}?)</title", re.IGNORECASE | re.DOTALL
)


class Envelope:
    """One envelope while it arrives.

    Args:
        path: Local names from below Body to the item; () if no items are wanted.
        names: For each step of the path, the local names that mean it.
        free: The first step of the path matches any name (rpc).
        alone: The answer is one element, Body's first child.
        kept: For each step of the path, local names of siblings that are kept beside
            it (the first of each), because a value wanted lies there.
        settings: The limits.
        charset: Encoding that the transport named; it outranks the XML declaration.
        hold: Hand out nothing before the end, keep everything.
    """

    def __init__(
        self,
        *,
        path: tuple[str, ...],
        names: tuple[frozenset[str], ...],
        free: bool,
        alone: bool,
        kept: tuple[frozenset[str], ...],
        settings: DecodeSettings,
        charset: str | None,
        hold: bool,
    ) -> None:
        self._path = path
        self._names = names
        self._free = free
        self._alone = alone
        self._kept = kept
        self._settings = settings
        self.hold = hold
        self.root: _Element | None = None
        self._total = self._record = self._record_marks = 0
        self._skeleton = self._skeleton_marks = 0
        self._open = False
        self._head = self._waiting = b""
        self._container: _Element | None = None
        self._tag: str | None = None  # of the items in this container
        self._closed = False
        self._parser = _parser(names, charset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """After an error let go of the tree at once.

        A parser and its document refer to each other, so what is left of a hostile
        answer would stay in memory until the next full collection of garbage.
        """
        if kind is not None and self.root is not None:
            self.root.clear()

    def feed(self, chunk: bytes) -> Iterator[_Element]:
        """Parse some bytes; yields items that ended in them.

        An item is valid until the next one is asked for.

        Raises:
            NotApplied: ``soap.not-soap``: no SOAP envelope, or broken XML.
            Rejected: ``soap.dtd`` ``soap.too-large``.
        """
        self._waiting += chunk
        if len(self._waiting) >= _JOINED:
            yield from self.flush()

    def flush(self) -> Iterator[_Element]:
        """Parse what small pieces left waiting; needed before `close`."""
        chunk, self._waiting = self._waiting, b""
        size = max(1024, min(_PIECE, self._settings.max_record // 4))
        for start in range(0, len(chunk), size):
            yield from self._piece(chunk[start : start + size])

    def close(self) -> _Element:
        """The envelope after its last byte.

        Raises:
            NotApplied: ``soap.truncated``: the answer ended too early.
        """
        try:
            root = self._parser.close() if self._total else None
        except etree.XMLSyntaxError as error:
            if self._closed:  # a fault that the parser tells only now
                self._broken(error)
            root = None
        if self.root is None:
            self._not_soap()
        if root is None or not self._closed:
            raise NotApplied(
                f"The answer ended after {self._total} bytes, before its envelope was "
                "closed. Nothing is wrong with the request; it can be repeated.",
                code="soap.truncated",
                bytes=self._total,
            )
        with contextlib.suppress(etree.XMLSyntaxError):
            self._parser.feed("<done/>")  # the parser forgets the document: see
            self._parser.close()  # __exit__
        return self.root

    def _piece(self, piece: bytes) -> Iterator[_Element]:
        self._total += len(piece)
        if self._total > self._settings.max_response:
            raise too_large("its size", self._settings.max_response, "max_response")
        if self.root is None:
            self._head += piece
        was_open, container, ended = self._open, self._container, 0
        try:
            self._parser.feed(piece)
        except etree.XMLSyntaxError as error:
            self._broken(error)
        for event, element in self._parser.read_events():
            if element.tag == self._tag and element.getparent() is self._container:
                self._open = event == "start"  # as `_noted`, for one more item
                if self._open:
                    self._record = self._record_marks = 0
                    continue
            elif not self._noted(event, element):
                continue
            ended += 1
            yield element
        if self.root is None and self._total >= _HEAD:
            self._not_soap()
        self._charge(piece, was_open=was_open, ended=ended)
        self._sweep(container)

    def _noted(self, event: str, element: _Element) -> bool:
        """Follow one event; whether it is the end of an item."""
        if element.tag in _ENVELOPES and element.getparent() is None:
            self._envelope(event, element)
        elif self.root is None:
            self._not_soap()
        elif not self.hold and self._path and self._is_item(element):
            self._open = event == "start"
            if self._open:
                self._record = self._record_marks = 0
            return not self._open and not self.hold
        return False

    def _envelope(self, event: str, element: _Element) -> None:
        if event == "end":
            self._closed = True
            return
        self.root = element
        self._head = b""
        if element.getroottree().docinfo.doctype:
            _refuse_dtd()

    def _is_item(self, element: _Element) -> bool:
        if element.tag.rpartition("}")[2] not in self._names[-1]:
            return False
        parent = element.getparent()
        if parent is self._container:
            return True
        if not self._matches(parent):
            return False
        self._container = parent
        self.hold = _is_encoded(parent)
        self._tag = None if self.hold else element.tag
        self._sweep_above(parent)
        return True

    def _matches(self, node: _Element | None) -> bool:
        """Whether these ancestors are the configured path, up to the envelope."""
        for depth in range(len(self._path) - 2, -1, -1):
            if node is None:
                return False
            free = self._free and depth == 0
            if not free and node.tag.rpartition("}")[2] not in self._names[depth]:
                return False
            if depth == 0 and self._alone and node.getprevious() is not None:
                return False
            node = node.getparent()
        return node is not None and self.root is not None and is_body(node, self.root)

    def _charge(self, piece: bytes, *, was_open: bool, ended: int) -> None:
        marks = piece.count(b"<") + piece.count(b"=")
        limits = self._settings
        if self.hold or not (ended or was_open):
            self._skeleton += len(piece)
            self._skeleton_marks += marks * _MARK
            if max(self._skeleton, self._skeleton_marks) > limits.max_buffered:
                raise too_large(
                    "what must be held", limits.max_buffered, "max_buffered"
                )
        elif was_open and not ended:
            self._record += len(piece)
            self._record_marks += marks * _MARK
            if max(self._record, self._record_marks) > limits.max_record:
                what = f"one record{last_open(self.root)}"
                raise too_large(what, limits.max_record, "max_record")

    def _sweep(self, container: _Element | None) -> None:
        """Forget what the container no longer needs, except its last child."""
        if container is None or self.hold:
            return
        kept = self._kept[-1] - self._names[-1]
        if kept:
            _forget(container, container[:-1], kept)
        else:
            del container[:-1]

    def _sweep_above(self, container: _Element) -> None:
        """Forget earlier containers, and what stood between them."""
        node = container
        for step in range(len(self._path) - 2, 0, -1):
            parent = node.getparent()
            if not self.hold:
                _forget(parent, parent[: parent.index(node)], self._kept[step])
            node = parent

    def _broken(self, error: etree.XMLSyntaxError) -> None:
        # The error's own text quotes the document: only its place is carried.
        if self.root is None and _is_envelope_with_dtd(self._head):
            _refuse_dtd()
        if error.code in _LIMITS:
            raise Rejected(
                "The answer was refused: it exceeds a limit of the XML parser (depth "
                f"256, one text 10 MB, one name 50 kB) at line {_line(error)}"
                f"{last_open(self.root)}. Leave such a value out of the answer, or let "
                "the service send it as an attachment (MTOM).",
                code="soap.too-large",
            ) from None
        if self.root is None and b"Envelope" not in self._head.replace(b"\0", b""):
            self._not_soap()
        raise NotApplied(
            f"The answer is not well-formed XML from line {_line(error)} on. Look at "
            "the server's log, or at what stands between it and us.",
            code="soap.not-soap",
        ) from None

    def _not_soap(self) -> None:
        head = self._head.replace(b"\0", b"")
        is_page = b"<html" in head[:2000].lower()  # a record may have a title too
        found = _TITLE.search(head) if is_page else None
        title = cleaned(found[1].decode("utf-8", "replace"), 80) if found else ""
        words = f" It is a page titled {title!r}." if title else ""
        raise NotApplied(
            f"The answer is no SOAP envelope ({self._total} bytes).{words} Check the "
            "endpoint, and what stands between it and us.",
            code="soap.not-soap",
        ) from None


def _forget(parent: _Element, children: list[_Element], kept: frozenset[str]) -> None:
    seen: set[str] = set()
    for child in children:
        local = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if local not in kept or local in seen:
            parent.remove(child)
        seen.add(local)


def is_body(node: _Element, root: _Element) -> bool:
    """Whether a node is the Body of that envelope."""
    return bool(
        node.getparent() is root and node.tag == root.tag.rpartition("}")[0] + "}Body"
    )


def body_of(root: _Element) -> _Element:
    """The one Body of an envelope.

    Raises:
        NotApplied: ``soap.not-soap``: there is none, or more than one.
    """
    found = [child for child in root if is_body(child, root)]
    if len(found) != 1:
        raise NotApplied(
            f"The answer's envelope has {len(found)} Body elements instead of one.",
            code="soap.not-soap",
        )
    return found[0]


def _parser(path: tuple[frozenset[str], ...], charset: str | None) -> Any:
    names = [
        "{*}Envelope",
        *(f"{{*}}{name}" for name in sorted(path[-1] if path else ())),
    ]
    for encoding in _spellings(charset):
        try:
            return etree.XMLPullParser(
                events=("start", "end"),
                tag=names,
                encoding=encoding,
                resolve_entities=False,
                no_network=True,
                load_dtd=False,
                huge_tree=False,
                remove_comments=True,
                remove_pis=True,
            )
        except LookupError:
            continue
    raise NotApplied(
        "The answer's content type names a charset that does not exist.",
        code="soap.not-soap",
    )


def _spellings(charset: str | None) -> tuple[str | None, ...]:
    """libxml2's names, then Python's for what servers write (``utf8``)."""
    try:
        return (charset, charset and codecs.lookup(charset).name)
    except LookupError:
        return (charset,)


def _is_encoded(container: _Element) -> bool:
    """SOAP encoding is announced above the items (SOAP 1.1 section 4.1.1)."""
    return any(
        (node.get(name) or "").startswith(encoding)
        for node in (container, *container.iterancestors())
        for name, encoding in _ENCODINGS
    )


def _is_envelope_with_dtd(head: bytes) -> bool:
    text = head.replace(b"\0", b"")
    return b"<!DOCTYPE" in text and b"<html" not in text[:1000].lower()


def _refuse_dtd() -> None:
    raise Rejected(
        "The answer holds a document type definition, which SOAP forbids (SOAP 1.1 "
        "section 3, SOAP 1.2 part 1 section 5). Nothing of it was read.",
        code="soap.dtd",
    )


def _line(error: etree.XMLSyntaxError) -> int:
    return int(error.position[0]) if error.position else 0
