"""COBOL copybooks: from the text of a record description to a tree of items."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

Usage = Literal["display", "packed", "binary", "native"]

_USAGES: Final[dict[str, Usage]] = {
    "DISPLAY": "display",
    "COMP-3": "packed", "COMPUTATIONAL-3": "packed", "PACKED-DECIMAL": "packed",
    "COMP": "binary", "COMPUTATIONAL": "binary", "BINARY": "binary",
    "COMP-4": "binary", "COMPUTATIONAL-4": "binary",
    "COMP-5": "native", "COMPUTATIONAL-5": "native",
}  # fmt: skip
_REFUSED: Final = frozenset({"COMP-1", "COMP-2", "POINTER", "INDEX", "NATIONAL"})
_WORD: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s]+")
_REPEAT: Final = re.compile(r"(.)\((\d{1,5})\)")
_NUMERIC: Final = re.compile(r"S?[9P]*V?[9P]*")
_BINARY_SIZES: Final = ((4, 2), (9, 4), (18, 8))
_MOST_ITEMS: Final = 5000


@dataclass(slots=True)
class Item:
    """One item: a group with children, or a leaf with a picture.

    Args:
        level: Level number.
        name: In upper case; ``FILLER`` items have no name.
        size: Bytes of one occurrence of a leaf.
        digits: Of a numeric leaf; 0: text.
        scale: Implied decimals.
        signed: Has an S.
        usage: How a number is stored.
        separate: Where a separate sign stands.
        leading: The sign is at the front.
        least: Occurrences at least; None: not repeated.
        most: Occurrences at most.
        depending: Item that holds the number of occurrences.
        redefines: Item whose place this one takes.
    """

    level: int
    name: str
    size: int = 0
    digits: int = 0
    scale: int = 0
    signed: bool = False
    usage: Usage = "display"
    separate: bool = False
    leading: bool = False
    least: int | None = None
    most: int = 1
    depending: str = ""
    redefines: str = ""
    children: list[Item] = field(default_factory=list)

    @property
    def is_group(self) -> bool:
        """Whether it has no picture of its own."""
        return bool(self.children)


def parse(text: str) -> Item:
    """Parse one record description.

    Raises:
        ValueError: What is not understood, by its statement.
    """
    items = [_item(words) for words in _statements(text) if _wanted(words)]
    if not items:
        raise ValueError("the copybook describes nothing")
    if len(items) > _MOST_ITEMS:
        raise ValueError("the copybook has too many items")
    root = Item(0, "")
    stack = [root]
    for item in items:
        while stack[-1].level >= item.level:
            stack.pop()
        if stack[-1].size:
            raise ValueError(f"{item.name}: stands under an item with a picture")
        stack[-1].children.append(item)
        stack.append(item)
    only = root.children[0] if len(root.children) == 1 else root
    _check(only)
    return only


def _wanted(words: list[str]) -> bool:
    if words[0] in {"66", "77"}:
        raise ValueError(f"level {words[0]} is not supported")
    return words[0] != "88"


def _statements(text: str) -> list[list[str]]:
    """Words of each statement; columns 1-6 and 73-80 and comments are left out."""
    kept = []
    for line in text.expandtabs().splitlines():
        numbered = len(line) > 6 and (line[:6].isdigit() or not line[:6].strip())  # noqa: PLR2004 - column 7
        if numbered and line[6] in "*/":
            continue
        body = line[6:72] if numbered else line
        if not body.lstrip().startswith("*"):
            kept.append(body)
    statements, words = [], []
    for token in _WORD.findall("\n".join(kept)):
        word = token if token[0] in "'\"" else token.upper()
        ended = word.endswith(".") and word[0] not in "'\""
        word = word[:-1] if ended else word
        if word and word != ",":
            words.append(word.rstrip(",;"))
        if ended and words:
            statements.append(words)
            words = []
    if words:
        raise ValueError(
            "the last statement of the copybook does not end with a period"
        )
    return statements


def _item(words: list[str]) -> Item:
    if not words[0].isdigit():
        raise ValueError(f"copybook: a statement begins with {words[0]!r}, not a level")
    rest = words[1:]
    names = {"PIC", "PICTURE", "REDEFINES", "OCCURS", "USAGE", *_USAGES}
    name = rest.pop(0) if rest and rest[0] not in names else "FILLER"
    item = Item(int(words[0]), name)
    picture = _clauses(item, rest)
    if picture is not None:
        _sized(item, picture)
    return item


def _clauses(item: Item, rest: list[str]) -> str | None:
    picture = None
    while rest:
        word = rest.pop(0)
        if word in {"PIC", "PICTURE"}:
            picture = _skip_is(rest, item)
        elif word == "REDEFINES":
            item.redefines = _next(rest, item)
        elif word == "OCCURS":
            _occurs(item, rest)
        elif word == "SIGN" or (word in {"LEADING", "TRAILING"}):
            _sign(item, word, rest)
        elif word == "VALUE":
            _skip_is(rest, item)
        elif word in _USAGES:
            item.usage = _USAGES[word]
        elif word in _REFUSED or word.startswith("SYNC"):
            raise ValueError(f"{item.name}: {word} is not supported")
        elif word not in {
            "USAGE",
            "IS",
            "JUST",
            "JUSTIFIED",
            "RIGHT",
            "BLANK",
            "WHEN",
            "ZERO",
        }:
            raise ValueError(f"{item.name}: {word!r} is not understood")
    return picture


def _next(rest: list[str], item: Item) -> str:
    if not rest:
        raise ValueError(f"{item.name}: the statement ends too early")
    return rest.pop(0)


def _skip_is(rest: list[str], item: Item) -> str:
    word = _next(rest, item)
    return _next(rest, item) if word == "IS" else word


def _number(rest: list[str], item: Item) -> int:
    word = _next(rest, item)
    if not word.isdigit() or int(word) > 100_000:  # noqa: PLR2004 - larger than any table
        raise ValueError(f"{item.name}: OCCURS needs a number")
    return int(word)


def _occurs(item: Item, rest: list[str]) -> None:
    item.least = item.most = _number(rest, item)
    if rest[:1] == ["TO"]:
        rest.pop(0)
        item.most = _number(rest, item)
    if rest[:1] == ["TIMES"]:
        rest.pop(0)
    if rest[:1] == ["DEPENDING"]:
        rest.pop(0)
        name = _next(rest, item)
        item.depending = _next(rest, item) if name == "ON" else name
    while rest[:1] and rest[0] in {"INDEXED", "ASCENDING", "DESCENDING", "KEY"}:
        del rest[: 3 if rest[1:2] in (["BY"], ["KEY"], ["IS"]) else 2]


def _sign(item: Item, word: str, rest: list[str]) -> None:
    if word == "SIGN":
        word = _skip_is(rest, item)
    item.leading = word == "LEADING"
    item.separate = rest[:1] == ["SEPARATE"]
    if item.separate:
        rest.pop(0)
        if rest[:1] == ["CHARACTER"]:
            rest.pop(0)


def _sized(item: Item, picture: str) -> None:
    full = _REPEAT.sub(lambda found: found[1] * int(found[2]), picture)
    if len(full) > 100_000:  # noqa: PLR2004 - larger than any record
        raise ValueError(f"{item.name}: its picture is too long")
    if not _NUMERIC.fullmatch(full) or "9" not in full:
        if not set(full) <= set("XAB0/,.9Z*+-$CRD"):
            raise ValueError(f"{item.name}: picture {picture!r} is not understood")
        item.size = len(full)  # text, or a number edited for people
        return
    item.signed = full.startswith("S")
    before, _, after = full.lstrip("S").partition("V")
    if "P" in before + after:
        raise ValueError(f"{item.name}: P in a picture is not supported")
    item.digits, item.scale = len(before) + len(after), len(after)
    if item.usage == "packed":
        item.size = item.digits // 2 + 1
    elif item.usage in {"binary", "native"}:
        item.size = next(
            (size for most, size in _BINARY_SIZES if item.digits <= most), 0
        )
        if not item.size:
            raise ValueError(f"{item.name}: more than 18 digits in binary")
    else:
        item.size = item.digits + (1 if item.separate else 0)


def _check(item: Item) -> None:
    """Every leaf has a size, and what a REDEFINES names stands beside it."""
    if not item.children and not item.size:
        raise ValueError(f"{item.name}: has neither a picture nor items below it")
    names: set[str] = set()
    for child in item.children:
        if child.redefines and child.redefines not in names:
            raise ValueError(f"{child.name}: redefines something that is not before it")
        names.add(child.name)
        _check(child)
