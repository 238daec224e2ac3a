"""One answer while it is read."""

from __future__ import annotations

from email.message import Message as HttpHeader
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from moatbridge.errors import NotApplied, Rejected
from moatbridge_soap.decode import multipart
from moatbridge_soap.decode.faults import fault
from moatbridge_soap.decode.parts import Fault, Item, ItemReject
from moatbridge_soap.decode.paths import Target, found
from moatbridge_soap.decode.references import References
from moatbridge_soap.decode.stream import Envelope, body_of
from moatbridge_soap.decode.tally import Reading, Unreadable, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lxml.etree import _Element

    from moatbridge_soap.decode.decoder import AnswerDecoder
    from moatbridge_soap.decode.straight import Straight

_WARM: Final = 32  # items before compiling the straight reader pays
_PATIENCE: Final = 32  # unusual items before the straight reader may be given up


class Answer:
    """One answer, iterated once: yields `Item` as the bytes come. One thread.

    What else it says (`fault`, `value`, `text`, `tolerated`) is known when the
    iteration has ended.

    Raises while it is iterated:
        NotApplied: ``soap.truncated``: it ended before its envelope was closed.
            ``soap.not-soap``: no envelope, broken XML, or the answer to another
            question.
        Rejected: ``soap.dtd``, ``soap.too-large``, and what ``verify`` raises.
    """

    def __init__(
        self,
        decoder: AnswerDecoder,
        chunks: Iterator[bytes],
        content_type: str,
        verify: Callable[[_Element], _Element] | None,
    ) -> None:
        self._decoder = decoder
        self._chunks = chunks
        self._type = content_type
        self._verify = verify
        self._reading = Reading(strict=decoder.settings.tolerance == "strict")
        self._root: _Element | None = None
        self._body: _Element | None = None
        self._complete = False
        self._items = self._unusual = 0
        self._straight: Straight | None = vars(decoder).get("straight")
        self._most = decoder.settings.max_records
        self._fault: Fault | None = None

    @property
    def fault(self) -> Fault | None:
        """The fault in it, whatever the HTTP status was."""
        self._need_end()
        return self._fault

    @property
    def items(self) -> int:
        """Items seen so far, rejected ones included."""
        return self._items

    @property
    def attached(self) -> int:
        """Bytes of attachments that records hold so far."""
        parts = self._reading.attachments
        return 0 if parts is None else parts.taken

    @property
    def tolerated(self) -> Mapping[str, int]:
        """Deviations from the schema: ``kind:element`` -> how often.

        Kinds: ``order``, ``unknown``, ``missing``, ``namespace``, ``empty`` (a value
        that may not be empty), ``naive`` (a ``dateTime`` without zone), ``any``
        (elements that ``xsd:any`` let in and no field names).
        """
        return dict(self._reading.counts)

    def value(self, path: str) -> Any:
        """The typed value at one of the compiled paths.

        Returns:
            None if it is absent, nil or empty; a list if the path may occur more than
            once.

        Raises:
            Rejected: ``soap.value``: what is there cannot be read as its type;
                ``soap.reference``: it points nowhere.
        """
        target = self._decoder.paths[path]
        read = self._decoder.values[path]
        try:
            values = [
                read(self._followed(node), self._reading)
                for node in self._nodes(target)
            ]
        except Unreadable as problem:
            raise self._refused(problem, path) from None
        if target.many:
            return values
        return next((value for value in values if value not in (None, "")), None)

    def text(self, path: str) -> str | None:
        """The lexical text at one of the compiled paths; None if it is absent."""
        target = self._decoder.paths[path]
        try:
            node = next(iter(self._nodes(target)), None)
            if node is None:
                return None
            node = self._followed(node)
        except Unreadable as problem:
            raise self._refused(problem, path) from None
        if target.attribute is None:
            return "".join(node.itertext()).strip()
        found = node.get(target.attribute)
        return None if found is None else str(found)

    def __iter__(self) -> Iterator[Item]:
        """Read it; see the class."""
        envelope, chunks = self._open()
        with envelope:
            for chunk in chunks:
                for element in envelope.feed(chunk):
                    yield self._item(element)
            for element in envelope.flush():
                yield self._item(element)
            self._root = envelope.close()
            yield from self._end(held=envelope.hold)

    def _open(self) -> tuple[Envelope, Iterator[bytes]]:
        decoder = self._decoder
        chunks, charset, parts = self._chunks, _charset(self._type), None
        if multipart.is_multipart(self._type):
            parts = multipart.split(chunks, self._type, decoder.settings)
            chunks, charset = iter((parts.root,)), _charset(parts.root_type)
            self._reading.attachments = parts.attachments
        steps = () if decoder.items is None else decoder.items.steps
        envelope = Envelope(
            path=steps,
            names=() if decoder.items is None else decoder.items.every,
            free=decoder.message.rpc,
            alone=decoder.message.alone,
            kept=decoder.kept,
            settings=decoder.settings,
            charset=charset,
            hold=parts is not None or self._verify is not None,
        )
        return envelope, chunks

    def _end(self, *, held: bool) -> Iterator[Item]:
        root = self._root
        self._body = body = body_of(root)
        if self._verify is not None and self._verify(root) is not body:
            raise Rejected("The signature covers another Body.", code="soap.signature")
        self._fault = self._find_fault(body)
        if self._fault is None:
            try:
                self._check_wrapper(body)
                yield from self._rest(held=held)
            except Unreadable as problem:
                raise self._refused(problem, problem.field) from None
        self._complete = True

    def _rest(self, *, held: bool) -> Iterator[Item]:
        """Items that could not be handed out while the answer came."""
        body, target = self._body, self._decoder.items
        references = any(True for _ in _multi(body))
        if references:
            self._reading.follow = References(self._root).follow
            self._straight = None
        if target is None:
            return
        if held or references:
            for element in self._nodes(target):
                yield self._item(element)
        if not self._items:
            self._check_container(target)

    def _item(self, element: _Element) -> Item:
        self._items = number = self._items + 1
        if number > self._most:
            raise too_large("the number of records", self._most, "max_records")
        if self._straight is not None:
            try:
                record = self._straight(element)
            except ValueError:
                self._note_unusual()
            else:
                if self._missing(record) is None:
                    return Item(record, number)
        elif number == _WARM and self._reading.follow is None:
            self._straight = self._decoder.straight  # for those that follow
        return self._careful(element)

    def _note_unusual(self) -> None:
        self._unusual += 1
        if self._unusual > _PATIENCE and self._unusual * 2 > self._items:
            self._straight = None  # trying costs more than it saves

    def _careful(self, element: _Element) -> Item:
        if self._reading.attachments is not None:
            self._reading.attachments.next_record()
        try:
            self._check_single()
            element = self._followed(element)
            record = self._decoder.read_item(element, self._reading)
            self._check_key(record)
        except Unreadable as problem:
            reject = ItemReject(problem.reason, problem.field)
            return Item(self._key(element), self._items, reject)
        return Item(record, self._items)

    def _followed(self, element: _Element) -> _Element:
        follow = self._reading.follow
        return element if follow is None else follow(element)

    def _refused(self, problem: Unreadable, place: str) -> Rejected:
        return Rejected(
            f"The answer to {self._decoder.message.name} cannot be used: what stands "
            f"at {place!r} breaks its schema ({problem.reason}). Compare the WSDL with "
            "what the server sends.",
            code=problem.reason,
            operation=self._decoder.message.name,
            path=place,
        )

    def _check_single(self) -> None:
        if self._decoder.single and self._items > 1:
            raise Unreadable("soap.repeated", "")

    def _check_key(self, record: dict[str, Any] | None) -> None:
        missing = self._missing(record)
        if missing is not None:
            raise Unreadable("soap.missing", missing)

    def _missing(self, record: dict[str, Any] | None) -> str | None:
        """The part of the key that a record lacks; None if it is whole."""
        for path, steps in self._decoder.key:
            value: Any = record
            for step in steps:
                value = value.get(step) if isinstance(value, dict) else None
            if value is None or value == "":
                return path
        return None

    def _key(self, element: _Element) -> dict[str, Any]:
        try:
            return self._decoder.read_key(element, Reading(strict=False)) or {}
        except Unreadable:
            return {}

    def _find_fault(self, body: _Element) -> Fault | None:
        tag = body.tag.rpartition("}")[0] + "}Fault"
        child = next((child for child in body if child.tag == tag), None)
        return None if child is None else fault(child)

    def _check_wrapper(self, body: _Element) -> None:
        roots = self._decoder.message.roots
        child = next(iter(body), None)
        if not roots or self._decoder.message.rpc:
            if roots and child is None:
                self._other("nothing")
            return
        local = "nothing" if child is None else child.tag.rpartition("}")[2]
        if local not in {root.name for root in roots}:
            self._other(local)
        if child is not None and child.tag not in {root.tag for root in roots}:
            self._reading.deviation("namespace", local)

    def _other(self, name: str) -> None:
        message = self._decoder.message
        expected = ", ".join(root.name for root in message.roots)
        raise NotApplied(
            f"The answer to {message.name} holds {name[:60]!r} instead of {expected}: "
            "it answers another question. Check the endpoint.",
            code="soap.not-soap",
            operation=message.name,
        )

    def _check_container(self, target: Target) -> None:
        above = target._replace(steps=target.steps[:-1], attribute=None)
        if (
            not target.optional
            and above.steps
            and not any(True for _ in self._nodes(above))
        ):
            self._reading.deviation("missing", target.steps[-1])

    def _nodes(self, target: Target) -> Iterator[_Element]:
        self._need_root()
        start = self._body
        if target.header:
            start = None if self._root is None else _header(self._root)
        if start is None:
            return
        follow = self._reading.follow
        yield from found(start, target, message=self._decoder.message, follow=follow)

    def _need_root(self) -> None:
        if self._body is None:
            raise RuntimeError("the answer has not been read to its end")

    def _need_end(self) -> None:
        if not self._complete:
            raise RuntimeError("the answer has not been read to its end")


def _charset(content_type: str) -> str | None:
    header = HttpHeader()
    header["content-type"] = content_type or "text/xml"
    return header.get_content_charset()


def _header(root: _Element) -> _Element | None:
    return root.find(root.tag.rpartition("}")[0] + "}Header")


def _multi(body: _Element | None) -> Iterator[_Element]:
    if body is not None:
        for element in body.iter(etree.Element):
            link = element.get("href")
            if link is not None and link.startswith("#"):
                yield element
