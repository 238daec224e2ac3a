"""Search filters as a small tree, encoded straight to BER (RFC 4511 4.5.1.7).

A value can never become syntax, because no text is ever built. Filter *text* exists
only in configuration and is parsed once, by `parse` (RFC 4515).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from moatbridge.errors import ConfigurationError
from moatbridge_ldap.wire.ber import boolean, octets, sequence, tlv

MAX_DEPTH: Final = 32
_ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*|\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Eq:
    """The attribute has this value."""

    attribute: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ge:
    """The attribute has a value at or after this one."""

    attribute: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Le:
    """The attribute has a value at or before this one."""

    attribute: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Approx:
    """The attribute has a value that sounds like this one."""

    attribute: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute is there."""

    attribute: str


@dataclass(frozen=True, slots=True)
class Substrings:
    """The attribute has a value made of these pieces, in order."""

    attribute: str
    initial: bytes | None = field(default=None, repr=False)
    middle: tuple[bytes, ...] = field(default=(), repr=False)
    final: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Matches:
    """Extensible match, for example AD's bit rule 1.2.840.113556.1.4.803."""

    attribute: str | None
    rule: str | None
    value: bytes = field(repr=False)
    dn: bool = False


Filter: TypeAlias = (
    And | Or | Not | Eq | Ge | Le | Approx | Present | Substrings | Matches
)
EVERYTHING: Final = Present("objectClass")
_PLAIN: Final = frozenset(range(0x20, 0x7F)) - frozenset(b"()*\\")
_ORDERED: Final[dict[str, type[Ge | Le | Approx]]] = {
    ">": Ge, "<": Le, "~": Approx,
}  # fmt: skip
_COMPARE: Final = {Eq: 0xA3, Ge: 0xA5, Le: 0xA6, Approx: 0xA8}


def encode(node: Filter) -> bytes:
    """The filter as BER."""
    match node:
        case And(parts) | Or(parts):
            tag = 0xA0 if isinstance(node, And) else 0xA1
            return sequence(*map(encode, parts), tag=tag)
        case Not(part):
            return tlv(0xA2, encode(part))
        case Present(attribute):
            return octets(attribute, 0x87)
        case Substrings():
            return _substrings(node)
        case Matches():
            return _matches(node)
        case _:
            tag = _COMPARE[type(node)]
            return sequence(octets(node.attribute), octets(node.value), tag=tag)


def both(first: Filter, second: Filter | None) -> Filter:
    """The conjunction, flattened where that is free."""
    if second is None or second == EVERYTHING:
        return first
    if first == EVERYTHING:
        return second
    return And((first, second))


def any_of(attribute: str, values: list[bytes]) -> Filter:
    """The attribute has one of these values (at least one is given)."""
    parts = tuple(Eq(attribute, value) for value in values)
    return parts[0] if len(parts) == 1 else Or(parts)


def attributes_of(node: Filter) -> set[str]:
    """Names of all attributes that the filter looks at."""
    match node:
        case And(parts) | Or(parts):
            return {name for part in parts for name in attributes_of(part)}
        case Not(part):
            return attributes_of(part)
        case _:
            return {node.attribute} if node.attribute else set()


def parse(text: str) -> Filter:
    """Parse RFC 4515 text from the configuration.

    Raises:
        ConfigurationError: ``ldap.filter``, with the position of the fault.
    """
    parser = _Parser(text.strip())
    node = parser.filter(0)
    if parser.at != len(parser.text):
        raise parser.fault("text after the end")
    return node


def _substrings(node: Substrings) -> bytes:
    parts = [] if node.initial is None else [octets(node.initial, 0x80)]
    parts += [octets(part, 0x81) for part in node.middle]
    if node.final is not None:
        parts.append(octets(node.final, 0x82))
    return sequence(octets(node.attribute), sequence(*parts), tag=0xA4)


def _matches(node: Matches) -> bytes:
    return sequence(
        b"" if node.rule is None else octets(node.rule, 0x81),
        b"" if node.attribute is None else octets(node.attribute, 0x82),
        octets(node.value, 0x83),
        boolean(value=True, tag=0x84) if node.dn else b"",
        tag=0xA9,
    )


class _Parser:
    """Recursive descent over RFC 4515's grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fault(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"Filter cannot be read at character {self.at + 1}: {what}. Expected "
            "RFC 4515 text such as (&(objectClass=person)(uid=a*)).",
            code="ldap.filter",
        )

    def filter(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.fault(f"more than {MAX_DEPTH} levels")
        self._take("(")
        kind = self.text[self.at : self.at + 1]
        node: Filter
        if kind and kind in "&|":
            self.at += 1
            parts = self._parts(depth)
            node = And(parts) if kind == "&" else Or(parts)
        elif kind == "!":
            self.at += 1
            node = Not(self.filter(depth + 1))
        else:
            node = self._item()
        self._take(")")
        return node

    def _parts(self, depth: int) -> tuple[Filter, ...]:
        parts = []
        while self.text[self.at : self.at + 1] == "(":
            parts.append(self.filter(depth + 1))
        if not parts:
            raise self.fault("an empty list")
        return tuple(parts)

    def _take(self, char: str) -> None:
        if self.text[self.at : self.at + 1] != char:
            raise self.fault(f"'{char}' is missing")
        self.at += 1

    def _item(self) -> Filter:
        end = self.text.find(")", self.at)
        equals = self.text.find("=", self.at)
        if end < 0 or not self.at <= equals < end:
            raise self.fault("'=' or ')' is missing")
        left, right = self.text[self.at : equals], self.text[equals + 1 : end]
        if "(" in right:
            raise self.fault("'(' inside a value; write \\28")
        node = self._compare(left, right)
        self.at = end
        return node

    def _compare(self, left: str, right: str) -> Filter:
        if left.endswith(":"):
            return self._extensible(left[:-1], right)
        if left[-1:] in {">", "<", "~"}:
            ordered = _ORDERED[left[-1]]
            return ordered(self._name(left[:-1]), self._value(right))
        name = self._name(left)
        if right == "*":
            return Present(name)
        if "*" not in right:
            return Eq(name, self._value(right))
        first, *middle, last = (self._value(part) for part in right.split("*"))
        return Substrings(
            name, first or None, tuple(part for part in middle if part), last or None
        )

    def _extensible(self, left: str, right: str) -> Filter:
        name, *rest = left.split(":")
        dn = bool(rest) and rest[0].lower() == "dn"
        rules = rest[1:] if dn else rest
        if len(rules) > 1 or not (name or rules):
            raise self.fault("an extensible match names one attribute and one rule")
        rule = self._name(rules[0]) if rules else None
        attribute = self._name(name) if name else None
        return Matches(attribute, rule, self._value(right), dn)

    def _name(self, name: str) -> str:
        if not _ATTRIBUTE.fullmatch(name):
            raise self.fault("this is not an attribute name")
        return name

    def _value(self, text: str) -> bytes:
        if re.search(r"\\(?![0-9A-Fa-f]{2})", text) or "\0" in text:
            raise self.fault("a backslash needs two hexadecimal digits")
        pieces = re.split(r"((?:\\[0-9A-Fa-f]{2})+)", text)
        return b"".join(
            bytes.fromhex(piece.replace("\\", ""))
            if index % 2
            else piece.encode("utf-8", "strict")
            for index, piece in enumerate(pieces)
        )


def to_text(node: Filter) -> str:
    """The filter as RFC 4515 text: for suggestions, and for tests of `parse`."""
    match node:
        case And(parts) | Or(parts):
            sign = "&" if isinstance(node, And) else "|"
            return f"({sign}{''.join(map(to_text, parts))})"
        case Not(part):
            return f"(!{to_text(part)})"
        case Present(attribute):
            return f"({attribute}=*)"
        case Substrings(attribute, initial, middle, final):
            pieces = [initial or b"", *middle, final or b""]
            return f"({attribute}={'*'.join(map(escape, pieces))})"
        case Matches(attribute, rule, value, dn):
            flags = (":dn" if dn else "") + (f":{rule}" if rule else "")
            return f"({attribute or ''}{flags}:={escape(value)})"
        case _:
            sign = {Eq: "=", Ge: ">=", Le: "<=", Approx: "~="}[type(node)]
            return f"({node.attribute}{sign}{escape(node.value)})"


def escape(value: bytes) -> str:
    """A value as RFC 4515 text: everything but plain ASCII is hexadecimal."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:02x}" for byte in value)
