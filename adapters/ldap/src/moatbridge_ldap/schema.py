"""The server's schema: which attributes are single-valued, and what they hold.

Definitions as in RFC 4512 4.1; only those in use are parsed.
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge_ldap.values import Kind

MAX_DEFINITION: Final = 65536
"""Bytes; a longer definition is as good as none."""
_TOKEN: Final = re.compile(r"'[^']*+'|[()$]|[^\s()'$]++")
_PREFIX: Final = "1.3.6.1.4.1.1466.115.121.1."
_MAX_DEPTH: Final = 16

SYNTAXES: Final[dict[str, Kind]] = {
    _PREFIX + "5": "bytes", _PREFIX + "7": "bool", _PREFIX + "8": "bytes",
    _PREFIX + "9": "bytes", _PREFIX + "10": "bytes", _PREFIX + "12": "reference",
    _PREFIX + "24": "datetime", _PREFIX + "27": "int", _PREFIX + "28": "bytes",
    _PREFIX + "40": "bytes", _PREFIX + "49": "bytes", _PREFIX + "53": "text",
    "1.2.840.113556.1.4.906": "int", "1.2.840.113556.1.4.907": "bytes",
}  # fmt: skip
BY_NAME: Final[dict[str, Kind]] = {
    "objectguid": "guid", "objectsid": "sid", "sidhistory": "sid",
    "accountexpires": "filetime", "pwdlastset": "filetime", "lastlogon": "filetime",
    "lastlogontimestamp": "filetime", "lockouttime": "filetime",
    "badpasswordtime": "filetime",
}  # fmt: skip
"""Active Directory's own encodings, which no syntax announces ([MS-ADA1-3])."""


@dataclass(frozen=True, slots=True)
class AttributeType:
    """One attribute: canonical name, kind of value, whether one value only."""

    name: str
    kind: Kind
    single: bool
    writable: bool


@dataclass(frozen=True)
class Schema:
    """Definitions by lower-case name; the texts are parsed when first asked for.

    Args:
        attribute_texts: Name in lower case (and OID) -> definition.
        class_texts: The same for object classes.
    """

    attribute_texts: dict[str, str] = field(default_factory=dict, repr=False)
    class_texts: dict[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def from_values(attributes: Iterable[bytes], classes: Iterable[bytes]) -> Schema:
        """From the values of ``attributeTypes`` and ``objectClasses``."""
        return Schema(dict(_indexed(attributes)), dict(_indexed(classes)))

    @property
    def readable(self) -> bool:
        """Whether the account may read the schema."""
        return bool(self.attribute_texts)

    def has(self, name: str) -> bool:
        """Whether there is such an attribute (options are ignored)."""
        return name.partition(";")[0].lower() in self.attribute_texts

    def attribute(self, name: str) -> AttributeType | None:
        """The attribute's definition, inherited parts included."""
        bare, _, option = name.partition(";")
        if not self.has(bare):
            return None
        merged = self._merged(bare)
        kind = BY_NAME.get(bare.lower()) or SYNTAXES.get(
            merged.get("SYNTAX", [""])[0].partition("{")[0], "text"
        )
        return AttributeType(
            name=bare,
            kind="bytes" if option.lower() == "binary" else kind,
            single="SINGLE-VALUE" in merged,
            writable="NO-USER-MODIFICATION" not in merged,
        )

    def required(self, classes: Iterable[str]) -> frozenset[str]:
        """Lower-case names that entries of these classes must have."""
        must: set[str] = set()
        todo, seen = [name.lower() for name in classes], set[str]()
        while todo:
            text = self.class_texts.get(todo.pop())
            if text is None or text in seen:
                continue
            seen.add(text)
            words = _words(text)
            must.update(word.lower() for word in words.get("MUST", ()))
            todo += [word.lower() for word in words.get("SUP", ())]
        return frozenset(must)

    def closest(self, name: str) -> str | None:
        """An attribute whose name looks like this one."""
        found = difflib.get_close_matches(
            name.lower(), self.attribute_texts, n=1, cutoff=0.75
        )
        return found[0] if found else None

    def same(self, first: str, second: str) -> bool:
        """Whether two names stand for one attribute (``cn``, ``commonName``)."""
        one, two = first.lower(), second.lower()
        text = self.attribute_texts.get(one)
        return one == two or (
            text is not None and text == self.attribute_texts.get(two)
        )

    def _merged(self, name: str) -> dict[str, list[str]]:
        merged: dict[str, list[str]] = {}
        for _ in range(_MAX_DEPTH):
            text = self.attribute_texts.get(name.lower())
            if text is None:
                break
            words = _words(text)
            merged = {**words, **merged}
            if "SUP" not in words:
                break
            name = words["SUP"][0]
        return merged


def _indexed(values: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for raw in values:
        if len(raw) <= MAX_DEFINITION:
            text = raw.decode("utf-8", "replace")
            for name in _names(text):
                yield name.lower(), text


def _names(text: str) -> Iterator[str]:
    """A definition's OID and names; reads no further than it must."""
    tokens = (found[0] for found in _TOKEN.finditer(text))
    if next(tokens, "") != "(":
        return
    yield next(tokens, "").strip("'")
    if "NAME" not in tokens:  # reads up to it
        return
    first = next(tokens, "")
    if first.startswith("'"):
        yield first.strip("'")
    elif first.startswith("("):
        quoted = itertools.takewhile(lambda token: token.startswith("'"), tokens)
        yield from (token.strip("'") for token in quoted)


def _words(text: str) -> dict[str, list[str]]:
    """Keywords of a definition with their arguments."""
    words: dict[str, list[str]] = {}
    current: list[str] = []
    for token in _TOKEN.findall(text)[2:-1]:
        if token in {"(", ")", "$"}:
            continue
        if token.isupper() and not token.startswith("'"):
            current = words.setdefault(token, [])
        else:
            current.append(token.strip("'"))
    return words
