"""Reading a fault element, SOAP 1.1 or 1.2, however the server spelled it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from lxml import etree

from moatbridge_soap.decode.parts import Detail, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

_TEXT: Final = 200
_CODES: Final = 8
_DETAILS: Final = 16
_VALUES: Final = 256
_VALUE: Final = 1000
_DEPTH: Final = 16
_NAME: Final = 64
_SPACES: Final = re.compile(r"\s+")


def cleaned(text: str, limit: int = _TEXT) -> str:
    """Remote text for an error message: no control or bidi characters, cut."""
    text = _SPACES.sub(" ", text[: 20 * limit]).strip()
    kept = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def fault(element: _Element) -> Fault:
    """What a ``Fault`` element says.

    SOAP 1.1 (section 4.4) has ``faultcode``, ``faultstring`` and ``detail``; SOAP 1.2
    (part 1, section 5.4) has ``Code``, ``Reason`` and ``Detail``. Servers mix the two
    and their namespaces, so children are told by local name only.
    """
    children = {_local(child): child for child in reversed(element)}
    codes = tuple(_codes(children.get("faultcode"), children.get("Code")))
    words = children.get("faultstring")
    if words is None:
        reason = children.get("Reason")
        words = None if reason is None else next(iter(reason), None)
    detail = children.get("detail", children.get("Detail"))
    details = () if detail is None else tuple(_details(detail))
    return Fault(codes[:_CODES], cleaned(_text(words)), details)


def _codes(old: _Element | None, new: _Element | None) -> Iterator[str]:
    if old is not None:
        yield cleaned(_text(old))
    for _ in range(_CODES):
        if new is None:
            return
        children = {_local(child): child for child in new}
        if "Value" in children:
            yield cleaned(_text(children["Value"]))
        new = children.get("Subcode")


def _details(detail: _Element) -> Iterator[Detail]:
    for child in detail[:_DETAILS]:
        if isinstance(child.tag, str):
            values: dict[str, str] = {}
            _collect(child, "", values, _DEPTH)
            yield Detail(child.tag, values)


def _collect(element: _Element, path: str, values: dict[str, str], depth: int) -> None:
    below = f"{path}." if path else ""
    # Going through very many attributes takes time quadratic in their number.
    attributes = element.attrib.items() if len(element.attrib) <= _VALUES else ()
    for name, value in attributes:
        _note(values, f"{below}@{etree.QName(name).localname}", value)
    if not len(element):
        _note(values, path, _text(element))
    elif depth:
        for child in element[:_VALUES]:
            if isinstance(child.tag, str):
                _collect(child, below + _local(child), values, depth - 1)


def _note(values: dict[str, str], path: str, text: str) -> None:
    if len(values) < _VALUES:
        values.setdefault(path, text.strip()[:_VALUE])


def _text(element: _Element | None) -> str:
    return "" if element is None else str(element.text or "")


def _local(element: _Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def last_open(root: _Element | None) -> str:
    """Where reading stopped, for messages: the element that was open last."""
    if root is None:
        return ""
    node = root
    while len(node):
        node = node[-1]
    local = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
    return f", in {cleaned(local, _NAME)!r}"
