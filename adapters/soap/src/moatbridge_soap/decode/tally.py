"""What decoding one answer counts, and what it looks things up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lxml.etree import _Element

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
        self.attachments: Mapping[str, bytes] = {}
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


def too_large(what: str, limit: int, setting: str) -> Rejected:
    """The error for a limit that an answer exceeded."""
    return Rejected(
        f"The answer was refused: {what} exceeds {limit} ({setting}). Ask for smaller "
        "pages, or raise the limit if such answers are legitimate.",
        code="soap.too-large",
        limit=limit,
        setting=setting,
    )
