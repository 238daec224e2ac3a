"""Text as a reader sees it: what hides a value from a pattern is undone (guard 24).

NFKC character by character, format and other invisible characters removed, every dash
``-``, every digit ASCII, HTML entities and percent-encoded bytes decoded; in HTML the
tags are left out too. Each piece that changed remembers where it came from.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

_ODD: Final = re.compile(
    r"[^\x00-\x7f]+|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?"
    r"|(?:%[0-9a-fA-F]{2})+"
)
_ODD_OR_TAG: Final = re.compile(_ODD.pattern + r"|<[/!?A-Za-z][^<>]{0,1000}>")
_UNSEEN: Final = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *range(0x180B, 0x180E),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)
"""Invisible, though not of category Cf (Unicode: Default_Ignorable_Code_Point)."""
_MINUS: Final = "\u2212"


class _Piece(NamedTuple):
    """A changed piece: where it stands now, and where it stood."""

    start: int
    end: int
    was: int
    was_end: int


class Normalised(NamedTuple):
    """Normalised text, and how to find a place of it in the original.

    Args:
        text: To look at.
        starts: Where each changed piece starts in ``text``.
        pieces: The pieces.
    """

    text: str
    starts: tuple[int, ...] = ()
    pieces: tuple[_Piece, ...] = ()

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that ``text[start:end]`` came from."""
        if not self.pieces:
            return start, end
        return self._first(start), self._last(end - 1)

    def _first(self, position: int) -> int:
        found = bisect_right(self.starts, position)
        # of several pieces that start here, the earlier ones are empty: go past them
        if not found:
            return position
        piece = self.pieces[found - 1]
        if position < piece.end:
            return piece.was
        return piece.was_end + position - piece.end

    def _last(self, position: int) -> int:
        found = bisect_right(self.starts, position)
        if not found:
            return position + 1
        piece = self.pieces[found - 1]
        if position < piece.end:
            return piece.was_end
        return piece.was_end + position - piece.end + 1


def normalise(text: str, *, markup: bool = False) -> Normalised:
    """Undo what hides a value.

    Args:
        text: As it would be sent.
        markup: It is HTML: tags are left out.
    """
    if not markup and "&" not in text and "%" not in text and _as_seen(text):
        return Normalised(text)
    parts: list[str] = []
    pieces: list[_Piece] = []
    last = length = 0
    for found in (_ODD_OR_TAG if markup else _ODD).finditer(text):
        for start, end, seen in _seen(found):
            kept = text[last:start]
            length += len(kept)
            parts += [kept, seen]
            pieces.append(_Piece(length, length + len(seen), start, end))
            length += len(seen)
            last = end
    if not pieces:
        return Normalised(text)
    parts.append(text[last:])
    return Normalised("".join(parts), tuple(p.start for p in pieces), tuple(pieces))


def _as_seen(text: str) -> bool:
    if text.isascii():
        return True
    return all(character == _character(character) for character in set(text))


def _seen(found: re.Match[str]) -> list[tuple[int, int, str]]:
    """The pieces of a match that change, as (start, end, what is seen)."""
    raw, at = found[0], found.start()
    if raw[0] == "<":
        return [(at, found.end(), "")]
    if raw[0] == "&":
        decoded = html.unescape(raw)
        changed = "".join(map(_character, decoded))
        return [(at, found.end(), changed)] if changed != raw else []
    if raw[0] == "%":
        decoded = unquote(raw, errors="replace")
        return [(at, found.end(), "".join(map(_character, decoded)))]
    return [
        (at + offset, at + offset + 1, seen)
        for offset, character in enumerate(raw)
        if (seen := _character(character)) != character
    ]


@lru_cache(maxsize=4096)  # per character: the same few come again and again
def _character(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Cf" or ord(character) in _UNSEEN:
        return ""
    if category == "Pd" or character == _MINUS:
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return unicodedata.normalize("NFKC", character)
