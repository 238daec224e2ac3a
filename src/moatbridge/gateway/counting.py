"""What happened, as numbers with labels from closed sets: no ids, no names."""

from __future__ import annotations

from collections import Counter


class Counters:
    """Counters of one gateway; changed on its event loop only.

    Attributes:
        requests: (route template, status) -> count.
        refusals: Reason code -> count.
        deliveries: ``new`` and ``repeated`` -> count.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.deliveries: Counter[str] = Counter()

    def answered(self, route: str, status: int) -> None:
        """Count a request."""
        self.requests[route, status] += 1

    def refused(self, code: str) -> None:
        """Count a delivery that was not kept."""
        self.refusals[code] += 1

    def kept(self, *, new: bool) -> None:
        """Count a delivery that is safe."""
        self.deliveries["new" if new else "repeated"] += 1
