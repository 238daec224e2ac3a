"""What a peer says about its quota, read from the headers of every answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT: Final = 86_400.0
"""Seconds. A peer cannot put us to sleep for longer than a day."""

SKEW: Final = 60.0
"""Seconds that clocks may differ without a warning (platforms 9)."""

_EPOCH_FLOOR: Final = 1_000_000_000
"""A reset value above this is a point in time, below it a number of seconds."""


@dataclass(frozen=True, slots=True)
class RateInfo:
    """What one answer told about the quota; None where it said nothing.

    Args:
        retry_after: Seconds to wait before the next call.
        limit: Calls allowed in the window.
        remaining: Calls left in it.
        reset: Seconds until the window starts again.
    """

    retry_after: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None

    @property
    def silent(self) -> bool:
        """True when the answer told nothing."""
        return self == RateInfo()


SILENT: Final = RateInfo()
"""An answer that told nothing, as nearly all do."""

_TOLD: Final = frozenset(
    {
        "retry-after", "backoff", "ratelimit", "ratelimit-limit", "ratelimit-remaining",
        "ratelimit-reset", "x-ratelimit-limit", "x-ratelimit-remaining",
        "x-ratelimit-reset",
    }
)  # fmt: skip


def rate_info(headers: Mapping[str, str], now: datetime | None = None) -> RateInfo:
    """Read every known spelling of rate information.

    ``Retry-After`` and ``Backoff`` (seconds or HTTP date, RFC 9110 10.2.3),
    ``RateLimit`` (structured field of the IETF draft, both its forms),
    ``RateLimit-*`` and ``X-RateLimit-*`` (reset in seconds, as epoch or as ISO time).

    Args:
        headers: Names in lower case.
        now: Our clock, for dates; the answer's own ``Date`` is preferred.
    """
    if _TOLD.isdisjoint(headers):
        return SILENT
    clock = _date(headers.get("date", "")) or now or datetime.now(UTC)
    structured = _structured(headers.get("ratelimit", ""))
    return RateInfo(
        retry_after=_wait(headers.get("retry-after") or headers.get("backoff"), clock),
        limit=_count(_named(headers, "limit") or structured.get("limit")),
        remaining=_count(
            _named(headers, "remaining")
            or structured.get("remaining")
            or structured.get("r")
        ),
        reset=_wait(
            _named(headers, "reset") or structured.get("reset") or structured.get("t"),
            clock,
        ),
    )


def clock_ahead(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that our clock is ahead of the peer's, by its ``Date``; None: unsaid.

    Args:
        headers: Names in lower case.
        now: Our clock when the answer came.
    """
    date = _date(headers.get("date", ""))
    return None if date is None else (now - date).total_seconds()


def clock_warnings(ahead: float | None) -> tuple[str, ...]:
    """For `Probe.warnings`: our clock and the peer's differ by over a minute.

    Args:
        ahead: `HttpClient.clock_ahead`.
    """
    if ahead is None or abs(ahead) <= SKEW:
        return ()
    side = "ahead of" if ahead > 0 else "behind"
    words = f"our clock is {abs(ahead):.0f} s {side} the peer's"
    return (f"{words}: signatures may be refused and changes be missed",)


def _named(headers: Mapping[str, str], what: str) -> str | None:
    return headers.get(f"ratelimit-{what}") or headers.get(f"x-ratelimit-{what}")


def _structured(value: str) -> dict[str, str]:
    return dict(re.findall(r"([a-z]+)\s*=\s*(\d+)", value.lower()))


def _count(text: str | None) -> int | None:
    digits = re.match(r"\s*(\d{1,15})", text or "")
    return int(digits[1]) if digits else None


def _wait(text: str | None, now: datetime) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"\s*\d{1,15}(\.\d{0,9})?\s*", text):
        seconds = float(text)
        if seconds > _EPOCH_FLOOR:
            seconds -= now.timestamp()
        return _bounded(seconds)
    date = _date(text) or _iso(text)
    return None if date is None else _bounded((date - now).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _iso(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
