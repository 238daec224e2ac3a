"""Where a detector found something."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """One finding in one text.

    Args:
        start: First character.
        end: After the last one.
        shown: What a mask writes in its place; at most four of its digits.
    """

    start: int
    end: int
    shown: str
