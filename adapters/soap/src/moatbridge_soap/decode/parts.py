"""What an answer is made of: items, and at most one fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class ItemReject(NamedTuple):
    """Why one item could not be decoded.

    Args:
        reason: Stable code such as ``soap.value``.
        field: Field path to blame (dots, relative to the item); "" for the item itself.
    """

    reason: str
    field: str


class Item(NamedTuple):
    """One decoded item.

    Args:
        record: Field name -> value; for a rejected item what could be read of it (its
            key fields, if nothing else).
        number: Position in this answer, from 1.
        reject: Set when the item could not be decoded.
    """

    record: dict[str, Any]
    number: int
    reject: ItemReject | None = None

    def __repr__(self) -> str:
        return f"Item({self.number}, {sorted(self.record)}, {self.reject})"


class Detail(NamedTuple):
    """One child of a fault's detail.

    Args:
        name: ``{namespace}Local``, or the bare local name without a namespace.
        values: Path relative to the child (dots, ``@attribute``; "" for its own
            text) -> lexical value. The first of equal paths.
    """

    name: str
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Detail({self.name}, {sorted(self.values)})"


class Fault(NamedTuple):
    """A SOAP fault (SOAP 1.1 section 4.4, SOAP 1.2 part 1 section 5.4).

    Args:
        codes: Code, then subcodes, as the server wrote them (``env:Client``).
        text: The server's words: remote text, cut to 200 characters and cleaned.
        details: Children of the detail element.
    """

    codes: tuple[str, ...]
    text: str
    details: tuple[Detail, ...]

    def __repr__(self) -> str:
        return f"Fault({self.codes}, details={[d.name for d in self.details]})"
