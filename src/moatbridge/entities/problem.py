"""What `moatbridge.entities.check` finds."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong; never holds the value.

    Args:
        path: Where, for example ``emails[0].value``.
        code: ``missing``, ``unknown``, ``kind``, ``text``, ``read-only`` or
            ``too-large``.
        expected: What would be right, in words.
    """

    path: str
    code: str
    expected: str
