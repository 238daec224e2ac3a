"""Scans of what does not hold still: other pages than asked for, rows that move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import CanScan
from moatbridge.errors import CursorTooOld
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.stage import MANY, changes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.changes import Change
    from moatbridge.testing.stage import Stage

SIZES: Final = (1, 2, 3, 7)


class Moving(ConformanceBase):
    """`CanScan`, on systems with habits of their own."""

    @requires(CanScan)
    def test_any_page_size_sees_the_same(self, stage: Stage) -> None:
        """With a ``page_size`` of 1, 2, 3 and 7: every record, once; 0 is refused."""
        seeded = stage.values(stage.seed(MANY))
        for size in (0, -1):
            assert not stage.takes_pages_of(size), (
                f"page_size = {size} is taken and makes no page: give the setting the "
                f"type `PageSize` of moatbridge.adapter"
            )
        for size in SIZES:
            adapter = stage.paged(size)
            if adapter is None:
                return
            batches = stage.scan(adapter, stage.one(adapter))
            assert _values(stage, changes_of(batches)) == seeded, (
                f"page_size {size} reads other records: the end is where the system "
                f"says so (or gives nothing more), never where a page looks full"
            )
            assert batches[-1].complete, f"page_size {size}: the pass has no end"
            adapter.close()

    @requires(CanScan, "short_pages")
    def test_a_short_page_is_not_the_end(self, stage: Stage) -> None:
        """A system may give fewer than asked for; what follows is read too."""
        seeded = stage.values(stage.seed(MANY))
        stage.harness.short_pages()
        batches = stage.scan(adapter := stage.open(), stage.one(adapter))
        assert _values(stage, changes_of(batches)) == seeded, (
            "records behind a short page are not read: go on until the system says "
            "that nothing follows, or gives an empty page"
        )
        assert batches[-1].complete

    @requires(CanScan)
    def test_rows_that_go_while_they_are_read_hide_no_other(self, stage: Stage) -> None:
        """Records before the position are deleted: the ones behind it all come."""

        def go(seen: list[str]) -> None:
            stage.harness.remove(sorted({seen[0], seen[-1], seen[len(seen) // 2]}))

        _judge(stage, go)

    @requires(CanScan)
    def test_rows_that_come_while_others_are_read_hide_none(self, stage: Stage) -> None:
        """Records are added meanwhile: those that were there all come."""
        _judge(stage, lambda _seen: _seeded(stage))


def _judge(stage: Stage, disturb: Callable[[list[str]], None]) -> None:
    there = stage.values(stage.seed(MANY))
    adapter = stage.open()
    found, complete = _disturbed(stage, adapter, disturb)
    stayed = set(there) & set(stage.present())
    if not complete:  # as the core does: it begins again
        batches = stage.scan(adapter, stage.one(adapter))
        found = {stage.value(c.data or {}) for c in changes_of(batches)}
        assert batches[-1].complete, "after others wrote, no pass comes to its end"
    lost = len(stayed - found)
    assert not lost, (
        f"{lost} of {len(stayed)} records were not seen because others came or went "
        f"meanwhile: go on after the last record's key, not at a number of rows"
    )


def _disturbed(
    stage: Stage, adapter: Any, disturb: Callable[[list[str]], None]
) -> tuple[set[str], bool]:
    """What a pass finds that is disturbed after its first records; its last word."""
    found: list[str] = []
    complete, calm = False, True
    try:
        for batch in adapter.scan(stage.name, stage.one(adapter), None):
            found += [stage.value(change.data or {}) for change in batch.changes]
            complete = batch.complete
            if found and calm:
                calm = False
                disturb(found)
    except CursorTooOld:
        return set(), False
    return set(found), complete


def _seeded(stage: Stage) -> None:
    stage.seed(2)


def _values(stage: Stage, changes: list[Change]) -> list[str]:
    return stage.values([change.data or {} for change in changes])
