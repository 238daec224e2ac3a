"""Compiled decoders: everything about an operation's answers that is known before."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from moatbridge.errors import ConfigurationError
from moatbridge_soap.decode.answer import Answer
from moatbridge_soap.decode.describe import field_paths
from moatbridge_soap.decode.leaves import attribute
from moatbridge_soap.decode.paths import Message, Target, unknown_field
from moatbridge_soap.decode.records import RecordCompiler, named, wanted
from moatbridge_soap.decode.straight import compile_straight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lxml.etree import _Element

    from moatbridge_soap.decode.leaves import Read
    from moatbridge_soap.decode.records import Wanted
    from moatbridge_soap.decode.settings import DecodeSettings
    from moatbridge_soap.decode.shape import Member
    from moatbridge_soap.decode.straight import Straight
    from moatbridge_soap.decode.tally import Reading


class AnswerDecoder:
    """Decodes the answers of one operation. Immutable; shared between threads.

    Args:
        message: Schema of the answer.
        items: Where the items are; None if there are none.
        single: At most one item is expected.
        paths: Further values wanted.
        settings: What is decoded, and how.
    """

    def __init__(
        self,
        message: Message,
        *,
        items: Target | None,
        single: bool,
        paths: Mapping[str, Target],
        settings: DecodeSettings,
    ) -> None:
        self.message = message
        self.items = items
        self.single = single
        self.paths = paths
        self.settings = settings
        self.read_item, self.read_key = _item_readers(message, items, settings)
        self.key = tuple((path, tuple(path.split("."))) for path in settings.key)
        self.values = {path: _value(t, path, settings) for path, t in paths.items()}
        steps = () if items is None else items.steps
        self.kept = tuple(
            frozenset(
                name
                for target in paths.values()
                if len(target.steps) > step and not target.header
                for name in target.names(step)
            )
            for step in range(len(steps))
        )

    @cached_property
    def straight(self) -> Straight | None:
        """The reader of usual items; compiled when many items come."""
        return None if self.single else _straight_reader(self.items, self.settings)

    def read(
        self,
        chunks: Iterator[bytes],
        *,
        content_type: str,
        verify: Callable[[_Element], _Element] | None = None,
    ) -> Answer:
        """Start reading one answer. Nothing is read before it is iterated.

        Args:
            chunks: The body's bytes, after inflating.
            content_type: The HTTP header, as it was sent.
            verify: Checks the whole envelope before the first item is decoded, and
                returns the Body that it vouches for; then the answer is held.
        """
        return Answer(self, chunks, content_type, verify)


def compile_answer(
    operation: Any,
    *,
    items: str | None,
    item: str | None,
    paths: Sequence[str],
    settings: DecodeSettings,
) -> AnswerDecoder:
    """Compile the decoder of an operation's answers.

    Args:
        operation: zeep's bound operation (``binding._operations[name]``).
        items: Message path of the repeated record element.
        item: Message path of the single record element; at most one of the two.
        paths: Message paths of further values wanted: cursors, totals, results.
        settings: What is decoded, and how.

    Raises:
        ConfigurationError: ``soap.path``: the answer has no such element or field; the
            nearest name is suggested.
    """
    if items is not None and item is not None:
        raise ConfigurationError(
            f"Operation {operation.name} has both items and item; keep one.",
            code="soap.path",
        )
    message = Message(operation)
    place = items or item
    target = None if place is None else message.target(place)
    if target is not None and target.attribute is not None:
        raise ConfigurationError(
            f"The items of {operation.name} cannot be an attribute ({place!r}).",
            code="soap.path",
        )
    return AnswerDecoder(
        message,
        items=target,
        single=item is not None,
        paths={path: message.target(path) for path in paths},
        settings=settings,
    )


def _item_readers(
    message: Message, target: Target | None, settings: DecodeSettings
) -> tuple[Read, Read]:
    if target is None or target.member is None:
        return _nothing, _nothing
    shape = target.member.shape
    names = list(field_paths(target.member))
    for path in (*settings.fields, *settings.key):
        if not _is_known(path, names) and not shape.wildcard and not _recurses(path):
            raise unknown_field(message, path, names)
    compiler = RecordCompiler(settings)
    tree, key = _decoded(settings), wanted(settings.key)
    return (
        _by_tag(compiler, target.member, tree),
        _by_tag(compiler, target.member, key),
    )


def _by_tag(compiler: RecordCompiler, member: Member, tree: Wanted) -> Read:
    """The reader of items, and of what may stand in their place."""
    plain = compiler.reader(member.shape, tree)
    if not member.instead:
        return plain
    others = {
        each.tag: named(compiler.reader(each.shape, tree), each, member)
        for each in member.instead
    }

    def read(element: _Element, reading: Reading) -> Any:
        return others.get(element.tag, plain)(element, reading)

    return read


def _straight_reader(
    target: Target | None, settings: DecodeSettings
) -> Straight | None:
    if target is None or target.member is None or target.member.instead:
        return None
    return compile_straight(target.member.shape, _decoded(settings), settings)


def _decoded(settings: DecodeSettings) -> Wanted:
    if "*" in settings.fields:
        return None
    return wanted((*settings.fields, *settings.key, *_present(settings)))


def _present(settings: DecodeSettings) -> tuple[str, ...]:
    return () if settings.modified is None else (settings.modified,)


def _is_known(path: str, names: Sequence[str]) -> bool:
    return path in {"*", *names} or path.removesuffix(".*") in names


def _recurses(path: str) -> bool:
    """A type inside itself is described once; its paths may go on for ever."""
    steps = path.split(".")
    return len(set(steps)) < len(steps)


def _value(target: Target, path: str, settings: DecodeSettings) -> Read:
    if target.member is None:
        return _text
    if target.attribute is None:
        return RecordCompiler(settings).reader(target.member.shape, None, path)
    convert = attribute(target.member.shape, path, settings)
    tag = target.attribute

    def read(element: _Element, _: Reading) -> Any:
        text = element.get(tag)
        return None if text is None else convert(text)

    return read


def _text(element: _Element, _: Reading) -> str:
    return "".join(element.itertext()).strip()


def _nothing(element: _Element, _: Reading) -> dict[str, Any]:
    del element
    return {}
