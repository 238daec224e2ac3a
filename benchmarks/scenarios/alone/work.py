"""What works on one adapter have in common, and how a script opens one of ours."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from harness.scenario import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.scenario import Variant

Order = dict[str, Any]


class Alone(Work):
    """A variant says in ``seen`` how many it handled, unless `seen` finds it out."""

    commands = False

    def order(self, variant: Variant, folder: Path) -> Order:
        count = max(min(self.count, 100), int(self.count * variant.share))
        return {"records": count, **self.given(variant, count, folder)}

    @abstractmethod
    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        """Fresh state for so many."""

    def check(self, variant: Variant, order: Order, found: Order) -> None:
        seen = self.seen(variant, order, found["said"])
        assert seen == order["records"], (seen, found["said"])
        found["requests"] = 0

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        """How many records were handled as they should be."""
        del variant, order
        return said["seen"]


def wired(adapter: Any) -> Any:
    """An adapter of ours that may dial; ``with`` opens and closes it."""
    from moatbridge.testing import net

    adapter.net = net(type(adapter).endpoints(adapter.config), deadline=3600)
    return adapter


def scanned(adapter: Any, stream: str = "people") -> int:
    """Read a stream to its end; how many records that were."""
    from moatbridge.adapter import Partition

    count = 0
    for batch in adapter.scan(stream, Partition(), None):
        assert not batch.rejects, batch.rejects[:1]
        count += len(batch.changes)
    return count


def written(adapter: Any, intents: Sequence[Any], most: int = 500) -> int:
    """Write them, so many a call; how many were applied."""
    applied = 0
    for at in range(0, len(intents), most):
        done = adapter.write("people", intents[at : at + most])
        applied += sum(receipt.outcome == "applied" for receipt in done)
    return applied


def in_a_flow(run: Callable[[], Order]) -> Callable[[], Order]:
    """The same with Python's collector of cycles as flows set it while they work."""
    from moatbridge.config.sections import RunConfig
    from moatbridge.flow.collecting import rarely

    often = RunConfig().collect_after

    def slice_() -> Order:
        with rarely(often):
            return run()

    return slice_
