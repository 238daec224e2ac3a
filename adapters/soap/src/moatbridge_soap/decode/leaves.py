"""Readers of single values: an element's or attribute's text -> a plain value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from moatbridge_soap.decode import lexical
from moatbridge_soap.decode.tally import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lxml.etree import _Element

    from moatbridge_soap.decode.settings import DecodeSettings
    from moatbridge_soap.decode.shape import Shape
    from moatbridge_soap.decode.tally import Reading

NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
XOP: Final = "{http://www.w3.org/2004/08/xop/include}Include"
_TRUE: Final = frozenset({"true", "1"})
_CONVERT: Final[Mapping[str, Callable[[str], Any]]] = {
    "string": lexical.string,
    "token": lexical.token,
    "normalizedString": lexical.normalized,
    "boolean": lexical.boolean,
    "integer": lexical.integer,
    "decimal": lexical.decimal,
    "double": lexical.floating,
    "dateTime": lexical.datetime,
    "date": lexical.date,
    "time": lexical.time,
    "duration": lexical.duration,
    "base64Binary": lexical.base64_binary,
    "hexBinary": lexical.hex_binary,
    "QName": lexical.token,
}
_TEXT: Final = frozenset({"string", "token", "normalizedString"})

Convert: TypeAlias = "Callable[[str], Any]"
Read: TypeAlias = "Callable[[_Element, Reading], Any]"


def converter(shape: Shape, path: str, settings: DecodeSettings) -> Convert:
    """Lexical text -> value, with the stream's own spellings applied."""
    kind = shape.text or "string"
    convert = _CONVERT[kind]
    if kind == "boolean":
        convert = _spelled(convert, path, settings)
    if kind == "dateTime" and settings.timezone is not None:
        convert = _zoned(convert, ZoneInfo(settings.timezone))
    if shape.listed:
        convert = lexical.words(convert)
    nulls = settings.nulls.get(path)
    return convert if not nulls else _nulled(convert, frozenset(nulls))


def leaf(shape: Shape, path: str, settings: DecodeSettings) -> Read:
    """The reader of one element's value (without attributes)."""
    convert = converter(shape, path, settings)
    kind = shape.text or "string"
    blank = _blank(shape, kind)
    if kind == "base64Binary":
        return _binary(convert, path)
    if kind == "QName":
        return _qualified(path)
    if kind == "dateTime" and settings.timezone is None:
        return _moment(_plain(convert, path, blank), path)
    if shape.wildcard:
        return _anything(path)
    return _plain(convert, path, blank)


def at_once(
    shape: Shape, path: str, settings: DecodeSettings
) -> tuple[Convert, Callable[[_Element], Any]] | None:
    """What `leaf` does where it needs nothing but the element.

    Returns:
        The value of a text that is not empty, and of an element without text. Both
        raise `ValueError` where `leaf` would refuse, note a deviation or look further.
        None if the value never stands in the text alone.
    """
    convert = converter(shape, path, settings)
    kind = shape.text or "string"
    if kind == "QName":
        return None
    if kind == "base64Binary":
        return convert, _unclear
    if kind == "dateTime" and settings.timezone is None:
        return _aware(convert), _empty_at_once(_blank(shape, kind))
    if shape.wildcard:
        return lexical.string, _empty_at_once("")
    return convert, _empty_at_once(_blank(shape, kind))


def attribute(shape: Shape, path: str, settings: DecodeSettings) -> Convert:
    """The reader of one attribute's value; raises `Unreadable`."""
    convert = converter(shape, path, settings)

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise Unreadable("soap.value", path) from None

    return read


def is_nil(element: _Element) -> bool:
    """Whether an element says that it has no value (``xsi:nil``)."""
    return element.get(NIL, "").strip() in _TRUE


def _blank(shape: Shape, kind: str) -> Any:
    """The value of an empty element; None where its type has no empty value."""
    return [] if shape.listed else "" if kind in _TEXT else None


def _plain(convert: Convert, path: str, blank: Any) -> Read:
    def read(element: _Element, reading: Reading) -> Any:
        text = element.text
        if len(element):
            raise Unreadable("soap.mixed", path)
        if not text:
            return _empty(element, reading, path, blank)
        try:
            return convert(text)
        except ValueError:
            raise Unreadable("soap.value", path) from None

    return read


def _empty(element: _Element, reading: Reading, path: str, blank: Any) -> Any:
    if is_nil(element):
        return None
    if blank is None:
        reading.deviation("empty", path)
        return None
    return blank[:]


def _empty_at_once(blank: Any) -> Callable[[_Element], Any]:
    def read(element: _Element) -> Any:
        if not len(element):
            if is_nil(element):
                return None
            if blank is not None:
                return blank[:]
        return _unclear(element)

    return read


def _unclear(element: _Element) -> Any:
    del element
    raise ValueError("not clear from the text alone")


def _aware(convert: Convert) -> Convert:
    def read(text: str) -> Any:
        moment = convert(text)
        if getattr(moment, "tzinfo", moment) is None and moment is not None:
            raise ValueError("a moment without zone")
        return moment

    return read


def _moment(plain: Read, path: str) -> Read:
    def read(element: _Element, reading: Reading) -> Any:
        value = plain(element, reading)
        if value is not None and getattr(value, "tzinfo", value) is None:
            reading.deviation("naive", path)
        return value

    return read


def _binary(convert: Convert, path: str) -> Read:
    plain = _plain(convert, path, b"")

    def read(element: _Element, reading: Reading) -> Any:
        link = None
        if len(element) == 1 and element[0].tag == XOP:
            link = element[0].get("href")
        elif not element.text:
            link = element.get("href")
        if link is None or not link.startswith("cid:"):
            return plain(element, reading)
        try:
            parts = reading.attachments
            found = parts.get(unquote(link[4:])) if parts else None  # RFC 2392
        except Unreadable as problem:
            raise Unreadable(problem.reason, path) from None
        if found is None:
            raise Unreadable("soap.attachment", path)
        return found

    return read


def _qualified(path: str) -> Read:
    def read(element: _Element, reading: Reading) -> Any:
        text = (element.text or "").strip()
        if not text or len(element):
            return _empty(element, reading, path, None)
        prefix, _, local = text.rpartition(":")
        namespace = element.nsmap.get(prefix or None)
        if namespace is None and prefix:
            raise Unreadable("soap.value", path)
        return f"{{{namespace}}}{local}" if namespace else local

    return read


def _anything(path: str) -> Read:
    """``xsd:anyType``: text as it stands; structure is refused, never guessed."""
    return _plain(lexical.string, path, "")


def _spelled(convert: Convert, path: str, settings: DecodeSettings) -> Convert:
    spellings = {word.strip(): True for word in settings.true.get(path, ())}
    spellings |= {word.strip(): False for word in settings.false.get(path, ())}
    if not spellings:
        return convert

    def read(text: str) -> Any:
        known = spellings.get(text.strip())
        return convert(text) if known is None else known

    return read


def _zoned(convert: Convert, zone: ZoneInfo) -> Convert:
    def read(text: str) -> Any:
        moment = convert(text)
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment

    return read


def _nulled(convert: Convert, nulls: frozenset[str]) -> Convert:
    def read(text: str) -> Any:
        return None if text in nulls or text.strip() in nulls else convert(text)

    return read
