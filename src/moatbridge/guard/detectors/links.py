"""Links, UUIDs and hashes: what stands inside them is no number of its own."""

from __future__ import annotations

import re
from typing import Final

_LINK: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s<>\"']{1,2000}|www\.[^\s<>\"']{1,2000}"
    r"|(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])"
    r"|(?<!\w)(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})(?!\w)"
    r"|(?i:isbn)(?:-1[03])?:?\s{0,2}[0-9][0-9 -]{8,16}[0-9Xx]"
)
_START: Final = re.compile(r"://|www\.|[0-9a-fA-F]{8}-|[0-9a-fA-F]{32}|(?i:isbn)")


def link_spans(text: str) -> list[tuple[int, int]]:
    """Where links, UUIDs, hashes and ISBNs stand, in order."""
    if _START.search(text) is None:
        return []
    return [found.span() for found in _LINK.finditer(text)]


def inside(start: int, end: int, spans: list[tuple[int, int]]) -> bool:
    """Whether a span lies inside one of these."""
    return any(first <= start and end <= last for first, last in spans)
