"""Why something could not be taken back: bare words, and what people read."""

from __future__ import annotations

from typing import Final

CHANGED: Final = "changed-since"
GONE: Final = "gone"
NO_IMAGE: Final = "no-before-image"
NOT_RETRACTABLE: Final = "not-retractable"
CANNOT: Final = "cannot"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown-outcome"

WORDS: Final = {
    CHANGED: "changed since",
    GONE: "gone",
    NO_IMAGE: "no before-image",
    NOT_RETRACTABLE: "not retractable",
    CANNOT: "cannot be undone",
    REFUSED: "target refused",
    UNKNOWN: "unknown outcome",
}
"""Reason -> its short name."""

MEANINGS: Final = {
    CHANGED: "somebody changed the record at the target after the run; their change "
    "stays",
    GONE: "the record is no longer at the target",
    NO_IMAGE: "what was there before is not kept (any more), or was never read",
    NOT_RETRACTABLE: "this target takes nothing back",
    CANNOT: "there is no way back for this kind of change",
    REFUSED: "the target refused to undo it; its code says why",
    UNKNOWN: "nobody knows whether it arrived; decide in `moatbridge review` first",
}
"""Reason -> what it means, in a sentence."""

_NEWER: Final = frozenset({"newer", "already", "erased", "replaced", "expire"})


def reason_of(stored: str) -> str:
    """The reason that the ledger's words for an intent stand for."""
    if stored in WORDS:
        return stored
    if stored in _NEWER or stored.endswith(".stale"):
        return CHANGED
    if stored.endswith(".gone"):
        return GONE
    if stored in {"parked", "unknown", "in_flight", "held"}:
        return UNKNOWN
    return REFUSED
