"""Plain text of HTML: keeps line breaks and where links lead (entities 52).

Quotations are marked with ``>`` and what is struck out with ``~~``: who quotes a word,
or takes it back, does not say it.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Final

from moatbridge.entities.plain import Fault

_BLOCKS: Final = re.compile(
    "address|article|aside|blockquote|div|d[dlt]|fieldset|figure|footer|form|h[1-6r]|"
    "header|li|main|nav|ol|p|pre|section|table|tr|ul"
)
_HIDDEN: Final = frozenset({"script", "style", "template", "head", "title"})
_STRUCK: Final = frozenset({"del", "s", "strike"})
_DEEPEST: Final = 3
"""Quotations within quotations that are shown as such."""

_DECLARED: Final = re.compile(r"<[!?][^<>]*>")
_STRAY: Final = re.compile(r"<(?!/?[A-Za-z][^<>]*>)")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[tuple[int, list[str]]] = [(0, [])]
        self._hidden = self._quoted = 0
        self._link: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        self._quoted += tag == "blockquote"
        self._mark(tag)
        if tag == "a":  # one inside another is none
            self._link = (dict(attrs).get("href") or "", [])

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        if tag == "blockquote" and self._quoted:
            self._quoted -= 1
        self._mark(tag)
        if tag == "a" and self._link:
            target, parts = self._link
            self._link = None
            shown = "".join(parts).strip()
            if target.startswith(("http://", "https://")) and target != shown:
                self._say(f" ({target})")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._say(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        lines = ((depth, "".join(parts).strip()) for depth, parts in self.lines)
        return "\n".join("> " * depth + line if line else "" for depth, line in lines)

    def _mark(self, tag: str) -> None:
        if tag == "br" or _BLOCKS.fullmatch(tag):
            self.lines.append((min(self._quoted, _DEEPEST), []))
        if tag in _STRUCK:
            self._say("~~")

    def _say(self, text: str) -> None:
        self.lines[-1][1].append(text)
        if self._link:
            self._link[1].append(text)


def text_of_html(value: Any) -> str:
    """The text of an HTML fragment: blocks become lines, links keep their target.

    Raises:
        Fault: It is not text.
    """
    if not isinstance(value, str):
        raise Fault(f"not text but {type(value).__name__}")
    parser = _Text()
    parser.feed(_tags_only(value))
    parser.close()
    return re.sub(r"\n{3,}", "\n\n", parser.text()).strip()


def _tags_only(markup: str) -> str:
    """Without comments and declarations; a ``<`` that opens no tag is escaped.

    The standard library's parser looks for the end of each of them up to the end of
    the text: 50 kB of unclosed ones took it 17 seconds.
    """
    kept, at = [], 0
    while (start := markup.find("<!--", at)) >= 0:
        end = markup.find("-->", start + 2)  # "<!-->" is one, and empty
        kept.append(markup[at:start])
        at = end + 3 if end >= 0 else len(markup)
    kept.append(markup[at:])
    return _STRAY.sub("&lt;", _DECLARED.sub("", "".join(kept)))
