"""Why a guard rule was made looser, who agreed, and until when (guard 2)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final

MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Loosening:
    """One agreed exception; ``until`` is its last day (UTC)."""

    reason: str
    who: str
    until: date


def parse_loosening(text: str, key: str) -> Loosening:
    """Read ``"reason, who, until 2027-01-31"``; the reason may hold commas.

    Raises:
        ValueError: A part is missing or the last one is no date; names ``key``.
    """
    *reason, who, until = ["", "", *(part.strip() for part in text.split(","))]
    why = ", ".join(part for part in reason if part)
    if not (why and who) or len(text) > MAX_REASON:
        raise ValueError(
            f'{key}: write "reason, who, until YYYY-MM-DD" '
            f"(at most {MAX_REASON} characters)"
        )
    try:
        day = date.fromisoformat(until.removeprefix("until").strip())
    except ValueError:
        raise ValueError(f"{key}: the last part must be a day YYYY-MM-DD") from None
    return Loosening(printable(why), printable(who), day)


def printable(text: str) -> str:
    """The text without control and format characters, at most 500 of them."""
    kept = (c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return "".join(kept)[:MAX_REASON]
