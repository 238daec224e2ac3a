"""Cursors: where a scan or a poll stands, and where the next poll begins. Pure.

A value of the cursor column is assigned before its transaction commits, so rows can
appear behind the newest value read. Every poll therefore starts a while before the
newest value seen (``overlap``), inclusively, and delivers all rows from there on.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import CursorTooOld
from moatbridge_sql._keys import from_json, to_json

if TYPE_CHECKING:
    from moatbridge_sql._database import RawKey

OVERLAP_SECONDS: Final = 300.0
OVERLAP_NUMBERS: Final = 10_000.0
FUTURE_SECONDS: Final = 60.0
_LONG_AGO: Final = "0001-01-02"


def scan_cursor(after: RawKey | None) -> dict[str, Any]:
    """The position after a page of a scan."""
    return {"mode": "scan", "pos": _packed(after)}


def scan_position(cursor: Any, width: int) -> RawKey | None:
    """The key to continue after.

    Raises:
        CursorTooOld: Not a cursor of a scan of this stream.
    """
    if cursor is None:
        return None
    if not isinstance(cursor, dict) or cursor.get("mode") != "scan":
        raise _foreign()
    return _unpacked(cursor.get("pos"), width)


def ranges(low: int, high: int, wanted: int) -> list[tuple[str, Any]]:
    """Half-open ranges of equal width as (key, spec); both ends stay open.

    Rows that appear below or above later still fall into one of them.
    """
    step = max(1, -(-(high - low + 1) // wanted))
    edges = [None, *range(low + step, high + 1, step), None]
    specs = [list(edges[i : i + 2]) for i in range(len(edges) - 1)]
    if len(specs) == 1:
        return [("all", None)]
    return [(str(index), spec) for index, spec in enumerate(specs)]


def span_of(spec: Any) -> tuple[int | None, int | None]:
    """The range behind a partition's spec.

    Raises:
        CursorTooOld: Nothing that `ranges` ever made.
    """
    if spec is None:
        return None, None
    if isinstance(spec, list) and len(spec) == 2:  # noqa: PLR2004 - both ends
        low, high = spec
        if all(edge is None or type(edge) is int for edge in spec):
            return low, high
    raise _foreign()


@dataclass(frozen=True, slots=True)
class PollCursor:
    """Where a stream's feed stands.

    Args:
        start: Inclusive start of the poll as cursor text; None = the beginning.
        newest: Newest value that counts, as text.
        text: Cursor text of the last row delivered; None between polls.
        key: Its key.
    """

    start: str | None
    newest: str | None = None
    text: str | None = None
    key: RawKey | None = None

    def pack(self) -> dict[str, Any]:
        """As JSON."""
        pos = None if self.text is None else [self.text, _packed(self.key)]
        return {
            "mode": "column",
            "start": self.start,
            "newest": self.newest,
            "pos": pos,
        }

    @staticmethod
    def unpack(cursor: Any, width: int) -> PollCursor:
        """From JSON.

        Raises:
            CursorTooOld: Not a cursor of this stream's feed.
        """
        if not isinstance(cursor, dict) or cursor.get("mode") != "column":
            raise _foreign()
        start, newest = cursor.get("start"), cursor.get("newest")
        pos = cursor.get("pos")
        if not all(x is None or isinstance(x, str) for x in (start, newest)):
            raise _foreign()
        if pos is None:
            return PollCursor(start, newest)
        if not (isinstance(pos, list) and len(pos) == 2 and isinstance(pos[0], str)):  # noqa: PLR2004 - text and key
            raise _foreign()
        return PollCursor(start, newest, pos[0], _unpacked(pos[1], width))


def _packed(key: RawKey | None) -> list[Any] | None:
    return None if key is None else [to_json(value) for value in key]


def _unpacked(found: Any, width: int) -> RawKey | None:
    if found is None:
        return None
    if not isinstance(found, list) or len(found) != width:
        raise _foreign()
    return tuple(map(from_json, found))


def _foreign() -> CursorTooOld:
    return CursorTooOld(
        "The position does not belong to this stream; a rescan is needed.",
        code="sql.cursor",
        reason="format",
    )


def before(text: str | None, overlap: float | None) -> str | None:
    """The start of the next poll: ``overlap`` before the newest value.

    Args:
        text: Newest value that counts, in the database's own text.
        overlap: Seconds for times, a number otherwise; None for the defaults.

    Returns:
        Text in the same form; None (= the beginning) if the text is no time and no
        number, because a poll that reads too much loses nothing.
    """
    if text is None:
        return None
    with contextlib.suppress(InvalidOperation):
        value = Decimal(text) - Decimal(OVERLAP_NUMBERS if overlap is None else overlap)
        return format(value, "f") if value.is_finite() else None
    seconds = OVERLAP_SECONDS if overlap is None else overlap
    with contextlib.suppress(ValueError, OverflowError):
        return _earlier(text, timedelta(seconds=seconds))
    return None


def _earlier(text: str, by: timedelta) -> str:
    if len(text) == len(_LONG_AGO):
        day = datetime.combine(date.fromisoformat(text), datetime.min.time()) - by
        return day.date().isoformat()
    found = datetime.fromisoformat(text) - by
    shown = found.isoformat(text[10])
    if text.endswith("Z"):
        return shown.removesuffix("+00:00") + "Z"
    return shown


def later(one: str | None, other: str | None) -> str | None:
    """The newer of two cursor texts of one column (None is older than all)."""
    if one is None or other is None:
        return other if one is None else one
    a, b = _order(one), _order(other)
    if type(a) is not type(b):
        return max(one, other)
    return one if a >= b else other


def is_future(text: str, horizon: str | None) -> bool:
    """Whether a value lies beyond the server's clock plus 60 s.

    ``horizon`` is that moment as text; None where the column is no time.
    """
    if horizon is None:
        return False
    value, limit = _order(text), _order(horizon)
    return type(value) is type(limit) and value > limit


def _order(text: str) -> Any:
    with contextlib.suppress(InvalidOperation):
        return Decimal(text)
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).replace(tzinfo=None)
    return text
