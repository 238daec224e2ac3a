"""What decoding one answer counts, and what it looks things up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lxml.etree import _Element

    from moatbridge_soap.decode.multipart import Attachments

_KINDS: Final = 256  # distinct counters: names come from the peer
_NAME: Final = 64


class Unreadable(Exception):
    """One item cannot be decoded; becomes an `ItemReject`, never leaves the package.

    Args:
        reason: Stable code such as ``soap.value``.
        field: Field path to blame.
    """

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason, field)
        self.reason = reason
        self.field = field


class Reading:
    """State of decoding one answer. One thread.

    Args:
        strict: Deviations from the schema reject the item instead of being counted.
    """

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.counts: dict[str, int] = {}
        self.follow: Callable[[_Element], _Element] | None = None
        self.attachments: Attachments | None = None
        self.depth = 0
        self.active: set[_Element] = set()

    def deviation(self, kind: str, name: str) -> None:
        """Note a deviation from the schema.

        Args:
            kind: ``order unknown missing namespace empty naive any``.
            name: Element concerned.

        Raises:
            Unreadable: Tolerance is strict.
        """
        if self.strict:
            raise Unreadable("soap.deviation", name[:_NAME])
        key = f"{kind}:{name[:_NAME]}"
        if key in self.counts or len(self.counts) < _KINDS:
            self.counts[key] = self.counts.get(key, 0) + 1
        else:
            self.counts["more:*"] = self.counts.get("more:*", 0) + 1


def is_naive(tolerated: Mapping[str, int], path: str) -> bool:
    """Whether moments without a zone were counted for a field."""
    return f"naive:{path[:_NAME]}" in tolerated


def no_zone(path: str) -> ConfigurationError:
    """The error for a time of change that could be any time of the day (soap 47)."""
    return ConfigurationError(
        f"The records' time of change ({path}) carries no zone, so nobody knows what "
        'changed when. Set timezone (such as "Europe/Berlin") for the system, to the '
        "zone that the service means.",
        code="soap.timezone",
        path=path,
    )


def too_large(what: str, limit: int, setting: str) -> Rejected:
    """The error for a limit that an answer exceeded."""
    return Rejected(
        f"The answer was refused: {what} exceeds {limit} ({setting}). Ask for smaller "
        "pages, or raise the limit if such answers are legitimate.",
        code="soap.too-large",
        limit=limit,
        setting=setting,
    )
