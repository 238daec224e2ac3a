"""Plain text of HTML: keeps line breaks and where links lead (entities 52)."""

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


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        if tag == "br" or _BLOCKS.fullmatch(tag):
            self.parts.append("\n")
        if tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.parts)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        if _BLOCKS.fullmatch(tag):
            self.parts.append("\n")
        if tag == "a" and self._links:
            target, since = self._links.pop()
            shown = "".join(self.parts[since:]).strip()
            if target.startswith(("http://", "https://")) and target != shown:
                self.parts.append(f" ({target})")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def text_of_html(value: Any) -> str:
    """The text of an HTML fragment: blocks become lines, links keep their target.

    Raises:
        Fault: It is not text.
    """
    if not isinstance(value, str):
        raise Fault(f"not text but {type(value).__name__}")
    parser = _Text()
    parser.feed(value)
    parser.close()
    lines = (line.strip() for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
