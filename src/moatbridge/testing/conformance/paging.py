"""Disturbed scans: full pages, vanished records, aborts, crowds, neighbours."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import CanScan
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.patience import patiently
from moatbridge.testing.stage import MANY, changes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.changes import Batch
    from moatbridge.testing.stage import Stage

NO_END: Final = (
    "the last batch of a pass that came to its end has complete=True, and nothing else "
    "has: a reading function returns only at the end of the stream"
)
NOT_LAST: Final = "only the last batch of a pass may say complete=True"

SHARE: Final = 0.5
"""Of the memory that all batches hold, what a scan may hold between two of them."""


class Paging(ConformanceBase):
    """`CanScan`, where it is easy to lose a page, a record or the measure."""

    @requires(CanScan)
    def test_a_full_last_page_loses_nothing(self, stage: Stage) -> None:
        """The number of records is a multiple of the page: all come, and an end."""
        seeded = stage.seed(MANY)
        adapter = stage.open()
        whole = stage.one(adapter)
        page = len(stage.scan(adapter, whole)[0].changes)
        if page and MANY % page:
            seeded += stage.seed(page - MANY % page)
        batches = stage.scan(stage.open(), whole)
        assert _values(stage, batches) == stage.values(seeded), (
            "records around a full last page are lost or come twice: go on after the "
            "last record's key until the system says (or an empty page shows) the end"
        )
        assert [b.complete for b in batches[-1:]] == [True], NO_END

    @requires(CanScan)
    def test_resuming_survives_a_record_that_went_away(self, stage: Stage) -> None:
        """The record at the cursor is deleted: the others still come (or a rescan)."""
        seeded = stage.values(stage.seed(MANY))
        adapter = stage.open()
        whole = stage.one(adapter)
        walk = adapter.scan(stage.name, whole, None)
        first = next(walk)
        walk.close()
        came = _values(stage, [first])
        gone = stage.value(first.changes[-1].data or {}) if first.changes else seeded[0]
        stage.harness.remove([gone])
        try:
            rest = stage.scan(stage.open(), whole, json.loads(json.dumps(first.cursor)))
        except MoatbridgeError:
            return  # as the core does
        if rest[-1].complete:  # and if it does not say so, the core begins again
            assert set(seeded) - {gone} <= {*came, *_values(stage, rest)}, (
                "the record at the cursor was deleted, and others are not seen any "
                "more: go on after its key (or with by_place), not at a row's number"
            )

    @requires(CanScan)
    def test_an_aborted_scan_never_ends_early(self, stage: Stage) -> None:
        """After an abort between two batches: an error, or really everything."""
        seeded = stage.values(stage.seed(MANY))

        def begun() -> tuple[Any, Iterator[Batch], list[Batch]]:
            adapter = stage.bare()
            walk = adapter.scan(stage.name, stage.one(adapter), None)
            return adapter, walk, [next(walk)]

        adapter, walk, batches = patiently(begun)
        adapter.abort()
        adapter.net.cut()
        try:
            batches += walk
        except MoatbridgeError:
            assert not any(batch.complete for batch in batches[:-1]), NOT_LAST
            return
        assert _values(stage, batches) == seeded, (
            "the connection was cut in mid-pass, and the pass ended as if that were "
            "all: let the client's error go on instead of returning"
        )
        assert batches[-1].complete, NO_END

    @requires(CanScan)
    def test_a_scan_holds_pages_not_the_stream(self, stage: Stage) -> None:
        """What is held between two batches does not grow with the stream."""
        adapter = stage.open()
        crowd = stage.harness.crowd
        seen = []
        with _quick_collections():
            for count in (crowd // 3, crowd - crowd // 3):
                stage.seed(count)
                stage.scan(adapter, stage.one(adapter))  # fills what is kept for good
                seen.append(_measured(stage, adapter))
        full, held = (seen[1][n] - seen[0][n] for n in range(2))
        assert held <= SHARE * full, (
            f"a scan holds {held / full:.0%} of the stream: ask the system for "
            f"`page_size` records at a time (with by_place, size=api.page_size), and "
            f"yield them as they come. If they come in bigger pieces that cannot be "
            f"smaller, raise Harness.crowd, now {crowd}, to some times such a piece"
        )

    @requires(CanScan)
    def test_two_instances_scan_at_once(self, stage: Stage) -> None:
        """Batch by batch in turns: each sees everything once."""
        seeded = stage.values(stage.seed(MANY))
        walks = [
            adapter.scan(stage.name, stage.one(adapter), None)
            for adapter in (stage.open(), stage.open())
        ]
        turns = list(itertools.zip_longest(*walks))
        for number in range(len(walks)):
            mine = [turn[number] for turn in turns if turn[number] is not None]
            assert _values(stage, mine) == seeded, (
                "two instances that read in turns disturb each other: keep the place "
                "of a pass in the generator, not in a class or module variable"
            )
            assert mine[-1].complete, NO_END

    @requires(CanScan, "rejects")
    def test_an_unreadable_record_stops_nothing(self, stage: Stage) -> None:
        """It becomes one reject that shows no value; all the others come."""
        values = stage.values(stage.seed(MANY))
        adapter = stage.open()
        stage.harness.spoil(values[0])
        batches = stage.scan(adapter, stage.one(adapter))
        rejects = [reject for batch in batches for reject in batch.rejects]
        assert _values(stage, batches) == values[1:], (
            "one record was spoilt, and the others are not exactly those that came: "
            "yield a Reject for what cannot be read, and go on"
        )
        assert batches[-1].complete, NO_END
        assert len(rejects) == 1, (
            f"one record was spoilt, and {len(rejects)} rejects came: a record that "
            f"cannot be read is neither left out nor given as if it were good"
        )
        assert rejects[0].reason.count(".") >= 1, "reasons are adapter.what"
        assert not [value for value in values if value in rejects[0].location], (
            "Reject.location shows a value: name the row's number, file or key"
        )


def _values(stage: Stage, batches: Iterable[Batch]) -> list[str]:
    return stage.values([change.data or {} for change in changes_of(list(batches))])


def _measured(stage: Stage, adapter: Any) -> tuple[int, int]:
    """Bytes that all batches hold together, and the scan alone after its second."""
    whole = stage.one(adapter)
    tracemalloc.start()
    try:
        every = stage.scan(adapter, whole)
        full, count = _traced(), len(every)
        del every
        empty = _traced()
        walk = adapter.scan(stage.name, whole, None)
        for _ in range(min(2, count)):
            next(walk)
        held = _traced()
        walk.close()
    finally:
        tracemalloc.stop()
    return full - empty, held - empty


@contextlib.contextmanager
def _quick_collections() -> Iterator[None]:
    """What is there already is no garbage of ours: the collector need not look."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
