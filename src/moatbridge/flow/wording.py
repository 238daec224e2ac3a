"""What a reply says: a decision, something like a command, or just talk. Pure."""

from __future__ import annotations

import re
import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_MENTIONS: Final = re.compile(r"(?:\s*@[^\s@]+(?:@[^\s@]+)?[,:]?(?=\s|$))*\s*")
_FIRST: Final = re.compile(r"([/!]?)([^\W_][\w'-]{0,30})(?=$|[\s.,:;!)])")
_BETWEEN: Final = " \t\r\n.,:;!)-\u2013\u2014"
_NEAR: Final = 0.8


class Said(NamedTuple):
    """What a reply says.

    Args:
        kind: ``Accept``, ``Reject``; None if it is no decision.
        comment: What follows the word; None if nothing does.
        command: It starts like a command, but not with a known word.
    """

    kind: str | None = None
    comment: str | None = None
    command: bool = False

    def __repr__(self) -> str:
        return f"Said({self.kind}, command={self.command})"


def said(text: str, words: Mapping[str, str]) -> Said:
    """Read a reply.

    The first word after the mentions decides, in any case; a sign that ends a word must
    follow it, so ``approve?`` asks and does not decide. Format characters (zero-width
    spaces) are disregarded.

    Args:
        text: Plain text.
        words: Case-folded word -> kind.
    """
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    rest = visible[_end(_MENTIONS, visible) :]
    found = _FIRST.match(rest)
    if found is None:
        return Said(command=rest[:1] in {"/", "!"} and len(rest) > 1)
    word = unicodedata.normalize("NFC", found[2]).casefold()
    kind = words.get(word)
    if kind is not None:
        comment = rest[found.end() :].lstrip(_BETWEEN).rstrip()
        return Said(kind, comment or None)
    near = get_close_matches(word, words, 1, _NEAR)
    return Said(command=bool(found[1] or near))


def plain(entity: Mapping[str, Any]) -> str:
    """The text of a post."""
    text = str(entity.get("content") or "")
    if entity.get("mediaType") == "text/html":
        from moatbridge.entities.text import text_of_html  # noqa: PLC0415 - rare

        return text_of_html(text)
    return text


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0
