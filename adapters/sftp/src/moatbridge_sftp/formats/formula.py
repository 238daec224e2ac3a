"""Text that a spreadsheet would run: escaped on write, restored on read."""

from __future__ import annotations

import re
from typing import Final

_STARTS: Final = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""The last four are full-width, which spreadsheets take for the plain ones."""
_WOULD_RUN: Final = re.compile(f"'*{_STARTS}")
_GUARDED: Final = re.compile(f"'+{_STARTS}")
_HARMLESS: Final = re.compile(r"[+-]?[0-9 ().,/-]+")


def would_run(text: str) -> bool:
    """Whether a spreadsheet may take the text for a formula."""
    return bool(_WOULD_RUN.match(text)) and not _HARMLESS.fullmatch(text)


def escape(text: str) -> str:
    """Put a quote in front of what would run; `restore` undoes exactly that."""
    return "'" + text if would_run(text) else text


def restore(text: str) -> str:
    """Take the quote away that `escape` put there."""
    return text[1:] if _GUARDED.match(text) else text
