"""SOAP encoding's references: followed lazily, along configured fields only (soap 43).

SOAP 1.1 section 5 writes ``href="#id"``, SOAP 1.2 part 2 section 3 ``ref="id"``.
Expanding them eagerly takes time exponential in the size of the answer, so nothing is
ever copied: a reader asks for what a reference points to when it needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lxml import etree

from moatbridge.errors import Rejected
from moatbridge_soap.decode.tally import Unreadable

if TYPE_CHECKING:
    from lxml.etree import _Element

_ENCODING12: Final = "{http://www.w3.org/2003/05/soap-encoding}"
_CHAIN: Final = 8  # a reference to a reference to ...
_FACTOR: Final = 10  # elements visited, as a multiple of the document's


class References:
    """Finds what references point to, within a budget.

    Args:
        root: The whole envelope.
    """

    def __init__(self, root: _Element) -> None:
        self._targets: dict[str, _Element] = {}
        count = 0
        for element in root.iter(etree.Element):
            count += 1
            name = element.get("id") or element.get(f"{_ENCODING12}id")
            if name is not None:
                self._targets.setdefault(name, element)
        self._left = _FACTOR * count

    def follow(self, element: _Element) -> _Element:
        """The element that holds the value; itself if it is no reference.

        Raises:
            Unreadable: ``soap.reference``: it points nowhere, or in a circle.
            Rejected: ``soap.too-large``: more was asked than the document is worth.
        """
        self._left -= 1
        if self._left < 0:
            raise Rejected(
                "The answer was refused: following its references would visit "
                f"{_FACTOR} times as many elements as it has.",
                code="soap.too-large",
            )
        for _ in range(_CHAIN):
            name = _reference(element)
            if name is None:
                return element
            target = self._targets.get(name)
            if target is None:
                break
            element = target
        raise Unreadable("soap.reference", "")


def _reference(element: _Element) -> str | None:
    link = element.get("href")
    if link is not None and link.startswith("#") and not len(element):
        return str(link[1:])
    return element.get(f"{_ENCODING12}ref") or None
